//! What the HTTP source makes of servers that break, change, throttle, lie and redirect.
#![cfg(feature = "http")]

mod asks;
mod breaks;
mod changes;
#[path = "../support/fault_server.rs"]
mod fault_server;
mod identity;
mod properties;
mod redirects;
mod refusals;
mod renewal;
mod retries;
mod secrets;
mod setup;
