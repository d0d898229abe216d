//! What a first look notes for the second: where it is used, and that it does no harm where it is wrong.

use fhirline_bundle::{Framer, Kind, Known, Lengths, Options, Tally};
use fhirline_parse::{first_value, prove_value};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::driver::{Seen, Text, frame, frame_noting, start};
use crate::model::resource;

/// As much is held at a time as a few resources take.
const OPTIONS: Options = Options { max_held_bytes: 64, piece_bytes: 500, keep_bundles: false };

/// A Bundle whose keys come last, of these resources.
fn bundle(resources: &[String]) -> String {
    let entries: Vec<_> =
        resources.iter().map(|resource| format!(r#"{{"resource":{resource},"fullUrl":"urn:x"}}"#)).collect();
    format!(
        r#"{{"id":"{}","entry":[{}],"resourceType":"Bundle","type":"batch"}}"#,
        "x".repeat(64),
        entries.join(",")
    )
}

/// What the first look at that Bundle says, and notes.
fn first_look(text: &str) -> (Known, Lengths) {
    let (seen, _, mut noted) = frame_noting(Framer::at(start(), OPTIONS), text.as_bytes(), &[]);
    let known = seen.iter().find_map(|seen| match seen {
        Seen::Piece(_, _, Kind::SecondLook(known), ..) => Some(*known),
        _ => None,
    });
    (known.expect("it is known too late"), noted.remove(0))
}

/// The second look at a text, with what was noted of another.
fn second_look(text: &[u8], known: Known, noted: Lengths) -> (Vec<Seen>, Tally) {
    frame(Framer::again(known, start(), 0, Options::default()).knowing(noted), text, &[])
}

fn resources_in(seen: &[Seen]) -> Vec<(usize, &[u8])> {
    let resource = |seen| match seen {
        &Seen::Part(at, Kind::Resource, Text(ref bytes), _) => Some((at.byte as usize, &bytes[..])),
        _ => None,
    };
    seen.iter().filter_map(resource).collect()
}

/// The bytes of the second resource are other ones than the first look saw: its brackets do not show an end any more.
#[test]
fn resources_end_where_the_first_look_saw_them_end() {
    let resources: Vec<_> =
        (0..20).map(|id| format!(r#"{{"resourceType":"Goal","id":"g{id:030}"}}"#)).collect();
    let text = bundle(&resources);
    let (known, noted) = first_look(&text);
    let changed =
        text.replace(r#""g000000000000000000000000000002""#, r#"[[[[0000000000000000000000000002""#);
    assert_eq!(changed.len(), text.len());
    assert_ne!(changed, text);
    let (seen, _) = second_look(changed.as_bytes(), known, noted);
    let found = resources_in(&seen);
    assert_eq!(found.len(), resources.len());
    for (index, ((_, found), wanted)) in found.into_iter().zip(&resources).enumerate() {
        assert_eq!(
            (found == wanted.as_bytes(), prove_value(found).is_ok()),
            (index != 2, index != 2),
            "{index}"
        );
    }
    let (unaided, _) = second_look(changed.as_bytes(), known, Lengths::default());
    assert!(resources_in(&unaided).len() < resources.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever becomes of the bytes between the looks: what is proven of a resource in the end is one resource of the
    /// changed bytes, from its beginning to its end, and every byte is accounted for (as [`frame`] sees to).
    #[test]
    fn what_was_noted_of_other_bytes_makes_no_other_resources(
        resources in vec(resource(), 3..12),
        changes in vec((any::<Index>(), prop::sample::select(&b"{}[]\",:\\ x1"[..])), 0..6),
        moved in 0_usize..3,
    ) {
        let style = crate::model::Style::Minified;
        let text = bundle(&resources.iter().map(|resource| resource.write(style)).collect::<Vec<_>>());
        let (known, noted) = first_look(&text);
        let mut changed = text.into_bytes();
        for (at, byte) in &changes {
            let at = at.index(changed.len());
            changed[at] = *byte;
        }
        let at = changed.len() / 2;
        changed.splice(at..at, vec![b' '; moved]);
        let (seen, _) = second_look(&changed, known, noted);
        for (at, bytes) in resources_in(&seen) {
            prop_assert_eq!(&changed[at..at + bytes.len()], bytes);
            if bytes.first() == Some(&b'{') && prove_value(bytes).is_ok() {
                prop_assert_eq!(first_value(&changed[at..]).map(|first| first.length), Ok(bytes.len()));
            }
        }
    }
}
