//! Sources behind `http://` and `https://`.
//!
//! # One object, or an error
//!
//! A long download breaks. [`HttpOrigin`] goes on where it broke, and what it must never do is to put two objects
//! together. What the first answer says of the object (its length, `ETag`, `Last-Modified`, content coding) is pinned for
//! the life of the [`HttpClient`], and every later answer must say the same. A continuation asks with `If-Match` where there is a strong
//! `ETag`. Where there is none, or the server does not repeat it, the last 64 KiB that were delivered are asked for again
//! and compared byte for byte. A server without ranges sends the object from its beginning: what was delivered is hashed
//! (SHA-256) and the second sending must have the same beginning.
//!
//! What cannot be seen: an object that was replaced between two requests by another one of the same length, by a server
//! that sends no validator (or the same one), answers ranges, and whose bytes are the same in the 64 KiB before the break.
//! Nor can it be seen that a body without `Content-Length` or chunks (HTTP/1.0) was cut off, since its only end is that of the
//! connection.
//!
//! # Secrets
//!
//! Credentials and the headers that a user adds go to the scheme, host and port that the user named, and to no other. Errors
//! and `Debug` show URLs without user and query.

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
