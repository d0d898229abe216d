use super::*;
use std::path::Path;

use fhirline_bundle::Pretty;
use fhirline_sink::Codec;
use proptest::prelude::*;
use serde_json::Value;
use serde_json::value::RawValue;
use tempfile::TempDir;

use crate::{ChecksumKind, Job, Report, SplitJob};

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

/// A value without line ends, with spaces where they may be.
fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("1.00".to_owned()),
        Just("-1E+2".to_owned()),
        Just(r#""a \"}},\"members\":{ \u00e9 \\""#.to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        "[a-zé{}\\[\\],: ]{0,8}".prop_map(|text| Value::from(text).to_string()),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(|items| format!("[{}]", items.join(", "))),
            prop::collection::vec(("[a-z]{1,3}", inner), 0..3).prop_map(|members| object(&members)),
        ]
    })
}

fn object(members: &[(String, String)]) -> String {
    let members: Vec<_> =
        members.iter().map(|(key, value)| format!("{}:{value}", Value::from(&**key))).collect();
    format!("{{{}}}", members.join(","))
}

/// Some of these keys, each with any value.
fn members(keys: &'static [&'static str]) -> impl Strategy<Value = Vec<(String, String)>> {
    prop::sample::subsequence(keys, 0..=keys.len()).prop_shuffle().prop_flat_map(|keys| {
        let count = keys.len();
        prop::collection::vec(value(), count)
            .prop_map(move |values| keys.iter().map(ToString::to_string).zip(values).collect())
    })
}

fn resource() -> impl Strategy<Value = String> {
    let types = &["Patient", "Observation", "Goal", "goal-like", "PATIENT"];
    let keys = &["id", "text", "contained", "entry", "resource", "members"];
    (prop::sample::select(&types[..]), members(keys), any::<bool>()).prop_map(|(kind, mut members, last)| {
        let at = if last { members.len() } else { 0 };
        members.insert(at, ("resourceType".to_owned(), format!("\"{kind}\"")));
        object(&members)
    })
}

fn entry() -> impl Strategy<Value = String> {
    let keys = &["fullUrl", "search", "request", "response", "odd \"key\""];
    (members(keys), prop::option::of(resource()), any::<prop::sample::Index>()).prop_map(
        |(mut members, resource, at)| {
            if let Some(resource) = resource {
                members.insert(at.index(members.len() + 1), ("resource".to_owned(), resource));
            }
            object(&members)
        },
    )
}

fn bundle() -> impl Strategy<Value = String> {
    let types = &["collection", "searchset", "transaction", "history", "batch-response"];
    let keys = &["id", "total", "link", "meta", "timestamp", "extra", "outputs", "members"];
    let entries = prop::option::of(prop::collection::vec(entry(), 0..5));
    (prop::sample::select(&types[..]), members(keys), entries, any::<prop::sample::Index>()).prop_map(
        |(kind, mut members, entries, at)| {
            members.insert(at.index(members.len() + 1), ("type".to_owned(), format!("\"{kind}\"")));
            members.insert(
                at.index(members.len() / 2 + 1),
                ("resourceType".to_owned(), "\"Bundle\"".to_owned()),
            );
            if let Some(entries) = entries {
                let at = members.len() - at.index(members.len() + 1);
                members.insert(at, ("entry".to_owned(), format!("[{}]", entries.join(" , "))));
            }
            object(&members)
        },
    )
}

fn pretty(text: &str) -> String {
    let mut out = Vec::new();
    Pretty::default().push(text.as_bytes(), &mut out);
    String::from_utf8(out).expect("UTF-8")
}

/// Without white space between tokens.
fn minified(text: &str) -> String {
    let (mut out, mut within, mut escaped) = (String::new(), false, false);
    for character in text.chars() {
        if within || !character.is_ascii_whitespace() {
            out.push(character);
        }
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = within,
            '"' => within = !within,
            _ => {}
        }
    }
    out
}

/// What a Bundle says, without an `entry` that has nothing in it.
fn said(bundle: &str) -> Value {
    let mut value: Value = serde_json::from_str(bundle).expect("JSON");
    let members = value.as_object_mut().expect("an object");
    if members.get("entry").is_some_and(|entries| entries.as_array().is_some_and(Vec::is_empty)) {
        members.remove("entry");
    }
    value
}

/// Its resources, byte for byte but for white space between tokens.
fn resources(bundle: &str) -> Vec<Option<String>> {
    #[derive(serde::Deserialize)]
    struct Bundle<'b> {
        #[serde(borrow, default)]
        entry: Vec<Entry<'b>>,
    }
    #[derive(serde::Deserialize)]
    struct Entry<'b> {
        #[serde(borrow)]
        resource: Option<&'b RawValue>,
    }
    let bundle: Bundle<'_> = serde_json::from_str(bundle).expect("a Bundle");
    bundle.entry.iter().map(|entry| entry.resource.map(|raw| minified(raw.get()))).collect()
}

fn split(sources: &[&Path], to: SplitJob) -> Report {
    let job = Job::new(sources).expect("sources").memory_bytes(1 << 30).threads(1);
    job.split(&to.keep_entry_metadata(true).durable(false), &mut |_| {}).expect("a run")
}

fn restore(run: &Path, to: &Path) -> Result<RestoreReport, JobError> {
    RestoreJob::new(run, to).durable(false).memory_bytes(1 << 30).run()
}

fn texts(folder: &Path) -> Vec<String> {
    let mut paths: Vec<_> =
        fs::read_dir(folder).expect("a folder").map(|at| at.expect("listed").path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read_to_string(path).expect("UTF-8")).collect()
}

/// Splits the texts, each a source, and restores the Bundles in them.
fn there_and_back(sources: &[String], to: &dyn Fn(SplitJob) -> SplitJob, pretty: bool) -> Vec<String> {
    let folder = folder();
    let [run, again] = ["run", "again"].map(|name| folder.path().join(name));
    let paths: Vec<_> =
        (0..sources.len()).map(|number| folder.path().join(format!("{number}.json"))).collect();
    for (path, text) in paths.iter().zip(sources) {
        fs::write(path, text).expect("written");
    }
    let paths: Vec<_> = paths.iter().map(PathBuf::as_path).collect();
    split(&paths, to(SplitJob::to(&run)));
    let job = RestoreJob::new(&run, &again).durable(false).memory_bytes(1 << 30).pretty(pretty);
    let report = job.run().expect("restored");
    let texts = texts(&again);
    assert_eq!(report.bundles, texts.len() as u64);
    assert_eq!(report.bytes, texts.iter().map(|text| text.len() as u64).sum::<u64>());
    texts
}

fn codecs() -> impl Strategy<Value = Codec> {
    prop::sample::select(&[Codec::None, Codec::Gzip, Codec::Zstd][..])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// Whatever a Bundle holds, however it is laid out and whatever else the source holds: split and restored it says the same.
    #[test]
    fn bundles_come_back(
        bundles in prop::collection::vec(prop::collection::vec(bundle(), 1..4), 1..4),
        layout in 0..3,
        codec in codecs(),
        most in prop::option::of(1..4_u64),
        for_people in any::<bool>(),
    ) {
        let laid_out = |bundle: &String| match layout {
            0 => bundle.clone() + "\n",
            1 => pretty(bundle) + "\n",
            _ => pretty(bundle).replace('\n', " ") + "\r\n\n",
        };
        let sources: Vec<String> = bundles.iter().map(|them| them.iter().map(laid_out).collect()).collect();
        let encoding = Encoding::new(codec, None).expect("its usual level");
        let to = |job: SplitJob| job.encoding(encoding).max_file_records(most).checksum(Some(ChecksumKind::Sha256));
        let restored = there_and_back(&sources, &to, for_people);
        let bundles: Vec<_> = bundles.iter().flatten().collect();
        prop_assert_eq!(restored.len(), bundles.len());
        for (restored, bundle) in restored.iter().zip(bundles) {
            prop_assert_eq!(said(restored), said(bundle));
            prop_assert_eq!(resources(restored), resources(bundle));
        }
    }
}

/// Members, entries and resources longer than what is held of them.
#[test]
fn long_parts_come_back() {
    let long = |letter: &str, bytes: usize| format!("\"{}\"", letter.repeat(bytes));
    let links = vec![r#"{"relation":"self","url":"https://example.org/r4"}"#; 200].join(", ");
    let many: Vec<_> = (0..100).map(|number| format!("\"m{number}\":[{links}]")).collect();
    let entries = [
        format!(
            r#"{{"fullUrl":{},"resource":{{"resourceType":"Goal","id":"1"}},"search":{{}}}}"#,
            long("u", 3 << 20)
        ),
        format!(r#"{{"fullUrl":"u","resource":{{"resourceType":"Binary","data":{}}}}}"#, long("d", 3 << 20)),
        format!(r#"{{"request":{{"url":{}}},"fullUrl":"v"}}"#, long("r", 3 << 20)),
        format!(r#"{{{},"resource":{{"resourceType":"Goal","id":"2"}}}}"#, many.join(",")),
    ];
    let bundle = format!(
        r#"{{"resourceType":"Bundle","type":"history",{},"entry":[{}],"meta":{}}}"#,
        many.join(","),
        entries.join(","),
        long("m", 3 << 20)
    );
    for source in [bundle.clone(), pretty(&bundle), format!("{{}}\n{bundle}")] {
        let is_whole = source.starts_with("{\"") || source.starts_with("{\n");
        let folder = folder();
        let [path, run] = ["a.json", "run"].map(|name| folder.path().join(name));
        fs::write(&path, source).expect("written");
        split(&[&path], SplitJob::to(&run));
        let restored = restore(&run, &folder.path().join("x.json"));
        if is_whole {
            restored.expect("restored");
            let again = fs::read_to_string(folder.path().join("x.json")).expect("UTF-8");
            assert!(said(&again) == said(&bundle) && resources(&again) == resources(&bundle));
        } else {
            assert!(matches!(restored, Err(JobError::Restore(RestoreError::NotAll { count: 1, .. }))));
        }
    }
}

const BUNDLE: &str = r#"{"resourceType":"Bundle","type":"collection","entry":[
{"fullUrl":"urn:uuid:1","resource":{"resourceType":"Goal","id":"1"}},
{"fullUrl":"urn:uuid:2","resource":{"resourceType":"Goal","id":"2"}},
{"response":{"status":"204"}}]}
"#;

/// A run over these sources in a folder, and the folder.
fn run_over(sources: &[&str], to: impl Fn(SplitJob) -> SplitJob) -> (TempDir, PathBuf) {
    let folder = folder();
    let run = folder.path().join("run");
    let paths: Vec<_> =
        (0..sources.len()).map(|number| folder.path().join(format!("{number}.json"))).collect();
    for (path, text) in paths.iter().zip(sources) {
        fs::write(path, text).expect("written");
    }
    let paths: Vec<_> = paths.iter().map(PathBuf::as_path).collect();
    split(&paths, to(SplitJob::to(&run)));
    (folder, run)
}

#[track_caller]
fn refused(folder: &TempDir, run: &Path) -> RestoreError {
    let error = restore(run, &folder.path().join("x.json")).expect_err("refused");
    assert!(!folder.path().join("x.json").exists() && !folder.path().join("x.json.partial").exists());
    match error {
        JobError::Restore(error) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_laid_out_as_ours_comes_back_to_the_byte() {
    let (folder, run) = run_over(&[BUNDLE], |job| job);
    let report = restore(&run, &folder.path().join("x.json")).expect("restored");
    assert_eq!((report.bundles, report.entries, report.resources), (1, 3, 2));
    assert_eq!(fs::read_to_string(folder.path().join("x.json")).expect("UTF-8"), BUNDLE);
}

#[test]
fn records_of_elsewhere_are_refused() {
    for source in ["{\"resourceType\":\"Goal\",\"id\":\"3\"}\n", "[{\"resourceType\":\"Patient\"}]"] {
        for sources in [[source, BUNDLE], [BUNDLE, source]] {
            let (folder, run) = run_over(&sources, |job| job);
            assert!(matches!(refused(&folder, &run), RestoreError::Outside { records: 1, .. }));
        }
    }
}

#[test]
fn runs_that_lack_something_are_refused() {
    let folder = folder();
    assert!(matches!(refused(&folder, folder.path()), RestoreError::NoRun { .. }));
    let (folder, run) = run_over(&["{\"resourceType\":\"Goal\"}\n"], |job| job);
    assert!(matches!(refused(&folder, &run), RestoreError::NoBundles { .. }));
    let broken = BUNDLE.replace("\"id\":\"2\"", "\"id\":broken");
    let (folder, run) = run_over(&[&broken], |job| job);
    assert!(matches!(refused(&folder, &run), RestoreError::NotAll { count: 1, .. }));

    let path = folder.path().join("0.json");
    fs::write(&path, BUNDLE).expect("written");
    let plain = folder.path().join("plain");
    Job::new([&path]).expect("a source").split(&SplitJob::to(&plain), &mut |_| {}).expect("a run");
    let error = refused(&folder, &plain);
    assert!(matches!(error, RestoreError::NoMetadata { .. }));
    assert!(error.hint().is_some_and(|hint| hint.contains("`keep_entry_metadata`")));
    let goals = folder.path().join("goals");
    let except = ["Patient"].iter().filter_map(|name| crate::ResourceType::new(name)).collect();
    let filtered =
        Job::new([&path]).expect("a source").select(crate::Selection { only: except, ..Default::default() });
    filtered.split(&SplitJob::to(&goals).keep_entry_metadata(true), &mut |_| {}).expect("a run");
    assert!(matches!(refused(&folder, &goals), RestoreError::NotAll { count: 2, .. }));
}

#[test]
fn damage_is_seen() {
    let names = ["Goal.ndjson", "_bundles.ndjson", "_entries.ndjson", "_entry_metadata.ndjson"];
    for name in names {
        let spoil: [fn(&mut Vec<u8>); 4] = [
            |bytes| bytes.clear(),
            |bytes| bytes.truncate(bytes.len() - 1),
            |bytes| bytes.extend_from_within(..),
            // A digit for another, where the line says the same otherwise.
            |bytes| {
                let digit = bytes.iter().rposition(u8::is_ascii_digit);
                digit.into_iter().for_each(|at| bytes[at] ^= 1);
            },
        ];
        for (number, spoil) in spoil.into_iter().enumerate() {
            let (folder, run) = run_over(&[BUNDLE], |job| job);
            let mut bytes = fs::read(run.join(name)).expect("read");
            let before = bytes.clone();
            spoil(&mut bytes);
            if bytes == before {
                continue;
            }
            fs::write(run.join(name), bytes).expect("written");
            let error = refused(&folder, &run);
            assert_eq!(error.exit_status(), ExitStatus::Failed, "{name}, {number}: {error:?}");
        }
        let (folder, run) = run_over(&[BUNDLE], |job| job);
        fs::remove_file(run.join(name)).expect("removed");
        assert!(matches!(refused(&folder, &run), RestoreError::Damaged { .. }));
    }
}

/// Without checksums, counts are all there is.
#[test]
fn a_record_in_the_wrong_file_is_seen() {
    let (folder, run) = run_over(&[BUNDLE], |job| job.checksum(None).max_file_records(Some(1)));
    let [first, second] = ["Goal.ndjson", "Goal.0002.ndjson"].map(|name| run.join(name));
    let both = [&first, &second].map(|path| fs::read(path).expect("read")).concat();
    fs::write(first, both).expect("written");
    fs::write(second, "").expect("written");
    assert!(matches!(refused(&folder, &run), RestoreError::Damaged { .. }));
}

#[test]
fn the_run_itself_is_no_destination() {
    let (folder, run) = run_over(&[BUNDLE], |job| job);
    for to in [run.clone(), run.join("x.json"), run.join("new/x.json")] {
        let within = restore(&run, &to);
        assert!(matches!(within, Err(JobError::Restore(RestoreError::WithinRun { .. }))), "{within:?}");
    }
    fs::write(folder.path().join("x.json"), "mine").expect("written");
    assert!(matches!(restore(&run, &folder.path().join("x.json")), Err(JobError::Exists { .. })));
}

#[test]
fn readers_keep_to_the_memory() {
    let resources: Vec<_> = (0..500)
        .map(|number| {
            let letters = [number / 26, number % 26].map(|at| char::from(b'a' + at as u8));
            format!(r#"{{"resource":{{"resourceType":"T{}{}"}}}}"#, letters[0], letters[1])
        })
        .collect();
    let bundle = format!(r#"{{"resourceType":"Bundle","type":"batch","entry":[{}]}}"#, resources.join(","));
    let encoding = Encoding::new(Codec::Gzip, None).expect("a level");
    let (folder, run) = run_over(&[&bundle], |job| job.encoding(encoding));
    let job = |to: &str| RestoreJob::new(&run, folder.path().join(to)).durable(false);
    let error = job("x.json").run().expect_err("too little");
    let JobError::Restore(RestoreError::Memory { least_bytes }) = error else { panic!("{error:?}") };
    assert!(least_bytes > 56 << 20 && least_bytes < 256 << 20, "{least_bytes}");
    job("x.json").memory_beside_bytes(least_bytes).run().expect("enough");
    assert_eq!(said(&fs::read_to_string(folder.path().join("x.json")).expect("UTF-8")), said(&bundle));
}

#[test]
fn stopped_on_request() {
    let (folder, run) = run_over(&[BUNDLE], |job| job);
    let cancel = Cancel::new();
    cancel.cancel();
    let job = RestoreJob::new(&run, folder.path().join("x.json")).cancelled_by(cancel);
    assert!(matches!(job.run(), Err(JobError::Run(RunError::Cancelled))));
    assert!(!folder.path().join("x.json").exists());
}
