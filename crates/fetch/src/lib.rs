//! Where fhirline reads from and where it writes to.
//!
//! This crate owns the ways to the outside: [`Origin`](fhirline_core::Origin)s ([`FileOrigin`], [`StandardInput`],
//! [`BytesOrigin`]), the [`Selection`] that turns what a user wrote on the command line into sources, and
//! [`Store`](fhirline_core::Store)s ([`FolderStore`], [`MemoryStore`]). Beside them it owns [`FolderSpools`], the place for
//! a record that is too long for memory.
//!
//! With the feature `http` it also speaks FHIR Bulk Data: `Export` asks for an export and waits for its `StatusManifest`,
//! `SmartTokens` sign in with SMART Backend Services, `ExportState` takes an export up again, `ExportLog` writes it down.
//!
//! ```
//! use fhirline_core::Store;
//! use fhirline_fetch::{FolderStore, Found, Selection};
//!
//! let folder = tempfile::tempdir()?;
//! std::fs::write(folder.path().join("Patient.ndjson"), b"{}\n")?;
//! std::fs::write(folder.path().join("Patient.ndjson.partial"), b"{")?;
//!
//! let destination = folder.path().join("out");
//! let store = FolderStore::open(&destination)?;
//! let selection = Selection::parse([folder.path()])?.excluding(&destination)?;
//! for found in selection.expand() {
//!     match found? {
//!         Found::Source { origin, .. } => {
//!             let mut copy = store.create("copy.ndjson")?;
//!             copy.append(&std::io::read_to_string(origin.open_at(0)?)?.into_bytes())?;
//!             copy.sync()?;
//!             copy.seal()?;
//!         }
//!         Found::Skipped { name, why } => println!("skipped {name}: {why}"),
//!     }
//! }
//! store.sync()?;
//! assert_eq!(store.list()?, ["copy.ndjson"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Why it is cut so
//!
//! The pipeline sees an `Origin` and a `Store` and nothing of a file system, so that a download or a bucket can take the
//! place of a file, and memory the place of both in tests. Everything here is blocking and plain `std::fs`. What a file
//! holds is not looked at: format and compression are found later, from the bytes. The one exception is `manifest.json` in
//! a folder, because it says which of its neighbours are the data.
//!
//! With the feature `http` there are sources behind URLs too. They are asynchronous inside, on two threads of their own, and
//! blocking outside; a reader that is dropped ends its transfer.
//!
//! # Order
//!
//! Sources come in the order in which they were given, and what a folder or a pattern holds in the order of the bytes of
//! its paths: the same on every machine and file system, whatever order the file system lists names in.
//!
//! # Memory
//!
//! A folder may hold millions of names. They are listed in passes that keep only the next 16,384 names behind the last
//! one handed out; all folders on the way down together keep at most twice that. A manifest is read up to 16 MiB and
//! 65,536 outputs. Readers and writers hold no buffers. All [`FolderStore`]s together hold a quarter of the files open that
//! the process may have open, 1,024 at most, however many outputs are being written, and fewer where there is no room; a
//! spool holds one more. [`MemoryStore`] and [`BytesOrigin`] hold what they are given.
//! A reader behind a URL holds what it read ahead: 2 MiB unless told otherwise, and some buffers of the connection.
//!
//! # Privacy
//!
//! Outputs may be health records: a [`FolderStore`] makes files that only their owner may read (mode 0600) and folders
//! that only their owner may enter (mode 0700). Spools are files of that mode too, and nobody can find them by name. Errors
//! and `Debug` show names and lengths, never content, and URLs without their query.

#![forbid(unsafe_code)]

mod ahead;
#[cfg(feature = "http")]
mod bulk;
mod bytes;
#[cfg(feature = "cloud")]
pub mod cloud;
mod error;
mod file;
mod file_range;
mod folder_spools;
mod folder_store;
mod found;
#[cfg(feature = "http")]
mod http;
mod listing;
mod manifest;
mod manifest_form;
mod manifest_source;
mod memory_store;
#[cfg(any(feature = "http", feature = "cloud"))]
mod net;
mod network;
mod object_name;
mod open_files;
mod pattern;
mod selection;
mod shown;
mod single_use;
mod standard_input;
mod walk;

#[cfg(feature = "http")]
pub use bulk::{
    BulkError, Cancelled, Export, ExportEvent, ExportLevel, ExportLog, ExportPace, ExportRequest,
    ExportState, ExportTotals, FhirBase, Issue, ItemType, KeyError, KeyFile, KickOffMethod, ManifestError,
    ManifestFile, SecretUrl, SigningAlgorithm, SmartOptions, SmartTokens, StatusManifest, TokenRefusal,
};
pub use bytes::BytesOrigin;
#[cfg(feature = "cloud")]
pub use cloud::{
    Cloud, CloudBucket, CloudClaim, CloudError, CloudOptions, CloudStore, CloudStoreOptions, ObjectOrigin,
    ObjectUrl, Objects,
};
pub use error::FetchError;
pub use file::FileOrigin;
pub use file_range::FileRange;
pub use folder_spools::FolderSpools;
pub use folder_store::{FolderClaim, FolderStore};
pub use found::{Declared, Found, FoundBy, SkipReason};
#[cfg(feature = "http")]
pub use http::{
    Answer, Change, Credentials, HttpClient, HttpError, HttpOptions, HttpOrigin, Markup, Netrc, Request,
    Retry, SecretString, TokenSource,
};
pub use memory_store::MemoryStore;
pub use network::{Network, network_hint};
pub use open_files::too_many_open_files;
pub use selection::{Expansion, Selection, SourceSpec};
pub use shown::shown;
pub use standard_input::StandardInput;
