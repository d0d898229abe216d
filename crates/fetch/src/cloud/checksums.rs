//! What a store is told of the bytes that it is sent, so that it refuses others.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use md5::{Digest, Md5};
use object_store::aws::Checksum;
use object_store::azure::{AzureAuthorizer, AzureCredential};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody,
    HttpService,
};
use object_store::{ClientOptions, CredentialProvider};
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HeaderValue};

use super::credentials::Credentials;
use super::first_contact::FirstContact;
use super::{CloudError, CloudOptions};

const ALGORITHM: &str = "AWS_CHECKSUM_ALGORITHM";
/// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-dataintegrity.html>
const CALCULATION: &str = "AWS_REQUEST_CHECKSUM_CALCULATION";

/// The checksum of uploads to S3; `None` for stores that speak its language but refuse the header.
pub(super) fn of_s3(
    options: &CloudOptions,
    in_profile: Option<&str>,
) -> Result<Option<Checksum>, CloudError> {
    if let Some(algorithm) = options.get(ALGORITHM) {
        if algorithm.eq_ignore_ascii_case("none") {
            return Ok(None);
        }
        let why = "it is none of sha256, crc64nvme and none".to_owned();
        let unknown = |()| CloudError::BadSetting { setting: ALGORITHM.to_owned(), why };
        return algorithm.parse().map(Some).map_err(unknown);
    }
    let calculation = options.get(CALCULATION).or(in_profile).unwrap_or_default();
    let is_wanted = !calculation.eq_ignore_ascii_case("when_required");
    // The signature of a request holds the same digest: it costs nothing more.
    Ok(is_wanted.then_some(Checksum::SHA256))
}

/// Tells Google's store and Azure the checksums of objects and parts, which `object_store` does not.
#[derive(Debug)]
pub(super) struct HashedUploads {
    servers: FirstContact,
    store: Store,
}

#[derive(Clone)]
enum Store {
    Google,
    Azure { account: String, credentials: Arc<Credentials<AzureCredential>> },
}

impl HashedUploads {
    /// <https://docs.cloud.google.com/storage/docs/xml-api/put-object-multipart>
    pub(super) fn of_google(servers: FirstContact) -> Self {
        Self { servers, store: Store::Google }
    }

    /// <https://learn.microsoft.com/rest/api/storageservices/put-block#request-headers>
    pub(super) fn of_azure(
        servers: FirstContact,
        account: String,
        credentials: Arc<Credentials<AzureCredential>>,
    ) -> Self {
        Self { servers, store: Store::Azure { account, credentials } }
    }
}

impl HttpConnector for HashedUploads {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let (client, store) = (self.servers.connect(options)?, self.store.clone());
        Ok(HttpClient::new(Service { client, store }))
    }
}

#[derive(Debug)]
struct Service {
    client: HttpClient,
    store: Store,
}

#[async_trait]
impl HttpService for Service {
    async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        if request.method() == Method::PUT {
            // A clone shares its bytes.
            let bytes = HttpResponseBody::new(request.body().clone()).bytes().await?;
            match &self.store {
                Store::Google => tell(&mut request, "x-goog-hash", &google_hash(&bytes)),
                // It has nothing to say of what is empty: a copy, say.
                Store::Azure { .. } if bytes.is_empty() => {}
                Store::Azure { account, credentials } => {
                    tell(&mut request, "content-md5", &BASE64_STANDARD.encode(Md5::digest(&bytes)));
                    sign_again(&mut request, account, credentials).await?;
                }
            }
        }
        self.client.execute(request).await
    }
}

fn tell(request: &mut HttpRequest, name: &'static str, value: &str) {
    // Base64 can be a header.
    if let Ok(value) = HeaderValue::from_str(value) {
        request.headers_mut().insert(name, value);
    }
}

/// <https://docs.cloud.google.com/storage/docs/xml-api/reference-headers#xgooghash>
fn google_hash(bytes: &[u8]) -> String {
    format!("crc32c={}", BASE64_STANDARD.encode(crc32c::crc32c(bytes).to_be_bytes()))
}

/// A signature by an account's key is over the checksum too; tokens are over nothing.
/// <https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key>
async fn sign_again(
    request: &mut HttpRequest,
    account: &str,
    credentials: &Credentials<AzureCredential>,
) -> Result<(), HttpError> {
    let authorization = request.headers().get(AUTHORIZATION);
    if !authorization.is_some_and(|value| value.as_bytes().starts_with(b"SharedKey")) {
        return Ok(());
    }
    // The new one would come behind it.
    request.headers_mut().remove(AUTHORIZATION);
    let failed = |error| HttpError::new::<object_store::Error>(HttpErrorKind::Unknown, error);
    let credential = credentials.get_credential().await.map_err(failed)?;
    AzureAuthorizer::new(&credential, account).try_authorize(request).map_err(failed)
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Google => "Google",
            Self::Azure { .. } => "Azure",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_asked_for_unless_the_store_has_none() {
        let of = |name: &str, value: &str, profile| of_s3(&CloudOptions::new().set(name, value), profile);
        assert_eq!(of("AWS_REGION", "r", None).expect("known"), Some(Checksum::SHA256));
        assert_eq!(of(ALGORITHM, "CRC64NVME", None).expect("known"), Some(Checksum::CRC64NVME));
        assert_eq!(of(ALGORITHM, "none", None).expect("known"), None);
        assert_eq!(of(CALCULATION, "WHEN_REQUIRED", None).expect("known"), None);
        assert_eq!(of("AWS_REGION", "r", Some("when_required")).expect("known"), None);
        assert_eq!(
            of(CALCULATION, "when_supported", Some("when_required")).expect("known"),
            Some(Checksum::SHA256)
        );
        let error = of(ALGORITHM, "canary", None).expect_err("unknown").to_string();
        assert!(error.contains(ALGORITHM) && !error.contains("canary"), "{error}");
    }

    /// The value of "123456789" in the catalogue of CRCs: 0xe3069283.
    #[test]
    fn google_is_told_what_it_computes() {
        assert_eq!(google_hash(b"123456789"), "crc32c=4waSgw==");
        assert_eq!(google_hash(b""), "crc32c=AAAAAA==");
    }
}
