use std::path::PathBuf;
use std::time::Duration;

use crate::{ApiKeys, SigningSecret};

/// What a [`Simulator`](super::Simulator) does.
#[derive(Clone, Debug)]
pub struct SimulatorOptions {
    pub(super) export: PathBuf,
    pub(super) webhook: Option<String>,
    pub(super) keys: Option<ApiKeys>,
    pub(super) secret: Option<SigningSecret>,
    pub(super) connections: Vec<String>,
    pub(super) port: u16,
    pub(super) speed: f64,
    pub(super) export_takes: Duration,
    pub(super) misbehaviours: Vec<Misbehaviour>,
}

/// How it misbehaves, beyond what is documented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misbehaviour {
    /// Each delivery comes three times.
    Duplicates,
    /// Before the export is ready its failure is told, and then its success, of the same task.
    Reordered,
    /// The first delivery comes a day late: the export is deleted.
    Late,
    /// Bodies of exports end in the middle.
    Truncated,
    /// Every other request of the API is answered with 429.
    TooManyRequests,
    /// Every other delivery has a wrong signature.
    WrongSignature,
    /// The export is a thousand times as long.
    Huge,
    /// Every tenth line of the export is followed by one that is broken.
    Malformed,
}

impl Misbehaviour {
    /// All of them, with their names.
    pub const ALL: [(&'static str, Self); 8] = [
        ("duplicates", Self::Duplicates),
        ("reordered", Self::Reordered),
        ("late", Self::Late),
        ("truncated", Self::Truncated),
        ("429", Self::TooManyRequests),
        ("wrong-signature", Self::WrongSignature),
        ("huge", Self::Huge),
        ("malformed", Self::Malformed),
    ];
}

impl SimulatorOptions {
    /// One connection, whose export is that file.
    #[must_use]
    pub fn new(export: impl Into<PathBuf>) -> Self {
        Self {
            export: export.into(),
            webhook: None,
            keys: None,
            secret: None,
            connections: vec!["00000000-0000-4000-8000-000000000001".to_owned()],
            port: 0,
            speed: 1.0,
            export_takes: Duration::from_secs(2),
            misbehaviours: Vec::new(),
        }
    }

    /// Where events are delivered to. Without it there are none.
    #[must_use]
    pub fn webhook(mut self, url: impl Into<String>) -> Self {
        self.webhook = Some(url.into());
        self
    }

    /// The only keys that are accepted; any unless set.
    #[must_use]
    pub fn keys(mut self, keys: ApiKeys) -> Self {
        self.keys = Some(keys);
        self
    }

    /// The secret by which deliveries are signed.
    #[must_use]
    pub fn secret(mut self, secret: SigningSecret) -> Self {
        self.secret = Some(secret);
        self
    }

    /// The connections that exports can be requested of; all of them give the same one.
    #[must_use]
    pub fn connections(mut self, ids: impl IntoIterator<Item = String>) -> Self {
        self.connections = ids.into_iter().collect();
        self
    }

    /// The port of the API; any that is free unless set.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// How much faster than ours its clock runs; once unless set. By it links and files expire, and deliveries are tried again.
    #[must_use]
    pub fn speed(mut self, speed: f64) -> Self {
        self.speed = speed;
        self
    }

    /// How long an export takes by its clock; 2 s unless set.
    #[must_use]
    pub fn export_takes(mut self, time: Duration) -> Self {
        self.export_takes = time;
        self
    }

    /// One way more to misbehave.
    #[must_use]
    pub fn misbehaving(mut self, how: Misbehaviour) -> Self {
        self.misbehaviours.push(how);
        self
    }

    pub(super) fn misbehaves(&self, how: Misbehaviour) -> bool {
        self.misbehaviours.contains(&how)
    }
}
