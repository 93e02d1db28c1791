//! How far a regex looks: the date of a line is known already where all that was looked at is as before.

use crate::nfa::{Nfa, State};
use crate::plain::Id;
use crate::walk::holds;

/// A place whose character may be any from `low` to `high`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wild {
    pub at: usize,
    pub low: u8,
    pub high: u8,
}

/// Characters of `text` that decide how the regex matches at `begin`; None where its end is among what decides.
///
/// All texts that agree with it there, but for places of `wild`, which stay in their range, are matched alike. None too
/// if a place of `wild` makes a difference.
pub fn reach(nfa: &Nfa, text: &[u8], begin: usize, wild: &[Wild]) -> Option<usize> {
    let mut states = vec![nfa.start];
    for at in begin..text.len() {
        let mut next: Vec<Id> = Vec::new();
        let mut seen = vec![false; nfa.states.len()];
        let mut waiting = false;
        while let Some(id) = states.pop() {
            if std::mem::replace(&mut seen[id as usize], true) {
                continue;
            }
            match &nfa.states[id as usize] {
                State::Match => {}
                State::Union(ways) => states.extend(ways),
                State::Capture { next, .. } => states.push(*next),
                State::Look { kind, next } => {
                    waiting = true;
                    // Digits are words in any sense and end no line, so a wild place changes nothing here.
                    if holds(*kind, text, at, &nfa.words) {
                        states.push(*next);
                    }
                }
                State::Behind { negated, set, next } => {
                    waiting = true;
                    let codes = at.checked_sub(1).map(|before| range(text, before, wild));
                    if uniform(codes, |code| set.has(code))? != *negated {
                        states.push(*next);
                    }
                }
                State::Peek { negated, set, next } => {
                    waiting = true;
                    if uniform(Some(range(text, at, wild)), |code| set.has(code))? != *negated {
                        states.push(*next);
                    }
                }
                State::Step(ways) => {
                    waiting = true;
                    let way = |code: u8| ways.iter().find(|way| way.0.has(code)).map(|way| way.1);
                    let (low, high) = range(text, at, wild);
                    let to = way(low);
                    if (low..=high).any(|code| way(code) != to) {
                        return None;
                    }
                    next.extend(to);
                }
            }
        }
        if next.is_empty() {
            return Some(if waiting { at + 1 } else { at });
        }
        states = next;
    }
    None
}

fn range(text: &[u8], at: usize, wild: &[Wild]) -> (u8, u8) {
    wild.iter().find(|wild| wild.at == at).map_or((text[at], text[at]), |wild| (wild.low, wild.high))
}

/// What `test` says of all codes of a range (None: of no character, which is false); None where they differ.
fn uniform(codes: Option<(u8, u8)>, test: impl Fn(u8) -> bool) -> Option<bool> {
    let Some((low, high)) = codes else { return Some(false) };
    let first = test(low);
    (low..=high).all(|code| test(code) == first).then_some(first)
}
