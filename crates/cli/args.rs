//! What can be said on the command line. Help, man page and completions are made from these definitions.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

use bytesize::ByteSize;
use clap::{Args, Parser, Subcommand, ValueEnum};

#[cfg(feature = "http")]
use fhirline::ExportLevel;
use fhirline::{RejectLimit, ResourceType};

use crate::network::NetworkArgs;

const EXIT_STATUS: &str = "\
Exit status:
    0  complete
    1  the run failed
    2  usage: what was asked for makes no sense, or was refused
    3  complete, with records in quarantine
    4  complete, but the counts do not match what the sender declared
    5  a source was incomplete
  130  stopped by Ctrl-C
If several apply, the most severe wins: 2, 1, 5, 4, 3, 0.";

/// Stream FHIR exports (JSONL/NDJSON) of any size: one clean stream per resource type, in flat memory, with nothing lost.
#[derive(Debug, Parser)]
#[command(name = "fhirline", version, about, after_help = EXIT_STATUS, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write one stream per resource type (the main job).
    Split(SplitArgs),
    /// Write clean NDJSON to standard output.
    Cat(CatArgs),
    /// Count records, sizes and faults by type; write nothing.
    Stats(StatsArgs),
    /// Write FHIR Bundles.
    Bundle(BundleArgs),
    /// Download sources as they are, and go on after an interruption.
    Fetch(Box<FetchArgs>),
    /// Run the rejected records of an earlier split again, each under the place that it had.
    Replay(ReplayArgs),
    /// Make a small synthetic export, split it, and show the result.
    Demo(DemoArgs),
    /// Split the export that a saved webhook event of Fasten Connect tells of.
    #[cfg(feature = "connect")]
    Process(crate::connect::args::ProcessArgs),
    /// Talk to Fasten Connect, or simulate it.
    #[cfg(feature = "connect")]
    Connect(crate::connect::args::ConnectArgs),
    /// Receive the webhooks of Fasten Connect, and split each export that they tell of.
    #[cfg(feature = "serve")]
    Serve(crate::serve::ServeArgs),
    /// Work on what `serve` receives, in another process with the same database.
    #[cfg(feature = "serve")]
    Work(crate::serve::RunArgs),
    /// Print the completions for a shell.
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the man page, or write one page for each command into a folder.
    Man {
        /// Write one page for each command into this folder
        folder: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
#[command(after_help = EXIT_STATUS)]
pub(crate) struct SplitArgs {
    #[command(flatten)]
    pub(crate) sources: SourceArgs,
    #[command(flatten)]
    pub(crate) input: InputArgs,
    #[command(flatten)]
    pub(crate) expect: ExpectArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
    #[command(flatten)]
    pub(crate) resources: ResourceArgs,
    #[command(flatten)]
    pub(crate) tell: TellArgs,
}

#[derive(Debug, Args)]
#[command(after_help = EXIT_STATUS)]
pub(crate) struct BundleArgs {
    /// Files, folders (read recursively), patterns, or - for standard input; in builds that have them, https:// and http:// URLs
    /// (of data, or of a Bulk Data manifest) and s3://, gs:// and az:// objects and prefixes. A file that is a Bulk Data manifest
    /// stands for the files that it names. Compression (gzip, zstd, bzip2, xz) is found
    /// from the bytes, never from the name
    #[arg(value_name = "SOURCE", required_unless_present = "restore")]
    pub(crate) sources: Vec<OsString>,
    /// Instead of reading sources, give back the Bundles that `fhirline split --keep-entry-metadata` has read: DIR is what it
    /// has left. Each has a file of its own. A run that read anything but whole Bundles, or rejected or left out anything in
    /// them, is refused
    #[arg(long, value_name = "DIR", conflicts_with_all = NOT_WITH_RESTORE)]
    pub(crate) restore: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) input: InputArgs,
    #[command(flatten)]
    pub(crate) output: BundleOutputArgs,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
    #[command(flatten)]
    pub(crate) resources: ResourceArgs,
    #[command(flatten)]
    pub(crate) tell: TellArgs,
}

/// What has no meaning where Bundles are given back as they were.
const NOT_WITH_RESTORE: [&str; 18] = [
    "sources",
    "types",
    "exclude_type",
    "max_line_bytes",
    "max_ratio",
    "max_decoded_bytes",
    "max_rejects",
    "on_reject",
    "keep_bundles",
    "allow_incomplete",
    "trust_input",
    "bundle_type",
    "method",
    "max_entries",
    "max_bytes",
    "base",
    "on_duplicate",
    "threads",
];

/// Where to write Bundles, and how.
#[derive(Debug, Args)]
pub(crate) struct BundleOutputArgs {
    /// The file to write to, if its name ends in .json: further Bundles are X.0002.json, ..., rejected records go to
    /// _X.quarantine. Else a folder, new or empty: Bundle.0001.json, Bundle.0002.json, ..., _quarantine. Or the same below a prefix in
    /// an object store: s3://bucket/prefix, gs://bucket/prefix, az://container/prefix
    #[arg(short = 'o', long = "output", value_name = "DEST")]
    pub(crate) path: PathBuf,
    /// Where bytes wait on the disk: what is on its way to an object store, and lines too long for memory. Unless given, DEST
    /// or, for an object store, the folder for temporary files
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub(crate) spool_dir: Option<PathBuf>,
    /// What the Bundles are for
    #[arg(long, value_enum, value_name = "TYPE", default_value = "collection", help_heading = "Output")]
    pub(crate) bundle_type: BundleType,
    /// What a server is asked to do with the entries of a batch or transaction: put each under its id, which must be a legal
    /// one (other resources go to quarantine), or make each under a new id. Put unless given
    #[arg(long, value_enum, value_name = "METHOD", help_heading = "Output")]
    pub(crate) method: Option<Method>,
    /// Go on in another Bundle before one holds more entries than this
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Output")]
    pub(crate) max_entries: Option<u64>,
    /// Go on in another Bundle before one has more bytes than this; a longer resource has a Bundle of its own
    #[arg(long, value_name = "SIZE", value_parser = size, help_heading = "Output")]
    pub(crate) max_bytes: Option<u64>,
    /// What each fullUrl begins with: URL/Patient/1. Without it https://fhirline.invalid/fhir, which lets relative references
    /// find their targets within the Bundle. Resources without a legal type and id have urn:uuid:
    #[arg(long, value_name = "URL", help_heading = "Output")]
    pub(crate) base: Option<String>,
    /// What becomes of a resource whose fullUrl stands in the Bundle already: it has urn:uuid:, it begins the next Bundle, or it
    /// fails the run. New-bundle where resources are put, else uuid, unless given
    #[arg(long, value_enum, value_name = "ACTION", help_heading = "Output")]
    pub(crate) on_duplicate: Option<OnDuplicate>,
    /// Lay white space out for people; nothing else of a resource is changed
    #[arg(long, help_heading = "Output")]
    pub(crate) pretty: bool,
    /// With seal, everything is safe on the disk before anything has its final name; with none, the system decides when, and
    /// nobody is told if it fails then
    #[arg(long, value_enum, value_name = "WHEN", default_value = "seal", help_heading = "Output")]
    pub(crate) durability: Durability,
    /// Replace Bundles of the same names, and their quarantine, once the new ones are complete
    #[arg(long, help_heading = "Output")]
    pub(crate) overwrite: bool,
}

#[derive(Debug, Args)]
#[command(after_help = EXIT_STATUS)]
pub(crate) struct FetchArgs {
    #[command(flatten)]
    pub(crate) sources: SourceArgs,
    #[cfg(feature = "http")]
    #[command(flatten)]
    pub(crate) export: ExportArgs,
    /// The folder to download to: new, empty, or holding a download of fhirline. A file is NAME.partial while it comes, and
    /// NAME once it is complete; manifest.json comes last
    #[cfg_attr(
        feature = "http",
        arg(
            short = 'o',
            long = "output",
            value_name = "DIR",
            required_unless_present = "split",
            conflicts_with_all = ONLY_WITH_SPLIT
        )
    )]
    #[cfg_attr(
        not(feature = "http"),
        arg(short = 'o', long = "output", value_name = "DIR", required = true)
    )]
    pub(crate) folder: Option<PathBuf>,
    #[cfg(feature = "http")]
    #[command(flatten)]
    pub(crate) input: InputArgs,
    #[cfg(feature = "http")]
    #[command(flatten)]
    pub(crate) shape: ShapeArgs,
    #[cfg(feature = "http")]
    #[command(flatten)]
    pub(crate) expect: ExpectArgs,
    #[cfg(feature = "http")]
    #[command(flatten)]
    pub(crate) resources: ResourceArgs,
    /// Files that are fetched at the same time
    #[cfg(not(feature = "http"))]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64), default_value = "4")]
    pub(crate) max_downloads: u16,
    /// The hash of each file in the manifest
    #[arg(long, value_enum, value_name = "HASH", default_value = "crc32c", help_heading = "Output")]
    pub(crate) checksum: Checksum,
    /// With seal, a file is safe on the disk before it has its final name; with none, the system decides when, and nobody is
    /// told if it fails then
    #[arg(long, value_enum, value_name = "WHEN", default_value = "seal", help_heading = "Output")]
    pub(crate) durability: Durability,
    /// Replace a complete download in DIR: its manifest first, then only the files that it names. Begin an interrupted one
    /// afresh
    #[arg(long, help_heading = "Output")]
    pub(crate) overwrite: bool,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
    #[command(flatten)]
    pub(crate) tell: TellArgs,
}

/// What has no meaning where files are kept as they are.
#[cfg(feature = "http")]
const ONLY_WITH_SPLIT: [&str; 20] = [
    "types",
    "exclude_type",
    "max_line_bytes",
    "max_ratio",
    "max_decoded_bytes",
    "max_rejects",
    "on_reject",
    "keep_bundles",
    "allow_incomplete",
    "trust_input",
    "spool_dir",
    "compress",
    "level",
    "max_file_bytes",
    "max_file_records",
    "keep_entry_metadata",
    "checkpoint_bytes",
    "expect",
    "threads",
    "memory",
];

/// What to ask a FHIR server for.
#[cfg(feature = "http")]
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// Ask the FHIR server whose base URL is the SOURCE for a Bulk Data export of everything, of all patients or of a group, wait
    /// for it, and download its files. The same command takes an interrupted export up again
    #[arg(long, value_name = "Patient|Group/ID", num_args = 0..=1, default_missing_value = "", value_parser = export_level, help_heading = "Export")]
    pub(crate) export: Option<ExportLevel>,
    /// Only what was modified after this instant, such as 2026-01-31T00:00:00Z
    #[arg(long, value_name = "INSTANT", value_parser = instant, requires = "export", help_heading = "Export")]
    pub(crate) since: Option<String>,
    /// Ask for these resource types only
    #[arg(long = "types", value_name = "A,B", value_delimiter = ',', value_parser = resource_type, requires = "export", help_heading = "Export")]
    pub(crate) asked_types: Vec<ResourceType>,
    /// Only what this search finds, such as Observation?category=laboratory; may be given more than once
    #[arg(long, value_name = "QUERY", requires = "export", help_heading = "Export")]
    pub(crate) type_filter: Vec<String>,
    /// Kick off with a Parameters resource (POST): version 4 of the standard wants it
    #[arg(long, requires = "export", help_heading = "Export")]
    pub(crate) post: bool,
    /// Split the files while they come, as `fhirline split -o DEST` would, into a folder or below a prefix in an object store, and
    /// keep none of them. The options of split go with it
    #[arg(
        long,
        value_name = "DEST",
        requires = "export",
        conflicts_with = "folder",
        help_heading = "Export"
    )]
    pub(crate) split: Option<PathBuf>,
    /// Tell the server that the export which is fetched into DIR is not wanted any more, and remove what has come of it
    #[arg(long, requires = "export", help_heading = "Export")]
    pub(crate) cancel: bool,
    /// The id under which this client is registered (SMART Backend Services)
    #[arg(long, value_name = "ID", requires_all = ["export", "smart_key_file"], conflicts_with = "credentials", help_heading = "Export")]
    pub(crate) smart_client_id: Option<String>,
    /// The private key of the client, in a JWK set
    #[arg(
        long,
        value_name = "FILE",
        group = "smart_key_file",
        requires = "smart_client_id",
        help_heading = "Export"
    )]
    pub(crate) smart_jwks: Option<PathBuf>,
    /// The private key of the client, PKCS #8 in PEM
    #[arg(long, value_name = "FILE", group = "smart_key_file", requires_all = ["smart_client_id", "smart_key_id"], help_heading = "Export")]
    pub(crate) smart_key: Option<PathBuf>,
    /// The id under which the server knows the key of --smart-key
    #[arg(long, value_name = "KID", requires = "smart_key", help_heading = "Export")]
    pub(crate) smart_key_id: Option<String>,
    /// The scopes to ask for; system/*.rs, or system/*.read where the server knows that, unless given
    #[arg(long, value_name = "SCOPE", requires = "smart_client_id", help_heading = "Export")]
    pub(crate) smart_scope: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = EXIT_STATUS)]
pub(crate) struct ReplayArgs {
    /// The folder _quarantine of a complete run, the folder that holds it, or a copy of either. Mend records in lines.raw
    /// first (best in a copy), each on as many lines as it has; empty them to drop it
    #[arg(value_name = "QUARANTINE")]
    pub(crate) quarantine: PathBuf,
    #[command(flatten)]
    pub(crate) input: InputArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) resources: ResourceArgs,
    #[command(flatten)]
    pub(crate) tell: TellArgs,
}

/// Where to write, and how.
#[derive(Debug, Args)]
pub(crate) struct OutputArgs {
    /// The folder to write to: new, empty, or holding a run of fhirline. Or a prefix in an object store: s3://bucket/prefix,
    /// gs://bucket/prefix, az://container/prefix
    #[arg(short = 'o', long = "output", value_name = "DEST")]
    pub(crate) folder: PathBuf,
    #[command(flatten)]
    pub(crate) shape: ShapeArgs,
    /// The hash of each output in the manifest
    #[arg(long, value_enum, value_name = "HASH", default_value = "crc32c", help_heading = "Output")]
    pub(crate) checksum: Checksum,
    /// With seal, everything is safe on the disk before anything has its final name; with none, the system decides when, and
    /// nobody is told if it fails then
    #[arg(long, value_enum, value_name = "WHEN", default_value = "seal", help_heading = "Output")]
    pub(crate) durability: Durability,
    /// Replace a complete run in DEST: its manifest first, then only the files that it names. Begin an interrupted one afresh
    #[arg(long, help_heading = "Output")]
    pub(crate) overwrite: bool,
}

/// What the outputs of a split are like, and how it goes.
#[derive(Debug, Args)]
pub(crate) struct ShapeArgs {
    /// Where bytes wait on the disk: what is on its way to an object store, and lines too long for memory. Unless given, DEST
    /// or, for an object store, the folder for temporary files
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub(crate) spool_dir: Option<PathBuf>,
    /// Compress the outputs
    #[arg(long, value_enum, value_name = "CODEC", default_value = "none", help_heading = "Output")]
    pub(crate) compress: Compress,
    /// Compression level: gzip 0 to 9 (usual 6), zstd 1 to 19 (usual 3)
    #[arg(long, value_name = "N", help_heading = "Output")]
    pub(crate) level: Option<u8>,
    /// Go on in another file (Observation.0002.ndjson) before one holds more decoded bytes than this
    #[arg(long, value_name = "SIZE", value_parser = size, help_heading = "Output")]
    pub(crate) max_file_bytes: Option<u64>,
    /// Go on in another file before one holds more records than this
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Output")]
    pub(crate) max_file_records: Option<u64>,
    /// Keep what Bundles say of themselves in _bundles.ndjson, and what their entries say beside their resources in
    /// _entry_metadata.ndjson. Entries without a resource are always kept, in _entries.ndjson
    #[arg(long, help_heading = "Output")]
    pub(crate) keep_entry_metadata: bool,
    /// Note how far the run has come each time this many decoded bytes were written: the same command goes on there after an
    /// interruption; 0 for never
    #[arg(long, value_name = "SIZE", value_parser = size_or_none, default_value = "64MiB", help_heading = "Output")]
    pub(crate) checkpoint_bytes: u64,
}

#[derive(Debug, Args)]
#[command(after_help = EXIT_STATUS)]
pub(crate) struct CatArgs {
    #[command(flatten)]
    pub(crate) sources: SourceArgs,
    #[command(flatten)]
    pub(crate) input: InputArgs,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
    #[command(flatten)]
    pub(crate) resources: ResourceArgs,
    #[command(flatten)]
    pub(crate) tell: TellArgs,
}

#[derive(Debug, Args)]
#[command(after_help = EXIT_STATUS)]
pub(crate) struct StatsArgs {
    #[command(flatten)]
    pub(crate) sources: SourceArgs,
    #[command(flatten)]
    pub(crate) input: InputArgs,
    #[command(flatten)]
    pub(crate) expect: ExpectArgs,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
    #[command(flatten)]
    pub(crate) resources: ResourceArgs,
    #[command(flatten)]
    pub(crate) tell: TellArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// The folder to make
    #[arg(value_name = "DIR", default_value = "fhirline-demo")]
    pub(crate) folder: PathBuf,
}

/// What to read.
#[derive(Debug, Args)]
pub(crate) struct SourceArgs {
    /// Files, folders (read recursively), patterns, or - for standard input; in builds that have them, https:// and http:// URLs
    /// (of data, or of a Bulk Data manifest) and s3://, gs:// and az:// objects and prefixes. A file that is a Bulk Data manifest
    /// stands for the files that it names. Compression (gzip, zstd, bzip2, xz) is found
    /// from the bytes, never from the name
    #[arg(value_name = "SOURCE", required = true)]
    pub(crate) sources: Vec<OsString>,
}

/// How to read it.
#[derive(Debug, Args)]
pub(crate) struct InputArgs {
    /// Only these resource types
    #[arg(long = "type", value_name = "A,B", value_delimiter = ',', value_parser = resource_type)]
    pub(crate) types: Vec<ResourceType>,
    /// Not these resource types
    #[arg(long, value_name = "A,B", value_delimiter = ',', value_parser = resource_type)]
    pub(crate) exclude_type: Vec<ResourceType>,
    /// Lines longer than this go to quarantine; without it, lines of any length pass through
    #[arg(long, value_name = "SIZE", value_parser = line_size)]
    pub(crate) max_line_bytes: Option<u64>,
    /// Refuse a compressed source that grows to more than N times its stored length (judged behind its first 16 MiB)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) max_ratio: Option<u64>,
    /// Refuse a source with more decoded bytes than this
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) max_decoded_bytes: Option<u64>,
    /// Stop once more records than this were rejected
    #[arg(long, value_name = "N|P%")]
    pub(crate) max_rejects: Option<Rejects>,
    /// What a rejected record does: go to quarantine, or fail the run
    #[arg(long, value_enum, value_name = "ACTION", default_value = "quarantine")]
    pub(crate) on_reject: OnReject,
    /// Take Bundles for records like any other. Without it, the resources in them are the records, except in Bundles that mean
    /// something as a whole (document, message, subscription-notification)
    #[arg(long)]
    pub(crate) keep_bundles: bool,
    /// Keep what the complete sources hold although others are incomplete; the exit status is still 5
    #[arg(long)]
    pub(crate) allow_incomplete: bool,
    /// Skip the proof of UTF-8 and JSON: only for bytes that were proved before
    #[arg(long)]
    pub(crate) trust_input: bool,
}

/// What a run may use.
#[derive(Debug, Args)]
pub(crate) struct ResourceArgs {
    /// Worker threads; the cores of the machine, but 8 at most, unless given. The outputs do not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024), help_heading = "Resources")]
    pub(crate) threads: Option<u16>,
    /// Ceiling on resident memory
    #[arg(long, value_name = "SIZE", value_parser = size, default_value = "64MiB", help_heading = "Resources")]
    pub(crate) memory: u64,
}

#[derive(Debug, Args)]
pub(crate) struct ExpectArgs {
    /// Compare the counts with a saved Fasten Connect webhook event or a Bulk Data manifest
    #[arg(long, value_name = "FILE")]
    pub(crate) expect: Option<PathBuf>,
}

/// What to tell.
#[derive(Debug, Args)]
pub(crate) struct TellArgs {
    /// Print the report as JSON on standard output
    #[arg(long, help_heading = "Report")]
    pub(crate) json: bool,
    /// Write the report as JSON to a file
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    pub(crate) report: Option<PathBuf>,
    /// Show progress: a bar on a terminal, a line now and then elsewhere
    #[arg(long, value_enum, value_name = "WHEN", default_value = "auto", help_heading = "Report")]
    pub(crate) progress: Progress,
    /// Say nothing but errors
    #[arg(short, long, help_heading = "Report")]
    pub(crate) quiet: bool,
    /// Say more: how the memory is divided, and every name that is skipped
    #[arg(short, long, conflicts_with = "quiet", help_heading = "Report")]
    pub(crate) verbose: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Compress {
    None,
    Gzip,
    Zstd,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Checksum {
    Crc32c,
    Sha256,
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Durability {
    Seal,
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum BundleType {
    Collection,
    Batch,
    Transaction,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Method {
    Put,
    Post,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnDuplicate {
    Uuid,
    NewBundle,
    Fail,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnReject {
    Quarantine,
    Fail,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Progress {
    Auto,
    Always,
    Never,
}

/// `N` or `P%`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rejects(pub(crate) RejectLimit);

impl FromStr for Rejects {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "give a number of records (100) or a share (0.5%)".to_owned();
        match text.strip_suffix('%') {
            None => Ok(Self(RejectLimit::Records(text.parse().map_err(|_| wrong())?))),
            Some(share) => {
                let share: f64 = share.trim().parse().map_err(|_| wrong())?;
                let limit = (0.0..=100.0).contains(&share).then_some(RejectLimit::Percent(share));
                limit.map(Self).ok_or_else(wrong)
            }
        }
    }
}

fn size(text: &str) -> Result<u64, String> {
    match size_or_none(text)? {
        0 => Err("must be more than nothing".to_owned()),
        bytes => Ok(bytes),
    }
}

fn size_or_none(text: &str) -> Result<u64, String> {
    let size = text.parse::<ByteSize>();
    size.map(|size| size.0).map_err(|_| "give a size such as 64MiB, 500MB or 1048576".to_owned())
}

/// The longest line that can be a record.
const MAX_LINE_BYTES: u64 = 1 << 31;

fn line_size(text: &str) -> Result<u64, String> {
    match size(text)? {
        bytes if bytes > MAX_LINE_BYTES => Err("a line can be 2GiB at most".to_owned()),
        bytes => Ok(bytes),
    }
}

#[cfg(feature = "http")]
fn export_level(text: &str) -> Result<ExportLevel, String> {
    match text.split_once('/') {
        None if text.is_empty() => Ok(ExportLevel::System),
        None if text == "Patient" => Ok(ExportLevel::Patient),
        Some(("Group", id)) if !id.is_empty() => Ok(ExportLevel::Group(id.to_owned())),
        _ => Err("an export is of Patient, of Group/ID, or of everything if neither is given".to_owned()),
    }
}

/// FHIR wants an instant; whoever gives a day has forgotten the time zone.
#[cfg(feature = "http")]
fn instant(text: &str) -> Result<String, String> {
    let zoned =
        text.ends_with('Z') || text.rsplit_once('T').is_some_and(|(_, time)| time.contains(['+', '-']));
    let shaped =
        text.len() >= "2026-01-31T00:00:00Z".len() && text.starts_with(|first: char| first.is_ascii_digit());
    if shaped && zoned && text.contains('T') {
        Ok(text.to_owned())
    } else {
        Err("an instant has a date, a time and a zone: 2026-01-31T00:00:00Z".to_owned())
    }
}

fn resource_type(text: &str) -> Result<ResourceType, String> {
    ResourceType::new(text)
        .ok_or_else(|| "a resource type looks like Patient: letters only, a capital first".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definitions_are_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn reject_limits_are_numbers_or_shares() {
        assert_eq!("100".parse::<Rejects>().expect("a number").0, RejectLimit::Records(100));
        assert_eq!("2.5%".parse::<Rejects>().expect("a share").0, RejectLimit::Percent(2.5));
        for wrong in ["", "%", "-1", "101%", "NaN%", "many"] {
            assert!(wrong.parse::<Rejects>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(size("64MiB"), Ok(64 << 20));
        assert_eq!(size("1000"), Ok(1000));
        assert!(size("0").is_err() && size("lots").is_err());
        assert_eq!(size_or_none("0"), Ok(0));
    }

    #[test]
    #[cfg(feature = "http")]
    fn exports_are_of_everything_patients_or_a_group() {
        assert_eq!(export_level(""), Ok(ExportLevel::System));
        assert_eq!(export_level("Patient"), Ok(ExportLevel::Patient));
        assert_eq!(export_level("Group/7"), Ok(ExportLevel::Group("7".to_owned())));
        for wrong in ["patient", "Group", "Group/", "https://h/fhir"] {
            assert!(export_level(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    #[cfg(feature = "http")]
    fn instants_have_a_zone() {
        for right in ["2026-01-31T00:00:00Z", "2026-01-31T00:00:00.125+01:00", "2026-01-31T00:00:00-05:00"] {
            assert!(instant(right).is_ok(), "{right}");
        }
        for wrong in ["2026-01-31", "2026-01-31T00:00:00", "yesterday at noon in Trondheim Z"] {
            assert!(instant(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn lines_have_a_greatest_length() {
        assert_eq!(line_size("2GiB"), Ok(2 << 30));
        for wrong in ["2147483649", "3GiB", "15EiB", "16EiB", "0"] {
            assert!(line_size(wrong).is_err(), "{wrong}");
        }
    }
}
