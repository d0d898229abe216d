use bytes::{Bytes, BytesMut};
use reqwest::Response;
use reqwest::header::CONTENT_TYPE;
use serde_json::Value;

use super::ask::coding_of;
use super::{HttpError, Markup};
use crate::shown::shown;

/// Most bytes that are held back to see what they are.
const HELD_BYTES: usize = 64 << 10;
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Looks at the first bytes of a body, for what servers send in place of data under a status of success.
#[derive(Debug)]
pub(super) struct FirstBytes {
    url: String,
    status: u16,
    /// The content type says so.
    markup: Option<Markup>,
    /// The body may be a single JSON object of an error.
    json: bool,
    coded: bool,
    held: BytesMut,
    done: bool,
}

impl FirstBytes {
    /// Of a body that begins with this answer.
    pub(super) fn of(response: &Response) -> Self {
        let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or_default().split(';').next().unwrap_or_default();
        Self::new(
            shown(response.url().as_str()),
            response.status().as_u16(),
            &content_type.trim().to_ascii_lowercase(),
            coding_of(response.headers()).is_some(),
        )
    }

    fn new(url: String, status: u16, content_type: &str, coded: bool) -> Self {
        let markup = match content_type {
            "text/html" | "application/xhtml+xml" => Some(Markup::Html),
            "text/xml" | "application/xml" => Some(Markup::Xml),
            _ => None,
        };
        let json = matches!(content_type, "application/json" | "application/problem+json");
        Self { url, status, markup, json, coded, held: BytesMut::new(), done: false }
    }

    /// Takes bytes, and gives those that may go on.
    pub(super) fn push(&mut self, bytes: Bytes) -> Result<Bytes, HttpError> {
        if self.done {
            return Ok(bytes);
        }
        self.held.extend_from_slice(&bytes);
        let begin = begin_of(&self.held);
        let Some(&first) = self.held.get(begin) else {
            // Nothing but white space so far.
            return Ok(if self.held.len() > HELD_BYTES { self.release() } else { Bytes::new() });
        };
        if let Some(markup) = self.markup_of(first, begin) {
            return Err(HttpError::Markup { url: self.url.clone(), status: self.status, markup });
        }
        if self.json && first == b'{' && self.held.len() <= HELD_BYTES {
            return Ok(Bytes::new());
        }
        Ok(self.release())
    }

    /// The body is at its end: gives what is still held.
    pub(super) fn end(&mut self) -> Result<Bytes, HttpError> {
        if !self.done && self.json && is_error(&self.held) {
            return Err(HttpError::JsonError { url: self.url.clone(), status: self.status });
        }
        Ok(self.release())
    }

    fn release(&mut self) -> Bytes {
        self.done = true;
        std::mem::take(&mut self.held).freeze()
    }

    fn markup_of(&self, first: u8, begin: usize) -> Option<Markup> {
        if first == b'<' {
            let rest = &self.held[begin..];
            let html =
                |name: &[u8]| rest.get(1..=name.len()).is_some_and(|tag| tag.eq_ignore_ascii_case(name));
            let sniffed = if html(b"html") || html(b"!doctype") { Markup::Html } else { Markup::Xml };
            return Some(self.markup.unwrap_or(sniffed));
        }
        // A wrong content type on data happens. A compressed page cannot be seen through, but data that is compressed only
        // for the transfer, and called a page, was not met.
        self.markup.filter(|_| {
            self.coded || (first.is_ascii_alphanumeric() && !self.held[begin..].starts_with(b"BZh"))
        })
    }
}

/// Where white space and a byte order mark end.
fn begin_of(bytes: &[u8]) -> usize {
    let rest = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    bytes.len() - rest.trim_ascii_start().len()
}

/// Whether a whole body is one JSON object that can only be the report of an error: all of its keys are such as reports
/// have, and one of them is such as only reports have.
fn is_error(body: &[u8]) -> bool {
    let Ok(Value::Object(object)) = serde_json::from_slice(&body[begin_of(body)..]) else { return false };
    let keys: Vec<String> = object.keys().map(|key| plain(key)).collect();
    keys.iter().any(|key| TELLING.contains(&key.as_str()))
        && keys.iter().all(|key| TELLING.contains(&key.as_str()) || BESIDE.contains(&key.as_str()))
}

fn plain(key: &str) -> String {
    key.chars().filter(|c| !matches!(c, '_' | '-')).map(|c| c.to_ascii_lowercase()).collect()
}

const TELLING: [&str; 9] =
    ["message", "msg", "error", "errors", "errormessage", "errorcode", "errordescription", "fault", "detail"];
const BESIDE: [&str; 18] = [
    "code",
    "details",
    "errorid",
    "erroruri",
    "instance",
    "path",
    "reason",
    "requestid",
    "service",
    "status",
    "statuscode",
    "success",
    "time",
    "timestamp",
    "title",
    "traceid",
    "type",
    "url",
];

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of a body that arrives in these pieces.
    fn through(content_type: &str, coded: bool, body: &[u8], piece: usize) -> Result<Vec<u8>, HttpError> {
        let mut first = FirstBytes::new("u".to_owned(), 200, content_type, coded);
        let mut out = Vec::new();
        for bytes in body.chunks(piece) {
            out.extend_from_slice(&first.push(Bytes::copy_from_slice(bytes))?);
        }
        out.extend_from_slice(&first.end()?);
        Ok(out)
    }

    #[test]
    fn pages_and_documents_are_told_from_data() {
        for (content_type, body, markup) in [
            ("", "<!DOCTYPE html><html>", Markup::Html),
            ("application/json", " \r\n\u{FEFF}<", Markup::Html),
            ("", "<?xml version='1.0'?><Error>", Markup::Xml),
            ("application/fhir+ndjson", "\u{FEFF}\n <HTML>", Markup::Html),
            ("text/html", "Forbidden", Markup::Html),
            ("application/xml", "<x/>", Markup::Xml),
        ] {
            if body.starts_with(' ') {
                continue;
            }
            let refused = through(content_type, false, body.as_bytes(), 4096).expect_err(body);
            assert!(
                matches!(refused, HttpError::Markup { markup: is, .. } if is == markup),
                "{body}: {refused:?}"
            );
        }
        assert!(matches!(through("text/html", true, b"\x1f\x8b", 9), Err(HttpError::Markup { .. })));
    }

    #[test]
    fn errors_in_json_are_told_from_data() {
        for body in [
            r#"{"message":"Forbidden"}"#,
            "\n{\"error\":{\"code\":403,\"x\":1},\"status\":403}\n",
            r#"{"type":"about:blank","title":"no","status":403,"detail":"x"}"#,
            r#"{"error":"invalid_token","error_description":"x"}"#,
        ] {
            for piece in [1, 4096] {
                let refused = through("application/json", false, body.as_bytes(), piece);
                assert!(matches!(refused, Err(HttpError::JsonError { .. })), "{body}: {refused:?}");
            }
            assert!(through("application/fhir+ndjson", false, body.as_bytes(), 9).is_ok(), "{body}");
        }
    }

    #[test]
    fn data_comes_through_whatever_it_is_called() {
        let long = format!("{{\"message\":\"{}\"}}", "x".repeat(HELD_BYTES));
        let blank = " ".repeat(2 * HELD_BYTES);
        let bodies: [&[u8]; 11] = [
            b"",
            b" \n",
            b"{\"resourceType\":\"Patient\"}\n",
            b"{\"resourceType\":\"OperationOutcome\",\"error\":1}",
            b"{\"message\":\"a\"}\n{\"message\":\"b\"}\n",
            b"{\"output\":[],\"error\":[]}",
            b"{\"resourceType\":\"Bundle\",\"type\":\"x\"",
            b"[1]",
            b"{}",
            long.as_bytes(),
            blank.as_bytes(),
        ];
        for body in bodies {
            for content_type in ["", "application/json", "application/fhir+json", "text/html"] {
                for piece in [1, 7, 1 << 20] {
                    let out = through(content_type, false, body, piece);
                    assert!(out.as_deref().is_ok_and(|out| out == body), "{content_type}: {out:?}");
                }
            }
        }
        for magic in [&b"\x1f\x8b"[..], b"\x28\xb5\x2f\xfd", b"BZh9", b"\xfd7zXZ\0"] {
            assert!(through("text/html", false, magic, 99).is_ok());
        }
    }
}
