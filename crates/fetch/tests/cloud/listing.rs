//! What URLs stand for.

use fhirline_core::Origin;
use fhirline_fetch::{CloudBucket, Found, ObjectUrl, Objects};

use crate::servers::Server;
use crate::{bucket_of, lines, lines_at, options};

#[test]
fn a_prefix_is_read_like_a_folder_in_the_order_of_keys() {
    let bucket = bucket_of(&[
        "p/b.ndjson",
        "p/a/2.ndjson",
        "p/a.ndjson",
        "p/a/1.ndjson",
        "p/_quarantine/lines.raw",
        "p/_quarantine/deep/x",
        "p/.hidden",
        "p/c.ndjson.partial",
        "p/d.partial/x",
        "p2/other.ndjson",
        "p.ndjson",
    ]);
    let expected = [
        "skipped p/.hidden: Hidden",
        "skipped p/_quarantine: Hidden",
        "source p/a.ndjson",
        "source p/a/1.ndjson",
        "source p/a/2.ndjson",
        "source p/b.ndjson",
        "skipped p/c.ndjson.partial: Partial",
        "skipped p/d.partial: Partial",
    ];
    assert_eq!(lines_at(&bucket, "p"), expected);
    assert_eq!(lines_at(&bucket, "p/"), expected);
    let all = lines_at(&bucket, "");
    assert_eq!(all[..2], ["source p.ndjson", "skipped p/.hidden: Hidden"]);
    assert_eq!(all.last().map(String::as_str), Some("source p2/other.ndjson"));
    // What is named is read, whatever its name.
    assert_eq!(lines_at(&bucket, "p/_quarantine/lines.raw"), ["named p/_quarantine/lines.raw"]);
    assert_eq!(
        lines_at(&bucket, "p/_quarantine"),
        ["source p/_quarantine/deep/x", "source p/_quarantine/lines.raw"]
    );
}

#[test]
fn an_object_is_meant_before_a_prefix_unless_it_marks_a_folder() {
    let bucket = bucket_of(&["a", "a/b", "m/c"]);
    assert_eq!(lines_at(&bucket, "a"), ["named a"]);
    assert_eq!(lines_at(&bucket, "a/"), ["source a/b"]);
    bucket.put("m", b"").expect("put");
    assert_eq!(lines_at(&bucket, "m"), ["source m/c"]);
    bucket.put("empty", b"").expect("put");
    assert_eq!(lines_at(&bucket, "empty"), ["named empty"]);
}

#[test]
fn nothing_at_all_is_an_error() {
    let bucket = bucket_of(&["a"]);
    let expected = "error memory://memory/none: there is no such object, and none lies below it";
    assert_eq!(lines_at(&bucket, "none"), [expected]);
    assert_eq!(lines(Objects::in_bucket(&CloudBucket::in_memory())).len(), 1);
}

#[test]
fn the_destination_is_left_out() {
    let bucket = bucket_of(&["p/a", "p/out/x", "p/out/y", "p/z"]);
    let out = bucket.at("p/out").expect("a key");
    let found = Objects::in_bucket(&bucket.at("p").expect("a key")).excluding(out.url());
    assert_eq!(lines(found), ["source p/a", "skipped p/out: Destination", "source p/z"]);
    let elsewhere: ObjectUrl = "s3://memory/p/out".parse().expect("a URL");
    assert_eq!(lines(Objects::in_bucket(&bucket.at("p").expect("a key")).excluding(&elsewhere)).len(), 4);
}

#[test]
fn a_folder_with_a_manifest_is_read_through_it() {
    let bucket =
        bucket_of(&["p/x/a.ndjson", "p/x/b b.ndjson", "p/x/sub/_c.ndjson", "p/x/sub/d", "p/w", "p/y"]);
    let urls = [
        "b%20b.ndjson",
        "https://server/1/a.ndjson?signature=canary",
        "./a.ndjson",
        "sub/_c.ndjson",
        "https://server/2/a.ndjson?signature=canary",
        "gone.ndjson?signature=canary",
        "../w",
        "b%20b.ndjson",
    ];
    let outputs: Vec<_> = urls.iter().map(|url| format!(r#"{{"type":"Patient","url":"{url}"}}"#)).collect();
    let manifest = format!(r#"{{"output":[{}]}}"#, outputs.join(","));
    bucket.put("p/x/manifest.json", manifest.as_bytes()).expect("put");
    bucket.put("p/manifest.json", br#"{"resourceType":"Basic","output":[]}"#).expect("put");
    let found = lines_at(&bucket, "p");
    assert_eq!(
        found,
        [
            "source p/manifest.json",
            "source p/w",
            "listed p/x/b b.ndjson",
            "listed p/x/a.ndjson",
            "listed p/x/sub/_c.ndjson",
            "error memory://memory/p/x/manifest.json names an output that is not in its folder: https://server/2/a.ndjson",
            "error memory://memory/p/x/manifest.json names an output that is not in its folder: gone.ndjson",
            "error memory://memory/p/x/manifest.json names an output outside its folder: ../w",
            "skipped p/x/manifest.json: Manifest",
            "skipped p/x/sub/d: NotInManifest",
            "source p/y",
        ]
    );
    assert!(!found.concat().contains("canary"));
}

#[test]
fn what_a_manifest_lists_beside_its_data_has_its_role() {
    let bucket = bucket_of(&["p/a.ndjson", "p/deleted/d.ndjson", "p/_quarantine/outcome.ndjson"]);
    let manifest = r#"{"output":[{"type":"Patient","url":"a.ndjson","count":3}],
        "deleted":[{"type":"Bundle","url":"https://server/d.ndjson"}],
        "error":[{"url":"_quarantine/outcome.ndjson"}]}"#;
    bucket.put("p/manifest.json", manifest.as_bytes()).expect("put");
    let found: Vec<_> = Objects::in_bucket(&bucket.at("p/").expect("a key"))
        .map(|found| match found.expect("found") {
            Found::Source { origin, role, declared, .. } => {
                let count = declared.and_then(|declared| declared.count);
                format!("{} {role:?} {count:?}", origin.name())
            }
            Found::Skipped { name, why } => format!("{name} {why:?}"),
        })
        .collect();
    assert_eq!(
        found,
        [
            "memory://memory/p/a.ndjson Data Some(3)",
            "memory://memory/p/deleted/d.ndjson Deleted None",
            "memory://memory/p/_quarantine/outcome.ndjson Quarantine",
            "memory://memory/p/manifest.json Manifest",
        ]
    );
}

#[test]
fn a_manifest_that_is_named_is_its_files_by_its_content() {
    let bucket = bucket_of(&["p/a.ndjson", "p/deleted/d.ndjson", "p/other.ndjson", "p/twice", "p/out/x"]);
    let manifest = r#"{"transactionTime":"2026-01-01T00:00:00Z","output":[{"url":"a.ndjson"},
        {"url":"https://server.invalid/b.ndjson?key=canary"}, {"url":"out/x"},
        {"url":"https://server.invalid/1/twice"}, {"url":"https://server.invalid/2/twice"}],
        "deleted":[{"url":"https://server.invalid/d.ndjson"}]}"#;
    bucket.put("p/status.json", manifest.as_bytes()).expect("put");
    let out = bucket.at("p/out").expect("a key");
    let at = |key: &str| Objects::in_bucket(&bucket.at(key).expect("a key")).excluding(out.url());
    let files = [
        "listed p/a.ndjson",
        "listed b.ndjson",
        "skipped p/out/x: Destination",
        "listed 1/twice",
        "listed 2/twice",
        "listed p/deleted/d.ndjson",
    ];
    assert_eq!(lines(at("p/status.json")), files);
    let matched = lines(at("p/st*.json"));
    assert_eq!(
        (matched[0].as_str(), &matched[1..]),
        ("skipped p/out: Destination", &files.map(str::to_owned)[..])
    );
    // Data is never taken for one, whatever it is called; and what lies in a folder is data.
    for data in [r#"{"resourceType":"Basic","output":[],"transactionTime":"t"}"#, r#"{"output":[]}"#, "{"] {
        bucket.put("p/manifest.json", data.as_bytes()).expect("put");
        assert_eq!(lines(at("p/manifest.json")), ["named p/manifest.json"], "{data}");
    }
    bucket.put("p/manifest.json", br#"{"resourceType":"Basic"}"#).expect("put");
    assert!(lines(at("p")).contains(&"source p/status.json".to_owned()));
}

#[test]
fn more_objects_than_a_page_come_in_order_from_s3() {
    let Some(server) = Server::moto("more_objects_than_a_page_come_in_order_from_s3") else { return };
    server.s3_bucket("bucket");
    let mut expected = Vec::new();
    for number in 0..1001 {
        let key = format!("p/{}/{number:04}.ndjson", number % 3);
        server.s3_put("bucket", &key, b"{}\n");
        expected.push(format!("source {key}"));
    }
    expected.sort();
    // The marks that consoles put down for folders.
    server.s3_put("bucket", "p/", b"");
    server.s3_put("bucket", "p/1/", b"");
    let url: ObjectUrl = "s3://bucket/p".parse().expect("a URL");
    assert_eq!(lines(Objects::of(&url, &options(server.s3_settings()))), expected);
}

#[test]
fn what_is_listed_is_known_as_what_is_looked_at() {
    let test = "what_is_listed_is_known_as_what_is_looked_at";
    for (url, options) in one_object_each(test).iter().map(|(_, url, options)| (url, options)) {
        let prefix: ObjectUrl =
            format!("{}/", url.rsplit_once('/').expect("a slash").0).parse().expect("a URL");
        let url: ObjectUrl = url.parse().expect("a URL");
        let bucket = CloudBucket::open(&url, options).expect("opened");
        let looked_at = bucket.object(url.key()).expect("a key").identity().expect("exists");
        let mut found = Objects::of(&prefix, options);
        let Some(Ok(Found::Source { origin, .. })) = found.next() else { panic!("{url} is not listed") };
        assert_eq!(origin.identity().expect("exists"), looked_at);
        assert_eq!(std::io::read_to_string(origin.open_at(0).expect("opens")).expect("read"), "{}\n");
    }
}

/// An object on each server that is installed.
fn one_object_each(test: &str) -> Vec<(Server, String, fhirline_fetch::CloudOptions)> {
    let mut all = Vec::new();
    if let Some(server) = Server::moto(test) {
        server.s3_bucket("bucket");
        server.s3_put("bucket", "p/a.ndjson", b"{}\n");
        let options = options(server.s3_settings());
        all.push((server, "s3://bucket/p/a.ndjson".to_owned(), options));
    }
    if let Some(server) = Server::azurite(test) {
        server.azure_container("container");
        server.azure_put("container", "p/a.ndjson", b"{}\n");
        let options = options(server.azure_settings());
        all.push((server, "az://container/p/a.ndjson".to_owned(), options));
    }
    if let Some(server) = Server::fake_gcs(test) {
        server.gcs_bucket("bucket");
        server.gcs_put("bucket", "p/a.ndjson", b"{}\n");
        let options = options(server.gcs_settings());
        all.push((server, "gs://bucket/p/a.ndjson".to_owned(), options));
    }
    all
}
