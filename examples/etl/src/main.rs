//! `etl`: one delivery of a webhook, one export, one run. Its standard output is the report, and its exit status that of the run.

use std::env;
use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use clap::Parser;

use fhirline::{ExitStatus, Job, JobError, SinkJob};
use fhirline_example_etl::DatabaseError;
use fhirline_example_etl::delivery::{DeliveryError, announced};
use fhirline_example_etl::patients::PatientList;
use fhirline_example_etl::table::Table;

/// Copy the resources of some patients into PostgreSQL, out of an export that a webhook announced
///
/// FASTEN_SIGNING_SECRET holds the secret of the webhook, and DATABASE_URL says where the database is. The same command again goes on
/// where an interrupted one was.
#[derive(Parser)]
struct Args {
    /// The body of the delivery, as it came
    #[arg(long, value_name = "FILE")]
    event: PathBuf,
    /// Its headers, one on each line: webhook-id, webhook-timestamp, webhook-signature
    #[arg(long, value_name = "FILE")]
    headers: PathBuf,
    /// Takes a delivery that was signed more than five minutes ago
    #[arg(long)]
    again: bool,
    /// Ids of the patients, one on each line
    #[arg(long, value_name = "FILE")]
    patients: PathBuf,
    /// Decoded bytes between two checkpoints
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 20)]
    checkpoint_bytes: u64,
    /// The files of the export
    #[arg(required = true)]
    export: Vec<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(status) => ExitCode::from(status.code()),
        Err(error) => ExitCode::from(tell(&*error).code()),
    }
}

fn run(args: &Args) -> Result<ExitStatus, Box<dyn Error>> {
    let (event, headers) = (read(&args.event)?, read_text(&args.headers)?);
    let now = (!args.again).then(SystemTime::now);
    let announced = announced(&event, &headers, &variable("FASTEN_SIGNING_SECRET")?, now)?;
    let patients = PatientList::parse(&read_text(&args.patients)?);

    let mut table = Table::open(&variable("DATABASE_URL")?, &announced.task)?;
    let to = SinkJob::new().checkpoint_bytes(Some(args.checkpoint_bytes));
    let job = Job::new(&args.export)?.filter(patients).expect(announced.counts);
    let report = job.write_to(&mut table, &to, &mut |_event| {})?;

    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, &report)?;
    writeln!(out)?;
    Ok(report.status)
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

fn read_text(path: &Path) -> Result<String, String> {
    String::from_utf8(read(path)?).map_err(|_| format!("{} is not UTF-8", path.display()))
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|_| format!("the environment variable {name} is missing"))
}

/// Says what went wrong, and as what the process ends.
fn tell(error: &(dyn Error + 'static)) -> ExitStatus {
    let mut told = format!("error: {error}\n");
    let causes = std::iter::successors(error.source(), |cause| (**cause).source());
    causes.for_each(|cause| told.push_str(&format!("  caused by: {cause}\n")));
    let job = error.downcast_ref::<JobError>();
    let refused = match error.downcast_ref::<DeliveryError>() {
        Some(DeliveryError::Refused(why)) => why.hint().map(str::to_owned),
        _ => None,
    };
    if let Some(hint) = job.and_then(JobError::hint).or(refused) {
        told.push_str(&format!("  hint: {hint}\n"));
    }
    // Nobody is left to tell if this cannot be told.
    let _ = io::stderr().write_all(told.as_bytes());
    match job {
        Some(job) => job.exit_status(),
        None if error.is::<DatabaseError>() => ExitStatus::Failed,
        None => ExitStatus::Usage,
    }
}
