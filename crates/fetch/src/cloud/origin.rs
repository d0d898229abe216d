//! An object as a source, read in bounded windows.

use std::fmt;
use std::io::{self, Read};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use fhirline_core::{Identity, Origin};
use object_store::{ObjectMeta, ObjectStoreExt};

use super::bucket::{CloudBucket, wait};
use super::windows::Windows;
use super::{Cloud, CloudError, ObjectUrl};
use crate::single_use::behind_the_end;

/// The most bytes of a window unless something else is set.
pub(super) const DEFAULT_WINDOW_BYTES: usize = 8 << 20;

/// An object in a bucket.
///
/// Length, entity tag and time are looked at once and pinned: every request asks for the object that has that tag, and
/// what comes back is compared with it, so that a reader never gives bytes of two objects. If somebody replaces the object,
/// reading it fails with [`CloudError::Changed`] inside the [`io::Error`].
///
/// # Memory
///
/// A reader asks for [windows](crate::CloudOptions::window_bytes) of at most 8 MiB (the first has 1 MiB, each further one
/// twice as many), and for the next while one is read: it holds 16 MiB at most. The first is asked for when it is opened, and no
/// more before the first read. The end of the reader is the end of its requests.
pub struct ObjectOrigin {
    bucket: CloudBucket,
    url: ObjectUrl,
    name: String,
    pin: OnceLock<Arc<Pin>>,
}

/// What is known of the object that is read, and of no other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pin {
    pub(super) bytes: u64,
    /// As the store wants it back.
    pub(super) tag: Option<String>,
    /// To the second: that is all that some answers have.
    modified: SystemTime,
}

impl Pin {
    pub(super) fn of(cloud: Cloud, meta: &ObjectMeta) -> Self {
        let tag = meta.e_tag.as_deref().map(|tag| match cloud {
            // Azure lists its tags without the quotes that its headers have.
            Cloud::Azure if !tag.ends_with('"') => format!("\"{tag}\""),
            _ => tag.to_owned(),
        });
        let seconds = u64::try_from(meta.last_modified.timestamp()).unwrap_or_default();
        let modified = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        Self { bytes: meta.size, tag, modified }
    }

    /// Whether an answer is about the same object. Without tags only length and time can tell.
    pub(super) fn is(&self, other: &Self) -> bool {
        match (&self.tag, &other.tag) {
            (Some(tag), Some(others)) => tag == others && self.bytes == other.bytes,
            _ => self.bytes == other.bytes && self.modified == other.modified,
        }
    }
}

impl ObjectOrigin {
    /// An object, with what a list or a look at it told.
    pub(super) fn new(bucket: CloudBucket, url: ObjectUrl, meta: Option<&ObjectMeta>) -> Self {
        let pin = OnceLock::new();
        // GCS need not list the tags that its headers have.
        if let Some(meta) = meta.filter(|_| url.cloud() != Cloud::Gcs) {
            let _ = pin.set(Arc::new(Pin::of(url.cloud(), meta)));
        }
        Self { name: url.to_string(), bucket, url, pin }
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> &ObjectUrl {
        &self.url
    }

    /// Looks at the object, unless that was done before.
    pub(super) fn pin(&self) -> Result<Arc<Pin>, CloudError> {
        if let Some(pin) = self.pin.get() {
            return Ok(Arc::clone(pin));
        }
        let (objects, path) = (Arc::clone(self.bucket.objects()), self.url.path());
        let meta = wait(&self.url, async move { objects.head(&path).await })?;
        let meta = meta.map_err(|error| CloudError::reading(&self.url, &error))?;
        Ok(Arc::clone(self.pin.get_or_init(|| Arc::new(Pin::of(self.url.cloud(), &meta)))))
    }
}

impl Origin for ObjectOrigin {
    fn identity(&self) -> io::Result<Identity> {
        let pin = self.pin()?;
        let (name, stored_bytes) = (self.name.clone(), Some(pin.bytes));
        Ok(Identity { name, stored_bytes, modified: Some(pin.modified), tag: pin.tag.clone() })
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn open_at(&self, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        let pin = self.pin()?;
        if offset > pin.bytes {
            return Err(behind_the_end(&self.name, offset, pin.bytes));
        }
        Ok(Box::new(Windows::begin(self.bucket.clone(), self.url.clone(), pin, offset)?))
    }

    fn arrives_by_itself(&self) -> bool {
        true
    }
}

impl fmt::Debug for ObjectOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectOrigin({})", self.name)
    }
}
