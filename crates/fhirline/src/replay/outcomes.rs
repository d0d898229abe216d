use std::borrow::Cow;
use std::io::{BufRead, Read, Seek, SeekFrom};

use serde::Deserialize;

use super::ReplayError;
use super::files::Watched;

/// The extension in which the sink says where a record stood.
const REJECT_URL: &str = "urn:fhirline:reject";

/// A longer line was not written by us: it holds little more than the name of a source.
const MAX_LINE_BYTES: u64 = 1 << 20;

/// One line of `outcome.ndjson`: a rejected record, or several neighbours with the same fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    /// Name of the source.
    pub(super) source: String,
    /// Where the first record stood: physical line from 1, and byte from 0.
    pub(super) line: u64,
    pub(super) byte: u64,
    /// Length of the first record in bytes.
    pub(super) length: u64,
    /// Physical lines that each record has.
    pub(super) lines: u64,
    /// How many records.
    pub(super) count: u64,
    /// Where the last record stood.
    pub(super) last_line: u64,
    pub(super) last_byte: u64,
}

impl Outcome {
    /// Reads a line as [`fhirline_sink`] writes it; `None` if it is none.
    fn parse(json: &[u8]) -> Option<Self> {
        let line: OperationOutcome<'_> = serde_json::from_slice(json).ok()?;
        let [Issue { extension: [reject] }] = line.issue;
        if line.resource_type != "OperationOutcome" || reject.url != REJECT_URL {
            return None;
        }
        let number = |name: &str| reject.part(name)?.value_decimal;
        let (at_line, at_byte) = (number("line")?, number("byte")?);
        let (count, last_line, last_byte) = match number("count") {
            None => (1, at_line, at_byte),
            Some(count) => (count, number("lastLine")?, number("lastByte")?),
        };
        let outcome = Self {
            source: reject.part("source")?.value_string.clone()?,
            line: at_line,
            byte: at_byte,
            length: number("length")?,
            lines: number("lines")?,
            count,
            last_line,
            last_byte,
        };
        outcome.makes_sense().then_some(outcome)
    }

    fn makes_sense(&self) -> bool {
        let counts = self.line > 0 && self.lines > 0 && self.count > 0;
        let forward = self.last_line >= self.line && self.last_byte >= self.byte;
        counts && forward && self.lines.checked_mul(self.count).is_some()
    }

    /// Physical lines that all its records have together.
    pub(super) fn all_lines(&self) -> u64 {
        self.lines.saturating_mul(self.count)
    }
}

/// The outcomes of a quarantine, one after the other.
pub(super) struct Outcomes {
    file: Watched,
    line: u64,
    /// Where the next line begins.
    byte: u64,
    buffer: Vec<u8>,
}

impl Outcomes {
    pub(super) fn new(file: Watched) -> Self {
        Self { file, line: 0, byte: 0, buffer: Vec::new() }
    }

    /// From that byte on, where a line begins. Lines count from there.
    pub(super) fn from(mut file: Watched, byte: u64) -> Result<Self, ReplayError> {
        let sought = file.reader.seek(SeekFrom::Start(byte));
        sought.map_err(|error| file.unreadable(error))?;
        Ok(Self { byte, ..Self::new(file) })
    }

    /// Where the next line begins.
    pub(super) fn byte(&self) -> u64 {
        self.byte
    }

    pub(super) fn next(&mut self) -> Result<Option<Outcome>, ReplayError> {
        loop {
            self.buffer.clear();
            self.line += 1;
            let mut bounded = self.file.reader.by_ref().take(MAX_LINE_BYTES);
            let read = bounded.read_until(b'\n', &mut self.buffer);
            let read = read.map_err(|error| self.file.unreadable(error))?;
            self.byte += read as u64;
            match read {
                0 => return Ok(None),
                _ if self.buffer.trim_ascii().is_empty() => {}
                _ => return Outcome::parse(&self.buffer).map(Some).ok_or_else(|| self.foreign()),
            }
        }
    }

    fn foreign(&self) -> ReplayError {
        ReplayError::Foreign { name: self.file.name(), line: self.line }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OperationOutcome<'l> {
    #[serde(borrow)]
    resource_type: Cow<'l, str>,
    #[serde(borrow)]
    issue: [Issue<'l>; 1],
}

#[derive(Deserialize)]
struct Issue<'l> {
    #[serde(borrow)]
    extension: [Extension<'l>; 1],
}

#[derive(Deserialize)]
struct Extension<'l> {
    #[serde(borrow)]
    url: Cow<'l, str>,
    #[serde(borrow)]
    extension: Vec<Part<'l>>,
}

impl Extension<'_> {
    fn part(&self, name: &str) -> Option<&Part<'_>> {
        self.extension.iter().find(|part| part.url == name)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part<'l> {
    #[serde(borrow)]
    url: Cow<'l, str>,
    value_string: Option<String>,
    value_decimal: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::super::testing::{line_of, one};
    use super::*;
    use serde_json::Value;

    #[test]
    fn what_was_written_is_read() {
        let single = one("a b\"\n\u{e9}.ndjson", 3);
        assert_eq!(Outcome::parse(&line_of(&single)), Some(single.clone()));
        let group = Outcome { count: 7, last_line: 12, last_byte: 1 << 60, lines: 2, ..single };
        assert_eq!(Outcome::parse(&line_of(&group)), Some(group));
    }

    #[test]
    fn what_makes_no_sense_is_not_ours() {
        let sound = one("a", 3);
        for wrong in [
            Outcome { line: 0, ..sound.clone() },
            Outcome { lines: 0, ..sound.clone() },
            Outcome { count: 2, last_line: 2, ..sound.clone() },
            Outcome { count: u64::MAX, lines: 2, last_line: 9, ..sound.clone() },
        ] {
            assert_eq!(Outcome::parse(&line_of(&wrong)), None, "{wrong:?}");
        }
    }

    #[test]
    fn what_lacks_a_part_is_not_ours() {
        let sound: Value = serde_json::from_slice(&line_of(&one("a", 3))).expect("JSON");
        let parts = sound["issue"][0]["extension"][0]["extension"].as_array().expect("a list").len();
        for part in 0..parts {
            let mut lacking = sound.clone();
            let list = lacking["issue"][0]["extension"][0]["extension"].as_array_mut().expect("a list");
            let gone = list.remove(part)["url"].to_string();
            let needed = !matches!(gone.trim_matches('"'), "ordinal" | "at");
            assert_eq!(Outcome::parse(lacking.to_string().as_bytes()).is_none(), needed, "{gone}");
        }
    }

    #[test]
    fn other_resources_are_not_ours() {
        for other in [
            "{}",
            "[]",
            "7",
            "{\"resourceType\":\"OperationOutcome\",\"issue\":[]}",
            "{\"resourceType\":\"OperationOutcome\",\"issue\":[{\"severity\":\"error\",\"code\":\"x\"}]}",
            "{\"resourceType\":\"Patient\"}",
            "not JSON",
        ] {
            assert_eq!(Outcome::parse(other.as_bytes()), None, "{other}");
        }
    }
}
