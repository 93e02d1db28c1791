//! The regex as an NFA without look-aheads and conditions.
//!
//! Both are worked in by a product: a state is a node of the plain graph together with what the way to it leaves behind,
//! which is what each group captured (where somebody asks) and the look-aheads that are not settled yet. Each way through
//! the plain graph has exactly one way here, in the same order, so priorities and captures stay as they are.

use crate::charset::Set;
use crate::plain::{Id, Look, Node, Plain};
use std::collections::{BTreeSet, HashMap};

/// States beyond which a regex is refused.
const MOST: usize = 60_000;
/// Code in a group's memory: it has matched, nobody asks what.
const MARKED: u16 = 256;

#[derive(Clone, Debug)]
pub enum State {
    Match,
    /// Consumes a character; the sets do not overlap.
    Step(Vec<(Set, Id)>),
    Union(Vec<Id>),
    Capture {
        slot: u32,
        next: Id,
    },
    Look {
        kind: Look,
        next: Id,
    },
    Behind {
        negated: bool,
        set: Set,
        next: Id,
    },
    Peek {
        negated: bool,
        set: Set,
        next: Id,
    },
}

#[derive(Clone, Debug)]
pub struct Nfa {
    pub states: Vec<State>,
    pub start: Id,
    pub slots: u32,
    /// It can only match at the begin of a text.
    pub anchored: bool,
    pub words: Set,
    /// The codes fall into classes that no set and no boundary tells apart: the class of each code, and their number.
    pub class_of: Box<[u8; 256]>,
    pub classes: usize,
}

/// A look-ahead on its way: nodes of its body that wait for the next character.
type Owed = Vec<(bool, Vec<Id>)>;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Mode {
    /// Class of the last character where somebody asks, else `LAST_*`.
    last: u16,
    groups: Vec<(u8, u16)>,
    owed: Owed,
}

const LAST_NONE: u16 = 1000;
const LAST_UNKNOWN: u16 = 1001;

struct Product<'a> {
    plain: &'a Plain,
    class_of: Box<[u8; 256]>,
    /// One code of each class.
    sample: Vec<u8>,
    members: Vec<Set>,
    /// Groups that a node or one behind it asks about, as bits.
    asks_group: Vec<u64>,
    /// Whether a look-ahead behind a node, before any character, looks back.
    asks_last: Vec<bool>,
    looks_back: bool,
    numbers: HashMap<(Id, Mode), Id>,
    states: Vec<State>,
    todo: Vec<(Id, Mode)>,
    steps: HashMap<(Owed, u16, usize), Option<Owed>>,
}

pub fn build(plain: &Plain) -> Result<Nfa, String> {
    let (class_of, sample, members) = partition(plain);
    let classes = sample.len();
    let anchored = anchored(plain, plain.start, &mut BTreeSet::new());
    let mut product = Product {
        plain,
        class_of,
        sample,
        members,
        asks_group: vec![0; plain.nodes.len()],
        asks_last: vec![false; plain.nodes.len()],
        looks_back: false,
        numbers: HashMap::new(),
        states: Vec::new(),
        todo: Vec::new(),
        steps: HashMap::new(),
    };
    product.find_askers();
    let last = if anchored { LAST_NONE } else { LAST_UNKNOWN };
    let start = product.number(plain.start, Mode { last, groups: vec![], owed: vec![] })?;
    while let Some((node, mode)) = product.todo.pop() {
        let number = product.numbers[&(node, mode.clone())];
        let state = product.state(node, &mode)?;
        product.states[number as usize] = state;
    }
    let Product { states, class_of, .. } = product;
    let nfa = Nfa { states, start, slots: plain.slots, anchored, words: plain.words, class_of, classes };
    nfa.refuse_empty_loops()?;
    Ok(nfa)
}

/// Codes that all sets treat alike share a class.
fn partition(plain: &Plain) -> (Box<[u8; 256]>, Vec<u8>, Vec<Set>) {
    let newline = Set::of([b'\n']);
    let ascii = Set::of((0..128u8).filter(|&code| is_ascii_word(code)));
    let sets: Vec<Set> = plain.sets.iter().copied().chain([plain.words, newline, ascii]).collect();
    let single = plain.nodes.iter().any(|node| matches!(node, Node::Same { .. }));
    let mut known: HashMap<Vec<bool>, u8> = HashMap::new();
    let mut class_of = Box::new([0u8; 256]);
    let (mut sample, mut members) = (Vec::new(), Vec::<Set>::new());
    let kept: Set = if single {
        plain.nodes.iter().fold(Set::EMPTY, |sum, node| match node {
            Node::Class { set, group: Some(_), .. } => sum.union(&plain.sets[*set as usize]),
            _ => sum,
        })
    } else {
        Set::EMPTY
    };
    for code in 0..=255u8 {
        let mut key: Vec<bool> = sets.iter().map(|set| set.has(code)).collect();
        if kept.has(code) {
            key.extend((0..8).map(|bit| code >> bit & 1 == 1)); // what a back-reference compares stands alone
        }
        let class = *known.entry(key).or_insert_with(|| {
            sample.push(code);
            members.push(Set::EMPTY);
            (sample.len() - 1) as u8
        });
        class_of[usize::from(code)] = class;
        members[usize::from(class)].insert(code);
    }
    (class_of, sample, members)
}

pub fn is_ascii_word(code: u8) -> bool {
    code.is_ascii_alphanumeric() || code == b'_'
}

fn anchored(plain: &Plain, id: Id, seen: &mut BTreeSet<Id>) -> bool {
    match &plain.nodes[id as usize] {
        Node::Look { kind: Look::Start, .. } => true,
        Node::Split(ways) => seen.insert(id) && ways.iter().all(|&way| anchored(plain, way, seen)),
        Node::Look { next, .. }
        | Node::Capture { next, .. }
        | Node::Mark { next, .. }
        | Node::Behind { next, .. }
        | Node::Peek { next, .. }
        | Node::Ahead { next, .. } => anchored(plain, *next, seen),
        _ => false,
    }
}

impl Product<'_> {
    /// Work out who asks for groups and for the last character, until nothing changes.
    fn find_askers(&mut self) {
        let back: Vec<bool> = (0..self.plain.nodes.len() as Id).map(|id| self.body_looks_back(id)).collect();
        self.looks_back = back.contains(&true);
        let mut changed = true;
        while changed {
            changed = false;
            for id in (0..self.plain.nodes.len()).rev() {
                let (mut groups, mut last) = match &self.plain.nodes[id] {
                    Node::Condition { group, .. } | Node::Same { group, .. } => (1u64 << (group & 63), false),
                    _ => (0, back[id]),
                };
                let consumes = matches!(self.plain.nodes[id], Node::Class { .. } | Node::Same { .. });
                for next in self.plain.successors(id as Id) {
                    groups |= self.asks_group[next as usize];
                    last |= !consumes && self.asks_last[next as usize];
                }
                changed |= groups != self.asks_group[id] || last != self.asks_last[id];
                self.asks_group[id] = groups;
                self.asks_last[id] = last;
            }
        }
    }

    fn body_looks_back(&self, id: Id) -> bool {
        let Node::Ahead { body, .. } = self.plain.nodes[id as usize] else { return false };
        let (mut seen, mut todo) = (BTreeSet::new(), vec![body]);
        while let Some(id) = todo.pop() {
            if !seen.insert(id) {
                continue;
            }
            match &self.plain.nodes[id as usize] {
                Node::Behind { .. } => return true,
                Node::Look { kind, .. } if *kind != Look::LineEnd && *kind != Look::End => return true,
                _ => todo.extend(self.plain.successors(id)),
            }
        }
        false
    }

    fn number(&mut self, node: Id, mode: Mode) -> Result<Id, String> {
        let place = node as usize;
        let mut mode = mode;
        if !(self.looks_back && (self.asks_last[place] || !mode.owed.is_empty())) {
            mode.last = LAST_UNKNOWN;
        }
        let asked = self.asks_group[place];
        mode.groups.retain(|(group, _)| asked >> (group & 63) & 1 == 1);
        let key = (node, mode);
        if let Some(&number) = self.numbers.get(&key) {
            return Ok(number);
        }
        if self.states.len() >= MOST {
            return Err("too large".into());
        }
        let number = self.states.len() as Id;
        self.states.push(State::Union(vec![]));
        self.numbers.insert(key.clone(), number);
        self.todo.push(key);
        Ok(number)
    }

    fn state(&mut self, id: Id, mode: &Mode) -> Result<State, String> {
        let node = self.plain.nodes[id as usize].clone();
        let plain = self.plain;
        let set_of = |set: u32| plain.sets[set as usize];
        Ok(match node {
            Node::Class { set, group, next } => self.spread(set_of(set), group, next, mode)?,
            Node::Same { group, next } => match mode.groups.iter().find(|known| known.0 == group) {
                Some(&(_, code)) if code < MARKED => self.spread(Set::of([code as u8]), None, next, mode)?,
                _ => State::Union(vec![]),
            },
            Node::Split(ways) => {
                State::Union(ways.iter().map(|&way| self.number(way, mode.clone())).collect::<Result<_, _>>()?)
            }
            Node::Capture { slot, next } => State::Capture { slot, next: self.number(next, mode.clone())? },
            Node::Mark { group, next } => {
                let mut mode = mode.clone();
                remember(&mut mode.groups, group, MARKED);
                State::Union(vec![self.number(next, mode)?])
            }
            Node::Condition { group, yes, no } => {
                let set = mode.groups.iter().any(|known| known.0 == group);
                State::Union(vec![self.number(if set { yes } else { no }, mode.clone())?])
            }
            Node::Look { kind, next } => State::Look { kind, next: self.number(next, mode.clone())? },
            Node::Behind { negated, set, next } => {
                State::Behind { negated, set: set_of(set), next: self.number(next, mode.clone())? }
            }
            Node::Peek { negated, set, next } => {
                State::Peek { negated, set: set_of(set), next: self.number(next, mode.clone())? }
            }
            Node::Ahead { negated, body, next } => {
                let mut mode = mode.clone();
                mode.owed.push((negated, vec![body]));
                mode.owed.sort();
                mode.owed.dedup();
                State::Union(vec![self.number(next, mode)?])
            }
            Node::Match if mode.owed.is_empty() => State::Match,
            // What is still owed is settled on the text behind the match, which has its captures by now.
            Node::Match => {
                let onward = self.spread(Set::ALL, None, id, mode)?;
                if self.step(&mode.owed, mode.last, None)?.is_none() {
                    return Ok(onward);
                }
                let first = self.states.len() as Id;
                self.states.extend([State::Match, State::Look { kind: Look::End, next: first }, onward]);
                State::Union(vec![first + 1, first + 2])
            }
            Node::Accept => return Err("a look-ahead ends outside itself".into()),
        })
    }

    /// Consume one character of `set`, whatever is owed permitting.
    fn spread(&mut self, set: Set, group: Option<u8>, next: Id, mode: &Mode) -> Result<State, String> {
        let mut ways: Vec<(Set, Id)> = Vec::new();
        for class in 0..self.sample.len() {
            let code = self.sample[class];
            if !set.has(code) {
                continue;
            }
            let Some(owed) = self.step(&mode.owed, mode.last, Some(class))? else { continue };
            let mut groups = mode.groups.clone();
            if let Some(group) = group {
                remember(&mut groups, group, u16::from(code));
            }
            let to = self.number(next, Mode { last: class as u16, groups, owed })?;
            let codes = self.members[class];
            match ways.iter_mut().find(|way| way.1 == to) {
                Some(way) => way.0 = way.0.union(&codes),
                None => ways.push((codes, to)),
            }
        }
        Ok(State::Step(ways))
    }

    /// What is owed behind a character of `class` (None: at the end of the text); None where something is broken.
    fn step(&mut self, owed: &Owed, last: u16, class: Option<usize>) -> Result<Option<Owed>, String> {
        if owed.is_empty() {
            return Ok(Some(vec![]));
        }
        let key = (owed.clone(), last, class.unwrap_or(usize::MAX));
        if let Some(known) = self.steps.get(&key) {
            return Ok(known.clone());
        }
        let mut left: Option<Owed> = Some(vec![]);
        for (negated, nodes) in owed {
            let (accepted, waiting) = self.close(nodes, last, class)?;
            let mut moved = BTreeSet::new();
            if let Some(class) = class {
                for id in waiting {
                    if let Node::Class { set, next, .. } = self.plain.nodes[id as usize] {
                        if self.plain.sets[set as usize].has(self.sample[class]) {
                            moved.insert(next);
                        }
                    }
                }
            }
            if accepted || moved.is_empty() {
                if accepted == *negated {
                    left = None;
                    break;
                }
            } else if let Some(left) = &mut left {
                left.push((*negated, moved.into_iter().collect()));
            }
        }
        if let Some(left) = &mut left {
            left.sort();
            left.dedup();
        }
        self.steps.insert(key, left.clone());
        Ok(left)
    }

    /// Whether a body can end here, and its nodes that wait for the character that follows.
    fn close(&self, nodes: &[Id], last: u16, class: Option<usize>) -> Result<(bool, BTreeSet<Id>), String> {
        let (mut waiting, mut seen, mut todo, mut accepted) = (BTreeSet::new(), BTreeSet::new(), nodes.to_vec(), false);
        while let Some(id) = todo.pop() {
            if !seen.insert(id) {
                continue;
            }
            match &self.plain.nodes[id as usize] {
                Node::Accept => accepted = true,
                Node::Class { .. } => {
                    waiting.insert(id);
                }
                Node::Split(ways) => todo.extend(ways),
                Node::Look { kind, next } => {
                    if self.holds(*kind, last, class)? {
                        todo.push(*next);
                    }
                }
                Node::Behind { negated, set, next } => {
                    let code = self.last_code(last)?;
                    if code.is_some_and(|code| self.plain.sets[*set as usize].has(code)) != *negated {
                        todo.push(*next);
                    }
                }
                Node::Peek { negated, set, next } => {
                    let sample = class.map(|class| self.sample[class]);
                    if sample.is_some_and(|code| self.plain.sets[*set as usize].has(code)) != *negated {
                        todo.push(*next);
                    }
                }
                _ => return Err("a look-ahead with a group, condition or look-ahead inside".into()),
            }
        }
        Ok((accepted, waiting))
    }

    fn last_code(&self, last: u16) -> Result<Option<u8>, String> {
        match last {
            LAST_NONE => Ok(None),
            LAST_UNKNOWN => Err("a look-ahead that looks back to where the search began".into()),
            class => Ok(Some(self.sample[usize::from(class)])),
        }
    }

    fn holds(&self, kind: Look, last: u16, class: Option<usize>) -> Result<bool, String> {
        let follows = class.map(|class| self.sample[class]);
        let (ascii, wanted) = match kind {
            Look::LineEnd => return Ok(follows.is_none_or(|code| code == b'\n')),
            Look::End => return Ok(follows.is_none()),
            Look::Start => return Ok(self.last_code(last)?.is_none()),
            Look::Boundary => (false, true),
            Look::NoBoundary => (false, false),
            Look::AsciiBoundary => (true, true),
            Look::NoAsciiBoundary => (true, false),
        };
        let word = |code: u8| if ascii { is_ascii_word(code) } else { self.plain.words.has(code) };
        let before = self.last_code(last)?.is_some_and(word);
        Ok((before != follows.is_some_and(word)) == wanted)
    }
}

fn remember(groups: &mut Vec<(u8, u16)>, group: u8, value: u16) {
    groups.retain(|known| known.0 != group);
    groups.push((group, value));
    groups.sort_unstable();
}

impl Nfa {
    /// States in an order in which each stands behind those that it leads to without a character; None for a loop.
    pub fn order(&self) -> Option<Vec<Id>> {
        let mut order = Vec::with_capacity(self.states.len());
        let mut mark = vec![0u8; self.states.len()]; // 1: on the way, 2: done
        for root in 0..self.states.len() as Id {
            let mut stack = vec![(root, 0usize)];
            while let Some((id, nth)) = stack.pop() {
                let state = id as usize;
                if nth == 0 {
                    if mark[state] != 0 {
                        if mark[state] == 1 {
                            return None;
                        }
                        continue;
                    }
                    mark[state] = 1;
                }
                match self.onward(id).get(nth) {
                    Some(&next) => {
                        stack.push((id, nth + 1));
                        stack.push((next, 0));
                    }
                    None => {
                        mark[state] = 2;
                        order.push(id);
                    }
                }
            }
        }
        Some(order)
    }

    /// Where a state leads without a character.
    fn onward(&self, id: Id) -> &[Id] {
        match &self.states[id as usize] {
            State::Match | State::Step(_) => &[],
            State::Union(ways) => ways,
            State::Capture { next, .. }
            | State::Look { next, .. }
            | State::Behind { next, .. }
            | State::Peek { next, .. } => std::slice::from_ref(next),
        }
    }

    fn refuse_empty_loops(&self) -> Result<(), String> {
        self.order().map(|_| ()).ok_or_else(|| "a repeat of what may be empty".into())
    }
}
