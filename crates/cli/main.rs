//! The command line of fhirline: arguments to a [`fhirline::Job`], a terminal reporter, exit statuses. Glue only.

#![forbid(unsafe_code)]

mod args;
mod bundle;
mod commands;
#[cfg(feature = "connect")]
mod connect;
mod demo;
mod downloads;
#[cfg(feature = "http")]
mod export;
mod fetch;
mod interrupt;
mod network;
mod pages;
mod reporter;
#[cfg(feature = "serve")]
mod serve;
mod summary;
mod trouble;
mod wording;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};

fn main() -> ExitCode {
    trouble::silence_panics();
    trouble::guarded(run)
}

fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return trouble::tell_usage(&error),
    };
    let done = match cli.command {
        Command::Split(args) => commands::split(&args),
        Command::Cat(args) => commands::cat(&args),
        Command::Stats(args) => commands::stats(&args),
        Command::Bundle(args) => bundle::bundle(&args),
        Command::Fetch(args) => fetch::fetch(&args),
        Command::Replay(args) => commands::replay(&args),
        Command::Demo(args) => demo::demo(&args),
        #[cfg(feature = "connect")]
        Command::Process(args) => connect::process(&args),
        #[cfg(feature = "connect")]
        Command::Connect(args) => connect::connect(&args),
        #[cfg(feature = "serve")]
        Command::Serve(args) => serve::serve(&args),
        #[cfg(feature = "serve")]
        Command::Work(args) => serve::work(&args),
        Command::Completions { shell } => pages::completions(shell),
        Command::Man { folder } => pages::man(folder.as_deref()),
    };
    match done {
        Ok(status) => ExitCode::from(status.code()),
        Err(error) => trouble::tell(&error),
    }
}
