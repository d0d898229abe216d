//! Events, signed and delivered until they are answered: at once, and up to four times more within a day.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::world::{FILE_LIFE, Task, dashed};
use super::{Misbehaviour, Shared};
use crate::{Messenger, SigningSecret};

/// Times between tries: each twice as long as the one before, a day in all. Only their number and the day are published.
const WAITS: [Duration; 4] = [
    Duration::from_secs(96 * 60),
    Duration::from_secs(192 * 60),
    Duration::from_secs(384 * 60),
    Duration::from_secs(768 * 60),
];
/// A receiver that takes longer has failed.
const LONGEST_ANSWER: Duration = Duration::from_secs(60);

/// Tells that an export is ready, once it is.
pub(super) fn announce(shared: &Arc<Shared>, task: &Task) {
    if shared.options.webhook.is_none() {
        return;
    }
    shared.world().under_way += 1;
    let (shared, task) = (Arc::clone(shared), task.clone());
    tokio::spawn(async move {
        if shared.options.misbehaves(Misbehaviour::Reordered) {
            deliver(&shared, &event(&shared, &task, "patient.ehi_export_failed")).await;
        }
        shared.clock.wait(shared.options.export_takes).await;
        if shared.options.misbehaves(Misbehaviour::Late) {
            shared.clock.wait(FILE_LIFE).await;
        }
        let success = event(&shared, &task, "patient.ehi_export_success");
        let times = if shared.options.misbehaves(Misbehaviour::Duplicates) { 3 } else { 1 };
        let deliveries = (0..times).map(|_| deliver(&shared, &success));
        futures_util::future::join_all(deliveries).await;
        shared.world().under_way -= 1;
    });
}

fn event(shared: &Shared, task: &Task, kind: &str) -> Value {
    let live = shared.options.keys.as_ref().is_some_and(|keys| keys.mode() == crate::Mode::Live);
    let mut data = json!({
        "org_connection_id": task.connection,
        "org_id": dashed(&"1".repeat(32)),
        "task_id": task.id,
    });
    if kind == "patient.ehi_export_success" {
        let url = shared.download_url(&dashed(&task.id), &task.file_id);
        data["download_links"] =
            json!([{ "url": url, "export_type": "jsonl", "content_type": "application/fhir+ndjson" }]);
        data["stats"] = json!({
            "total_resources": shared.content.total_resources(),
            "total_by_resource_type": shared.content.by_type,
        });
    } else {
        data["failure_reason"] = "resource_patient_failure".into();
    }
    json!({
        "api_mode": if live { "live" } else { "test" },
        "id": dashed(&format!("{:032x}", fastrand::u128(..))),
        "type": kind,
        "data": data,
    })
}

/// Tries until it is answered with success.
async fn deliver(shared: &Arc<Shared>, event: &Value) {
    for wait in [None].into_iter().chain(WAITS.map(Some)) {
        if let Some(wait) = wait {
            shared.clock.wait(wait).await;
        }
        let (shared, event) = (Arc::clone(shared), event.clone());
        let delivered = tokio::task::spawn_blocking(move || attempt(&shared, event)).await;
        if delivered.unwrap_or(false) {
            return;
        }
    }
}

/// One try. Each has a time and a signature of its own; the event's id stays.
fn attempt(shared: &Shared, mut event: Value) -> bool {
    let now = SystemTime::now();
    event["date"] = humantime::format_rfc3339_seconds(now).to_string().into();
    let body = event.to_string();
    let turn = {
        let mut world = shared.world();
        world.attempted += 1;
        world.attempted
    };
    let is_wrong = shared.options.misbehaves(Misbehaviour::WrongSignature) && turn % 2 == 1;
    let id = format!("msg_{}", event["id"].as_str().unwrap_or_default());
    let wrong = SigningSecret::parse("whsec_bm90IHRoZSBzZWNyZXQgdGhhdCBpcyBzaGFyZWQ=").ok();
    let secret = if is_wrong { wrong.as_ref() } else { shared.options.secret.as_ref() };
    let url = shared.options.webhook.as_deref().unwrap_or_default();
    let status = Messenger::new(LONGEST_ANSWER).and_then(|messenger| messenger.send(url, secret, &id, &body));
    let is_delivered = status.is_ok_and(|status| (200..300).contains(&status));
    shared.world().delivered += u64::from(is_delivered);
    is_delivered
}
