use std::path::Path;

use anyhow::Context;
use clap::CommandFactory;

use fhirline::ExitStatus;

use crate::args::Cli;
use crate::summary;
use crate::trouble::Broken;

/// Prints the completions for a shell.
pub(crate) fn completions(shell: clap_complete::Shell) -> anyhow::Result<ExitStatus> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "fhirline", &mut script);
    print(&script)
}

/// Prints the man page, or writes one for each command.
pub(crate) fn man(folder: Option<&Path>) -> anyhow::Result<ExitStatus> {
    if let Some(folder) = folder {
        std::fs::create_dir_all(folder)
            .with_context(|| Broken(format!("cannot make {}", folder.display())))?;
        clap_mangen::generate_to(Cli::command(), folder)
            .with_context(|| Broken(format!("cannot write to {}", folder.display())))?;
        return Ok(ExitStatus::Complete);
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(Cli::command()).render(&mut page)?;
    print(&page)
}

fn print(bytes: &[u8]) -> anyhow::Result<ExitStatus> {
    summary::print_plain(bytes)?;
    Ok(ExitStatus::Complete)
}
