//! What was found in a block: columns of failures, their texts side by side.

use crate::text::Span;

/// Names of groups are numbers here; this one stands for the users of a session.
pub const USERS: u16 = u16::MAX;

#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub jail: u32,
    pub failregex: i32,
    pub time: f64,
    pub id: Span,
    pub address: Span,
    pub resolve: Span,
    pub fields: Span,
    pub lines: Span,
}

#[derive(Debug, Default)]
pub struct Block {
    pub rows: Vec<Row>,
    arena: Vec<u8>,
    fields: Vec<(u16, Span)>,
    lines: Vec<Span>,
}

/// Whom a failure counts against; texts as Python wrote them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    pub id: Vec<u8>,
    pub address: Vec<u8>,
    pub resolve: Vec<u8>,
    pub genuine: bool,
}

impl Block {
    pub fn put(&mut self, text: &[u8]) -> Span {
        let at = self.arena.len() as u32;
        self.arena.extend_from_slice(text);
        (at, self.arena.len() as u32)
    }

    pub fn text(&self, span: Span) -> &[u8] {
        &self.arena[span.0 as usize..span.1 as usize]
    }

    pub fn fields(&self, row: &Row) -> impl Iterator<Item = (u16, &[u8])> {
        self.fields[row.fields.0 as usize..row.fields.1 as usize].iter().map(|&(name, span)| (name, self.text(span)))
    }

    pub fn lines(&self, row: &Row) -> impl ExactSizeIterator<Item = &[u8]> {
        self.lines[row.lines.0 as usize..row.lines.1 as usize].iter().map(|&span| self.text(span))
    }

    pub fn begin_row(&self) -> (u32, u32) {
        (self.fields.len() as u32, self.lines.len() as u32)
    }

    pub fn add_field(&mut self, name: u16, text: &[u8]) {
        let span = self.put(text);
        self.fields.push((name, span));
    }

    pub fn add_line(&mut self, text: &[u8]) {
        let span = self.put(text);
        self.lines.push(span);
    }

    /// The fields and lines since `begin_row`.
    pub fn end_row(&self, (fields, lines): (u32, u32)) -> (Span, Span) {
        ((fields, self.fields.len() as u32), (lines, self.lines.len() as u32))
    }
}
