//! A store is opened as its cloud's environment says.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GcpCredential, GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::multipart::MultipartStore;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig, StaticCredentialProvider};

use super::aws_profile::Profile;
use super::checksums::{self, HashedUploads};
use super::credentials::Credentials;
use super::first_contact::FirstContact;
use super::forgotten::Uploads;
use super::memory::MemoryObjects;
use super::{Cloud, CloudError, CloudOptions, ObjectUrl};
use crate::net;

/// How long nothing may come. The time of a whole request is not bounded here: it depends on its length.
const IDLE: Duration = Duration::from_secs(30);
const CONNECT: Duration = Duration::from_secs(10);

/// The well-known account of the Azure emulator, as all its documents name it.
/// <https://learn.microsoft.com/azure/storage/common/storage-use-azurite#well-known-storage-account-and-key>
const EMULATOR_ACCOUNT: &str = "devstoreaccount1";
const EMULATOR_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
const EMULATOR_URL: &str = "http://127.0.0.1:10000";

/// The two faces of a store.
pub(super) struct Faces {
    pub(super) objects: Arc<dyn ObjectStore>,
    pub(super) parts: Arc<dyn MultipartStore>,
    /// What lists uploads, where that is known.
    pub(super) uploads: Option<Uploads>,
}

impl Faces {
    pub(super) fn of<S: ObjectStore + MultipartStore>(store: S) -> Self {
        let store = Arc::new(store);
        Self { objects: Arc::clone(&store) as _, parts: store, uploads: None }
    }
}

/// Opens the bucket of a URL. Nothing is asked of the store yet.
pub(super) fn open(url: &ObjectUrl, options: &CloudOptions) -> Result<Faces, CloudError> {
    net::ready_tls();
    match url.cloud() {
        Cloud::S3 => s3(url, options),
        Cloud::Gcs => gcs(url, options),
        Cloud::Azure => azure(url, options),
        Cloud::Memory => Ok(Faces::of(MemoryObjects::default())),
    }
}

fn s3(url: &ObjectUrl, options: &CloudOptions) -> Result<Faces, CloudError> {
    let profile = Profile::read(options)?;
    let endpoint = options
        .first_of(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"])
        .or_else(|| profile.get("endpoint_url"));
    let client = client(endpoint, options.is_on("AWS_ALLOW_HTTP"), "AWS_ENDPOINT_URL", "AWS_ALLOW_HTTP")?;
    let mut builder = AmazonS3Builder::new()
        .with_client_options(client.clone())
        .with_http_connector(FirstContact::default());
    let from_profile = needs_profile(options);
    for (key, value) in known::<AmazonS3ConfigKey>(options, "AWS_") {
        // A token belongs to the keys that it came with, and of checksums more is said than the builder knows.
        let is_elsewhere =
            (from_profile && key == AmazonS3ConfigKey::Token) || key == AmazonS3ConfigKey::Checksum;
        if !is_elsewhere {
            builder = builder.with_config(key, value);
        }
    }
    if let Some(checksum) = checksums::of_s3(options, profile.get("request_checksum_calculation"))? {
        builder = builder.with_checksum_algorithm(checksum);
    }
    if let Some(endpoint) = endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    let region = options.first_of(&["AWS_REGION", "AWS_DEFAULT_REGION"]).or_else(|| profile.get("region"));
    if let Some(region) = region {
        builder = builder.with_region(region);
    }
    if from_profile && let Some(keys) = profile.keys()? {
        builder = builder.with_access_key_id(keys.id).with_secret_access_key(keys.secret);
        if let Some(token) = keys.token {
            builder = builder.with_token(token);
        }
    }
    let builder = builder.with_bucket_name(url.bucket());
    let credentials = built(builder.clone().with_retry(credentials_retry(options)).build(), "AWS_*")?;
    let credentials = Credentials::of(Arc::clone(credentials.credentials()));
    let builder = builder.with_retry(retry(options)).with_credentials(credentials);
    let uploads = Uploads::of(built(builder.clone().build(), "AWS_*")?, &client);
    Ok(Faces { uploads, ..Faces::of(built(builder.build(), "AWS_*")?) })
}

/// Whether the keys come from the files: where the environment has none, and none are to be had by a web identity.
fn needs_profile(options: &CloudOptions) -> bool {
    let web_identity =
        options.get("AWS_WEB_IDENTITY_TOKEN_FILE").is_some() && options.get("AWS_ROLE_ARN").is_some();
    let keys = options.first_of(&["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]).is_some();
    !keys && !web_identity && !options.is_on("AWS_SKIP_SIGNATURE")
}

fn gcs(url: &ObjectUrl, options: &CloudOptions) -> Result<Faces, CloudError> {
    let emulator = options.get("STORAGE_EMULATOR_HOST").map(with_scheme);
    let endpoint = emulator.as_deref().or_else(|| options.get("GOOGLE_BASE_URL"));
    let client =
        client(endpoint, options.is_on("GOOGLE_ALLOW_HTTP"), "GOOGLE_BASE_URL", "GOOGLE_ALLOW_HTTP")?;
    let mut builder = GoogleCloudStorageBuilder::new()
        .with_client_options(client)
        .with_http_connector(HashedUploads::of_google(FirstContact::default()));
    if let Some(path) = options.get("SERVICE_ACCOUNT") {
        builder = builder.with_service_account_path(path);
    }
    for (key, value) in known::<GoogleConfigKey>(options, "GOOGLE_") {
        builder = builder.with_config(key, value);
    }
    if let Some(emulator) = emulator {
        // As Google's own libraries do: an emulator is not given credentials. These keep the files of the user unread.
        let nobody = StaticCredentialProvider::new(GcpCredential { bearer: String::new() });
        builder =
            builder.with_base_url(&emulator).with_skip_signature(true).with_credentials(Arc::new(nobody));
    }
    let builder = builder.with_bucket_name(url.bucket());
    let credentials = built(builder.clone().with_retry(credentials_retry(options)).build(), "GOOGLE_*")?;
    let credentials = Credentials::of(Arc::clone(credentials.credentials()));
    Ok(Faces::of(built(
        builder.with_retry(retry(options)).with_credentials(credentials).build(),
        "GOOGLE_*",
    )?))
}

fn with_scheme(host: &str) -> String {
    let host = host.trim_end_matches('/');
    if host.contains("://") { host.to_owned() } else { format!("http://{host}") }
}

fn azure(url: &ObjectUrl, options: &CloudOptions) -> Result<Faces, CloudError> {
    let settings = azure_settings(url, options)?;
    let endpoint = settings.iter().rev().find(|(key, _)| *key == AzureConfigKey::Endpoint);
    let endpoint = endpoint.map(|(_, endpoint)| endpoint.as_str());
    let client =
        client(endpoint, options.is_on("AZURE_ALLOW_HTTP"), "AZURE_STORAGE_ENDPOINT", "AZURE_ALLOW_HTTP")?;
    let account = settings.iter().rev().find(|(key, _)| *key == AzureConfigKey::AccountName);
    let account = account.map(|(_, account)| account.clone()).unwrap_or_default();
    let servers = FirstContact::default();
    let mut builder =
        MicrosoftAzureBuilder::new().with_client_options(client).with_http_connector(servers.clone());
    for (key, value) in settings {
        builder = builder.with_config(key, value);
    }
    let builder = builder.with_container_name(url.bucket());
    let credentials =
        built(builder.clone().with_retry(credentials_retry(options)).build(), "AZURE_STORAGE_*")?;
    let credentials = Credentials::of(Arc::clone(credentials.credentials()));
    let hashed = HashedUploads::of_azure(servers, account, Arc::clone(&credentials));
    let builder = builder.with_retry(retry(options)).with_credentials(credentials);
    Ok(Faces::of(built(builder.with_http_connector(hashed).build(), "AZURE_STORAGE_*")?))
}

type AzureSettings = Vec<(AzureConfigKey, String)>;

/// What the environment says, in the order in which it is applied: the later wins.
fn azure_settings(url: &ObjectUrl, options: &CloudOptions) -> Result<AzureSettings, CloudError> {
    let mut settings = AzureSettings::new();
    let mut add = |key, value: &str| settings.push((key, value.to_owned()));
    if options.is_on("AZURE_STORAGE_USE_EMULATOR") {
        add(AzureConfigKey::AccountName, EMULATOR_ACCOUNT);
        add(AzureConfigKey::AccessKey, EMULATOR_KEY);
    }
    if let Some(text) = options.get("AZURE_STORAGE_CONNECTION_STRING") {
        settings.extend(connection_string(text)?);
    }
    let mut add = |key, value: &str| settings.push((key, value.to_owned()));
    // The names of Azure's own command line, which object_store does not know.
    let own = [
        ("AZURE_STORAGE_ACCOUNT", AzureConfigKey::AccountName),
        ("AZURE_STORAGE_KEY", AzureConfigKey::AccessKey),
    ];
    for (name, key) in own {
        if let Some(value) = options.get(name) {
            add(key, value);
        }
    }
    if let Some(value) = options.get("IDENTITY_ENDPOINT") {
        add(AzureConfigKey::MsiEndpoint, value);
    }
    for (key, value) in known::<AzureConfigKey>(options, "AZURE_") {
        add(key, value);
    }
    if let Some(account) = url.account() {
        add(AzureConfigKey::AccountName, account);
        add(AzureConfigKey::Endpoint, &format!("https://{account}.blob.core.windows.net"));
    }
    if options.is_on("AZURE_STORAGE_USE_EMULATOR") {
        let account = settings.iter().rev().find(|(key, _)| *key == AzureConfigKey::AccountName);
        let account = account.map_or(EMULATOR_ACCOUNT, |(_, account)| account);
        let base = options.get("AZURITE_BLOB_STORAGE_URL").unwrap_or(EMULATOR_URL).trim_end_matches('/');
        let endpoint = format!("{base}/{account}");
        // An endpoint of ours instead of the builder's own emulator mode, which reads the environment on its own.
        settings.push((AzureConfigKey::Endpoint, endpoint));
        settings.push((AzureConfigKey::UseEmulator, "false".to_owned()));
    }
    Ok(settings)
}

/// <https://learn.microsoft.com/azure/storage/common/storage-configure-connection-string>
fn connection_string(text: &str) -> Result<AzureSettings, CloudError> {
    let bad = |why: &str| CloudError::BadSetting {
        setting: "AZURE_STORAGE_CONNECTION_STRING".to_owned(),
        why: why.to_owned(),
    };
    let mut settings = AzureSettings::new();
    let (mut account, mut suffix, mut protocol) = (None, "core.windows.net", "https");
    let mut endpoint = None;
    for part in text.split(';').filter(|part| !part.trim().is_empty()) {
        let (name, value) = part.split_once('=').ok_or_else(|| bad("it is not made of names and values"))?;
        match name.trim() {
            "AccountName" => account = Some(value),
            "AccountKey" => settings.push((AzureConfigKey::AccessKey, value.to_owned())),
            "SharedAccessSignature" => settings.push((AzureConfigKey::SasKey, value.to_owned())),
            "BlobEndpoint" => endpoint = Some(value.trim_end_matches('/').to_owned()),
            "EndpointSuffix" => suffix = value,
            "DefaultEndpointsProtocol" => protocol = value,
            _ => {}
        }
    }
    if let Some(account) = account {
        settings.push((AzureConfigKey::AccountName, account.to_owned()));
    }
    let usual = account.map(|account| format!("{protocol}://{account}.blob.{suffix}"));
    let endpoint = endpoint.or(usual).ok_or_else(|| bad("it names neither an account nor an endpoint"))?;
    settings.push((AzureConfigKey::Endpoint, endpoint));
    Ok(settings)
}

/// The variables that a builder knows, with the builder's names for them.
fn known<'a, K: FromStr>(options: &'a CloudOptions, prefix: &'a str) -> impl Iterator<Item = (K, &'a str)> {
    let all = options.beginning(prefix);
    all.filter_map(|(name, value)| Some((name.to_ascii_lowercase().parse().ok()?, value)))
}

/// How requests are made, before the environment has its say.
fn client(
    endpoint: Option<&str>,
    allow_http: bool,
    named: &str,
    allowed: &str,
) -> Result<ClientOptions, CloudError> {
    let plain = endpoint.is_some_and(|endpoint| endpoint.to_ascii_lowercase().starts_with("http://"));
    let loopback = endpoint.is_some_and(is_loopback);
    if plain && !loopback && !allow_http {
        let why = format!("an http:// endpoint sends everything in the clear; {allowed}=true permits it");
        return Err(CloudError::BadSetting { setting: named.to_owned(), why });
    }
    Ok(ClientOptions::new()
        .with_timeout_disabled()
        .with_read_timeout(IDLE)
        .with_connect_timeout(CONNECT)
        .with_allow_http(allow_http || plain))
}

fn is_loopback(endpoint: &str) -> bool {
    let Some((_, rest)) = endpoint.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// One request.
fn retry(options: &CloudOptions) -> RetryConfig {
    let backoff = BackoffConfig { max_backoff: Duration::from_secs(15), ..BackoffConfig::default() };
    RetryConfig { backoff, max_retries: options.most_retries(), retry_timeout: Duration::from_secs(120) }
}

/// Credentials: where there are none, the client asks for those of the machine, and outside of a cloud nobody answers.
fn credentials_retry(options: &CloudOptions) -> RetryConfig {
    let max_retries = options.most_retries().min(2);
    RetryConfig { max_retries, retry_timeout: Duration::from_secs(10), ..retry(options) }
}

/// What a builder says may hold the values that it did not like.
fn built<T>(result: object_store::Result<T>, setting: &str) -> Result<T, CloudError> {
    result.map_err(|error| {
        let text = error.to_string();
        let known = [
            ("Missing AccessKeyId", "a secret key without a key id"),
            ("Missing SecretAccessKey", "a key id without a secret key"),
            ("Account must be specified", "no account: set AZURE_STORAGE_ACCOUNT_NAME"),
            ("service account path or", "a service account by path and by key at once"),
            ("Unable to open service account", "the service account file cannot be opened"),
            ("Unable to decode service account", "the service account file cannot be decoded"),
        ];
        let why = known.iter().find(|(part, _)| text.contains(part));
        let why =
            why.map_or("the settings do not fit together, or one of them cannot be read", |(_, why)| why);
        CloudError::BadSetting { setting: setting.to_owned(), why: why.to_owned() }
    })
}
