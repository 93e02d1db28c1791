//! One regex with both engines.

use crate::linear::Linear;
use crate::nfa::{self, Nfa};
use crate::plain::Plain;
use crate::reach::{self, Wild};
use crate::walk::{Found, Stack, Walk};

/// Steps of the walk before the linear engine takes over: so many, and one for each character.
const WALK: u32 = 2_000;

#[derive(Debug)]
pub struct Regex {
    nfa: Nfa,
    walk: Walk,
    linear: Option<Box<Linear>>,
}

/// What searches share: memory for choices, and the steps that the line at hand has left.
#[derive(Debug, Default)]
pub struct Search {
    pub stack: Stack,
    /// Steps of the linear engine left for this line.
    pub left: u32,
    /// Steps of either engine taken since somebody last looked.
    pub taken: u64,
}

impl Search {
    /// A new line of so many characters. A step takes one to three nanoseconds.
    pub fn begin(&mut self, length: usize) {
        self.left = 500_000u32.saturating_add((length as u32).saturating_mul(12));
    }
}

impl Regex {
    pub fn new(plain: &Plain) -> Result<Regex, String> {
        let nfa = nfa::build(plain)?;
        let walk = Walk::new(&nfa);
        Ok(Regex { nfa, walk, linear: None })
    }

    pub fn slots(&self) -> usize {
        self.nfa.slots as usize
    }

    pub fn states(&self) -> usize {
        self.nfa.states.len()
    }

    /// The leftmost match from `from` on, or, with `here`, only there.
    pub fn search(&mut self, text: &[u8], from: usize, here: bool, slots: &mut [u32], search: &mut Search) -> Found {
        let allowed = WALK.saturating_add(text.len() as u32).min(search.left);
        let mut steps = allowed;
        let found = self.walk.search(text, from, here, slots, &mut search.stack, &mut steps);
        search.taken += u64::from(allowed - steps);
        if found != Found::Exhausted {
            return found;
        }
        search.left -= allowed - steps;
        self.search_linear(text, from, here, slots, search)
    }

    /// By the linear engine alone.
    pub fn search_linear(
        &mut self,
        text: &[u8],
        from: usize,
        here: bool,
        slots: &mut [u32],
        search: &mut Search,
    ) -> Found {
        let linear = self.linear.get_or_insert_with(|| Box::new(Linear::new(&self.nfa)));
        let before = search.left;
        let found = linear.search(&self.nfa, text, from, here, slots, &mut search.left);
        search.taken += u64::from(before - search.left);
        found
    }

    /// See `reach::reach`.
    pub fn reach(&self, text: &[u8], begin: usize, wild: &[Wild]) -> Option<usize> {
        reach::reach(&self.nfa, text, begin, wild)
    }
}
