use std::fmt;

use fhirline_core::{CHUNK_BYTES, CHUNK_LINES, Fragment, Lines, MAPPED_BYTES, Position, SourceId};

const LINE_FEED: u8 = b'\n';
const CARRIAGE_RETURN: u8 = b'\r';
const BYTE_ORDER_MARK: [u8; 3] = [0xEF, 0xBB, 0xBF];
/// A line may be followed by CR and LF; both must be in sight before a line can be called too long.
const TERMINATOR_BYTES: usize = 2;

/// The longest line that can be a record: 2 GiB. Offsets within a chunk are 32 bits wide.
pub const MAX_LINE_BYTES: usize = 1 << 31;

/// What waits behind the lines of a chunk is moved to another buffer, unless it is more than this: then the lines are
/// copied out instead, for moving it at every chunk would take quadratic time.
const MOVED_BYTES: usize = if cfg!(test) { 8 } else { 2 * CHUNK_BYTES };

/// What the splitter found.
#[derive(Debug)]
pub enum Framed {
    /// Whole lines.
    Lines(Lines),
    /// A piece of a line that is longer than `max_line_bytes`.
    Oversize(Fragment),
}

/// How large a chunk may become.
///
/// The defaults are the constants of the product; other sizes exist for tests, which must see the same records for any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkSize {
    /// Most bytes in a chunk of more than one line.
    pub max_bytes: usize,
    /// Most lines in a chunk.
    pub max_lines: usize,
}

impl Default for ChunkSize {
    fn default() -> Self {
        Self { max_bytes: CHUNK_BYTES, max_lines: CHUNK_LINES }
    }
}

/// Cuts the decoded bytes of one source into chunks of whole lines.
///
/// Use: [`space`](Self::space), copy or read bytes into it, [`filled`](Self::filled), then [`next`](Self::next) until it
/// returns `None`; at the end [`finish`](Self::finish) and `next` until `None` again.
pub struct LineSplitter {
    max_line_bytes: usize,
    size: ChunkSize,
    /// Where `pending[start]` stands.
    at: Position,
    /// Bytes not handed out yet, from `start` on: whole lines first, then the beginning of an unfinished one. What is
    /// before them was handed out as a copy; the tail behind them is room for reading and holds rubbish.
    pending: Vec<u8>,
    start: usize,
    /// How many bytes are not handed out yet.
    filled: usize,
    /// Ends of the whole lines found so far, from `start`.
    ends: Vec<u32>,
    /// Bytes from `start` on that were searched for a line end.
    searched: usize,
    /// Whether the line behind the last one in `ends` is known to be too long.
    too_long: bool,
    /// Set while the pieces of a line that is too long are handed out.
    oversize: Option<Oversize>,
    begun: bool,
    finished: bool,
    byte_order_mark_bytes: u64,
    spares: Vec<Lines>,
}

struct Oversize {
    line_at: Position,
    offset: u64,
}

impl LineSplitter {
    /// A splitter at the start of a source. Lines longer than `max_line_bytes` (without their line end, at most 2 GiB) come
    /// in pieces.
    #[must_use]
    pub fn new(source: SourceId, max_line_bytes: usize) -> Self {
        Self {
            max_line_bytes: max_line_bytes.clamp(1, MAX_LINE_BYTES),
            size: ChunkSize::default(),
            at: Position::start_of(source),
            pending: Vec::new(),
            start: 0,
            filled: 0,
            ends: Vec::new(),
            searched: 0,
            too_long: false,
            oversize: None,
            begun: false,
            finished: false,
            byte_order_mark_bytes: 0,
            spares: Vec::new(),
        }
    }

    /// With chunks of another size. For tests: the product uses the default.
    #[must_use]
    pub fn with_chunk_size(mut self, size: ChunkSize) -> Self {
        self.size = ChunkSize { max_bytes: size.max_bytes.max(1), max_lines: size.max_lines.max(1) };
        self
    }

    /// Starts anew on another source, keeping the buffers.
    pub fn restart(&mut self, source: SourceId) {
        self.at = Position::start_of(source);
        self.start = 0;
        self.filled = 0;
        self.searched = 0;
        self.ends.clear();
        self.too_long = false;
        self.oversize = None;
        self.begun = false;
        self.finished = false;
        self.byte_order_mark_bytes = 0;
    }

    /// Starts anew in the middle of a source, at the beginning of a line, keeping the buffers.
    pub fn restart_at(&mut self, at: Position) {
        self.restart(at.source);
        self.at = at;
        self.begun = true;
    }

    /// Room to read into; exactly `bytes` long.
    pub fn space(&mut self, bytes: usize) -> &mut [u8] {
        self.compact();
        let end = self.filled + bytes;
        if self.pending.len() < end {
            let wanted = self.buffer_bytes_for(bytes);
            // Lines of 15 MiB could leave three times their number behind.
            let address_space = if wanted > self.size.max_bytes.saturating_add(bytes) {
                wanted.max(MAPPED_BYTES)
            } else {
                wanted
            };
            self.pending.reserve_exact(address_space.saturating_sub(self.pending.len()));
            self.pending.resize(end, 0);
        }
        &mut self.pending[self.filled..end]
    }

    /// How large the buffer is (or will be made) for a [`space`](Self::space) of `bytes`: what it costs to ask for it.
    ///
    /// A buffer has one of two sizes, a chunk or the longest line, each with room for a read; it is never grown by steps,
    /// so growing it never holds two copies of a long line.
    #[must_use]
    pub fn buffer_bytes_for(&self, bytes: usize) -> usize {
        let end = self.filled + bytes;
        let chunk = self.size.max_bytes.saturating_add(bytes);
        let longest = self.max_line_bytes.saturating_add(TERMINATOR_BYTES + bytes);
        if end <= chunk { chunk } else { longest.max(end) }
    }

    /// Says that the first `bytes` of the [`space`](Self::space) now hold input.
    ///
    /// # Panics
    /// If more is claimed than the space was long.
    pub fn filled(&mut self, bytes: usize) {
        assert!(self.filled + bytes <= self.pending.len(), "claimed more bytes than there was space");
        self.filled += bytes;
    }

    /// Says that the source has ended: what is pending is all there is.
    pub fn finish(&mut self) {
        self.finished = true;
    }

    /// Says that the source broke off: only whole lines count, and what is behind the last of them is dropped. Returns how
    /// many bytes that were, without those of a line whose pieces were handed out already.
    pub fn break_off(&mut self) -> usize {
        self.oversize = None;
        let whole = memchr::memrchr(LINE_FEED, self.pending()).map_or(0, |at| at + 1);
        let dropped = self.filled - whole;
        self.filled = whole;
        self.searched = self.searched.min(whole);
        self.too_long &= whole > 0;
        self.finished = true;
        dropped
    }

    /// Drops all that is held, and says how many bytes that were.
    pub fn discard(&mut self) -> usize {
        self.ends.clear();
        self.too_long = false;
        self.oversize = None;
        self.searched = 0;
        self.finished = true;
        std::mem::take(&mut self.filled)
    }

    /// Hands over all that is held, in the buffer in which it is: nothing is framed any more.
    pub fn take_pending(&mut self) -> Vec<u8> {
        let filled = self.discard();
        let mut bytes = std::mem::take(&mut self.pending);
        let start = std::mem::take(&mut self.start);
        bytes.truncate(start + filled);
        bytes.drain(..start);
        bytes
    }

    /// Bytes of input held now, waiting for the end of a line or of a chunk.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.filled
    }

    /// Where the next byte that was not handed out stands.
    #[must_use]
    pub fn position(&self) -> Position {
        self.at
    }

    /// Length of the byte order mark that stood at the start of the source: 3 or 0.
    #[must_use]
    pub fn byte_order_mark_bytes(&self) -> u64 {
        self.byte_order_mark_bytes
    }

    /// Bytes held, as far as they were filled: what a format probe looks at before anything is handed out.
    #[must_use]
    pub fn pending(&self) -> &[u8] {
        &self.pending[self.start..][..self.filled]
    }

    /// Whether so much is held behind the chunk handed out last that its lines were copied, and the buffer stayed.
    #[must_use]
    pub fn keeps_buffer(&self) -> bool {
        self.filled > MOVED_BYTES
    }

    /// Takes back the buffers of a chunk that was worked off, so that the next one need not allocate.
    pub fn recycle(&mut self, lines: Lines) {
        // The old bytes stay in place: they are written over, and clearing would mean zeroing them once more.
        self.spares.push(lines);
    }

    /// Gives the memory of buffers that were taken back to the allocator.
    pub fn drop_spares(&mut self) {
        self.spares.clear();
    }

    /// The next chunk or piece, or `None` if more input is needed (or, after [`finish`](Self::finish), nothing is left).
    #[expect(clippy::should_implement_trait, reason = "`None` is not the end: input may follow")]
    pub fn next(&mut self) -> Option<Framed> {
        if !self.take_byte_order_mark() {
            return None;
        }
        if self.oversize.is_none() {
            self.search();
            if let Some(count) = self.full_lines() {
                return Some(Framed::Lines(self.take_lines(count)));
            }
            if !(self.too_long && self.ends.is_empty()) {
                return None;
            }
            self.too_long = false;
            self.searched = 0;
            self.compact();
            self.oversize = Some(Oversize { line_at: self.at, offset: 0 });
        }
        self.next_fragment().map(Framed::Oversize)
    }

    /// Whether the start of the source is settled, taking a byte order mark off it.
    fn take_byte_order_mark(&mut self) -> bool {
        if self.begun {
            return true;
        }
        let head = &self.pending[..self.filled.min(BYTE_ORDER_MARK.len())];
        let undecided = head.len() < BYTE_ORDER_MARK.len() && BYTE_ORDER_MARK.starts_with(head);
        if undecided && !self.finished {
            return false;
        }
        self.begun = true;
        if head == BYTE_ORDER_MARK {
            self.byte_order_mark_bytes = BYTE_ORDER_MARK.len() as u64;
            self.pending.copy_within(BYTE_ORDER_MARK.len()..self.filled, 0);
            self.filled -= BYTE_ORDER_MARK.len();
            self.at = self.at.advanced(self.byte_order_mark_bytes, 0);
        }
        true
    }

    /// Finds the ends of lines, as far as one chunk needs them, and whether a line is too long.
    fn search(&mut self) {
        if self.too_long {
            return;
        }
        let held = &self.pending[self.start..][..self.filled];
        let from = self.searched;
        let mut start = self.ends.last().map_or(0, |&end| end as usize);
        for found in memchr::memchr_iter(LINE_FEED, &held[from..]) {
            let end = from + found + 1;
            if content_length(&held[start..end]) > self.max_line_bytes {
                self.too_long = true;
                return;
            }
            self.ends.push(end as u32);
            (self.searched, start) = (end, end);
            if self.ends.len() >= self.size.max_lines || end > self.size.max_bytes {
                return;
            }
        }
        self.searched = self.filled;
        let tail = self.filled - start;
        if tail >= self.max_line_bytes + TERMINATOR_BYTES || (self.finished && tail > self.max_line_bytes) {
            self.too_long = true;
        } else if self.finished && tail > 0 {
            self.ends.push(self.filled as u32);
        }
    }

    /// How many of the lines found make a chunk that no further input can make larger.
    fn full_lines(&self) -> Option<usize> {
        let within = self.ends.partition_point(|&end| end as usize <= self.size.max_bytes);
        let fitting = within.min(self.size.max_lines);
        let full = fitting < self.ends.len()
            || fitting == self.size.max_lines
            || self.filled > self.size.max_bytes
            || self.too_long
            || self.finished;
        let count = if fitting == 0 { self.ends.len().min(1) } else { fitting };
        (full && count > 0).then_some(count)
    }

    /// Hands out the first `count` lines; what is behind them moves to the front of a fresh buffer, unless it is much.
    fn take_lines(&mut self, count: usize) -> Lines {
        let end = self.ends[count - 1] as usize;
        if self.filled - end > MOVED_BYTES {
            return self.copy_lines(count, end);
        }
        self.compact();
        let mut fresh = self.fresh(end);
        fresh.ends.extend(self.ends[count..].iter().map(|&later| later - end as u32));
        let mut lines = Lines { at: self.at, bytes: fresh.bytes, ends: fresh.ends };
        std::mem::swap(&mut lines.bytes, &mut self.pending);
        std::mem::swap(&mut lines.ends, &mut self.ends);
        lines.bytes.truncate(end);
        lines.ends.truncate(count);
        self.moved_on(end, count as u64);
        lines
    }

    /// Hands out a copy of the first `count` lines, which end at `end`.
    fn copy_lines(&mut self, count: usize, end: usize) -> Lines {
        let mut lines = self.spares.pop().unwrap_or_default();
        lines.at = self.at;
        lines.bytes.clear();
        lines.bytes.extend_from_slice(&self.pending()[..end]);
        lines.ends.clear();
        lines.ends.extend(self.ends.drain(..count));
        self.ends.iter_mut().for_each(|later| *later -= end as u32);
        self.start += end;
        self.moved_on(end, count as u64);
        lines
    }

    /// Moves what is held to the front of the buffer.
    fn compact(&mut self) {
        if self.start > 0 {
            self.pending.copy_within(self.start..self.start + self.filled, 0);
            self.start = 0;
        }
    }

    /// A buffer that begins with what stands in `pending` from `end` on.
    fn fresh(&mut self, end: usize) -> Lines {
        let mut fresh = self.spares.pop().unwrap_or_default();
        let rest = &self.pending[end..self.filled];
        if fresh.bytes.len() < rest.len() {
            fresh.bytes.resize(rest.len(), 0);
        }
        fresh.bytes[..rest.len()].copy_from_slice(rest);
        fresh.ends.clear();
        fresh
    }

    fn moved_on(&mut self, bytes: usize, lines: u64) {
        self.filled -= bytes;
        self.searched = self.searched.saturating_sub(bytes);
        self.at = self.at.advanced(bytes as u64, lines);
    }

    /// The next piece of the line that is too long. Pieces are as long as the limit first and then as long as a chunk, so
    /// that they depend on the content only.
    fn next_fragment(&mut self) -> Option<Fragment> {
        let oversize = self.oversize.as_ref()?;
        let piece = if oversize.offset == 0 { self.max_line_bytes } else { self.size.max_bytes };
        let in_sight = self.filled.min(piece + TERMINATOR_BYTES);
        let from = self.searched.min(in_sight);
        let found = memchr::memchr(LINE_FEED, &self.pending[from..in_sight]).map(|at| from + at + 1);
        self.searched = in_sight;
        let content = match found {
            Some(end) => content_length(&self.pending[..end]),
            None if in_sight == piece + TERMINATOR_BYTES || self.finished => in_sight,
            None => return None,
        };
        let last = content <= piece && (found.is_some() || self.finished);
        let bytes = content.min(piece);
        let terminator = found.filter(|_| last).map_or(0, |end| end - bytes);
        Some(self.take_fragment(bytes, terminator, last))
    }

    fn take_fragment(&mut self, bytes: usize, terminator: usize, last: bool) -> Fragment {
        let fresh = self.fresh(bytes + terminator);
        let mut taken = std::mem::replace(&mut self.pending, fresh.bytes);
        taken.truncate(bytes);
        self.moved_on(bytes + terminator, u64::from(last));
        self.searched = 0;
        let (line_at, offset) =
            self.oversize.as_ref().map_or((self.at, 0), |line| (line.line_at, line.offset));
        self.oversize = (!last).then_some(Oversize { line_at, offset: offset + bytes as u64 });
        Fragment { line_at, offset, bytes: taken, last, terminator_bytes: terminator as u8 }
    }
}

impl fmt::Debug for LineSplitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LineSplitter")
            .field("at", &self.at)
            .field("held_bytes", &self.filled)
            .finish_non_exhaustive()
    }
}

/// Length of a line without its line end: LF, and the one CR right before it.
fn content_length(line: &[u8]) -> usize {
    match line {
        [content @ .., CARRIAGE_RETURN, LINE_FEED] | [content @ .., LINE_FEED] => content.len(),
        content => content.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SMALL: ChunkSize = ChunkSize { max_bytes: 16, max_lines: 4 };

    /// What is left of a framing when the buffers are forgotten: for lines their position, bytes and ends; for pieces
    /// their place, bytes, and how the line ends.
    #[derive(Debug, PartialEq, Eq)]
    enum Seen {
        Lines(Position, Vec<u8>, Vec<u32>),
        Piece(Position, u64, Vec<u8>, bool, u8),
    }

    fn seen(framed: Framed) -> Seen {
        match framed {
            Framed::Lines(lines) => Seen::Lines(lines.at, lines.bytes, lines.ends),
            Framed::Oversize(piece) => {
                Seen::Piece(piece.line_at, piece.offset, piece.bytes, piece.last, piece.terminator_bytes)
            }
        }
    }

    fn split_at(input: &[u8], cuts: &[usize], size: ChunkSize, max_line_bytes: usize) -> Vec<Seen> {
        let mut splitter = LineSplitter::new(SourceId(7), max_line_bytes).with_chunk_size(size);
        let mut all = Vec::new();
        let mut from = 0;
        for cut in cuts.iter().copied().chain([input.len()]) {
            let step = &input[from..cut.max(from)];
            splitter.space(step.len() + 3)[..step.len()].copy_from_slice(step);
            splitter.filled(step.len());
            from += step.len();
            drain(&mut splitter, &mut all);
        }
        splitter.finish();
        drain(&mut splitter, &mut all);
        assert_eq!(splitter.held_bytes(), 0);
        all
    }

    fn drain(splitter: &mut LineSplitter, all: &mut Vec<Seen>) {
        while let Some(framed) = splitter.next() {
            all.push(seen(framed));
        }
    }

    /// The slow, obvious way: split on 0x0A, gather greedily.
    fn oracle(input: &[u8], size: ChunkSize, max_line_bytes: usize) -> Vec<Seen> {
        let mark = if input.starts_with(&BYTE_ORDER_MARK) { 3 } else { 0 };
        let mut at = Position { source: SourceId(7), byte: mark as u64, line: 1 };
        let (mut all, mut open) = (Vec::new(), Vec::<&[u8]>::new());
        let mut open_at = at;
        for line in input[mark..].split_inclusive(|&byte| byte == LINE_FEED) {
            let bytes: usize = open.iter().map(|line| line.len()).sum();
            let too_long = content_length(line) > max_line_bytes;
            if !open.is_empty()
                && (too_long || open.len() == size.max_lines || bytes + line.len() > size.max_bytes)
            {
                all.push(lines_of(open_at, &std::mem::take(&mut open)));
            }
            if too_long {
                all.extend(pieces_of(at, line, size, max_line_bytes));
            } else {
                if open.is_empty() {
                    open_at = at;
                }
                open.push(line);
            }
            at = at.advanced(line.len() as u64, 1);
        }
        if !open.is_empty() {
            all.push(lines_of(open_at, &open));
        }
        all
    }

    fn lines_of(at: Position, lines: &[&[u8]]) -> Seen {
        let ends = lines.iter().scan(0, |end, line| {
            *end += line.len() as u32;
            Some(*end)
        });
        Seen::Lines(at, lines.concat(), ends.collect())
    }

    fn pieces_of(at: Position, line: &[u8], size: ChunkSize, max_line_bytes: usize) -> Vec<Seen> {
        let content = content_length(line);
        let (mut all, mut offset) = (Vec::new(), 0);
        while offset < content {
            let piece = if offset == 0 { max_line_bytes } else { size.max_bytes }.min(content - offset);
            let last = offset + piece == content;
            let terminator = if last { line.len() - content } else { 0 };
            let bytes = line[offset..offset + piece].to_vec();
            all.push(Seen::Piece(at, offset as u64, bytes, last, terminator as u8));
            offset += piece;
        }
        all
    }

    #[test]
    fn lines_end_at_line_feeds_only() {
        let input = "a\u{2028}b\u{85}c\rd\n\ne".as_bytes();
        let [Seen::Lines(at, bytes, ends)] = &split_at(input, &[], ChunkSize::default(), 100)[..] else {
            panic!("one chunk")
        };
        assert_eq!((at.line, at.byte), (1, 0));
        assert_eq!(bytes, input);
        assert_eq!(ends, &[11, 12, 13]);
    }

    #[test]
    fn only_the_first_byte_order_mark_is_taken() {
        let input = b"\xEF\xBB\xBF\xEF\xBB\xBFx";
        let all = split_at(input, &[1, 2], ChunkSize::default(), 100);
        let at = Position { source: SourceId(7), byte: 3, line: 1 };
        assert_eq!(all, [Seen::Lines(at, b"\xEF\xBB\xBFx".to_vec(), vec![4])]);
    }

    #[test]
    fn half_a_byte_order_mark_is_content() {
        let all = split_at(b"\xEF\xBB", &[1], ChunkSize::default(), 100);
        assert_eq!(all, [Seen::Lines(Position::start_of(SourceId(7)), b"\xEF\xBB".to_vec(), vec![2])]);
    }

    #[test]
    fn the_line_end_does_not_count_towards_the_limit() {
        for (input, whole) in [(&b"12345678\r\nx"[..], true), (b"123456789\n", false), (b"12345678\n", true)]
        {
            let all = split_at(input, &[], SMALL, 8);
            assert_eq!(matches!(all[0], Seen::Lines(..)), whole, "{} bytes", input.len());
        }
    }

    #[test]
    fn a_source_that_broke_off_gives_its_whole_lines() {
        for (held, whole) in
            [(&b"one\ntwo\nthr"[..], 8), (b"none", 0), (b"far too long for the limit", 0), (b"all\n", 4)]
        {
            let mut splitter = LineSplitter::new(SourceId(7), 10);
            splitter.space(held.len()).copy_from_slice(held);
            splitter.filled(held.len());
            assert_eq!(splitter.break_off(), held.len() - whole);
            let mut bytes = 0;
            while let Some(Framed::Lines(lines)) = splitter.next() {
                bytes += lines.bytes.len();
            }
            assert_eq!(bytes, whole);
        }
    }

    #[test]
    fn a_line_in_pieces_that_broke_off_has_no_last_piece() {
        let mut splitter = LineSplitter::new(SourceId(7), 4).with_chunk_size(SMALL);
        let held = b"far too long for the limit";
        splitter.space(held.len()).copy_from_slice(held);
        splitter.filled(held.len());
        let mut handed_out = 0;
        while let Some(Framed::Oversize(piece)) = splitter.next() {
            assert!(!piece.last);
            handed_out += piece.bytes.len();
        }
        assert!(handed_out > 0);
        assert_eq!(splitter.break_off(), held.len() - handed_out);
        assert!(splitter.next().is_none());
    }

    #[test]
    fn a_source_gone_on_with_has_no_byte_order_mark() {
        let mut splitter = LineSplitter::new(SourceId(0), 100);
        let at = Position { source: SourceId(7), byte: 50, line: 5 };
        splitter.restart_at(at);
        splitter.space(4).copy_from_slice(b"\xEF\xBB\xBF\n");
        splitter.filled(4);
        splitter.finish();
        let Some(Framed::Lines(lines)) = splitter.next() else { panic!("one line") };
        assert_eq!((lines.at, lines.bytes.len()), (at, 4));
        assert_eq!(splitter.byte_order_mark_bytes(), 0);
    }

    /// As after a search through many blank lines for the first that is none.
    #[test]
    fn much_that_is_held_is_cut_like_little() {
        let mut input = b"\n".repeat(100);
        input.extend_from_slice(b"{\"a\":1}\r\nlonger than the limit, by far\n\n\nlast");
        for recycled in [false, true] {
            let mut splitter = LineSplitter::new(SourceId(7), 20).with_chunk_size(SMALL);
            splitter.space(input.len()).copy_from_slice(&input);
            splitter.filled(input.len());
            splitter.finish();
            let mut all = Vec::new();
            while let Some(framed) = splitter.next() {
                match framed {
                    Framed::Lines(lines) if recycled => {
                        all.push(Seen::Lines(lines.at, lines.bytes.clone(), lines.ends.clone()));
                        splitter.recycle(lines);
                    }
                    other => all.push(seen(other)),
                }
            }
            assert_eq!(all, oracle(&input, SMALL, 20));
        }
    }

    #[test]
    fn a_recycled_buffer_brings_nothing_with_it() {
        let mut splitter = LineSplitter::new(SourceId(7), 100).with_chunk_size(SMALL);
        let mut all = Vec::new();
        for line in [&b"a long first line\n"[..], b"short\n", b"x\n"] {
            splitter.space(line.len()).copy_from_slice(line);
            splitter.filled(line.len());
            splitter.finish();
            while let Some(Framed::Lines(lines)) = splitter.next() {
                all.push(lines.bytes.clone());
                splitter.recycle(lines);
            }
        }
        assert_eq!(all, [&b"a long first line\n"[..], b"short\n", b"x\n"]);
    }

    fn texts() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![
            4 => Just(b'a'), 2 => Just(LINE_FEED), 1 => Just(CARRIAGE_RETURN), 1 => Just(b' '), 1 => any::<u8>()
        ];
        let mark = prop_oneof![Just(vec![]), Just(BYTE_ORDER_MARK.to_vec()), Just(vec![0xEF])];
        (mark, prop::collection::vec(byte, 0..200)).prop_map(|(mark, rest)| [mark, rest].concat())
    }

    proptest! {
        #[test]
        fn any_cut_gives_what_the_oracle_gives(
            input in texts(),
            mut cuts in prop::collection::vec(0usize..200, 0..20),
            (max_bytes, max_lines, max_line_bytes) in (1usize..40, 1usize..6, 1usize..60),
        ) {
            cuts.retain(|&cut| cut <= input.len());
            cuts.sort_unstable();
            let size = ChunkSize { max_bytes, max_lines };
            prop_assert_eq!(split_at(&input, &cuts, size, max_line_bytes), oracle(&input, size, max_line_bytes));
        }

        #[test]
        fn every_single_cut_and_every_byte_alone_give_the_same(input in texts(), max_line_bytes in 1usize..60) {
            let whole = oracle(&input, SMALL, max_line_bytes);
            for cut in 0..=input.len() {
                prop_assert_eq!(&split_at(&input, &[cut], SMALL, max_line_bytes), &whole);
            }
            let bytes: Vec<usize> = (0..input.len()).collect();
            prop_assert_eq!(&split_at(&input, &bytes, SMALL, max_line_bytes), &whole);
        }
    }
}
