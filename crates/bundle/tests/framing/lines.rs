//! The first value tells whether lines are records.

use fhirline_bundle::{Framer, Options, Place};
use fhirline_core::SourceId;
use proptest::prelude::*;
use serde_json::value::RawValue;

use crate::driver::{Seen, frame, frame_to_lines, start};

const LIMITS: [Options; 2] = [
    Options { max_held_bytes: 1 << 20, piece_bytes: 1 << 20, keep_bundles: false },
    Options { max_held_bytes: 64, piece_bytes: 7, keep_bundles: false },
];

/// Checks that all that comes up to the answer is what comes without the question, whatever the cut and wherever the framer
/// is given up. Returns where the lines begin.
fn check(text: &[u8]) -> Option<u64> {
    let found = LIMITS.map(|options| {
        let unasked = Framer::at(start(), options);
        let (all, _) = frame_to_lines(unasked, text, &[]);
        let asked = || Framer::at(start(), options).telling_lines();
        let (seen, lines) = frame_to_lines(asked(), text, &[]);
        assert!(if lines.is_some() { all.starts_with(&seen) } else { all == seen });
        for cut in 0..=text.len() {
            assert_eq!(frame_to_lines(asked(), text, &[cut]), (seen.clone(), lines), "cut at {cut}");
        }
        check_places(text, options, &seen, lines);
        lines
    });
    assert_eq!(found[0], found[1]);
    found[0]
}

fn check_places(text: &[u8], options: Options, seen: &[Seen], lines: Option<u64>) {
    for cut in 0..=text.len() {
        let mut framer = Framer::at(start(), options).telling_lines();
        framer.adopt(text[..cut].to_vec());
        let mut first = Vec::new();
        crate::driver::drain(&mut framer, &mut first);
        let Some(place) = framer.place() else { continue };
        assert_eq!(Place::from_code(place.at, &place.code()), Some(place));
        let rest = &text[place.at.byte as usize..];
        let (others, end) = frame_to_lines(Framer::from_place(place, options), rest, &[]);
        first.extend(others);
        assert_eq!((&first[..], end), (seen, lines), "given up at {cut}");
    }
}

#[test]
fn a_value_on_one_line_says_that_they_are() {
    let bundle = r#"{"resourceType":"Bundle","type":"batch","entry":[{"resource":{"a":1}}]}"#;
    let late =
        r#"{"entry":[{"resource":{"a":1}}],"id":"a longer one than can be held","resourceType":"Bundle"}"#;
    for value in [r#"{"resourceType":"Goal"}"#, "{}", r#"{"providers":[]}"#, r#"{"a":1,,}"#, bundle, late] {
        for before in ["", "\n \r\n  "] {
            for line_end in ["\n", "\r\n", " \t \r\r\n"] {
                let front = format!("{before}{value}{line_end}");
                for rest in ["", "\n", " \n{}", "x\n", "{\"b\":1}\n"] {
                    assert_eq!(check(format!("{front}{rest}").as_bytes()), Some(front.len() as u64));
                }
            }
        }
    }
}

#[test]
fn what_is_broken_up_to_the_next_line_says_so_too() {
    let cut_bundle = r#"{"resourceType":"Bundle","type":"batch","entry":[{"resource":{"a":1}}"#;
    for broken in ["{\"a\":\"cut", "x y", "]", "\"text\"", cut_bundle, "{\"a\":1,,", "12 {}"] {
        let front = format!("{broken}\n");
        assert_eq!(check(format!("{front}{{\"b\":1}}\n").as_bytes()), Some(front.len() as u64), "{broken}");
    }
}

#[test]
fn anything_else_says_that_they_are_not() {
    for text in [
        "",
        "{}",
        "{} ",
        "[{}]\n",
        "[\n",
        "{\n}\n{}\n",
        "{} {}\n",
        "{}{}\n{}\n",
        "{}x\n{}\n",
        "x\ny\n{}\n",
        "x\n",
        "{\"a\":\"cut\n\n{}\n",
        "{\"resourceType\":\"Bundle\",\n\"entry\":[]}\n{}\n",
        "{\"resourceType\":\"Bundle\",\"type\":\"batch\",\"entry\":[\n]}\n{}\n",
        "{\"resourceType\":\"Bundle\",\"type\":\"batch\",\"entry\":[] } {}\n{}\n",
    ] {
        assert_eq!(check(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn the_rest_is_there_to_go_on_with() {
    let text = b"\xEF\xBB\xBF{\"a\":1}\r\n{\"b\":1}\n";
    let mut framer = Framer::new(SourceId(0), Options::default()).telling_lines();
    framer.adopt(text.to_vec());
    assert!(matches!(framer.next(), Some(fhirline_bundle::Framed::Part(_))));
    assert!(matches!(framer.next(), Some(fhirline_bundle::Framed::Lines)));
    for _ in 0..2 {
        assert!(framer.next().is_none());
        assert_eq!(framer.rest(), b"{\"b\":1}\n");
        assert_eq!((framer.position().byte, framer.position().line), (12, 2));
        assert_eq!((framer.tally().bytes(), framer.place()), (12, None));
        framer.finish();
    }
}

#[test]
fn a_buffer_can_be_taken_over_and_given_back() {
    let mut bytes = Vec::with_capacity(10_000);
    bytes.extend_from_slice(b"{\"a\":1}\n{\"b\":");
    let mut framer = Framer::new(SourceId(0), Options::default());
    assert_eq!(framer.buffer_bytes(), 0);
    framer.adopt(bytes);
    assert_eq!(framer.buffer_bytes(), 10_000);
    assert!(framer.next().is_some() && framer.next().is_none());
    framer.release();
    assert!(framer.buffer_bytes() < 100);
    assert_eq!((framer.rest(), framer.position().byte), (&b"{\"b\":"[..], 8));
    let (cost, space) = (framer.buffer_bytes_for(2), framer.space(2));
    space.copy_from_slice(b"2}");
    framer.filled(2);
    assert_eq!(framer.buffer_bytes(), cost);
    assert!(matches!(framer.next(), Some(fhirline_bundle::Framed::Part(part)) if part.bytes == b"{\"b\":2}"));
}

/// Found by the fuzzer: that a CR was counted last was seen in the account, and depended on the cut.
#[test]
fn a_return_before_a_value_leaves_no_trace_in_the_account() {
    let tally = |cuts: &[usize]| frame(Framer::at(start(), LIMITS[0]).telling_lines(), b"\r{}x", cuts).1;
    (0..4).for_each(|cut| assert_eq!(tally(&[cut]), tally(&[])));
}

/// What the first value says of a well-formed text, read whole.
fn oracle(text: &str) -> Option<u64> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
    let first = values.next()?.expect("well-formed").get();
    let behind = &text[values.byte_offset()..];
    let blank =
        behind.split_inclusive('\n').next().filter(|line| line.ends_with('\n') && line.trim().is_empty());
    let is_line = first.starts_with('{') && !first.contains('\n');
    blank.filter(|_| is_line).map(|blank| (values.byte_offset() + blank.len()) as u64)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn it_is_what_the_oracle_says(source in crate::model::source().prop_filter("short", |s| s.len() < 1500)) {
        prop_assert_eq!(check(source.as_bytes()), oracle(&source));
    }
}
