//! A framer is given up, and another one goes on: together they find what one alone does.

use fhirline_bundle::{Framer, Options, Place, Tally};
use fhirline_core::Position;
use proptest::prelude::*;

use crate::driver::{Seen, drain, frame, start};

/// What comes out of the text up to `cut`, where it leaves off, and its account.
fn begun(text: &[u8], cut: usize, options: Options) -> Option<(Vec<Seen>, Place, Tally)> {
    let mut framer = Framer::at(start(), options);
    framer.space(cut).copy_from_slice(&text[..cut]);
    framer.filled(cut);
    let mut seen = Vec::new();
    drain(&mut framer, &mut seen);
    Some((seen, framer.place()?, framer.tally()))
}

/// Checks every place in the text, and says how many there are.
pub(crate) fn check(text: &[u8], options: Options) -> usize {
    let (whole, tally) = frame(Framer::at(start(), options), text, &[]);
    let mut places = 0;
    for cut in 0..=text.len() {
        let Some((mut seen, place, first)) = begun(text, cut, options) else { continue };
        places += 1;
        assert_eq!(Place::from_code(place.at, &place.code()), Some(place));
        let rest = &text[place.at.byte as usize..];
        let (others, second) = frame(Framer::from_place(place, options), rest, &[]);
        seen.extend(others);
        assert_eq!(seen, whole, "given up at {cut}");
        assert_eq!(first.bytes(), place.at.byte);
        assert_eq!(first.blank.terminators + second.blank.terminators, tally.blank.terminators);
        assert_eq!(first.container + second.container, tally.container);
    }
    places
}

#[test]
fn within_every_level() {
    let bundle =
        r#"{"resourceType":"Bundle","type":"batch","entry":[{"x":1,"resource":{"a":1}},{"y":1}],"id":"b"}"#;
    let providers = r#"{"providers":[{"name":"n","fhir":{"Goal":[{"a":1},{}]}}]}"#;
    for text in [bundle, providers] {
        let text = format!("\r\n[ {text} ,\r\n 1 ]");
        assert_eq!(check(text.as_bytes(), Options::default()), text.len() - 1, "all but within line ends");
    }
}

#[test]
fn what_is_no_code_is_none() {
    let good = "entries next searchset 0 0.0 4.0}, 7 unasked none none 4.0 2.3 0.0 none none 2.0 none 0 1";
    assert_eq!(Place::from_code(Position::default(), good).map(|place| place.code()).as_deref(), Some(good));
    for bad in [
        "",
        "entries",
        "entries next nothing 0 none",
        "entries next nothing 0 none none 7",
        "entries next nothing 0 none none 7 unasked",
        "entries next nothing 0 none none 7 unasked none none",
        "entries next nothing 0 none none 7 unasked none none none none none none none none none 0",
        "x next nothing 0 none none 7 unasked none none none none none none none none none 0 0",
        "entries next x 0 none none 7 unasked none none none none none none none none none 0 0",
        "entries next nothing 2 none none 7 unasked none none none none none none none none none 0 0",
        "entries next nothing 0 1 none 7 unasked none none none none none none none none none 0 0",
        "entries next nothing 0 none }, 7 unasked none none none none none none none none none 0 0",
        "entries next nothing 0 none none -7 unasked none none none none none none none none none 0 0",
        "entries next nothing 0 none none 7 told none none none none none none none none none 0 0",
        "entries next nothing 0 none none 7 unasked 65.0 none none none none none none none none 0 0",
        "entries next nothing 0 none none 7 unasked none none none none none none none none none 0 0 0",
    ] {
        assert_eq!(Place::from_code(Position::default(), bad), None, "{bad}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn anywhere_in_any_source(source in crate::model::source().prop_filter("short", |s| s.len() < 1500), held in 0usize..200) {
        for max_held_bytes in [held, 1 << 20] {
            check(source.as_bytes(), Options { max_held_bytes, piece_bytes: 30, keep_bundles: false });
        }
    }
}
