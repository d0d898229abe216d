//! What the system refuses.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use super::place::{GOAL, PATIENT, Place, Ran, has, lines, skipped};

const SKIP: i32 = 77;

fn forbid(place: &Place, name: &str, mode: u32) {
    fs::set_permissions(place.path(name), Permissions::from_mode(mode)).expect("changed");
}

/// Runs as a user to whom permissions apply: who may read everything runs the program without that privilege.
fn run_as_a_plain_user(place: &Place, arguments: &str) -> Option<Ran> {
    place.put("forbidden", "");
    forbid(place, "forbidden", 0);
    if File::open(place.path("forbidden")).is_err() {
        return Some(place.run(arguments));
    }
    let drop = "setpriv --bounding-set=-all --inh-caps=-all --";
    if place.shell(&format!("{drop} true")).code != 0 {
        skipped("this user may read everything, and there is no way to give that up");
        return None;
    }
    Some(place.shell(&format!("{drop} fhirline {arguments}")))
}

fn told(ran: &Ran) -> String {
    format!("{}---- stderr\n{}", ran.out(), ran.stderr)
}

#[test]
fn a_source_that_may_not_be_read() {
    let place = Place::with([("a.ndjson", lines(&[PATIENT])), ("b.ndjson", lines(&[GOAL]))]);
    forbid(&place, "a.ndjson", 0);
    let Some(ran) = run_as_a_plain_user(&place, "split a.ndjson b.ndjson -o out") else { return };
    insta::assert_snapshot!(told(&ran.ends_with(5)));
    assert!(!place.exists("out/manifest.json"));
}

#[test]
fn a_destination_that_may_not_be_written() {
    let place = Place::with([("a.ndjson", lines(&[PATIENT]))]);
    fs::create_dir(place.path("locked")).expect("made");
    forbid(&place, "locked", 0o555);
    let Some(ran) = run_as_a_plain_user(&place, "split a.ndjson -o locked/out") else { return };
    insta::assert_snapshot!(told(&ran.ends_with(1)));
    let Some(ran) = run_as_a_plain_user(&place, "split a.ndjson -o locked") else { return };
    insta::assert_snapshot!("the_destination_itself_may_not_be_written", told(&ran.ends_with(1)));
}

#[test]
fn a_disk_that_is_full() {
    if !has("unshare") {
        return;
    }
    let place = Place::new();
    place.put_sample("export.ndjson", 4 << 20);
    fs::create_dir(place.path("disk")).expect("made");
    let script = format!(
        "unshare -rm sh -c 'mount -t tmpfs -o size=1m tmpfs disk || exit {SKIP}
         fhirline split export.ndjson -o disk/out --progress never; code=$?
         find disk -type f | grep -v partial; exit $code' || exit $?"
    );
    let ran = place.shell(&script);
    if ran.code == SKIP || ran.stderr.contains("unshare") {
        skipped("no file system can be mounted here");
        return;
    }
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"write to \w+", "write to [TYPE]");
    let _settings = settings.bind_to_scope();
    insta::assert_snapshot!(told(&ran.ends_with(1)), @"
    ---- stderr
    error: cannot write the output
      caused by: cannot write to [TYPE].ndjson
      caused by: No space left on device (os error 28)
      hint: free some space and run the same again; nothing incomplete has a final name
    ");
}

/// As on a disk that is full, without one: no file may be longer than that.
#[test]
fn files_that_may_not_grow_and_then_may() {
    let place = Place::new();
    place.put_sample("export.ndjson", 6 << 20);
    let split = "fhirline split export.ndjson --progress never --threads 1 --checkpoint-bytes 256KiB";
    // In blocks of 512 bytes. The signal would end the program before it could say anything.
    let ran = place.shell(&format!("trap '' XFSZ; ulimit -f 2000 && exec {split} -o out"));
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"write to \w+", "write to [TYPE]");
    settings.bind(|| insta::assert_snapshot!(told(&ran.ends_with(1))));
    let files = place.files("out");
    assert!(files.iter().all(|name| name.ends_with(".partial")), "{files:?}");
    let report = place.shell(&format!("{split} -o out --json")).ends_with(3).json();
    assert!(report["resumed_from"]["byte"].as_u64().is_some_and(|byte| byte > 0), "{report}");
    place.shell(&format!("{split} -o unbroken")).ends_with(3);
    assert!(place.contents("out") == place.contents("unbroken"));
}

/// Far more outputs than files that may be open; with rotation, far more files than outputs.
#[test]
fn few_files_that_may_be_open() {
    let export = |types: u32| {
        let of_type = |number: u32| {
            let letter = |digit: u32| char::from(b'a' + (digit % 26) as u8);
            format!("{{\"resourceType\":\"T{}{}\",\"id\":\"x\"}}\n", letter(number / 26), letter(number))
        };
        (0..2 * types).map(|number| of_type(number % types)).collect::<String>()
    };
    let place = Place::with([("a.ndjson", export(150)), ("b.ndjson", export(200)), ("c.ndjson", export(20))]);
    let split = "fhirline split a.ndjson b.ndjson c.ndjson --progress never";
    for (case, options) in
        ["", "--max-file-records 1", "--compress gzip --durability none"].iter().enumerate()
    {
        place.shell(&format!("{split} {options} -o usual-{case}")).ends_with(0);
        for limit in [16, 24, 64] {
            let out = format!("limit-{limit}-{case}");
            place.shell(&format!("ulimit -n {limit}; exec {split} {options} -o {out}")).ends_with(0);
            assert!(place.contents(&out) == place.contents(&format!("usual-{case}")), "{out}");
        }
    }
}

#[test]
fn standard_output_that_is_full() {
    if !fs::exists("/dev/full").is_ok_and(|exists| exists) {
        return skipped("there is no /dev/full here");
    }
    let place = Place::with([("a.ndjson", lines(&[PATIENT]))]);
    let told: Vec<String> =
        ["cat a.ndjson", "stats a.ndjson", "stats a.ndjson --json", "man", "--help", "--version"]
            .iter()
            .map(|line| {
                format!(
                    "{line}\n{}",
                    place.shell(&format!("fhirline {line} > /dev/full")).ends_with(1).stderr
                )
            })
            .collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn a_source_from_before_1970() {
    let place = Place::with([("old.ndjson", lines(&[PATIENT]))]);
    let file = File::options().write(true).open(place.path("old.ndjson")).expect("opened");
    let before = SystemTime::UNIX_EPOCH - Duration::from_secs(20 * 365 * 24 * 60 * 60);
    if file.set_modified(before).is_err()
        || file.metadata().and_then(|about| about.modified()).ok() != Some(before)
    {
        return skipped("no file can be that old here");
    }
    place.run("split old.ndjson -o out").ends_with(0);
    assert_eq!(place.json("out/manifest.json")["transactionTime"], "1970-01-01T00:00:00Z");
}
