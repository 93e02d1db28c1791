//! Sessions: several lines of one connection (`<F-MLFID>`) merged into one failure.

use crate::jail::names;
use crate::numbers::{Number, numbers};
use crate::text::Span;
use std::collections::{HashMap, VecDeque};

const ADDRESSES: [u16; 2] = [names::IP4, names::IP6];
/// Sessions kept at most; the oldest gives way.
const LIMIT: usize = 100;
/// Seconds that a session lives from its first line.
const LIFETIME: f64 = 300.0;
/// Log lines of one session kept at most.
const LINES: usize = 100;
/// Bytes of texts that are no longer needed, from which on a session is tidied up.
const WASTE: usize = 16 << 10;

/// What is known of one connection. Texts lie in `bytes`.
#[derive(Debug, Default)]
pub struct Session {
    key: Vec<u8>,
    born: f64,
    number: Option<Number>,
    serial: u64,
    bytes: Vec<u8>,
    tidy_at: usize,
    groups: Vec<(u16, Span)>,
    helpers: VecDeque<Span>,
    lines: VecDeque<Span>,
    users: Vec<Span>,
    pub pending: bool,
    pub nofail: bool,
    gained: bool,
    open: bool,
    /// The step of the last line of an attempt; 0: none.
    step: u16,
}

impl Session {
    fn put(&mut self, text: &[u8]) -> Span {
        let at = self.bytes.len() as u32;
        self.bytes.extend_from_slice(text);
        (at, self.bytes.len() as u32)
    }

    pub fn text(&self, span: Span) -> &[u8] {
        &self.bytes[span.0 as usize..span.1 as usize]
    }

    pub fn groups(&self) -> impl Iterator<Item = (u16, &[u8])> {
        self.groups.iter().map(|&(name, span)| (name, self.text(span)))
    }

    /// The last `most` lines of the failure.
    pub fn lines(&self, most: usize) -> impl Iterator<Item = &[u8]> {
        self.lines.iter().skip(self.lines.len().saturating_sub(most)).map(|&span| self.text(span))
    }

    /// The users that were named, sorted.
    pub fn users(&self) -> Vec<&[u8]> {
        let mut users: Vec<&[u8]> = self.users.iter().map(|&span| self.text(span)).collect();
        users.sort_unstable();
        users
    }

    /// Whether a match names another address: a daemon serves one client after the other under its process number.
    fn is_of_another(&self, groups: &[(u16, &[u8])]) -> bool {
        let new = ADDRESSES.map(|name| groups.iter().find(|known| known.0 == name).map(|known| known.1));
        let old = ADDRESSES.map(|name| self.groups().find(|known| known.0 == name).map(|known| known.1));
        new != [None; 2] && old != [None; 2] && new != old
    }

    fn set(&mut self, name: u16, text: &[u8]) {
        let span = self.put(text);
        match self.groups.iter_mut().find(|known| known.0 == name) {
            Some(known) => known.1 = span,
            None => self.groups.push((name, span)),
        }
    }

    /// Throw away the texts that nothing refers to, or a busy session would grow without end.
    fn tidy(&mut self) {
        if self.bytes.len() < self.tidy_at.max(WASTE) {
            return;
        }
        let old = std::mem::take(&mut self.bytes);
        let mut bytes = Vec::new();
        let groups = self.groups.iter_mut().map(|known| &mut known.1);
        for span in groups.chain(&mut self.helpers).chain(&mut self.lines).chain(&mut self.users) {
            let at = bytes.len() as u32;
            bytes.extend_from_slice(&old[span.0 as usize..span.1 as usize]);
            *span = (at, bytes.len() as u32);
        }
        self.tidy_at = 2 * bytes.len();
        self.bytes = bytes;
    }

    fn take_line(&mut self, line: &[u8], nofail: bool, forget: bool) {
        if nofail && forget {
            return;
        }
        let span = self.put(line);
        if nofail {
            self.helpers.push_back(span);
            if self.helpers.len() > LINES {
                self.helpers.pop_front();
            }
            return;
        }
        if !self.helpers.is_empty() {
            let mut lines = std::mem::take(&mut self.helpers);
            lines.append(&mut self.lines);
            self.lines = lines;
        }
        self.lines.push_back(span);
        while self.lines.len() > LINES {
            self.lines.pop_front();
        }
    }

    fn clear(&mut self) {
        let (mut key, mut bytes, mut groups) =
            (std::mem::take(&mut self.key), std::mem::take(&mut self.bytes), std::mem::take(&mut self.groups));
        key.clear();
        bytes.clear();
        bytes.shrink_to(WASTE);
        groups.clear();
        *self = Session { key, bytes, groups, ..Session::default() };
    }
}

/// A match that belongs to a session. `groups` are those with a value, marks left out.
pub struct Event<'a> {
    pub key: &'a [u8],
    pub groups: &'a [(u16, &'a [u8])],
    pub user: Option<&'a [u8]>,
    pub line: &'a [u8],
    pub gained: bool,
    pub nofail: bool,
    pub forget: bool,
    /// Which of an attempt's lines it is, in the order in which a server writes them; 0: none.
    pub step: u16,
}

/// The open sessions of one jail. `pool` also holds those that were forgotten, to be used again.
#[derive(Debug, Default)]
pub struct Sessions {
    pool: Vec<Session>,
    free: Vec<u32>,
    open: HashMap<Vec<u8>, u32>,
    /// In the order in which they were opened, with their serial; some are closed by now.
    order: VecDeque<(u32, u64)>,
    serial: u64,
    numbers: HashMap<Option<Number>, u32>,
}

impl Sessions {
    /// Whether a line with these numbers may belong to an open session.
    pub fn may_hold(&self, numbers: &[Number]) -> bool {
        !self.numbers.is_empty()
            && (self.numbers.contains_key(&None)
                || numbers.iter().any(|&number| self.numbers.contains_key(&Some(number))))
    }

    pub fn get(&self, place: u32) -> &Session {
        &self.pool[place as usize]
    }

    pub fn get_mut(&mut self, place: u32) -> &mut Session {
        &mut self.pool[place as usize]
    }

    /// Add a match to its session. `release` it when it is no longer looked at.
    pub fn merge(&mut self, event: &Event<'_>, now: f64) -> u32 {
        let place = match self.find(event.key, now) {
            Some(place) => {
                self.update(place, event);
                place
            }
            None => self.begin(event, now),
        };
        let session = &mut self.pool[place as usize];
        if let Some(user) = event.user.filter(|user| !user.is_empty()) {
            if !session.users.iter().any(|&known| session.text(known) == user) {
                let span = session.put(user);
                session.users.push(span);
            }
        }
        let (mut nofail, mut gained) = (event.gained || event.nofail, event.gained);
        // A later step tells of the attempt that an earlier line has counted.
        nofail |= 0 < session.step && session.step < event.step;
        session.step = match event.step {
            _ if event.gained => 0,
            0 => session.step,
            step => step,
        };
        if session.pending || session.users.len() > 1 {
            (nofail, gained) = (false, false);
        }
        (session.pending, session.nofail, session.gained) = (false, nofail, gained);
        session.take_line(event.line, nofail, event.forget);
        session.tidy();
        place
    }

    fn find(&mut self, key: &[u8], now: f64) -> Option<u32> {
        let place = *self.open.get(key)?;
        if now - self.pool[place as usize].born > LIFETIME {
            self.close(place);
            self.release(place);
            return None;
        }
        Some(place)
    }

    fn begin(&mut self, event: &Event<'_>, now: f64) -> u32 {
        if !event.forget {
            self.make_room();
        }
        let place = self.free.pop().unwrap_or_else(|| {
            self.pool.push(Session::default());
            self.pool.len() as u32 - 1
        });
        let session = &mut self.pool[place as usize];
        session.clear();
        session.born = now;
        for &(name, text) in event.groups {
            session.set(name, text);
        }
        if !event.forget {
            self.serial += 1;
            session.serial = self.serial;
            session.open = true;
            session.key.extend_from_slice(event.key);
            session.number = numbers(event.key).next();
            *self.numbers.entry(session.number).or_insert(0) += 1;
            self.open.insert(event.key.to_vec(), place);
            self.order.push_back((place, self.serial));
        }
        place
    }

    fn make_room(&mut self) {
        while self.open.len() >= LIMIT {
            let Some((place, serial)) = self.order.pop_front() else { break };
            if self.is_open(place, serial) {
                self.close(place);
                self.release(place);
            }
        }
        if self.order.len() > 8 * LIMIT {
            let pool = &self.pool;
            self.order.retain(|&(place, serial)| pool[place as usize].open && pool[place as usize].serial == serial);
        }
    }

    fn is_open(&self, place: u32, serial: u64) -> bool {
        let session = &self.pool[place as usize];
        session.open && session.serial == serial
    }

    fn update(&mut self, place: u32, event: &Event<'_>) {
        let session = &mut self.pool[place as usize];
        if event.gained {
            session.pending = false;
        }
        if !(session.nofail || session.gained || session.pending) {
            session.lines.clear();
        }
        if session.is_of_another(event.groups) {
            session.users.clear();
            session.step = 0;
            session.groups.retain(|&(name, _)| !ADDRESSES.contains(&name));
        }
        for &(name, text) in event.groups {
            session.set(name, text);
        }
        if event.forget {
            self.close(place);
        }
    }

    fn close(&mut self, place: u32) {
        let session = &mut self.pool[place as usize];
        if !std::mem::replace(&mut session.open, false) {
            return;
        }
        self.open.remove(&session.key);
        if let Some(count) = self.numbers.get_mut(&session.number) {
            *count -= 1;
            if *count == 0 {
                self.numbers.remove(&session.number);
            }
        }
    }

    /// Give back a session that is not open; nobody looks at it any more.
    pub fn release(&mut self, place: u32) {
        if !self.pool[place as usize].open {
            self.free.push(place);
        }
    }
}
