//! How long signed deliveries wait for their answers: 1,000 a second for 30 s, while four exports are worked on, on this machine with its senders.
//!
//! `cargo bench --features serve --bench deliveries [-- SECONDS]`. Each delivery is due at a time that was fixed before, whatever became of
//! those before it, and its wait counts from then: a service that falls behind does not have less to do. Senders keep their connections, and
//! sign beforehand. What the exports are downloaded from is elsewhere in truth: its threads come late, as those of the exports do.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use fhirline_connect::{
    ApiKeys, Client, ClientOptions, Misbehaviour, Mode, SigningSecret, Simulator, SimulatorOptions,
};
use serde_json::{Value, json};

const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const KEY: &str = "private_test_bench";
const RATE: u32 = 1000;
/// As many deliveries may wait for their answers at the same time.
const SENDERS: u32 = 64;
const JOBS: usize = 4;

fn main() {
    // `cargo bench` gives a word of its own.
    let seconds = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(30);
    let folder = tempfile::tempdir().expect("a folder");
    let simulator = simulator(folder.path());
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let mut serve = start(folder.path(), port, &simulator.api_url());
    begin_jobs(&simulator, port);
    let before = at_work(port);
    let senders: Vec<_> = (0..SENDERS).map(|sender| requests(sender, seconds)).collect();
    // All connections are there before the first delivery is due.
    let begun = Instant::now() + Duration::from_secs(1);
    let senders = senders.into_iter().zip(0..);
    let senders: Vec<_> = senders
        .map(|(requests, sender)| thread::spawn(move || send(port, begun, sender, &requests)))
        .collect();
    let mut waits: Vec<Duration> =
        senders.into_iter().flat_map(|sender| sender.join().expect("sent")).collect();
    let took = begun.elapsed();
    let after = at_work(port);
    tell(&mut waits, took, &before, &after);
    let stored = stored(port);
    println!("stored: {stored} of {}", waits.len() + JOBS);
    serve.kill().expect("killed");
    serve.wait().expect("waited");
    assert_eq!(stored as usize, waits.len() + JOBS, "one was lost");
}

fn tell(waits: &mut [Duration], took: Duration, before: &AtWork, after: &AtWork) {
    waits.sort_unstable();
    let at = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize].as_secs_f64() * 1000.0;
    println!(
        "{} deliveries in {:.1} s; {} exports running at the beginning and {} at the end, {:.0} records/s meanwhile",
        waits.len(),
        took.as_secs_f64(),
        before.exports,
        after.exports,
        (after.records.saturating_sub(before.records)) as f64 / took.as_secs_f64()
    );
    println!(
        "answered within: p50 {:.1} ms, p99 {:.1} ms, p99.9 {:.1} ms, most {:.1} ms",
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0)
    );
}

/// Exports that take longer than the bench.
fn simulator(folder: &Path) -> Simulator {
    let export = folder.join("export.ndjson");
    let mut file = fs::File::create(&export).expect("a file");
    fhirline::sample::Sample::new(7).target_bytes(64 << 20).write_to(&mut file).expect("written");
    let keys = ApiKeys::new(Mode::Test, "public_test_us", KEY.into()).expect("keys");
    let connections = (0..JOBS).map(|number| format!("00000000-0000-4000-8000-{number:012}"));
    let options =
        SimulatorOptions::new(export).keys(keys).connections(connections).export_takes(Duration::ZERO);
    let simulator = thread::spawn(|| {
        // Its threads are as late as the one that starts them.
        #[cfg(target_os = "linux")]
        rustix::process::setpriority_process(None, 10).expect("a thread may come later");
        Simulator::start(options.misbehaving(Misbehaviour::Huge)).expect("a simulator")
    });
    simulator.join().expect("a simulator")
}

fn start(folder: &Path, port: u16, api_url: &str) -> Child {
    let config = format!(
        "listen = \"127.0.0.1:{port}\"\nmax_jobs = {JOBS}\n[split]\ncompress = \"zstd\"\nthreads = 1\n\
         [test]\npublic_id = \"public_test_us\"\napi_base_url = \"{api_url}\"\n"
    );
    fs::write(folder.join("fhirline.toml"), config).expect("written");
    let mut child = Command::new(env!("CARGO_BIN_EXE_fhirline"))
        .args(["serve", "--config"])
        .arg(folder.join("fhirline.toml"))
        .env("FASTEN_PRIVATE_KEY", KEY)
        .env("FASTEN_SIGNING_SECRET", SECRET)
        .env("FHIRLINE_LOG", "error")
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().expect("an output")).read_line(&mut line).expect("a line");
    child
}

fn begin_jobs(simulator: &Simulator, port: u16) {
    let keys = ApiKeys::new(Mode::Test, "public_test_us", KEY.into()).expect("keys");
    let options = ClientOptions { base_url: simulator.api_url(), ..ClientOptions::default() };
    let client = Client::new(keys, &options).expect("a client");
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connected");
    for connection in simulator.connections() {
        let task = client.request_export(connection, None).expect("requested").task_id;
        let link = simulator.link_of(&task).expect("a link");
        let data = json!({ "task_id": task, "org_connection_id": connection, "download_links": [{ "url": link, "export_type": "jsonl" }] });
        deliver(&mut stream, &request(&task, "patient.ehi_export_success", &data));
    }
    while at_work(port).exports < JOBS as u64 {
        thread::sleep(Duration::from_millis(50));
    }
}

/// One sender's deliveries, signed.
fn requests(sender: u32, seconds: u32) -> Vec<Vec<u8>> {
    let data = |turn| json!({ "hello": "world", "random": turn });
    (0..RATE * seconds / SENDERS)
        .map(|turn| request(&format!("{sender}-{turn}"), "webhook.test", &data(turn)))
        .collect()
}

/// Each of them at its time. What it waits for are answers.
fn send(port: u16, begun: Instant, sender: u32, requests: &[Vec<u8>]) -> Vec<Duration> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connected");
    stream.set_nodelay(true).expect("set");
    let of = |turn: u32| Duration::from_secs(1) * (turn * SENDERS + sender) / RATE;
    let requests = (0..).zip(requests);
    requests
        .map(|(turn, request)| {
            let due = begun + of(turn);
            thread::sleep(due.saturating_duration_since(Instant::now()));
            deliver(&mut stream, request);
            due.elapsed()
        })
        .collect()
}

fn request(id: &str, kind: &str, data: &Value) -> Vec<u8> {
    let body = json!({ "api_mode": "test", "id": id, "type": kind, "data": data }).to_string();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs();
    let signature = SigningSecret::parse(SECRET).expect("a secret").sign(id, now, body.as_bytes());
    let head = format!(
        "POST /webhooks/fasten/test HTTP/1.1\r\nhost: 127.0.0.1\r\nwebhook-id: {id}\r\nwebhook-timestamp: {now}\r\n\
         webhook-signature: {signature}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body.as_bytes()].concat()
}

fn deliver(stream: &mut TcpStream, request: &[u8]) {
    stream.write_all(request).expect("sent");
    let mut answer = [0; 1024];
    let count = stream.read(&mut answer).expect("an answer");
    assert!(answer[..count].starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer[..count]));
}

fn get(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connected");
    let request = format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer.split_once("\r\n\r\n").expect("a body").1.to_owned()
}

/// Exports that are worked on, and the records that they have read.
struct AtWork {
    exports: u64,
    records: u64,
}

fn at_work(port: u16) -> AtWork {
    let listed: Value = serde_json::from_str(&get(port, "/api/v1/exports?state=running")).expect("JSON");
    let running = listed["exports"].as_array().expect("exports");
    let records = running.iter().filter_map(|one| one["progress"]["records"].as_u64()).sum();
    AtWork { exports: running.len() as u64, records }
}

fn stored(port: u16) -> u64 {
    let metrics = get(port, "/metrics");
    let name = "fhirline_deliveries_total{mode=\"test\",outcome=\"stored\"} ";
    metrics.lines().find_map(|line| line.strip_prefix(name)?.parse().ok()).unwrap_or_default()
}
