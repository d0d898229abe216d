//! Sources behind `http://` and `https://`, and small exchanges with servers.
//!
//! A [`HttpClient`] sends questions and follows redirects (`exchange`), with what is secret kept to the server that was named
//! (`target`, `access`). An [`HttpOrigin`] brings an object by as many requests as it takes (`transfer`), and holds them together by
//! what the answers say of it (`pin`) and by the bytes that come twice (`seam`).

mod access;
mod answer;
mod ask;
mod client;
mod content_range;
mod credentials;
mod error;
mod exchange;
mod first_bytes;
mod link;
mod netrc;
mod options;
mod origin;
mod patience;
mod pin;
mod probe;
mod queue;
mod reader;
mod request;
mod seam;
mod tail;
mod target;
mod transfer;

pub use answer::Answer;
pub use client::HttpClient;
pub use credentials::{Credentials, TokenSource};
pub use error::{Change, HttpError, Markup};
pub use netrc::Netrc;
pub use options::{HttpOptions, Retry};
pub use origin::HttpOrigin;
pub use request::Request;
pub use secrecy::SecretString;
