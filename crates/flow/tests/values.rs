//! Sources that do not hold one record a line: what comes out is what a slow reader finds, however the bytes arrive.

use std::collections::BTreeMap;
use std::io::{self, Read};

use fhirline_core::{Batch, Identity, LongLine, Origin, SourceId, Verdict};
use fhirline_flow::{Cancel, Entry, FlowOptions, Outcome, run};
use fhirline_line_split::ChunkSize;
use fhirline_route::{Grouping, Router};
use fhirline_sink::{Offload, Sink, SinkError};
use proptest::prelude::*;
use serde_json::value::RawValue;

/// Gives its bytes in steps of a given length.
#[derive(Clone, Debug)]
struct Text {
    bytes: Vec<u8>,
    step: usize,
    /// Bytes that it says it has and does not give.
    missing: u64,
}

impl Origin for Text {
    fn identity(&self) -> io::Result<Identity> {
        Ok(Identity {
            name: "text".into(),
            stored_bytes: Some(self.bytes.len() as u64 + self.missing),
            modified: None,
            tag: None,
        })
    }

    fn name(&self) -> &str {
        "text"
    }

    fn open_at(&self, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        let rest = self.bytes[offset as usize..].to_vec();
        Ok(Box::new(Steps { rest: io::Cursor::new(rest), step: self.step }))
    }
}

struct Steps {
    rest: io::Cursor<Vec<u8>>,
    step: usize,
}

impl Read for Steps {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = into.len().min(self.step);
        self.rest.read(&mut into[..length])
    }
}

/// Keeps everything, in order.
#[derive(Debug, Default, PartialEq, Eq)]
struct Kept {
    records: Vec<String>,
    rejects: Vec<(u64, u64, String, Vec<u8>)>,
    /// By sidecar.
    beside: BTreeMap<String, Vec<String>>,
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Sink for Kept {
    fn begin_source(&mut self, _source: SourceId, _name: &str) -> Result<(), SinkError> {
        Ok(())
    }

    fn commit(&mut self, batch: &mut Batch, _offload: &dyn Offload) -> Result<(), SinkError> {
        for run in &batch.runs {
            let records = batch.records(run).map(|record| text(record.bytes));
            if run.destination.is_sidecar() {
                let name = run.destination.name();
                self.beside.entry(name.to_owned()).or_default().extend(records);
            } else {
                self.records.extend(records);
            }
        }
        for reject in batch.rejects() {
            let at = reject.position;
            let code = reject.why.fault.code().to_owned();
            self.rejects.push((at.byte, at.line, code, reject.bytes.to_vec()));
        }
        Ok(())
    }

    fn commit_long(&mut self, line: &mut LongLine, _offload: &dyn Offload) -> Result<(), SinkError> {
        let mut bytes = vec![0; line.length as usize];
        let mut filled = 0;
        while filled < bytes.len() {
            let count = line.spool.read_at(filled as u64, &mut bytes[filled..]).expect("in memory");
            assert!(count > 0, "the spool holds the line");
            filled += count;
        }
        match &line.verdict {
            Verdict::Delivered { destination, record } => {
                let record = text(&bytes[record.start as usize..record.end as usize]);
                if destination.is_sidecar() {
                    self.beside.entry(destination.name().to_owned()).or_default().push(record);
                } else {
                    self.records.push(record);
                }
            }
            Verdict::Rejected(why) => {
                self.rejects.push((line.at.byte, line.at.line, why.fault.code().to_owned(), bytes));
            }
            Verdict::Blank | Verdict::Filtered { .. } => {}
        }
        Ok(())
    }

    fn abandon_source(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}

#[derive(Clone, Debug)]
struct Way {
    step: usize,
    held: usize,
    chunk: usize,
    threads: usize,
    keep: bool,
    missing: u64,
}

const PLAIN: Way = Way { step: 1 << 20, held: 1 << 20, chunk: 1 << 20, threads: 1, keep: false, missing: 0 };

fn read(bytes: &[u8], way: &Way) -> (Kept, Outcome) {
    let options = FlowOptions {
        threads: way.threads,
        held_line_bytes: way.held,
        chunk_size: ChunkSize { max_bytes: way.chunk, max_lines: 8192 },
        keep_entry_metadata: way.keep,
        ..FlowOptions::default()
    };
    let router = Router { grouping: Grouping::Together, ..Router::default() };
    let mut kept = Kept::default();
    let source = Entry::named(Text { bytes: bytes.to_vec(), step: way.step, missing: way.missing });
    let outcome = run([source], &router, &mut kept, &options, &Cancel::new(), &mut |_| {}).expect("a run");
    (kept, outcome)
}

fn records(bytes: &str) -> Vec<String> {
    let (kept, outcome) = read(bytes.as_bytes(), &PLAIN);
    assert_eq!(kept.rejects, [], "{bytes}");
    assert_eq!(outcome.failed_sources, 0, "{:?}", outcome.failures);
    kept.records
}

#[test]
fn every_shape_gives_its_resources() {
    let patient = r#"{"resourceType":"Patient","x":1.00}"#;
    let goal = r#"{"resourceType":"Goal","a":[1,2]}"#;
    let both = [patient.to_owned(), goal.to_owned()];
    let bundle = format!(
        r#"{{"resourceType":"Bundle","type":"collection","entry":[{{"resource":{patient}}},{{"fullUrl":"u","resource":{goal}}}]}}"#
    );
    let sorted = format!(
        r#"{{"entry":[{{"resource":{patient}}},{{"resource":{goal}}}],"resourceType":"Bundle","type":"searchset"}}"#
    );
    let providers =
        format!(r#"{{"providers":[{{"name":"A","fhir":{{"Patient":[{patient}],"Goal":[{goal}]}}}}]}}"#);
    let pretty = |text: &str| {
        let value: serde_json::Value = serde_json::from_str(text).expect("JSON");
        serde_json::to_string_pretty(&value).expect("JSON")
    };
    for source in [
        format!("{patient}\n{goal}\n"),
        format!("[{patient},{goal}]"),
        format!("[\n{patient}\n,\n{goal}\n]\n"),
        bundle.clone(),
        format!("{bundle}\n"),
        sorted.clone(),
        format!("{patient}\n{}\n", bundle.replace(patient, r#"{"resourceType":"List","entry":[]}"#))
            .replace(r#"{"resource":{"resourceType":"List","entry":[]}},"#, ""),
        format!("\n\n{bundle}"),
        providers,
    ] {
        assert_eq!(records(&source), both, "{source}");
    }
    for source in [pretty(&bundle), pretty(&sorted), format!("{}\n{}", pretty(patient), pretty(goal))] {
        let found = records(&source);
        assert_eq!(found.len(), 2, "{source}");
        assert!(found[0].contains("Patient") && found[1].contains("Goal") && !found[1].contains(' '));
    }
}

#[test]
fn a_document_stays_whole() {
    let document =
        r#"{"resourceType":"Bundle","type":"document","entry":[{"resource":{"resourceType":"Goal"}}]}"#;
    assert_eq!(records(document), [document]);
    assert_eq!(records(&format!("{document}\n{document}\n")), [document, document]);
}

/// A value that is a resource, or stands where one should.
fn resources() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        r#"{"resourceType":"Patient","id":"1","x":1.00}"#,
        r#"{"a":{"b":[1,2,{"c":"x y"}]},"resourceType":"Goal"}"#,
        r#"{"resourceType":"List","entry":[{"item":{}}]}"#,
        r#"{"entry":[],"resourceType":"List"}"#,
        r#"{"resourceType":"Bundle","type":"document","entry":[{"resource":{"resourceType":"Goal"}}]}"#,
        r#"{"resourceType":"Binary","data":"0123456789012345678901234567890123456789012345678901234567890123456789"}"#,
        r#"{"no":"type"}"#,
        "{}",
        "7",
    ])
    .prop_map(str::to_owned)
}

fn entries() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => resources().prop_map(|resource| format!(r#"{{"resource":{resource}}}"#)),
        2 => resources().prop_map(|resource| format!(r#"{{"fullUrl":"urn:x","resource":{resource},"search":{{"mode":"match"}}}}"#)),
        1 => Just(r#"{"request":{"method":"DELETE","url":"Patient/2"}}"#.to_owned()),
        1 => Just("null".to_owned()),
    ]
}

fn bundles() -> impl Strategy<Value = String> {
    let keys = prop::sample::subsequence(
        vec![
            r#""resourceType":"Bundle""#,
            r#""type":"collection""#,
            r#""id":"b""#,
            r#""total":3"#,
            r#""signature":{"data":"xyz"}"#,
        ],
        1..=5,
    )
    .prop_shuffle();
    (keys, prop::collection::vec(entries(), 0..4), 0usize..6).prop_map(|(keys, entries, place)| {
        let entry = format!(r#""entry":[{}]"#, entries.join(","));
        let mut keys: Vec<_> = keys.into_iter().map(str::to_owned).collect();
        keys.insert(place.min(keys.len()), entry);
        format!("{{{}}}", keys.join(","))
    })
}

fn values() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => resources(),
        3 => bundles(),
        1 => prop::collection::vec(prop_oneof![resources(), bundles()], 0..3)
            .prop_map(|values| format!("[{}]", values.join(","))),
        1 => resources().prop_map(|resource| format!(
            r#"{{"providers":[{{"name":"A clinic","fhir":{{"Patient":[{resource}],"Goal":[]}}}}]}}"#
        )),
    ]
}

/// The value as it is, or with white space between its tokens.
fn spread(value: &str, style: u8) -> String {
    let mut out = String::new();
    let (mut in_text, mut escaped) = (false, false);
    for letter in value.chars() {
        let token = !in_text && "{}[]:,".contains(letter);
        if token && style == 1 {
            out.push_str("\r\n  ");
        }
        out.push(letter);
        if token && style == 2 {
            out.push_str(" \n");
        }
        match letter {
            '"' if !escaped => in_text = !in_text,
            _ => {}
        }
        escaped = letter == '\\' && !escaped;
    }
    out
}

fn sources() -> impl Strategy<Value = Vec<u8>> {
    let value = (values(), 0u8..3, prop::sample::select(vec!["\n", "", "\n\n", " ", "\r\n", "]\n"]));
    let text = prop::collection::vec(value, 0..5);
    let harm = prop_oneof![3 => Just(None), 2 => (any::<prop::sample::Index>(), 0u8..4).prop_map(Some)];
    (text, harm, any::<bool>()).prop_map(|(values, harm, mark)| {
        let mut bytes = if mark { b"\xEF\xBB\xBF".to_vec() } else { Vec::new() };
        for (value, style, behind) in values {
            bytes.extend_from_slice(spread(&value, style).as_bytes());
            bytes.extend_from_slice(behind.as_bytes());
        }
        if let Some((place, harm)) = harm
            && !bytes.is_empty()
        {
            let place = place.index(bytes.len());
            match harm {
                0 => bytes.truncate(place),
                1 => drop(bytes.remove(place)),
                2 => bytes[place] = b'"',
                _ => bytes.insert(place, b'{'),
            }
        }
        bytes
    })
}

fn ways() -> impl Strategy<Value = Way> {
    let held = prop_oneof![Just(64usize), 64usize..200, Just(1 << 20)];
    (1usize..40, held, 64usize..400, 1usize..4, any::<bool>()).prop_map(
        |(step, held, chunk, threads, keep)| {
            // Where lines of sidecars are cut depends on how much is held.
            let keep = keep && held >= PLAIN.held;
            Way { step, held, chunk, threads, keep, missing: 0 }
        },
    )
}

fn checked(text: &str) -> String {
    let value: Box<RawValue> = serde_json::from_str(text).expect("a delivered record is JSON");
    value.get().to_owned()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn what_comes_out_depends_on_nothing_but_the_bytes(source in sources(), way in ways()) {
        // A member of a provider that is too long to be held is set aside without a look at what it is.
        let has_providers = source.windows(9).any(|word| word == b"providers");
        let way = if has_providers { Way { held: PLAIN.held, ..way } } else { way };
        let (kept, outcome) = read(&source, &Way { keep: way.keep, ..PLAIN });
        let (again, outcome_again) = read(&source, &way);
        prop_assert_eq!(&kept, &again, "{}", text(&source));
        prop_assert_eq!(outcome.failed_sources, outcome_again.failed_sources);
        prop_assert_eq!(&outcome.totals, &outcome_again.totals, "{}", text(&source));
        prop_assert!(outcome.totals.ledger.check().is_ok());
        for record in &kept.records {
            checked(record);
            prop_assert!(!record.contains('\n'));
        }
        for line in kept.beside.values().flatten() {
            checked(line);
        }
        let ledger = outcome.totals.ledger;
        prop_assert_eq!(ledger.records.delivered, kept.records.len() as u64);
        prop_assert_eq!(ledger.records.quarantined, kept.rejects.len() as u64);
        if outcome.failed_sources == 0 {
            prop_assert_eq!(ledger.bytes.read, source.len() as u64);
        }
        // Rejected bytes are those of the source.
        for (byte, line, _, bytes) in &kept.rejects {
            let from = *byte as usize;
            prop_assert_eq!(&source[from..from + bytes.len()], &**bytes);
            let before = source[..from].iter().filter(|&&byte| byte == b'\n').count() as u64;
            prop_assert_eq!(*line, before + 1);
        }
    }
}

#[test]
fn a_bundle_that_is_cut_off_is_no_whole_source() {
    let patient = r#"{"resourceType":"Patient"}"#;
    for (bundle, known) in [
        (
            format!(
                r#"{{"resourceType":"Bundle","type":"batch","entry":[{{"resource":{patient}}}],"id":"b"}}"#
            ),
            "\"entry\"",
        ),
        (format!(r#"{{"resourceType":"Bundle","id":"b","entry":[{{"resource":{patient}}}]}}"#), "\"entry\""),
        (
            format!(r#"{{"entry":[{{"resource":{patient}}}],"resourceType":"Bundle","type":"batch"}}"#),
            "\"entry\"",
        ),
    ] {
        for style in [0, 1] {
            let text = spread(&bundle, style);
            let from = text.find(known).expect("the key") + known.len();
            let to = text.rfind('}').expect("the end");
            for cut in from..=to {
                for held in [64, 1 << 20] {
                    let (_, outcome) = read(&text.as_bytes()[..cut], &Way { held, ..PLAIN });
                    assert_eq!(outcome.failed_sources, 1, "{held} {:?}", &text[..cut]);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn a_source_that_breaks_off_anywhere_fails_and_no_run_with_it(source in sources(), way in ways()) {
        let (kept, outcome) = read(&source, &Way { missing: 7, ..way });
        prop_assert_eq!(outcome.failed_sources, 1);
        prop_assert!(outcome.totals.ledger.check().is_ok());
        prop_assert!(outcome.totals.ledger.bytes.read <= source.len() as u64);
        kept.records.iter().for_each(|record| drop(checked(record)));
    }
}

/// What was read, and how many records are set aside.
fn found(source: &str) -> (Vec<String>, usize) {
    let (kept, outcome) = read(source.as_bytes(), &PLAIN);
    assert_eq!(outcome.failed_sources, 0, "{source}");
    (kept.records, kept.rejects.len())
}

#[test]
fn a_bundle_without_its_end_is_not_passed_over() {
    let patient = r#"{"resourceType":"Patient","id":"1"}"#;
    let begun = format!(
        "{{\n\"resourceType\":\"Bundle\",\"type\":\"batch\",\"entry\":[\n{{\"resource\":{patient}}}\n"
    );
    assert_eq!(found(&format!("{begun}{patient}\n")), (vec![patient.to_owned(); 2], 1));
    let begun = format!("{{\"providers\":[{{\"fhir\":{{\"Patient\":[\n {patient}\n");
    assert_eq!(found(&format!("{begun}{patient}\n")), (vec![patient.to_owned(); 2], 1));
}

#[test]
fn nothing_vanishes_in_a_list_of_providers() {
    let patient = r#"{"providers":[],"resourceType":"Patient","id":"p"}"#;
    assert_eq!(found(patient), (vec![patient.to_owned()], 0));
    assert_eq!(found(&patient.replace(',', "\n,")), (vec![], 1));
    let misnamed = r#"{"providers":[{"name":"x","resources":{"Patient":[{"resourceType":"Patient"}]}}]}"#;
    assert_eq!(found(misnamed), (vec![], 1));
    let long = misnamed.replace("Patient\"}", &format!("Patient\",\"x\":\"{}\"}}", "y".repeat(2 << 20)));
    assert_eq!(found(&long), (vec![], 1));
}
