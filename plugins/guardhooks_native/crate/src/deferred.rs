//! Helper lines that nobody has read yet: laid aside under the numbers in them until their session has a failure.

use crate::numbers::Number;
use std::collections::HashMap;

/// At least so many lines are kept, at most twice as many.
const KEPT: usize = 256;
/// Characters of a line that may be laid aside.
pub const LONGEST: usize = 1024;

/// A line laid aside, with what is needed to read it later.
#[derive(Clone, Debug)]
pub struct Deferred {
    pub raw: Vec<u8>,
    pub serial: u64,
    pub rules: Vec<u32>,
    pub known: Option<f64>,
    pub received: f64,
    pub live: bool,
    pub names_user: bool,
}

#[derive(Debug, Default)]
struct Generation {
    lines: Vec<Option<Deferred>>,
    /// Whether each line names its user; known even when it was handed out.
    names_user: Vec<bool>,
    /// The places of the lines with a number, and when it was first seen, as numbers are handed out in that order.
    by_number: HashMap<Number, (u64, Vec<u32>)>,
}

impl Generation {
    fn take(&mut self, places: &[u32]) -> impl Iterator<Item = Deferred> {
        places.iter().filter_map(|&place| self.lines[place as usize].take())
    }
}

#[derive(Debug, Default)]
pub struct DeferredLines {
    young: Generation,
    old: Generation,
    count: usize,
    serial: u64,
}

impl DeferredLines {
    pub fn is_empty(&self) -> bool {
        self.young.by_number.is_empty() && self.old.by_number.is_empty()
    }

    /// Whether a line with these numbers may be laid aside, and whether it must be kept.
    pub fn accepts(&self, numbers: &[Number], names_user: bool, forgets: bool) -> Verdict {
        let (mut others, mut named) = (false, false);
        for generation in [&self.old, &self.young] {
            for (_, places) in numbers.iter().filter_map(|number| generation.by_number.get(number)) {
                others = true;
                named |= places.iter().any(|&place| generation.names_user[place as usize]);
            }
        }
        match () {
            () if names_user && named => Verdict::ReadNow,
            () if forgets && !others => Verdict::Drop,
            () => Verdict::Keep,
        }
    }

    pub fn keep(&mut self, line: Deferred, numbers: &[Number]) {
        if self.count >= KEPT {
            std::mem::swap(&mut self.old, &mut self.young);
            self.young = Generation::default();
            self.count = 0;
        }
        let place = self.young.lines.len() as u32;
        self.young.names_user.push(line.names_user);
        self.young.lines.push(Some(line));
        for &number in numbers {
            self.serial += 1;
            self.young.by_number.entry(number).or_insert((self.serial, vec![])).1.push(place);
        }
        self.count += 1;
    }

    /// The lines that may belong to a session with this number in its key (None: it has none), in order.
    pub fn take(&mut self, number: Option<Number>) -> Vec<Deferred> {
        let mut taken = Vec::new();
        for generation in [&mut self.old, &mut self.young] {
            match number {
                Some(number) => {
                    if let Some((_, places)) = generation.by_number.remove(&number) {
                        taken.extend(generation.take(&places));
                    }
                }
                None => {
                    let mut whole = std::mem::take(generation);
                    let mut groups: Vec<(u64, Vec<u32>)> = whole.by_number.drain().map(|(_, group)| group).collect();
                    groups.sort_unstable();
                    for (_, places) in groups {
                        taken.extend(whole.take(&places));
                    }
                }
            }
        }
        if number.is_none() {
            self.count = 0;
        }
        taken
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Keep,
    /// The end of a session of which nothing is known.
    Drop,
    /// It may matter now, as it might name the second user of a session.
    ReadNow,
}
