//! The dates of lines, as Python reads them; known already where the bytes that decide are as before.

use crate::reach::Wild;
use std::collections::HashMap;

/// Lines up to this length are searched for a date in the same way, whatever stands in them.
const SHORT: usize = 1024;
const MOST_KEPT: usize = 256;

/// What Python says about the date of a line.
#[derive(Clone, Debug, Default)]
pub struct Dated {
    /// False: no date at all.
    pub found: bool,
    /// The characters that are cut out.
    pub start: u32,
    pub end: u32,
    /// None: the date is impossible, or tells no time.
    pub time: Option<f64>,
    pub keep: Option<Keep>,
}

/// What is needed to know the date of other lines without asking.
#[derive(Clone, Debug)]
pub struct Keep {
    /// Python's search for dates goes on in the same way as long as this stays the same.
    pub state: u64,
    /// Bytes that decide, apart from those of `wild`.
    pub reach: usize,
    pub wild: Vec<Wild>,
    /// Place of two digits of seconds in `wild`; then `time` lies so many seconds behind that of the minute.
    pub seconds: Option<usize>,
    /// Epoch seconds between which the answer holds.
    pub since: f64,
    pub until: f64,
    /// It holds for long lines too.
    pub long: bool,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    start: u32,
    end: u32,
    base: f64,
    since: f64,
    until: f64,
}

#[derive(Debug)]
struct Layout {
    keep: Keep,
    known: HashMap<Vec<u8>, Known>,
    current: Vec<u8>,
    hit: Known,
}

/// One detector of Python's, which several jails may share.
#[derive(Debug, Default)]
pub struct Dates {
    /// Every line has the empty date: the detector looks for none.
    pub none: bool,
    /// A line without a date counts as of now (`{NONE}` is among the patterns).
    pub empty_counts: bool,
    layout: Option<Box<Layout>>,
    scratch: Vec<u8>,
    serial: u64,
    dated: Dated,
    /// Lines known without asking since somebody last asked, and when the last one was.
    pub uses: u64,
    pub last_use: f64,
}

impl Dates {
    pub fn new(none: bool, empty_counts: bool) -> Dates {
        Dates { none, empty_counts, ..Dates::default() }
    }

    /// The date of a line; `ask(uses, last_use)` asks Python, who is told of the lines that it was not asked about.
    pub fn of(
        &mut self,
        raw: &[u8],
        serial: u64,
        now: f64,
        ask: impl FnOnce(u64, f64) -> Dated,
    ) -> (bool, u32, u32, Option<f64>) {
        if self.none {
            return (true, 0, 0, None);
        }
        if self.serial != serial {
            self.serial = serial;
            match self.known(raw, now) {
                Some((known, time)) => {
                    self.uses += 1;
                    self.last_use = now;
                    self.dated =
                        Dated { found: true, start: known.start, end: known.end, time: Some(time), keep: None };
                }
                None => {
                    self.dated = ask(std::mem::take(&mut self.uses), self.last_use);
                    self.learn(raw);
                }
            }
        }
        let dated = &self.dated;
        (dated.found, dated.start, dated.end, dated.time)
    }

    fn known(&mut self, raw: &[u8], now: f64) -> Option<(Known, f64)> {
        let layout = self.layout.as_deref_mut()?;
        let keep = &layout.keep;
        if raw.len() < keep.reach || (raw.len() > SHORT && !keep.long) {
            return None;
        }
        let head = &raw[..keep.reach];
        if !keep.wild.iter().all(|wild| (wild.low..=wild.high).contains(&head[wild.at])) {
            return None;
        }
        self.scratch.clear();
        self.scratch.extend_from_slice(head);
        for wild in &keep.wild {
            self.scratch[wild.at] = 0;
        }
        if self.scratch != layout.current {
            layout.hit = *layout.known.get(&self.scratch)?;
            layout.current.clone_from(&self.scratch);
        }
        let hit = layout.hit;
        (hit.since <= now && now < hit.until).then(|| (hit, hit.base + seconds(head, keep.seconds)))
    }

    fn learn(&mut self, raw: &[u8]) {
        let (Some(keep), Some(time)) = (self.dated.keep.take(), self.dated.time) else {
            self.layout = None; // the detector may have changed its mind
            return;
        };
        let fits = keep.reach <= raw.len() && keep.wild.iter().all(|wild| wild.at < keep.reach);
        let fits = fits && keep.seconds.is_none_or(|at| at + 2 <= keep.reach);
        if !fits {
            self.layout = None;
            return;
        }
        let head = &raw[..keep.reach];
        let known = Known {
            start: self.dated.start,
            end: self.dated.end,
            base: time - seconds(head, keep.seconds),
            since: keep.since,
            until: keep.until,
        };
        let mut key = head.to_vec();
        for wild in &keep.wild {
            key[wild.at] = 0;
        }
        let same = self.layout.as_deref().is_some_and(|layout| {
            let old = &layout.keep;
            (old.state, old.reach, old.long, old.seconds) == (keep.state, keep.reach, keep.long, keep.seconds)
                && old.wild == keep.wild
        });
        if !same {
            let layout = Layout { keep, known: HashMap::new(), current: vec![], hit: known };
            self.layout = Some(Box::new(layout));
        }
        if let Some(layout) = self.layout.as_deref_mut() {
            if layout.known.len() >= MOST_KEPT {
                layout.known.clear();
            }
            layout.known.insert(key.clone(), known);
            layout.current = key;
            layout.hit = known;
        }
    }
}

fn seconds(head: &[u8], at: Option<usize>) -> f64 {
    at.map_or(0.0, |at| f64::from(head[at] & 15) * 10.0 + f64::from(head[at + 1] & 15))
}
