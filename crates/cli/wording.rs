//! The library speaks of its builders; here the same texts speak of options.

use fhirline::{FailureReport, FetchFailureReport, FetchReport, Report, Setting};

/// A text of the library in the words of the command line.
pub(crate) fn in_options(text: &str) -> String {
    Setting::renamed(text, option)
}

/// The report of a run in the words of the command line.
pub(crate) fn report_in_options(mut report: Report) -> Report {
    for FailureReport { causes, hint, .. } in &mut report.account.sources.failures {
        failure_in_options(causes, hint);
    }
    report
}

/// That of a download.
pub(crate) fn download_in_options(mut report: FetchReport) -> FetchReport {
    for FetchFailureReport { causes, hint, .. } in &mut report.failures {
        failure_in_options(causes, hint);
    }
    report
}

fn failure_in_options(causes: &mut [String], hint: &mut Option<String>) {
    for text in causes.iter_mut().chain(hint) {
        *text = in_options(text);
    }
}

fn option(setting: Setting) -> &'static str {
    match setting {
        Setting::AllowIncomplete => "--allow-incomplete",
        Setting::Checksum => "--checksum",
        Setting::Codec => "--compress",
        Setting::Credentials => "--bearer-env, --basic-env, --netrc, or --smart-client-id for an export",
        Setting::ExceptTypes => "--exclude-type",
        Setting::Expectation => "--expect",
        Setting::KeepBundles => "--keep-bundles",
        Setting::KeepEntryMetadata => "--keep-entry-metadata",
        Setting::Level => "--level",
        Setting::MaxDecodedBytes => "--max-decoded-bytes",
        Setting::MaxFileBytes => "--max-file-bytes",
        Setting::MaxFileRecords => "--max-file-records",
        Setting::MaxLineBytes => "--max-line-bytes",
        Setting::MaxRatio => "--max-ratio",
        Setting::MaxRejects => "--max-rejects or --on-reject",
        Setting::Memory => "--memory",
        Setting::OnDuplicate => "--on-duplicate",
        Setting::Overwrite => "--overwrite",
        Setting::Stats => "`fhirline stats`",
        Setting::TokenHosts => "--token-host HOST",
        Setting::TrustInput => "--trust-input",
        Setting::Types => "--type",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn each_setting_is_called_by_options_that_there_are() {
        let command = crate::args::Cli::command();
        let known: Vec<String> = command
            .get_subcommands()
            .flat_map(|verb| verb.get_arguments().filter_map(|argument| argument.get_long()))
            .map(|long| format!("--{long}"))
            .collect();
        // Those of servers are there with the network only.
        let of_network = [Setting::Credentials, Setting::TokenHosts];
        for setting in Setting::ALL {
            let words = option(setting).split([' ', ',']).filter(|word| word.starts_with("--"));
            for word in words.filter(|_| cfg!(feature = "http") || !of_network.contains(&setting)) {
                assert!(known.iter().any(|option| option == word), "{word} of {setting}");
            }
        }
    }
}
