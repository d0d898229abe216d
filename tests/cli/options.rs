use super::place::{BROKEN, GOAL, PATIENT, Place, has, lines, without_sizes};

/// A name that would clear a screen and tell a line of its own.
const ODD_NAME: &str = "a\u{1b}[2J\nerror: \u{9b}1m.ndjson";

fn place() -> Place {
    Place::with([("a.ndjson", lines(&[PATIENT, GOAL, BROKEN, PATIENT, PATIENT, BROKEN]))])
}

#[test]
fn files_end_before_they_hold_too_many_records_or_bytes() {
    let place = place();
    place.run("split a.ndjson -o records --max-file-records 2").ends_with(3);
    place.run("split a.ndjson -o bytes --max-file-bytes 72").ends_with(3);
    for out in ["records", "bytes"] {
        assert_eq!(place.text(&format!("{out}/Patient.ndjson")), lines(&[PATIENT, PATIENT]));
        assert_eq!(place.text(&format!("{out}/Patient.0002.ndjson")), lines(&[PATIENT]));
        assert_eq!(place.text(&format!("{out}/Goal.ndjson")), lines(&[GOAL]));
    }
}

#[test]
fn checksums_are_those_of_the_stored_bytes() {
    if !has("sha256sum") {
        return;
    }
    let place = place();
    place.run("split a.ndjson -o out --checksum sha256 --compress gzip").ends_with(3);
    let manifest = place.json("out/manifest.json");
    let files =
        [&manifest["output"], &manifest["error"]].map(|files| files.as_array().expect("a list").clone());
    let files = files.concat();
    assert_eq!(files.len(), 3);
    for file in files {
        let name = file["url"].as_str().expect("a name");
        let sum = place.shell(&format!("sha256sum out/{name}")).ends_with(0);
        let sum = sum.out().split_whitespace().next().expect("a sum").to_owned();
        assert_eq!(file["extension"]["checksum"], format!("sha256:{sum}"), "{name}");
        assert_eq!(file["extension"]["bytes"], place.read(&format!("out/{name}")).len());
    }
}

#[test]
fn the_usual_checksum_is_crc32c() {
    let place = place();
    place.run("split a.ndjson -o out").ends_with(3);
    let manifest = place.json("out/manifest.json");
    for file in manifest["output"].as_array().expect("a list") {
        let stored = place.read(&format!("out/{}", file["url"].as_str().expect("a name")));
        assert_eq!(file["extension"]["checksum"], format!("crc32c:{:08x}", crc32c_by_definition(&stored)));
    }
    place.run("split a.ndjson -o none --checksum none").ends_with(3);
    assert!(place.json("none/manifest.json")["output"][0]["extension"]["checksum"].is_null());
}

/// Castagnoli's polynomial, reflected, one bit at a time.
fn crc32c_by_definition(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0x82f6_3b78 * (sum & 1)))
    })
}

#[test]
fn threads_do_not_change_the_outputs() {
    let place = Place::new();
    place.put_sample("export.ndjson", 3 << 20);
    place.run("split export.ndjson -o one --threads 1").ends_with(3);
    place.run("split export.ndjson -o three --threads 3").ends_with(3);
    assert!(place.contents("one") == place.contents("three"));
    place.run("split export.ndjson -o none --threads 0").ends_with(2);
}

#[test]
fn too_little_memory_names_what_would_do() {
    let _sizes = without_sizes();
    let place = place();
    let ran = place.run("split a.ndjson -o out --memory 8MiB").ends_with(2);
    insta::assert_snapshot!(ran.shown());
    assert!(!place.exists("out"));
    let hint = ran.stderr.rsplit_once("--memory ").expect("a hint").1;
    let enough = hint.split_whitespace().next().expect("a size");
    place.run(&format!("split a.ndjson -o out --memory {enough}")).ends_with(3);
}

#[test]
fn sizes_and_limits_that_make_no_sense_are_refused() {
    let place = place();
    let options = [
        "--memory lots",
        "--memory 0",
        "--max-line-bytes -1",
        "--max-file-records 0",
        "--max-rejects 101%",
        "--max-rejects many",
        "--threads 0",
        "--compress brotli",
        "--quiet --verbose",
    ];
    let told =
        options.map(|option| place.run(&format!("split a.ndjson -o out {option}")).ends_with(2).shown());
    insta::assert_snapshot!(told.join("\n\n"));
}

#[test]
fn lines_beyond_the_limit_go_to_quarantine_whole() {
    let long = format!("{{\"resourceType\":\"Binary\",\"data\":\"{}\"}}", "x".repeat(3 << 20));
    let place = Place::with([("a.ndjson", lines(&[PATIENT, &long, GOAL]))]);
    let ran = place.run("split a.ndjson -o out --max-line-bytes 1MiB").ends_with(3);
    insta::assert_snapshot!(ran.shown());
    assert!(place.read("out/_quarantine/lines.raw") == lines(&[&long]).into_bytes());
    assert_eq!(place.files("out").len(), 5);
    place.run("split a.ndjson -o whole").ends_with(0);
}

#[test]
fn a_rejected_record_may_fail_the_run() {
    let place = place();
    insta::assert_snapshot!(place.run("split a.ndjson -o out --on-reject fail").ends_with(1).shown());
    let files = place.files("out");
    assert!(files.iter().all(|name| name.ends_with(".partial")), "{files:?}");
}

#[test]
fn rejects_have_a_limit() {
    let place = place();
    place.run("split a.ndjson -o two --max-rejects 2").ends_with(3);
    place.run("split a.ndjson -o half --max-rejects 50%").ends_with(3);
    place.run("split a.ndjson -o tenth --max-rejects 10%").ends_with(1);
    insta::assert_snapshot!(place.run("split a.ndjson -o one --max-rejects 1").ends_with(1).shown());
}

#[test]
fn trusted_input_is_not_proved_again() {
    let record = b"{\"resourceType\":\"Patient\",\"x\":\"\xff\"}\n";
    let place = Place::with([("a.ndjson", record)]);
    assert!(place.run("cat a.ndjson -q").ends_with(3).stdout.is_empty());
    assert_eq!(place.run("cat a.ndjson -q --trust-input").ends_with(0).stdout, record);
}

#[test]
fn more_is_told_on_request() {
    let _sizes = without_sizes();
    let ran = place().run("split a.ndjson -o out -v").ends_with(3);
    insta::assert_snapshot!(ran.stderr);
}

#[test]
fn shares_of_the_memory_are_those_of_the_run_and_add_up() {
    let place = place();
    let shares = |options: &str, out: &str| {
        let report = place.run(&format!("split a.ndjson -o {out} --json {options}")).ends_with(3).json();
        let share = |name: &str| report["memory"][name].as_u64().expect("a number");
        let parts = ["base", "overhead", "outputs", "compression", "heart"].map(share);
        assert_eq!(parts.iter().sum::<u64>(), share("ceiling"), "{report}");
        (share("outputs"), share("compression"))
    };
    let (outputs, compression) = shares("", "plain");
    assert!(outputs > 0 && compression == 0, "{outputs} and {compression}");
    let (outputs, compression) = shares("--compress gzip", "gzip");
    assert!(outputs > 0 && compression > 0, "{outputs} and {compression}");
}

#[test]
fn names_of_files_are_shown_without_control_characters() {
    let place = Place::with([(ODD_NAME, lines(&[BROKEN]))]);
    place.put("in/empty.ndjson", "");
    let run = |arguments: &[&str]| {
        let output = place.command("").args(arguments).args([ODD_NAME, "in"]).output().expect("run");
        (String::from_utf8(output.stdout).expect("UTF-8"), String::from_utf8(output.stderr).expect("UTF-8"))
    };
    let shown = "a\\u{1b}[2J\\nerror: \\u{9b}1m.ndjson";
    let is_clean = |text: &str| !text.contains(|one: char| one.is_control() && one != '\n');
    let (stdout, stderr) = run(&["stats"]);
    assert!(stdout.contains(&format!("the first in {shown}, line 1")) && is_clean(&stdout), "{stdout:?}");
    assert!(is_clean(&stderr), "{stderr:?}");
    let (_, stderr) = run(&["cat"]);
    assert!(
        stderr.contains(&format!("warning: rejected {shown}, line 1")) && is_clean(&stderr),
        "{stderr:?}"
    );
    let (_, stderr) = run(&["split", "-o", ODD_NAME]);
    assert!(stderr.contains(&format!("the destination {shown} ")) && is_clean(&stderr), "{stderr:?}");
    // As data it is what it is.
    let (json, _) = run(&["stats", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(report["faults"][0]["first"]["source"], ODD_NAME);
}

#[test]
fn a_report_does_not_replace_a_source() {
    let place = place();
    std::os::unix::fs::symlink("a.ndjson", place.path("link.json")).expect("made");
    let before = place.contents("");
    for arguments in [
        "split a.ndjson -o out --report a.ndjson",
        "stats a.ndjson --report link.json",
        "cat ./link.json --report ./a.ndjson",
    ] {
        let ran = place.run(arguments).ends_with(2);
        assert!(ran.stdout.is_empty() && ran.stderr.contains("would replace a source"), "{}", ran.shown());
        assert!(place.contents("") == before, "{arguments}");
    }
    let ran = place.run("stats a.ndjson --report a.ndjson --json").ends_with(2);
    assert_eq!(ran.json()["status"], "usage");
    // A report from before is replaced.
    place.run("stats a.ndjson --report report.json").ends_with(3);
    place.run("stats a.ndjson --report report.json").ends_with(3);
}
