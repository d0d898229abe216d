//! The library inside somebody else's program: resources that are pulled, filtered, or given to a sink of the caller's.

#[cfg(feature = "async")]
mod asynchronous;
mod batches;
mod filters;
mod own_sinks;
mod panics;
mod support;
