//! What Bundles and entries say beside their resources, as lines of the sidecars.

use std::io::Write;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use fhirline_bundle::Ending;
use fhirline_core::{Destination, Position};
use fhirline_route::Router;

/// Members are held up to this many bytes; then they are written, and the rest follows on a line of its own.
const HELD_BYTES: usize = 256 << 10;

/// Keeps what is said, if anybody wants it.
#[derive(Debug)]
pub(super) struct Story {
    source: Arc<str>,
    bundle: Option<OpenBundle>,
}

/// The Bundle that is open.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct OpenBundle {
    id: String,
    line: u64,
    byte: u64,
    kind: String,
    entries: u64,
    /// Members that were not written yet, with commas between them.
    members: String,
    entry_members: String,
    /// Where the resources of the entry went.
    outputs: Vec<String>,
}

impl std::fmt::Debug for OpenBundle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenBundle")
            .field("id", &self.id)
            .field("entries", &self.entries)
            .finish_non_exhaustive()
    }
}

/// A line for a sidecar.
pub(super) type Told = (Destination, Vec<u8>);

#[derive(Serialize)]
struct BundleLine<'s> {
    bundle: &'s str,
    source: &'s str,
    line: u64,
    byte: u64,
    #[serde(rename = "type")]
    kind: &'s str,
    #[serde(skip_serializing_if = "Option::is_none")]
    entries: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ending: Option<&'static str>,
}

#[derive(Serialize)]
struct EntryLine<'s> {
    bundle: &'s str,
    entry: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    outputs: Option<&'s [String]>,
}

impl Story {
    pub(super) fn new(source: Arc<str>, bundle: Option<OpenBundle>) -> Self {
        Self { source, bundle }
    }

    /// What has to be known to go on.
    pub(super) fn open_bundle(&self) -> Option<&OpenBundle> {
        self.bundle.as_ref()
    }

    pub(super) fn begin(&mut self, at: Position, kind: &str) {
        let id = format!("{}:{}", at.source.0, at.byte);
        let (line, byte, kind) = (at.line, at.byte, kind.to_owned());
        self.bundle = Some(OpenBundle { id, line, byte, kind, ..OpenBundle::default() });
    }

    /// A member of the Bundle, on one line.
    pub(super) fn member(&mut self, member: &str) -> Option<Told> {
        let bundle = self.bundle.as_mut()?;
        add(&mut bundle.members, member);
        (bundle.members.len() >= HELD_BYTES).then(|| bundle_line(&self.source, bundle, None))
    }

    /// A member of the entry, on one line.
    pub(super) fn entry_member(&mut self, member: &str) -> Option<Told> {
        let bundle = self.bundle.as_mut()?;
        add(&mut bundle.entry_members, member);
        (bundle.entry_members.len() >= HELD_BYTES).then(|| entry_line(bundle, false))
    }

    /// The line around a member that is too long to be held: what stands before and behind it.
    pub(super) fn around_member(&mut self, of_entry: bool) -> Option<(Destination, Vec<u8>, &'static [u8])> {
        let bundle = self.bundle.as_mut()?;
        let (destination, mut line) = if of_entry {
            let held = std::mem::take(&mut bundle.entry_members);
            let told = entry_line(bundle, false);
            bundle.entry_members = held;
            told
        } else {
            let held = std::mem::take(&mut bundle.members);
            let told = bundle_line(&self.source, bundle, None);
            bundle.members = held;
            told
        };
        line.truncate(line.len() - 2);
        Some((destination, line, b"}}"))
    }

    /// A resource of the entry, or what stood in the place of one, went there.
    pub(super) fn output(&mut self, name: &str) {
        if let Some(bundle) = &mut self.bundle {
            bundle.outputs.push(name.to_owned());
        }
    }

    /// The entry had so many resources: those that were not told are broken. Without any, all of it is.
    pub(super) fn note_broken(&mut self, resources: u64) {
        let Some(bundle) = &mut self.bundle else { return };
        let all = usize::try_from(resources).unwrap_or(usize::MAX).max(1);
        let broken = all.saturating_sub(bundle.outputs.len());
        bundle.outputs.extend(std::iter::repeat_n(Router::QUARANTINED.to_owned(), broken));
    }

    /// What is known of an entry that has not ended when its Bundle does.
    pub(super) fn entry_is_left(&mut self) -> Option<Told> {
        let bundle = self.bundle.as_mut()?;
        let is_left = !bundle.entry_members.is_empty() || !bundle.outputs.is_empty();
        is_left.then(|| entry_line(bundle, true))
    }

    pub(super) fn entry_ends(&mut self) -> Option<Told> {
        self.bundle.as_mut().map(|bundle| entry_line(bundle, true))
    }

    pub(super) fn bundle_ends(&mut self, ending: Ending) -> Option<Told> {
        let mut bundle = self.bundle.take()?;
        let ending = match ending {
            Ending::Closed => "closed",
            Ending::Abandoned => "abandoned",
            Ending::CutOff => "cut-off",
        };
        Some(bundle_line(&self.source, &mut bundle, Some(ending)))
    }
}

fn add(members: &mut String, member: &str) {
    if !members.is_empty() {
        members.push(',');
    }
    members.push_str(member);
}

/// The members held so far; the last line of the Bundle says how it ended.
fn bundle_line(source: &str, bundle: &mut OpenBundle, ending: Option<&'static str>) -> Told {
    let head = BundleLine {
        bundle: &bundle.id,
        source,
        line: bundle.line,
        byte: bundle.byte,
        kind: &bundle.kind,
        entries: ending.map(|_| bundle.entries),
        ending,
    };
    let line = with_members(&head, &bundle.members);
    bundle.members.clear();
    (Destination::Bundles, line)
}

/// The members held so far; the last line of the entry says where its resources went.
fn entry_line(bundle: &mut OpenBundle, is_last: bool) -> Told {
    let outputs = is_last.then_some(&*bundle.outputs);
    let line = with_members(
        &EntryLine { bundle: &bundle.id, entry: bundle.entries, outputs },
        &bundle.entry_members,
    );
    bundle.entry_members.clear();
    if is_last {
        bundle.outputs.clear();
        bundle.entries += 1;
    }
    (Destination::EntryMetadata, line)
}

/// The object with one more key, `members`, whose value is an object of these members.
fn with_members(head: &impl Serialize, members: &str) -> Vec<u8> {
    // Strings and numbers into memory: nothing here can fail.
    let mut line = serde_json::to_vec(head).unwrap_or_default();
    line.pop();
    let _ = write!(line, ",\"members\":{{{members}}}}}");
    line
}
