//! A bucket in the memory of this process, with uploads as S3 has them.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use object_store::memory::InMemory;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartId, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// A part takes up to so many turns of the runtime.
const MOST_TURNS: usize = 300;

/// Unlike the uploads of [`InMemory`], these are completed with the parts that are named, and only if those are the latest
/// ones of their numbers. Clones share what they hold.
#[derive(Clone, Default)]
pub(super) struct MemoryObjects {
    objects: Arc<InMemory>,
    uploads: Arc<Mutex<Uploads>>,
    /// Calls until it is dead, if it is to die.
    left: Option<Arc<AtomicU64>>,
}

#[derive(Default)]
struct Uploads {
    count: usize,
    under_way: HashMap<String, HashMap<usize, (String, Bytes)>>,
}

impl MemoryObjects {
    /// The same objects behind a connection that breaks after so many calls.
    pub(super) fn dying_after(&self, calls: u64) -> Self {
        Self { left: Some(Arc::new(AtomicU64::new(calls))), ..self.clone() }
    }

    /// How many calls are left of such a connection.
    pub(super) fn calls_left(&self) -> Option<u64> {
        self.left.as_ref().map(|left| left.load(Ordering::SeqCst))
    }

    pub(super) fn uploads_under_way(&self) -> usize {
        self.lock().under_way.len()
    }

    fn lock(&self) -> MutexGuard<'_, Uploads> {
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn call(&self) -> Result<()> {
        let lives = self.left.as_ref().is_none_or(|left| {
            left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
        });
        if lives { Ok(()) } else { Err(Error::Generic { store: "memory", source: "dead".into() }) }
    }
}

fn no_upload(path: &Path) -> Error {
    Error::NotFound { path: path.to_string(), source: "NoSuchUpload".into() }
}

fn invalid_part() -> Error {
    Error::Generic { store: "memory", source: "<Code>InvalidPart</Code>".into() }
}

impl fmt::Display for MemoryObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("memory")
    }
}

impl fmt::Debug for MemoryObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryObjects")
    }
}

#[async_trait]
impl ObjectStore for MemoryObjects {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.call()?;
        self.objects.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.call()?;
        self.objects.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.call()?;
        self.objects.get_opts(path, options).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        match self.call() {
            Ok(()) => self.objects.delete_stream(paths),
            Err(error) => stream::once(async { Err(error) }).boxed(),
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.call() {
            Ok(()) => self.objects.list(prefix),
            Err(error) => stream::once(async { Err(error) }).boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.call()?;
        self.objects.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.call()?;
        self.objects.copy_opts(from, to, options).await
    }
}

#[async_trait]
impl MultipartStore for MemoryObjects {
    async fn create_multipart(&self, _path: &Path) -> Result<MultipartId> {
        self.call()?;
        let mut uploads = self.lock();
        uploads.count += 1;
        let id = format!("upload-{}", uploads.count);
        uploads.under_way.insert(id.clone(), HashMap::new());
        Ok(id)
    }

    async fn put_part(
        &self,
        path: &Path,
        id: &MultipartId,
        index: usize,
        payload: PutPayload,
    ) -> Result<PartId> {
        self.call()?;
        // Parts overtake each other, and whoever does not wait for them.
        for _ in 0..fastrand::usize(..MOST_TURNS) {
            tokio::task::yield_now().await;
        }
        let mut uploads = self.lock();
        uploads.count += 1;
        let content_id = format!("part-{}", uploads.count);
        let parts = uploads.under_way.get_mut(id).ok_or_else(|| no_upload(path))?;
        parts.insert(index, (content_id.clone(), payload.into()));
        Ok(PartId { content_id })
    }

    async fn complete_multipart(
        &self,
        path: &Path,
        id: &MultipartId,
        named: Vec<PartId>,
    ) -> Result<PutResult> {
        self.call()?;
        let whole = {
            let mut uploads = self.lock();
            let parts = uploads.under_way.get(id).ok_or_else(|| no_upload(path))?;
            let mut whole = Vec::new();
            for (index, part) in named.iter().enumerate() {
                let found = parts.get(&index).filter(|(content_id, _)| *content_id == part.content_id);
                whole.extend_from_slice(&found.ok_or_else(invalid_part)?.1);
            }
            uploads.under_way.remove(id);
            whole
        };
        self.objects.put(path, whole.into()).await
    }

    async fn abort_multipart(&self, path: &Path, id: &MultipartId) -> Result<()> {
        self.call()?;
        self.lock().under_way.remove(id).map(drop).ok_or_else(|| no_upload(path))
    }
}
