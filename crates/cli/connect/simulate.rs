use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};

use fhirline::{Cancel, ExitStatus};
use fhirline_connect::{
    ApiKeys, Client, ClientOptions, Mode, SigningSecret, SimulateError, Simulator, SimulatorOptions,
};

use super::args::SimulateArgs;
use super::{keys, print, variable};
use crate::interrupt::stop_on_interrupt;
use crate::trouble::Broken;

const LOOKS_EVERY: Duration = Duration::from_millis(50);

/// The keys of whoever has none: they are accepted, as all others are then.
const PUBLIC_ID: &str = "public_test_simulated";
const PRIVATE_KEY: &str = "private_test_simulated";

/// Fasten in a box, until Ctrl-C.
pub(super) fn simulate(args: &SimulateArgs) -> anyhow::Result<ExitStatus> {
    let cancel = Cancel::new();
    stop_on_interrupt(&cancel).context(Broken("cannot watch for Ctrl-C".to_owned()))?;
    let known = keys().ok();
    let simulator = Simulator::start(options(args, known.clone())?).map_err(told)?;
    print(&format!("FASTEN_API_BASE_URL={}", simulator.api_url()))?;
    print(&format!("FASTEN_IDENTITY_BASE_URL={}", simulator.identity_url()))?;
    for connection in simulator.connections() {
        print(&format!("connection {connection}"))?;
    }
    if args.once {
        let keys = match known {
            Some(keys) => keys,
            None => ApiKeys::new(Mode::Test, PUBLIC_ID, PRIVATE_KEY.into())?,
        };
        let options = ClientOptions { base_url: simulator.api_url(), ..ClientOptions::default() };
        let client = Client::new(keys, &options)?;
        for connection in simulator.connections() {
            client.request_export(connection, None)?;
        }
    }
    while !(cancel.is_cancelled() || args.once && simulator.is_idle()) {
        thread::sleep(LOOKS_EVERY);
    }
    let (delivered, attempted) = simulator.deliveries();
    print(&format!("{delivered} of {attempted} deliveries were accepted"))?;
    if args.once && delivered == 0 {
        bail!(Broken("no delivery was accepted".to_owned()));
    }
    Ok(ExitStatus::Complete)
}

fn options(args: &SimulateArgs, keys: Option<ApiKeys>) -> anyhow::Result<SimulatorOptions> {
    let mut options = SimulatorOptions::new(&args.export).port(args.port).speed(args.speed);
    if let Some(url) = &args.webhook {
        options = options.webhook(url);
        let secret = SigningSecret::parse(&variable("FASTEN_SIGNING_SECRET")?);
        options = options.secret(secret.context("FASTEN_SIGNING_SECRET")?);
    }
    if let Some(keys) = keys {
        options = options.keys(keys);
    }
    Ok(args.misbehave.iter().fold(options, |options, how| options.misbehaving(how.0)))
}

fn told(error: SimulateError) -> anyhow::Error {
    anyhow::Error::new(error).context(Broken("cannot simulate Fasten Connect".to_owned()))
}
