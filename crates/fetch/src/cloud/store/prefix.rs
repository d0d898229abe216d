//! The calls on the bucket, blocking.

use std::future::Future;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use fhirline_core::mapped_buffer;
use futures_util::TryStreamExt;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{
    Error, GetOptions, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, UpdateVersion,
};

use crate::cloud::{CloudBucket, CloudError};
use crate::net;
use crate::object_name::too_large;

/// What lies below a place in a bucket.
#[derive(Clone, Debug)]
pub(super) struct Prefix {
    bucket: CloudBucket,
    root: Path,
}

/// How an object was written, and what it is then.
#[derive(Debug)]
pub(super) enum Written {
    Done(UpdateVersion),
    /// The condition did not hold.
    Refused,
}

impl Prefix {
    pub(super) fn new(bucket: CloudBucket) -> Self {
        let root = bucket.root();
        Self { bucket, root }
    }

    pub(super) fn name(&self) -> String {
        self.bucket.url().to_string()
    }

    pub(super) fn path(&self, name: &str) -> io::Result<Path> {
        let prefix = if self.root.as_ref().is_empty() { "" } else { "/" };
        let path = Path::parse(format!("{}{prefix}{name}", self.root));
        path.map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, format!("{name:?} cannot be a key")))
    }

    pub(super) fn failed(&self, path: &Path, error: &Error) -> io::Error {
        if matches!(error, Error::NotImplemented { .. } | Error::NotSupported { .. }) {
            let why = "the store cannot write under a condition, without which two runs could write at once";
            return io::Error::new(io::ErrorKind::Unsupported, format!("{}: {why}", self.name()));
        }
        CloudError::writing(self.bucket.url_of(path), error).into()
    }

    /// Runs a call and blocks until it is done.
    fn wait<T: Send + 'static, F>(
        &self,
        path: &Path,
        call: impl FnOnce(Arc<dyn ObjectStore>, Arc<dyn MultipartStore>, Path) -> F,
    ) -> io::Result<object_store::Result<T>>
    where
        F: Future<Output = object_store::Result<T>> + Send + 'static,
    {
        let (objects, parts) = (Arc::clone(self.bucket.objects()), Arc::clone(self.bucket.parts()));
        net::wait(call(objects, parts, path.clone()))
    }

    pub(super) fn get(&self, name: &str, max_bytes: u64) -> io::Result<Option<Vec<u8>>> {
        Ok(self.get_versioned(name, max_bytes)?.map(|(bytes, _)| bytes))
    }

    pub(super) fn get_versioned(
        &self,
        name: &str,
        max_bytes: u64,
    ) -> io::Result<Option<(Vec<u8>, UpdateVersion)>> {
        let path = self.path(name)?;
        let got = self.wait(&path, |objects, _, path| async move {
            let got = objects.get_opts(&path, GetOptions::default()).await?;
            let version = UpdateVersion { e_tag: got.meta.e_tag.clone(), version: got.meta.version.clone() };
            if got.meta.size > max_bytes {
                return Ok((None, version));
            }
            Ok((Some(got.bytes().await?.to_vec()), version))
        })?;
        match got {
            Ok((Some(bytes), version)) => Ok(Some((bytes, version))),
            Ok((None, _)) => Err(too_large(name, max_bytes)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed(&path, &error)),
        }
    }

    pub(super) fn get_range(&self, name: &str, range: Range<u64>) -> io::Result<Vec<u8>> {
        let path = self.path(name)?;
        let wanted = range.end - range.start;
        let options = GetOptions { range: Some(range.into()), ..GetOptions::default() };
        let got = self.wait(&path, |objects, _, path| async move {
            let mut bytes = mapped_buffer(usize::try_from(wanted).unwrap_or(usize::MAX));
            let mut pieces = objects.get_opts(&path, options).await?.into_stream();
            while let Some(piece) = pieces.try_next().await? {
                bytes.extend_from_slice(&piece);
            }
            Ok(bytes)
        })?;
        let bytes = got.map_err(|error| self.failed(&path, &error))?;
        if bytes.len() as u64 == wanted { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    pub(super) fn length(&self, name: &str) -> io::Result<Option<u64>> {
        let path = self.path(name)?;
        match self.wait(&path, |objects, _, path| async move { objects.head(&path).await })? {
            Ok(meta) => Ok(Some(meta.size)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed(&path, &error)),
        }
    }

    pub(super) fn put(&self, name: &str, bytes: Vec<u8>, mode: PutMode) -> io::Result<Written> {
        let path = self.path(name)?;
        let put = self.wait(&path, |objects, _, path| async move {
            objects.put_opts(&path, PutPayload::from(bytes), PutOptions::from(mode)).await
        })?;
        match put {
            Ok(put) => Ok(Written::Done(put.into())),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(Written::Refused),
            Err(error) => Err(self.failed(&path, &error)),
        }
    }

    pub(super) fn delete(&self, name: &str) -> io::Result<()> {
        let path = self.path(name)?;
        match self.wait(&path, |objects, _, path| async move { objects.delete(&path).await })? {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed(&path, &error)),
        }
    }

    /// All names below the root and their lengths.
    pub(super) fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let root = self.root.clone();
        let listed = self.wait(&self.root, |objects, _, path| async move {
            let names = objects.list(Some(&path)).map_ok(|meta| (meta.location, meta.size));
            names.try_collect::<Vec<_>>().await
        })?;
        let listed = listed.map_err(|error| self.failed(&root, &error))?;
        let below = |path: &Path| {
            let rest = path.as_ref().strip_prefix(root.as_ref())?;
            Some(rest.trim_start_matches('/').to_owned()).filter(|name| !name.is_empty())
        };
        Ok(listed.iter().filter_map(|(path, bytes)| Some((below(path)?, *bytes))).collect())
    }

    /// Ends uploads of a name of which no output is known to be the one. They are of a process that was killed before it
    /// could note them; what cannot be found or ended stays, and costs its owner money but does no harm.
    pub(super) fn abort_forgotten(&self, name: &str) -> io::Result<()> {
        let Some(uploads) = self.bucket.uploads().cloned() else { return Ok(()) };
        self.wait(&self.path(name)?, |_, parts, path| async move {
            for upload in uploads.of_key(&path).await {
                let _ = parts.abort_multipart(&path, &upload).await;
            }
            Ok(())
        })?
        .map_err(io::Error::other)
    }

    pub(super) fn begin_upload(&self, name: &str) -> io::Result<String> {
        let path = self.path(name)?;
        let begun = self.wait(&path, |_, parts, path| async move { parts.create_multipart(&path).await })?;
        begun.map_err(|error| self.failed(&path, &error))
    }

    /// For tasks on the runtime.
    pub(super) async fn put_part(
        &self,
        name: &str,
        upload: &String,
        index: usize,
        bytes: Vec<u8>,
    ) -> io::Result<String> {
        let path = self.path(name)?;
        let part = self.bucket.parts().put_part(&path, upload, index, PutPayload::from(bytes)).await;
        part.map(|part| part.content_id).map_err(|error| self.failed(&path, &error))
    }

    pub(super) fn put_last_part(
        &self,
        name: &str,
        upload: &str,
        index: usize,
        bytes: Vec<u8>,
    ) -> io::Result<String> {
        let (objects, name, upload) = (self.clone(), name.to_owned(), upload.to_owned());
        net::wait(async move { objects.put_part(&name, &upload, index, bytes).await })?
    }

    pub(super) fn complete(&self, name: &str, upload: &str, ids: Vec<String>) -> io::Result<()> {
        let path = self.path(name)?;
        let (upload, ids) = (upload.to_owned(), ids.into_iter().map(|content_id| PartId { content_id }));
        let ids: Vec<PartId> = ids.collect();
        let done =
            self.wait(
                &path,
                |_, parts, path| async move { parts.complete_multipart(&path, &upload, ids).await },
            )?;
        done.map(drop).map_err(|error| self.failed(&path, &error))
    }

    /// Ends an upload that is of no use any more. It is no error if there is none.
    pub(super) fn abort(&self, name: &str, upload: &str) -> io::Result<()> {
        let path = self.path(name)?;
        let upload = upload.to_owned();
        let aborted =
            self.wait(&path, |_, parts, path| async move { parts.abort_multipart(&path, &upload).await })?;
        match aborted {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed(&path, &error)),
        }
    }
}
