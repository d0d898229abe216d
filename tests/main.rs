//! Tests of the whole program, one module a theme.

mod cli;
mod containers;
mod faults;
mod fuzz_corpus;
mod hostile_cuts;
mod kill;
mod laws;
mod layering;
mod ledger;
#[cfg(all(feature = "http", feature = "cloud"))]
mod network_memory;
mod oracle;
mod sinks;
mod support;
