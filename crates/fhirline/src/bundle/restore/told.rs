use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::RestoreError;
use super::output::Output;
use crate::JobError;

/// What stands between what a line is about and the members that it tells. No string can hold it: its quotes would be escaped.
const MEMBERS: &[u8] = b",\"members\":{";

/// What stands behind the members.
const END: &[u8] = b"}}";

/// No line of ours has more before its members.
const MAX_HEAD_BYTES: usize = 1 << 20;

/// What a line of `_bundles` is about. Only the last one of a Bundle has `entries` and `ending`.
#[derive(Debug, Deserialize)]
pub(super) struct BundleHead {
    pub(super) bundle: String,
    #[serde(default)]
    pub(super) entries: Option<u64>,
    #[serde(default)]
    pub(super) ending: Option<String>,
}

/// What a line of `_entry_metadata` is about. Only the last one of an entry has `outputs`.
#[derive(Debug, Deserialize)]
pub(super) struct EntryHead {
    pub(super) bundle: String,
    pub(super) entry: u64,
    #[serde(default)]
    pub(super) outputs: Option<Vec<String>>,
}

/// The lines of a sidecar that tells members. They may be longer than memory.
pub(super) struct Told {
    output: Output,
    /// What was read of the present line and not handed on.
    rest: Vec<u8>,
    is_last: bool,
    space: Vec<u8>,
}

impl Told {
    pub(super) fn new(output: Output) -> Self {
        Self { output, rest: Vec::new(), is_last: true, space: Vec::new() }
    }

    /// Goes to the next line; `None` if there is none.
    pub(super) fn head<H: DeserializeOwned>(&mut self) -> Result<Option<H>, RestoreError> {
        if !self.output.begin_line()? {
            return Ok(None);
        }
        self.rest.clear();
        let end = loop {
            // The words may stand across the end of a piece.
            let seen = self.rest.len().saturating_sub(MEMBERS.len());
            self.read_on()?;
            let found = self.rest[seen..].windows(MEMBERS.len()).position(|words| words == MEMBERS);
            match found {
                Some(at) => break seen + at,
                None if self.is_last || self.rest.len() > MAX_HEAD_BYTES => return Err(self.foreign()),
                None => {}
            }
        };
        let head = [&self.rest[..end], b"}"].concat();
        self.rest.drain(..end + MEMBERS.len());
        serde_json::from_slice(&head).map(Some).map_err(|_| self.foreign())
    }

    /// Hands on the members of the line, in pieces, with commas between them.
    pub(super) fn members(
        &mut self,
        take: &mut dyn FnMut(&[u8]) -> Result<(), JobError>,
    ) -> Result<(), JobError> {
        loop {
            // The end of the line may stand across the end of a piece.
            let end = self.rest.len().saturating_sub(END.len());
            if self.is_last && self.rest[end..] != *END {
                return Err(self.foreign().into());
            }
            take(&self.rest[..end])?;
            if self.is_last {
                return Ok(());
            }
            self.rest.drain(..end);
            self.read_on()?;
        }
    }

    fn read_on(&mut self) -> Result<(), RestoreError> {
        self.is_last = self.output.piece(&mut self.space)?;
        self.rest.extend_from_slice(&self.space);
        Ok(())
    }

    /// The present line is not what was to be expected.
    pub(super) fn foreign(&self) -> RestoreError {
        RestoreError::Foreign { name: self.output.name().to_owned(), line: self.output.line() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OutputReport;

    fn told_in(folder: &std::path::Path, records: u64) -> Told {
        let file = OutputReport {
            name: "told".to_owned(),
            resource_type: None,
            records,
            plain_bytes: 0,
            stored_bytes: 0,
            checksum: None,
        };
        Told::new(Output::new("told", folder, vec![file]))
    }

    #[test]
    fn lines_are_read_however_they_fall_into_pieces() {
        let folder = tempfile::tempdir().expect("a folder");
        let members = format!("\"a\":\"{}\"", "b}".repeat(1 << 16));
        for length in (1 << 16) - 80..(1 << 16) + 20 {
            let outputs = format!("[\"{}\"]", "o".repeat(length));
            let line = |members: &str| {
                format!(
                    "{{\"bundle\":\"0:0\",\"entry\":7,\"outputs\":{outputs},\"members\":{{{members}}}}}\n"
                )
            };
            let text = [&*members, "", &members[..length]].map(line).concat();
            std::fs::write(folder.path().join("told"), text).expect("written");
            let mut told = told_in(folder.path(), 3);
            for expected in [&*members, "", &members[..length]] {
                let head = told.head::<EntryHead>().expect("ours").expect("a line");
                assert_eq!((&*head.bundle, head.entry), ("0:0", 7));
                assert_eq!(head.outputs.map(|outputs| outputs[0].len()), Some(length));
                let mut found = Vec::new();
                let mut take = |piece: &[u8]| {
                    found.extend_from_slice(piece);
                    Ok(())
                };
                told.members(&mut take).expect("ours");
                assert!(found == expected.as_bytes());
            }
            assert!(told.head::<EntryHead>().expect("an end").is_none());
        }
    }

    #[test]
    fn other_lines_are_not_taken_for_ours() {
        let folder = tempfile::tempdir().expect("a folder");
        for line in
            ["{}", "{\"bundle\":\"0:0\",\"members\":{}}", "{\"bundle\":\"0:0\",\"entry\":0,\"members\":{}]"]
        {
            std::fs::write(folder.path().join("told"), format!("{line}\n")).expect("written");
            let mut told = told_in(folder.path(), 1);
            let read = told
                .head::<EntryHead>()
                .and_then(|_| told.members(&mut |_| Ok(())).map_err(|_| told.foreign()));
            assert!(matches!(read, Err(RestoreError::Foreign { line: 1, .. })), "{line}");
        }
    }
}
