//! Which lines of a block can match which rules: literals first, as `ripgrep` does, then the words around them.
//!
//! The answer may hold too much, never too little.

use aho_corasick::{AhoCorasick, AhoCorasickKind, Input, MatchKind, packed};
use memchr::memmem::Finder;

/// What a line must hold.
pub enum Factor {
    /// Nothing that can be looked for.
    Unknown,
    Word(Box<Finder<'static>>),
    /// All, in this order.
    All(Vec<Factor>),
    Any(Vec<Factor>),
}

impl Factor {
    /// Reads pairs of a kind and an argument, outer factors first.
    pub fn decode(code: &mut impl Iterator<Item = (u8, u32)>, words: &[Vec<u8>]) -> Result<Factor, String> {
        let (kind, value) = code.next().ok_or("a damaged factor: it ends too early")?;
        let mut parts = || (0..value).map(|_| Factor::decode(code, words)).collect::<Result<Vec<_>, _>>();
        Ok(match kind {
            0 => {
                let word = words.get(value as usize).ok_or("a damaged factor: no such word")?;
                Factor::Word(Box::new(Finder::new(word).into_owned()))
            }
            1 => Factor::All(parts()?),
            2 => Factor::Any(parts()?),
            _ => Factor::Unknown,
        })
    }

    /// Where the factor ends at the earliest if it begins at `from` or later.
    fn end(&self, line: &[u8], from: usize) -> Option<usize> {
        match self {
            Factor::Unknown => Some(from),
            Factor::Word(word) => word.find(&line[from..]).map(|at| from + at + word.needle().len()),
            Factor::All(parts) => parts.iter().try_fold(from, |from, part| part.end(line, from)),
            Factor::Any(parts) => parts.iter().filter_map(|part| part.end(line, from)).min(),
        }
    }
}

enum Engine {
    Nothing,
    Teddy(Box<packed::Searcher>),
    Automaton(AhoCorasick),
}

/// Needles of which each has the rules that want to see a line with it.
struct Needles {
    engine: Engine,
    targets: Vec<Vec<u32>>,
    /// Needles that a needle begins with, itself included: they are there whenever it is.
    begins_with: Vec<Vec<u32>>,
}

impl Needles {
    fn new(needles: Vec<(Vec<u8>, Vec<u32>)>, folded: bool) -> Result<Needles, String> {
        let texts: Vec<&[u8]> = needles.iter().map(|needle| &needle.0[..]).collect();
        let begins_with = texts
            .iter()
            .map(|text| (0..texts.len() as u32).filter(|&other| text.starts_with(texts[other as usize])).collect())
            .collect();
        let engine = engine(&texts, folded)?;
        Ok(Needles { engine, begins_with, targets: needles.into_iter().map(|needle| needle.1).collect() })
    }

    /// Where the first needle from `from` on begins and ends.
    fn first(&self, data: &[u8], from: usize) -> Option<(usize, usize)> {
        let found = match &self.engine {
            Engine::Nothing => None,
            Engine::Teddy(teddy) => teddy.find_in(data, (from..data.len()).into()),
            Engine::Automaton(automaton) => automaton.find(Input::new(data).span(from..data.len())),
        };
        found.map(|found| (found.start(), found.end()))
    }

    /// Each needle in a line.
    fn each(&self, data: &[u8], line: std::ops::Range<usize>, mut seen: impl FnMut(&[u32])) {
        match &self.engine {
            Engine::Nothing => {}
            Engine::Teddy(teddy) => {
                let mut from = line.start;
                while let Some(found) = teddy.find_in(data, (from..line.end).into()) {
                    for &needle in &self.begins_with[found.pattern().as_usize()] {
                        seen(&self.targets[needle as usize]);
                    }
                    from = found.start() + 1;
                }
            }
            Engine::Automaton(automaton) => {
                for found in automaton.find_overlapping_iter(Input::new(data).span(line)) {
                    seen(&self.targets[found.pattern().as_usize()]);
                }
            }
        }
    }
}

fn engine(texts: &[&[u8]], folded: bool) -> Result<Engine, String> {
    if texts.is_empty() {
        return Ok(Engine::Nothing);
    }
    if !folded {
        let mut teddy = packed::Config::new().match_kind(packed::MatchKind::LeftmostLongest).builder();
        if let Some(teddy) = teddy.extend(texts).build() {
            return Ok(Engine::Teddy(Box::new(teddy)));
        }
    }
    let total: usize = texts.iter().map(|text| text.len()).sum();
    let kind = if total < 4096 { AhoCorasickKind::DFA } else { AhoCorasickKind::ContiguousNFA };
    AhoCorasick::builder()
        .ascii_case_insensitive(folded)
        .match_kind(MatchKind::Standard)
        .kind(Some(kind))
        .build(texts)
        .map(Engine::Automaton)
        .map_err(|fault| fault.to_string())
}

/// All rules of a source.
pub struct Scan {
    exact: Needles,
    folded: Needles,
    factors: Vec<Factor>,
    /// Rules that want to see every line.
    always: Vec<u32>,
}

/// A needle: its bytes, whether in any case, and the rules that want to see a line with it.
pub type Needle = (Vec<u8>, bool, Vec<u32>);

impl Scan {
    /// `factors` stand beside the rules.
    pub fn new(needles: Vec<Needle>, factors: Vec<Factor>, always: Vec<u32>) -> Result<Scan, String> {
        let known = |rule: &u32| (*rule as usize) < factors.len();
        if !always.iter().chain(needles.iter().flat_map(|needle| &needle.2)).all(known) {
            return Err("a damaged scan: no such rule".into());
        }
        if needles.iter().any(|needle| needle.0.is_empty() || needle.0.contains(&b'\n')) {
            return Err("a damaged scan: an empty needle".into());
        }
        let split = |wanted: bool| {
            let chosen = needles.iter().filter(|needle| needle.1 == wanted);
            chosen.map(|needle| (needle.0.clone(), needle.2.clone())).collect::<Vec<_>>()
        };
        let (exact, folded) = (Needles::new(split(false), false)?, Needles::new(split(true), true)?);
        Ok(Scan { exact, folded, factors, always })
    }

    pub fn rules(&self) -> usize {
        self.factors.len()
    }

    pub fn lines<'a>(&'a self, data: &'a [u8]) -> Lines<'a> {
        Lines { scan: self, data, from: 0, exact: Next::Unknown, folded: Next::Unknown }
    }

    /// The rules that a line can match, in order.
    pub fn rules_of(&self, data: &[u8], line: std::ops::Range<usize>, rules: &mut Vec<u32>) {
        rules.clear();
        for needles in [&self.exact, &self.folded] {
            needles.each(data, line.clone(), |targets| {
                for &rule in targets {
                    if !rules.contains(&rule) {
                        rules.push(rule);
                    }
                }
            });
        }
        let text = &data[line];
        rules.retain(|&rule| self.factors[rule as usize].end(text, 0).is_some());
        rules.extend(&self.always);
        rules.sort_unstable();
    }
}

#[derive(Clone, Copy)]
enum Next {
    Unknown,
    At(usize, usize),
    Never,
}

/// The lines of a block that somebody may want to see: where each begins and ends, without its newline.
pub struct Lines<'a> {
    scan: &'a Scan,
    data: &'a [u8],
    from: usize,
    exact: Next,
    folded: Next,
}

impl Lines<'_> {
    fn next_needle(&mut self) -> Option<(usize, usize)> {
        let mut best: Option<(usize, usize)> = None;
        for (needles, next) in [(&self.scan.exact, &mut self.exact), (&self.scan.folded, &mut self.folded)] {
            let stale = match *next {
                Next::Unknown => true,
                Next::At(at, _) => at < self.from,
                Next::Never => false,
            };
            if stale {
                *next = needles.first(self.data, self.from).map_or(Next::Never, |(at, end)| Next::At(at, end));
            }
            if let Next::At(at, end) = *next {
                if best.is_none_or(|best| at < best.0) {
                    best = Some((at, end));
                }
            }
        }
        best
    }
}

impl Iterator for Lines<'_> {
    type Item = (usize, usize);

    fn next(&mut self) -> Option<(usize, usize)> {
        let data = self.data;
        if self.from >= data.len() {
            return None;
        }
        let (start, search) = if self.scan.always.is_empty() {
            let (at, end) = self.next_needle()?;
            (memchr::memrchr(b'\n', &data[self.from..at]).map_or(self.from, |place| self.from + place + 1), end)
        } else {
            (self.from, self.from)
        };
        let end = memchr::memchr(b'\n', &data[search..]).map_or(data.len(), |place| search + place);
        self.from = end + 1;
        Some((start, end))
    }
}
