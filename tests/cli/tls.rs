//! `https://`: a server whose certificate was signed by an authority of its own, and HTTP/2.

use std::fs;
use std::process::Command;

use super::place::{GOAL, PATIENT, Place, has, lines};
use crate::support::servers::Server;

/// An authority in `ca.pem`, and in `cert.pem` and `key.pem` a server on this machine that it vouches for.
fn put_certificates(place: &Place) {
    let make = |arguments: &str| {
        let mut command = Command::new("openssl");
        command.args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2".split(' '));
        let output = command.args(arguments.split(' ')).current_dir(place.path("")).output().expect("run");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    make("-keyout ca.key -out ca.pem -subj /CN=test-authority -addext keyUsage=keyCertSign");
    make(
        "-CA ca.pem -CAkey ca.key -keyout key.pem -out cert.pem -subj /CN=test-server \
         -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=CA:FALSE",
    );
}

#[test]
fn an_authority_of_the_users_own_is_trusted_where_he_says_so() {
    if !has("openssl") {
        return;
    }
    let place = Place::with([("root/export.ndjson", lines(&[PATIENT, GOAL]))]);
    put_certificates(&place);
    let folder = place.path("").canonicalize().expect("a folder").display().to_string();
    let directives = format!(
        "ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem; access_log {folder}/access.log;"
    );
    let test = "an_authority_of_the_users_own_is_trusted_where_he_says_so";
    let Some(server) = Server::nginx(test, &place.path("root"), "ssl http2", &directives) else { return };
    let url = format!("https://127.0.0.1:{}/export.ndjson", server.port());

    let mut trusting = place.command(&format!("cat {url}"));
    let output = trusting.env("SSL_CERT_FILE", place.path("ca.pem")).output().expect("run");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout), lines(&[PATIENT, GOAL]));

    let mut command = place.command(&format!("cat {url}"));
    let output = command.env_remove("SSL_CERT_FILE").env_remove("SSL_CERT_DIR").output().expect("run");
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(5), 0), "{told}");
    assert!(told.contains("UnknownIssuer") && told.contains("SSL_CERT_FILE"), "{told}");

    // The server says what it was asked over once it has stopped writing.
    drop(server);
    let log = fs::read_to_string(place.path("access.log")).expect("a log");
    assert!(log.contains("\"GET /export.ndjson HTTP/2.0\" 200"), "{log}");
}
