//! A line as the regexes see it: one code for each character, and the way back to its bytes.

use std::collections::HashMap;

/// Characters of a page, see `Texts::code`.
pub const PAGE: u32 = 256;

/// Text that regexes are asked about; spans count its characters.
#[derive(Debug, Default)]
pub struct Subject {
    pub codes: Vec<u8>,
    /// UTF-8 and where each character begins, and the end; unused while all characters are ASCII.
    bytes: Vec<u8>,
    begins: Vec<u32>,
    ascii: bool,
}

pub type Span = (u32, u32);

impl Subject {
    /// A whole line, without the characters of `cut`, and a newline behind it.
    pub fn set(&mut self, line: &Line<'_>, cut: Span) {
        let (start, end) = (cut.0 as usize, cut.1 as usize);
        self.codes.clear();
        self.codes.extend_from_slice(&line.codes()[..start]);
        self.codes.extend_from_slice(&line.codes()[end..]);
        self.codes.push(b'\n');
        self.ascii = line.decoded.is_none();
        if let Some(decoded) = line.decoded {
            let (start, end) = (decoded.begins[start] as usize, decoded.begins[end] as usize);
            self.bytes.clear();
            self.bytes.extend_from_slice(&decoded.bytes[..start]);
            self.bytes.extend_from_slice(&decoded.bytes[end..]);
            self.bytes.push(b'\n');
            self.begins.clear();
            let gone = (end - start) as u32;
            let cut = cut.0 as usize..cut.1 as usize;
            let kept = decoded.begins.iter().enumerate().filter(|(place, _)| !cut.contains(place));
            self.begins.extend(kept.map(|(place, &at)| if place >= cut.end { at - gone } else { at }));
            self.begins.push(self.bytes.len() as u32);
        }
    }

    /// Put a copy of a span and a newline behind everything; gives the span of both.
    pub fn append(&mut self, (start, end): Span) -> Span {
        let at = self.codes.len() as u32;
        self.codes.extend_from_within(start as usize..end as usize);
        self.codes.push(b'\n');
        if !self.ascii {
            let from = self.begins[start as usize] as usize;
            let to = self.begins[end as usize] as usize;
            let base = self.bytes.len() as u32;
            self.bytes.extend_from_within(from..to);
            self.bytes.push(b'\n');
            let copied: Vec<u32> =
                self.begins[start as usize + 1..=end as usize].iter().map(|&at| at - from as u32 + base).collect();
            self.begins.extend(copied);
            self.begins.push(self.bytes.len() as u32);
        }
        (at, self.codes.len() as u32)
    }

    pub fn text(&self, (start, end): Span) -> &[u8] {
        if self.ascii {
            &self.codes[start as usize..end as usize]
        } else {
            &self.bytes[self.begins[start as usize] as usize..self.begins[end as usize] as usize]
        }
    }

    /// How many characters there are.
    pub fn end(&self) -> u32 {
        self.codes.len() as u32
    }
}

/// A line that is not ASCII, decoded.
#[derive(Debug, Default)]
pub struct Decoded {
    pub bytes: Vec<u8>,
    codes: Vec<u8>,
    begins: Vec<u32>,
}

/// One line of a block, without its end.
#[derive(Clone, Copy)]
pub struct Line<'a> {
    pub raw: &'a [u8],
    pub decoded: Option<&'a Decoded>,
    /// Tells it from every other line, so that jails can share what they learn of it.
    pub serial: u64,
}

impl Line<'_> {
    pub fn codes(&self) -> &[u8] {
        self.decoded.map_or(self.raw, |decoded| &decoded.codes)
    }

    /// What it reads in UTF-8.
    pub fn text(&self) -> &[u8] {
        self.decoded.map_or(self.raw, |decoded| &decoded.bytes)
    }
}

/// The classes of characters outside ASCII, learnt by the page.
#[derive(Debug, Default)]
pub struct Texts {
    pages: HashMap<u32, Box<[u8; 256]>>,
}

impl Texts {
    /// Invalid UTF-8 becomes U+FFFD, as in Python. `page` gives the codes of 256 characters.
    pub fn decode(&mut self, raw: &[u8], decoded: &mut Decoded, mut page: impl FnMut(u32) -> Box<[u8; 256]>) {
        decoded.bytes.clear();
        decoded.codes.clear();
        decoded.begins.clear();
        let text = String::from_utf8_lossy(raw);
        for (place, character) in text.char_indices() {
            let point = u32::from(character);
            let code = if point < 128 {
                point as u8
            } else {
                let codes = self.pages.entry(point / PAGE).or_insert_with(|| page(point / PAGE));
                codes[(point % PAGE) as usize]
            };
            decoded.begins.push(place as u32);
            decoded.codes.push(code);
        }
        decoded.bytes.extend_from_slice(text.as_bytes());
        decoded.begins.push(decoded.bytes.len() as u32);
    }
}
