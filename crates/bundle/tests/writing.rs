//! What the writer writes, read by somebody else: serde_json.

use std::collections::HashSet;

use fhirline_bundle::{
    Ended, Entry, Form, Method, OnDuplicate, Proof, Refused, Serial, WriteOptions, Writer, envelope,
};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Bundle<'b> {
    resource_type: &'b str,
    r#type: &'b str,
    #[serde(borrow)]
    entry: Option<Vec<BundleEntry<'b>>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct BundleEntry<'b> {
    full_url: &'b str,
    #[serde(borrow)]
    resource: &'b RawValue,
    request: Option<Request<'b>>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Request<'b> {
    method: &'b str,
    url: &'b str,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Resource {
    resource_type: String,
    id: Option<String>,
}

/// All Bundles, each with its own bytes.
struct Written {
    bundles: Vec<String>,
    writer: Writer,
}

fn write(records: &[String], options: WriteOptions) -> Result<Written, Refused> {
    let (mut writer, mut bundles, mut out) = (Writer::new(options), Vec::new(), Vec::new());
    for (number, record) in (0..).zip(records) {
        let found = envelope(record.as_bytes(), Proof::Full).expect("a resource");
        let serial = Serial { source: 3, record: number };
        let entry = Entry::new(found.resource_type, found.id, serial, laid_out(&writer, record));
        let placed = writer.place(&entry)?;
        if placed.ended().is_some() {
            writer.end_bundle(&mut out);
            bundles.push(std::mem::take(&mut out));
        }
        let mut open = writer.begin(&placed, &mut out);
        record.as_bytes().chunks(7).for_each(|piece| open.push(piece, &mut out));
        open.end(&mut out);
    }
    writer.end_bundle(&mut out);
    bundles.push(out);
    let bundles = bundles.into_iter().map(|bytes| String::from_utf8(bytes).expect("UTF-8")).collect();
    Ok(Written { bundles, writer })
}

fn laid_out(writer: &Writer, record: &str) -> u64 {
    let Some(mut layout) = writer.layout() else { return record.len() as u64 };
    let mut out = Vec::new();
    layout.push(record.as_bytes(), &mut out);
    out.len() as u64
}

fn parsed(text: &str) -> Bundle<'_> {
    serde_json::from_str(text).expect("a Bundle")
}

fn resource_type() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => prop::sample::select(vec!["Patient", "Goal", "Medication"]).prop_map(str::to_owned),
        1 => "[a-zA-Z\"/é ]{1,5}",
    ]
}

fn id() -> impl Strategy<Value = Option<String>> {
    prop_oneof![
        6 => "[1-4]".prop_map(Some),
        1 => Just(None),
        1 => "[a-z\"/_ é]{0,3}".prop_map(Some),
        1 => "[a-zA-Z0-9.-]{64,65}".prop_map(Some),
    ]
}

fn record() -> impl Strategy<Value = String> {
    let text = |text: &str| serde_json::to_string(text).expect("a text");
    (resource_type(), id(), "[ -~é\n]{0,30}", any::<bool>()).prop_map(
        move |(resource_type, id, rest, first)| {
            let named = format!("\"resourceType\":{}", text(&resource_type));
            let id = id.map_or_else(String::new, |id| format!(",\"id\":{}", text(&id)));
            let rest = format!("\"value\":1.00,\"text\":{}", text(&rest));
            if first { format!("{{{named}{id},{rest}}}") } else { format!("{{{rest},{named}{id}}}") }
        },
    )
}

fn form() -> impl Strategy<Value = Form> {
    prop::sample::select(vec![
        Form::Collection,
        Form::Batch(Method::Put),
        Form::Batch(Method::Post),
        Form::Transaction(Method::Put),
        Form::Transaction(Method::Post),
    ])
}

fn options() -> impl Strategy<Value = WriteOptions> {
    let limits = (prop::option::of(1..6_u64), prop::option::of(100..900_u64), 0..3000_u64);
    let policy = prop::sample::select(vec![OnDuplicate::Uuid, OnDuplicate::NewBundle, OnDuplicate::Fail]);
    (form(), policy, limits, any::<bool>()).prop_map(|(form, on_duplicate, limits, pretty)| WriteOptions {
        on_duplicate,
        max_entries: limits.0,
        max_bytes: limits.1,
        fingerprint_bytes: limits.2,
        pretty,
        base: "https://example.org/r4".parse().expect("a base"),
        ..WriteOptions::new(form)
    })
}

fn is_legal(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.chars().all(|one| one.is_ascii_alphanumeric() || "-.".contains(one))
}

fn can_be_put(record: &str) -> bool {
    serde_json::from_str::<Resource>(record).expect("a resource").id.is_some_and(|id| is_legal(&id))
}

/// The invariants that hold for every entry.
fn check_entry(entry: &BundleEntry<'_>, options: &WriteOptions) {
    assert!(!entry.full_url.contains("/_history/"), "bdl-8");
    let resource: Resource = serde_json::from_str(entry.resource.get()).expect("a resource");
    let looks_like_type = resource.resource_type.starts_with(|one: char| one.is_ascii_uppercase())
        && resource.resource_type.chars().all(|one| one.is_ascii_alphabetic());
    let id = resource.id.filter(|id| is_legal(id));
    let name = id.as_ref().map(|id| format!("{}/{id}", resource.resource_type));
    match entry.full_url.strip_prefix("https://example.org/r4/") {
        Some(url) => assert!(looks_like_type && name.as_deref() == Some(url)),
        None => {
            let uuid = entry.full_url.strip_prefix("urn:uuid:").expect("one or the other");
            assert!(
                uuid.len() == 36 && uuid.chars().all(|one| one == '-' || "0123456789abcdef".contains(one))
            );
        }
    }
    let request = entry.request.as_ref().map(|request| request.method);
    assert_eq!(request, options.form.method().map(Method::name), "bdl-3");
    if let Some(request) = entry.request.as_ref().filter(|_| looks_like_type) {
        let wanted = if request.method == "PUT" { name } else { Some(resource.resource_type) };
        assert_eq!(Some(request.url), wanted.as_deref());
    }
}

/// The invariants of a Bundle, and the limits.
fn check_bundle(text: &str, options: &WriteOptions) {
    let bundle = parsed(text);
    assert_eq!((bundle.resource_type, bundle.r#type), ("Bundle", options.form.name()));
    let entries = bundle.entry.as_deref().unwrap_or_default();
    assert!(bundle.entry.is_none() || !entries.is_empty(), "FHIR knows no empty arrays");
    entries.iter().for_each(|entry| check_entry(entry, options));
    let urls: HashSet<&str> = entries.iter().map(|entry| entry.full_url).collect();
    assert_eq!(urls.len(), entries.len(), "bdl-7");
    assert!(options.max_entries.is_none_or(|most| entries.len() as u64 <= most));
    assert!(entries.len() <= 1 || options.max_bytes.is_none_or(|most| text.len() as u64 <= most));
    if options.pretty {
        let value: Box<RawValue> = serde_json::from_str(text).expect("a value");
        assert_eq!(value.get(), text.trim_end());
        assert!(text.starts_with("{\n  \"resourceType\": \"Bundle\",\n  \"type\""));
    }
}

fn without_white_space(text: &str) -> Vec<u8> {
    let (mut compactor, mut out) = (fhirline_bundle::Compactor::default(), Vec::new());
    compactor.push(text.as_bytes(), &mut out);
    out
}

fn check_resources(written: &Written, records: &[String], pretty: bool) {
    let bundles: Vec<Bundle<'_>> = written.bundles.iter().map(|text| parsed(text)).collect();
    let entries: Vec<_> = bundles.iter().flat_map(|bundle| bundle.entry.iter().flatten()).collect();
    assert_eq!(entries.len(), records.len());
    for (entry, record) in entries.iter().zip(records) {
        if pretty {
            assert_eq!(without_white_space(entry.resource.get()), record.as_bytes());
        } else {
            assert_eq!(entry.resource.get(), record, "verbatim");
        }
    }
}

fn check_tally(written: &Written, records: &[String], options: &WriteOptions) {
    let tally = written.writer.tally();
    let bytes: usize = records.iter().map(String::len).sum();
    let bundles = written.bundles.len() as u64;
    assert_eq!((tally.bundles, tally.entries), (bundles, records.len() as u64));
    assert_eq!(tally.resource_bytes, bytes as u64);
    let uuids: usize = written.bundles.iter().map(|text| text.matches("\"urn:uuid:").count()).sum();
    assert_eq!(tally.uuids, uuids as u64);
    let reasons = [Ended::MaxEntries, Ended::MaxBytes, Ended::Duplicate, Ended::Fingerprints];
    assert_eq!(reasons.map(|why| tally.ended(why)).iter().sum::<u64>(), bundles - 1);
    let too_long =
        written.bundles.iter().filter(|text| options.max_bytes.is_some_and(|most| text.len() as u64 > most));
    let with_entries = too_long.filter(|text| text.contains("\"entry\""));
    assert_eq!(tally.too_long, with_entries.count() as u64);
}

proptest! {
    #[test]
    fn every_bundle_is_valid_and_nothing_is_lost(
        mut records in prop::collection::vec(record(), 0..30),
        options in options(),
    ) {
        if options.form.method() == Some(Method::Put) {
            records.retain(|record| can_be_put(record));
        }
        match write(&records, options.clone()) {
            Err(refused) => {
                prop_assert_eq!(refused, Refused::Duplicate);
                prop_assert_eq!(options.on_duplicate, OnDuplicate::Fail);
            }
            Ok(written) => {
                written.bundles.iter().for_each(|text| check_bundle(text, &options));
                check_resources(&written, &records, options.pretty);
                check_tally(&written, &records, &options);
            }
        }
    }

    /// A writer that goes back and is shown what it had written goes on as if nothing had been in between.
    #[test]
    fn going_back_leaves_no_trace(
        before in prop::collection::vec(record(), 0..12),
        between in prop::collection::vec(record(), 0..12),
        behind in prop::collection::vec(record(), 0..12),
        options in options(),
        cut in 1..50_usize,
    ) {
        let keep = |records: Vec<String>| -> Vec<String> {
            let puts = options.form.method() == Some(Method::Put);
            records.into_iter().filter(|record| !puts || can_be_put(record)).collect()
        };
        let (before, between, behind) = (keep(before), keep(between), keep(behind));
        let options = WriteOptions { on_duplicate: OnDuplicate::Uuid, ..options };
        let mut run = Run::new(options.clone());
        run.add(&before, 0);
        let (mark, bundles, length) = (run.writer.mark(), run.bundles.len(), run.out.len());
        run.add(&between, before.len() as u64);
        if run.bundles.len() > bundles {
            run.out = run.bundles.swap_remove(bundles);
            run.bundles.truncate(bundles);
        }
        run.out.truncate(length);
        let mut recall = run.writer.go_back(mark);
        run.out.chunks(cut).for_each(|piece| recall.push(piece));
        recall.finish();
        run.add(&behind, before.len() as u64);

        let mut straight = Run::new(options);
        straight.add(&before, 0);
        straight.add(&behind, before.len() as u64);
        prop_assert_eq!(run.finish(), straight.finish());
    }
}

struct Run {
    writer: Writer,
    bundles: Vec<Vec<u8>>,
    out: Vec<u8>,
}

impl Run {
    fn new(options: WriteOptions) -> Self {
        Self { writer: Writer::new(options), bundles: Vec::new(), out: Vec::new() }
    }

    fn add(&mut self, records: &[String], from: u64) {
        for (number, record) in (from..).zip(records) {
            let found = envelope(record.as_bytes(), Proof::Full).expect("a resource");
            let serial = Serial { source: 0, record: number };
            let entry = Entry::new(found.resource_type, found.id, serial, laid_out(&self.writer, record));
            let placed = self.writer.place(&entry).expect("nothing is refused");
            if placed.ended().is_some() {
                self.writer.end_bundle(&mut self.out);
                self.bundles.push(std::mem::take(&mut self.out));
            }
            let mut open = self.writer.begin(&placed, &mut self.out);
            open.push(record.as_bytes(), &mut self.out);
            open.end(&mut self.out);
        }
    }

    fn finish(mut self) -> (Vec<Vec<u8>>, fhirline_bundle::WriteTally) {
        self.writer.end_bundle(&mut self.out);
        self.bundles.push(self.out);
        (self.bundles, *self.writer.tally())
    }
}

fn goal(id: &str) -> String {
    format!("{{\"resourceType\":\"Goal\",\"id\":\"{id}\"}}")
}

#[test]
fn nothing_makes_a_bundle_without_entry() {
    for (form, name) in [(Form::Collection, "collection"), (Form::Transaction(Method::Post), "transaction")] {
        let written = write(&[], WriteOptions::new(form)).expect("nothing to refuse");
        assert_eq!(written.bundles, [format!("{{\"resourceType\":\"Bundle\",\"type\":\"{name}\"}}\n")]);
    }
    let pretty = WriteOptions { pretty: true, ..WriteOptions::new(Form::Collection) };
    let written = write(&[], pretty).expect("nothing to refuse");
    assert_eq!(written.bundles, ["{\n  \"resourceType\": \"Bundle\",\n  \"type\": \"collection\"\n}\n"]);
}

#[test]
fn what_is_put_and_what_is_posted() {
    let records = [goal("1"), "{\"resourceType\":\"Goal\"}".to_owned()];
    let written = write(&records[..1], WriteOptions::new(Form::Batch(Method::Put))).expect("an id");
    assert_eq!(
        written.bundles[0],
        "{\"resourceType\":\"Bundle\",\"type\":\"batch\",\"entry\":[\n\
         {\"fullUrl\":\"https://fhirline.invalid/fhir/Goal/1\",\"resource\":{\"resourceType\":\"Goal\",\"id\":\"1\"},\
         \"request\":{\"method\":\"PUT\",\"url\":\"Goal/1\"}}]}\n"
    );
    let refused = write(&records, WriteOptions::new(Form::Batch(Method::Put))).err();
    assert_eq!(refused, Some(Refused::NoLegalId));
    let written = write(&records, WriteOptions::new(Form::Transaction(Method::Post))).expect("no id needed");
    let bundle = parsed(&written.bundles[0]);
    let entries = bundle.entry.expect("two");
    assert_eq!(entries[0].full_url, "https://fhirline.invalid/fhir/Goal/1");
    assert!(entries[1].full_url.starts_with("urn:uuid:"));
    assert!(entries.iter().all(|entry| entry.request == Some(Request { method: "POST", url: "Goal" })));
}

#[test]
fn duplicates_by_policy() {
    let records = [goal("1"), goal("2"), goal("1"), goal("1")];
    let with = |on_duplicate| WriteOptions { on_duplicate, ..WriteOptions::new(Form::Collection) };
    let written = write(&records, with(OnDuplicate::Uuid)).expect("allowed");
    assert_eq!((written.bundles.len(), written.writer.tally().duplicates), (1, 2));
    assert_eq!(written.bundles[0].matches("urn:uuid:").count(), 2);
    let written = write(&records, with(OnDuplicate::NewBundle)).expect("allowed");
    assert_eq!((written.bundles.len(), written.writer.tally().duplicates), (3, 2));
    assert_eq!(write(&records, with(OnDuplicate::Fail)).err(), Some(Refused::Duplicate));
    assert!(write(&records[..2], with(OnDuplicate::Fail)).is_ok());
}

#[test]
fn a_bundle_is_filled_to_the_last_byte() {
    let records = [goal("1"), goal("2"), goal("3")];
    for pretty in [false, true] {
        let with =
            |max_bytes| WriteOptions { max_bytes, pretty, ..WriteOptions::new(Form::Batch(Method::Put)) };
        let two = write(&records[..2], with(None)).expect("ids").bundles[0].len() as u64;
        let bundles = |most| write(&records, with(Some(most))).expect("ids").bundles.len();
        assert_eq!((bundles(two), bundles(two - 1)), (2, 3));
        let alone = write(&records, with(Some(1))).expect("ids");
        assert_eq!((alone.bundles.len(), alone.writer.tally().too_long), (3, 3));
    }
}

#[test]
fn a_bundle_ends_when_the_memory_for_urls_is_spent() {
    let records: Vec<String> = (0..100).map(|id| goal(&id.to_string())).collect();
    let options = WriteOptions { fingerprint_bytes: 1 << 10, ..WriteOptions::new(Form::Collection) };
    let written = write(&records, options).expect("no duplicates");
    let entries = |text: &String| parsed(text).entry.map_or(0, |entries| entries.len());
    assert_eq!(written.bundles.iter().map(entries).collect::<Vec<_>>(), [28, 28, 28, 16]);
    assert_eq!(written.writer.tally().ended(Ended::Fingerprints), 3);
}
