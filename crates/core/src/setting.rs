use std::fmt;

/// Something that a caller can set, as errors and hints speak of it.
///
/// Texts name it as the library does, so that whoever shows them to others can put their names in place of it.
///
/// ```
/// use fhirline_core::Setting;
///
/// let hint = format!("choose another name, or give {} to replace it", Setting::Overwrite);
/// assert_eq!(hint, "choose another name, or give `overwrite` to replace it");
/// let option = |setting| if setting == Setting::Overwrite { "--overwrite" } else { "another option" };
/// assert_eq!(Setting::renamed(&hint, option), "choose another name, or give --overwrite to replace it");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// Whether sources that are not whole count all the same.
    AllowIncomplete,
    /// The checksums of outputs.
    Checksum,
    /// How outputs are compressed.
    Codec,
    /// What servers are shown.
    Credentials,
    /// The resource types that are left out.
    ExceptTypes,
    /// The counts that a sender declared.
    Expectation,
    /// Whether Bundles are delivered as they are.
    KeepBundles,
    /// Whether what entries of Bundles say of themselves is kept.
    KeepEntryMetadata,
    /// How hard outputs are compressed.
    Level,
    /// Most decoded bytes of a source.
    MaxDecodedBytes,
    /// Most bytes of an output.
    MaxFileBytes,
    /// Most records of an output.
    MaxFileRecords,
    /// Most bytes of a line.
    MaxLineBytes,
    /// How much a source may grow when it is decoded.
    MaxRatio,
    /// Most records that may be rejected.
    MaxRejects,
    /// The ceiling on memory.
    Memory,
    /// What becomes of resources that stand twice.
    OnDuplicate,
    /// Whether what is there is replaced.
    Overwrite,
    /// The job that counts and writes nothing.
    Stats,
    /// Hosts that may be shown a token.
    TokenHosts,
    /// Whether records are not proved.
    TrustInput,
    /// The resource types that are wanted.
    Types,
}

impl Setting {
    /// All of them.
    pub const ALL: [Self; 22] = [
        Self::AllowIncomplete,
        Self::Checksum,
        Self::Codec,
        Self::Credentials,
        Self::ExceptTypes,
        Self::Expectation,
        Self::KeepBundles,
        Self::KeepEntryMetadata,
        Self::Level,
        Self::MaxDecodedBytes,
        Self::MaxFileBytes,
        Self::MaxFileRecords,
        Self::MaxLineBytes,
        Self::MaxRatio,
        Self::MaxRejects,
        Self::Memory,
        Self::OnDuplicate,
        Self::Overwrite,
        Self::Stats,
        Self::TokenHosts,
        Self::TrustInput,
        Self::Types,
    ];

    /// What the library calls it: the method of a builder, most often. No name is part of another one.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AllowIncomplete => "`allow_incomplete`",
            Self::Checksum => "`checksum`",
            Self::Codec => "`encoding`",
            Self::Credentials => "`HttpOptions::with_credentials`",
            Self::ExceptTypes => "`Selection::except`",
            Self::Expectation => "`expect`",
            Self::KeepBundles => "`keep_bundles`",
            Self::KeepEntryMetadata => "`keep_entry_metadata`",
            Self::Level => "the level of `Encoding`",
            Self::MaxDecodedBytes => "`max_decoded_bytes`",
            Self::MaxFileBytes => "`max_file_bytes`",
            Self::MaxFileRecords => "`max_file_records`",
            Self::MaxLineBytes => "`max_line_bytes`",
            Self::MaxRatio => "`max_ratio`",
            Self::MaxRejects => "`max_rejects`",
            Self::Memory => "`memory_bytes` (or `memory_beside_bytes`)",
            Self::OnDuplicate => "`on_duplicate`",
            Self::Overwrite => "`overwrite`",
            Self::Stats => "`Output::Stats`",
            Self::TokenHosts => "`token_hosts`",
            Self::TrustInput => "`trust_input`",
            Self::Types => "`Selection::only`",
        }
    }

    /// The text with other names in place of the library's.
    #[must_use]
    pub fn renamed(text: &str, name_of: impl Fn(Self) -> &'static str) -> String {
        Self::ALL
            .iter()
            .fold(text.to_owned(), |text, setting| text.replace(setting.name(), name_of(*setting)))
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_there_once_and_no_name_is_part_of_another() {
        for (number, one) in Setting::ALL.into_iter().enumerate() {
            assert_eq!(one as usize, number, "{one:?}");
            let others = Setting::ALL.into_iter().filter(|other| *other != one);
            assert!(others.into_iter().all(|other| !other.name().contains(one.name())), "{one}");
        }
    }

    #[test]
    fn a_text_that_names_several_names_them_otherwise() {
        let text = format!("{} and {}, or {}", Setting::Codec, Setting::Level, Setting::Codec);
        let name = |setting| match setting {
            Setting::Codec => "--compress",
            Setting::Level => "--level",
            _ => "another",
        };
        assert_eq!(Setting::renamed(&text, name), "--compress and --level, or --compress");
    }
}
