//! What the service shows, to whom, and what it never shows.

mod support;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use fhirline_connect::Simulator;
use support::{CONNECTION, Place, Running, SECRET, ask, link_of, read, success};

const PATH: &str = "/webhooks/fasten/test";

/// An answer to a program on this machine: status, head and body.
fn get(service: &Running, path: &str, headers: &str) -> (u16, String, String) {
    ask(&service.url, &format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{headers}"), b"")
}

fn post(service: &Running, path: &str, headers: &str, body: &str) -> (u16, String, String) {
    ask(&service.url, &format!("POST {path} HTTP/1.1\r\nhost: localhost\r\n{headers}"), body.as_bytes())
}

fn page(service: &Running, path: &str) -> String {
    let (status, _, body) = get(service, path, "");
    assert_eq!(status, 200, "{path}: {body}");
    body
}

fn id(export: &Value) -> &str {
    export["id"].as_str().expect("an id")
}

/// A service that was told of an export of 300 records, and of other counts than these.
fn finished(place: &Place, task: &str) -> (Running, Simulator, Value) {
    let simulator = Simulator::start(place.simulated()).expect("a simulator");
    let service = Running::start(place.config(&simulator.api_url(), ""));
    let mut told = success("e1", task, &link_of(&simulator));
    told["data"]["stats"] =
        json!({ "total_resources": 301, "total_by_resource_type": { "Patient": 100, "Observation": 201 } });
    assert_eq!(service.tell(&told), 200);
    let export = service.export_in("mismatch");
    (service, simulator, export)
}

/// An export that cannot be fetched, and is not tried again by itself.
fn failed(place: &Place) -> (Running, Value) {
    let service = Running::start(place.config("http://127.0.0.1:9", "max_attempts = 1"));
    assert_eq!(service.tell(&success("e1", "t1", "http://127.0.0.1:9/x?sig=CANARYquery")), 200);
    let export = service.export_in("failed");
    (service, export)
}

#[test]
fn figures_are_those_of_the_manifest() {
    let place = Place::new(300);
    let (service, _simulator, export) = finished(&place, "task-1");
    let shown = page(&service, &format!("/exports/{}", id(&export)));
    let folder = export["destination"].as_str().expect("a destination");
    let manifest: Value =
        serde_json::from_slice(&read(&std::path::Path::new(folder).join("manifest.json"))).expect("JSON");
    let account = &manifest["extension"]["fhirline"]["account"];
    let types = account["types"].as_array().expect("types");
    assert_eq!(types.len(), 2);
    for of in types {
        let bar = format!("data-type={} data-records=\"{}\"", of["type"], of["records"]);
        assert!(shown.contains(&bar), "{bar}: {shown}");
    }
    let delivered = format!("data-figure=\"delivered\">{}<", account["ledger"]["records"]["delivered"]);
    assert!(shown.contains(&delivered), "{delivered}: {shown}");
    let row = "<tr class=\"differs\"><th scope=\"row\">Observation</th><td class=\"number\">201</td><td class=\"number\">200</td>";
    assert!(shown.contains(row), "{shown}");
    assert!(shown.contains("<tr><th scope=\"row\">Patient</th><td class=\"number\">100</td>"), "{shown}");
    for step in ["queued", "running", "mismatch"] {
        assert!(shown.contains(&format!("\">{step}</span> <time")), "{step}: {shown}");
    }
}

#[test]
fn exports_are_found_by_their_ids_and_states() {
    let place = Place::new(3);
    let service = Running::start(place.config("http://127.0.0.1:9", "max_attempts = 1"));
    let connected = json!({
        "api_mode": "test", "id": "c1", "type": "patient.connection_success", "date": "2026-08-14T10:00:00Z",
        "data": { "org_connection_id": CONNECTION, "external_id": "Patient-77", "platform_type": "epic" },
    });
    assert_eq!(service.tell(&connected), 200);
    assert_eq!(service.tell(&success("e1", "first-task", "http://127.0.0.1:9/x")), 200);
    let mut other = success("e2", "second-task", "http://127.0.0.1:9/x");
    other["data"]["org_connection_id"] = json!("another");
    assert_eq!(service.tell(&other), 200);
    service.exports_when(|all| all.len() == 2 && all.iter().all(|one| one["state"] == "failed"));
    let found = |query: &str| {
        let shown = page(&service, &format!("/?{query}"));
        let rows = shown.split("<tbody>").nth(1).unwrap_or_default();
        ["first-task", "second-task"].map(|task| rows.contains(task))
    };
    assert_eq!(found(""), [true, true]);
    assert_eq!(found("q=first"), [true, false], "by the task");
    assert_eq!(found("q=patient-77"), [true, false], "by what the company calls the patient");
    assert_eq!(found("q=ANOTHER&state="), [false, true], "by the connection");
    assert_eq!(found("q=%25"), [false, false], "a sign of the database's own");
    assert_eq!(found("state=failed"), [true, true]);
    assert_eq!(found("state=done"), [false, false]);
    assert_eq!(found("before=1"), [false, false]);
    assert!(page(&service, "/?state=done").contains("Nothing was found."));
    let first = service.get("/api/v1/exports?limit=1");
    let next = first["next_before"].as_i64().expect("more");
    let second = service.get(&format!("/api/v1/exports?limit=1&before={next}"));
    assert_ne!(first["exports"][0]["id"], second["exports"][0]["id"]);
}

#[test]
fn what_comes_from_outside_is_text() {
    let place = Place::new(1);
    let service = Running::start(place.config("http://127.0.0.1:9", "max_attempts = 1"));
    let script = "<script>alert(1)</script>\"'&";
    let connected = json!({
        "api_mode": "test", "id": "c1", "type": "patient.connection_success", "date": "2026-08-14T10:00:00Z",
        "data": { "org_connection_id": CONNECTION, "external_id": script, "platform_type": script },
    });
    assert_eq!(service.tell(&connected), 200);
    let unknown = json!({ "api_mode": "test", "id": script, "type": script, "data": {} });
    assert_eq!(service.tell(&unknown), 200);
    assert_eq!(service.tell(&success("e1", script, "http://127.0.0.1:9/x")), 200);
    let export = service.export_in("failed");
    let one = format!("/exports/{}", id(&export));
    for path in ["/", "/events", &one, "/?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E"] {
        let shown = page(&service, path);
        assert!(!shown.contains("<script>alert"), "{path}: {shown}");
        assert!(shown.contains("&#60;script&#62;alert"), "{path}: {shown}");
    }
}

#[test]
fn bodies_links_keys_and_records_are_shown_nowhere() {
    let place = Place::new(30);
    let mut export = read(&place.path("export.ndjson"));
    export.extend_from_slice(b"{\"resourceType\":\"Patient\",\"id\":CANARYbroken}\n");
    std::fs::write(place.path("export.ndjson"), export).expect("written");
    let simulator = Simulator::start(place.simulated()).expect("a simulator");
    let service = Running::start(place.config(&simulator.api_url(), "max_attempts = 1"));
    let mut told = success("e1", "t1", &link_of(&simulator));
    told["more"] = json!("CANARYbody");
    told["data"]["more"] = json!("CANARYbody");
    told["data"]["stats"] = json!({ "total_resources": 31, "note": "CANARYbody" });
    assert_eq!(service.tell(&told), 200);
    let link =
        format!("{}/bridge/fhir/ehi-export/none/download/none.jsonl?sig=CANARYquery", simulator.api_url());
    assert_eq!(service.tell(&success("e2", "t2", &link)), 200);
    assert_eq!(service.deliver(PATH, SECRET, "m3", "CANARYbody, and no JSON", 0), 200);
    let exports =
        service.exports_when(|all| all.len() == 2 && all.iter().all(|one| one["finished_at"].is_string()));
    let states: BTreeSet<_> = exports.iter().map(|one| one["state"].as_str().expect("a state")).collect();
    assert_eq!(states, BTreeSet::from(["done_with_rejects", "expired"]));
    let mut paths: Vec<String> =
        ["/", "/events", "/metrics", "/openapi.json", "/api/v1/summary", "/api/v1/exports", "/api/v1/events"]
            .map(str::to_owned)
            .into();
    for export in &exports {
        paths.extend(["/exports/", "/api/v1/exports/"].map(|of| format!("{of}{}", id(export))));
    }
    for path in &paths {
        let shown = page(&service, path);
        assert!(shown.len() > 20, "{path}");
        assert!(!shown.contains("CANARY"), "{path}: {shown}");
    }
    let faulty = page(&service, "/events");
    assert!(faulty.contains("Not understood"), "{faulty}");
}

#[test]
fn the_token_opens_everything_and_nothing_opens_without_it() {
    let place = Place::new(1);
    std::fs::write(place.path("token"), "a rather long token\n").expect("written");
    let service = Running::start(place.config("http://127.0.0.1:9", "[page]\ntoken_file = \"token\""));
    let closed = [
        "/",
        "/events",
        "/exports/x",
        "/metrics",
        "/openapi.json",
        "/api/v1/summary",
        "/api/v1/exports",
        "/api/v1/live",
    ];
    for path in closed {
        let (status, head, body) = get(&service, path, "");
        assert_eq!(status, 401, "{path}: {body}");
        let is_page = !path.starts_with("/api") && !path.contains('.') && path != "/metrics";
        assert_eq!(body.contains("action=\"/login\""), is_page, "{path}: {body}");
        assert_eq!(head.to_lowercase().contains("www-authenticate: bearer"), !is_page, "{path}: {head}");
        assert_eq!(get(&service, path, "authorization: Bearer another token\r\n").0, 401, "{path}");
    }
    assert_eq!(post(&service, "/api/v1/exports/x/retry", "", "").0, 401);
    assert_eq!(post(&service, "/exports/x/retry", "", "").0, 401);
    for path in ["/healthz", "/readyz", "/login", "/assets/page.css"] {
        assert_eq!(get(&service, path, "").0, 200, "{path}");
    }
    assert_eq!(service.tell(&success("e1", "t1", "http://127.0.0.1:9/x")), 200, "deliveries have signatures");
    let bearer = "authorization: Bearer a rather long token\r\n";
    for path in ["/", "/metrics", "/api/v1/summary"] {
        assert_eq!(get(&service, path, bearer).0, 200, "{path}");
    }
    assert_eq!(post(&service, "/login", "", "token=another&to=/").0, 401);
    let (status, head, _) = post(&service, "/login", "", "token=a+rather+long+token&to=%2Fevents");
    assert_eq!(status, 303);
    let head_of = |name: &str| {
        let line = head.lines().find(|line| line.to_lowercase().starts_with(name)).expect("a header");
        line[name.len()..].trim().to_owned()
    };
    assert_eq!(head_of("location:"), "/events");
    let cookie = head_of("set-cookie:");
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    assert!(!cookie.contains("token"), "{cookie}");
    let session = cookie.split(';').next().expect("a value");
    assert_eq!(get(&service, "/events", &format!("cookie: {session}\r\n")).0, 200);
    assert_eq!(get(&service, "/events", "cookie: fhirline_session=a rather long token\r\n").0, 401);
}

#[test]
fn without_a_token_only_this_machine_and_our_own_pages_are_answered() {
    let place = Place::new(1);
    let (service, export) = failed(&place);
    let called = |host: &str, path: &str| {
        ask(&service.url, &format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n"), b"").0
    };
    let port = service.url.rsplit(':').next().expect("a port");
    for path in ["/", "/api/v1/summary", "/metrics", "/openapi.json", "/events", "/login"] {
        assert_eq!(called("evil.example", path), 403, "{path}");
        assert_ne!(called(&format!("127.0.0.1:{port}"), path), 403, "{path}");
    }
    assert_eq!(called("evil.example", "/healthz"), 200);
    let retries =
        [format!("/exports/{}/retry", id(&export)), format!("/api/v1/exports/{}/retry", id(&export))];
    for path in &retries {
        assert_eq!(post(&service, path, "origin: http://evil.example\r\n", "").0, 403, "{path}");
        assert_eq!(post(&service, path, "sec-fetch-site: cross-site\r\n", "").0, 403, "{path}");
    }
    let whole = service.report(&export);
    assert_eq!(whole["export"]["state"], "failed");
    assert_eq!(whole["steps"].as_array().expect("steps").len(), 3, "nothing came of it: {whole:#}");
}

#[test]
fn a_failed_export_is_tried_again_by_its_page() {
    let place = Place::new(1);
    let (service, export) = failed(&place);
    let path = format!("/exports/{}", id(&export));
    let shown = page(&service, &path);
    assert!(shown.contains(&format!("<form method=\"post\" action=\"{path}/retry\">")), "{shown}");
    let (status, head, _) = post(&service, &format!("{path}/retry"), "origin: http://localhost\r\n", "");
    assert_eq!(status, 303);
    assert!(head.contains(&path), "{head}");
    let steps = service.report(&export)["steps"].clone();
    assert!(steps.to_string().contains("somebody asked for another attempt"), "{steps:#}");
    let (status, _, shown) = post(&service, "/exports/none/retry", "", "");
    assert_eq!(status, 404);
    assert!(shown.contains("there is no such export"), "{shown}");
}

#[test]
fn browsers_are_told_to_load_nothing_else() {
    let place = Place::new(1);
    let service = Running::start(place.config("http://127.0.0.1:9", ""));
    let (_, head, shown) = get(&service, "/", "");
    assert!(head.contains("content-security-policy: default-src 'self'"), "{head}");
    assert!(head.contains("cache-control: no-store"), "{head}");
    assert!(shown.contains("<html lang=\"en\">"), "{shown}");
    assert!(
        !shown.contains("style=") && !shown.contains("http://") && !shown.contains("https://"),
        "{shown}"
    );
}

#[test]
fn what_moves_is_told() {
    let place = Place::new(1);
    let service = Running::start(place.config("http://127.0.0.1:9", "max_attempts = 1"));
    let mut stream = TcpStream::connect(service.url.trim_start_matches("http://")).expect("connected");
    // Beyond the 15 s after which something is said in any case.
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("set");
    stream.write_all(b"GET /api/v1/live HTTP/1.1\r\nhost: localhost\r\n\r\n").expect("sent");
    let mut lines = BufReader::new(stream).lines();
    let mut told = |wanted: &dyn Fn(&Value) -> bool| {
        loop {
            let line = lines.next()?.expect("a line");
            let Some(data) = line.strip_prefix("data: ") else { continue };
            let pulse: Value = serde_json::from_str(data).expect("JSON");
            if wanted(&pulse) {
                return Some(pulse);
            }
        }
    };
    let first = told(&|_| true).expect("one at once");
    assert_eq!(first["exports"], json!({}));
    assert_eq!(service.tell(&success("e1", "t1", "http://127.0.0.1:9/x")), 200);
    let last = told(&|pulse| pulse["exports"]["failed"] == 1).expect("another one");
    assert!(last["changed_at"].as_i64() > first["changed_at"].as_i64());
    service.stop();
    assert_eq!(told(&|_| true), None, "it ends with the service");
}

/// Whether the value is what the schema says.
fn fits(all: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    if let Some(name) = schema["$ref"].as_str() {
        let target = all.pointer(name.trim_start_matches('#')).ok_or(format!("nothing at {name}"))?;
        return fits(all, target, value);
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        fits(all, part, value)?;
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
        _ => return Ok(()),
    };
    let is_of = |kind: &str| match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "null" => value.is_null(),
        other => panic!("unknown type {other}"),
    };
    if !types.iter().any(|kind| is_of(kind)) {
        return Err(format!("{value} is not {types:?}"));
    }
    for one in value.as_array().into_iter().flatten() {
        fits(all, &schema["items"], one)?;
    }
    let Some(properties) = schema["properties"].as_object() else { return Ok(()) };
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if value.get(name).is_none() {
            return Err(format!("{name} is missing in {value}"));
        }
    }
    for (name, member) in value.as_object().into_iter().flatten() {
        let of = properties.get(name).ok_or(format!("{name} is not described"))?;
        fits(all, of, member).map_err(|why| format!("{name}: {why}"))?;
    }
    Ok(())
}

#[test]
fn the_api_is_as_it_is_described() {
    let place = Place::new(300);
    let (service, _simulator, export) = finished(&place, "task-1");
    assert_eq!(service.deliver(PATH, SECRET, "m2", "no JSON", 0), 200);
    let described = service.get("/openapi.json");
    let sources = [include_str!("../src/show/api.rs"), include_str!("../src/show/live.rs")].concat();
    let routes: BTreeSet<&str> =
        sources.split(".route(\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let paths = described["paths"].as_object().expect("paths");
    assert_eq!(paths.keys().map(String::as_str).collect::<BTreeSet<_>>(), routes);
    let schema_of = |path: &str, method: &str, status: u16| {
        described["paths"][path][method]["responses"][status.to_string()]["content"]["application/json"]["schema"].clone()
    };
    let one = format!("/api/v1/exports/{}", id(&export));
    let answers = [
        ("/api/v1/summary", "get", "/api/v1/summary", 200),
        ("/api/v1/exports", "get", "/api/v1/exports", 200),
        ("/api/v1/exports", "get", "/api/v1/exports?state=mismatch&q=task&limit=1", 200),
        ("/api/v1/exports", "get", "/api/v1/exports?state=nonsense", 400),
        ("/api/v1/exports/{id}", "get", &one, 200),
        ("/api/v1/exports/{id}", "get", "/api/v1/exports/none", 404),
        ("/api/v1/exports/{id}/retry", "post", &format!("{one}/retry"), 409),
        ("/api/v1/exports/{id}/retry", "post", "/api/v1/exports/none/retry", 404),
        ("/api/v1/events", "get", "/api/v1/events", 200),
        ("/api/v1/events", "get", "/api/v1/events?flagged=true&limit=1", 200),
        ("/api/v1/events", "get", "/api/v1/events?limit=many", 400),
    ];
    for (path, method, asked, expected) in answers {
        let (status, _, body) =
            if method == "get" { get(&service, asked, "") } else { post(&service, asked, "", "") };
        assert_eq!(status, expected, "{asked}: {body}");
        let schema = schema_of(path, method, status);
        assert!(schema.is_object(), "{method} {path} {status} is not described");
        let answer: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(fits(&described, &schema, &answer), Ok(()), "{asked}");
    }
}
