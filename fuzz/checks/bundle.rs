//! Bundles, arrays and values come out the same however the bytes come in and however little is held, and with the
//! resources that `serde_json` finds in them.

use fhirline_bundle::{
    Container, Ending, Framed, Framer, Kind, Options, Part, Place, Tally, compact_in_place,
};
use fhirline_core::{Position, SourceId};
use fhirline_parse::MAX_DEPTH;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::choices::{Choices, pieces};

const MARK: &[u8] = b"\xEF\xBB\xBF";

/// Texts up to this length are also cut at every byte.
const SHORT: usize = 40;

pub(crate) fn check(input: &[u8]) {
    let mut choices = Choices::new(input);
    let flags = choices.flags();
    let (max_held_bytes, piece_bytes) = (choices.size(), choices.size());
    let options = Options { max_held_bytes, piece_bytes, keep_bundles: flags[0] };
    let plan = Plan { options, telling_lines: flags[1] };
    let cuts = choices.cuts();
    let text = choices.rest();

    let held = Plan { options: Options { keep_bundles: flags[0], ..Options::default() }, ..plan };
    let all = held.check_cuts(text, &cuts);
    assert_eq!(plan.resolved(plan.check_cuts(text, &cuts), text), all);
    check_resources(text, &held);
    if text.len() <= SHORT {
        plan.check_cuts(text, &[1]);
    }
}

/// What is left of a framing when the buffers are forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Begins(Position, Container),
    Part(Position, Kind, Vec<u8>, u64),
    Piece(Position, u64, Kind, Vec<u8>, bool),
    EntryEnds(u64),
    Ends(Container, Ending),
    Lines(Position),
}

#[derive(Clone, Copy)]
struct Plan {
    options: Options,
    telling_lines: bool,
}

impl Plan {
    /// All that comes out of a text given at once; the same as for any cut, and as for a framer that takes over from
    /// another.
    fn check_cuts(&self, text: &[u8], cuts: &[usize]) -> Vec<Seen> {
        let mut adopting = self.framer();
        adopting.adopt(text.to_vec());
        let all = end(adopting, Vec::new(), text.len());
        let skimmed = feed(self.framer().only_skimming(), text, &[usize::MAX]);
        assert_eq!(end(skimmed.0, skimmed.1, text.len()), all);
        let cut = feed(self.framer(), text, cuts);
        assert_eq!(end(cut.0, cut.1, text.len()), all);
        self.check_gone_on(text, cuts, &all.0);
        all.0
    }

    /// A framer that was given a part of the text is given up, and another goes on.
    fn check_gone_on(&self, text: &[u8], cuts: &[usize], all: &[Seen]) {
        let cut = cuts.iter().sum::<usize>() % (text.len() + 1);
        let (framer, first) = feed(self.framer(), &text[..cut], &[usize::MAX]);
        let Some(place) = framer.place() else { return };
        assert_eq!(Place::from_code(place.at, &place.code()), Some(place));
        assert_eq!(framer.tally().bytes(), place.at.byte);
        let (rest, read) = (&text[place.at.byte as usize..], cuts);
        let (second, seen) = feed(Framer::from_place(place, self.options), rest, read);
        assert_eq!([first, end(second, seen, rest.len()).0].concat(), all);
    }

    fn framer(&self) -> Framer {
        let framer = Framer::new(SourceId(3), self.options);
        if self.telling_lines { framer.telling_lines() } else { framer }
    }

    /// Parts put together from their pieces, and looked at a second time where that is needed.
    fn resolved(&self, all: Vec<Seen>, text: &[u8]) -> Vec<Seen> {
        let mut resolved = Vec::new();
        for seen in all {
            let Seen::Piece(at, offset, kind, bytes, last) = seen else {
                resolved.push(seen);
                continue;
            };
            if !last {
                continue;
            }
            let (begin, length) = (at.byte as usize, offset as usize + bytes.len());
            let whole = &text[begin..begin + length];
            assert!(whole.ends_with(&bytes));
            let line_ends = whole.iter().filter(|&&byte| byte == b'\n').count() as u64;
            if let Kind::SecondLook(known) = kind {
                let (framer, seen) =
                    feed(Framer::again(known, at, line_ends, self.options), whole, &[7, 300]);
                resolved.extend(self.resolved(end(framer, seen, length).0, text));
            } else {
                resolved.push(Seen::Part(at, kind, whole.to_vec(), line_ends));
            }
        }
        resolved
    }
}

/// Gives a text to a framer, in pieces of these sizes.
fn feed(mut framer: Framer, text: &[u8], cuts: &[usize]) -> (Framer, Vec<Seen>) {
    let mut all = Vec::new();
    for piece in pieces(text, cuts) {
        framer.space(piece.len() + 1)[..piece.len()].copy_from_slice(piece);
        framer.filled(piece.len());
        drain(&mut framer, &mut all);
    }
    (framer, all)
}

/// What comes at the end of a source of that length; every byte is accounted for.
fn end(mut framer: Framer, mut all: Vec<Seen>, length: usize) -> (Vec<Seen>, Tally) {
    framer.finish();
    drain(&mut framer, &mut all);
    assert!(framer.next().is_none());
    let is_told = matches!(all.last(), Some(Seen::Lines(_)));
    assert!(is_told || framer.rest().is_empty());
    assert_eq!(framer.tally().bytes() + framer.rest().len() as u64, length as u64);
    (all, framer.tally())
}

fn drain(framer: &mut Framer, all: &mut Vec<Seen>) {
    while let Some(framed) = framer.next() {
        let seen = match framed {
            Framed::Begins(begins) => Seen::Begins(begins.at, begins.container),
            Framed::Part(part) => {
                check_part(&part);
                Seen::Part(part.at, part.kind, part.bytes.to_vec(), part.line_ends)
            }
            Framed::Piece(piece) => {
                Seen::Piece(piece.part_at, piece.offset, piece.kind, piece.bytes.to_vec(), piece.last)
            }
            Framed::EntryEnds(ends) => Seen::EntryEnds(ends.resources),
            Framed::Ends(ends) => Seen::Ends(ends.container, ends.ending),
            Framed::Lines => Seen::Lines(framer.position()),
        };
        all.push(seen);
    }
}

/// A part says of itself what is true, and is as good when it is compact.
fn check_part(part: &Part<'_>) {
    let value = part.member().map_or(part.bytes, |(_, value)| value);
    let is_member = part.member().is_some();
    let is_json = is_json(value) && part.member().is_none_or(|(key, _)| self::is_json(key));
    // Beyond that depth nothing is proven.
    let is_shallow = value.iter().filter(|byte| matches!(byte, b'{' | b'[')).count() <= MAX_DEPTH;
    if is_shallow {
        assert_eq!(part.prove().is_ok(), is_json || part.proven);
    }
    assert!(is_json || !part.proven);
    let mut line = Vec::new();
    let dropped = part.append_to(&mut line);
    if part.line_ends > 0 {
        let mut bytes = part.bytes.to_vec();
        let (length, in_place) = compact_in_place(&mut bytes);
        assert_eq!((&bytes[..length], in_place), (&line[..], dropped));
    }
    assert_eq!(line.len() as u64 + dropped.bytes(), part.bytes.len() as u64);
    assert!(is_member || self::is_json(&line) == is_json);
    assert!(!is_json || !line.contains(&b'\n'));
}

fn is_json(text: &[u8]) -> bool {
    serde_json::from_slice::<&RawValue>(text).is_ok()
}

/// Of a source that is JSON all resources come, and nothing else comes as one.
fn check_resources(text: &[u8], plan: &Plan) {
    let plan = Plan { telling_lines: false, ..*plan };
    let is_deep = text.iter().filter(|byte| matches!(byte, b'{' | b'[')).count() > MAX_DEPTH;
    let Ok(json) = str::from_utf8(text.strip_prefix(MARK).unwrap_or(text)) else { return };
    let Some(wanted) = resources(json, plan.options.keep_bundles).filter(|_| !is_deep) else { return };
    let (framer, seen) = feed(plan.framer(), text, &[usize::MAX]);
    let found = end(framer, seen, text.len()).0.into_iter().filter_map(|seen| match seen {
        Seen::Part(_, Kind::Resource, bytes, _) => Some(bytes),
        _ => None,
    });
    let found: Vec<Vec<u8>> = found.collect();
    assert_eq!(found, wanted.iter().map(|resource| resource.as_bytes()).collect::<Vec<_>>());
}

/// The resources of a source, found in the obvious way; `None` if that does not know it: `serde_json` takes no key with half
/// of a surrogate pair for a text.
fn resources(text: &str, keep_bundles: bool) -> Option<Vec<&str>> {
    let mut all = Vec::new();
    for value in serde_json::Deserializer::from_str(text).into_iter::<&RawValue>() {
        let value = value.ok()?.get();
        let items = match value.as_bytes().first()? {
            b'{' => vec![value],
            b'[' => {
                serde_json::from_str::<Vec<&RawValue>>(value).ok()?.into_iter().map(RawValue::get).collect()
            }
            _ => return None,
        };
        for item in items {
            if keep_bundles || !item.starts_with('{') {
                all.push(item);
            } else {
                all.extend(of_object(item, &members(item)?)?);
            }
        }
    }
    Some(all)
}

/// The resources of an object that stands in no other.
fn of_object<'j>(object: &'j str, members: &[(String, &'j str)]) -> Option<Vec<&'j str>> {
    if members.first().is_some_and(|(key, _)| key == "providers") {
        return None;
    }
    let first = |name| members.iter().find(|(key, _)| key == name).map(|(_, value)| *value);
    let is = |value: &str, text: &str| serde_json::from_str::<String>(value).is_ok_and(|value| value == text);
    let whole = ["document", "message", "subscription-notification"];
    let is_whole = first("type").is_some_and(|kind| whole.iter().any(|whole| is(kind, whole)));
    if is_whole || !first("resourceType").is_some_and(|kind| is(kind, "Bundle")) {
        return Some(vec![object]);
    }
    let entries = members.iter().filter(|(key, _)| key == "entry");
    let entries = entries.filter_map(|(_, value)| serde_json::from_str::<Vec<&RawValue>>(value).ok());
    let entries = entries.flatten().map(RawValue::get).filter(|entry| entry.starts_with('{'));
    let entries: Vec<_> = entries.map(self::members).collect::<Option<_>>()?;
    Some(entries.into_iter().flatten().filter(|(key, _)| key == "resource").map(|(_, value)| value).collect())
}

/// The members of an object, in order, repeated keys included.
fn members(text: &str) -> Option<Vec<(String, &str)>> {
    struct Members;
    impl<'j> Visitor<'j> for Members {
        type Value = Vec<(String, &'j str)>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<M: MapAccess<'j>>(self, mut map: M) -> Result<Self::Value, M::Error> {
            let mut members = Vec::new();
            while let Some((key, value)) = map.next_entry::<String, &RawValue>()? {
                members.push((key, value.get()));
            }
            Ok(members)
        }
    }
    let _: IgnoredAny = serde_json::from_str(text).ok()?;
    serde_json::Deserializer::from_str(text).deserialize_map(Members).ok()
}
