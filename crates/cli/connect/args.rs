use std::path::PathBuf;

use clap::{Args, Subcommand};

use fhirline_connect::{IdentityProvider, Misbehaviour, TefcaFixture};

use super::named;
use crate::args::{InputArgs, OutputArgs, ResourceArgs, TellArgs};

const ENVIRONMENT: &str = "\
Environment:
    FASTEN_PUBLIC_ID          the public id; its prefix (public_test_, public_live_) tells the mode
    FASTEN_PRIVATE_KEY        the private key of the same mode
    FASTEN_API_BASE_URL       another API than https://api.connect.fastenhealth.com/v1
    FASTEN_IDENTITY_BASE_URL  another identity server than https://identity.fastenhealth.com
    FASTEN_SIGNING_SECRET     what `simulate` signs its webhooks with";

#[derive(Debug, Args)]
#[command(after_help = ENVIRONMENT)]
pub(crate) struct ConnectArgs {
    /// Print the answer as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: ConnectCommand,
}

#[derive(Debug, Args)]
#[command(after_help = ENVIRONMENT)]
pub(crate) struct ProcessArgs {
    /// The event as it was delivered (JSON), or - for standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) event: PathBuf,
    /// The format to take where there are several; jsonl unless given
    #[arg(long, value_name = "TYPE")]
    pub(crate) export_type: Option<String>,
    #[command(flatten)]
    pub(crate) input: InputArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) resources: ResourceArgs,
    #[command(flatten)]
    pub(crate) tell: TellArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConnectCommand {
    /// Request an export of all that a connection gives. The data comes by webhook
    Export(ExportArgs),
    /// Tell how far an export is
    Status {
        /// The task, as `export` or an event tells it
        task_id: String,
    },
    /// Tell what is known of a connection
    Connection {
        /// The connection
        org_connection_id: String,
    },
    /// Tell what is known of the organization
    Org,
    /// Search the catalog of health systems, or download all of it
    #[command(subcommand)]
    Catalog(CatalogCommand),
    /// Hand over a patient's proven identity (Bring Your Own Identity), and print the request_uri
    Par(ParArgs),
    /// Simulate Fasten Connect on this machine
    Simulate(SimulateArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// The connection
    pub(crate) org_connection_id: String,
    /// Wait until it is made
    #[arg(long)]
    pub(crate) wait: bool,
    /// How often to ask meanwhile
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) every: u64,
    /// In test mode, the document that TEFCA is to give
    #[arg(long, value_name = "NAME", value_parser = named::<TefcaFixture, _>)]
    pub(crate) fixture: Option<TefcaFixture>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CatalogCommand {
    /// Search for a health system
    Search {
        /// What to look for
        query: String,
        /// Most hits
        #[arg(long, default_value_t = 20)]
        limit: usize,
    },
    /// Download brands.json, portals.json and endpoints.json
    Export {
        /// Where to
        #[arg(short = 'o', long = "output", value_name = "DIR")]
        folder: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ParArgs {
    /// Who proved the identity: clear_csp, idme_csp or persona_csp
    #[arg(long, value_name = "NAME", value_parser = named::<Idp, _>)]
    pub(crate) idp: Idp,
    /// A file with the provider's ID token
    #[arg(long, value_name = "FILE")]
    pub(crate) id_token_file: PathBuf,
    /// The organization's id in TEFCA: the token must be made for it
    #[arg(long)]
    pub(crate) hcid: Option<String>,
    /// The provider's issuer: the token must be its
    #[arg(long, value_name = "URL", requires = "hcid")]
    pub(crate) issuer: Option<String>,
}

/// A provider by its name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Idp(pub(crate) IdentityProvider);

impl std::str::FromStr for Idp {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let known = IdentityProvider::ALL.into_iter().find(|idp| idp.name() == name);
        known.map(Self).ok_or("the providers are clear_csp, idme_csp and persona_csp")
    }
}

#[derive(Debug, Args)]
pub(crate) struct SimulateArgs {
    /// The export that each connection gives
    #[arg(long, value_name = "FILE")]
    pub(crate) export: PathBuf,
    /// Where webhooks go to
    #[arg(long, value_name = "URL")]
    pub(crate) webhook: Option<String>,
    /// The port of the API; 0 for any
    #[arg(long, default_value_t = 8787)]
    pub(crate) port: u16,
    /// How much faster its clock runs: links expire and deliveries come again by it
    #[arg(long, value_name = "TIMES", default_value_t = 1.0)]
    pub(crate) speed: f64,
    /// How it misbehaves: duplicates, reordered, late, truncated, 429, wrong-signature, huge, malformed
    #[arg(long, value_name = "HOW", value_delimiter = ',', value_parser = named::<How, _>)]
    pub(crate) misbehave: Vec<How>,
    /// Do not wait to be asked: request the export of the one connection, and end when its webhook is delivered
    #[arg(long, requires = "webhook")]
    pub(crate) once: bool,
}

/// A way to misbehave by its name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct How(pub(crate) Misbehaviour);

impl std::str::FromStr for How {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let known = Misbehaviour::ALL.into_iter().find(|(known, _)| *known == name);
        let names = || Misbehaviour::ALL.map(|(name, _)| name).join(", ");
        known.map(|(_, how)| Self(how)).ok_or_else(|| format!("it can be one of {}", names()))
    }
}
