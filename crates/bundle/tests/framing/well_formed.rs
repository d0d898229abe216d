//! Well-formed sources of every kind: what comes out is what `serde_json` finds, byte for byte, however they are cut and
//! however little is held.

use fhirline_bundle::{Framer, Options};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::driver::{check_cuts, check_every_cut, check_gaps, frame, start, whole};
use crate::oracle::oracle;

proptest! {
    #[test]
    fn what_comes_out_is_what_the_oracle_finds(source in crate::model::source()) {
        prop_assert_eq!(whole(source.as_bytes()), oracle(&source));
    }

    #[test]
    fn cuts_and_limits_change_nothing(source in crate::model::source(), places in vec(0usize..4000, 0..12)) {
        let seen = check_cuts(source.as_bytes(), &places);
        prop_assert_eq!(seen, oracle(&source));
    }

    #[test]
    fn kept_bundles_are_resources(source in crate::model::source()) {
        let options = Options { keep_bundles: true, ..Options::default() };
        let (seen, tally) = frame(Framer::at(start(), options), source.as_bytes(), &[]);
        prop_assert!(seen.iter().all(|seen| !matches!(seen, crate::driver::Seen::Begins(_, fhirline_bundle::Container::Bundle(_)))));
        prop_assert_eq!(tally.bundle_members + tally.entry_members + tally.entries, 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn every_single_cut_gives_the_same(source in crate::model::source().prop_filter("short", |s| s.len() < 1500)) {
        let seen = check_every_cut(source.as_bytes());
        prop_assert_eq!(seen, oracle(&source));
    }
}

#[test]
fn nothing_but_syntax_is_between_the_parts() {
    let text =
        r#"[{"resourceType":"Bundle","type":"batch","entry":[{"resource":{}},{"x":1},{}],"id":"b"} , {}]"#;
    check_gaps(text.as_bytes(), &whole(text.as_bytes()));
}
