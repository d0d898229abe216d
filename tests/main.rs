//! Tests of the whole program, one module a theme.

mod cli;
mod faults;
mod hostile_cuts;
mod layering;
mod ledger;
mod oracle;
mod sinks;
mod support;
