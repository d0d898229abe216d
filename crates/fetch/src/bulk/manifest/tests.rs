use proptest::prelude::*;

use super::*;

const V2: &str = r#"{
    "transactionTime": "2026-01-01T00:00:00Z",
    "request": "https://host/fhir/$export?_type=CANARY",
    "requiresAccessToken": true,
    "output": [
        {"type": "Patient", "url": "https://files.host/p.ndjson?sig=CANARY", "count": 3, "extension": {"a": [1]}},
        {"type": "Observation", "url": "o.ndjson"}
    ],
    "deleted": [{"type": "Bundle", "url": "/deleted/1.ndjson"}],
    "error": [{"type": "OperationOutcome", "url": "../e.ndjson"}],
    "extension": {"https://example.com/x": true}
}"#;

const V3: &str = r#"{
    "transactionTime": "2026-01-01T00:00:00Z",
    "request": "https://host/fhir/$export",
    "requiresAccessToken": false,
    "outputOrganizedBy": "Patient",
    "output": [{"url": "1.ndjson", "count": 7, "continuesInFile": "2.ndjson"}, {"url": "2.ndjson"}],
    "error": [],
    "link": [{"relation": "self", "url": "x"}, {"relation": "next", "url": "?page=2&CANARY"}]
}"#;

const V4: &str = r#"{
    "transactionTime": "2026-01-01T00:00:00Z",
    "requiresAccessToken": false,
    "manifestType": "bulk-export",
    "outputFormat": "application/fhir+ndjson",
    "output": [{"type": "Patient", "url": "p", "count": 1, "fileSize": "9007199254740993"}],
    "outcome": [{"url": "oo", "countSeverity": [{"severity": "error", "count": 1}]}],
    "extension": [{"url": "https://example.com/x", "valueBoolean": true}],
    "later": {"more": null}
}"#;

fn base() -> SecretUrl {
    SecretUrl::parse("https://host/status/7").expect("a URL")
}

fn parse(text: &str) -> Result<StatusManifest, ManifestError> {
    StatusManifest::parse(text.as_bytes(), &base())
}

fn urls(files: &[ManifestFile]) -> Vec<&str> {
    files.iter().map(|file| file.url.expose()).collect()
}

#[test]
fn version_2() {
    let manifest = parse(V2).expect("a manifest");
    assert_eq!(manifest.transaction_time.as_deref(), Some("2026-01-01T00:00:00Z"));
    assert!(manifest.requires_access_token);
    assert_eq!(
        urls(&manifest.outputs),
        ["https://files.host/p.ndjson?sig=CANARY", "https://host/status/o.ndjson"]
    );
    assert_eq!(manifest.outputs[0].resource_type.as_deref(), Some("Patient"));
    assert_eq!((manifest.outputs[0].count, manifest.outputs[1].count), (Some(3), None));
    assert_eq!(urls(&manifest.deleted), ["https://host/deleted/1.ndjson"]);
    assert_eq!(urls(&manifest.outcomes), ["https://host/e.ndjson"]);
    assert_eq!((manifest.organized_by.as_deref(), manifest.next), (None, None));
}

#[test]
fn version_3() {
    let manifest = parse(V3).expect("a manifest");
    assert!(!manifest.requires_access_token);
    assert_eq!(manifest.organized_by.as_deref(), Some("Patient"));
    assert_eq!(manifest.outputs[0].resource_type, None);
    assert_eq!(manifest.outputs[0].continues_in_file.as_ref(), Some(&manifest.outputs[1].url));
    let next = manifest.next.expect("a link");
    assert_eq!(next.expose(), "https://host/status/7?page=2&CANARY");
    assert_eq!(next.to_string(), "https://host/status/7");
}

#[test]
fn version_4() {
    let manifest = parse(V4).expect("a manifest");
    assert_eq!(manifest.request, None);
    assert_eq!(manifest.outputs[0].file_size, Some(9_007_199_254_740_993));
    assert_eq!(urls(&manifest.outcomes), ["https://host/status/oo"]);
}

#[test]
fn both_errors_and_outcomes_are_outcomes() {
    let manifest = parse(r#"{"output":[],"error":[{"url":"a"}],"outcome":[{"url":"b"},{"url":"a"}]}"#);
    assert_eq!(
        urls(&manifest.expect("a manifest").outcomes),
        ["https://host/status/a", "https://host/status/b"]
    );
}

#[test]
fn what_servers_left_out_is_not_made_up() {
    let manifest = parse(r#"{"output":[{"url":"p","count":"many"}],"deleted":null}"#).expect("a manifest");
    assert_eq!((manifest.transaction_time, manifest.request), (None, None));
    assert!(!manifest.requires_access_token, "a token goes only to who asks for it");
    assert_eq!(manifest.outputs[0].count, None);
    let empty = parse("\u{FEFF}{\"transactionTime\":\"t\",\"requiresAccessToken\":true}")
        .expect("no output of version 4");
    assert_eq!(empty.files().count(), 0);
}

#[test]
fn other_documents_are_no_manifests() {
    for text in [
        "",
        "[]",
        "<html>",
        "{}",
        r#"{"transactionTime":"t"}"#,
        r#"{"requiresAccessToken":true}"#,
        r#"{"output":null}"#,
        r#"{"output":[{"type":"Patient"}]}"#,
        r#"{"output":[]} {}"#,
        r#"{"resourceType":"OperationOutcome","output":[]}"#,
        r#"{"output":[],"resourceType":"Parameters"}"#,
        r#"{"output":[],"CANARY":}"#,
    ] {
        let error = parse(text).expect_err("no manifest");
        assert!(matches!(error, ManifestError::NotAManifest { .. }), "{text}: {error}");
        assert!(!format!("{error} {error:?}").contains("CANARY"), "{error}");
    }
}

#[test]
fn a_manifest_from_the_web_names_no_files_of_this_machine() {
    for (list, url) in
        [("output", "file:///etc/passwd"), ("deleted", "data:,x"), ("error", ""), ("outcome", "http://")]
    {
        let text = format!(r#"{{"output":[],"{list}":[{{"url":"ok"}},{{"url":"{url}"}}]}}"#).replacen(
            "\"output\":[],\"output\"",
            "\"output\"",
            1,
        );
        assert_eq!(parse(&text).expect_err("no URL"), ManifestError::BadUrl { list, ordinal: 1 });
    }
    let text = r#"{"output":[],"link":[{"relation":"next","url":"file:///x"}]}"#;
    assert_eq!(parse(text).expect_err("no URL"), ManifestError::BadUrl { list: "link", ordinal: 0 });
    let beside = SecretUrl::parse("file:///folder/manifest.json").expect("a URL");
    let local = StatusManifest::parse(br#"{"output":[{"url":"a.ndjson"}]}"#, &beside).expect("a manifest");
    assert_eq!(urls(&local.outputs), ["file:///folder/a.ndjson"]);
}

#[test]
fn debug_shows_no_queries() {
    for text in [V2, V3, V4] {
        let shown = format!("{:?}", parse(text).expect("a manifest"));
        assert!(shown.contains("https://host/") && !shown.contains("CANARY"), "{shown}");
    }
}

fn with_outputs(count: usize) -> String {
    let outputs: Vec<_> = (0..count).map(|at| format!(r#"{{"url":"{at}"}}"#)).collect();
    format!(r#"{{"output":[{}]}}"#, outputs.join(","))
}

#[test]
fn a_manifest_is_bounded() {
    let most = parse(&with_outputs(MAX_OUTPUTS)).expect("a manifest");
    assert_eq!(most.outputs.len(), MAX_OUTPUTS);
    assert_eq!(parse(&with_outputs(MAX_OUTPUTS + 1)), Err(too_large()));
    let more = parse(r#"{"output":[{"url":"x"}]}"#).expect("a manifest");
    assert_eq!(most.joined(more), Err(too_large()));
    let same = vec![r#"{"url":"a"}"#; MAX_OUTPUTS + 1].join(",");
    assert_eq!(
        parse(&format!(r#"{{"output":[{same}]}}"#)),
        Err(too_large()),
        "a list is cut before it is looked at"
    );
    let padded = format!("{}{}", " ".repeat(MAX_BYTES as usize), with_outputs(1));
    assert_eq!(parse(&padded), Err(too_large()));
    let long = format!(r#"{{"output":[{{"url":"{}"}}]}}"#, "x".repeat(MAX_URL_BYTES + 1));
    assert_eq!(parse(&long), Err(ManifestError::BadUrl { list: "output", ordinal: 0 }));
}

#[test]
fn pages_join_each_url_once() {
    let page = |outputs: &str, next: &str| {
        let text = format!(r#"{{"transactionTime":"t","output":[{outputs}],"link":[{next}]}}"#);
        parse(&text).expect("a page")
    };
    let first = page(r#"{"url":"a"},{"url":"b"},{"url":"a"}"#, r#"{"relation":"next","url":"2"}"#);
    let joined = first.clone().joined(page(r#"{"url":"b"},{"url":"c"}"#, "")).expect("joined");
    let at = |name: &str| format!("https://host/status/{name}");
    assert_eq!(urls(&joined.outputs), [at("a"), at("b"), at("c")]);
    assert_eq!(joined.next, None);
    for (text, field) in [
        (r#"{"transactionTime":"t","requiresAccessToken":true,"output":[]}"#, "requiresAccessToken"),
        (r#"{"transactionTime":"u","output":[]}"#, "transactionTime"),
    ] {
        let other = first.clone().joined(parse(text).expect("a page"));
        assert_eq!(other, Err(ManifestError::PagesDiffer { field }));
    }
}

#[test]
fn a_file_is_found_again_under_its_new_url() {
    let old = parse(V2).expect("a manifest");
    let new =
        parse(&V2.replace("sig=CANARY", "sig=NEW").replace("/deleted/1", "/deleted/2")).expect("a manifest");
    let found = |file| old.renewed_file(file, &new).expect("the same file").url.expose();
    assert_eq!(found(&old.outputs[0]), "https://files.host/p.ndjson?sig=NEW");
    assert_eq!(found(&old.outputs[1]), "https://host/status/o.ndjson");
    assert_eq!(found(&old.deleted[0]), "https://host/deleted/2.ndjson");
    let other = parse(&V2.replace("\"count\": 3", "\"count\": 4")).expect("a manifest");
    assert_eq!(old.renewed_file(&old.outputs[0], &other), None, "another file stands there");
    assert_eq!(old.renewed_file(&new.outputs[0], &new), None, "a file of another manifest");
}

#[test]
fn what_is_written_is_read_again() {
    for text in [V2, V3, V4] {
        let manifest = parse(text).expect("a manifest");
        assert_eq!(parse(&manifest.to_json().to_string()), Ok(manifest));
    }
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z:/?#%.]{0,8}".prop_map(Value::from),
    ];
    let key = prop_oneof![
        Just("output"),
        Just("deleted"),
        Just("error"),
        Just("outcome"),
        Just("link"),
        Just("url"),
        Just("type"),
        Just("count"),
        Just("relation"),
        Just("extension"),
        Just("transactionTime"),
        Just("requiresAccessToken"),
    ];
    leaf.prop_recursive(4, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..6).prop_map(|pairs| {
                Value::Object(pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
            }),
        ]
    })
}

proptest! {
    #[test]
    fn any_bytes_are_a_manifest_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        prop_assert!(StatusManifest::parse(&bytes, &base()).is_err());
    }

    #[test]
    fn any_json_is_a_manifest_that_can_be_written_or_an_error(value in json()) {
        if let Ok(manifest) = parse(&value.to_string()) {
            prop_assert_eq!(parse(&manifest.to_json().to_string()), Ok(manifest));
        }
    }

    #[test]
    fn a_manifest_cut_anywhere_is_an_error(at in 0..V3.len()) {
        prop_assert!(parse(&V3[..at]).is_err());
    }
}
