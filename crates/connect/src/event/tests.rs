use super::*;

fn parse(text: &str) -> Event {
    Event::parse(text.as_bytes()).expect("an event")
}

fn event(kind: &str, data: &str) -> Event {
    parse(&format!(
        r#"{{"api_mode":"live","date":"2026-07-08T10:00:00Z","id":"e1","type":"{kind}","data":{data}}}"#
    ))
}

fn success(data: &str) -> ExportSuccess {
    match event("patient.ehi_export_success", data).data {
        EventData::ExportSuccess(export) => export,
        other => panic!("another event: {other:?}"),
    }
}

#[test]
fn all_seven_types_are_known() {
    for (kind, wanted) in [
        ("patient.ehi_export_success", "ExportSuccess"),
        ("patient.ehi_export_failed", "ExportFailed"),
        ("patient.connection_success", "ConnectionSuccess"),
        ("patient.authorization_revoked", "AuthorizationRevoked"),
        ("patient.request_health_system", "RequestHealthSystem"),
        ("patient.request_support", "RequestSupport"),
        ("webhook.test", "Test"),
        ("ehi_export_success", "ExportSuccess"),
        ("patient.something_new", "Unknown"),
    ] {
        let event = event(kind, "{}");
        assert_eq!(format!("{:?}", event.data), wanted);
        assert_eq!((event.kind.as_str(), event.mode, event.id.as_deref()), (kind, Mode::Live, Some("e1")));
    }
}

#[test]
fn an_export_as_it_is_documented() {
    let export = success(
        r#"{"download_links":[{"url":"https://api/v1/x.jsonl?s=CANARY","export_type":"jsonl","content_type":"application/fhir+ndjson"}],
            "org_connection_id":"c","task_id":"t","org_id":"o","stats":{"total_resources":12,"total_by_resource_type":{"Patient":1,"Observation":316}},
            "new":{"a":1}}"#,
    );
    let link = export.link(None).expect("a link");
    assert_eq!(link.url.expose(), "https://api/v1/x.jsonl?s=CANARY");
    assert_eq!(link.url.to_string(), "https://api/v1/x.jsonl");
    assert!(!format!("{export:?}").contains("CANARY"));
    let stats = export.stats.as_ref().expect("counts");
    assert_eq!((stats.total_resources, stats.total_by_resource_type["Observation"]), (Some(12), 316));
    assert_eq!(export.other["new"]["a"], 1);
    let data = EventData::ExportSuccess(export);
    assert_eq!((data.org_connection_id(), data.task_id()), (Some("c"), Some("t")));
}

#[test]
fn of_several_formats_one_is_taken() {
    let both = success(
        r#"{"download_links":[{"url":"https://a/b","export_type":"fhir_bundle"},{"url":"https://a/j","export_type":"jsonl"}],
            "download_link":"https://a/old"}"#,
    );
    let url = |export: &ExportSuccess, wanted| export.link(wanted).map(|link| link.url.expose().to_owned());
    assert_eq!(url(&both, None).as_deref(), Some("https://a/j"));
    assert_eq!(url(&both, Some("fhir_bundle")).as_deref(), Some("https://a/b"));
    assert_eq!(url(&both, Some("parquet")), None);
    let bundle = success(r#"{"download_links":[{"url":"https://a/b","export_type":"fhir_bundle"}]}"#);
    assert_eq!(url(&bundle, None).as_deref(), Some("https://a/b"));
}

#[test]
fn old_and_odd_forms_of_links_are_read() {
    for data in [
        r#"{"download_link":"https://a/x"}"#,
        r#"{"download_link":{"url":"https://a/x"}}"#,
        r#"{"download_links":["https://a/x"]}"#,
        r#"{"download_links":"https://a/x","stats":null}"#,
        r#"{"download_links":[17,{"export_type":"jsonl"},{"url":"https://a/x","export_type":null}],"stats":"none"}"#,
    ] {
        let export = success(data);
        assert_eq!(export.link(None).map(|link| link.url.expose()), Some("https://a/x"), "{data}");
    }
    assert_eq!(success(r#"{"stats":{"total_resources":"many"}}"#).link(None), None);
}

#[test]
fn what_is_missing_or_of_another_kind_does_no_harm() {
    let failed =
        event("patient.ehi_export_failed", r#"{"failure_reason":"tefca_no_documents_found","task_id":7}"#);
    let EventData::ExportFailed(failed) = failed.data else { panic!("another event") };
    assert_eq!(failed.failure_reason, Some(FailureReason::TefcaNoDocumentsFound));
    assert_eq!(failed.task_id, None);
    let connected =
        event("patient.connection_success", r#"{"org_connection_id":"c","external_id":null,"x":[1]}"#);
    assert_eq!(connected.data.org_connection_id(), Some("c"));
}

#[test]
fn what_is_no_event_says_why_and_shows_nothing() {
    for (text, wanted) in [
        ("CANARY", EventError::NotJson),
        ("[]", EventError::NotJson),
        (r#"{"api_mode":"test","data":{}}"#, EventError::NoType),
        (r#"{"type":"webhook.test","data":{}}"#, EventError::NoMode),
        (r#"{"type":"webhook.test","api_mode":"CANARY","data":{}}"#, EventError::NoMode),
        (r#"{"type":"webhook.test","api_mode":"test","data":"CANARY"}"#, EventError::BadData),
        (r#"{"type":"webhook.test","api_mode":"test"}"#, EventError::BadData),
    ] {
        let refused = Event::parse(text.as_bytes()).expect_err("refused");
        assert_eq!(refused, wanted, "{text}");
        assert!(!format!("{refused} {refused:?}").contains("CANARY"));
    }
}

#[test]
fn nothing_about_a_person_is_shown() {
    for kind in [
        "patient.request_support",
        "patient.request_health_system",
        "patient.connection_success",
        "patient.new",
    ] {
        let data =
            r#"{"email":"CANARY","body":"CANARY","name":"CANARY","external_id":"CANARY","x":"CANARY"}"#;
        let event = event(kind, data);
        assert!(!format!("{event:?} {:?}", event.data).contains("CANARY"), "{kind}");
    }
}
