//! Exports from a Bulk Data server of our own over loopback.
#![cfg(feature = "http")]

#[path = "support/bulk_server.rs"]
mod bulk_server;

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::fmt::Write;
use std::io::read_to_string;
use std::time::Duration;

use fhirline_core::Origin;
use fhirline_fetch::{
    BulkError, Cancelled, Export, ExportEvent, ExportLevel, ExportLog, ExportPace, ExportRequest,
    ExportState, FhirBase, HttpClient, HttpOptions, HttpOrigin, KeyFile, KickOffMethod, ManifestError,
    Request, Retry, SigningAlgorithm, SmartOptions, SmartTokens, StatusManifest,
};
use serde_json::{Value, json};

use bulk_server::{BulkServer, CANARY, CLIENT_ID, Reply, Script, TokenRules, key_file};

const PATIENTS: &str =
    "{\"resourceType\":\"Patient\",\"id\":\"1\"}\n{\"resourceType\":\"Patient\",\"id\":\"2\"}\n";

fn quick() -> ExportPace {
    let longest = Duration::from_millis(2);
    ExportPace { first_wait: Duration::from_millis(1), max_wait: longest, ..ExportPace::default() }
}

fn client() -> HttpClient {
    let retry = Retry { max_wait: Duration::from_millis(2), ..Retry::default() };
    HttpClient::new(HttpOptions::default().with_retry(retry)).expect("a client")
}

fn request(server: &BulkServer) -> ExportRequest {
    ExportRequest::new(FhirBase::parse(&server.fhir()).expect("a base"), ExportLevel::Patient)
        .expect("a request")
}

fn export(server: &BulkServer, client: HttpClient) -> Export {
    Export::new(client, request(server).base()).pace(quick())
}

fn smart(key: KeyFile, algorithm: Option<SigningAlgorithm>) -> SmartOptions {
    SmartOptions { client_id: CLIENT_ID.to_owned(), key, scope: None, token_url: None, algorithm }
}

fn jwks() -> KeyFile {
    KeyFile::Jwks(key_file("private.jwks.json"))
}

fn signed_in(server: &BulkServer) -> HttpClient {
    let tokens =
        SmartTokens::discover(&client(), request(server).base(), &smart(jwks(), None)).expect("tokens");
    client().with_credentials(tokens.credentials())
}

/// Kick-off to manifest, and a line for everything that was told.
fn run(server: &BulkServer, export: &Export) -> Result<(StatusManifest, Vec<String>), BulkError> {
    let told = RefCell::new(Vec::new());
    let mut tell = |event: &ExportEvent<'_>| told.borrow_mut().push(line(event));
    let mut state = export.kick_off(&request(server), &mut tell, &|| false)?;
    let manifest = export.wait(&mut state, &mut tell, &|| false)?;
    Ok((manifest, told.into_inner()))
}

fn line(event: &ExportEvent<'_>) -> String {
    match event {
        ExportEvent::KickedOff { .. } => "kicked off".to_owned(),
        ExportEvent::NotKickedOff { status, .. } => format!("not kicked off {status:?}"),
        ExportEvent::Working { progress, retry_after, .. } => format!("working {progress:?} {retry_after:?}"),
        ExportEvent::Faltering { status, issues, .. } => format!("faltering {status:?} {}", issues.len()),
        ExportEvent::Page { number, page } => format!("page {number} {}", page.outputs.len()),
        ExportEvent::Complete { pages, manifest } => format!("complete {pages} {}", manifest.outputs.len()),
        ExportEvent::Failed { status, issues } => format!("failed {status:?} {}", issues.len()),
        _ => String::new(),
    }
}

fn status_path() -> String {
    format!("GET /status/{CANARY}")
}

fn manifest(fields: Value) -> Reply {
    let Value::Object(fields) = fields else { panic!("an object") };
    let mut manifest =
        json!({"transactionTime": "2026-01-01T00:00:00Z", "requiresAccessToken": false, "output": []});
    manifest.as_object_mut().expect("an object").extend(fields);
    Reply::manifest(&manifest)
}

fn shown(error: &dyn Error) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(error) = source {
        write!(text, " {error} {error:?}").expect("a string");
        source = error.source();
    }
    text
}

#[test]
fn from_kick_off_to_manifest() {
    let server = BulkServer::start(Script::export(&[("Patient", PATIENTS)]));
    let (manifest, told) = run(&server, &export(&server, client())).expect("an export");
    assert_eq!(manifest.outputs[0].count, Some(2));
    let progress = ["kicked off", "working Some(\"10%\") Some(0ns)", "working Some(\"90%\") Some(0ns)"];
    assert_eq!(told[..3], progress);
    assert_eq!(told[3..], ["page 1 1", "complete 1 1"]);
    let kick_off = &server.asked("GET", "/fhir/Patient/$export")[0];
    assert_eq!(kick_off.header("accept"), Some("application/fhir+json"));
    assert_eq!(kick_off.header("prefer"), Some("respond-async"));
    let look = &server.asked("GET", "/status")[0];
    assert_eq!(
        (look.header("accept"), look.target.as_str()),
        (Some("application/json"), "/status/CANARY?CANARY")
    );
}

#[test]
fn what_passes_is_waited_out() {
    let script = Script::export(&[]).on(
        "GET /fhir/Patient/$export",
        [Reply::new(429).header("Retry-After", "0"), Reply::outcome(503, "throttled"), Reply::taken()],
    );
    let script = script.on(
        &status_path(),
        [
            Reply::new(429).header("Retry-After", "0"),
            Reply::outcome(500, "transient"),
            Reply::dropped(),
            Reply::new(504).body("<html>gateway</html>"),
            Reply::new(200).header("X-Export-Status", "202").header("X-Progress", "apart"),
            manifest(json!({})),
        ],
    );
    let server = BulkServer::start(script);
    let (_, told) = run(&server, &export(&server, client())).expect("an export");
    let expected = [
        "faltering Some(429) 0",
        "faltering Some(503) 1",
        "kicked off",
        "faltering Some(429) 0",
        "faltering Some(500) 1",
        "faltering None 0",
        "faltering Some(504) 0",
        "working Some(\"apart\") None",
        "page 1 0",
        "complete 1 0",
    ];
    assert_eq!(told, expected);
}

#[test]
fn patience_is_bounded() {
    for (reply, status) in [(Reply::outcome(500, "exception"), Some(500)), (Reply::dropped(), None)] {
        let server = BulkServer::start(Script::export(&[]).on(&status_path(), [reply]));
        let error = run(&server, &export(&server, client())).expect_err("too many faults");
        assert_eq!(error.answer().0, status, "{error}");
        assert_eq!(server.asked("GET", "/status").len(), quick().max_faults as usize);
    }
    let server = BulkServer::start(Script::export(&[]).on(&status_path(), [Reply::working("1%", "60")]));
    let short = ExportPace { max_total: Duration::from_secs(59), ..quick() };
    let error = run(&server, &export(&server, client()).pace(short)).expect_err("too long");
    assert!(matches!(error, BulkError::NotReady { .. }), "{error}");
    assert_eq!(server.asked("GET", "/status").len(), 1, "it does not wait for what is not to be");
}

#[test]
fn an_export_that_failed_says_why_in_codes() {
    for (reply, why) in [
        (Reply::outcome(500, "processing"), "status 500 (error processing)"),
        (Reply::new(500).body(CANARY), "status 500"),
        (Reply::new(200).header("X-Export-Status", "404").body(CANARY), "status 404"),
    ] {
        let server = BulkServer::start(Script::export(&[]).on(&status_path(), [reply]));
        let error = run(&server, &export(&server, client())).expect_err("failed");
        assert!(error.to_string().ends_with(why), "{error}");
        assert_eq!(server.asked("GET", "/status").len(), 1);
    }
}

#[test]
fn a_refused_kick_off_is_told() {
    let post = Script::default().on("POST /fhir/Patient/$export", [Reply::taken()]);
    let server = BulkServer::start(post);
    let error = run(&server, &export(&server, client())).expect_err("not found");
    assert!(error.hint().is_some_and(|hint| hint.contains("POST")), "{error}");
    for reply in [Reply::new(202), Reply::new(202).header("Content-Location", "file:///etc/passwd")] {
        let server = BulkServer::start(Script::default().on("GET /fhir/Patient/$export", [reply]));
        let error = run(&server, &export(&server, client())).expect_err("no status");
        assert!(matches!(error, BulkError::NoStatusUrl { .. }), "{error}");
    }
}

#[test]
fn a_kick_off_whose_answer_is_lost_is_not_repeated() {
    let script = Script::default().on("GET /fhir/Patient/$export", [Reply::dropped(), Reply::taken()]);
    let server = BulkServer::start(script);
    let error = run(&server, &export(&server, client())).expect_err("lost");
    assert!(matches!(error, BulkError::Http { .. }), "{error}");
    assert_eq!(server.asked("GET", "/fhir").len(), 1);
}

#[test]
fn parameters_are_posted_for_version_4() {
    let server = BulkServer::start(Script::default().on("POST /fhir/Patient/$export", [Reply::taken()]));
    let request = request(&server).types(["Patient"]).method(KickOffMethod::Post);
    export(&server, client()).kick_off(&request, &mut |_| (), &|| false).expect("taken");
    let question = &server.asked("POST", "/fhir")[0];
    assert_eq!(question.header("content-type"), Some("application/fhir+json"));
    assert_eq!(question.target, "/fhir/Patient/$export");
    let body: Value = serde_json::from_str(&question.body).expect("JSON");
    let parameter = json!([{"name": "_type", "valueString": "Patient"}]);
    assert_eq!(body, json!({"resourceType": "Parameters", "parameter": parameter}));
}

#[test]
fn pages_are_followed() {
    let page = |name: &str, next: &str| {
        let output = json!([{"type": "Patient", "url": format!("{{base}}/files/{name}")}]);
        let link = json!([{"relation": "next", "url": format!("{{base}}/status/{next}")}]);
        json!({"output": output, "link": link})
    };
    // The first comes before the export is complete.
    let script = Script::export(&[])
        .on(&status_path(), [manifest(page("1", "2")).status(202)])
        .on("GET /status/2", [Reply::working("50%", "0"), manifest(page("2", "3"))])
        .on("GET /status/3", [manifest(json!({
            "output": [{"type": "Patient", "url": "{base}/files/3"}, {"type": "Patient", "url": "{base}/files/1"}],
            "deleted": [{"type": "Bundle", "url": "{base}/files/4"}],
            "error": [{"type": "OperationOutcome", "url": "{base}/files/5"}],
        }))]);
    let server = BulkServer::start(script);
    let (manifest, told) = run(&server, &export(&server, client())).expect("an export");
    let paths: Vec<_> = manifest.files().map(|file| file.url.expose().replace(server.base(), "")).collect();
    assert_eq!(paths, ["/files/1", "/files/2", "/files/3", "/files/4", "/files/5"]);
    let pages = ["page 1 1", "working Some(\"50%\") Some(0ns)", "page 2 1", "page 3 2", "complete 3 3"];
    assert_eq!(told[1..], pages);
}

#[test]
fn relative_urls_are_relative_to_where_the_manifest_came_from() {
    let script = Script::export(&[])
        .on(&status_path(), [Reply::new(307).header("Location", "/elsewhere/manifest")])
        .on("GET /elsewhere/manifest", [manifest(json!({"output": [{"url": "p.ndjson"}]}))]);
    let server = BulkServer::start(script);
    let (manifest, _) = run(&server, &export(&server, client())).expect("an export");
    assert_eq!(manifest.outputs[0].url.expose(), format!("{}/elsewhere/p.ndjson", server.base()));
}

#[test]
fn a_ring_of_pages_is_seen() {
    let to = |next: &str| {
        manifest(json!({"link": [{"relation": "next", "url": format!("{{base}}/status/{next}")}]}))
    };
    let script = Script::export(&[])
        .on(&status_path(), [to("2")])
        .on("GET /status/2", [to("3")])
        .on("GET /status/3", [to("2")]);
    let server = BulkServer::start(script);
    let error = run(&server, &export(&server, client())).expect_err("a ring");
    let source = error.source().and_then(|source| source.downcast_ref());
    assert!(matches!(source, Some(ManifestError::PagesRepeat { .. })), "{error:?}");
    assert_eq!(server.asked("GET", "/status").len(), 3);
}

#[test]
fn an_export_is_taken_up_again_where_it_was_left() {
    let server = BulkServer::start(Script::export(&[("Patient", PATIENTS)]));
    let folder = tempfile::tempdir().expect("a folder");
    let note = folder.path().join("export.json");
    let export = export(&server, client());
    let state = export.kick_off(&request(&server), &mut |_| (), &|| false).expect("taken");
    state.save(&note).expect("saved");
    let stopped = Cell::new(false);
    let mut state = ExportState::load(&note).expect("read").expect("a state");
    let end = export.wait(&mut state, &mut |_| stopped.set(true), &|| stopped.get());
    assert!(matches!(end, Err(BulkError::Stopped)));
    assert_eq!(server.asked("GET", "/status").len(), 1);

    let mut state = ExportState::load(&note).expect("read").expect("a state");
    let manifest = export.wait(&mut state, &mut |_| (), &|| false).expect("an export");
    state.files_done.insert("Patient.000.ndjson".to_owned());
    state.save(&note).expect("saved");
    let asked = server.questions().len();
    let mut state = ExportState::load(&note).expect("read").expect("a state");
    assert_eq!(export.wait(&mut state, &mut |_| (), &|| false).expect("known"), manifest);
    assert_eq!(server.questions().len(), asked, "what is known is not asked for");
    assert_eq!(export.refresh(&mut state, &mut |_| (), &|| false).expect("again"), manifest);
    assert_eq!(server.questions().len(), asked + 1);
    assert_eq!(state.files_done.len(), 1);
    assert_eq!(server.asked("GET", "/fhir").len(), 1, "there is one export");
}

#[test]
fn a_wait_is_left_at_once_and_the_export_cancelled() {
    let server = BulkServer::start(Script::export(&[]).on(&status_path(), [Reply::working("1%", "3000")]));
    let export = export(&server, client());
    let mut state = export.kick_off(&request(&server), &mut |_| (), &|| false).expect("taken");
    let waits = RefCell::new(Vec::new());
    let mut tell = |event: &ExportEvent<'_>| {
        if let ExportEvent::Working { wait, .. } = event {
            waits.borrow_mut().push(wait.as_secs());
        }
    };
    let end = export.wait(&mut state, &mut tell, &|| !waits.borrow().is_empty());
    assert!(matches!(end, Err(BulkError::Stopped)));
    assert_eq!(waits.into_inner(), [3000]);
    assert_eq!(export.cancel(&state).expect("taken"), Cancelled::Accepted);
    assert_eq!(export.cancel(&state).expect("an answer"), Cancelled::Unknown);
    let deletes = server.asked("DELETE", "/status");
    assert_eq!((deletes.len(), deletes[0].target.as_str()), (2, "/status/CANARY?CANARY"));
}

#[test]
fn assertions_are_signed_either_way() {
    let pem = |name, kid: &str| KeyFile::Pem { path: key_file(name), kid: kid.to_owned() };
    let (rs384, es384) = (SigningAlgorithm::Rs384, SigningAlgorithm::Es384);
    for (key, algorithm, offered, used) in [
        (jwks(), None, vec!["RS384", "ES384"], "RS384"),
        (jwks(), None, vec!["ES384"], "ES384"),
        (jwks(), Some(es384), vec!["RS384", "ES384"], "ES384"),
        (pem("rsa.pem", "test-rs384"), Some(rs384), vec!["RS384"], "RS384"),
        (pem("ec.pem", "test-es384"), None, vec!["RS384", "ES384"], "ES384"),
    ] {
        let rules = TokenRules { algorithms: offered, ..TokenRules::default() };
        let server = BulkServer::start(Script::export(&[]).guarded(rules));
        let options = smart(key, algorithm);
        let tokens = SmartTokens::discover(&client(), request(&server).base(), &options).expect("tokens");
        tokens.bearer(None).expect("a token");
        assert_eq!(server.good_assertions(), [used]);
    }
}

#[test]
fn a_refused_assertion_has_a_hint_and_no_secrets() {
    let server = BulkServer::start(Script::export(&[]).guarded(TokenRules::default()));
    let key = KeyFile::Pem { path: key_file("ec.pem"), kid: "test-rs384".to_owned() };
    let tokens =
        SmartTokens::discover(&client(), request(&server).base(), &smart(key, None)).expect("tokens");
    let error = tokens.bearer(None).expect_err("refused");
    assert!(error.to_string().ends_with("(status 400): invalid_client"), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("kid")), "{error}");
    assert!(!shown(&error).contains(CANARY), "{error:?}");
    let client = client().with_credentials(tokens.credentials());
    let error = run(&server, &export(&server, client)).expect_err("no token");
    assert!(shown(&error).contains("invalid_client") && !shown(&error).contains(CANARY), "{error:?}");
    let none = TokenRules { algorithms: vec!["RS256"], ..TokenRules::default() };
    let server = BulkServer::start(Script::default().guarded(none));
    let error = SmartTokens::discover(&self::client(), request(&server).base(), &smart(jwks(), None));
    assert!(matches!(error, Err(BulkError::NoAlgorithm { .. })));
}

#[test]
fn a_token_is_renewed_in_mid_run() {
    let rules = TokenRules { uses: 2, ..TokenRules::default() };
    let server = BulkServer::start(Script::export(&[("Patient", PATIENTS)]).guarded(rules));
    let export = export(&server, signed_in(&server));
    let (manifest, _) = run(&server, &export).expect("an export");
    let file = &manifest.outputs[0];
    let client = export.client_for_file(&manifest, file).expect("a client");
    let origin = HttpOrigin::new(&client, file.url.expose()).expect("an origin");
    let text = read_to_string(origin.open_at(0).expect("a reader")).expect("a file");
    assert_eq!(text, PATIENTS);
    // Five questions: kick-off, three looks, one file.
    assert_eq!(server.good_assertions().len(), 3);
}

#[test]
fn a_token_is_renewed_before_it_ends() {
    for (expires_in, tokens) in [(Some(0), 4), (Some(3600), 1), (None, 1)] {
        let rules = TokenRules { expires_in, ..TokenRules::default() };
        let server = BulkServer::start(Script::export(&[]).guarded(rules));
        run(&server, &export(&server, signed_in(&server))).expect("an export");
        assert_eq!(server.good_assertions().len(), tokens, "{expires_in:?}");
    }
}

#[test]
fn many_threads_renew_once() {
    let server = BulkServer::start(Script::export(&[]).guarded(TokenRules::default()));
    let tokens =
        SmartTokens::discover(&client(), request(&server).base(), &smart(jwks(), None)).expect("tokens");
    let refused = tokens.bearer(None).expect("a token");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| tokens.bearer(Some(&refused)).expect("a token"));
        }
    });
    assert_eq!(server.good_assertions().len(), 2);
}

#[test]
fn the_token_goes_to_no_second_host() {
    let other = BulkServer::start(
        Script::default().on("GET /f", [Reply::file(PATIENTS)]).on("GET /page", [Reply::new(401)]),
    );
    let foreign = format!("{}/f?{CANARY}", other.base());
    let files = json!([{"type": "Patient", "url": foreign}, {"type": "Patient", "url": "{base}/open/f"}]);
    for wants_token in [false, true] {
        let reply = manifest(json!({"requiresAccessToken": wants_token, "output": files}));
        let script =
            Script::export(&[]).on(&status_path(), [reply]).on("GET /open/f", [Reply::file(PATIENTS)]);
        let server = BulkServer::start(script.guarded(TokenRules::default()));
        let export = export(&server, signed_in(&server));
        let (manifest, _) = run(&server, &export).expect("an export");
        for file in &manifest.outputs {
            match export.client_for_file(&manifest, file) {
                Ok(client) => {
                    client.ask(&Request::get(file.url.expose())).expect("an answer");
                }
                Err(error) => {
                    assert!(matches!(error, BulkError::ForeignFile { .. }), "{error}");
                    assert!(wants_token && error.hint().is_some() && !shown(&error).contains(CANARY));
                }
            }
        }
        let at_home = server.asked("GET", "/open/f");
        assert_eq!(at_home[0].header("authorization").is_some(), wants_token);
    }
    assert_eq!(other.questions().len(), 1, "only the file that wants no token was fetched there");
    assert!(other.questions().iter().all(|question| question.header("authorization").is_none()));
}

#[test]
fn a_status_or_page_on_a_second_host_is_asked_for_without_the_token() {
    let other = BulkServer::start(Script::default().on("GET /page", [Reply::new(401).body(CANARY)]));
    let next = json!([{"relation": "next", "url": format!("{}/page?{CANARY}", other.base())}]);
    let script = Script::export(&[]).on(&status_path(), [manifest(json!({"link": next}))]);
    let server = BulkServer::start(script.guarded(TokenRules::default()));
    let error = run(&server, &export(&server, signed_in(&server))).expect_err("refused there");
    assert!(
        matches!(&error, BulkError::Refused { token_withheld_from: Some(host), .. } if host == "127.0.0.1")
    );
    assert!(error.hint().is_some_and(|hint| hint.contains("name the host")), "{error}");
    assert!(other.questions().iter().all(|question| question.header("authorization").is_none()));

    let port = other.base().rsplit(':').next().expect("a port");
    let trusting = export(&server, signed_in(&server)).token_hosts([format!("127.0.0.1:{port}")]);
    run(&server, &trusting).expect_err("refused all the same");
    assert!(other.questions().last().expect("asked").header("authorization").is_some());
}

#[test]
fn nothing_that_is_shown_or_logged_holds_a_secret() {
    let files = json!([{"type": "Patient", "url": format!("{{base}}/files/p?{CANARY}")}]);
    let script = Script::export(&[]).on(&status_path(), [
        Reply::outcome(500, "transient"),
        Reply::working("20%", "0"),
        manifest(json!({"requiresAccessToken": true, "output": files, "request": format!("{{base}}/x?{CANARY}")})),
        Reply::outcome(500, "processing"),
    ]);
    let server = BulkServer::start(script.guarded(TokenRules { uses: 2, ..TokenRules::default() }));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log.ndjson");
    let mut log = ExportLog::open(&path, "7").expect("a log");
    let mut text = String::new();
    let client = signed_in(&server);
    let export = export(&server, client.clone());
    let request = request(&server).type_filters([format!("Patient?identifier={CANARY}")]);
    let mut tell = |event: &ExportEvent<'_>| {
        log.note(event).expect("written");
        writeln!(text, "{event:?}").expect("a string");
    };
    let mut state = export.kick_off(&request, &mut tell, &|| false).expect("taken");
    let manifest = export.wait(&mut state, &mut tell, &|| false).expect("an export");
    let seen = format!("{state:?} {manifest:?} {export:?} {client:?} {log:?}");
    let mut tell = |event: &ExportEvent<'_>| log.note(event).expect("written");
    let error = export.refresh(&mut state, &mut tell, &|| false).expect_err("failed");
    let logged = std::fs::read_to_string(&path).expect("a log");
    assert_eq!(logged.lines().count(), 7, "{logged}");
    // The path of a status URL may be shown in an error; here it is a canary too, and stands there.
    let error = shown(&error).replace(&format!("/status/{CANARY}"), "/status/");
    let state = state.to_json();
    assert!(state.contains(CANARY), "the state itself must hold the URL");
    for text in [&text, &seen, &logged, &error] {
        assert!(!text.contains(CANARY), "{text}");
    }
}
