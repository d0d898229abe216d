//! Where fhirline reads from and where it writes to.
//!
//! This crate owns the ways to the outside: [`Origin`](fhirline_core::Origin)s ([`FileOrigin`], [`StandardInput`],
//! [`BytesOrigin`]), the [`Selection`] that turns what a user wrote on the command line into sources, and
//! [`Store`](fhirline_core::Store)s ([`FolderStore`], [`MemoryStore`]). Beside them it owns [`FolderSpools`], the place for
//! a record that is too long for memory.
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
//! # Order
//!
//! Sources come in the order in which they were given, and what a folder or a pattern holds in the order of the bytes of
//! its paths: the same on every machine and file system, whatever order the file system lists names in.
//!
//! # Memory
//!
//! A folder may hold millions of names. They are listed in passes that keep only the next 16,384 names behind the last
//! one handed out; all folders on the way down together keep at most twice that. A manifest is read up to 16 MiB and
//! 65,536 outputs. Readers and writers hold no buffers; a [`FolderStore`] holds at most 128 files open, however many
//! outputs are being written, and a spool one more. [`MemoryStore`] and [`BytesOrigin`] hold what they are given.
//!
//! # Privacy
//!
//! Outputs may be health records: a [`FolderStore`] makes files that only their owner may read (mode 0600) and folders
//! that only their owner may enter (mode 0700). Spools are files of that mode too, and nobody can find them by name. Errors
//! and `Debug` show names and lengths, never content, and URLs without their query.

mod bytes;
#[cfg(feature = "cloud")]
pub mod cloud;
mod error;
mod file;
mod file_range;
mod folder_spools;
mod folder_store;
mod found;
mod listing;
mod manifest;
mod memory_store;
#[cfg(any(feature = "http", feature = "cloud"))]
mod net;
mod object_name;
mod open_files;
mod pattern;
mod selection;
mod single_use;
mod standard_input;
mod walk;

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
pub use found::{Found, FoundBy, SkipReason};
pub use memory_store::MemoryStore;
pub use selection::{Expansion, Selection, SourceSpec};
pub use standard_input::StandardInput;
