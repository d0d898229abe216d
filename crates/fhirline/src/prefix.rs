//! A prefix in an object store as what a run writes to.

use std::path::Path;
use std::time::Duration;

use fhirline_fetch::{
    CloudBucket, CloudClaim, CloudError, CloudStore, CloudStoreOptions, Network, ObjectUrl,
};
use fhirline_flow::{Cancel, Ceiling, MemoryPlan, RunError, TooLittleMemory};

use crate::{Job, JobError};

/// Outputs on their way up may take this part of the ceiling, if there is so much.
const UPLOADS_PART: u64 = 4;
/// If there is not, one part of an upload must do, and where memory is scarce, the shortest that all stores take: S3 refuses less
/// than 5 MiB. <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>
const PART_BYTES: u64 = 8 << 20;
const LEAST_PART_BYTES: u64 = 5 << 20;

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

    #[cfg(feature = "http")]
    pub(crate) fn at(url: ObjectUrl) -> Self {
        Self { name: url.to_string(), url }
    }

    /// A store below it, which keeps copies if asked. Nothing is asked of the bucket yet.
    pub(crate) fn store(
        &self,
        network: &Network,
        spool_dir: &Path,
        upload_bytes: u64,
        copies: bool,
    ) -> Result<CloudStore, JobError> {
        let bucket = CloudBucket::open(&self.url, network.cloud());
        let bucket = bucket.map_err(|error| refused(&self.name, &error))?;
        let options = CloudStoreOptions::default().spool_folder(spool_dir).copies(copies);
        Ok(CloudStore::new(
            bucket,
            options.upload_bytes(upload_bytes).part_bytes(upload_bytes.min(PART_BYTES)),
        ))
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

/// How the memory is divided, and what of it is for uploads. `network_bytes` are what is usual for the network beside them, and the
/// least that does.
pub(crate) fn plan_with_uploads(
    ceiling: Ceiling,
    network_bytes: (u64, u64),
    plan: impl Fn(u64, u64) -> Result<MemoryPlan, TooLittleMemory>,
) -> Result<(MemoryPlan, u64), TooLittleMemory> {
    let with =
        |network_bytes, upload_bytes| plan(network_bytes, upload_bytes).map(|plan| (plan, upload_bytes));
    let (usual, least) = network_bytes;
    let choices = [(usual, PART_BYTES), (least, PART_BYTES), (least, LEAST_PART_BYTES)];
    let first = with(usual, (ceiling.bytes() / UPLOADS_PART).max(PART_BYTES));
    choices.into_iter().fold(first, |plans, (network, uploads)| plans.or_else(|_| with(network, uploads)))
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
