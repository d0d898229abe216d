//! What a selection finds, in which order, and what it says of the rest.

mod manifests;
mod patterns;
mod tree;
#[cfg(unix)]
mod unix_files;
mod walks;
