//! What lies in the destination: names, rotation, the way back from a failed source, compression.

use std::io::Write;
use std::process::{Command, Stdio};

use fhirline::{Codec, Encoding, Job, RejectLimit, RunError, SplitJob};
use fhirline_core::Destination;
use fhirline_flow::{Cancel, Entry, Outcome, SourceError, run};
use fhirline_sink::{MAX_DESTINATIONS, MAX_FILES, SinkError, StatsSink};

use crate::support::{
    CutOrigin, Files, MEMORY_BYTES, Ran, Setting, assert_same, decoded, files_in, gzip_members, line_zoo,
    plain, sample, say, split,
};

const CODECS: [Codec; 3] = [Codec::None, Codec::Gzip, Codec::Zstd];

fn entry(name: &str, bytes: &[u8]) -> Entry {
    CutOrigin::whole(name, bytes).entry()
}

fn split_one(bytes: &[u8], setting: &Setting) -> Ran {
    split([entry("source", bytes)], setting).expect("a run")
}

fn suffix(codec: Codec) -> &'static str {
    Encoding::new(codec, None).expect("the usual level").suffix()
}

/// The parts of an output in order: `Goal.ndjson`, `Goal.0002.ndjson`, …
fn parts<'f>(files: &'f Files, stem: &str) -> Vec<&'f Vec<u8>> {
    let name = |number: usize| match number {
        1 => format!("{stem}.ndjson"),
        _ => format!("{stem}.{number:04}.ndjson"),
    };
    (1..).map_while(|number| files.get(&name(number))).collect()
}

#[test]
fn test_rotated_files_are_full_and_add_up() {
    let export = sample(21, 1 << 20);
    let whole = split_one(&export, &Setting::threads(1)).files;
    let limits = [(Some(40_000), None), (None, Some(7)), (Some(10_000), Some(20))];
    for (codec, (bytes, records)) in CODECS.into_iter().flat_map(|codec| limits.map(|limit| (codec, limit))) {
        let mut setting = Setting::threads(2).compressed(codec, 64);
        (setting.split.max_file_bytes, setting.split.max_file_records) = (bytes, records);
        let ran = split_one(&export, &setting);
        let in_outputs = |name: &&String| !name.starts_with("_quarantine");
        assert!(ran.files.keys().filter(in_outputs).all(|name| name.ends_with(suffix(codec))));
        let rotated = plain(&ran.files);
        let mut count = rotated.keys().filter(|name| name.starts_with("_quarantine")).count();
        for (name, wanted) in whole.iter().filter(|(name, _)| in_outputs(name)) {
            let parts = parts(&rotated, name.trim_end_matches(".ndjson"));
            count += parts.len();
            assert!(parts.iter().copied().flatten().eq(wanted), "{name}");
            check_fill(&parts, bytes, records);
        }
        assert_eq!(count, rotated.len(), "there are files that belong to no output");
        assert!(
            rotated.contains_key("Observation.ndjson") && rotated.contains_key("Observation.0002.ndjson")
        );
        for receipt in &ran.receipts {
            let plain = &rotated[receipt.name.trim_end_matches(suffix(codec))];
            let lines = plain.iter().filter(|&&byte| byte == b'\n').count();
            assert_eq!((receipt.plain_bytes, receipt.records), (plain.len() as u64, lines as u64));
            assert_eq!(receipt.stored_bytes, ran.files[&receipt.name].len() as u64);
        }
    }
}

#[test]
fn test_more_files_than_a_run_may_make_are_an_error() {
    let records = "{\"resourceType\":\"Goal\"}\n".repeat(MAX_FILES + 1);
    let mut setting = Setting::threads(1);
    setting.split.max_file_records = Some(1);
    let most = &records.as_bytes()[..records.len() / (MAX_FILES + 1) * MAX_FILES];
    assert_eq!(split_one(most, &setting).files.len(), MAX_FILES);
    let source = [entry("many", records.as_bytes())];
    let stopped = split(source, &setting).expect_err("one file too many");
    assert!(matches!(stopped, RunError::Sink(SinkError::TooManyFiles { .. })), "{stopped:?}");
}

#[test]
fn test_a_file_is_filled_to_the_last_byte() {
    let line = "{\"resourceType\":\"Goal\",\"id\":1}\n";
    let mut setting = Setting::threads(1);
    setting.split.max_file_bytes = Some(5 * line.len() as u64);
    let files = split_one(line.repeat(12).as_bytes(), &setting).files;
    let records: Vec<usize> = parts(&files, "Goal").iter().map(|part| part.len() / line.len()).collect();
    assert_eq!(records, [5, 5, 2]);
}

/// Each part keeps to the limits, unless it is one long record, and would not if it held the next record too.
fn check_fill(parts: &[&Vec<u8>], max_bytes: Option<u64>, max_records: Option<u64>) {
    let fits = |bytes: usize, records: usize| {
        max_bytes.is_none_or(|max| bytes as u64 <= max) && max_records.is_none_or(|max| records as u64 <= max)
    };
    let lines = |part: &[u8]| part.iter().filter(|&&byte| byte == b'\n').count();
    for (place, part) in parts.iter().enumerate() {
        assert!(fits(part.len(), lines(part)) || lines(part) == 1);
        if let Some(next) = parts.get(place + 1) {
            let first = next.iter().position(|&byte| byte == b'\n').expect("a record") + 1;
            assert!(!fits(part.len() + first, lines(part) + 1), "the part has room for the next record");
        }
    }
}

#[test]
fn test_types_that_differ_in_case_only_have_files_of_their_own() {
    let line = |name: &str| format!("{{\"resourceType\":\"{name}\"}}\n");
    let names = ["PATIENT", "Patient", "Goal", "PAtient", "Patient", "PATIENT"];
    let files = split_one(names.map(line).concat().as_bytes(), &Setting::threads(1)).files;
    let wanted = [
        ("Goal.ndjson", line("Goal")),
        ("PATIENT.ndjson", line("PATIENT").repeat(2)),
        ("PAtient-3.ndjson", line("PAtient")),
        ("Patient-2.ndjson", line("Patient").repeat(2)),
    ];
    let wanted: Files = wanted.map(|(name, text)| (name.to_owned(), text.into_bytes())).into();
    assert_same(&files, &wanted, "types that differ in case");
}

/// A type for a number: letters only.
fn type_name(number: usize) -> String {
    let letter = |power: u32| char::from(b'a' + (number / 26_usize.pow(power) % 26) as u8);
    format!("T{}{}{}", letter(2), letter(1), letter(0))
}

#[test]
fn test_types_beyond_the_bound_go_to_unknown_and_are_told() {
    const TYPES: usize = MAX_DESTINATIONS + 500;
    let line = |number: usize| format!("{{\"resourceType\":\"{}\"}}\n", type_name(number % TYPES));
    let export: String = (0..2 * TYPES).map(line).collect();
    let folder = tempfile::tempdir().expect("a folder");
    let (source, out) = (folder.path().join("types.ndjson"), folder.path().join("out"));
    std::fs::write(&source, export).expect("a disk with room");
    let job = Job::new([&source]).expect("a source").memory_bytes(MEMORY_BYTES).threads(2);
    let report = job.split(&SplitJob::to(&out).durable(false), &mut |_| {}).expect("a run");
    let files = files_in(&out);
    assert_eq!(files.len(), MAX_DESTINATIONS + 2, "the types, the rest, the manifest");
    for number in [0, 1, MAX_DESTINATIONS - 1] {
        assert_eq!(files[&format!("{}.ndjson", type_name(number))], line(number).repeat(2).as_bytes());
    }
    let rest: String = (MAX_DESTINATIONS..TYPES).map(line).collect();
    assert_eq!(files["_unknown.ndjson"], rest.repeat(2).as_bytes());
    assert_eq!(report.account.notes, ["1000 records of types beyond the first 4096 went to _unknown"]);
    assert_eq!(report.account.ledger.unknown_types, 1000);
}

/// A source whose compressed bytes end too early, with types that no other source has.
fn cut_off_source() -> Vec<u8> {
    let odd = "{\"resourceType\":\"OnlyHere\"}\n{\"resourceType\":\"PATIENT\"}\nx\n".repeat(2000);
    let stored = gzip_members(&[&sample(31, 2 << 20), odd.as_bytes(), &sample(32, 1 << 20)]);
    stored[..stored.len() - 100].to_vec()
}

/// How rollback is tried: every codec, rotation or not, with open blocks that fill up and are cut early.
fn rollback_settings() -> Vec<Setting> {
    let rotations = [(None, None), (Some(300_000), None), (None, Some(100))];
    let mut settings = Vec::new();
    for (codec, (bytes, records)) in CODECS.into_iter().flat_map(|codec| rotations.map(|of| (codec, of))) {
        for threads in [1, 3] {
            let mut setting = Setting::threads(threads).compressed(codec, 16).allow_incomplete();
            (setting.split.max_file_bytes, setting.split.max_file_records) = (bytes, records);
            settings.push(setting);
        }
    }
    settings
}

/// With leave to go on, a run is what it would have been without the failed source, to the byte.
#[test]
fn test_a_failed_source_leaves_no_trace() {
    let (one, bad, three) = (sample(33, 3 << 20), cut_off_source(), sample(34, 3 << 20));
    let clean: Vec<u8> = b"{\"resourceType\":\"Patient\"}\n".repeat(30_000);
    // Where the failed source stands, and whether there are rejects before it.
    for (sources, place) in [
        ([&one, &bad, &three], 1),
        ([&bad, &one, &three], 0),
        ([&clean, &three, &bad], 2),
        ([&clean, &bad, &one], 1),
    ] {
        for setting in rollback_settings() {
            let named = |number: usize| entry(&format!("source {number}"), sources[number]);
            let ran = split((0..3).map(named), &setting).expect("a run");
            let good = split((0..3).filter(|&number| number != place).map(named), &setting).expect("a run");
            let of = format!("{:?}, failed source {place}", setting.split);
            check_failure(&ran.outcome, place);
            assert_same(&ran.files, &good.files, &of);
            assert_eq!(ran.receipts, good.receipts, "{of}");
            let account = |ran: &Ran| (ran.outcome.totals.ledger, ran.outcome.totals.types.clone());
            assert_eq!(account(&ran), account(&good), "{of}");
        }
    }
}

fn check_failure(outcome: &Outcome, place: usize) {
    assert_eq!((outcome.sources, outcome.failed_sources), (3, 1));
    let failure = &outcome.failures[0];
    assert_eq!(failure.name, format!("source {place}"));
    assert!(matches!(failure.error, SourceError::Decompress(_)), "{:?}", failure.error);
    assert!(failure.records > 1000, "the failed source was read a good way");
}

/// The same for numbers only.
#[test]
fn test_a_failed_source_leaves_no_trace_in_stats() {
    let (one, bad, three) = (sample(35, 300 << 10), cut_off_source(), sample(36, 300 << 10));
    let stats_of = |sources: &[&Vec<u8>]| {
        let entries: Vec<Entry> = sources.iter().map(|bytes| entry("source", bytes)).collect();
        let setting = Setting::threads(2).allow_incomplete();
        let mut sink = StatsSink::new();
        run(entries, &setting.router, &mut sink, &setting.flow, &Cancel::new(), &mut |_| {}).expect("a run");
        sink.into_types()
    };
    assert_eq!(stats_of(&[&one, &bad, &three]), stats_of(&[&one, &three]));
    assert!(stats_of(&[&bad]).is_empty());
}

#[test]
fn test_without_leave_nothing_is_sealed_behind_a_failed_source() {
    let last = b"{\"resourceType\":\"OnlyInTheLast\"}\n{\"resourceType\":\"Patient\"}\nbad\n";
    let sources = [sample(37, 300 << 10), cut_off_source(), last.to_vec()];
    let named = |number: usize| entry(&format!("source {number}"), &sources[number]);
    for threads in [1, 3] {
        let ran = split((0..3).map(named), &Setting::threads(threads)).expect("a run");
        check_failure(&ran.outcome, 1);
        assert!(ran.files.len() > 5 && ran.files.keys().all(|name| name.ends_with(".partial")));
        assert!(ran.files.contains_key("OnlyHere.ndjson.partial"), "the good part of the source stays");
        assert!(!ran.files.contains_key("OnlyInTheLast.ndjson.partial"), "nothing behind the failed source");
        let read = |name: &str| {
            let found = ran.outcome.totals.types.iter().find(|(of, _)| of.name() == name);
            found.map_or(0, |(_, totals)| totals.delivered.records)
        };
        assert_eq!((read("OnlyHere"), read("OnlyInTheLast")), (2000, 1), "the report counts all sources");
        let first = split([named(0)], &Setting::threads(1)).expect("a run");
        let patients = &ran.files["Patient.ndjson.partial"];
        assert!(
            patients.starts_with(&first.files["Patient.ndjson"])
                && !patients.ends_with(b"\n{\"resourceType\":\"Patient\"}\n")
        );
    }
}

/// How many rejects are allowed, out of how many sound and bad lines, in which order.
fn limited(limit: RejectLimit, lines: &[(usize, &str)]) -> Result<Ran, RunError> {
    let export: String = lines.iter().map(|(count, line)| line.repeat(*count)).collect();
    let mut setting = Setting::threads(2);
    setting.flow.max_rejects = Some(limit);
    setting.flow.chunk_size.max_lines = 10;
    split([entry("source", export.as_bytes())], &setting)
}

#[test]
fn test_rejects_up_to_the_limit_pass_and_no_more() {
    let (good, bad) = ("{\"resourceType\":\"Patient\"}\n", "bad\n");
    let passes = [
        (RejectLimit::Records(0), vec![(5, good)]),
        (RejectLimit::Records(7), vec![(7, bad), (1, good)]),
        (RejectLimit::Percent(10.0), vec![(5, bad), (45, good)]),
        // A share means nothing yet when the first thousand is not full.
        (RejectLimit::Percent(10.0), vec![(99, bad), (2000, good)]),
    ];
    for (limit, lines) in passes {
        let ran = limited(limit, &lines).expect("within the limit");
        assert!(ran.files.contains_key("Patient.ndjson"), "{limit}");
    }
    let stops = [
        (RejectLimit::Records(0), vec![(50, good), (1, bad)], 1),
        (RejectLimit::Records(7), vec![(8, bad), (1, good)], 8),
        (RejectLimit::Percent(10.0), vec![(6, bad), (44, good)], 6),
        (RejectLimit::Percent(10.0), vec![(900, good), (150, bad), (9000, good)], 110),
    ];
    for (limit, lines, wanted) in stops {
        let error = limited(limit, &lines).expect_err("beyond the limit");
        let RunError::TooManyRejects { rejected, limit: told, .. } = error else { panic!("{error:?}") };
        assert_eq!((rejected, told), (wanted, limit.to_string()));
    }
}

/// What a tool writes to its standard output; `None` if it is not there.
fn piped_through(tool: &str, arguments: &[&str], input: &[u8]) -> Option<Vec<u8>> {
    let mut command = Command::new(tool);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().ok()?;
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("no panic").expect("it reads all");
    assert!(output.status.success(), "{tool} refuses what we wrote");
    Some(output.stdout)
}

#[test]
fn test_the_usual_tools_decode_what_we_compress() {
    let export = [line_zoo(), sample(41, 4 << 20)].concat();
    let wanted = split_one(&export, &Setting::threads(1)).files;
    for (codec, tool) in [(Codec::Gzip, "gzip"), (Codec::Zstd, "zstd")] {
        let files = split_one(&export, &Setting::threads(2).compressed(codec, 16)).files;
        let compressed = |name: &&String| name.ends_with(suffix(codec));
        assert!(files.keys().filter(compressed).count() > 5);
        for name in files.keys().filter(compressed) {
            let Some(plain) = piped_through(tool, &["-d", "-c"], &files[name]) else {
                say(&format!("skipped: there is no {tool}"));
                break;
            };
            assert!(
                plain == wanted[name.trim_end_matches(suffix(codec))],
                "{tool} decodes {name} to the same"
            );
        }
    }
}

/// Length of the bytes as one stream.
fn one_stream(codec: Codec, plain: &[u8]) -> usize {
    match codec {
        Codec::None => plain.len(),
        Codec::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
            encoder.write_all(plain).expect("into memory");
            encoder.finish().expect("into memory").len()
        }
        Codec::Zstd => zstd::encode_all(plain, 3).expect("into memory").len(),
    }
}

/// Members cost a little: most where open blocks have to be cut early, under a low ceiling.
#[test]
fn test_members_cost_a_few_percent_at_most() {
    let export = sample(42, 16 << 20);
    for (codec, memory_mib, percent) in [(Codec::Gzip, 64, 3), (Codec::Zstd, 256, 3), (Codec::Zstd, 64, 3)] {
        let files = split_one(&export, &Setting::threads(2).compressed(codec, memory_mib)).files;
        let outputs = files.iter().filter(|(name, _)| name.ends_with(suffix(codec)));
        let sizes: Vec<_> =
            outputs.map(|(_, stored)| (stored.len(), one_stream(codec, &decoded(stored)))).collect();
        assert!(sizes.len() > 10);
        let ours: usize = sizes.iter().map(|(ours, _)| ours).sum();
        let theirs: usize = sizes.iter().map(|(_, theirs)| theirs).sum();
        let of = format!("{codec:?}, {memory_mib} MiB: {ours} bytes, {theirs} as one stream each");
        say(&of);
        assert!(ours * 100 <= theirs * (100 + percent), "{of}");
    }
}

#[test]
fn test_records_without_a_proper_type_share_one_output() {
    let text = b"{\"resourceType\":\"a/b\"}\n{\"resourceType\":\"..\"}\n{\"resourceType\":\"Goal\"}\n";
    let ran = split_one(text, &Setting::threads(1));
    assert_eq!(ran.files["_unknown.ndjson"], b"{\"resourceType\":\"a/b\"}\n{\"resourceType\":\"..\"}\n");
    let unknown = ran.receipts.iter().find(|receipt| receipt.destination == Some(Destination::Unknown));
    assert_eq!(unknown.map(|receipt| receipt.records), Some(2));
    assert_eq!((ran.diverted_records, ran.outcome.totals.ledger.unknown_types), (0, 2));
}
