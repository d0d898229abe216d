//! Who is told that an export has ended.

use std::env;
use std::process::Stdio;
use std::time::Duration;

use fhirline_connect::{Messenger, SigningSecret};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;
use tracing::warn;

use super::{Worker, next_attempt};
use crate::aside::aside;
use crate::config::Receiver;
use crate::store::{Callback, Due, StoreError};

/// Tells one message.
pub(super) async fn call(worker: &Worker, due: &Due) -> Result<(), StoreError> {
    let Some(callback) = worker.store.callback(&due.id, due.turn).await? else { return Ok(()) };
    let Some(on_complete) = &worker.config.on_complete else {
        return worker.store.called(&callback, Some("nobody is to be told any more"), None).await;
    };
    let told = match &on_complete.receiver {
        Receiver::Command { argv, hidden } => run(argv, hidden, &callback, on_complete.timeout).await,
        Receiver::Post { url, secret } => post(worker, (url, secret), &callback, on_complete.timeout).await,
    };
    worker.metrics.called_back(told.is_ok());
    let failure = told.err();
    if let Some(failure) = &failure {
        warn!(export = %callback.export_id, failure, "the end of an export could not be told");
    }
    let more = failure.is_some() && callback.attempts + 1 < on_complete.max_attempts;
    let due_at = more.then(|| next_attempt(worker.config.first_retry, callback.attempts + 1, Duration::ZERO));
    worker.store.called(&callback, failure.as_deref(), due_at).await
}

/// Variables with this at their beginning are Fasten's: keys and secrets are where no others are named.
const FASTEN: &str = "FASTEN_";

/// The program gets the message on its standard input, and the id in its environment, which is ours without our secrets.
async fn run(argv: &[String], hidden: &[String], callback: &Callback, most: Duration) -> Result<(), String> {
    let Some((program, arguments)) = argv.split_first() else { return Ok(()) };
    let mut command = Command::new(program);
    for (name, _) in env::vars_os() {
        let is_ours = name.to_str().is_some_and(|name| name.starts_with(FASTEN));
        if is_ours || hidden.iter().any(|hidden| name == hidden.as_str()) {
            command.env_remove(name);
        }
    }
    let mut child = command
        .args(arguments)
        .env("FHIRLINE_CALLBACK_ID", &callback.id)
        .env("FHIRLINE_EXPORT_ID", &callback.export_id)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("the command cannot be started: {error}"))?;
    let input = child.stdin.take();
    let body = callback.body.clone();
    let waited = timeout(most, async {
        if let Some(mut input) = input {
            // A program that does not read it may know enough.
            let _ = input.write_all(body.as_bytes()).await;
        }
        child.wait().await
    });
    match waited.await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(format!("the command ended with {status}")),
        Ok(Err(error)) => Err(format!("the command was lost: {error}")),
        Err(_) => Err(format!("the command did not end within {} s", most.as_secs())),
    }
}

/// A message of ours, signed as Fasten signs its own.
async fn post(
    worker: &Worker,
    (url, secret): (&str, &SigningSecret),
    callback: &Callback,
    most: Duration,
) -> Result<(), String> {
    let (url, secret, stop) = (url.to_owned(), secret.clone(), worker.stop.clone());
    let (id, body) = (callback.id.clone(), callback.body.clone());
    let sent = aside("fhirline-errand", move || {
        // Who may have got it gets it once more after the next start.
        let messenger = Messenger::new(most)?.stopped_by(move || *stop.borrow());
        messenger.send(&url, Some(&secret), &id, &body)
    });
    match sent.await {
        Ok(Ok(200..=299)) => Ok(()),
        Ok(Ok(status)) => Err(format!("the receiver answered with status {status}")),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("the message ended by a defect".to_owned()),
    }
}
