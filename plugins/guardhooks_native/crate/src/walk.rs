//! The fast engine: walks the NFA with backtracking, skips choices that the next character rules out, counts its steps.
//!
//! Out of steps it says so, and `linear.rs` gives the same answer in time that grows with the text.

use crate::charset::Set;
use crate::nfa::{Nfa, State, is_ascii_word};
use crate::plain::{Id, Look};
use std::collections::HashMap;

pub const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    Yes,
    No,
    /// The steps did not suffice.
    Exhausted,
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Text {
        at: u32,
        len: u32,
        next: u32,
    },
    One {
        set: u32,
        next: u32,
    },
    Table {
        at: u32,
        len: u32,
    },
    /// A loop over one set; `follow` is what can stand behind it.
    Run {
        set: u32,
        out: u32,
        follow: u32,
        lazy: bool,
    },
    Split {
        first: u32,
        second: u32,
        first_begins: u32,
        second_begins: u32,
    },
    Capture {
        slot: u32,
        next: u32,
    },
    Look {
        kind: Look,
        next: u32,
    },
    Behind {
        negated: bool,
        set: u32,
        next: u32,
    },
    Peek {
        negated: bool,
        set: u32,
        next: u32,
    },
    Match,
    Fail,
}

#[derive(Clone, Copy, Debug)]
enum Back {
    To { op: u32, at: u32 },
    Slot { slot: u32, value: u32 },
    Greedy { op: u32, least: u32, at: u32 },
    Lazy { op: u32, at: u32 },
}

/// Stands for "anything, or nothing at all" where a set of first characters is named.
const ANY: u32 = 0;

#[derive(Debug)]
pub struct Walk {
    ops: Vec<Op>,
    sets: Vec<Set>,
    texts: Vec<u8>,
    table: Vec<(u32, u32)>,
    start: u32,
    anchored: bool,
    words: Set,
    begins: u32,
}

impl Walk {
    pub fn new(nfa: &Nfa) -> Walk {
        Compiler::new(nfa).finish()
    }

    /// The leftmost match at `from` or later, or, with `here`, at `from` itself; slots that did not match are NONE.
    #[allow(clippy::too_many_arguments)]
    pub fn search(
        &self,
        text: &[u8],
        from: usize,
        here: bool,
        slots: &mut [u32],
        stack: &mut Stack,
        steps: &mut u32,
    ) -> Found {
        let here = here || self.anchored;
        let begins = &self.sets[self.begins as usize];
        let mut at = from;
        loop {
            if self.begins != ANY {
                while at < text.len() && !begins.has(text[at]) {
                    if here {
                        return Found::No;
                    }
                    at += 1;
                }
                if at >= text.len() {
                    return Found::No;
                }
            }
            match self.run(text, at, slots, &mut stack.0, steps) {
                Found::No => {}
                found => return found,
            }
            if here || at >= text.len() {
                return Found::No;
            }
            if *steps == 0 {
                return Found::Exhausted;
            }
            *steps -= 1;
            at += 1;
        }
    }

    fn run(&self, text: &[u8], at: usize, slots: &mut [u32], stack: &mut Vec<Back>, steps: &mut u32) -> Found {
        macro_rules! spend {
            ($count:expr) => {
                let count = ($count) as u32;
                if *steps < count {
                    return Found::Exhausted;
                }
                *steps -= count;
            };
        }
        let (ops, sets) = (&self.ops[..], &self.sets[..]);
        let (mut op, mut pos) = (self.start as usize, at);
        stack.clear();
        slots.fill(NONE);
        'forward: loop {
            match ops[op] {
                Op::Text { at, len, next } => {
                    let wanted = &self.texts[at as usize..(at + len) as usize];
                    if text[pos..].starts_with(wanted) {
                        pos += wanted.len();
                        op = next as usize;
                        continue 'forward;
                    }
                }
                Op::One { set, next } => {
                    if pos < text.len() && sets[set as usize].has(text[pos]) {
                        pos += 1;
                        op = next as usize;
                        continue 'forward;
                    }
                }
                Op::Table { at, len } => {
                    if pos < text.len() {
                        let ways = &self.table[at as usize..(at + len) as usize];
                        if let Some(way) = ways.iter().find(|way| sets[way.0 as usize].has(text[pos])) {
                            pos += 1;
                            op = way.1 as usize;
                            continue 'forward;
                        }
                    }
                }
                Op::Run { set, out, follow, lazy } => {
                    let body = &sets[set as usize];
                    let reached = if lazy {
                        let reached = next_stop(text, pos, body, follow, sets);
                        spend!((reached.unwrap_or(text.len()) - pos) >> 3);
                        reached.inspect(|&reached| {
                            if reached < text.len() && body.has(text[reached]) {
                                stack.push(Back::Lazy { op: op as u32, at: reached as u32 });
                            }
                        })
                    } else {
                        let most =
                            pos + text[pos..].iter().position(|&code| !body.has(code)).unwrap_or(text.len() - pos);
                        spend!((most - pos) >> 3);
                        let reached = last_stop(text, pos, most, follow, sets);
                        spend!((most - reached.unwrap_or(pos)) >> 3);
                        reached.inspect(|&reached| {
                            if reached > pos {
                                stack.push(Back::Greedy { op: op as u32, least: pos as u32, at: reached as u32 });
                            }
                        })
                    };
                    if let Some(reached) = reached {
                        pos = reached;
                        op = out as usize;
                        continue 'forward;
                    }
                }
                Op::Split { first, second, first_begins, second_begins } => {
                    spend!(1);
                    let (one, two) = match text.get(pos) {
                        Some(&code) => (sets[first_begins as usize].has(code), sets[second_begins as usize].has(code)),
                        None => (first_begins == ANY, second_begins == ANY),
                    };
                    if one || two {
                        if one && two {
                            stack.push(Back::To { op: second, at: pos as u32 });
                        }
                        op = if one { first } else { second } as usize;
                        continue 'forward;
                    }
                }
                Op::Capture { slot, next } => {
                    if !stack.is_empty() {
                        stack.push(Back::Slot { slot, value: slots[slot as usize] });
                    }
                    slots[slot as usize] = pos as u32;
                    op = next as usize;
                    continue 'forward;
                }
                Op::Look { kind, next } => {
                    if holds(kind, text, pos, &self.words) {
                        op = next as usize;
                        continue 'forward;
                    }
                }
                Op::Behind { negated, set, next } => {
                    if (pos > 0 && sets[set as usize].has(text[pos - 1])) != negated {
                        op = next as usize;
                        continue 'forward;
                    }
                }
                Op::Peek { negated, set, next } => {
                    if (pos < text.len() && sets[set as usize].has(text[pos])) != negated {
                        op = next as usize;
                        continue 'forward;
                    }
                }
                Op::Match => return Found::Yes,
                Op::Fail => {}
            }
            loop {
                spend!(1);
                match stack.pop() {
                    None => return Found::No,
                    Some(Back::Slot { slot, value }) => slots[slot as usize] = value,
                    Some(Back::To { op: to, at }) => {
                        (op, pos) = (to as usize, at as usize);
                        continue 'forward;
                    }
                    Some(Back::Greedy { op: run, least, at }) => {
                        let Op::Run { out, follow, .. } = ops[run as usize] else { return Found::Exhausted };
                        let (least, most) = (least as usize, at as usize - 1);
                        let reached = last_stop(text, least, most, follow, sets);
                        spend!((most - reached.unwrap_or(least)) >> 3);
                        if let Some(reached) = reached {
                            if reached > least {
                                stack.push(Back::Greedy { op: run, least: least as u32, at: reached as u32 });
                            }
                            (op, pos) = (out as usize, reached);
                            continue 'forward;
                        }
                    }
                    Some(Back::Lazy { op: run, at }) => {
                        let Op::Run { set, out, follow, .. } = ops[run as usize] else { return Found::Exhausted };
                        let body = &sets[set as usize];
                        let from = at as usize + 1;
                        let reached = next_stop(text, from, body, follow, sets);
                        spend!((reached.unwrap_or(text.len()) - from) >> 3);
                        if let Some(reached) = reached {
                            if reached < text.len() && body.has(text[reached]) {
                                stack.push(Back::Lazy { op: run, at: reached as u32 });
                            }
                            (op, pos) = (out as usize, reached);
                            continue 'forward;
                        }
                    }
                }
            }
        }
    }
}

/// Memory of choices, kept between searches.
#[derive(Debug, Default)]
pub struct Stack(Vec<Back>);

/// The first place from `from` on, at most one run of `body` later, where what follows can begin.
#[inline(always)]
fn next_stop(text: &[u8], from: usize, body: &Set, follow: u32, sets: &[Set]) -> Option<usize> {
    if follow == ANY {
        return Some(from);
    }
    let stop = &sets[follow as usize];
    for (place, &code) in text.iter().enumerate().skip(from) {
        if stop.has(code) {
            return Some(place);
        }
        if !body.has(code) {
            return None;
        }
    }
    None
}

/// The last place in `least..=most` where what follows can begin.
#[inline(always)]
fn last_stop(text: &[u8], least: usize, most: usize, follow: u32, sets: &[Set]) -> Option<usize> {
    if follow == ANY {
        return Some(most);
    }
    let stop = &sets[follow as usize];
    (least..=most).rev().find(|&place| text.get(place).is_some_and(|&code| stop.has(code)))
}

#[inline(always)]
pub fn holds(kind: Look, text: &[u8], pos: usize, words: &Set) -> bool {
    let (ascii, wanted) = match kind {
        Look::Start => return pos == 0,
        Look::LineEnd => return pos == text.len() || (pos + 1 == text.len() && text[pos] == b'\n'),
        Look::End => return pos == text.len(),
        Look::Boundary => (false, true),
        Look::NoBoundary => (false, false),
        Look::AsciiBoundary => (true, true),
        Look::NoAsciiBoundary => (true, false),
    };
    let word = |code: u8| if ascii { is_ascii_word(code) } else { words.has(code) };
    let before = pos > 0 && word(text[pos - 1]);
    let behind = pos < text.len() && word(text[pos]);
    (before != behind) == wanted
}

/// Turns states into operations: literal runs become texts, loops over one set become runs.
struct Compiler<'a> {
    nfa: &'a Nfa,
    /// What each state can begin with; None: anything, or nothing at all.
    begins: Vec<Option<Set>>,
    numbers: Vec<u32>,
    todo: Vec<Id>,
    known_sets: HashMap<Set, u32>,
    walk: Walk,
}

const UNSEEN: u32 = u32::MAX;
const LONGEST_TEXT: u32 = 60;

impl<'a> Compiler<'a> {
    fn new(nfa: &'a Nfa) -> Compiler<'a> {
        let walk = Walk {
            ops: vec![],
            sets: vec![Set::ALL],
            texts: vec![],
            table: vec![],
            start: 0,
            anchored: nfa.anchored,
            words: nfa.words,
            begins: ANY,
        };
        let numbers = vec![UNSEEN; nfa.states.len()];
        Compiler { nfa, begins: begins(nfa), numbers, todo: vec![], known_sets: HashMap::new(), walk }
    }

    fn finish(mut self) -> Walk {
        self.walk.start = self.number(self.nfa.start);
        while let Some(id) = self.todo.pop() {
            let op = self.operation(id);
            self.walk.ops[self.numbers[id as usize] as usize] = op;
        }
        self.walk.begins = self.set(self.begins[self.nfa.start as usize]);
        self.walk
    }

    /// Unions of one are passed through. They form no loop: the NFA has none without a character.
    fn resolve(&self, mut id: Id) -> Id {
        while let State::Union(ways) = &self.nfa.states[id as usize] {
            match ways[..] {
                [only] => id = only,
                _ => break,
            }
        }
        id
    }

    fn number(&mut self, id: Id) -> u32 {
        let id = self.resolve(id);
        if self.numbers[id as usize] == UNSEEN {
            self.numbers[id as usize] = self.walk.ops.len() as u32;
            self.walk.ops.push(Op::Fail);
            self.todo.push(id);
        }
        self.numbers[id as usize]
    }

    fn set(&mut self, set: Option<Set>) -> u32 {
        let Some(set) = set else { return ANY };
        *self.known_sets.entry(set).or_insert_with(|| {
            self.walk.sets.push(set);
            self.walk.sets.len() as u32 - 1
        })
    }

    /// The only state that a consuming state leads to, and by which characters.
    fn step(&self, id: Id) -> Option<(Set, Id)> {
        match &self.nfa.states[id as usize] {
            State::Step(ways) => match ways[..] {
                [(set, next)] => Some((set, self.resolve(next))),
                _ => None,
            },
            _ => None,
        }
    }

    fn literal(&self, id: Id) -> Option<(u8, Id)> {
        self.step(id).and_then(|(set, next)| set.single().map(|code| (code, next)))
    }

    fn operation(&mut self, id: Id) -> Op {
        match &self.nfa.states[id as usize] {
            State::Match => Op::Match,
            State::Step(ways) => self.consume(id, ways),
            State::Union(ways) => self.choose(id, ways),
            State::Capture { slot, next } => Op::Capture { slot: *slot, next: self.number(*next) },
            State::Look { kind, next } => Op::Look { kind: *kind, next: self.number(*next) },
            State::Behind { negated, set, next } => {
                Op::Behind { negated: *negated, set: self.exact(*set), next: self.number(*next) }
            }
            State::Peek { negated, set, next } => {
                Op::Peek { negated: *negated, set: self.exact(*set), next: self.number(*next) }
            }
        }
    }

    fn exact(&mut self, set: Set) -> u32 {
        self.set(Some(set))
    }

    fn consume(&mut self, id: Id, ways: &[(Set, Id)]) -> Op {
        if let Some((code, mut next)) = self.literal(id) {
            let at = self.walk.texts.len() as u32;
            self.walk.texts.push(code);
            while let Some((code, after)) = self.literal(next) {
                if self.walk.texts.len() as u32 - at >= LONGEST_TEXT {
                    break;
                }
                self.walk.texts.push(code);
                next = after;
            }
            return Op::Text { at, len: self.walk.texts.len() as u32 - at, next: self.number(next) };
        }
        match ways {
            [] => Op::Fail,
            [(set, next)] => Op::One { set: self.exact(*set), next: self.number(*next) },
            _ => {
                let rows: Vec<_> = ways.iter().map(|(set, next)| (self.exact(*set), self.number(*next))).collect();
                let at = self.walk.table.len() as u32;
                self.walk.table.extend(rows);
                Op::Table { at, len: ways.len() as u32 }
            }
        }
    }

    fn choose(&mut self, id: Id, ways: &[Id]) -> Op {
        if let [first, second] = *ways {
            for (body, out, lazy) in [(first, second, false), (second, first, true)] {
                if let Some((set, next)) = self.step(self.resolve(body)) {
                    if next == id {
                        let follow = self.set(self.begins[out as usize]);
                        return Op::Run { set: self.exact(set), out: self.number(out), follow, lazy };
                    }
                }
            }
        }
        let Some((&last, before)) = ways.split_last() else { return Op::Fail };
        let (mut rest, mut rest_begins) = (self.number(last), self.begins[last as usize]);
        let mut op = Op::Fail;
        for (place, &way) in before.iter().enumerate().rev() {
            let begins = self.begins[way as usize];
            op = Op::Split {
                first: self.number(way),
                second: rest,
                first_begins: self.set(begins),
                second_begins: self.set(rest_begins),
            };
            rest_begins = begins.zip(rest_begins).map(|(one, two)| one.union(&two));
            if place > 0 {
                rest = self.walk.ops.len() as u32;
                self.walk.ops.push(op);
            }
        }
        op
    }
}

fn begins(nfa: &Nfa) -> Vec<Option<Set>> {
    let mut begins = vec![Some(Set::EMPTY); nfa.states.len()];
    for id in nfa.order().unwrap_or_default() {
        begins[id as usize] = match &nfa.states[id as usize] {
            State::Match => None,
            State::Look { kind: Look::LineEnd | Look::End, .. } => None,
            State::Step(ways) => Some(ways.iter().fold(Set::EMPTY, |sum, way| sum.union(&way.0))),
            State::Union(ways) => {
                ways.iter().try_fold(Set::EMPTY, |sum, &way| begins[way as usize].map(|begin: Set| sum.union(&begin)))
            }
            State::Capture { next, .. }
            | State::Look { next, .. }
            | State::Behind { next, .. }
            | State::Peek { next, .. } => begins[*next as usize],
        };
    }
    begins
}
