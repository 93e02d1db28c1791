//! All jails of one source: blocks of lines in, columns of failures out.

use crate::block::Block;
use crate::jail::{Host, Jail, Reading, Shared, Spec};
use crate::scan::Scan;
use crate::text::{Decoded, Line};

pub struct Matcher {
    scan: Scan,
    /// For each rule of the scan: its jail, and its place there.
    rules: Vec<(u32, u32)>,
    jails: Vec<Jail>,
    shared: Shared,
    decoded: Decoded,
    serial: u64,
}

/// Lines of one origin, and when they were read.
pub struct Chunk<'a> {
    pub data: &'a [u8],
    pub received: f64,
    pub live: bool,
    /// The time of each line, where the source knows it.
    pub times: Option<&'a [f64]>,
}

impl Matcher {
    pub fn new(scan: Scan, specs: Vec<Spec>, shared: Shared) -> Result<Matcher, String> {
        let rule = |rule: &crate::jail::Rule| {
            shared.regexes.get(rule.regex).is_some_and(|regex| {
                let slots = regex.slots() as u32;
                rule.names.iter().all(|&(name, slot)| usize::from(name) < crate::jail::MOST_NAMES && slot + 1 < slots)
            }) && rule.alternatives.iter().all(|&(one, two)| usize::from(one.max(two)) < crate::jail::MOST_NAMES)
        };
        let spec = |spec: &Spec| {
            spec.detector < shared.dates.len() && spec.prefix.iter().chain(&spec.rules).chain(&spec.ignores).all(rule)
        };
        if !specs.iter().all(spec) {
            return Err("a damaged jail: it names what is not there".into());
        }
        let jails: Vec<Jail> = specs.into_iter().enumerate().map(|(number, spec)| Jail::new(number, spec)).collect();
        let rules: Vec<(u32, u32)> = jails
            .iter()
            .enumerate()
            .flat_map(|(jail, spec)| (0..spec.rules() as u32).map(move |place| (jail as u32, place)))
            .collect();
        if rules.len() != scan.rules() {
            return Err("a damaged scan: not as many rules as the jails have".into());
        }
        Ok(Matcher { scan, rules, jails, shared, decoded: Decoded::default(), serial: 0 })
    }

    /// The failures in a chunk. Stops early where the host has failed.
    pub fn feed<H: Host>(&mut self, chunk: &Chunk<'_>, host: &mut H) -> Block {
        let Matcher { scan, rules, jails, shared, decoded, serial } = self;
        let data = chunk.data;
        let (mut wanted, mut own) = (Vec::new(), Vec::new());
        let (mut number, mut counted) = (0, 0);
        for (start, end) in scan.lines(data) {
            scan.rules_of(data, start..end, &mut wanted);
            if wanted.is_empty() {
                continue;
            }
            if host.failed() {
                break;
            }
            let known = chunk.times.and_then(|times| {
                number += memchr::memchr_iter(b'\n', &data[counted..start]).count();
                counted = start;
                times.get(number).copied()
            });
            *serial += 1;
            let raw = trimmed(&data[start..end]);
            let ascii = raw.is_ascii();
            if !ascii {
                shared.texts.decode(raw, decoded, |page| host.page(page));
            }
            let line = Line { raw, decoded: (!ascii).then_some(&*decoded), serial: *serial };
            let reading = Reading { known, now: chunk.received, live: chunk.live };
            for group in wanted.chunk_by(|one, two| rules[*one as usize].0 == rules[*two as usize].0) {
                own.clear();
                own.extend(group.iter().map(|&rule| rules[rule as usize].1));
                let jail = rules[group[0] as usize].0;
                jails[jail as usize].feed(&line, &own, reading, shared, host);
            }
        }
        std::mem::take(&mut shared.block)
    }

    /// Steps of the regex engines since somebody last asked.
    pub fn steps(&mut self) -> u64 {
        std::mem::take(&mut self.shared.search.taken)
    }
}

/// Without carriage returns at its end.
fn trimmed(line: &[u8]) -> &[u8] {
    let end = line.iter().rposition(|&code| code != b'\r').map_or(0, |place| place + 1);
    &line[..end]
}
