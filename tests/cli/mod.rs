//! What a user sees: exit statuses, messages, files. Every test runs the program itself, in a folder of its own, with
//! relative names only, so that what it prints is the same everywhere.

mod bad_input;
#[cfg(feature = "http")]
mod broken_link;
mod bundle;
mod cat;
mod compression;
#[cfg(feature = "connect")]
mod connect;
mod containers;
mod destination;
mod exit_status;
mod expect;
#[cfg(feature = "http")]
mod export;
#[cfg(feature = "http")]
#[path = "../../crates/fetch/tests/support/fault_server.rs"]
mod fault_server;
mod fetch;
mod help;
mod incomplete;
mod interrupt;
#[cfg(feature = "http")]
mod network;
mod options;
mod place;
mod privacy;
mod readme;
mod replay;
#[cfg(feature = "http")]
mod replies;
mod restore;
mod roles;
#[cfg(feature = "serve")]
mod serve;
#[cfg(feature = "serve")]
mod serve_process;
#[cfg(all(feature = "serve", feature = "cloud"))]
mod serve_stores;
mod sources;
mod stats;
#[cfg(feature = "cloud")]
mod stores;
mod system;
mod terminal;
#[cfg(feature = "http")]
mod tls;
#[cfg(feature = "serve")]
mod trouble_of_service;
