use memchr::memchr;

use super::WriteOptions;
use super::entry::fingerprint;
use super::seen::Seen;

/// The longest `Type/id` and the quote behind it.
const LONGEST_NAME: usize = 64 + 1 + 64 + 1;

/// Reads again which URLs stand in a Bundle of ours. Made by [`Writer::go_back`](crate::Writer::go_back).
///
/// Each `fullUrl` begins a line, behind nothing but what is always the same, and no line of a resource can look like that: its
/// tokens stand on one line, or, laid out for people, further to the right.
#[derive(Debug)]
#[must_use = "the writer does not know what stands in the Bundle before it has been shown"]
pub struct Recall<'w> {
    seen: &'w mut Seen,
    /// What a line begins with that has a RESTful URL.
    lead: Vec<u8>,
    /// The beginning of the present line.
    line: Vec<u8>,
}

impl<'w> Recall<'w> {
    pub(super) fn new(options: &WriteOptions, seen: &'w mut Seen) -> Self {
        let before = if options.pretty { "      \"fullUrl\": \"" } else { "{\"fullUrl\":\"" };
        let lead = format!("{before}{}/", options.base).into_bytes();
        Self { seen, lead, line: Vec::new() }
    }

    /// Takes the next piece of the Bundle.
    pub fn push(&mut self, mut piece: &[u8]) {
        while let Some(end) = memchr(b'\n', piece) {
            self.hold(&piece[..end]);
            self.end_line();
            piece = &piece[end + 1..];
        }
        self.hold(piece);
    }

    /// The last piece was pushed.
    pub fn finish(mut self) {
        self.end_line();
    }

    fn hold(&mut self, bytes: &[u8]) {
        let room = (self.lead.len() + LONGEST_NAME).saturating_sub(self.line.len());
        self.line.extend_from_slice(&bytes[..room.min(bytes.len())]);
    }

    fn end_line(&mut self) {
        if let Some(rest) = self.line.strip_prefix(&*self.lead)
            && let Some(end) = memchr(b'"', rest)
        {
            self.seen.add(fingerprint(&[&rest[..end]]));
        }
        self.line.clear();
    }
}
