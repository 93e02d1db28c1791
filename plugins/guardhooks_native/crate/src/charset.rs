//! Sets of characters. A character is one byte: ASCII as it is, all others by the class that they share (`text.rs`).

/// 256 bits, one for each code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Set(pub [u64; 4]);

impl Set {
    pub const EMPTY: Set = Set([0; 4]);
    pub const ALL: Set = Set([u64::MAX; 4]);

    /// From 32 bytes, the lowest code first.
    pub fn from_bytes(bytes: &[u8]) -> Option<Set> {
        let bytes: [u8; 32] = bytes.try_into().ok()?;
        let mut words = [0; 4];
        for (word, part) in words.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = part.iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte));
        }
        Some(Set(words))
    }

    pub fn of(codes: impl IntoIterator<Item = u8>) -> Set {
        let mut set = Set::EMPTY;
        for code in codes {
            set.insert(code);
        }
        set
    }

    #[inline(always)]
    pub fn has(&self, code: u8) -> bool {
        self.0[usize::from(code >> 6)] >> (code & 63) & 1 == 1
    }

    pub fn insert(&mut self, code: u8) {
        self.0[usize::from(code >> 6)] |= 1 << (code & 63);
    }

    pub fn is_empty(&self) -> bool {
        self.0 == [0; 4]
    }

    pub fn union(&self, other: &Set) -> Set {
        Set(std::array::from_fn(|place| self.0[place] | other.0[place]))
    }

    pub fn codes(&self) -> impl Iterator<Item = u8> + '_ {
        (0..=255).filter(|&code| self.has(code))
    }

    /// The only code in it, if it holds exactly one.
    pub fn single(&self) -> Option<u8> {
        let ones: u32 = self.0.iter().map(|word| word.count_ones()).sum();
        if ones == 1 { self.codes().next() } else { None }
    }
}
