use std::path::{Path, PathBuf};

use serde::Deserialize;

use fhirline::{Codec, Encoding, Job, JobError, RejectLimit, ResourceType, Selection, SplitJob};

use fhirline_connect::{DownloadLink, PerMode};

use super::{ConfigError, FastenConfig, Template, TemplateValues};

/// How exports are processed: the options of `fhirline split`.
#[derive(Clone, Debug)]
pub struct OutputConfig {
    memory_bytes: u64,
    threads: Option<usize>,
    encoding: Encoding,
    max_rejects: Option<u64>,
    keep_bundles: bool,
    keep_entry_metadata: bool,
    selection: Selection,
    durable: bool,
    spool_dir: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct OutputFile {
    memory_mib: u64,
    threads: Option<usize>,
    compress: Option<Compress>,
    level: Option<u8>,
    max_rejects: Option<u64>,
    keep_bundles: bool,
    keep_entry_metadata: bool,
    types: Vec<String>,
    durable: bool,
    spool_dir: Option<PathBuf>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Compress {
    Gzip,
    Zstd,
}

impl Default for OutputFile {
    fn default() -> Self {
        Self {
            // A service holds more than a run of the command line, and several runs.
            memory_mib: 64,
            threads: None,
            compress: None,
            level: None,
            max_rejects: None,
            keep_bundles: false,
            keep_entry_metadata: false,
            types: Vec::new(),
            durable: true,
            spool_dir: None,
        }
    }
}

impl OutputFile {
    pub(super) fn memory_mib(&self) -> u64 {
        self.memory_mib
    }

    pub(super) fn into_config(self, folder: &Path) -> Result<OutputConfig, ConfigError> {
        let codec = match self.compress {
            None => Codec::None,
            Some(Compress::Gzip) => Codec::Gzip,
            Some(Compress::Zstd) => Codec::Zstd,
        };
        let encoding =
            Encoding::new(codec, self.level).map_err(|error| ConfigError::value("split.level", error))?;
        let types = self.types.iter().map(|name| {
            ResourceType::new(name)
                .ok_or_else(|| ConfigError::value("split.types", "a name does not look like a resource type"))
        });
        Ok(OutputConfig {
            memory_bytes: self.memory_mib << 20,
            threads: self.threads.filter(|threads| *threads > 0),
            encoding,
            max_rejects: self.max_rejects,
            keep_bundles: self.keep_bundles,
            keep_entry_metadata: self.keep_entry_metadata,
            selection: Selection { only: types.collect::<Result<_, _>>()?, except: Default::default() },
            durable: self.durable,
            spool_dir: self.spool_dir.map(|spools| folder.join(spools)),
        })
    }
}

impl OutputConfig {
    /// The job with these options.
    pub(crate) fn applied_to(&self, job: Job) -> Job {
        let job = job
            .memory_beside_bytes(self.memory_bytes)
            .keep_bundles(self.keep_bundles)
            .select(self.selection.clone());
        let job = match self.threads {
            Some(threads) => job.threads(threads),
            None => job,
        };
        self.max_rejects.map(RejectLimit::Records).into_iter().fold(job, Job::max_rejects)
    }

    /// Whether an export fits into the memory: better found now than at each export.
    pub(super) fn check_memory(
        &self,
        destination: &Template,
        fasten: &PerMode<FastenConfig>,
    ) -> Result<(), ConfigError> {
        let to = destination.fill(&TemplateValues { task_id: Some("task"), ..TemplateValues::default() });
        // Nothing is asked of it.
        let link = DownloadLink::to("https://localhost/");
        let exports = fasten.iter().filter_map(|(_, fasten)| fasten.downloads.download(&link).ok());
        match self.applied_to(Job::of_origins(exports.take(1))).split_memory_plan(&self.split_to(&to)) {
            Err(JobError::Memory(error)) => Err(ConfigError::value("split.memory_mib", error)),
            // What else there may be is known when there is an export.
            _ => Ok(()),
        }
    }

    /// The destination with these options.
    pub(crate) fn split_to(&self, destination: &str) -> SplitJob {
        SplitJob::to(destination)
            .encoding(self.encoding)
            .keep_entry_metadata(self.keep_entry_metadata)
            .durable(self.durable)
            .spool_dir(self.spool_dir.clone())
    }
}
