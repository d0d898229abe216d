//! `fhirline serve` and `fhirline work`.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::{Args, Subcommand, ValueEnum};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use fhirline::ExitStatus;
use fhirline_serve::{Config, ConfigError, Replayed, SavedDelivery, ServeError, Service};

use crate::trouble::{Broken, note, on_standard_output, warn};

const ENVIRONMENT: &str = "\
Environment, where the configuration names no other variables:
    FASTEN_PUBLIC_ID, FASTEN_PRIVATE_KEY, FASTEN_SIGNING_SECRET   of the mode that is configured
    FASTEN_API_BASE_URL   another API than https://api.connect.fastenhealth.com/v1
    FHIRLINE_LOG          what is logged: error, warn, info (unless set), debug, or filters such as fhirline_serve=debug";

#[derive(Debug, Args)]
#[command(after_help = ENVIRONMENT, args_conflicts_with_subcommands = true)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    run: RunArgs,
    /// Store the deliveries of this file first, whatever their age: lines of JSON with webhook-id, webhook-timestamp, webhook-signature and body
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<ServeCommand>,
}

#[derive(Debug, Subcommand)]
enum ServeCommand {
    /// Take away what is over and older than the days that are kept. Outputs are left alone
    Purge {
        /// The configuration
        #[arg(long, value_name = "FILE", default_value = "fhirline.toml")]
        config: PathBuf,
        /// Days to keep, instead of keep_days in the configuration: 2 or more, for deliveries of one event come for a day
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u64).range(2..))]
        keep_days: Option<u64>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The configuration
    #[arg(long, value_name = "FILE", default_value = "fhirline.toml")]
    config: PathBuf,
    /// How the log is written
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    /// Lines for people
    Text,
    /// A JSON object a line
    Json,
}

/// Receives webhooks and works on what they tell of, until it is asked to stop.
pub(crate) fn serve(args: &ServeArgs) -> anyhow::Result<ExitStatus> {
    if let Some(ServeCommand::Purge { config, keep_days }) = &args.command {
        return purge(config, *keep_days);
    }
    let config = Config::read(&args.run.config)?;
    let runtime = runtime()?;
    if let Some(file) = &args.replay {
        runtime.block_on(replay(&config, file))?;
    }
    run(&runtime, config, &args.run, true)
}

/// Works on what other processes receive, until it is asked to stop.
pub(crate) fn work(args: &RunArgs) -> anyhow::Result<ExitStatus> {
    let config = Config::read(&args.config)?;
    ensure!(
        config.is_shared(),
        "workers beside `fhirline serve` need a database that several processes share: store = \"postgres://…\""
    );
    run(&runtime()?, config, args, false)
}

fn run(runtime: &Runtime, config: Config, args: &RunArgs, listens: bool) -> anyhow::Result<ExitStatus> {
    log(args.log_format)?;
    fhirline_serve::forbid_core_dumps(&config)?;
    runtime.block_on(async {
        // Before anything is started: a request to stop is heard from the first moment on.
        let mut asked = [SignalKind::interrupt(), SignalKind::terminate()]
            .into_iter()
            .map(signal)
            .collect::<io::Result<Vec<_>>>()
            .context(Broken("cannot listen for requests to stop".to_owned()))?;
        let service = Service::start(config, listens).await?;
        if let Some(address) = service.address() {
            on_standard_output(writeln!(io::stdout().lock(), "listening on http://{address}"))?;
        }
        let stop = async move {
            std::future::poll_fn(|context| {
                let heard = asked.iter_mut().any(|signal| signal.poll_recv(context).is_ready());
                if heard { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
            })
            .await;
        };
        service.until_stopped(stop).await;
        Ok(ExitStatus::Complete)
    })
}

fn runtime() -> anyhow::Result<Runtime> {
    let built = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    built.context(Broken("cannot start threads".to_owned()))
}

fn log(format: LogFormat) -> anyhow::Result<()> {
    let filter = EnvFilter::builder()
        .with_default_directive(tracing_subscriber::filter::LevelFilter::INFO.into())
        .parse(std::env::var("FHIRLINE_LOG").unwrap_or_default())
        .context("FHIRLINE_LOG")?
        // What others log of statements and requests may hold more than is to be seen.
        .add_directive("sqlx=off".parse()?)
        .add_directive("apalis_core=error".parse()?);
    let subscriber =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_target(false);
    // A log that cannot be written would be told there as well, by a panic of whoever had something to say.
    let subscriber = subscriber.log_internal_errors(false);
    match format {
        LogFormat::Text => subscriber.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).init(),
        LogFormat::Json => subscriber.json().flatten_event(true).init(),
    }
    Ok(())
}

async fn replay(config: &Config, file: &Path) -> anyhow::Result<()> {
    let name = file.display();
    let lines = BufReader::new(File::open(file).with_context(|| format!("cannot read {name}"))?).lines();
    let mut saved: Vec<SavedDelivery> = Vec::new();
    for (number, line) in (1..).zip(lines) {
        let line = line.with_context(|| format!("cannot read {name}"))?;
        // What the parser says could hold a part of the line.
        let delivery = serde_json::from_str(&line).ok();
        saved.push(delivery.with_context(|| format!("line {number} of {name} is no saved delivery"))?);
    }
    for (number, replayed) in (1..).zip(fhirline_serve::replay(config, &saved).await?) {
        let told = match replayed {
            Replayed::Stored => "is stored",
            Replayed::Duplicate => "came before",
            Replayed::NotUnderstood => "is not understood, and stored as it is",
            Replayed::OtherMode => "is of the other mode than its signature, and not stored",
            _ => "was signed by none of the secrets, and is not stored",
        };
        if matches!(replayed, Replayed::Stored | Replayed::Duplicate) {
            note(format_args!("delivery {number} {told}"));
        } else {
            warn(format_args!("delivery {number} {told}"));
        }
    }
    Ok(())
}

fn purge(config: &Path, keep_days: Option<u64>) -> anyhow::Result<ExitStatus> {
    let config = Config::read(config)?;
    let keep = keep_days.map(|days| Duration::from_secs(days.saturating_mul(86_400)));
    let purged = runtime()?.block_on(fhirline_serve::purge_now(&config, keep))?;
    let told = format!(
        "{} events, {} exports, {} messages were taken away",
        purged.events, purged.exports, purged.messages
    );
    on_standard_output(writeln!(io::stdout().lock(), "{told}"))?;
    Ok(ExitStatus::Complete)
}

/// Whether an error is one of the service, and not of how it was called.
pub(crate) fn is_of_service(error: &anyhow::Error) -> bool {
    error.downcast_ref::<ServeError>().is_some_and(|error| !matches!(error, ServeError::Config(_)))
}

/// What can be done about it.
pub(crate) fn hint_of(error: &anyhow::Error) -> Option<String> {
    let of_config = error.downcast_ref::<ConfigError>().and_then(ConfigError::hint);
    of_config.or_else(|| error.downcast_ref::<ServeError>()?.hint()).map(str::to_owned)
}
