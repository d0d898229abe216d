use std::fs;

use super::*;
use crate::bulk::{ExportLevel, FhirBase};

fn request() -> ExportRequest {
    ExportRequest::new(
        FhirBase::parse("https://host/fhir").expect("a base"),
        ExportLevel::Group("g".to_owned()),
    )
    .expect("a request")
    .types(["Patient", "Condition"])
    .since("2026-01-01T00:00:00Z")
    .type_filters(["Patient?identifier=CANARY"])
}

fn manifest() -> StatusManifest {
    let text = br#"{"transactionTime":"2026-02-01T00:00:00Z","output":[{"url":"a?CANARY"},{"url":"b"}],
        "error":[{"url":"c"}]}"#;
    StatusManifest::parse(text, &SecretUrl::parse("https://host/s").expect("a URL")).expect("a manifest")
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).expect("a log");
    assert!(!text.contains("CANARY"), "{text}");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn write_all_events(log: &mut ExportLog) -> Result<(), BulkError> {
    let (request, manifest) = (request(), manifest());
    let issues = [Issue { severity: "error", code: "throttled" }];
    let wait = Duration::from_secs(3);
    let file = &manifest.outputs[0].url;
    for event in [
        ExportEvent::NotKickedOff { request: &request, status: Some(429), issues: &issues },
        ExportEvent::KickedOff { request: &request },
        ExportEvent::Working { progress: Some("half"), retry_after: Some(Duration::from_secs(120)), wait },
        ExportEvent::Faltering { kicked_off: false, status: Some(503), issues: &[], wait },
        ExportEvent::NotKickedOff { request: &request, status: None, issues: &[] },
        ExportEvent::Faltering { kicked_off: true, status: None, issues: &[], wait },
        ExportEvent::Failed { status: Some(500), issues: &issues },
        ExportEvent::Page { number: 1, page: &manifest },
        ExportEvent::Complete { pages: 1, manifest: &manifest },
    ] {
        log.note(&event)?;
    }
    log.download_request(file, ItemType::Output, Some("Patient"))?;
    log.download_complete(file, Some(2), 77)?;
    log.download_error(file, Some(404), &BulkError::Stopped)?;
    let totals = ExportTotals { files: 1, resources: 2, bytes: 77, duration: Duration::from_millis(1500) };
    log.export_complete(&totals)
}

#[test]
fn the_log_has_the_events_of_the_format() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log.ndjson");
    let mut log = ExportLog::open(&path, "id-7").expect("a log");
    write_all_events(&mut log).expect("written");
    let lines = lines(&path);
    let body =
        json!({"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "throttled"}]});
    let parameters = json!({"_since": "2026-01-01T00:00:00Z", "_type": "Patient,Condition"});
    let kickoff = |code: Value, body: &Value| {
        json!({"exportUrl": "https://host/fhir/Group/g/$export", "softwareName": null, "softwareVersion": null,
            "softwareReleaseDate": null, "fhirVersion": null, "requestParameters": parameters, "errorCode": code,
            "errorBody": body, "responseHeaders": {}})
    };
    let time = "2026-02-01T00:00:00Z";
    let error = |code: Value, body: &Value, message: &str| json!({"body": body, "code": code, "message": message, "responseHeaders": {}});
    let mut download_error = error(json!(404), &Value::Null, "stopped (status 404)");
    download_error["fileUrl"] = json!("https://host/a");
    let expected = [
        ("kickoff", kickoff(json!(429), &body)),
        ("kickoff", kickoff(Value::Null, &Value::Null)),
        ("status_progress", json!({"body": null, "xProgress": "half", "retryAfter": "120"})),
        ("kickoff", kickoff(Value::Null, &json!("no answer"))),
        ("status_error", error(Value::Null, &Value::Null, "no manifest")),
        ("status_error", error(json!(500), &body, "no manifest (status 500)")),
        (
            "status_page_complete",
            json!({"transactionTime": time, "outputFileCount": 2, "deletedFileCount": 0, "errorFileCount": 1}),
        ),
        ("status_complete", json!({"transactionTime": time})),
        (
            "manifest_complete",
            json!({"transactionTime": time, "totalOutputFileCount": 2, "totalDeletedFileCount": 0,
            "totalErrorFileCount": 1, "totalManifests": 1}),
        ),
        (
            "download_request",
            json!({"fileUrl": "https://host/a", "itemType": "output", "resourceType": "Patient"}),
        ),
        ("download_complete", json!({"fileUrl": "https://host/a", "resourceCount": 2, "fileSize": 77})),
        ("download_error", download_error),
        (
            "export_complete",
            json!({"files": 1, "resources": 2, "bytes": 77, "attachments": null, "duration": 1500}),
        ),
    ];
    for (line, (event, detail)) in lines.iter().zip(&expected) {
        assert_eq!((&line["eventId"], &line["eventDetail"]), (&json!(event), detail));
        assert_eq!(line["exportId"], "id-7");
        let timestamp = line["timestamp"].as_str().expect("a time");
        assert!(humantime::parse_rfc3339(timestamp).is_ok(), "{timestamp}");
    }
    assert_eq!(lines.len(), expected.len());
}

#[test]
fn a_log_goes_on_behind_its_last_whole_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log.ndjson");
    for (left, kept) in [("", 0), ("{}\n", 1), ("{}\n{\"cut", 1), ("{\"cut", 0), ("{}\n{}\n", 2)] {
        fs::write(&path, left).expect("written");
        let mut log = ExportLog::open(&path, "id").expect("a log");
        log.export_complete(&ExportTotals::default()).expect("written");
        assert_eq!(lines(&path).len(), kept + 1, "{left}");
    }
}

#[cfg(unix)]
#[test]
fn the_file_is_its_owners() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log.ndjson");
    ExportLog::open(&path, "id").expect("a log");
    assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
}
