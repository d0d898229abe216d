//! Nothing of a record, a page or a declaration may appear where only its place belongs.

use super::place::{Place, gzip};

const CANARY: &str = "Canary-1f6b3c";
const CANARY_BYTES: &[u8] = CANARY.as_bytes();

/// Lines of every kind of fault, each with the canary in it.
fn broken_lines() -> Vec<Vec<u8>> {
    let text = |text: String| text.into_bytes();
    vec![
        text(format!("{{\"resourceType\":\"Patient\",\"x\":\"{CANARY}{}\"}}", "y".repeat(6000))),
        text(format!("\u{FEFF}{{\"resourceType\":\"Patient\",\"x\":\"{CANARY}\"}}")),
        [b"{\"resourceType\":\"Patient\",\"x\":\"\xff", CANARY_BYTES, b"\"}"].concat(),
        text(format!("{CANARY} is no JSON")),
        text(format!("{{\"resourceType\":\"Patient\",\"x\":{CANARY}}}")),
        text(format!("{{\"resourceType\":\"Patient\",\"x\":\"{CANARY}")),
        text(format!("{{\"resourceType\":\"Patient\",\"x\":\"{CANARY}\"}}{{\"x\":\"{CANARY}\"}}")),
        text(format!("{{\"x\":{}\"{CANARY}\"{}}}", "[".repeat(1200), "]".repeat(1200))),
        text(format!("\"{CANARY}\"")),
        text(format!("{{\"{CANARY}\":\"{CANARY}\"}}")),
        text(format!("{{\"resourceType\":[\"{CANARY}\"]}}")),
        text(format!("{{\"resourceType\":\"\",\"id\":\"{CANARY}\"}}")),
        text(format!("{{\"resourceType\":\"Bundle\",\"id\":\"{CANARY}\",\"entry\":\"{CANARY}\"}}")),
        text(format!("{{\"resourceType\":\"Bundle\",\"id\":\"{CANARY}\",\"entry\":[\"{CANARY}\"]}}")),
    ]
}

fn records() -> Vec<u8> {
    let good = [
        format!("{{\"resourceType\":\"Patient\",\"id\":\"{CANARY}\",\"{CANARY}\":\"{CANARY}\"}}"),
        format!("{{\"resourceType\":\"{CANARY}\"}}"),
        format!("{{\"resourceType\":\"Goal\",\"resourceType\":\"{CANARY}/../x\"}}"),
    ];
    let lines = good.into_iter().map(String::into_bytes).chain(broken_lines());
    lines.flat_map(|line| [line, b"\n".to_vec()].concat()).collect()
}

/// Gzip that keeps the text as it is, so that the canary stands in the stored bytes, too.
fn stored_gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    std::io::Write::write_all(&mut encoder, text).expect("in memory");
    encoder.finish().expect("in memory")
}

/// Some resources cannot be put, and the canary is the id of one.
const BATCH: &str = "bundle records -o out --bundle-type batch";

fn place() -> Place {
    let records = records();
    let packed = stored_gzip(&records);
    assert!(contains(&packed, CANARY_BYTES));
    let mut damaged = packed.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0x55;
    let wide: Vec<u8> = format!("\u{FEFF}\"{CANARY}\"").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let text = |text: &str| text.replace('~', CANARY).into_bytes();
    Place::with([
        ("cut", packed[..packed.len() - 3].to_vec()),
        ("damaged", damaged),
        ("tail", [gzip("{}\n"), CANARY_BYTES.to_vec()].concat()),
        ("page", text("<html>~</html>")),
        ("pretty", text("{\n\"~\":\n\"~\"\n}")),
        (
            "bundle",
            text(
                "{\"resourceType\":\"Bundle\",\"id\":\"~\",\"entry\":[{\"fullUrl\":\"~\",\"resource\":{\"~\"",
            ),
        ),
        ("array", text("[\"~\"]")),
        ("zip", text("PK\x03\x04~")),
        ("utf16", wide),
        ("folder/manifest.json", text("{\"output\":[{\"type\":\"~\",\"url\":\"https://~@h/none?~\"}]}")),
        ("no-json", text("{\"~\": ~")),
        ("no-counts", text("{\"~\": \"~\", \"data\": {\"stats\": \"~\"}}")),
        (
            "event",
            text(
                "{\"data\":{\"stats\":{\"total_resources\":1,\"total_by_resource_type\":{\"~\":1,\"~/2\":7}}}}",
            ),
        ),
        (
            "bulk",
            text(
                "{\"request\":\"~\",\"output\":[{\"type\":\"~\",\"url\":\"~\"},{\"type\":\"~2\",\"url\":\"~\",\"count\":1}]}",
            ),
        ),
        ("records", records),
    ])
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

/// Runs a command, and looks for the canary wherever it must not be.
#[track_caller]
fn is_private(place: &Place, arguments: &str) {
    let ran = place.run(&format!("{arguments} --report report.json --max-line-bytes 4KiB"));
    assert!(ran.code != 0 || arguments.contains("--type"), "{}", ran.shown());
    assert!(!ran.stderr.contains(CANARY), "{}", ran.shown());
    if !arguments.starts_with("cat") {
        assert!(!ran.out().contains(CANARY), "{}", ran.shown());
    }
    assert!(!place.text("report.json").contains(CANARY), "{arguments}");
    let told = place.contents("out").into_iter().filter(|(name, _)| {
        name.starts_with("manifest.json") || name.starts_with("_quarantine/outcome.ndjson")
    });
    for (name, bytes) in told {
        assert!(!contains(&bytes, CANARY_BYTES), "{arguments}: {name}");
    }
    if place.exists("out") {
        std::fs::remove_dir_all(place.path("out")).expect("removed");
    }
}

const LEVELS: [&str; 4] = ["", "-v", "-q", "-v --progress always"];

#[test]
fn records_and_rejects_are_told_by_their_place_only() {
    let place = place();
    for level in LEVELS {
        for limit in ["", "--max-rejects 3", "--on-reject fail", "--trust-input", "--threads 1"] {
            for command in
                ["split records -o out", "split records -o out --json", "cat records", "stats records", BATCH]
            {
                is_private(&place, &format!("{command} {level} {limit}"));
            }
        }
    }
}

#[test]
fn every_fault_is_among_the_rejects() {
    let place = place();
    let report = place.run("stats records --json --max-line-bytes 4KiB").ends_with(3).json();
    let faults: Vec<_> =
        report["faults"].as_array().expect("a list").iter().map(|fault| &fault["fault"]).collect();
    // These matter only to whoever writes requests.
    let ids = [fhirline::Fault::NoId, fhirline::Fault::IllegalId, fhirline::Fault::IllegalType];
    let all = fhirline::Fault::ALL.into_iter().filter(|fault| !ids.contains(fault));
    assert_eq!(faults, all.map(fhirline::Fault::code).collect::<Vec<_>>());
}

#[test]
fn the_data_itself_is_kept() {
    let place = place();
    place.run("split records -o out --max-line-bytes 4KiB").ends_with(3);
    for name in ["Patient.ndjson", "_unknown.ndjson", "_quarantine/lines.raw"] {
        assert!(contains(&place.read(&format!("out/{name}")), CANARY_BYTES), "{name}");
    }
}

#[test]
fn bad_sources_are_told_by_their_place_only() {
    let place = place();
    let sources = ["cut", "damaged", "tail", "page", "pretty", "bundle", "array", "zip", "utf16", "folder"];
    for source in sources {
        for level in LEVELS {
            let allow = if level == "-v" { "--allow-incomplete" } else { "" };
            for command in ["split -o out", "bundle -o out", "cat", "stats --json"] {
                is_private(&place, &format!("{command} {source} {level} {allow}"));
            }
        }
    }
}

#[test]
fn declarations_are_told_by_their_numbers_only() {
    let place = place();
    for file in ["no-json", "no-counts", "event", "bulk", "records", "page"] {
        for level in LEVELS {
            is_private(&place, &format!("split records -o out --expect {file} {level}"));
            is_private(&place, &format!("stats records --json --expect {file} {level}"));
        }
    }
}

#[test]
fn the_secrets_of_an_address_are_not_told() {
    let place = place();
    for address in [format!("http://{CANARY}@example.org/x?{CANARY}"), format!("s3://b/x?token={CANARY}")] {
        is_private(&place, &format!("split {address} -o out"));
        is_private(&place, &format!("cat {address}"));
        is_private(&place, &format!("bundle records -o out --base {address}?"));
    }
}

/// Whoever may read the outputs may read what serves to go on with them, and nobody else may: it holds the same bytes.
#[test]
#[cfg(unix)]
fn checkpoints_are_for_those_who_may_read_the_outputs() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    place.put_sample("whole.ndjson", 300 << 10);
    let cut = gzip(records());
    place.put("cut.ndjson.gz", &cut[..cut.len() - 9]);
    place.run("split whole.ndjson cut.ndjson.gz -o out --compress gzip").ends_with(5);
    let left = place.files("out");
    for name in ["_fhirline.partial", "_fhirline-safe.partial"] {
        assert!(left.contains(&name.to_owned()), "{name}: {left:?}");
    }
    assert!(left.iter().any(|name| name.starts_with("_blocks-")), "open blocks: {left:?}");
    assert!(left.iter().any(|name| name == "Patient.ndjson.gz.partial"), "outputs: {left:?}");
    for name in left {
        let mode = std::fs::metadata(place.path(&format!("out/{name}"))).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}
