//! A split below a prefix of an object store.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fhirline_core::Store;
use fhirline_fetch::{
    CloudBucket, CloudError, CloudOptions, CloudStore, CloudStoreOptions, FolderSpools, ObjectUrl,
};
use fhirline_flow::{Event, MemoryPlan};

use super::known::Known;
use super::run::Run;
use crate::job::OnEvent;
use crate::{Job, JobError, Report, SplitJob};

/// Outputs on their way up may take this part of the ceiling, if there is so much.
const UPLOADS_PART: u64 = 4;
/// If there is not, one part of an upload must do, and where memory is scarce, the shortest that all stores take: S3 refuses less
/// than 5 MiB. <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>
const PART_BYTES: u64 = 8 << 20;
const LEAST_PART_BYTES: u64 = 5 << 20;

pub(super) fn into_store(
    mut job: Job,
    to: &SplitJob,
    url: &str,
    on_event: &mut OnEvent<'_>,
) -> Result<Report, JobError> {
    let refused = |error: CloudError| JobError::BadDestination { name: to.name(), why: error.to_string() };
    let url: ObjectUrl = url.parse().map_err(refused)?;
    if let Some(source) = source_below(&job, &url) {
        return Err(JobError::SourceInDestination { source_name: source.to_string() });
    }
    job.sources = job.sources.excluding_objects(&url);
    let (plan, upload_bytes) = memory_plan(&job, to)?;
    let known = Known::of(&job, to);
    if !known.any_source {
        return Err(super::nothing_to_read(&job, plan, on_event));
    }
    let bucket = CloudBucket::open(&url, &CloudOptions::from_env()).map_err(refused)?;
    let spool_dir = to.spool_dir.clone().unwrap_or_else(env::temp_dir);
    let store = store_over(bucket, &spool_dir, upload_bytes);
    let name = store.name();
    // Held until the end, as with folders.
    let claim = store.claim(&mut |at_most| on_event(Event::Waiting { name: &name, at_most }));
    let _claim = claim.map_err(|error| super::not_claimed(to, error))?;
    let spools = Arc::new(FolderSpools::new(&spool_dir));
    Run { job: &job, to, plan, known, store: Arc::new(store), spools }.run(on_event)
}

fn store_over(bucket: CloudBucket, spool_dir: &Path, upload_bytes: u64) -> CloudStore {
    let options = CloudStoreOptions::default().spool_folder(PathBuf::from(spool_dir));
    CloudStore::new(bucket, options.upload_bytes(upload_bytes).part_bytes(upload_bytes.min(PART_BYTES)))
}

/// How the memory is divided, and what of it is for uploads.
pub(super) fn memory_plan(job: &Job, to: &SplitJob) -> Result<(MemoryPlan, u64), JobError> {
    let (usual, least) = job.network_bytes(true);
    let usual_uploads = (job.memory_bytes / UPLOADS_PART).max(PART_BYTES);
    let plan = |network_bytes, upload_bytes| {
        let (ceiling_bytes, threads) = (job.memory_bytes, job.threads);
        MemoryPlan::with_network(network_bytes, upload_bytes, ceiling_bytes, threads, to.encoding)
            .map(|plan| (plan, upload_bytes))
    };
    let choices = [(usual, PART_BYTES), (least, PART_BYTES), (least, LEAST_PART_BYTES)];
    let first = plan(usual, usual_uploads);
    Ok(choices
        .into_iter()
        .fold(first, |plans, (network, uploads)| plans.or_else(|_| plan(network, uploads)))?)
}

/// A source that lies below the destination, or is it.
fn source_below(job: &Job, destination: &ObjectUrl) -> Option<ObjectUrl> {
    let root = destination.to_string();
    let root = root.trim_end_matches('/');
    let urls = job.texts.iter().filter_map(|text| text.to_str()?.parse::<ObjectUrl>().ok());
    urls.into_iter().find(|url| {
        let rest = url.to_string();
        rest.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_below_the_destination_are_found() {
        let below = |source: &str, destination: &str| {
            let mut job = Job::new(["-"]).expect("standard input");
            job.texts = vec![source.into()];
            source_below(&job, &destination.parse().expect("a URL")).is_some()
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
