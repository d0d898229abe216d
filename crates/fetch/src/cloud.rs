//! Sources in object stores: `s3://`, `gs://` and `az://`.
mod aws_profile;
mod bucket;
mod credentials;
mod error;
mod memory;
mod open;
mod options;
mod origin;
mod store;
mod url;
mod windows;

pub use bucket::CloudBucket;
pub use error::{Answer, CloudError};
pub use options::CloudOptions;
pub use origin::ObjectOrigin;
pub use store::{CloudClaim, CloudStore, CloudStoreOptions};
pub use url::{Cloud, ObjectUrl};
