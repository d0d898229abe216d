use std::path::Path;

use super::*;

const TEST: &str = "[test]\npublic_id = \"public_test_a\"\nprivate_key_file = \"test-key\"\nsigning_secret_file = \"test-secret\"\n";
const LIVE: &str = "[live]\npublic_id = \"public_live_a\"\nprivate_key_file = \"live-key\"\nsigning_secret_file = [\"live-secret\", \"old-secret\"]\n";

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in [
        ("test-key", "private_test_CANARY"),
        ("live-key", "private_live_CANARY\n"),
        ("test-secret", "whsec_Q0FOQVJZdGVzdHNlY3JldDEyMzQ1Njc4"),
        ("live-secret", "whsec_Q0FOQVJZbGl2ZXNlY3JldDEyMzQ1Njc4"),
        ("old-secret", "whsec_Q0FOQVJZb2xkLXNlY3JldDEyMzQ1Njc4"),
        ("empty", ""),
        ("token", "CANARYtoken"),
    ] {
        std::fs::write(folder.path().join(name), text).expect("written");
    }
    folder
}

fn parsed(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, folder().path())
}

fn refused(text: &str, name: &str) {
    let error = parsed(text).expect_err(text);
    let told = format!("{error} {error:?}");
    assert!(!told.contains("CANARY") && !told.contains("Q0FOQVJZ"), "{told}");
    assert!(matches!(&error, ConfigError::Value { name: told, .. } if told == name), "{error:?}");
}

#[test]
fn both_modes_with_all_that_is_usual() {
    let config = parsed(&format!("{TEST}{LIVE}")).expect("a configuration");
    assert_eq!(config.modes().collect::<Vec<_>>(), [Mode::Test, Mode::Live]);
    let live = config.fasten.get(Mode::Live).expect("there");
    assert_eq!((live.path.as_str(), live.client.mode()), ("/webhooks/fasten/live", Mode::Live));
    assert!(config.listen.ip().is_loopback() && !config.is_shared());
    let shown = format!("{config:?}");
    assert!(!shown.contains("CANARY") && !shown.contains("Q0FOQVJZ"), "{shown}");
}

#[test]
fn nothing_of_one_mode_is_used_for_the_other() {
    refused(&TEST.replace("test-key", "live-key"), "test");
    refused(&TEST.replace("public_test", "public_live"), "test");
    refused(&format!("{TEST}{LIVE}").replace("live-secret", "test-secret"), "live.signing_secret");
    refused(&format!("{TEST}{LIVE}path = \"/webhooks/fasten/test\"\n"), "live.path");
    refused("", "test, live");
}

#[test]
fn secrets_that_are_missing_are_named() {
    refused(&TEST.replace("test-key", "nothing"), "test.private_key");
    refused(&TEST.replace("test-secret", "empty"), "test.signing_secret");
    refused(&TEST.replace("test-secret", "test-key"), "test.signing_secret");
    refused(&format!("store_env = \"FHIRLINE_NO_SUCH_VARIABLE\"\n{TEST}"), "store_env");
}

#[test]
fn values_that_make_no_sense_are_refused() {
    for (text, name) in [
        ("max_jobs = 0", "max_jobs"),
        ("lease_seconds = 1", "lease_seconds"),
        ("keep_days = 1", "keep_days"),
        ("first_retry_seconds = -1.0", "first_retry_seconds"),
        ("network_retry_seconds = nan", "network_retry_seconds"),
        ("destination = \"out/{external_id}\"", "destination"),
        ("listen = \"0.0.0.0:8080\"", "listen"),
        ("split.level = 3", "split.level"),
        ("split.types = [\"no type\"]", "split.types"),
        (
            "on_complete = { url = \"http://example.org/\", signing_secret_file = \"test-secret\" }",
            "on_complete.url",
        ),
        ("on_complete = { command = [] }", "on_complete"),
        ("on_complete = { command = [\"./no-such-program\"] }", "on_complete.command"),
        ("on_complete = { command = [\"no-such-program-anywhere\"] }", "on_complete.command"),
        // It is there, and cannot be run.
        ("on_complete = { command = [\"./token\"] }", "on_complete.command"),
        ("split.memory_mib = 1", "split.memory_mib"),
        // What overflows would be a short time: all that is over would be purged.
        ("keep_days = 213503982334602", "keep_days"),
        ("max_jobs = 1000000", "max_jobs"),
        ("lease_seconds = 9000000000000000000", "lease_seconds"),
        ("poll.most_hours = 9000000000000000000", "poll.most_hours"),
        ("split.memory_mib = 9000000000000000000", "split.memory_mib"),
        // As files they would be made under a name with the password in it.
        ("store = \"mysql://me:CANARY@db/x\"", "store"),
        ("store = \"Postgres://me:CANARY@db/x\"", "store"),
        ("destination = \"ftp://host/{task_id}\"", "destination"),
    ] {
        refused(&format!("{text}\n{TEST}"), name);
    }
    for path in
        ["/{x}", "/", "no", "//", "/a//b", "/a/", "/a/../b", "/./a", "/login", "/api/v1/x", "/metrics"]
    {
        refused(&format!("{TEST}path = \"{path}\"\n"), "test.path");
    }
    assert!(parsed(&format!("{TEST}path = \"/events-of/fasten.test\"\n")).is_ok());
    assert!(parsed(&format!("listen = \"0.0.0.0:8080\"\npage.token_file = \"token\"\n{TEST}")).is_ok());
    let unknown = parsed(&format!("retries = 3\n{TEST}")).expect_err("unknown");
    assert!(unknown.to_string().contains("retries"), "{unknown}");
}

/// Whoever writes a secret where its name belongs is told so, and not by the secret.
#[test]
fn secrets_in_the_place_of_their_names_are_not_shown() {
    for (line, name) in [
        ("private_key_env = \"private_test_CANARY\"", "test.private_key"),
        ("private_key_file = \"private_test_CANARY\"", "test.private_key"),
        ("signing_secret_env = [\"whsec_CANARY\"]", "test.signing_secret"),
        ("signing_secret_file = \"whsec_CANARY\"", "test.signing_secret"),
    ] {
        let own = |of: &str| line.starts_with(of);
        let others = TEST.lines().filter(|other| {
            !(own("private") && other.starts_with("private")
                || own("signing") && other.starts_with("signing"))
        });
        refused(&format!("{}\n{line}\n", others.collect::<Vec<_>>().join("\n")), name);
    }
    refused(&format!("store_env = \"postgres://me:CANARY@db/x\"\n{TEST}"), "store_env");
    refused(&format!("page.token_env = \"a long CANARY token\"\n{TEST}"), "page.token");
}

#[test]
fn what_is_no_configuration_is_not_shown() {
    let error = parsed("[test]\nprivate_key = \"private_test_CANARY\"\n").expect_err("unknown");
    assert!(!error.to_string().contains("CANARY"), "{error}");
    for text in [
        "on_complete = \"https://host/?token=CANARY\"",
        "[page]\ntoken_env = 1\n[test]\nprivate_key_file = [\"CANARY\"]",
        "page = \"CANARY\"",
        "on_revoked = \"CANARY\"",
        "max_jobs = \"CANARY\"",
    ] {
        let error = parsed(text).expect_err(text);
        assert!(matches!(&error, ConfigError::Parse { what } if what.starts_with("line ")), "{error}");
        assert!(!format!("{error} {error:?}").contains("CANARY"), "{error}");
    }
    let missing = Config::read(Path::new("no such file")).expect_err("missing");
    assert!(matches!(missing, ConfigError::Read { .. }));
}
