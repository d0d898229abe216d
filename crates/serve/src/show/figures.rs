//! Figures, as people read them.

use std::fmt;
use std::time::Duration;

use askama::filters::HtmlSafe;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::State;
use crate::clock::rfc3339;
use crate::store::ExportRow;

/// A time (UTC), as HTML.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment(pub(super) i64);

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = rfc3339(self.0);
        let shown = whole.get(..19).unwrap_or(&whole).replace('T', " ");
        write!(f, "<time datetime=\"{whole}\">{shown}</time>")
    }
}

impl HtmlSafe for Moment {}

/// A state, as HTML: it has a colour, but is told by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chip(pub(super) State);

impl fmt::Display for Chip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<span class=\"state {}\">{}</span>", tone(self.0), words(self.0))
    }
}

impl HtmlSafe for Chip {}

/// The name with spaces.
pub(super) fn words(state: State) -> String {
    state.name().replace('_', " ")
}

/// How it looks.
pub(super) fn tone(state: State) -> &'static str {
    match state {
        State::Requested => "idle",
        State::Queued | State::Running => "busy",
        State::Done => "good",
        State::Held | State::DoneWithRejects | State::Mismatch => "fair",
        State::Failed | State::Expired => "bad",
    }
}

/// How far an export is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub(super) struct Progress {
    /// Of the bytes that there are to read, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) percent: Option<u64>,
    /// The same in words.
    pub(super) words: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Noted {
    source_bytes_read: u64,
    source_bytes: Option<u64>,
    records: u64,
    rejects: u64,
}

impl Progress {
    pub(super) fn of(row: &ExportRow) -> Self {
        let noted = row.progress.as_deref().and_then(|text| serde_json::from_str(text).ok());
        let Some(noted): Option<Noted> = noted else {
            return Self { percent: None, words: "begun".to_owned() };
        };
        let total = noted.source_bytes.filter(|total| *total > 0);
        let read = match total {
            Some(total) => format!("{} of {}", size(noted.source_bytes_read), size(total)),
            None => size(noted.source_bytes_read),
        };
        let rejects =
            if noted.rejects > 0 { format!(", {} rejected", grouped(noted.rejects)) } else { String::new() };
        Self {
            percent: total.map(|total| percent(noted.source_bytes_read, total)),
            words: format!("{read}, {} records{rejects}", grouped(noted.records)),
        }
    }
}

fn percent(part: u64, whole: u64) -> u64 {
    let percent = u128::from(part) * 100 / u128::from(whole.max(1));
    u64::try_from(percent.min(100)).unwrap_or(100)
}

/// With a comma between thousands.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Bytes in units of 1,024.
pub(super) fn size(bytes: u64) -> String {
    bytesize::ByteSize(bytes).display().iec().to_string()
}

/// A time between two.
pub(super) fn span(from: i64, to: i64) -> String {
    let ms = u64::try_from(to.saturating_sub(from)).unwrap_or_default();
    match ms {
        0..1000 => format!("{ms} ms"),
        1000..60_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        _ => humantime::format_duration(Duration::from_secs(ms / 1000)).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_easily() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(
            [span(0, 5), span(0, 1250), span(0, 61_999), span(5, 0)],
            ["5 ms", "1.2 s", "1m 1s", "0 ms"]
        );
        assert_eq!(
            [percent(1, 3), percent(3, 3), percent(9, 3), percent(u64::MAX, u64::MAX)],
            [33, 100, 100, 100]
        );
        assert_eq!(
            Moment(0).to_string(),
            "<time datetime=\"1970-01-01T00:00:00.000Z\">1970-01-01 00:00:00</time>"
        );
        assert_eq!(
            Chip(State::DoneWithRejects).to_string(),
            "<span class=\"state fair\">done with rejects</span>"
        );
    }
}
