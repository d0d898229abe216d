//! Signatures against an implementation of Standard Webhooks that somebody else wrote: the Python package `standardwebhooks`.

#[path = "../../fetch/tests/support/servers.rs"]
mod servers;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::SystemTime;

use fhirline_connect::{SignatureError, SignatureHeaders, SigningSecret, Verifier};
use serde_json::{Value, json};

const SECRETS: [&str; 3] = [
    "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
    "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    // 25 bytes, and no padding.
    "whsec_YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eQ",
];
const BODIES: [&str; 4] = ["", "{\"email\":\"test@example.com\"}", "a.b.c", "\u{1F600} \u{E9}\n"];

struct Theirs {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Theirs {
    fn start(test: &str) -> Option<Self> {
        let python = servers::python_with(test, "standardwebhooks")?;
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/their_signatures.py");
        let mut child = Command::new(python);
        let child = child.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = child.spawn().expect("python");
        let input = child.stdin.take().expect("an input");
        let output = BufReader::new(child.stdout.take().expect("an output"));
        Some(Self { child, input, output })
    }

    fn answer(&mut self, case: &Value) -> String {
        writeln!(self.input, "{case}").expect("asked");
        let mut line = String::new();
        self.output.read_line(&mut line).expect("answered");
        line.trim_end().to_owned()
    }
}

impl Drop for Theirs {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn their_signatures_are_ours_and_ours_are_theirs() {
    let Some(mut theirs) = Theirs::start("their_signatures_are_ours_and_ours_are_theirs") else { return };
    let now = SystemTime::now();
    let timestamp = now.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs();
    let written = timestamp.to_string();
    for (text, body) in SECRETS.iter().flat_map(|secret| BODIES.map(|body| (*secret, body))) {
        let secret = SigningSecret::parse(text).expect("a secret");
        let mut case = json!({ "secret": text, "id": "msg_1", "timestamp": timestamp, "body": body });
        let signature = theirs.answer(&case);
        assert_eq!(signature, secret.sign("msg_1", timestamp, body.as_bytes()), "{text} {body:?}");
        let headers =
            SignatureHeaders { id: Some("msg_1"), timestamp: Some(&written), signature: Some(&signature) };
        let verifier = Verifier::new([secret]);
        assert_eq!(verifier.verify(&headers, body.as_bytes(), now), Ok(()));
        let more = [body.as_bytes(), b" "].concat();
        assert_eq!(verifier.verify(&headers, &more, now), Err(SignatureError::Mismatch));
        case["signature"] = signature.into();
        assert_eq!(theirs.answer(&case), "good");
        case["id"] = "msg_2".into();
        assert_eq!(theirs.answer(&case), "bad");
    }
}
