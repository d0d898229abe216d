//! The client and the simulator, over loopback.

#[path = "../../fetch/tests/support/fault_server.rs"]
mod fault_server;

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, SystemTime};

use fault_server::{Asked, FaultServer, Reply};
use fhirline_connect::{
    ApiKeys, Catalog, Client, ClientOptions, ConnectError, DownloadLink, Event, EventData, ExportState,
    IdToken, Identity, IdentityOptions, IdentityProvider, Misbehaviour, Mode, ParError, ParRefusal,
    PushedRequest, SignatureError, SignatureHeaders, SigningSecret, Simulator, SimulatorOptions,
    TefcaFixture, Verifier,
};
use fhirline_fetch::HttpError;
use tempfile::NamedTempFile;

const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const CONNECTION: &str = "00000000-0000-4000-8000-000000000001";

fn keys() -> ApiKeys {
    ApiKeys::new(Mode::Test, "public_test_us", "private_test_CANARY".into()).expect("keys")
}

fn export(lines: usize) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a file");
    for number in 0..lines {
        let kind = if number % 3 == 0 { "Patient" } else { "Observation" };
        let text = "x".repeat(number % 700);
        writeln!(file, r#"{{"resourceType":"{kind}","id":"{number}","text":"{text}"}}"#).expect("written");
    }
    file
}

fn options(export: &NamedTempFile) -> SimulatorOptions {
    let secret = SigningSecret::parse(SECRET).expect("a secret");
    SimulatorOptions::new(export.path()).keys(keys()).secret(secret).export_takes(Duration::from_millis(50))
}

fn client(simulator: &Simulator) -> Client {
    let options = ClientOptions { base_url: simulator.api_url(), ..ClientOptions::default() };
    Client::new(keys(), &options).expect("a client")
}

/// What a delivery was: id, timestamp and signature, and the body.
type Delivery = ([String; 3], Vec<u8>);

/// A receiver of webhooks that answers with those statuses in turn, and then with 200.
fn receiver(statuses: &[u16]) -> (String, Receiver<Delivery>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/webhooks/fasten/test", listener.local_addr().expect("an address"));
    let (sender, receiver) = mpsc::channel();
    let statuses = statuses.to_vec();
    thread::spawn(move || {
        let mut statuses = statuses.into_iter();
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let delivery = read_delivery(&mut stream);
            let status = statuses.next().unwrap_or(200);
            let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).expect("answered");
            if sender.send(delivery).is_err() {
                return;
            }
        }
    });
    (url, receiver)
}

fn read_delivery(stream: &mut TcpStream) -> Delivery {
    let mut text = Vec::new();
    let head_end = loop {
        let mut bytes = [0; 4096];
        let count = stream.read(&mut bytes).expect("readable");
        text.extend_from_slice(&bytes[..count]);
        if let Some(at) = text.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
    };
    let head = String::from_utf8_lossy(&text[..head_end]).into_owned();
    let header = |name: &str| {
        let found = head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        });
        found.unwrap_or_default()
    };
    let length: usize = header("content-length").parse().expect("a length");
    let mut body = text[head_end..].to_vec();
    let held = body.len();
    body.resize(length, 0);
    stream.read_exact(&mut body[held..]).expect("the body");
    (["webhook-id", "webhook-timestamp", "webhook-signature"].map(header), body)
}

fn verified(delivery: &Delivery) -> Result<(), SignatureError> {
    let ([id, timestamp, signature], body) = delivery;
    let headers = SignatureHeaders { id: Some(id), timestamp: Some(timestamp), signature: Some(signature) };
    let secret = SigningSecret::parse(SECRET).expect("a secret");
    Verifier::new([secret]).verify(&headers, body, SystemTime::now())
}

fn link_of(delivery: &Delivery) -> DownloadLink {
    let event = Event::parse(&delivery.1).expect("an event");
    let EventData::ExportSuccess(export) = event.data else { panic!("another event: {event:?}") };
    export.link(None).expect("a link").clone()
}

fn next(deliveries: &Receiver<Delivery>) -> Delivery {
    deliveries.recv_timeout(Duration::from_secs(60)).expect("a delivery")
}

fn downloaded(client: &Client, link: &DownloadLink) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    client.download(link).expect("a source").open_at(0)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn is_refused(error: &std::io::Error, status: u16) -> bool {
    matches!(HttpError::of(error), Some(HttpError::Refused { status: told, .. }) if *told == status)
}

#[test]
fn an_export_from_its_request_to_its_bytes() {
    let file = export(3000);
    let (url, deliveries) = receiver(&[]);
    let simulator = Simulator::start(options(&file).webhook(url)).expect("running");
    let client = client(&simulator);
    let task = client.request_export(CONNECTION, None).expect("requested");
    assert_eq!(task.state, ExportState::Pending);
    let again = client.request_export(CONNECTION, Some(TefcaFixture::MyraJones)).expect("requested");
    assert_eq!(again.task_id, task.task_id, "asked twice it is one export");

    let delivery = next(&deliveries);
    assert_eq!(verified(&delivery), Ok(()));
    let event = Event::parse(&delivery.1).expect("an event");
    assert_eq!((event.mode, event.data.task_id()), (Mode::Test, Some(task.task_id.as_str())));
    let EventData::ExportSuccess(export) = &event.data else { panic!("another event") };
    let stats = export.stats.as_ref().expect("counts");
    assert_eq!((stats.total_resources, stats.total_by_resource_type["Patient"]), (Some(3000), 1000));
    assert_eq!(client.export_state(&task.task_id).expect("known").state, ExportState::Success);

    let link = link_of(&delivery);
    let wanted = std::fs::read(file.path()).expect("readable");
    assert_eq!(downloaded(&client, &link).expect("read"), wanted);
    let origin = client.download(&link).expect("a source");
    let mut rest = Vec::new();
    origin.open_at(1000).expect("opened").read_to_end(&mut rest).expect("read");
    assert_eq!(rest, wanted[1000..]);
    assert_eq!(simulator.leaked_keys(), 0);
    let shown =
        format!("{client:?} {event:?} {link:?} {simulator:?} {:?}", origin.identity().expect("known"));
    assert!(!shown.contains("CANARY") && !shown.contains("Amz"), "{shown}");
}

#[test]
fn keys_go_to_the_api_only() {
    let file = export(10);
    let simulator = Simulator::start(options(&file)).expect("running");
    let elsewhere = Simulator::start(options(&file)).expect("running");
    let link = format!("{}/bridge/fhir/ehi-export/t/download/f", elsewhere.api_url());
    let refused = downloaded(&client(&simulator), &DownloadLink::to(link)).expect_err("no keys, no file");
    assert!(is_refused(&refused, 403), "{refused}");
    // With keys it would have been another answer.
    let link = format!("{}/bridge/fhir/ehi-export/t/download/f", simulator.api_url());
    let unknown = downloaded(&client(&simulator), &DownloadLink::to(link)).expect_err("no such file");
    assert!(is_refused(&unknown, 404), "{unknown}");
}

#[test]
fn what_the_api_tells() {
    let file = export(1);
    let simulator = Simulator::start(options(&file)).expect("running");
    let client = client(&simulator);
    let connection = client.connection(CONNECTION).expect("known");
    assert_eq!(connection.status.as_deref(), Some("authorized"));
    assert!(connection.other.is_empty(), "{:?}", connection.other);
    let organization = client.organization().expect("known");
    assert_eq!(organization.name.as_deref(), Some("A simulated company"));
    let page = client.search_catalog("clinic", None).expect("found");
    assert_eq!(page.total, Some(1));
    let brand = page.hits[0].id.clone().expect("an id");
    let behind = client.search_catalog("clinic", page.next()).expect("found");
    assert!(behind.hits.is_empty() && behind.next().is_none());
    let item = client.catalog(&Catalog::Brand(brand)).expect("known");
    assert_eq!(item.name.as_deref(), Some("FooClinic"));
    assert!(client.export_catalog().expect("links").brands.expose().contains("/catalog/brands.json?"));
}

#[test]
fn refusals_say_what_was_tried_and_what_to_look_at() {
    let file = export(1);
    let simulator = Simulator::start(options(&file)).expect("running");
    let refused = client(&simulator).export_state("unknown").expect_err("refused");
    assert_eq!(
        refused.to_string(),
        "asking for the state of the export: the server answered with status 404 (unknown task)"
    );
    let options = ClientOptions { base_url: simulator.api_url(), ..ClientOptions::default() };
    let others = ApiKeys::new(Mode::Live, "public_live_us", "private_live_CANARY".into()).expect("keys");
    let refused =
        Client::new(others, &options).expect("a client").connection(CONNECTION).expect_err("refused");
    assert!(matches!(refused, ConnectError::Refused { status: 403, .. }), "{refused}");
    assert!(refused.hint().is_some_and(|hint| hint.contains("one mode")));
    assert!(!format!("{refused} {refused:?}").contains("CANARY"));
}

#[test]
fn a_delivery_that_fails_comes_again_with_another_signature() {
    let file = export(1);
    let (url, deliveries) = receiver(&[500, 429, 404]);
    // A day in a second.
    let simulator = Simulator::start(options(&file).webhook(url).speed(86_400.0)).expect("running");
    client(&simulator).request_export(CONNECTION, None).expect("requested");
    let all: Vec<Delivery> = (0..4).map(|_| next(&deliveries)).collect();
    assert!(all.iter().all(|delivery| verified(delivery) == Ok(())));
    let ids: HashSet<_> = all.iter().map(|(_, body)| Event::parse(body).expect("an event").id).collect();
    assert_eq!(ids.len(), 1, "one event");
}

#[test]
fn an_export_is_there_for_a_day() {
    let file = export(10);
    let (url, deliveries) = receiver(&[]);
    let simulator = Simulator::start(options(&file).webhook(url).speed(28_800.0)).expect("running");
    let client = client(&simulator);
    client.request_export(CONNECTION, None).expect("requested");
    let link = link_of(&next(&deliveries));
    assert_eq!(
        downloaded(&client, &link).expect("still there"),
        std::fs::read(file.path()).expect("readable")
    );
    // By its clock three seconds are a day, and then the API itself says that the file is gone. A link may end before that between
    // two hops, and is renewed once only.
    let gone = loop {
        match downloaded(&client, &link) {
            Ok(_) => {}
            Err(error) if is_refused(&error, 403) => {}
            Err(error) => break error,
        }
    };
    assert!(is_refused(&gone, 404), "{gone}");
}

fn port_of(url: &str) -> u16 {
    let (_, behind) = url.split_once("://").expect("a URL");
    let (_, port) = behind.split('/').next().and_then(|host| host.rsplit_once(':')).expect("a port");
    port.parse().expect("a number")
}

fn signature(path: &str) -> String {
    let (_, behind) = path.split_once("X-Amz-Signature=").expect("a signed link");
    behind.split('&').next().unwrap_or_default().to_owned()
}

/// The store of a simulator behind a link that breaks in the middle of its first answer, and not before the URL of that has expired.
fn breaking_store(port: u16, after: usize) -> FaultServer {
    FaultServer::start(move |asked| {
        let reply = asked.passed_on(port, b"");
        if asked.number > 0 {
            return reply;
        }
        while asked.passed_on(port, b"").status() != 403 {
            thread::yield_now();
        }
        reply.cut(after)
    })
}

/// The API before that store. The first two times it gives the same link, as something in between might that keeps answers: the
/// second time that has expired.
fn forgetful_api(port: u16, store: String) -> FaultServer {
    let kept = Mutex::new(Vec::<Reply>::new());
    FaultServer::start(move |asked| {
        let reply = asked.passed_on(port, &asked.body);
        let Some(link) = reply.header_value("location").map(str::to_owned) else { return reply };
        let path = link.splitn(4, '/').nth(3).unwrap_or_default();
        let reply = reply.without_header("location").header("Location", format!("{store}/{path}"));
        let mut kept = kept.lock().expect("no panic");
        kept.push(reply.clone());
        if kept.len() == 2 { kept[0].clone() } else { reply }
    })
}

#[test]
fn a_link_that_expires_in_mid_file_is_renewed_and_the_bytes_are_whole() {
    let file = export(3000);
    let wanted = std::fs::read(file.path()).expect("readable");
    let (url, deliveries) = receiver(&[]);
    // A link lives for ten minutes by its clock, and so for three seconds.
    let simulator = Simulator::start(options(&file).webhook(url).speed(200.0)).expect("running");
    client(&simulator).request_export(CONNECTION, None).expect("requested");
    let link = link_of(&next(&deliveries));

    let catalog = client(&simulator).export_catalog().expect("links").brands.expose().to_owned();
    let cut = wanted.len() / 3;
    let store = breaking_store(port_of(&catalog), cut);
    let api = forgetful_api(port_of(&simulator.api_url()), store.url(""));
    let through = |url: &str| url.replace(&simulator.api_url(), &api.url("/v1"));
    let at = ClientOptions { base_url: through(&simulator.api_url()), ..ClientOptions::default() };
    let client = Client::new(keys(), &at).expect("a client");
    let link = DownloadLink::to(through(link.url.expose()));
    assert!(downloaded(&client, &link).expect("read") == wanted);

    let asked = store.asked();
    let begins: Vec<_> = asked.iter().map(Asked::range_begin).collect();
    assert_eq!(begins, [None, Some(cut), Some(cut)]);
    let signatures: Vec<_> = asked.iter().map(|asked| signature(asked.path())).collect();
    assert!(signatures[0] == signatures[1] && signatures[1] != signatures[2], "another link at the end");
    assert!(asked[2].header("if-match").is_some(), "pinned to the object whose beginning was read");
    assert!(store.sent_bytes() <= wanted.len() as u64 + 1000, "nothing of it is sent twice");
    assert_eq!(simulator.leaked_keys(), 0);
}

#[test]
fn misbehaviour() {
    let file = export(100);
    let (url, deliveries) = receiver(&[401]);
    let both = options(&file)
        .webhook(url)
        .speed(86_400.0)
        .misbehaving(Misbehaviour::WrongSignature)
        .misbehaving(Misbehaviour::Reordered);
    let simulator = Simulator::start(both).expect("running");
    client(&simulator).request_export(CONNECTION, None).expect("requested");
    assert_eq!(verified(&next(&deliveries)), Err(SignatureError::Mismatch));
    let second = next(&deliveries);
    assert_eq!(verified(&second), Ok(()));
    let failed = Event::parse(&second.1).expect("an event");
    let EventData::ExportFailed(failed) = failed.data else { panic!("another event") };
    assert!(failed.failure_reason.expect("a reason").may_pass());

    let (url, deliveries) = receiver(&[]);
    let all = options(&file)
        .webhook(url)
        .misbehaving(Misbehaviour::Duplicates)
        .misbehaving(Misbehaviour::Malformed)
        .misbehaving(Misbehaviour::TooManyRequests)
        .misbehaving(Misbehaviour::Huge);
    let simulator = Simulator::start(all).expect("running");
    let client = client(&simulator);
    client.request_export(CONNECTION, None).expect("requested at the second try");
    let ids: HashSet<_> = (0..3).map(|_| Event::parse(&next(&deliveries).1).expect("an event").id).collect();
    assert_eq!(ids.len(), 1);
}

#[test]
fn an_export_that_is_cut_off_is_never_whole() {
    let file = export(100);
    let (url, deliveries) = receiver(&[]);
    let cut = options(&file).webhook(url).misbehaving(Misbehaviour::Truncated);
    let simulator = Simulator::start(cut).expect("running");
    let retry = fhirline_fetch::Retry { max_attempts: 2, ..fhirline_fetch::Retry::default() };
    let options = ClientOptions {
        base_url: simulator.api_url(),
        http: fhirline_fetch::HttpOptions::default().with_retry(retry),
    };
    let client = Client::new(keys(), &options).expect("a client");
    client.request_export(CONNECTION, None).expect("requested");
    let cut = downloaded(&client, &link_of(&next(&deliveries))).expect_err("half of it");
    assert!(
        matches!(HttpError::of(&cut), Some(HttpError::Short { .. } | HttpError::GaveUp { .. })),
        "{cut:?}"
    );
}

#[test]
fn an_identity_is_pushed_for_one_use() {
    let file = export(1);
    let simulator = Simulator::start(options(&file)).expect("running");
    let at = IdentityOptions { base_url: simulator.identity_url(), ..IdentityOptions::default() };
    let identity = Identity::new(keys(), &at).expect("a client");
    let of = |token: &str| {
        let token = IdToken::new(token.into());
        identity.push(&PushedRequest::with_id_token(IdentityProvider::Persona, &token))
    };
    let (attempt, pushed) = of("a.CANARY.c");
    let pushed = pushed.expect("taken");
    assert_eq!((attempt.mode, attempt.idp), (Mode::Test, Some(IdentityProvider::Persona)));
    assert_eq!((attempt.error_code, attempt.expires_at), (None, Some(pushed.expires_at())));
    let life = pushed.expires_at().duration_since(attempt.at).expect("ahead");
    assert_eq!(life, Duration::from_secs(90));
    assert!(pushed.take(SystemTime::now()).is_ok());

    for (token, wanted) in [
        ("unauthorized_client", ParRefusal::UnauthorizedClient),
        ("invalid_target", ParRefusal::InvalidTarget),
        ("invalid_grant", ParRefusal::InvalidGrant),
        ("CANARY", ParRefusal::InvalidRequest),
    ] {
        let (attempt, refused) = of(token);
        let refused = refused.expect_err("refused");
        assert_eq!(attempt.error_code.as_deref(), Some(wanted.code()));
        assert!(!format!("{refused} {refused:?} {attempt:?}").contains("CANARY"));
        assert!(matches!(refused, ParError::Refused { refusal, .. } if refusal == wanted), "{token}");
    }
    let others = ApiKeys::new(Mode::Test, "public_test_other", "private_test_x".into()).expect("keys");
    let (attempt, _) = Identity::new(others, &at)
        .expect("a client")
        .push(&PushedRequest::with_patient_id("p", "https://us.example/back"));
    assert_eq!(attempt.error_code.as_deref(), Some("invalid_client"));
}

#[test]
fn an_identity_is_pushed_in_the_second_form_too() {
    let file = export(1);
    let simulator = Simulator::start(options(&file)).expect("running");
    let at = IdentityOptions { base_url: simulator.identity_url(), ..IdentityOptions::default() };
    let identity = Identity::new(keys(), &at).expect("a client");
    let of = |patient: &str, back: &str| identity.push(&PushedRequest::with_patient_id(patient, back));
    let back = "https://us.example/back?a=b";
    let (attempt, pushed) = of("CANARYpatient", back);
    let pushed = pushed.expect("taken");
    assert_eq!((attempt.idp, &attempt.error_code), (None, &None));
    assert_eq!(attempt.expires_at, Some(pushed.expires_at()));
    assert!(pushed.take(SystemTime::now()).is_ok());
    for (patient, back, wanted) in [
        ("unauthorized_client", back, ParRefusal::UnauthorizedClient),
        ("invalid_target", back, ParRefusal::InvalidTarget),
        ("invalid_grant", back, ParRefusal::InvalidGrant),
        ("", back, ParRefusal::InvalidRequest),
        ("CANARYpatient", "", ParRefusal::InvalidRequest),
        ("CANARYpatient", "/back", ParRefusal::InvalidRequest),
        ("CANARYpatient", "https://us.example/#here", ParRefusal::InvalidRequest),
    ] {
        let (attempt, refused) = of(patient, back);
        let refused = refused.expect_err("refused");
        assert_eq!(attempt.error_code.as_deref(), Some(wanted.code()), "{patient} {back}");
        assert!(!format!("{refused} {refused:?} {attempt:?}").contains("CANARY"));
    }
}
