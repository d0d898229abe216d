//! Runs the framer over a text cut anywhere, and does with what it says what an engine would.

use std::fmt;

use fhirline_bundle::{Container, Ending, Framed, Framer, Kind, Options, Tally};
use fhirline_core::{Position, SourceId};
use fhirline_parse::prove_value;

/// Bytes that are shown as text.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Text(pub(crate) Vec<u8>);

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

/// What is left of a framing when the buffers are forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Begins(Position, Container),
    Part(Position, Kind, Text, u64),
    Piece(Position, u64, Kind, Text, bool),
    EntryEnds(u64),
    Ends(Container, Ending),
    Lines,
}

pub(crate) fn start() -> Position {
    Position::start_of(SourceId(7))
}

/// All that comes out of a text cut at these places, as it comes.
pub(crate) fn frame(mut framer: Framer, text: &[u8], cuts: &[usize]) -> (Vec<Seen>, Tally) {
    let (mut all, mut from) = (Vec::new(), 0);
    for cut in cuts.iter().copied().chain([text.len()]) {
        let step = &text[from..cut.max(from)];
        framer.space(step.len() + 3)[..step.len()].copy_from_slice(step);
        framer.filled(step.len());
        from += step.len();
        drain(&mut framer, &mut all);
    }
    framer.finish();
    drain(&mut framer, &mut all);
    assert_eq!(framer.held_bytes(), 0);
    assert!(framer.next().is_none());
    assert_eq!(framer.tally().bytes(), text.len() as u64, "every byte is counted once");
    (all, framer.tally())
}

/// All that comes out of a text before lines are told to be records, if they are, and where they begin.
pub(crate) fn frame_to_lines(mut framer: Framer, text: &[u8], cuts: &[usize]) -> (Vec<Seen>, Option<u64>) {
    let (mut all, mut from, begin) = (Vec::new(), 0, framer.position().byte);
    for cut in cuts.iter().copied().chain([text.len()]) {
        let step = &text[from..cut.max(from)];
        framer.space(step.len()).copy_from_slice(step);
        framer.filled(step.len());
        from += step.len();
        drain(&mut framer, &mut all);
    }
    framer.finish();
    drain(&mut framer, &mut all);
    let at = framer.position().byte;
    assert_eq!(framer.tally().bytes() + framer.rest().len() as u64, text.len() as u64);
    assert_eq!(framer.rest(), &text[(at - begin) as usize..]);
    let told = all.iter().filter(|seen| **seen == Seen::Lines).count();
    if told == 0 {
        return (all, None);
    }
    assert_eq!((told, all.pop()), (1, Some(Seen::Lines)));
    assert!(at == 0 || at == begin || text[(at - begin) as usize - 1] == b'\n');
    (all, Some(at))
}

pub(crate) fn drain(framer: &mut Framer, all: &mut Vec<Seen>) {
    while let Some(framed) = framer.next() {
        assert!(!format!("{framed:?}").contains("canary"));
        all.push(seen(&framed));
    }
}

fn seen(framed: &Framed<'_>) -> Seen {
    let text = |bytes: &[u8]| Text(bytes.to_vec());
    match framed {
        Framed::Begins(begins) => Seen::Begins(begins.at, begins.container),
        Framed::Part(part) => {
            assert!(!part.proven || part.kind == Kind::Resource && prove_value(part.bytes) == Ok(()));
            Seen::Part(part.at, part.kind, text(part.bytes), part.line_ends)
        }
        Framed::Piece(piece) => {
            Seen::Piece(piece.part_at, piece.offset, piece.kind, text(piece.bytes), piece.last)
        }
        Framed::EntryEnds(ends) => Seen::EntryEnds(ends.resources),
        Framed::Ends(ends) => Seen::Ends(ends.container, ends.ending),
        Framed::Lines => Seen::Lines,
    }
}

/// All that comes out of a text, with parts put together from their pieces, and looked at a second time where that is needed.
pub(crate) fn resolve(framer: Framer, text: &[u8], cuts: &[usize], options: Options) -> Vec<Seen> {
    let (mut all, mut spool) = (Vec::new(), Vec::new());
    for seen in frame(framer, text, cuts).0 {
        let Seen::Piece(at, offset, kind, bytes, last) = seen else {
            all.push(seen);
            continue;
        };
        assert_eq!(offset, spool.len() as u64, "pieces of one part follow each other");
        spool.extend_from_slice(&bytes.0);
        if !last {
            continue;
        }
        let whole = std::mem::take(&mut spool);
        let line_ends = whole.iter().filter(|&&byte| byte == b'\n').count() as u64;
        if let Kind::SecondLook(known) = kind {
            all.extend(resolve(Framer::again(known, at, line_ends, options), &whole, &[], options));
        } else {
            all.push(Seen::Part(at, kind, Text(whole), line_ends));
        }
    }
    assert!(spool.is_empty(), "the last piece of a part says so");
    all
}

/// What comes out of a text that is held whole.
pub(crate) fn whole(text: &[u8]) -> Vec<Seen> {
    let options = Options::default();
    frame(Framer::at(start(), options), text, &[]).0
}

/// Every text comes out the same, however it is cut and however little is held, and with walks as without.
pub(crate) fn check_cuts(text: &[u8], places: &[usize]) -> Vec<Seen> {
    let wanted = whole(text);
    let mut places: Vec<usize> = places.iter().map(|place| place % (text.len() + 1)).collect();
    places.sort_unstable();
    for (max_held_bytes, piece_bytes) in [(1 << 20, 1 << 20), (0, 1), (64, 7), (100, 200), (333, 50)] {
        let options = Options { max_held_bytes, piece_bytes, keep_bundles: false };
        let framer = || Framer::at(start(), options);
        let as_one = frame(framer().only_skimming(), text, &[]);
        assert_eq!(frame(framer(), text, &[]), as_one, "walked, {max_held_bytes} held");
        assert_eq!(frame(framer(), text, &places), as_one, "cut at {places:?}, {max_held_bytes} held");
        let bytes: Vec<usize> = (0..text.len()).collect();
        assert_eq!(frame(framer(), text, &bytes), as_one, "byte by byte, {max_held_bytes} held");
        assert_eq!(resolve(framer(), text, &[], options), wanted, "{max_held_bytes} held");
    }
    wanted
}

/// As [`check_cuts`], with every single cut.
pub(crate) fn check_every_cut(text: &[u8]) -> Vec<Seen> {
    for max_held_bytes in [1 << 20, 64] {
        let options = Options { max_held_bytes, piece_bytes: 11, keep_bundles: false };
        let as_one = frame(Framer::at(start(), options).only_skimming(), text, &[]);
        for cut in 0..=text.len() {
            assert_eq!(frame(Framer::at(start(), options), text, &[cut]), as_one, "cut at {cut}");
        }
    }
    check_cuts(text, &[])
}

/// What is in no part of a text: syntax of containers and white space, nothing else.
pub(crate) fn check_gaps(text: &[u8], all: &[Seen]) {
    let (mut gaps, mut from) = (Vec::new(), 0);
    for seen in all {
        let Seen::Part(at, _, bytes, _) = seen else { continue };
        let begins = at.byte as usize;
        assert!(begins >= from, "parts come in order");
        assert_eq!(at.line as usize, 1 + text[..begins].iter().filter(|&&byte| byte == b'\n').count());
        gaps.extend_from_slice(&text[from..begins]);
        from = begins + bytes.0.len();
        assert_eq!(text[begins..from], bytes.0);
    }
    gaps.extend_from_slice(&text[from..]);
    let gaps = String::from_utf8(gaps).expect("syntax is ASCII");
    let keys = ["\"entry\"", "\"resource\"", "\"providers\"", "\"fhir\"", "null"];
    let rest = keys.iter().fold(gaps, |gaps, key| gaps.replace(key, ""));
    let left: String = rest.chars().filter(|c| !"{}[]:, \n\r\t".contains(*c)).collect();
    assert_eq!(left, "", "nothing is lost");
}
