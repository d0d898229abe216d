//! What the simulator remembers, and what follows from it. Times are those of its clock.

use std::collections::HashMap;
use std::time::Duration;

/// How long a signed link lives, and an export. Both from the documentation.
const LINK_LIFE: Duration = Duration::from_secs(600);
pub(super) const FILE_LIFE: Duration = Duration::from_secs(24 * 3600);
/// How long a `request_uri` lives.
const URI_LIFE: Duration = Duration::from_secs(90);

/// What is remembered.
#[derive(Default)]
pub(super) struct World {
    tasks: Vec<Task>,
    /// By signature: until when it is good.
    links: HashMap<String, Duration>,
    /// By `request_uri`: whose it is, and until when it is good.
    uris: HashMap<String, (String, Duration)>,
    /// Requests of the API, for those that misbehave with every other one.
    pub(super) requests: u64,
    pub(super) leaked_keys: u64,
    pub(super) delivered: u64,
    pub(super) attempted: u64,
    /// Exports that are being made, and events that are being delivered.
    pub(super) under_way: u64,
}

/// An export of one connection.
#[derive(Clone)]
pub(super) struct Task {
    /// 32 digits without dashes.
    pub(super) id: String,
    pub(super) connection: String,
    pub(super) file_id: String,
    /// Ready from then on, and deleted a day later.
    ready: Duration,
}

impl World {
    /// The export of a connection: the one that there is, or a new one; and whether it is new.
    pub(super) fn request(&mut self, connection: &str, now: Duration, takes: Duration) -> (Task, bool) {
        let known = self.tasks.iter().rfind(|task| task.connection == connection && !task.is_gone(now));
        if let Some(known) = known {
            return (known.clone(), false);
        }
        let id = format!("{:032x}", fastrand::u128(..));
        let task = Task {
            file_id: format!("2026-01-01-{}.jsonl", dashed(&id)),
            id,
            connection: connection.to_owned(),
            ready: now + takes,
        };
        self.tasks.push(task.clone());
        (task, true)
    }

    pub(super) fn task(&self, id: &str) -> Option<&Task> {
        self.tasks.iter().find(|task| task.id == id)
    }

    /// A link to a file, signed for some minutes.
    pub(super) fn sign(&mut self, now: Duration) -> String {
        let signature = format!("{:032x}", fastrand::u128(..));
        self.links.insert(signature.clone(), now + LINK_LIFE);
        signature
    }

    pub(super) fn is_signed(&self, signature: &str, now: Duration) -> bool {
        self.links.get(signature).is_some_and(|ends| now < *ends)
    }

    pub(super) fn push(&mut self, client: &str, now: Duration) -> String {
        let id = format!("{:032x}", fastrand::u128(..));
        let uri = format!("urn:ietf:params:oauth:request_uri:{}", dashed(&id));
        self.uris.insert(uri.clone(), (client.to_owned(), now + URI_LIFE));
        uri
    }

    /// Uses a `request_uri` up; false if it is over, used, or another client's.
    pub(super) fn redeem(&mut self, uri: &str, client: &str, now: Duration) -> bool {
        self.uris.remove(uri).is_some_and(|(owner, ends)| owner == client && now < ends)
    }
}

impl Task {
    pub(super) fn state(&self, now: Duration) -> &'static str {
        if now < self.ready { "pending" } else { "success" }
    }

    /// Whether its file was deleted.
    pub(super) fn is_gone(&self, now: Duration) -> bool {
        now >= self.ready + FILE_LIFE
    }

    /// Whether it has a file.
    pub(super) fn has_file(&self, now: Duration) -> bool {
        now >= self.ready && !self.is_gone(now)
    }
}

/// An id with its dashes: in links it has them, and in `task_id` not.
pub(super) fn dashed(id: &str) -> String {
    let mut dashed = id.to_owned();
    for at in [20, 16, 12, 8] {
        if dashed.is_char_boundary(at) {
            dashed.insert(at, '-');
        }
    }
    dashed
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn an_export_is_requested_once_a_day() {
        let mut world = World::default();
        let (first, is_new) = world.request("c", s(10), s(2));
        assert!(is_new);
        let (again, is_new) = world.request("c", s(11 + 3600), s(2));
        assert_eq!((again.id == first.id, is_new), (true, false));
        assert!(world.request("d", s(11), s(2)).1);
        assert_eq!((first.state(s(11)), first.state(s(12))), ("pending", "success"));
        assert!(!first.has_file(s(11)) && first.has_file(s(12)));
        let day = s(12) + FILE_LIFE;
        assert!(first.is_gone(day) && !first.has_file(day));
        assert!(world.request("c", day, s(2)).1);
    }

    #[test]
    fn links_live_ten_minutes_and_request_uris_once() {
        let mut world = World::default();
        let signature = world.sign(s(0));
        assert!(world.is_signed(&signature, s(599)) && !world.is_signed(&signature, s(600)));
        assert!(!world.is_signed("other", s(0)));
        let uri = world.push("us", s(0));
        assert!(!world.redeem("urn:x", "us", s(1)));
        assert!(world.redeem(&uri, "us", s(89)) && !world.redeem(&uri, "us", s(89)));
        let late = world.push("us", s(0));
        assert!(!world.redeem(&late, "us", s(90)));
        let foreign = world.push("us", s(0));
        assert!(!world.redeem(&foreign, "them", s(1)));
    }

    #[test]
    fn ids_have_dashes_where_uuids_have_them() {
        assert_eq!(dashed("00112233445566778899aabbccddeeff"), "00112233-4455-6677-8899-aabbccddeeff");
    }
}
