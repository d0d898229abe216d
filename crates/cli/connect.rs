//! `fhirline connect`.

use std::env;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::str::FromStr;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, bail};
use serde_json::{Value, json};

use fhirline::ExitStatus;
use fhirline_connect::{
    ApiKeys, Client, ClientOptions, ConnectError, ExportState, ExportTask, ExposeSecret, IdToken, Identity,
    IdentityOptions, Mode, ParError, PushedRequest, SearchPage, SecretString, TokenRules,
};

use crate::trouble::{self, note, on_standard_output, warn};
use args::{CatalogCommand, ConnectArgs, ConnectCommand, ExportArgs, ParArgs};

pub(crate) mod args;
mod process;
mod simulate;

pub(crate) use process::process;

/// Exports take up to some half an hour, but no bound is published.
const LONGEST_WAIT: Duration = Duration::from_secs(26 * 3600);

/// What a user says to Fasten, or hears from it.
pub(crate) fn connect(args: &ConnectArgs) -> anyhow::Result<ExitStatus> {
    if let ConnectCommand::Simulate(simulated) = &args.command {
        return simulate::simulate(simulated);
    }
    let keys = keys()?;
    let json = args.json;
    match &args.command {
        ConnectCommand::Export(wanted) => return export(&client(keys)?, wanted, json),
        ConnectCommand::Status { task_id } => tell_task(&client(keys)?.export_state(task_id)?, json)?,
        ConnectCommand::Connection { org_connection_id } => {
            tell_all(&client(keys)?.connection(org_connection_id)?, json)?;
        }
        ConnectCommand::Org => tell_all(&client(keys)?.organization()?, json)?,
        ConnectCommand::Catalog(CatalogCommand::Search { query, limit }) => {
            search(&client(keys)?, query, *limit, json)?;
        }
        ConnectCommand::Catalog(CatalogCommand::Export { folder }) => {
            export_catalog(&client(keys)?, folder, json)?;
        }
        ConnectCommand::Par(wanted) => par(keys, wanted, json)?,
        ConnectCommand::Simulate(_) => {}
    }
    Ok(ExitStatus::Complete)
}

/// Whether an error is of an exchange, and not of the command line.
pub(crate) fn is_of_connect(error: &anyhow::Error) -> bool {
    error.is::<ConnectError>() || error.is::<ParError>()
}

/// What can be done about it.
pub(crate) fn hint_of(error: &anyhow::Error) -> Option<String> {
    let of_exchange = error.downcast_ref::<ConnectError>().and_then(ConnectError::hint);
    let of_identity = error.downcast_ref::<ParError>().and_then(ParError::hint);
    of_exchange.or(of_identity).map(str::to_owned)
}

/// The keys in the environment, and the mode that they are of.
fn keys() -> anyhow::Result<ApiKeys> {
    let public_id = variable("FASTEN_PUBLIC_ID")?;
    let private_key = SecretString::from(variable("FASTEN_PRIVATE_KEY")?);
    let mode = Mode::ALL.into_iter().find(|mode| public_id.starts_with(&format!("public_{mode}_")));
    let Some(mode) = mode else {
        bail!("FASTEN_PUBLIC_ID begins neither with public_test_ nor with public_live_")
    };
    Ok(ApiKeys::new(mode, public_id, private_key)?)
}

fn variable(name: &str) -> anyhow::Result<String> {
    // The value is a secret: why it cannot be read is not told with it.
    env::var(name)
        .ok()
        .filter(|value| !value.is_empty())
        .with_context(|| format!("the environment has no {name}"))
}

fn client(keys: ApiKeys) -> anyhow::Result<Client> {
    let mut options = ClientOptions::default();
    if let Ok(base) = variable("FASTEN_API_BASE_URL") {
        options.base_url = base;
    }
    Ok(Client::new(keys, &options)?)
}

fn print(text: &str) -> anyhow::Result<()> {
    on_standard_output(writeln!(io::stdout().lock(), "{text}"))
}

fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    print(&serde_json::to_string_pretty(value)?)
}

/// Everything that was answered, a line each.
fn tell_all(value: &impl serde::Serialize, json: bool) -> anyhow::Result<()> {
    if json {
        return print_json(value);
    }
    let value = serde_json::to_value(value)?;
    for (name, value) in value.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
        print(&format!("{name}: {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)))?;
    }
    Ok(())
}

fn tell_task(task: &ExportTask, json: bool) -> anyhow::Result<()> {
    if json { print_json(task) } else { print(&format!("{}  {}", task.task_id, task.state.name())) }
}

fn export(client: &Client, wanted: &ExportArgs, json: bool) -> anyhow::Result<ExitStatus> {
    let mut task = client.request_export(&wanted.org_connection_id, wanted.fixture)?;
    let begun = Instant::now();
    while wanted.wait && task.state == ExportState::Pending {
        if begun.elapsed() > LONGEST_WAIT {
            bail!(trouble::Broken(format!(
                "the export is still pending after {} h",
                LONGEST_WAIT.as_secs() / 3600
            )));
        }
        thread::sleep(Duration::from_secs(wanted.every));
        task = client.export_state(&task.task_id)?;
    }
    tell_task(&task, json)?;
    match task.state {
        ExportState::Success => note("its link comes by webhook, and in no other way"),
        ExportState::Failed => {
            bail!(trouble::Broken("the export has failed; why comes by webhook".to_owned()));
        }
        _ => {}
    }
    Ok(ExitStatus::Complete)
}

fn search(client: &Client, query: &str, limit: usize, json: bool) -> anyhow::Result<()> {
    let mut found = client.search_catalog(query, None)?;
    let mut page = found.clone();
    while found.hits.len() < limit {
        let Some(after) = page.next() else { break };
        page = client.search_catalog(query, Some(after))?;
        found.hits.extend(page.hits.iter().cloned());
    }
    found.hits.truncate(limit);
    if json {
        return print_json(&found);
    }
    if found.hits.is_empty() {
        note(
            "nothing found. To have a provider added, Fasten's support needs its name, website and portal URL, the city and state, and \
             other names that it has",
        );
    }
    tell_hits(&found)
}

fn tell_hits(found: &SearchPage) -> anyhow::Result<()> {
    for hit in &found.hits {
        let name = hit.item.name.as_deref().unwrap_or("(no name)");
        print(&format!("{}  {name}", hit.id.as_deref().unwrap_or("-")))?;
    }
    Ok(())
}

/// Downloads the three files of the catalog.
fn export_catalog(client: &Client, folder: &Path, json: bool) -> anyhow::Result<()> {
    let links = client.export_catalog()?;
    let broken = |what: &str| trouble::Broken(format!("cannot {what} in {}", folder.display()));
    fs::create_dir_all(folder).with_context(|| broken("make a place"))?;
    let mut files = Vec::new();
    for (name, url) in [
        ("brands.json", &links.brands),
        ("portals.json", &links.portals),
        ("endpoints.json", &links.endpoints),
    ] {
        let link = fhirline_connect::DownloadLink::to(url.expose());
        let partial = folder.join(format!("{name}.partial"));
        let mut file = fs::File::create(&partial).with_context(|| broken("write"))?;
        let mut content =
            client.download(&link)?.open_at(0).with_context(|| broken("fetch what is to lie"))?;
        let bytes = io::copy(&mut content, &mut file).with_context(|| broken("fetch what is to lie"))?;
        file.sync_all().with_context(|| broken("write"))?;
        fs::rename(&partial, folder.join(name)).with_context(|| broken("write"))?;
        files.push(json!({ "name": name, "bytes": bytes }));
    }
    if json {
        return print_json(&files);
    }
    files.iter().try_for_each(|file| print(&format!("{}  {} bytes", text(&file["name"]), file["bytes"])))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Hands over a proven identity.
fn par(keys: ApiKeys, wanted: &ParArgs, json: bool) -> anyhow::Result<()> {
    let path = &wanted.id_token_file;
    let token = fs::read_to_string(path);
    let token = token.map_err(|error| {
        // Its text could be a part of the file.
        anyhow::anyhow!("cannot read the ID token in {}: {}", path.display(), error.kind())
    })?;
    let token = IdToken::new(token.into());
    let idp = wanted.idp.0;
    if let Some(hcid) = &wanted.hcid {
        let rules = TokenRules { idp, issuer: wanted.issuer.clone(), hcid: hcid.clone(), mode: keys.mode() };
        token.check(&rules, SystemTime::now())?.iter().for_each(warn);
    } else {
        warn("without --hcid the token is not checked before it is sent");
    }
    let mut options = IdentityOptions::default();
    if let Ok(base) = variable("FASTEN_IDENTITY_BASE_URL") {
        options.base_url = base;
    }
    let (attempt, pushed) = Identity::new(keys, &options)?.push(&PushedRequest::with_id_token(idp, &token));
    let pushed = pushed?;
    let life = pushed.expires_at().duration_since(attempt.at).unwrap_or_default().as_secs();
    let uri = pushed.take(SystemTime::now())?;
    let uri = uri.expose_secret();
    if json { print_json(&json!({ "request_uri": uri, "expires_in": life })) } else { print(uri) }
}

/// A value of the command line that has names.
fn named<T: FromStr<Err = E>, E: std::fmt::Display>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: E| error.to_string())
}
