//! What a process tells the next one about uploads under way.
//!
//! A JSON object: `fhirline_uploads` is the version of the format, `crc32c` the checksum of `outputs` as written. Of each
//! output it holds the upload and its parts, and at most two states: the latest, and the one before, because whoever settled
//! may have died before it noted that it had. Bytes of records are in the packs, not here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use super::TAILS;
use super::output::{Left, Output, Piece, State};
use crate::object_name;

const VERSION: u64 = 1;

/// No journal is longer: 16,384 outputs with a thousand parts each are far from it.
pub(super) const MAX_BYTES: u64 = 1 << 30;

/// No length in a journal is greater; sums of a few stay within 64 bits.
const MAX_LENGTH: u64 = 1 << 53;

#[derive(Deserialize, Serialize)]
struct File<R> {
    fhirline_uploads: u64,
    crc32c: u32,
    outputs: R,
}

#[derive(Deserialize)]
struct Version {
    fhirline_uploads: u64,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Noted {
    name: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    aside: bool,
    upload: Option<String>,
    parts: Vec<(u64, String)>,
    states: Vec<NotedState>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct NotedState {
    length: u64,
    mark: u64,
    parts: usize,
    tail: Vec<NotedPiece>,
    marked: Vec<NotedPiece>,
}

/// Where it begins in the output, its length, its pack, and where it begins in that.
type NotedPiece = (u64, u64, String, u64);

/// What is wrong with a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadJournal {
    OtherVersion(u64),
    Damaged,
}

pub(super) fn parse(bytes: &[u8]) -> Result<BTreeMap<String, Left>, BadJournal> {
    let damaged = |_| BadJournal::Damaged;
    let version = serde_json::from_slice::<Version>(bytes).map_err(damaged)?.fhirline_uploads;
    if version != VERSION {
        return Err(BadJournal::OtherVersion(version));
    }
    let file: File<&RawValue> = serde_json::from_slice(bytes).map_err(damaged)?;
    if file.crc32c != digest(file.outputs) {
        return Err(BadJournal::Damaged);
    }
    let noted: Vec<Noted> = serde_json::from_str(file.outputs.get()).map_err(damaged)?;
    let left = noted.into_iter().map(|noted| Some((noted.name.clone(), left(noted)?)));
    left.collect::<Option<_>>().ok_or(BadJournal::Damaged)
}

/// What was noted, if an output can have been like that.
fn left(noted: Noted) -> Option<Left> {
    object_name::check_final(&noted.name).ok()?;
    let mut bounds: Vec<u64> = vec![0];
    for (bytes, _) in &noted.parts {
        bounds.push(bounds.last()?.checked_add(*bytes).filter(|&end| *bytes > 0 && end <= MAX_LENGTH)?);
    }
    let possible = noted.upload.is_some() || noted.parts.is_empty();
    let states = noted.states.into_iter().map(|noted| state(noted, &bounds)).collect::<Option<Vec<_>>>()?;
    let usable = possible && !states.is_empty();
    usable.then_some(Left { aside: noted.aside, upload: noted.upload, parts: noted.parts, states })
}

fn state(noted: NotedState, bounds: &[u64]) -> Option<State> {
    let start = *bounds.get(noted.parts)?;
    let possible = start <= noted.length && noted.length <= MAX_LENGTH && noted.mark <= noted.length;
    let (tail, marked) = (pieces(noted.tail)?, pieces(noted.marked)?);
    let whole = tail.first().map_or(start, |piece| piece.from) == start
        && tail.last().map_or(start, Piece::end) == noted.length;
    let of_a_part = marked.first().is_none_or(|piece| bounds.contains(&piece.from))
        && marked.last().is_none_or(|piece| piece.end() == noted.mark && noted.mark < start);
    let (length, mark, parts) = (noted.length, noted.mark, noted.parts);
    (possible && whole && of_a_part).then_some(State { length, mark, parts, tail, marked })
}

/// Pieces that follow each other without a gap.
fn pieces(noted: Vec<NotedPiece>) -> Option<Vec<Piece>> {
    let mut pieces: Vec<Piece> = Vec::with_capacity(noted.len());
    for (from, bytes, pack, at) in noted {
        let follows = pieces.last().is_none_or(|last| last.end() == from);
        let possible = bytes > 0 && [from, bytes, at].iter().all(|&number| number <= MAX_LENGTH);
        if !follows || !possible || !is_pack(&pack) {
            return None;
        }
        pieces.push(Piece { from, bytes, pack: pack.into(), at });
    }
    Some(pieces)
}

pub(super) fn is_pack(name: &str) -> bool {
    name.strip_prefix(TAILS).is_some_and(|rest| !rest.contains('/')) && object_name::check(name).is_ok()
}

/// What is written down of outputs: those of this process, and those that it has not taken up.
pub(super) fn write<'o>(
    outputs: impl Iterator<Item = (&'o String, &'o Output)>,
    left: impl Iterator<Item = (&'o String, &'o Left)>,
) -> serde_json::Result<Vec<u8>> {
    let written = outputs.filter(|(_, output)| !output.states.is_empty()).map(|(name, output)| {
        let parts = output.states.iter().map(|state| state.parts).max().unwrap_or(0);
        let parts = output.parts[..parts].iter();
        Noted {
            name: name.clone(),
            aside: output.aside,
            upload: output.upload.clone(),
            parts: parts.map(|part| (part.bytes, part.id.clone().unwrap_or_default())).collect(),
            states: output.states.iter().map(noted_state).collect(),
        }
    });
    let unread = left.map(|(name, left)| Noted {
        name: name.clone(),
        aside: left.aside,
        upload: left.upload.clone(),
        parts: left.parts.clone(),
        states: left.states.iter().map(noted_state).collect(),
    });
    let outputs = &*to_raw_value(&written.chain(unread).collect::<Vec<_>>())?;
    serde_json::to_vec(&File { fhirline_uploads: VERSION, crc32c: digest(outputs), outputs })
}

fn noted_state(state: &State) -> NotedState {
    let noted = |pieces: &[Piece]| -> Vec<NotedPiece> {
        pieces.iter().map(|piece| (piece.from, piece.bytes, piece.pack.to_string(), piece.at)).collect()
    };
    NotedState {
        length: state.length,
        mark: state.mark,
        parts: state.parts,
        tail: noted(&state.tail),
        marked: noted(&state.marked),
    }
}

/// The packs that states refer to.
pub(super) fn packs<'s>(states: impl Iterator<Item = &'s State>) -> BTreeSet<Arc<str>> {
    let pieces = states.flat_map(|state| state.tail.iter().chain(&state.marked));
    pieces.map(|piece| Arc::clone(&piece.pack)).collect()
}

fn digest(outputs: &RawValue) -> u32 {
    crc32c::crc32c(outputs.get().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left_of(text: &str) -> Result<BTreeMap<String, Left>, BadJournal> {
        let crc32c = crc32c::crc32c(text.as_bytes());
        parse(format!("{{\"fhirline_uploads\":1,\"crc32c\":{crc32c},\"outputs\":{text}}}").as_bytes())
    }

    const SOUND: &str = r#"[{"name":"a","upload":"u","parts":[[8,"x"],[8,"y"]],"states":[
        {"length":20,"mark":11,"parts":2,"tail":[[16,1,"_tails/r-1.partial",0],[17,3,"_tails/r-2.partial",5]],
         "marked":[[8,3,"_tails/r-1.partial",1]]}]}]"#;

    #[test]
    fn what_was_written_is_read() {
        let left = left_of(SOUND).expect("sound");
        let written = write(std::iter::empty(), left.iter()).expect("JSON");
        let again = parse(&written).expect("sound");
        assert_eq!(format!("{again:?}"), format!("{left:?}"));
        assert_eq!(packs(left["a"].states.iter()).len(), 2);
        let mut changed = written.clone();
        let digit = written.windows(5).position(|bytes| bytes == b":[[8,").expect("parts") + 3;
        changed[digit] = b'9';
        assert_eq!(parse(&changed).expect_err("another length"), BadJournal::Damaged);
    }

    #[test]
    fn what_cannot_have_been_is_refused() {
        for (sound, wrong) in [
            (r#""name":"a""#, r#""name":"../a""#),
            (r#""name":"a""#, r#""name":"a.partial""#),
            (r#""upload":"u""#, r#""upload":null"#),
            (r#"[8,"x"]"#, r#"[0,"x"]"#),
            (r#"[8,"x"]"#, r#"[18446744073709551615,"x"]"#),
            (r#""length":20"#, r#""length":21"#),
            (r#""mark":11"#, r#""mark":12"#),
            (r#""mark":11"#, r#""mark":99"#),
            (r#""parts":2"#, r#""parts":3"#),
            ("[16,1,", "[16,2,"),
            ("[16,1,", "[15,2,"),
            ("_tails/r-2.partial", "manifest.json"),
            ("_tails/r-2.partial", "_tails/../b"),
            (r#"[[8,3,"#, r#"[[7,4,"#),
        ] {
            assert!(SOUND.contains(sound), "{sound}");
            let refused = left_of(&SOUND.replace(sound, wrong));
            assert_eq!(refused.expect_err(wrong), BadJournal::Damaged, "{wrong}");
        }
        assert_eq!(parse(b"{\"fhirline_uploads\":7}").expect_err("later"), BadJournal::OtherVersion(7));
        assert_eq!(parse(b"").expect_err("empty"), BadJournal::Damaged);
    }
}
