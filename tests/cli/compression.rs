use std::io::Write;

use super::place::{Place, gunzip, gzip, has, through, without_sizes};

fn export(bytes: u64) -> (Place, Vec<u8>) {
    let place = Place::new();
    place.put_sample("export.ndjson", bytes);
    let export = place.read("export.ndjson");
    (place, export)
}

/// The good records of the export, in order.
fn expected(place: &Place) -> Vec<u8> {
    let ran = place.run("cat export.ndjson -q").ends_with(3);
    assert!(ran.stdout.len() > 100_000);
    ran.stdout
}

#[test]
fn compression_is_found_from_the_bytes_not_from_the_name() {
    let (place, export) = export(300_000);
    let expected = expected(&place);
    place.put("lie.ndjson", gzip(&export));
    place.put("plain.gz", &export);
    let mut zstd = zstd::Encoder::new(Vec::new(), 3).expect("in memory");
    zstd.write_all(&export).expect("in memory");
    place.put("other.xz", zstd.finish().expect("in memory"));
    for name in ["lie.ndjson", "plain.gz", "other.xz"] {
        assert!(place.run(&format!("cat {name} -q")).ends_with(3).stdout == expected, "{name}");
    }
}

#[test]
fn every_format_is_read() {
    let (place, export) = export(300_000);
    let expected = expected(&place);
    for (program, arguments) in
        [("gzip", "-c"), ("bzip2", "-c"), ("xz", "-6c"), ("zstd", "-19qc"), ("pigz", "-c"), ("pbzip2", "-c")]
    {
        if !has(program) {
            continue;
        }
        place.put("export", through(program, &[arguments], &export));
        assert!(place.run("cat export -q").ends_with(3).stdout == expected, "{program}");
    }
}

#[test]
fn members_one_behind_the_other_are_all_read() {
    let (place, export) = export(300_000);
    let expected = expected(&place);
    // The cut is within a line: what counts are bytes, not members.
    let (one, two) = export.split_at(export.len() / 2);
    place.put("members", [gzip(one), gzip(""), gzip(two), vec![0; 512]].concat());
    assert!(place.run("cat members -q").ends_with(3).stdout == expected);
}

#[test]
fn outputs_are_compressed_on_request() {
    let (place, _) = export(300_000);
    place.run("split export.ndjson -o plain").ends_with(3);
    for (codec, levels, suffix) in [("gzip", ["0", "9"], "gz"), ("zstd", ["1", "19"], "zst")] {
        for level in levels {
            let out = format!("{codec}-{level}");
            let options = format!("--compress {codec} --level {level} --memory 128MiB");
            place.run(&format!("split export.ndjson -o {out} {options}")).ends_with(3);
            holds_the_same(&place, &out, suffix);
        }
    }
}

/// Whether the outputs of a folder are those of `plain`, compressed.
#[track_caller]
fn holds_the_same(place: &Place, folder: &str, suffix: &str) {
    let mut names = 0;
    for (name, plain) in place.contents("plain") {
        if !name.ends_with(".ndjson") || name.starts_with("_quarantine") {
            continue;
        }
        let packed = place.read(&format!("{folder}/{name}.{suffix}"));
        let text = match suffix {
            "gz" => gunzip(&packed),
            _ => zstd::decode_all(&packed[..]).expect("zstd"),
        };
        assert!(text == plain, "{folder}/{name}");
        names += 1;
    }
    assert!(names > 10, "only {names} outputs");
}

#[test]
fn levels_that_do_not_exist_are_refused() {
    let (place, _) = export(1000);
    let told: Vec<String> = ["gzip --level 10", "zstd --level 0", "zstd --level 20", "none --level 1"]
        .iter()
        .map(|level| {
            place.run(&format!("split export.ndjson -o out --compress {level}")).ends_with(2).shown()
        })
        .collect();
    insta::assert_snapshot!(told.join("\n\n"));
    assert!(!place.exists("out"));
}

/// The source needs more memory than it may have: the error names what would do, and with that it is read.
#[track_caller]
fn needs_more(place: &Place, expected: &[u8]) -> String {
    let refused = place.run("cat export.packed --memory 64MiB").ends_with(5);
    assert!(refused.stdout.is_empty());
    let hint = refused.stderr.rsplit_once("--memory ").expect("a hint").1;
    let enough = hint.split_whitespace().next().expect("a size");
    let read = place.run(&format!("cat export.packed -q --memory {enough}")).ends_with(3);
    assert!(read.stdout == expected);
    refused.stderr
}

#[test]
fn an_xz_window_that_does_not_fit() {
    if !has("xz") {
        return;
    }
    let (place, export) = export(300_000);
    place.put("export.packed", through("xz", &["-9c"], &export));
    let _sizes = without_sizes();
    insta::assert_snapshot!(needs_more(&place, &expected(&place)));
}

#[test]
fn a_zstd_window_that_does_not_fit() {
    if !has("zstd") {
        return;
    }
    let (place, export) = export(300_000);
    // Without a known size, the window is what was asked for.
    place.put("export.packed", through("zstd", &["--long=27", "--ultra", "-22", "-qc"], &export));
    let _sizes = without_sizes();
    insta::assert_snapshot!(needs_more(&place, &expected(&place)));
}
