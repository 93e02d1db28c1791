//! One jail: from a line to the failures in it. `filterd`'s `jail_matcher.py` is the same in Python, and right by
//! definition.

use crate::block::{Block, Identity, Row, USERS};
use crate::dates::{Dated, Dates};
use crate::deferred::{Deferred, DeferredLines, LONGEST, Verdict};
use crate::numbers::{Number, numbers};
use crate::regex::{Regex, Search};
use crate::sessions::{Event, Sessions};
use crate::text::{Decoded, Line, Span, Subject, Texts};
use crate::walk::{Found, NONE};
use std::collections::HashMap;

/// Numbers of the group names that mean something; `specs.py` has the same list.
pub mod names {
    pub const NOFAIL: u16 = 0;
    pub const GAINED: u16 = 1;
    pub const FORGET: u16 = 2;
    pub const MLFID: u16 = 3;
    pub const USER: u16 = 4;
    pub const FID: u16 = 5;
    pub const IP4: u16 = 6;
    pub const IP6: u16 = 7;
    pub const DNS: u16 = 8;
    pub const CIDR: u16 = 9;
    pub const CONTENT: u16 = 10;
    /// The first of nine: the marks of an attempt's lines, in their order.
    pub const STEP: u16 = 11;
    pub const STEPS: u16 = 9;

    /// The number of a step, from 1; 0: it is another name.
    pub fn step(name: u16) -> u16 {
        if (STEP..STEP + STEPS).contains(&name) { name - STEP + 1 } else { 0 }
    }
}
/// Names that a jail may have.
pub const MOST_NAMES: usize = 64;
/// Seconds that a line's date may differ from now while the source is live, and that a last known date stays good.
const TOLERANCE: f64 = 60.0;
const SILENCE: f64 = 86_400.0;
const IDENTITIES: usize = 8192;

/// What only Python can tell. After a fault it answers anything; `failed` is asked before each line.
pub trait Host {
    fn date(&mut self, detector: usize, line: &[u8], now: f64, uses: u64, last_use: f64) -> Dated;
    fn identify(&mut self, jail: usize, groups: &[(u16, &[u8])]) -> Identity;
    fn warn(&mut self, jail: usize, warning: Warning, now: f64, line: &[u8]);
    /// When a line counts that is dated `time` and came `now`, more than a minute from it; None: not at all.
    fn judge(&mut self, jail: usize, time: f64, now: f64, zoned: bool) -> Option<f64>;
    fn exhausted(&mut self, jail: usize, kind: Kind, index: u32, text: &[u8]);
    fn page(&mut self, number: u32) -> Box<[u8; 256]>;
    fn failed(&self) -> bool;
}

#[derive(Clone, Copy, Debug)]
pub enum Warning {
    Old,
    Undated,
}

impl Warning {
    pub fn number(self) -> usize {
        match self {
            Warning::Old => 0,
            Warning::Undated => 1,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Prefix,
    Failregex,
    Ignoreregex,
}

pub struct Rule {
    /// Number of its regex in `Shared::regexes`.
    pub regex: usize,
    pub index: u32,
    /// Names of its groups: the number of each, and the group's first slot.
    pub names: Vec<(u16, u32)>,
    /// Names that take the value of another where they have none: from, to.
    pub alternatives: Vec<(u16, u16)>,
    pub helps: bool,
    pub forgets: bool,
    pub names_user: bool,
}

/// The settings of a jail.
pub struct Spec {
    pub prefix: Option<Rule>,
    pub rules: Vec<Rule>,
    pub ignores: Vec<Rule>,
    pub ignore_first: bool,
    pub detector: usize,
    pub has_sessions: bool,
    pub findtime: f64,
    pub most_lines: usize,
}

/// What all jails of a source share.
pub struct Shared {
    pub regexes: Vec<Regex>,
    pub dates: Vec<Dates>,
    pub texts: Texts,
    pub block: Block,
    pub search: Search,
    pub slots: Vec<u32>,
    #[allow(clippy::vec_box, reason = "half a kilobyte each, taken out for every line")]
    scratch: Vec<Box<Scratch>>,
}

impl Shared {
    pub fn new(regexes: Vec<Regex>, dates: Vec<Dates>) -> Shared {
        Shared {
            regexes,
            dates,
            texts: Texts::default(),
            block: Block::default(),
            search: Search::default(),
            slots: vec![],
            scratch: vec![],
        }
    }
}

/// Memory for one line.
#[derive(Default)]
struct Scratch {
    subject: Subject,
    values: Values,
    decoded: Decoded,
}

/// The groups with a value, by name: spans in the subject.
struct Values {
    mask: u64,
    spans: [Span; MOST_NAMES],
}

impl Default for Values {
    fn default() -> Values {
        Values { mask: 0, spans: [(0, 0); MOST_NAMES] }
    }
}

impl Values {
    fn get(&self, name: u16) -> Option<Span> {
        (self.mask >> name & 1 == 1).then(|| self.spans[usize::from(name)])
    }

    /// A value that is not empty.
    fn text(&self, name: u16) -> Option<Span> {
        self.get(name).filter(|span| span.1 > span.0)
    }

    fn remove(&mut self, name: u16) {
        self.mask &= !(1 << name);
    }

    /// Add the groups of a match in a subject that begins at `base`; own values come before those that are there.
    fn add(&mut self, rule: &Rule, slots: &[u32], base: u32) {
        let mut own = 0u64;
        for &(name, slot) in &rule.names {
            let (start, end) = (slots[slot as usize], slots[slot as usize + 1]);
            if start != NONE && end != NONE {
                own |= 1 << name;
                self.spans[usize::from(name)] = (base + start, base + end);
            }
        }
        let full = |own: u64, name: u16, spans: &[Span]| {
            own >> name & 1 == 1 && spans[usize::from(name)].1 > spans[usize::from(name)].0
        };
        for &(from, to) in &rule.alternatives {
            if full(own, from, &self.spans) && !full(own, to, &self.spans) {
                self.spans[usize::from(to)] = self.spans[usize::from(from)];
                own |= 1 << to;
            }
        }
        self.mask |= own;
    }

    fn each(&self) -> impl Iterator<Item = (u16, Span)> + '_ {
        let mut left = self.mask;
        std::iter::from_fn(move || {
            (left != 0).then(|| {
                let name = left.trailing_zeros();
                left &= left - 1;
                (name as u16, self.spans[name as usize])
            })
        })
    }
}

/// When and how a line was read.
#[derive(Clone, Copy)]
pub struct Reading {
    /// The time that the source knows.
    pub known: Option<f64>,
    pub now: f64,
    pub live: bool,
}

pub struct Jail {
    number: usize,
    spec: Spec,
    deferred: DeferredLines,
    sessions: Sessions,
    last: Option<f64>,
    warned: [f64; 4],
    identities: HashMap<Vec<u8>, Identity>,
}

impl Jail {
    pub fn new(number: usize, spec: Spec) -> Jail {
        Jail {
            number,
            spec,
            deferred: DeferredLines::default(),
            sessions: Sessions::default(),
            last: None,
            warned: [-SILENCE; 4],
            identities: HashMap::new(),
        }
    }

    pub fn rules(&self) -> usize {
        self.spec.rules.len()
    }

    /// The failures in a line that only these rules can match.
    pub fn feed<H: Host>(
        &mut self,
        line: &Line<'_>,
        rules: &[u32],
        reading: Reading,
        shared: &mut Shared,
        host: &mut H,
    ) {
        if !(self.spec.has_sessions && self.lay_aside(line, rules, reading)) {
            self.read(line, rules, reading, shared, host);
        }
    }

    /// Keep a line for later that can only be a helper of a session of which nothing is known.
    fn lay_aside(&mut self, line: &Line<'_>, rules: &[u32], reading: Reading) -> bool {
        let mut named = self.spec.prefix.as_ref().is_some_and(|prefix| prefix.names_user);
        let mut forgets = true;
        for &rule in rules {
            let rule = &self.spec.rules[rule as usize];
            if !rule.helps {
                return false;
            }
            named |= rule.names_user;
            forgets &= rule.forgets;
        }
        if line.codes().len() > LONGEST {
            return false;
        }
        let found: Vec<Number> = numbers(line.text()).collect();
        if found.is_empty() || found.contains(&crate::numbers::ENDLESS) || self.sessions.may_hold(&found) {
            return false;
        }
        match self.deferred.accepts(&found, named, forgets) {
            Verdict::ReadNow => false,
            Verdict::Drop => true,
            Verdict::Keep => {
                let deferred = Deferred {
                    raw: line.raw.to_vec(),
                    serial: line.serial,
                    rules: rules.to_vec(),
                    known: reading.known,
                    received: reading.now,
                    live: reading.live,
                    names_user: named,
                };
                self.deferred.keep(deferred, &found);
                true
            }
        }
    }

    fn read<H: Host>(&mut self, line: &Line<'_>, rules: &[u32], reading: Reading, shared: &mut Shared, host: &mut H) {
        let (cut, dated, undated) = self.cut(line, reading, shared, host);
        let now = reading.now;
        let time = self.time(dated, reading, host);
        if time.is_none() && dated.is_some() {
            if !reading.live {
                self.warn(Warning::Old, now, &[], host);
            }
            return;
        }
        let mut scratch = shared.scratch.pop().unwrap_or_default();
        scratch.subject.set(line, cut);
        scratch.values.mask = 0;
        shared.search.begin(line.raw.len());
        if let Some(rule) = self.hit(&mut scratch, rules, shared, host) {
            if undated {
                self.warn(Warning::Undated, now, line.text(), host);
            }
            if let Some(time) = time {
                self.read_deferred(&scratch, shared, host);
                self.count(rule, &scratch, line, time, now, shared, host);
            }
        }
        shared.scratch.push(scratch);
    }

    /// The characters that the date takes, the line's time, and whether a failure in it has no valid date.
    fn cut<H: Host>(
        &mut self,
        line: &Line<'_>,
        reading: Reading,
        shared: &mut Shared,
        host: &mut H,
    ) -> (Span, Option<f64>, bool) {
        if reading.known.is_some() {
            return ((0, 0), reading.known, false);
        }
        let (detector, now) = (self.spec.detector, reading.now);
        let ask = |uses, last_use| host.date(detector, line.raw, now, uses, last_use);
        let dates = &mut shared.dates[detector];
        let (found, start, end, time) = dates.of(line.raw, line.serial, now, ask);
        let most = line.codes().len() as u32;
        let cut = if start <= end && end <= most { (start, end) } else { (0, 0) };
        if !found {
            return ((0, 0), None, !dates.empty_counts);
        }
        match time {
            Some(time) => {
                self.last = Some(time);
                (cut, Some(time), false)
            }
            None if dates.empty_counts => {
                ((0, 0), Some(self.recent(now).filter(|&time| time != 0.0).unwrap_or(now)), false)
            }
            None => (if self.recent(now).is_none() { cut } else { (0, 0) }, None, true),
        }
    }

    fn recent(&self, now: f64) -> Option<f64> {
        self.last.filter(|&last| last > now - TOLERANCE)
    }

    /// When a line counts; None: not at all.
    fn time<H: Host>(&mut self, dated: Option<f64>, reading: Reading, host: &mut H) -> Option<f64> {
        let Reading { now, live, known, .. } = reading;
        let Some(time) = dated else {
            return self.recent(now).filter(|&time| time != 0.0).or(live.then_some(now));
        };
        if !live {
            return (time >= now - self.spec.findtime).then(|| time.min(now));
        }
        if (time - now).abs() <= TOLERANCE {
            return Some(time.min(now));
        }
        host.judge(self.number, time, now, known.is_some())
    }

    fn warn<H: Host>(&mut self, warning: Warning, now: f64, line: &[u8], host: &mut H) {
        let last = &mut self.warned[warning.number()];
        if now - *last >= SILENCE {
            *last = now;
            host.warn(self.number, warning, now, line);
        }
    }

    /// The first rule that matches, unless the line is to be ignored; its groups and the prefix's are then in `values`.
    fn hit<H: Host>(&self, scratch: &mut Scratch, rules: &[u32], shared: &mut Shared, host: &mut H) -> Option<u32> {
        let Scratch { subject, values, .. } = scratch;
        let whole = (0, subject.end());
        if self.spec.ignore_first && self.ignored(subject, whole, shared, host) {
            return None;
        }
        let mut view = whole;
        if let Some(prefix) = &self.spec.prefix {
            if !self.matches(prefix, Kind::Prefix, subject, whole, shared, host) {
                return None;
            }
            values.add(prefix, &shared.slots, 0);
            if let Some((start, end)) = values.text(names::CONTENT) {
                values.remove(names::CONTENT);
                view = if end + 1 == whole.1 { (start, whole.1) } else { subject.append((start, end)) };
            }
        }
        for &number in rules {
            let rule = &self.spec.rules[number as usize];
            if self.matches(rule, Kind::Failregex, subject, view, shared, host) {
                values.add(rule, &shared.slots, view.0);
                let asked = self.spec.ignore_first && (view == whole || subject.text(view) == subject.text(whole));
                let drop = !asked && self.ignored(subject, view, shared, host);
                return (!drop).then_some(number);
            }
        }
        None
    }

    fn ignored<H: Host>(&self, subject: &Subject, view: Span, shared: &mut Shared, host: &mut H) -> bool {
        self.spec.ignores.iter().any(|rule| self.matches(rule, Kind::Ignoreregex, subject, view, shared, host))
    }

    fn matches<H: Host>(
        &self,
        rule: &Rule,
        kind: Kind,
        subject: &Subject,
        view: Span,
        shared: &mut Shared,
        host: &mut H,
    ) -> bool {
        let regex = &mut shared.regexes[rule.regex];
        let text = &subject.codes[view.0 as usize..view.1 as usize];
        shared.slots.resize(regex.slots(), NONE);
        match regex.search(text, 0, false, &mut shared.slots, &mut shared.search) {
            Found::Yes => true,
            Found::No => false,
            Found::Exhausted => {
                host.exhausted(self.number, kind, rule.index, subject.text(view));
                false
            }
        }
    }

    /// Read now what was laid aside of the session that a hit belongs to.
    fn read_deferred<H: Host>(&mut self, scratch: &Scratch, shared: &mut Shared, host: &mut H) {
        if self.deferred.is_empty() {
            return;
        }
        let Some(key) = scratch.values.get(names::MLFID) else { return };
        let number = numbers(scratch.subject.text(key)).next();
        for deferred in self.deferred.take(number) {
            let mut own = shared.scratch.pop().unwrap_or_default();
            let ascii = deferred.raw.is_ascii();
            if !ascii {
                shared.texts.decode(&deferred.raw, &mut own.decoded, |page| host.page(page));
            }
            let decoded = (!ascii).then_some(&own.decoded);
            let line = Line { raw: &deferred.raw, decoded, serial: deferred.serial };
            let reading = Reading { known: deferred.known, now: deferred.received, live: deferred.live };
            self.read(&line, &deferred.rules, reading, shared, host);
            shared.scratch.push(own);
        }
    }

    /// A match, merged with its session if it has one, becomes a failure if somebody is named.
    #[allow(clippy::too_many_arguments)]
    fn count<H: Host>(
        &mut self,
        rule: u32,
        scratch: &Scratch,
        line: &Line<'_>,
        time: f64,
        now: f64,
        shared: &mut Shared,
        host: &mut H,
    ) {
        let (subject, values) = (&scratch.subject, &scratch.values);
        let failregex = self.spec.rules[rule as usize].index as i32;
        let text = |name: u16| values.get(name).map(|span| subject.text(span));
        let full = |name: u16| values.text(name).is_some();
        let Some(key) = text(names::MLFID) else {
            let Jail { identities, number, .. } = self;
            let who = identify(identities, *number, text, host);
            let groups = values.each().filter(|group| group.0 != names::FORGET);
            let groups = groups.map(|(name, span)| (name, subject.text(span)));
            let lines = std::iter::once(line.text()).take(self.spec.most_lines);
            add(&mut shared.block, (self.number, failregex, time), &who, groups, &[], lines);
            return;
        };
        let marks = [names::NOFAIL, names::GAINED, names::FORGET];
        let groups: Vec<(u16, &[u8])> = values
            .each()
            .filter(|&(name, _)| !marks.contains(&name) && names::step(name) == 0)
            .map(|(name, span)| (name, subject.text(span)))
            .collect();
        let event = Event {
            key,
            groups: &groups,
            user: text(names::USER),
            line: line.text(),
            gained: full(names::GAINED),
            nofail: full(names::NOFAIL),
            forget: values.get(names::FORGET).is_some(),
            step: values.each().map(|(name, _)| names::step(name)).max().unwrap_or(0),
        };
        let place = self.sessions.merge(&event, now);
        let session = self.sessions.get(place);
        if !session.nofail {
            let find = |name: u16| session.groups().find(|group| group.0 == name).map(|group| group.1);
            let who = identify(&mut self.identities, self.number, find, host);
            let lines = session.lines(self.spec.most_lines);
            add(&mut shared.block, (self.number, failregex, time), &who, session.groups(), &session.users(), lines);
            if matches!(who, Who::Nobody) {
                self.sessions.get_mut(place).pending = true;
            }
        }
        self.sessions.release(place);
    }
}

enum Who<'a> {
    /// Nobody yet.
    Nobody,
    /// An address tag captured what is no address.
    NotGenuine,
    /// An address that is its own id.
    Address(&'a [u8]),
    Known(&'a Identity),
}

/// Whom groups name. Plain IPv4 addresses are known at sight, all others are asked about once.
fn identify<'a, H: Host>(
    identities: &'a mut HashMap<Vec<u8>, Identity>,
    jail: usize,
    find: impl Fn(u16) -> Option<&'a [u8]>,
    host: &mut H,
) -> Who<'a> {
    let full = |name: u16| find(name).filter(|text| !text.is_empty());
    let asked = [names::FID, names::IP4, names::IP6, names::DNS, names::CIDR];
    let groups: [Option<&[u8]>; 5] = asked.map(full);
    let known = match groups {
        [None, None, None, None, _] => return Who::Nobody,
        [None, Some(address), _, _, None] if is_ip4(address) => return Who::Address(address),
        _ => {
            let mut key = Vec::with_capacity(64);
            for group in groups {
                let text = group.unwrap_or_default();
                key.extend_from_slice(&(text.len() as u32).to_le_bytes());
                key.extend_from_slice(text);
            }
            if identities.len() >= IDENTITIES && !identities.contains_key(&key) {
                identities.clear();
            }
            identities.entry(key).or_insert_with(|| {
                let told: Vec<(u16, &[u8])> =
                    asked.into_iter().zip(groups).filter_map(|(name, text)| text.map(|text| (name, text))).collect();
                host.identify(jail, &told)
            })
        }
    };
    match known {
        who if who.id.is_empty() && who.resolve.is_empty() => Who::Nobody,
        who if !who.genuine => Who::NotGenuine,
        who => Who::Known(who),
    }
}

/// Whether `text` is an IPv4 address as it is written canonically: four decimal numbers without leading zeros.
fn is_ip4(text: &[u8]) -> bool {
    let part = |part: &[u8]| match part {
        [b'0'..=b'9'] => true,
        [b'1'..=b'9', rest @ ..] if rest.len() <= 2 && rest.iter().all(u8::is_ascii_digit) => {
            part.iter().fold(0u32, |value, digit| value * 10 + u32::from(digit - b'0')) <= 255
        }
        _ => false,
    };
    let mut count = 0;
    text.split(|&code| code == b'.').all(|piece| {
        count += 1;
        part(piece)
    }) && count == 4
}

/// Write a failure down, if somebody is named.
fn add<'a>(
    block: &mut Block,
    (jail, failregex, time): (usize, i32, f64),
    who: &Who<'_>,
    groups: impl Iterator<Item = (u16, &'a [u8])>,
    users: &[&[u8]],
    lines: impl Iterator<Item = &'a [u8]>,
) {
    let (id, address, resolve): (&[u8], &[u8], &[u8]) = match who {
        Who::Nobody | Who::NotGenuine => return,
        Who::Address(address) => (address, address, b""),
        Who::Known(who) => (&who.id, &who.address, &who.resolve),
    };
    let id = block.put(id);
    let address = if address == block.text(id) { id } else { block.put(address) };
    let resolve = block.put(resolve);
    let begun = block.begin_row();
    for (name, text) in groups {
        block.add_field(name, text);
    }
    for user in users {
        block.add_field(USERS, user);
    }
    for line in lines {
        block.add_line(line);
    }
    let (fields, lines) = block.end_row(begun);
    block.rows.push(Row { jail: jail as u32, failregex, time, id, address, resolve, fields, lines });
}
