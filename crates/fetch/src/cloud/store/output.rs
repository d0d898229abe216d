//! What an output that is being uploaded consists of: parts that went up, and a tail that did not.

use std::io;
use std::sync::Arc;

use super::pages::{Extent, PageSpool};
use crate::object_name::beyond_the_end;

/// Bytes of an output that lie in a pack of tails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// Where they begin in the output.
    pub(super) from: u64,
    pub(super) bytes: u64,
    /// Name of the pack, and where they begin in it.
    pub(super) pack: Arc<str>,
    pub(super) at: u64,
}

impl Piece {
    pub(super) fn end(&self) -> u64 {
        self.from + self.bytes
    }
}

/// Pieces that follow each other, without what lies behind `end`.
fn cut(pieces: &[Piece], end: u64) -> Vec<Piece> {
    let before = pieces.iter().filter(|piece| piece.from < end);
    before.map(|piece| Piece { bytes: piece.bytes.min(end - piece.from), ..piece.clone() }).collect()
}

/// A part of the upload, complete or on its way.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) bytes: u64,
    /// The store's word for it, once it is there.
    pub(super) id: Option<String>,
    /// Its bytes, while it is on its way or the output may have to be cut back into it.
    pub(super) extent: Option<Arc<Extent>>,
    /// The same in packs, from its beginning on: as much as was settled.
    pieces: Vec<Piece>,
}

/// An output at a length that can be gone back to by any process: what the journal says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub(super) length: u64,
    pub(super) mark: u64,
    /// How many parts there are, and the bytes behind them.
    pub(super) parts: usize,
    pub(super) tail: Vec<Piece>,
    /// The bytes of the part in which the mark lies, up to the mark; none if it lies between two parts or in the tail.
    pub(super) marked: Vec<Piece>,
}

impl State {
    /// The same if it is no longer than that; else what was marked of it, if that is not longer.
    fn within(self, length: u64, parts: impl Iterator<Item = u64>) -> Option<Self> {
        if self.length <= length {
            return Some(self);
        }
        let (index, start) = part_of(parts, self.mark);
        let pieces = if index < self.parts { &self.marked } else { &self.tail };
        let tail = if start == self.mark { Vec::new() } else { cut(pieces, self.mark) };
        let (length_then, mark) = (self.mark, self.mark);
        let state = Self { length: length_then, mark, parts: index, tail, marked: Vec::new() };
        (mark <= length).then_some(state)
    }
}

/// A range of an output that no pack holds yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Missing {
    /// The part that it lies in; the tail if there are no more.
    pub(super) part: usize,
    pub(super) from: u64,
    pub(super) to: u64,
}

/// An output that is being written by this process.
#[derive(Debug)]
pub(super) struct Output {
    /// Tells it from an earlier one of that name.
    pub(super) serial: u64,
    /// It is read back and never uploaded in parts.
    pub(super) aside: bool,
    /// What went up stays on the local disk too, to be read.
    copied: bool,
    pub(super) upload: Option<String>,
    pub(super) parts: Vec<Part>,
    parts_bytes: u64,
    pub(super) tail: Extent,
    pieces: Vec<Piece>,
    mark: u64,
    /// What was settled of it, the latest first: two states, or one if it has not changed in between.
    pub(super) states: Vec<State>,
}

impl Output {
    pub(super) fn new(serial: u64, aside: bool, spool: &Arc<PageSpool>) -> Self {
        Self {
            serial,
            aside,
            copied: false,
            upload: None,
            parts: Vec::new(),
            parts_bytes: 0,
            tail: Extent::new(spool),
            pieces: Vec::new(),
            mark: 0,
            states: Vec::new(),
        }
    }

    /// The same, and what goes up stays on the local disk if asked.
    pub(super) fn copied(self, copied: bool) -> Self {
        Self { copied, ..self }
    }

    pub(super) fn length(&self) -> u64 {
        self.parts_bytes + self.tail.bytes()
    }

    pub(super) fn tail_start(&self) -> u64 {
        self.parts_bytes
    }

    /// Makes the tail a part, which has to go up.
    pub(super) fn close_tail(&mut self, spool: &Arc<PageSpool>) -> (usize, Arc<Extent>) {
        let extent = Arc::new(std::mem::replace(&mut self.tail, Extent::new(spool)));
        let pieces = std::mem::take(&mut self.pieces);
        self.parts_bytes += extent.bytes();
        let part = Part { bytes: extent.bytes(), id: None, extent: Some(Arc::clone(&extent)), pieces };
        self.parts.push(part);
        (self.parts.len() - 1, extent)
    }

    /// A part is in the store. Its bytes are let go unless the mark lies within them, or they are to be read.
    pub(super) fn uploaded(&mut self, index: usize, id: String) {
        let marked = self.marked_part();
        if let Some(part) = self.parts.get_mut(index) {
            part.id = Some(id);
            if marked != Some(index) && !self.copied {
                (part.extent, part.pieces) = (None, Vec::new());
            }
        }
    }

    /// The part that a byte lies in and where it begins; one more than there are for the tail.
    fn part_of(&self, at: u64) -> (usize, u64) {
        part_of(self.parts.iter().map(|part| part.bytes), at)
    }

    /// The part that the mark cuts in two, if it cuts one.
    fn marked_part(&self) -> Option<usize> {
        let (index, start) = self.part_of(self.mark);
        (index < self.parts.len() && start < self.mark).then_some(index)
    }

    /// Notes the present length as the one to go back to.
    pub(super) fn mark(&mut self) {
        self.set_mark(self.length());
    }

    /// The output is at a length that was marked, unless it is known to be so already.
    pub(super) fn narrow_mark(&mut self, mark: u64) {
        let (_, start) = self.part_of(mark);
        let is_kept = mark >= self.parts_bytes || start == mark || mark == self.mark;
        self.set_mark(if is_kept { mark } else { self.length() });
    }

    fn set_mark(&mut self, mark: u64) {
        self.mark = mark;
        if self.copied {
            return;
        }
        let marked = self.marked_part();
        for (index, part) in self.parts.iter_mut().enumerate() {
            if part.id.is_some() && marked != Some(index) {
                (part.extent, part.pieces) = (None, Vec::new());
            }
        }
    }

    /// Cuts it back. No part may be on its way.
    pub(super) fn truncate(&mut self, name: &str, to: u64, spool: &Arc<PageSpool>) -> io::Result<()> {
        if to > self.length() {
            return Err(beyond_the_end(name, to, self.length()));
        }
        let (index, start) = self.part_of(to);
        if index == self.parts.len() {
            self.tail.truncate(to - start);
            self.pieces = cut(&self.pieces, to);
        } else if start == to {
            (self.tail, self.pieces) = (Extent::new(spool), Vec::new());
        } else {
            let extent = self.parts[index].extent.as_ref().ok_or_else(|| not_marked(name, to))?;
            self.tail = extent.beginning(to - start)?;
            self.pieces = cut(&self.parts[index].pieces, to);
        }
        self.parts.truncate(index);
        self.parts_bytes = start;
        // Other bytes may come to stand behind it; but whoever noted the mark may need what lies before.
        let states = std::mem::take(&mut self.states).into_iter();
        let bounds = || self.parts.iter().map(|part| part.bytes);
        self.states = states.filter_map(|state| state.within(to, bounds())).collect();
        self.set_mark(self.mark.min(to));
        Ok(())
    }

    /// Reads what was not uploaded in parts, or of which there is a copy.
    pub(super) fn read_at(&self, name: &str, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        if let Some(offset) = offset.checked_sub(self.parts_bytes) {
            return self.tail.read_at(offset, into);
        }
        let (index, start) = self.part_of(offset);
        let copy = self.parts[index].extent.as_ref().filter(|_| self.copied);
        copy.ok_or_else(|| not_read_back(name))?.read_at(offset - start, into)
    }

    /// What no pack holds yet of what another process would need: the tail, and the part that the mark lies in up to there.
    pub(super) fn missing(&self) -> Vec<Missing> {
        let covered = |pieces: &[Piece], start: u64| pieces.last().map_or(start, Piece::end);
        let tail = Missing {
            part: self.parts.len(),
            from: covered(&self.pieces, self.parts_bytes),
            to: self.length(),
        };
        let marked = self.marked_part().map(|part| {
            let (_, start) = self.part_of(self.mark);
            Missing { part, from: covered(&self.parts[part].pieces, start), to: self.mark }
        });
        marked.into_iter().chain([tail]).filter(|missing| missing.from < missing.to).collect()
    }

    /// Appends the bytes of a missing range, or of its beginning; returns how many.
    pub(super) fn read_missing(&self, missing: Missing, most: u64, onto: &mut Vec<u8>) -> io::Result<u64> {
        let bytes = (missing.to - missing.from).min(most);
        match self.parts.get(missing.part) {
            None => self.tail.read_onto(missing.from - self.parts_bytes, bytes, onto)?,
            Some(part) => {
                let extent = part.extent.as_ref().ok_or(io::ErrorKind::NotFound)?;
                extent.read_onto(missing.from - self.part_of(missing.from).1, bytes, onto)?;
            }
        }
        Ok(bytes)
    }

    /// A pack holds what follows behind the pieces that lie in packs already.
    pub(super) fn packed(&mut self, part: usize, piece: Piece) {
        let pieces = match self.parts.get_mut(part) {
            Some(part) => &mut part.pieces,
            None => &mut self.pieces,
        };
        pieces.push(piece);
    }

    /// Forgets which packs hold its bytes: all are packed anew.
    pub(super) fn unpack(&mut self) {
        self.pieces.clear();
        let marked = self.marked_part();
        if let Some(part) = marked.and_then(|index| self.parts.get_mut(index)) {
            part.pieces.clear();
        }
    }

    /// What the journal says of it, once nothing is missing.
    pub(super) fn state(&self) -> State {
        let marked = self.marked_part().map(|index| cut(&self.parts[index].pieces, self.mark));
        State {
            length: self.length(),
            mark: self.mark,
            parts: self.parts.len(),
            tail: self.pieces.clone(),
            marked: marked.unwrap_or_default(),
        }
    }

    /// Keeps what was settled now, and what was settled the time before.
    pub(super) fn settled(&mut self) {
        let now = self.state();
        self.states.truncate(1);
        if self.states.first() != Some(&now) {
            self.states.insert(0, now);
        }
    }
}

fn part_of(parts: impl Iterator<Item = u64>, at: u64) -> (usize, u64) {
    let (mut start, mut index) = (0, 0);
    for bytes in parts {
        if at < start + bytes {
            break;
        }
        start += bytes;
        index += 1;
    }
    (index, start)
}

fn not_marked(name: &str, to: u64) -> io::Error {
    let why = format!("{name} cannot be cut back to {to} bytes: that length was not marked");
    io::Error::new(io::ErrorKind::Unsupported, why)
}

pub(super) fn not_read_back(name: &str) -> io::Error {
    let why = format!("{name} is being uploaded and cannot be read back");
    io::Error::new(io::ErrorKind::Unsupported, why)
}

/// An output that an earlier process left: as the journal has it.
#[derive(Clone, Debug)]
pub(super) struct Left {
    pub(super) aside: bool,
    pub(super) upload: Option<String>,
    /// Length and the store's word of each part.
    pub(super) parts: Vec<(u64, String)>,
    /// The latest first.
    pub(super) states: Vec<State>,
}

/// How to take up an output that was left.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Way {
    /// How many parts stay.
    parts: usize,
    mark: u64,
    /// What the tail is made of, and the part that the mark lies in, up to there.
    pub(super) tail: Vec<Piece>,
    pub(super) marked: Vec<Piece>,
}

impl Left {
    pub(super) fn length(&self) -> u64 {
        self.states.iter().map(|state| state.length).max().unwrap_or(0)
    }

    fn part_of(&self, at: u64) -> (usize, u64) {
        part_of(self.parts.iter().map(|(bytes, _)| *bytes), at)
    }

    /// The way to a length and a mark, if there is one.
    pub(super) fn way_to(&self, length: u64, mark: u64) -> Option<Way> {
        let (parts, start) = self.part_of(length);
        let tail = self.pieces_to(length).filter(|_| mark <= length && length <= self.length())?;
        // A mark in the tail needs nothing of its own.
        let marked = if mark < start { self.pieces_to(mark)? } else { Vec::new() };
        Some(Way { parts, mark, tail, marked })
    }

    /// Where the bytes of the part that a position lies in are found, up to there.
    fn pieces_to(&self, at: u64) -> Option<Vec<Piece>> {
        let (_, start) = self.part_of(at);
        let lists = self.states.iter().flat_map(|state| [&state.tail, &state.marked]);
        let reaches = |pieces: &&Vec<Piece>| {
            pieces.first().is_some_and(|piece| piece.from == start)
                && pieces.last().is_some_and(|piece| piece.end() >= at)
        };
        if start == at {
            Some(Vec::new())
        } else {
            lists.into_iter().find(reaches).map(|pieces| cut(pieces, at))
        }
    }

    /// The output, once the bytes on the way were fetched.
    pub(super) fn taken_up(self, serial: u64, way: Way, tail: Extent, marked: Option<Extent>) -> Output {
        let Way { parts: count, mark, tail: pieces, marked: marked_pieces } = way;
        let part = |(bytes, id)| Part { bytes, id: Some(id), extent: None, pieces: Vec::new() };
        let parts: Vec<Part> = self.parts.into_iter().take(count).map(part).collect();
        let parts_bytes = parts.iter().map(|part| part.bytes).sum();
        let (aside, upload, states) = (self.aside, self.upload, Vec::new());
        let copied = false;
        let mut output =
            Output { serial, aside, copied, upload, parts, parts_bytes, tail, pieces, mark, states };
        if let (Some(index), Some(extent)) = (output.marked_part(), marked) {
            output.parts[index].extent = Some(Arc::new(extent));
            output.parts[index].pieces = marked_pieces;
        }
        // Nothing but this length is noted anywhere any more.
        output.states = vec![output.state()];
        output
    }
}
