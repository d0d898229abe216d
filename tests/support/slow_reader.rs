//! The same job done in the slowest and plainest way, by other code: bytes in memory, one line or one value at a time,
//! `serde_json`. It shares nothing with the product but the names of faults.

// The fuzz target comes here by another way.
#[path = "slow_reader/containers.rs"]
mod containers;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::Files;
use containers::{Item, is_container, items_of, minified};

pub(crate) use containers::members;

const MARK: &[u8] = b"\xEF\xBB\xBF";
const MAX_DEPTH: usize = 1000;

/// What becomes of sources, predicted.
#[derive(Default)]
pub(crate) struct SlowReader {
    max_line_bytes: Option<u64>,
    keep_bundles: bool,
    /// The outputs, and `_quarantine/lines.raw` if there are rejects.
    pub(crate) files: Files,
    /// What is delivered, of all types together.
    pub(crate) together: Vec<u8>,
    pub(crate) rejects: Vec<Rejected>,
    /// Sources that cannot be read at all.
    pub(crate) refused: Vec<String>,
    /// Sources whose values are not all sound: what becomes of those is not for this reader to say.
    pub(crate) unpredicted: Vec<String>,
    /// Whether lines are no records in one of the sources.
    pub(crate) spans_lines: bool,
    pub(crate) delivered: u64,
    /// Values and entries that were found in containers.
    pub(crate) unwrapped: u64,
    pub(crate) blank_lines: u64,
    /// What Bundles and their entries say beside that, member by member.
    pub(crate) of_bundles: Vec<String>,
    pub(crate) of_entries: Vec<String>,
    stems: BTreeMap<String, Vec<String>>,
}

/// One rejected record. The fault is told only where `serde_json` leaves no doubt about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rejected {
    pub(crate) source: String,
    pub(crate) line: u64,
    pub(crate) byte: u64,
    pub(crate) length: u64,
    /// On how many lines it stands.
    pub(crate) lines: u64,
    pub(crate) fault: Option<&'static str>,
}

/// A source that is read.
#[derive(Clone, Copy)]
struct Source<'s> {
    name: &'s str,
    bytes: &'s [u8],
}

impl SlowReader {
    pub(crate) fn new(max_line_bytes: u64) -> Self {
        Self { max_line_bytes: Some(max_line_bytes), ..Self::default() }
    }

    /// One to which Bundles are resources like any other.
    pub(crate) fn keeping_bundles() -> Self {
        Self { keep_bundles: true, ..Self::default() }
    }

    /// Takes one source, already decoded.
    pub(crate) fn read(&mut self, name: &str, bytes: &[u8]) {
        let text = bytes.strip_prefix(MARK).unwrap_or(bytes);
        let source = Source { name, bytes };
        match format_of(text) {
            Format::Lines => self.lines(source, text),
            Format::Values => self.values(source, text),
            Format::Other => self.refused.push(name.to_owned()),
        }
    }

    fn lines(&mut self, source: Source<'_>, text: &[u8]) {
        for line in text.split_inclusive(|&byte| byte == b'\n') {
            let content = without_end(line);
            if let Some(fault) = self.line(source, content) {
                self.reject(source, content, fault);
            }
        }
    }

    /// Delivers a line if it is sound; else what is wrong with it.
    fn line(&mut self, source: Source<'_>, content: &[u8]) -> Option<Option<&'static str>> {
        if self.is_too_long(content) {
            return Some(Some("too-long"));
        }
        let record = trim(content);
        if record.is_empty() {
            self.blank_lines += 1;
            return None;
        }
        let name = match type_of(record) {
            Ok(name) => name,
            Err(fault) => return Some(fault),
        };
        let value: &RawValue = serde_json::from_slice(record).expect("it has a type");
        if name == "Bundle" && !self.keep_bundles && is_container(value) {
            self.items(source, value);
        } else {
            self.deliver(&name, record);
        }
        None
    }

    fn is_too_long(&self, content: &[u8]) -> bool {
        self.max_line_bytes.is_some_and(|most| content.len() as u64 > most)
    }

    /// Takes values that need not be one a line. All of them must be objects or arrays.
    fn values(&mut self, source: Source<'_>, text: &[u8]) {
        self.spans_lines = true;
        let values: Result<Vec<&RawValue>, _> =
            serde_json::Deserializer::from_slice(text).into_iter().collect();
        let is_nested = |value: &&RawValue| value.get().starts_with(['{', '[']);
        match values {
            Ok(values)
                if values.iter().all(is_nested) && depth_of(&String::from_utf8_lossy(text)) < MAX_DEPTH =>
            {
                values.into_iter().for_each(|value| self.items(source, value));
            }
            _ => self.unpredicted.push(source.name.to_owned()),
        }
    }

    fn items(&mut self, source: Source<'_>, value: &RawValue) {
        for item in items_of(value, self.keep_bundles) {
            self.unwrapped += u64::from(item != Item::Record(value.get()));
            match item {
                Item::Record(record) if self.is_too_long(record.as_bytes()) => {
                    self.reject(source, record.as_bytes(), Some("too-long"));
                }
                Item::Record(record) => match type_of(record.as_bytes()) {
                    Ok(name) => self.deliver(&name, on_one_line(record).as_bytes()),
                    Err(fault) => self.reject(source, record.as_bytes(), fault),
                },
                Item::Entry(entry) => self.put("_entries.ndjson", on_one_line(entry).as_bytes()),
                Item::OfBundle(member) => self.of_bundles.push(on_one_line(member).into_owned()),
                Item::OfEntry(member) => self.of_entries.push(on_one_line(member).into_owned()),
                Item::Bad(value, fault) => self.reject(source, value.as_bytes(), Some(fault)),
            }
        }
    }

    fn deliver(&mut self, name: &str, record: &[u8]) {
        let stem = self.stem(name);
        self.put(&format!("{stem}.ndjson"), record);
        self.together.extend_from_slice(record);
        self.together.push(b'\n');
        self.delivered += 1;
    }

    /// Sets aside what stands there in the source.
    fn reject(&mut self, source: Source<'_>, content: &[u8], fault: Option<&'static str>) {
        let byte = content.as_ptr() as usize - source.bytes.as_ptr() as usize;
        let line_ends = |bytes: &[u8]| bytes.iter().filter(|&&byte| byte == b'\n').count() as u64;
        let (line, lines) = (line_ends(&source.bytes[..byte]) + 1, line_ends(content) + 1);
        let (byte, length) = (byte as u64, content.len() as u64);
        self.rejects.push(Rejected { source: source.name.to_owned(), line, byte, length, lines, fault });
        self.put("_quarantine/lines.raw", content);
    }

    fn put(&mut self, name: &str, line: &[u8]) {
        let output = self.files.entry(name.to_owned()).or_default();
        output.extend_from_slice(line);
        output.push(b'\n');
    }

    /// The name of the output for a type: itself, or with a number if an earlier one differs in case only.
    fn stem(&mut self, name: &str) -> String {
        let shaped = name.len() <= 64
            && name.starts_with(|c: char| c.is_ascii_uppercase())
            && name.chars().all(|c| c.is_ascii_alphabetic());
        if !shaped {
            return "_unknown".to_owned();
        }
        let spellings = self.stems.entry(name.to_lowercase()).or_default();
        let place = spellings.iter().position(|spelling| spelling == name).unwrap_or_else(|| {
            spellings.push(name.to_owned());
            spellings.len() - 1
        });
        if place == 0 { name.to_owned() } else { format!("{name}-{}", place + 1) }
    }
}

fn without_end(line: &[u8]) -> &[u8] {
    let Some(content) = line.strip_suffix(b"\n") else { return line };
    content.strip_suffix(b"\r").unwrap_or(content)
}

fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t' | b'\r' | b'\n', rest @ ..] | [rest @ .., b' ' | b'\t' | b'\r' | b'\n'] = text {
        text = rest;
    }
    text
}

/// The type of a record, or its fault (the inner `None` if it is bad and that is all that is certain).
fn type_of(record: &[u8]) -> Result<String, Option<&'static str>> {
    if record.starts_with(MARK) {
        return Err(Some("byte-order-mark"));
    }
    if let Err(error) = serde_json::from_slice::<&RawValue>(record) {
        return Err(fault_of(record, &error));
    }
    let text = str::from_utf8(record).expect("a RawValue is UTF-8");
    if depth_of(text) > MAX_DEPTH {
        return Err(Some("too-deep"));
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let last = deserializer.deserialize_map(LastType).map_err(|_| Some("not-an-object"))?;
    let value = last.ok_or(Some("no-resource-type"))?;
    if !value.get().starts_with('"') {
        return Err(Some("resource-type-not-string"));
    }
    match decoded(value) {
        name if name.is_empty() => Err(Some("resource-type-empty")),
        name => Ok(name.into_owned()),
    }
}

/// What is wrong with text that is no JSON value, where it is certain.
fn fault_of(record: &[u8], error: &serde_json::Error) -> Option<&'static str> {
    let Ok(text) = str::from_utf8(record) else {
        let repaired = String::from_utf8_lossy(record);
        let only_that = serde_json::from_str::<&RawValue>(&repaired).is_ok();
        return only_that.then_some("not-utf8");
    };
    if depth_of(text) > MAX_DEPTH {
        return None;
    }
    if is_cut(text, error) {
        return Some("incomplete");
    }
    if error.to_string().starts_with("invalid number") {
        // A digit behind a leading zero: an invalid number, or a number and something else. Both are true.
        return None;
    }
    let several = error.to_string().starts_with("trailing characters");
    Some(if several { "several-values" } else { "not-json" })
}

/// Whether the text ends within a value. Of a number that is cut off, serde_json says that it is invalid: if one more digit
/// mends it, it was cut.
fn is_cut(text: &str, error: &serde_json::Error) -> bool {
    let mends =
        |longer: String| serde_json::from_str::<&RawValue>(&longer).err().is_none_or(|error| error.is_eof());
    error.is_eof() || mends(format!("{text}1"))
}

/// The most brackets open at once, outside strings.
fn depth_of(text: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// Finds the last top-level `resourceType`.
struct LastType;

impl<'de> Visitor<'de> for LastType {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut last = None;
        while let Some((key, value)) = map.next_entry::<&'de RawValue, &'de RawValue>()? {
            if decoded(key) == "resourceType" {
                last = Some(value);
            }
        }
        Ok(last)
    }
}

/// The text of a string; one with a lone surrogate, which is no text, only has to be told from all others.
fn decoded(string: &RawValue) -> Cow<'_, str> {
    serde_json::from_str(string.get()).map_or(Cow::Borrowed("\u{FFFD}"), Cow::Owned)
}

/// A record that spans lines loses the white space between its tokens; any other is as it was.
fn on_one_line(record: &str) -> Cow<'_, str> {
    if record.contains('\n') { Cow::Owned(minified(record)) } else { Cow::Borrowed(record) }
}

/// What a source holds.
enum Format {
    /// Every line is a record of its own, or a Bundle.
    Lines,
    /// Values over any lines.
    Values,
    Other,
}

fn format_of(text: &[u8]) -> Format {
    let magics: [&[u8]; 4] = [b"\xFF\xFE", b"\xFE\xFF", b"PK\x03\x04", b"PAR1"];
    if magics.iter().any(|magic| text.starts_with(magic)) || trim(text).starts_with(b"<") {
        return Format::Other;
    }
    let mut lines = text.split(|&byte| byte == b'\n').map(trim).filter(|line| !line.is_empty());
    let Some(first) = lines.next() else { return Format::Lines };
    let is_whole = is_value(first);
    if !is_whole && !may_become_value(first) {
        return Format::Lines;
    }
    if is_opened(first) {
        return Format::Values;
    }
    if is_whole {
        return Format::Lines;
    }
    let stands_alone = match lines.next() {
        Some(next) => {
            let has_type = type_of(next) != Err(Some("no-resource-type"));
            next.starts_with(b"{") && is_value(next) && has_type
        }
        None => !["\"entry\"", "\"Bundle\""].iter().any(|word| String::from_utf8_lossy(first).contains(word)),
    };
    if stands_alone { Format::Lines } else { Format::Values }
}

/// An array, or an object whose first key is `providers`: opened wherever it ends.
fn is_opened(first: &[u8]) -> bool {
    let key = first.strip_prefix(b"{").map(trim);
    let has_providers = key.is_some_and(|key| key.starts_with(b"\"providers\""));
    let is_record = is_value(first) && type_of(first) != Err(Some("no-resource-type"));
    first.starts_with(b"[") || (has_providers && !is_record)
}

fn is_value(line: &[u8]) -> bool {
    let sound = serde_json::from_slice::<&RawValue>(line).is_ok();
    sound && str::from_utf8(line).is_ok_and(|text| depth_of(text) <= MAX_DEPTH)
}

/// Whether a line that is no value is a legal beginning of one; or nested too deeply to tell.
fn may_become_value(line: &[u8]) -> bool {
    let text = match str::from_utf8(line) {
        Ok(text) => text.to_owned(),
        // Cut within a character: legal if it could have been any.
        Err(error) if error.error_len().is_none() => {
            format!("{}\u{FFFD}", String::from_utf8_lossy(&line[..error.valid_up_to()]))
        }
        Err(_) => return false,
    };
    depth_of(&text) > MAX_DEPTH
        || serde_json::from_str::<&RawValue>(&text).is_err_and(|error| is_cut(&text, &error))
}

/// The rejects as `_quarantine/outcome.ndjson` tells them, and the code of each fault.
pub(crate) fn told_rejects(outcomes: &[u8]) -> Vec<(Rejected, String)> {
    let told = |(index, line): (usize, &[u8])| {
        let outcome: Value = serde_json::from_slice(line).expect("an OperationOutcome");
        assert_eq!(outcome["resourceType"], "OperationOutcome");
        let issue = &outcome["issue"][0];
        let number = |name: &str| part(issue, name)["valueDecimal"].as_u64().expect("a number");
        assert_eq!(number("ordinal"), index as u64 + 1);
        let source = part(issue, "source")["valueString"].as_str().expect("a text").to_owned();
        let (line, byte, length) = (number("line"), number("byte"), number("length"));
        assert!(number("at") <= length, "the fault is within the record");
        let code = issue["details"]["coding"][0]["code"].as_str().expect("a code").to_owned();
        (Rejected { source, line, byte, length, lines: number("lines"), fault: None }, code)
    };
    outcomes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).enumerate().map(told).collect()
}

/// One part of the extension of an issue.
fn part<'v>(issue: &'v Value, name: &str) -> &'v Value {
    let parts = issue["extension"][0]["extension"].as_array().expect("parts");
    parts.iter().find(|part| part["url"] == name).expect("the part is told")
}
