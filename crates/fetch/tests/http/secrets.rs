//! Nothing secret is shown: a canary in every place where a secret may stand.

use std::fmt::{Debug, Write};

use fhirline_core::Origin;
use fhirline_fetch::{
    Credentials, HttpClient, HttpError, HttpOptions, HttpOrigin, Netrc, Request, TokenSource,
};

use crate::fault_server::{FaultServer, Object, Reply};
use crate::setup::{bytes, failure, options};

const CANARY: &str = "CANARY";

fn all_credentials() -> [Credentials; 5] {
    [
        Credentials::None,
        Credentials::Bearer(CANARY.into()),
        Credentials::Tokens(TokenSource::new(|_| Ok(CANARY.into()))),
        Credentials::Basic { user: CANARY.to_owned(), password: CANARY.into() },
        Credentials::Netrc(Netrc::parse("machine 127.0.0.1 login CANARY password CANARY")),
    ]
}

fn secret(credentials: Credentials) -> HttpOptions {
    options().with_credentials(credentials).with_header("X-Key", CANARY)
}

fn note(shown: &mut String, thing: &dyn Debug) {
    writeln!(shown, "{thing:?}\n{thing:#?}").expect("memory");
}

fn note_error(shown: &mut String, error: &HttpError) {
    note(shown, error);
    let mut source: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = source {
        writeln!(shown, "{error} {error:?}").expect("memory");
        source = error.source();
    }
    writeln!(shown, "{:?} {:?}", error.hint(), std::io::Error::from(error.clone())).expect("memory");
}

/// All ways to fail, each with the canary in the body.
fn failing(path: &str, asked: &crate::fault_server::Asked) -> Reply {
    let object = Object::new([bytes(3000, 1), CANARY.as_bytes().to_vec()].concat());
    match (path.split('?').next().expect("a path"), asked.range_begin()) {
        ("/status", _) => Reply::new(403, CANARY).header("X-Reason", CANARY),
        ("/page", _) => Reply::new(200, format!("<html>{CANARY}")),
        ("/json", _) => Reply::new(200, format!("{{\"message\":\"{CANARY}\"}}"))
            .header("Content-Type", "application/json"),
        ("/coded", _) => Reply::new(200, CANARY).header("Content-Encoding", "br"),
        ("/loop", _) => Reply::new(302, CANARY).header("Location", format!("/loop?{CANARY}")),
        ("/away", _) => Reply::new(302, CANARY).header("Location", format!("ftp://{CANARY}@h/?{CANARY}")),
        ("/short", None) => object.reply(asked).cut(2000),
        ("/short", _) => Reply::new(502, CANARY),
        ("/part", _) => Reply::new(206, CANARY).header("Content-Range", CANARY),
        ("/change", None) => object.reply(asked).cut(2500),
        ("/change", _) => Object::new(bytes(3006, 2)).reply(asked),
        ("/expired", None) => object.reply(asked).cut(2500),
        _ => Reply::new(410, CANARY),
    }
}

const PATHS: [&str; 10] =
    ["/status", "/page", "/json", "/coded", "/loop", "/away", "/short", "/part", "/change", "/expired"];

#[test]
fn nothing_shows_a_secret() {
    let server = FaultServer::start(|asked| failing(asked.path(), asked));
    let mut shown = String::new();
    for credentials in all_credentials() {
        note(&mut shown, &credentials);
        let options = secret(credentials);
        note(&mut shown, &options);
        let client = HttpClient::new(options).expect("a client");
        note(&mut shown, &client);
        for path in PATHS {
            let url = server.url(path).replace("http://", "http://CANARY:CANARY@");
            let origin = HttpOrigin::new(&client, &format!("{url}?{CANARY}#{CANARY}")).expect("a URL");
            note(&mut shown, &origin);
            shown += origin.name();
            note_error(&mut shown, &failure(&origin, 0).0);
            note_error(&mut shown, &failure(&origin.renewed_by(|| Err("r".to_owned())), 0).0);
            let request = Request::get(format!("{url}?{CANARY}")).with_header("X", CANARY).with_body(CANARY);
            note(&mut shown, &request);
            match client.ask(&request) {
                Ok(answer) => note(&mut shown, &answer),
                Err(error) => note_error(&mut shown, &error),
            }
        }
    }
    assert!(!shown.contains(CANARY), "{}", shown.lines().find(|line| line.contains(CANARY)).expect("a line"));
    let secrets = server.asked().iter().filter(|asked| asked.header("x-key") == Some(CANARY)).count();
    assert!(secrets >= PATHS.len() * 5, "the secrets were sent");
}

#[test]
fn urls_and_headers_that_are_refused_are_not_shown() {
    let mut shown = String::new();
    let client = HttpClient::new(options()).expect("a client");
    for url in
        ["CANARY", "http://CANARY:CANARY@example.invalid/?CANARY", "https://u:CANARY/@h/", "s3://CANARY"]
    {
        let error = HttpOrigin::new(&client, url).expect_err("refused");
        note_error(&mut shown, &error);
        note_error(&mut shown, &client.ask(&Request::get(url)).expect_err("refused"));
    }
    for value in ["CANARY\n", "CANARY\0"] {
        note_error(&mut shown, &HttpClient::new(options().with_header("x", value)).expect_err("refused"));
        let accept = HttpClient::new(options().with_accept(value)).expect("a client");
        note_error(&mut shown, &accept.ask(&Request::get("https://h/")).expect_err("refused"));
        let bearer = client.with_credentials(Credentials::Bearer(value.into()));
        note_error(&mut shown, &bearer.ask(&Request::get("https://h/")).expect_err("refused"));
    }
    assert!(!shown.contains(CANARY), "{shown}");
}
