//! The engine for texts that would keep the walk too long: two passes, whose time grows with the text and no faster.
//!
//! Backwards, a lazily built automaton tells at each place from which states a match can still be reached. Forwards, a
//! walk takes the preferred way among those, and never has to turn back. Same answer as `walk.rs`, captures included.

use crate::charset::Set;
use crate::nfa::{Nfa, State, is_ascii_word};
use crate::plain::{Id, Look};
use crate::walk::{Found, NONE, holds};
use std::collections::HashMap;

/// Bytes of automaton that one regex may keep; a text that needs more is given up.
const MOST_MEMORY: usize = 4 << 20;
const UNKNOWN: u32 = u32::MAX;

#[derive(Debug)]
pub struct Linear {
    order: Vec<Id>,
    /// Classes of the character before a place, as far as looks ask for them; the last one stands for the begin.
    before_of: Box<[u8; 256]>,
    befores: usize,
    before_sample: Vec<Option<u8>>,
    class_sample: Vec<u8>,
    words: usize,
    /// For each known set of states: a bit for each state, and whether it stands at the end of a text.
    sets: Vec<Box<[u64]>>,
    at_end: Vec<bool>,
    known: HashMap<(Box<[u64]>, bool), u32>,
    table: Vec<u32>,
    ends: Vec<u32>,
    places: Vec<u32>,
}

impl Linear {
    pub fn new(nfa: &Nfa) -> Linear {
        let (before_of, before_sample) = befores(nfa);
        let mut class_sample = vec![0; nfa.classes];
        for code in (0..=255u8).rev() {
            class_sample[usize::from(nfa.class_of[usize::from(code)])] = code;
        }
        let befores = before_sample.len();
        Linear {
            order: nfa.order().unwrap_or_default(),
            before_of,
            befores,
            before_sample,
            class_sample,
            words: nfa.states.len().div_ceil(64),
            sets: vec![],
            at_end: vec![],
            known: HashMap::new(),
            table: vec![],
            ends: vec![UNKNOWN; befores],
            places: vec![],
        }
    }

    /// As `Walk::search`. `steps` are charged one for each character and one for each state of a new set.
    pub fn search(
        &mut self,
        nfa: &Nfa,
        text: &[u8],
        from: usize,
        here: bool,
        slots: &mut [u32],
        steps: &mut u32,
    ) -> Found {
        slots.fill(NONE);
        if !self.backwards(nfa, text, from, steps) {
            return Found::Exhausted;
        }
        let last = if here || nfa.anchored { from } else { text.len() };
        let (word, bit) = place_of(nfa.start);
        let begin = (from..=last).find(|&at| self.sets[self.places[at - from] as usize][word] >> bit & 1 == 1);
        match begin {
            None => Found::No,
            Some(begin) if self.forwards(nfa, text, from, begin, slots, steps) => Found::Yes,
            Some(_) => Found::Exhausted,
        }
    }

    fn before(&self, text: &[u8], at: usize) -> usize {
        if at == 0 { self.befores - 1 } else { usize::from(self.before_of[usize::from(text[at - 1])]) }
    }

    /// Fills `places` for each place from `from` to the end.
    fn backwards(&mut self, nfa: &Nfa, text: &[u8], from: usize, steps: &mut u32) -> bool {
        let length = text.len() - from;
        self.places.clear();
        self.places.resize(length + 1, UNKNOWN);
        let before = self.before(text, text.len());
        if self.ends[before] == UNKNOWN {
            let set = self.reachable(nfa, None, None, before);
            self.ends[before] = self.intern(set, true);
        }
        let mut here = self.ends[before];
        self.places[length] = here;
        for at in (from..text.len()).rev() {
            let class = usize::from(nfa.class_of[usize::from(text[at])]);
            let before = self.before(text, at);
            let entry = (here as usize * nfa.classes + class) * self.befores + before;
            let mut next = self.table[entry];
            if next == UNKNOWN {
                let cost = nfa.states.len() as u32;
                if *steps < cost || self.memory() > MOST_MEMORY {
                    return false;
                }
                *steps -= cost;
                let set = self.reachable(nfa, Some(here), Some(class), before);
                next = self.intern(set, false);
                self.table[entry] = next;
            }
            if *steps == 0 {
                return false;
            }
            *steps -= 1;
            here = next;
            self.places[at - from] = here;
        }
        true
    }

    fn memory(&self) -> usize {
        self.sets.len() * self.words * 16 + self.table.len() * 4
    }

    fn intern(&mut self, set: Box<[u64]>, end: bool) -> u32 {
        if let Some(&known) = self.known.get(&(set.clone(), end)) {
            return known;
        }
        let number = self.sets.len() as u32;
        self.sets.push(set.clone());
        self.at_end.push(end);
        self.known.insert((set, end), number);
        self.table.resize(self.table.len() + self.class_sample.len() * self.befores, UNKNOWN);
        number
    }

    /// The states from which a match can be reached at a place, given those at the next one.
    fn reachable(&self, nfa: &Nfa, after: Option<u32>, class: Option<usize>, before: usize) -> Box<[u64]> {
        let mut set = vec![0u64; self.words].into_boxed_slice();
        let code = class.map(|class| self.class_sample[class]);
        let last = code.is_some() && after.is_some_and(|after| self.at_end[after as usize]);
        let previous = self.before_sample[before];
        for &id in &self.order {
            let in_set = |id: Id| {
                let (word, bit) = place_of(id);
                set[word] >> bit & 1 == 1
            };
            let reaches = match &nfa.states[id as usize] {
                State::Match => true,
                State::Step(ways) => code.zip(after).is_some_and(|(code, after)| {
                    ways.iter().find(|way| way.0.has(code)).is_some_and(|way| {
                        let (word, bit) = place_of(way.1);
                        self.sets[after as usize][word] >> bit & 1 == 1
                    })
                }),
                State::Union(ways) => ways.iter().any(|&way| in_set(way)),
                State::Capture { next, .. } => in_set(*next),
                State::Look { kind, next } => in_set(*next) && holds_between(*kind, previous, code, last, &nfa.words),
                State::Behind { negated, set, next } => {
                    in_set(*next) && previous.is_some_and(|code| set.has(code)) != *negated
                }
                State::Peek { negated, set, next } => {
                    in_set(*next) && code.is_some_and(|code| set.has(code)) != *negated
                }
            };
            if reaches {
                let (word, bit) = place_of(id);
                set[word] |= 1 << bit;
            }
        }
        set
    }

    fn forwards(&self, nfa: &Nfa, text: &[u8], from: usize, begin: usize, slots: &mut [u32], steps: &mut u32) -> bool {
        let (mut id, mut at) = (nfa.start, begin);
        loop {
            if *steps == 0 {
                return false;
            }
            *steps -= 1;
            let reaches = |id: Id| {
                let (word, bit) = place_of(id);
                self.sets[self.places[at - from] as usize][word] >> bit & 1 == 1
            };
            match &nfa.states[id as usize] {
                State::Match => return true,
                State::Step(ways) => match text.get(at).and_then(|&code| ways.iter().find(|way| way.0.has(code))) {
                    Some(way) => (id, at) = (way.1, at + 1),
                    None => return false,
                },
                State::Union(ways) => match ways.iter().find(|&&way| reaches(way)) {
                    Some(&way) => id = way,
                    None => return false,
                },
                State::Capture { slot, next } => {
                    slots[*slot as usize] = at as u32;
                    id = *next;
                }
                State::Look { kind, next } => {
                    debug_assert!(holds(*kind, text, at, &nfa.words));
                    id = *next;
                }
                State::Behind { next, .. } | State::Peek { next, .. } => id = *next,
            }
        }
    }
}

fn place_of(id: Id) -> (usize, u32) {
    ((id / 64) as usize, id % 64)
}

/// Classes of characters that no look back tells apart, with one of each; the last stands for "there is none".
fn befores(nfa: &Nfa) -> (Box<[u8; 256]>, Vec<Option<u8>>) {
    let mut sets: Vec<Set> = Vec::new();
    for state in &nfa.states {
        let set = match state {
            State::Behind { set, .. } => *set,
            State::Look { kind: Look::Boundary | Look::NoBoundary, .. } => nfa.words,
            State::Look { kind: Look::AsciiBoundary | Look::NoAsciiBoundary, .. } => {
                Set::of((0..128u8).filter(|&code| is_ascii_word(code)))
            }
            _ => continue,
        };
        if !sets.contains(&set) {
            sets.push(set);
        }
    }
    let mut known: HashMap<Vec<bool>, u8> = HashMap::new();
    let (mut before_of, mut sample) = (Box::new([0; 256]), Vec::new());
    for code in 0..=255u8 {
        let key = sets.iter().map(|set| set.has(code)).collect();
        before_of[usize::from(code)] = *known.entry(key).or_insert_with(|| {
            sample.push(Some(code));
            (sample.len() - 1) as u8
        });
    }
    sample.push(None);
    (before_of, sample)
}

/// `holds` between two characters; `last`: nothing stands behind the second.
fn holds_between(kind: Look, before: Option<u8>, behind: Option<u8>, last: bool, words: &Set) -> bool {
    let (ascii, wanted) = match kind {
        Look::Start => return before.is_none(),
        Look::LineEnd => return behind.is_none() || (last && behind == Some(b'\n')),
        Look::End => return behind.is_none(),
        Look::Boundary => (false, true),
        Look::NoBoundary => (false, false),
        Look::AsciiBoundary => (true, true),
        Look::NoAsciiBoundary => (true, false),
    };
    let word = |code: u8| if ascii { is_ascii_word(code) } else { words.has(code) };
    (before.is_some_and(word) != behind.is_some_and(word)) == wanted
}
