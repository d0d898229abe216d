//! Sources in object stores: `s3://`, `gs://` and `az://`.
mod aws_profile;
mod bucket;
mod credentials;
mod error;
mod open;
mod options;
mod origin;
mod url;
mod windows;

pub use bucket::CloudBucket;
pub use error::{Answer, CloudError};
pub use options::CloudOptions;
pub use origin::ObjectOrigin;
pub use url::{Cloud, ObjectUrl};
