use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use reqwest::Url;

/// The servers that have answered a client, whatever they said. One that never did is not worth long patience: its name may
/// be misspelt. Clones share what they know.
#[derive(Clone, Debug, Default)]
pub(super) struct Servers(Arc<Mutex<HashSet<String>>>);

impl Servers {
    fn lock(&self) -> MutexGuard<'_, HashSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It answered.
    pub(super) fn met(&self, url: &Url) {
        let name = url.origin().ascii_serialization();
        self.lock().insert(name);
    }

    pub(super) fn have_met(&self, url: &Url) -> bool {
        self.lock().contains(&url.origin().ascii_serialization())
    }
}
