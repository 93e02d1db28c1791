//! A regex as Python's parser understood it: a graph whose look-aheads and conditions are still whole.

use crate::charset::Set;

/// Reference to another node.
pub type Id = u32;

/// Zero-width tests that need no set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Look {
    /// `^`, `\A`
    Start,
    /// `$`: at the end, or before a newline that is the last character
    LineEnd,
    /// `\Z`
    End,
    /// `\b`
    Boundary,
    /// `\B`
    NoBoundary,
    /// `\b` where only ASCII counts as a word
    AsciiBoundary,
    /// `\B` likewise
    NoAsciiBoundary,
}

#[derive(Clone, Debug)]
pub enum Node {
    Match,
    /// One character of a set; with a group, that character is what the group captured.
    Class {
        set: u32,
        group: Option<u8>,
        next: Id,
    },
    /// Alternatives, the preferred one first.
    Split(Vec<Id>),
    Capture {
        slot: u32,
        next: Id,
    },
    /// From here on the group has matched.
    Mark {
        group: u8,
        next: Id,
    },
    Look {
        kind: Look,
        next: Id,
    },
    /// The character before is (not) of a set.
    Behind {
        negated: bool,
        set: u32,
        next: Id,
    },
    /// The character that follows is (not) of a set.
    Peek {
        negated: bool,
        set: u32,
        next: Id,
    },
    /// What follows can (not) be matched by `body`, which ends with `Accept`.
    Ahead {
        negated: bool,
        body: Id,
        next: Id,
    },
    /// Where the group has matched `yes`, else `no`.
    Condition {
        group: u8,
        yes: Id,
        no: Id,
    },
    /// The character that the group captured.
    Same {
        group: u8,
        next: Id,
    },
    Accept,
}

#[derive(Clone, Debug)]
pub struct Plain {
    pub nodes: Vec<Node>,
    pub sets: Vec<Set>,
    /// Codes that `\b` takes for characters of a word.
    pub words: Set,
    pub start: Id,
    /// Positions that a match reports: two for the whole, two for each group that has a name.
    pub slots: u32,
}

impl Plain {
    /// Reads what the translator wrote: for each node its kind and its arguments.
    pub fn decode(code: &[u32], sets: Vec<Set>, words: Set, start: Id, slots: u32) -> Result<Plain, String> {
        let mut reader = Reader { code, place: 0 };
        let mut nodes = Vec::new();
        while reader.place < code.len() {
            nodes.push(reader.node()?);
        }
        let plain = Plain { nodes, sets, words, start, slots };
        plain.check()?;
        Ok(plain)
    }

    pub fn successors(&self, id: Id) -> Vec<Id> {
        match &self.nodes[id as usize] {
            Node::Match | Node::Accept => vec![],
            Node::Split(next) => next.clone(),
            Node::Condition { yes, no, .. } => vec![*yes, *no],
            Node::Class { next, .. }
            | Node::Capture { next, .. }
            | Node::Mark { next, .. }
            | Node::Look { next, .. }
            | Node::Behind { next, .. }
            | Node::Peek { next, .. }
            | Node::Ahead { next, .. }
            | Node::Same { next, .. } => vec![*next],
        }
    }

    /// Every reference must lead somewhere: the rest of the core indexes without asking.
    fn check(&self) -> Result<(), String> {
        let known = |id: Id| (id as usize) < self.nodes.len();
        let fits = |set: u32| (set as usize) < self.sets.len();
        let sound = known(self.start)
            && self.slots >= 2
            && (0..self.nodes.len() as Id).all(|id| {
                self.successors(id).into_iter().all(known)
                    && match &self.nodes[id as usize] {
                        Node::Class { set, .. } | Node::Behind { set, .. } | Node::Peek { set, .. } => fits(*set),
                        Node::Ahead { body, .. } => known(*body),
                        Node::Capture { slot, .. } => *slot < self.slots,
                        _ => true,
                    }
            });
        if sound { Ok(()) } else { Err("a damaged regex: a reference leads nowhere".into()) }
    }
}

struct Reader<'a> {
    code: &'a [u32],
    place: usize,
}

impl Reader<'_> {
    fn take(&mut self) -> Result<u32, String> {
        let value = self.code.get(self.place).copied().ok_or("a damaged regex: it ends too early")?;
        self.place += 1;
        Ok(value)
    }

    fn group(&mut self) -> Result<u8, String> {
        self.take()?.try_into().map_err(|_| "too many groups".into())
    }

    fn node(&mut self) -> Result<Node, String> {
        Ok(match self.take()? {
            0 => Node::Match,
            1 => Node::Class { set: self.take()?, group: None, next: self.take()? },
            2 => {
                let count = self.take()?;
                Node::Split((0..count).map(|_| self.take()).collect::<Result<_, _>>()?)
            }
            3 => Node::Capture { slot: self.take()?, next: self.take()? },
            4 => Node::Mark { group: self.group()?, next: self.take()? },
            5 => Node::Look { kind: look(self.take()?)?, next: self.take()? },
            6 => Node::Behind { negated: self.take()? != 0, set: self.take()?, next: self.take()? },
            7 => Node::Ahead { negated: self.take()? != 0, body: self.take()?, next: self.take()? },
            8 => Node::Condition { group: self.group()?, yes: self.take()?, no: self.take()? },
            9 => Node::Accept,
            10 => Node::Class { set: self.take()?, group: Some(self.group()?), next: self.take()? },
            11 => Node::Same { group: self.group()?, next: self.take()? },
            12 => Node::Peek { negated: self.take()? != 0, set: self.take()?, next: self.take()? },
            kind => return Err(format!("a damaged regex: node of kind {kind}")),
        })
    }
}

fn look(kind: u32) -> Result<Look, String> {
    Ok(match kind {
        0 => Look::Start,
        1 => Look::LineEnd,
        2 => Look::End,
        3 => Look::Boundary,
        4 => Look::NoBoundary,
        5 => Look::AsciiBoundary,
        6 => Look::NoAsciiBoundary,
        _ => return Err(format!("a damaged regex: look of kind {kind}")),
    })
}
