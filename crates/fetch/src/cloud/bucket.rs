use std::fmt;
use std::future::Future;
use std::sync::Arc;

use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};

use super::forgotten::Uploads;
use super::memory::MemoryObjects;
use super::open::{self, Faces};
use super::origin::ObjectOrigin;
use super::{CloudError, CloudOptions, ObjectUrl, WindowSizes};
use crate::net;

/// A bucket or container that has been opened. Clones share connections and credentials.
///
/// ```
/// use fhirline_core::Origin;
/// use fhirline_fetch::CloudBucket;
///
/// let bucket = CloudBucket::in_memory();
/// bucket.put("export/Patient.ndjson", b"{}\n{}\n")?;
/// let origin = bucket.object("export/Patient.ndjson")?;
/// assert_eq!(origin.name(), "memory://memory/export/Patient.ndjson");
/// assert_eq!(origin.identity()?.stored_bytes, Some(6));
/// assert_eq!(std::io::read_to_string(origin.open_at(3)?)?, "{}\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct CloudBucket {
    objects: Arc<dyn ObjectStore>,
    parts: Arc<dyn MultipartStore>,
    uploads: Option<Arc<Uploads>>,
    url: ObjectUrl,
    options: CloudOptions,
    /// Of a bucket in memory.
    memory: Option<MemoryObjects>,
}

impl CloudBucket {
    /// Opens the bucket of a URL; the URL's key is the bucket's [root](Self::url). Nothing is asked of the store yet.
    ///
    /// # Errors
    /// [`CloudError::BadSetting`] if the environment or a file of it cannot be used.
    pub fn open(url: &ObjectUrl, options: &CloudOptions) -> Result<Self, CloudError> {
        let Faces { objects, parts, uploads } = open::open(url, options)?;
        let uploads = uploads.map(Arc::new);
        Ok(Self { objects, parts, uploads, url: url.clone(), options: options.clone(), memory: None })
    }

    /// An empty bucket in memory, for tests and examples.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::of_memory(MemoryObjects::default(), ObjectUrl::in_memory())
    }

    fn of_memory(memory: MemoryObjects, url: ObjectUrl) -> Self {
        let Faces { objects, parts, .. } = Faces::of(memory.clone());
        Self { objects, parts, uploads: None, url, options: CloudOptions::new(), memory: Some(memory) }
    }

    /// For tests of what uses a bucket: the same bucket in memory behind a connection that breaks after so many calls.
    #[doc(hidden)]
    #[must_use]
    pub fn dying_after(&self, calls: u64) -> Self {
        let memory = self.memory.as_ref().map(|memory| memory.dying_after(calls));
        memory.map_or_else(|| self.clone(), |memory| Self::of_memory(memory, self.url.clone()))
    }

    /// For tests: how many calls are left of such a connection.
    #[doc(hidden)]
    #[must_use]
    pub fn calls_left(&self) -> Option<u64> {
        self.memory.as_ref().and_then(MemoryObjects::calls_left)
    }

    /// For tests: how many uploads of a bucket in memory were neither completed nor aborted.
    #[doc(hidden)]
    #[must_use]
    pub fn uploads_under_way(&self) -> usize {
        self.memory.as_ref().map_or(0, MemoryObjects::uploads_under_way)
    }

    /// The same with another number of [bytes in a window](CloudOptions::window_bytes).
    #[must_use]
    pub fn window_bytes(self, bytes: usize) -> Self {
        Self { options: self.options.window_bytes(bytes), ..self }
    }

    /// The same bucket with another root.
    ///
    /// # Errors
    /// [`CloudError::BadUrl`] if that cannot be a key.
    pub fn at(&self, key: &str) -> Result<Self, CloudError> {
        Ok(Self { url: self.url.with_key(key)?, ..self.clone() })
    }

    /// The URL that it was opened with.
    #[must_use]
    pub fn url(&self) -> &ObjectUrl {
        &self.url
    }

    /// An object of the bucket as a source; the key counts from the bucket's beginning, not from its root. Nothing is
    /// asked of the store yet.
    ///
    /// # Errors
    /// [`CloudError::BadUrl`] if that cannot be a key.
    pub fn object(&self, key: &str) -> Result<ObjectOrigin, CloudError> {
        let url = self.url.with_key(key)?;
        if url.is_prefix() {
            return Err(CloudError::BadUrl { why: "it is that of a prefix" });
        }
        Ok(ObjectOrigin::new(self.clone(), url, None))
    }

    /// Writes a small object in one request, in place of one that may be there.
    ///
    /// # Errors
    /// When the store does not take it.
    pub fn put(&self, key: &str, content: &[u8]) -> Result<(), CloudError> {
        let url = self.url.with_key(key)?;
        let (objects, path) = (Arc::clone(&self.objects), url.path());
        let payload = PutPayload::from(content.to_vec());
        let put = wait(&url, async move { objects.put(&path, payload).await })?;
        put.map(drop).map_err(|error| CloudError::writing(&url, &error))
    }

    /// Its objects. Calls must be driven on the runtime of [`net`]: they sleep between attempts.
    pub(crate) fn objects(&self) -> &Arc<dyn ObjectStore> {
        &self.objects
    }

    /// The same store, for uploads in parts.
    pub(crate) fn parts(&self) -> &Arc<dyn MultipartStore> {
        &self.parts
    }

    /// The same store, for finding uploads that nobody knows any more; `None` where they cannot be listed.
    pub(crate) fn uploads(&self) -> Option<&Arc<Uploads>> {
        self.uploads.as_ref()
    }

    /// The place of the URL's key: the root of a prefix.
    pub(crate) fn root(&self) -> Path {
        self.url.path()
    }

    /// The URL of a place in the bucket.
    pub(crate) fn url_of(&self, path: &Path) -> ObjectUrl {
        self.url.with_key(path.as_ref()).unwrap_or_else(|_| self.url.bucket_url())
    }

    pub(super) fn window_sizes(&self) -> WindowSizes {
        self.options.windows()
    }
}

/// The store that is behind it may show its credentials.
impl fmt::Debug for CloudBucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CloudBucket({})", self.url)
    }
}

/// Runs a call on the runtime and blocks until it is done.
pub(super) fn wait<T: Send + 'static>(
    url: &ObjectUrl,
    call: impl Future<Output = T> + Send + 'static,
) -> Result<T, CloudError> {
    net::wait(call).map_err(|_| CloudError::Other {
        url: url.to_string(),
        what: "the threads of the network are gone",
        answer: super::Answer::default(),
    })
}
