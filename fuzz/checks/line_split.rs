//! Lines come out the same however the bytes come in, and as the slow, obvious way would have them.

use fhirline_core::{Position, SourceId};
use fhirline_line_split::{ChunkSize, Framed, LineSplitter};

use super::choices::{Choices, pieces};

const SOURCE: SourceId = SourceId(3);
const MARK: &[u8] = b"\xEF\xBB\xBF";

/// Texts up to this length are also cut at every byte, and at each single place.
const SHORT: usize = 20;

pub(crate) fn check(input: &[u8]) {
    let mut choices = Choices::new(input);
    let flags = choices.flags();
    let plan = Plan {
        max_line_bytes: choices.size(),
        size: ChunkSize { max_bytes: choices.size(), max_lines: choices.size() },
        spare_room: usize::from(choices.byte()),
        gone_on_from: choices.size(),
        recycled: flags[0],
        used_before: flags[1],
    };
    let cuts = choices.cuts();
    let text = choices.rest();

    let all = plan.slowly(text);
    plan.check_whole(text, &cuts, &all);
    plan.check_whole(text, &[usize::MAX], &all);
    plan.check_broken_off(text, &cuts, &all);
    plan.check_gone_on(text, &cuts, &all);
    if text.len() <= SHORT {
        plan.check_whole(text, &[1], &all);
        (1..text.len()).for_each(|cut| plan.check_whole(text, &[cut, usize::MAX], &all));
    }
}

/// What is left of a framing when the buffers are forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Lines { at: Position, bytes: Vec<u8>, ends: Vec<u32> },
    Piece { at: Position, offset: u64, bytes: Vec<u8>, last: bool, terminator_bytes: u8 },
}

struct Plan {
    max_line_bytes: usize,
    size: ChunkSize,
    /// Room that is asked for and not used.
    spare_room: usize,
    /// Which chunk or long line another splitter goes on from.
    gone_on_from: usize,
    recycled: bool,
    /// Whether the splitter has read another source before.
    used_before: bool,
}

impl Plan {
    fn check_whole(&self, text: &[u8], cuts: &[usize], all: &[Seen]) {
        let mut splitter = self.splitter(text);
        let mut seen = self.feed(&mut splitter, text, cuts);
        splitter.finish();
        self.drain(&mut splitter, &mut seen);
        assert_eq!(seen, all);
        assert_eq!((splitter.held_bytes(), splitter.position().byte), (0, text.len() as u64));
        let mark = if text.starts_with(MARK) { 3 } else { 0 };
        assert_eq!(splitter.byte_order_mark_bytes(), mark);
    }

    /// A source that broke off gives its whole lines, and maybe pieces of a long one; the rest is counted.
    fn check_broken_off(&self, text: &[u8], cuts: &[usize], all: &[Seen]) {
        let mut splitter = self.splitter(text);
        let mut seen = self.feed(&mut splitter, text, cuts);
        let dropped = splitter.break_off();
        self.drain(&mut splitter, &mut seen);
        let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let lines = self.slowly(&text[..whole]);
        assert_eq!(seen[..lines.len()], lines);
        for (place, piece) in seen.iter().enumerate().skip(lines.len()) {
            assert!(matches!(piece, Seen::Piece { last: false, .. }), "{piece:?}");
            assert_eq!(Some(piece), all.get(place));
        }
        assert_eq!(splitter.position().byte + dropped as u64, text.len() as u64);
        assert_eq!(splitter.held_bytes(), 0);
    }

    /// Whoever goes on from the start of a chunk or of a long line finds what comes then.
    fn check_gone_on(&self, text: &[u8], cuts: &[usize], all: &[Seen]) {
        let starts = |seen: &Seen| match seen {
            Seen::Lines { at, .. } | Seen::Piece { at, offset: 0, .. } => Some(*at),
            Seen::Piece { .. } => None,
        };
        let places: Vec<(usize, Position)> =
            all.iter().enumerate().filter_map(|(place, seen)| Some((place, starts(seen)?))).collect();
        let Some((place, at)) = places.get(self.gone_on_from % places.len().max(1)) else { return };
        let mut splitter = self.splitter(text);
        splitter.restart_at(*at);
        let mut seen = self.feed(&mut splitter, &text[at.byte as usize..], cuts);
        splitter.finish();
        self.drain(&mut splitter, &mut seen);
        assert_eq!(seen, all[*place..]);
    }

    fn splitter(&self, text: &[u8]) -> LineSplitter {
        let mut splitter = LineSplitter::new(SOURCE, self.max_line_bytes).with_chunk_size(self.size);
        if self.used_before {
            self.feed(&mut splitter, &text[text.len() / 2..], &[7]);
            splitter.restart(SOURCE);
        }
        splitter
    }

    fn feed(&self, splitter: &mut LineSplitter, text: &[u8], cuts: &[usize]) -> Vec<Seen> {
        let mut seen = Vec::new();
        for piece in pieces(text, cuts) {
            let room = piece.len() + self.spare_room;
            assert!(splitter.buffer_bytes_for(room) >= splitter.held_bytes() + room);
            let space = splitter.space(room);
            assert_eq!(space.len(), room);
            space[..piece.len()].copy_from_slice(piece);
            splitter.filled(piece.len());
            self.drain(splitter, &mut seen);
            let most = self.max_line_bytes.max(self.size.max_bytes) + 1;
            assert!(splitter.held_bytes() <= most, "{} bytes held", splitter.held_bytes());
        }
        seen
    }

    fn drain(&self, splitter: &mut LineSplitter, seen: &mut Vec<Seen>) {
        while let Some(framed) = splitter.next() {
            seen.push(match framed {
                Framed::Lines(lines) => {
                    let (bytes, ends) = (lines.bytes.clone(), lines.ends.clone());
                    let found = Seen::Lines { at: lines.at, bytes, ends };
                    if self.recycled {
                        splitter.recycle(lines);
                    }
                    found
                }
                Framed::Oversize(piece) => Seen::Piece {
                    at: piece.line_at,
                    offset: piece.offset,
                    bytes: piece.bytes,
                    last: piece.last,
                    terminator_bytes: piece.terminator_bytes,
                },
            });
        }
    }

    /// Split on 0x0A, gather greedily.
    fn slowly(&self, text: &[u8]) -> Vec<Seen> {
        let mark = if text.starts_with(MARK) { MARK.len() } else { 0 };
        let (mut all, mut open) = (Vec::new(), Vec::<&[u8]>::new());
        let mut at = Position { source: SOURCE, byte: mark as u64, line: 1 };
        let mut open_at = at;
        for line in text[mark..].split_inclusive(|&byte| byte == b'\n') {
            let too_long = content(line).len() > self.max_line_bytes;
            if too_long || !self.has_room(&open, line) {
                all.extend(gathered(open_at, &mut open));
            }
            if too_long {
                all.extend(self.pieces_of(at, line));
            } else {
                open_at = if open.is_empty() { at } else { open_at };
                open.push(line);
            }
            at = at.advanced(line.len() as u64, 1);
        }
        all.extend(gathered(open_at, &mut open));
        all
    }

    fn has_room(&self, open: &[&[u8]], line: &[u8]) -> bool {
        let bytes: usize = open.iter().map(|line| line.len()).sum();
        open.is_empty() || (open.len() < self.size.max_lines && bytes + line.len() <= self.size.max_bytes)
    }

    fn pieces_of(&self, at: Position, line: &[u8]) -> Vec<Seen> {
        let content = content(line);
        let (first, later) = content.split_at(self.max_line_bytes);
        let mut offset = 0;
        let piece = |bytes: &[u8]| {
            let found = offset;
            offset += bytes.len() as u64;
            let last = offset == content.len() as u64;
            let terminator_bytes = if last { (line.len() - content.len()) as u8 } else { 0 };
            Seen::Piece { at, offset: found, bytes: bytes.to_vec(), last, terminator_bytes }
        };
        std::iter::once(first).chain(later.chunks(self.size.max_bytes)).map(piece).collect()
    }
}

fn gathered(at: Position, open: &mut Vec<&[u8]>) -> Option<Seen> {
    let ends = open.iter().scan(0, |end, line| {
        *end += line.len() as u32;
        Some(*end)
    });
    let found = Seen::Lines { at, bytes: open.concat(), ends: ends.collect() };
    (!std::mem::take(open).is_empty()).then_some(found)
}

/// A line without its line end: LF, and the one CR right before it.
fn content(line: &[u8]) -> &[u8] {
    let Some(line) = line.strip_suffix(b"\n") else { return line };
    line.strip_suffix(b"\r").unwrap_or(line)
}
