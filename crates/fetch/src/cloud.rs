//! Sources and destinations in object stores: `s3://`, `gs://` and `az://`.
//!
//! An [`ObjectUrl`] says where, [`CloudOptions`] how it is reached, and [`Objects`] finds what it names; a [`CloudBucket`]
//! is an open store, an [`ObjectOrigin`] one object in it as a source, and a [`CloudStore`] what lies below its root as a
//! destination.
//!
//! ```
//! use fhirline_fetch::{CloudBucket, Found, Objects};
//!
//! let bucket = CloudBucket::in_memory();
//! bucket.put("2026/Patient.ndjson", b"{}\n")?;
//! bucket.put("2026/_quarantine/lines.raw", b"?")?;
//! for found in Objects::in_bucket(&bucket.at("2026/")?) {
//!     match found? {
//!         Found::Source { origin, .. } => {
//!             assert_eq!(origin.name(), "memory://memory/2026/Patient.ndjson");
//!             assert_eq!(std::io::read_to_string(origin.open_at(0)?)?, "{}\n");
//!         }
//!         Found::Skipped { name, .. } => assert_eq!(name, "memory://memory/2026/_quarantine"),
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The environment
//!
//! Credentials and endpoints are those that the clouds' own tools use; none is ever an argument. Besides the variables
//! below, all that `object_store`'s builders know by the beginning of their names (`AWS_`, `AZURE_`, `GOOGLE_`) have their
//! meaning there, such as `AWS_PROXY_URL`. An empty variable counts as unset.
//!
//! **S3.** Keys are, in this order: `AWS_ACCESS_KEY_ID` with `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`; a web identity
//! (`AWS_WEB_IDENTITY_TOKEN_FILE` and `AWS_ROLE_ARN`); those of the profile `AWS_PROFILE` (else `default`) in
//! `~/.aws/credentials` and `~/.aws/config` (`AWS_SHARED_CREDENTIALS_FILE`, `AWS_CONFIG_FILE`); those of the container or
//! machine. `AWS_SKIP_SIGNATURE=true` reads public buckets. `AWS_REGION` or `AWS_DEFAULT_REGION`, else the profile's
//! `region`, else `us-east-1`. `AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL`, else the profile's `endpoint_url`, for stores
//! that speak S3; they are addressed as `endpoint/bucket`, unless `AWS_VIRTUAL_HOSTED_STYLE_REQUEST=true`. Profiles that get
//! their keys by single sign-on, an assumed role or a program are not supported, and neither are `services` sections: such a
//! profile is an error, because other keys would be somebody else's.
//!
//! **Azure.** `AZURE_STORAGE_ACCOUNT_NAME` (or `AZURE_STORAGE_ACCOUNT`) with `AZURE_STORAGE_ACCOUNT_KEY` (or
//! `AZURE_STORAGE_KEY`), `AZURE_STORAGE_SAS_TOKEN`, a service principal (`AZURE_CLIENT_ID`, `AZURE_CLIENT_SECRET`,
//! `AZURE_TENANT_ID`), a workload identity (`AZURE_FEDERATED_TOKEN_FILE`), `AZURE_USE_AZURE_CLI=true`, or the identity of the
//! machine; or `AZURE_STORAGE_CONNECTION_STRING`, which the single variables override. `AZURE_STORAGE_ENDPOINT` for other
//! hosts. `AZURE_STORAGE_USE_EMULATOR=true` means Azurite at `AZURITE_BLOB_STORAGE_URL`, else `http://127.0.0.1:10000`.
//!
//! **Google.** `GOOGLE_APPLICATION_CREDENTIALS`, `GOOGLE_SERVICE_ACCOUNT` (a file), `GOOGLE_SERVICE_ACCOUNT_KEY` (its
//! content), the file that `gcloud auth application-default login` leaves, or the identity of the machine;
//! `GOOGLE_SKIP_SIGNATURE=true` reads public buckets. `GOOGLE_BASE_URL` for other hosts. `STORAGE_EMULATOR_HOST` means an
//! emulator, which gets no credentials.
//!
//! An endpoint that begins with `http://` is taken on the loopback interface, and elsewhere only with
//! `AWS_ALLOW_HTTP=true` (`AZURE_ALLOW_HTTP`, `GOOGLE_ALLOW_HTTP`).
//!
//! # Checksums
//!
//! A store is told the checksum of each object and part that it is sent, and refuses what came otherwise. S3 is told a SHA-256,
//! which the signature of a request needs anyway, and keeps it with the object; `AWS_CHECKSUM_ALGORITHM` says `crc64nvme`
//! for that instead, or `none` for stores that refuse the header, and so does `when_required` in
//! `AWS_REQUEST_CHECKSUM_CALCULATION` or the profile's `request_checksum_calculation`, as for AWS's own tools. An upload has to be
//! ended as it was begun: a run that is taken up again needs the same setting. Google's store is told a CRC-32C, Azure an
//! MD5.
//!
//! What is read is compared with no checksum of the store: those that stores keep are of whole objects or of their parts, and
//! reading goes by windows. Windows are of one version of the object and as long as was asked for.
//!
//! # Requests
//!
//! A request is tried [up to nine times](CloudOptions::retries) within two minutes, but three times to connect to a server that
//! never answered; a connection on which nothing comes for
//! 30 seconds counts as broken. There is no bound on the time of a whole request but one of ten minutes on a window, because
//! objects are read [in windows](ObjectOrigin).
//!
//! # Memory
//!
//! A [reader](ObjectOrigin) holds two windows, 16 MiB unless [set otherwise](CloudOptions::window_bytes), and besides what
//! the connection has received of the second; a [list](Objects) one page of the store's.
//!
//! # Privacy
//!
//! [`CloudError`] shows URLs of objects, statuses and error codes, never what a server or the client below said: requests
//! may be signed in their URL, and bodies echo them. `Debug` shows names of variables, never values.
//!
//! # Why not one long request
//!
//! A request that lives as long as its reader is slow dies of the client's budgets for time and attempts, however well it
//! goes. Windows are read whole as fast as they come, and each has budgets of its own.

mod aws_profile;
mod bucket;
mod checksums;
mod credentials;
mod error;
mod first_contact;
mod forgotten;
mod listing;
mod memory;
mod open;
mod options;
mod origin;
mod pages;
mod store;
mod url;
mod windows;

pub use bucket::CloudBucket;
pub use error::{Answer, CloudError};
pub use listing::Objects;
pub use options::CloudOptions;
pub(crate) use options::WindowSizes;
pub use origin::ObjectOrigin;
pub use store::{CloudClaim, CloudStore, CloudStoreOptions};
pub use url::{Cloud, ObjectUrl};
