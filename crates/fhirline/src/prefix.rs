//! A prefix in an object store as what a run writes to.

use std::path::Path;
use std::time::Duration;

use fhirline_fetch::{
    CloudBucket, CloudClaim, CloudError, CloudStore, CloudStoreOptions, Network, ObjectUrl,
};
use fhirline_flow::{Cancel, MemoryPlan, RunError, TooLittleMemory};

use crate::{Job, JobError};

/// Outputs on their way up may take this part of the ceiling, if there is so much, and at least one part of an upload.
const UPLOADS_PART: u64 = 4;
const LEAST_UPLOAD_BYTES: u64 = 8 << 20;

/// Where outputs go.
#[derive(Clone, Debug)]
pub(crate) struct Prefix {
    /// As it may be shown.
    name: String,
    pub(crate) url: ObjectUrl,
}

impl Prefix {
    pub(crate) fn parse(name: String, url: &str) -> Result<Self, JobError> {
        match url.parse() {
            Ok(url) => Ok(Self { name, url }),
            Err(error) => Err(refused(&name, &error)),
        }
    }

    /// A store below it. Nothing is asked of the bucket yet.
    pub(crate) fn store(
        &self,
        network: &Network,
        spool_dir: &Path,
        upload_bytes: u64,
    ) -> Result<CloudStore, JobError> {
        let bucket = CloudBucket::open(&self.url, network.cloud());
        let bucket = bucket.map_err(|error| refused(&self.name, &error))?;
        let options = CloudStoreOptions::default().spool_folder(spool_dir);
        Ok(CloudStore::new(bucket, options.upload_bytes(upload_bytes)))
    }

    /// Claims it, for as long as the claim is kept.
    pub(crate) fn claim(
        &self,
        store: &CloudStore,
        cancel: &Cancel,
        on_wait: &mut dyn FnMut(Duration),
    ) -> Result<CloudClaim, JobError> {
        store.claim_unless(&|| cancel.is_cancelled(), on_wait).map_err(|error| match error.kind() {
            std::io::ErrorKind::Interrupted if cancel.is_cancelled() => RunError::Cancelled.into(),
            std::io::ErrorKind::ResourceBusy => JobError::InUse { name: self.name.clone() },
            _ => JobError::Destination { action: "claim", name: self.name.clone(), source: error },
        })
    }

    /// A source that lies below it, or is it.
    pub(crate) fn source_below(&self, job: &Job) -> Option<ObjectUrl> {
        let root = self.url.to_string();
        let root = root.trim_end_matches('/');
        let urls = job.texts.iter().filter_map(|text| text.to_str()?.parse::<ObjectUrl>().ok());
        urls.into_iter().find(|url| {
            let rest = url.to_string();
            rest.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }
}

fn refused(name: &str, error: &CloudError) -> JobError {
    JobError::BadDestination { name: name.to_owned(), why: error.to_string() }
}

/// How the memory is divided, and what of it is for uploads: where it is scarce, one part at a time must do.
pub(crate) fn plan_with_uploads(
    memory_bytes: u64,
    plan: impl Fn(u64) -> Result<MemoryPlan, TooLittleMemory>,
) -> Result<(MemoryPlan, u64), TooLittleMemory> {
    let with = |upload_bytes| plan(upload_bytes).map(|plan| (plan, upload_bytes));
    let usual = (memory_bytes / UPLOADS_PART).max(LEAST_UPLOAD_BYTES);
    with(usual).or_else(|_| with(LEAST_UPLOAD_BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_below_the_destination_are_found() {
        let below = |source: &str, destination: &str| {
            let mut job = Job::new(["-"]).expect("standard input");
            job.texts = vec![source.into()];
            let prefix = Prefix::parse(destination.to_owned(), destination).expect("a URL");
            prefix.source_below(&job).is_some()
        };
        for (source, destination) in [
            ("s3://b/a", "s3://b/a"),
            ("s3a://b/a/x", "s3://b/a/"),
            ("s3://b/x", "s3://b"),
            ("s3://b/a/", "s3://b/a"),
        ] {
            assert!(below(source, destination), "{source} {destination}");
        }
        for (source, destination) in [
            ("s3://b/ab", "s3://b/a"),
            ("s3://other/a", "s3://b"),
            ("gs://b/a", "s3://b/a"),
            ("a", "s3://b/a"),
        ] {
            assert!(!below(source, destination), "{source} {destination}");
        }
    }
}
