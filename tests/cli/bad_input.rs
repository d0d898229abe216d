use super::place::{GOAL, PATIENT, Place, gzip, has, lines, through};

/// What is told about a source that cannot be read; nothing of it may be sealed.
#[track_caller]
fn told(name: &str, bytes: impl AsRef<[u8]>) -> String {
    let place = Place::with([(name, bytes)]);
    let ran = place.run(&format!("split {name} -o out")).ends_with(5);
    let files = place.files("out");
    assert!(files.iter().all(|name| name.ends_with(".partial")), "{files:?}");
    let cat = place.run(&format!("cat {name}")).ends_with(5);
    assert_eq!(cat.stderr, ran.stderr);
    ran.shown()
}

#[test]
fn a_gzip_file_that_was_cut_off() {
    let place = Place::new();
    place.put_sample("export.ndjson", 3 << 20);
    let whole = gzip(place.read("export.ndjson"));
    place.put("cut.ndjson.gz", &whole[..whole.len() / 2]);
    let ran = place.run("split cut.ndjson.gz -o out -q").ends_with(5);
    insta::assert_snapshot!(told("cut.ndjson.gz", &gzip(lines(&[PATIENT, GOAL]))[..30]));
    assert!(ran.stderr.contains("gzip data is cut off"), "{}", ran.stderr);
    // What was read of it stays, and the next run begins with it, whatever it is then.
    let arrived = place.read("out/Observation.ndjson.partial");
    place.put("cut.ndjson.gz", whole);
    place.run("split cut.ndjson.gz -o out -q").ends_with(3);
    place.run("split export.ndjson -o unbroken -q").ends_with(3);
    let observations = place.read("out/Observation.ndjson");
    assert!(observations == place.read("unbroken/Observation.ndjson"));
    assert!(!arrived.is_empty() && observations.starts_with(&arrived) && arrived.ends_with(b"}\n"));
}

#[test]
fn a_gzip_file_cut_by_a_few_bytes_is_never_complete() {
    let whole = gzip(lines(&[PATIENT, GOAL]));
    for cut in [1, 4, 8, 9] {
        told("cut.ndjson.gz", &whole[..whole.len() - cut]);
    }
}

#[test]
fn a_gzip_file_with_a_damaged_byte() {
    let mut damaged = gzip(lines(&[PATIENT, GOAL]));
    let last = damaged.len() - 6;
    damaged[last] ^= 1;
    insta::assert_snapshot!(told("damaged.ndjson.gz", damaged));
}

#[test]
fn a_gzip_file_with_something_behind_it() {
    insta::assert_snapshot!(told("tail.ndjson.gz", [gzip(PATIENT), b"garbage".to_vec()].concat()));
}

#[test]
fn an_error_page() {
    insta::assert_snapshot!(told("page.ndjson", "<!DOCTYPE html><title>Sign in</title>"));
    told("page.ndjson", "\n  <?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>");
}

/// What arrived of it is kept under names that say that it is not complete.
#[test]
fn a_bundle_that_was_cut_off() {
    let cut = format!(
        "{{\"resourceType\":\"Bundle\",\"type\":\"searchset\",\"entry\":[\n{{\"resource\":{PATIENT}}},\n{{\"search\":{{}}}},\n{{\"resource\":{GOAL}"
    );
    insta::assert_snapshot!(told("bundle.json", &cut));
    let place = Place::with([("bundle.json", &cut)]);
    for codec in ["none", "gzip"] {
        place.run(&format!("split bundle.json -o {codec} --compress {codec}")).ends_with(5);
    }
    assert_eq!(place.text("none/Patient.ndjson.partial"), lines(&[PATIENT]));
    assert_eq!(place.text("none/_entries.ndjson.partial"), "{\"search\":{}}\n");
    assert_eq!(
        through("gzip", &["-dc"], &place.read("gzip/Patient.ndjson.gz.partial")),
        lines(&[PATIENT]).as_bytes()
    );
    place.put("bundle.json", format!("{cut}}}]}}"));
    place.run("split bundle.json -o none").ends_with(0);
    assert_eq!(place.files("none"), ["Goal.ndjson", "Patient.ndjson", "_entries.ndjson", "manifest.json"]);
    assert_eq!(place.text("none/_entries.ndjson"), "{\"search\":{}}\n");
}

#[test]
fn a_json_array_that_was_cut_off() {
    insta::assert_snapshot!(told("array.json", format!("[\n{PATIENT},\n{GOAL},")));
}

#[test]
fn utf16_text() {
    let text = PATIENT.encode_utf16().flat_map(u16::to_le_bytes);
    insta::assert_snapshot!(told("wide.ndjson", [0xFF, 0xFE].into_iter().chain(text).collect::<Vec<u8>>()));
}

#[test]
fn a_zip_archive() {
    insta::assert_snapshot!(told("export.zip", b"PK\x03\x04\x14\0\0\0\x08\0 and so on"));
}

#[test]
fn a_tar_archive_in_gzip() {
    if !has("tar") {
        return;
    }
    let place = Place::with([("a.ndjson", lines(&[PATIENT]))]);
    place.shell("tar cf a.tar a.ndjson").ends_with(0);
    insta::assert_snapshot!(told("export.tar.gz", gzip(place.read("a.tar"))));
    told("export.tar", place.read("a.tar"));
}

#[test]
fn compressed_twice() {
    insta::assert_snapshot!(told("twice.gz", gzip(gzip(PATIENT))));
}

#[test]
fn other_formats_that_were_cut_off() {
    for (program, arguments) in [("xz", "-c"), ("bzip2", "-c"), ("zstd", "-qc")] {
        if has(program) {
            let whole = through(program, &[arguments], lines(&[PATIENT; 100]).as_bytes());
            let told = told("cut", &whole[..whole.len() - 5]);
            assert!(told.contains(&format!("{program} data is cut off")), "{told}");
        }
    }
}

#[test]
fn the_hints_for_json_work() {
    if !has("jq") {
        return;
    }
    let bundle = format!("{{\"resourceType\":\"Bundle\",\"entry\":[{{\"resource\":{PATIENT}}}]}}");
    let place = Place::with([
        ("bundle.json", bundle.clone()),
        ("array.json", format!("[{PATIENT}]")),
        ("pretty.json", PATIENT.replace(',', ",\n")),
    ]);
    for line in ["'.entry[].resource' bundle.json", "'.[]' array.json", ". pretty.json"] {
        let ran = place.shell(&format!("jq -c {line} | fhirline cat -")).ends_with(0);
        assert_eq!(ran.out(), lines(&[PATIENT]));
    }
}
