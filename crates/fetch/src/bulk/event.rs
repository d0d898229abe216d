use std::time::Duration;

use super::{Cancelled, ExportRequest, Issue, StatusManifest};

/// What happens to an export, told as it happens. [`ExportLog::note`](super::ExportLog::note) writes it down.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum ExportEvent<'a> {
    /// The server took the export.
    KickedOff {
        /// What was asked for.
        request: &'a ExportRequest,
    },
    /// The server did not take it.
    NotKickedOff {
        /// What was asked for.
        request: &'a ExportRequest,
        /// The status; `None` if there was no answer.
        status: Option<u16>,
        /// What the server says is wrong.
        issues: &'a [Issue],
    },
    /// The server is at work.
    Working {
        /// How far it is, in its own words (`X-Progress`): at most 100 characters, none of them a control character.
        progress: Option<&'a str>,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
        /// When it will be.
        wait: Duration,
    },
    /// An export that was noted, and is begun afresh now, is not wanted any more: the server was told.
    Abandoned {
        /// What it says; `None` if it could not be told.
        told: Option<Cancelled>,
    },
    /// There was no answer, or one that the server calls transient. It is asked again.
    Faltering {
        /// Whether the server had taken the export before.
        kicked_off: bool,
        /// The status; `None` if there was no answer.
        status: Option<u16>,
        /// What the server says is wrong.
        issues: &'a [Issue],
        /// When it will be asked again.
        wait: Duration,
    },
    /// A page of the manifest came.
    Page {
        /// Its place, from 1.
        number: usize,
        /// The page alone.
        page: &'a StatusManifest,
    },
    /// All pages came.
    Complete {
        /// How many.
        pages: usize,
        /// All of them together.
        manifest: &'a StatusManifest,
    },
    /// The export failed, or its status is not to be had.
    Failed {
        /// The status; `None` if there was no answer.
        status: Option<u16>,
        /// What the server says is wrong.
        issues: &'a [Issue],
    },
}
