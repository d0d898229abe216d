use std::fmt;

mod base;
mod entry;
mod form;
mod pretty;
mod recall;
mod seen;
mod tally;

pub use base::{BaseUrl, BaseUrlError};
pub use entry::{Entry, Serial};
pub use form::{Form, Method, OnDuplicate};
pub use pretty::Pretty;
pub use recall::Recall;
pub use tally::{Ended, WriteTally};

use entry::{FullUrl, Name};
use seen::Seen;

/// How Bundles are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteOptions {
    /// What the Bundles are for.
    pub form: Form,
    /// What a `fullUrl` begins with.
    pub base: BaseUrl,
    /// What becomes of a resource whose `fullUrl` stands in the open Bundle already.
    pub on_duplicate: OnDuplicate,
    /// Most entries in a Bundle; no limit if `None`.
    pub max_entries: Option<u64>,
    /// Most bytes in a Bundle, its last line end included; a Bundle of one entry may be longer. No limit if `None`.
    pub max_bytes: Option<u64>,
    /// Whether white space between tokens is laid out for people.
    pub pretty: bool,
    /// Most memory for what is known of the URLs of the open Bundle, in bytes. When it is spent, the Bundle ends.
    pub fingerprint_bytes: u64,
}

impl WriteOptions {
    /// The usual options for that form: no limits but 16 MiB for fingerprints, which is enough for 458,752 resources.
    #[must_use]
    pub fn new(form: Form) -> Self {
        Self {
            form,
            base: BaseUrl::default(),
            on_duplicate: form.usual_on_duplicate(),
            max_entries: None,
            max_bytes: None,
            pretty: false,
            fingerprint_bytes: 16 << 20,
        }
    }
}

/// A resource that cannot be written as the options ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A resource is put under its id, and this one has none, or none that is legal.
    #[error("a resource without a legal id cannot be put")]
    NoLegalId,
    /// Its `fullUrl` stands in the Bundle already, and that was to be an error.
    #[error("its fullUrl stands in the Bundle already")]
    Duplicate,
}

/// Writes resources as FHIR Bundles, one after the other, without holding any.
///
/// Bytes go to the buffers that the caller gives; where one Bundle ends and the next begins is said, so that each can have a
/// file of its own. A Bundle is begun with its first entry; [`end_bundle`](Self::end_bundle) without any makes one without
/// `entry`, for FHIR knows no empty arrays.
///
/// ```
/// use fhirline_bundle::{Entry, Form, Proof, Serial, WriteOptions, Writer, envelope};
///
/// let mut writer = Writer::new(WriteOptions::new(Form::Collection));
/// let mut bundle = Vec::new();
/// let resources = [br#"{"resourceType":"Goal","id":"1"}"#, br#"{"resourceType":"Goal","id":"2"}"#];
/// for (record, resource) in (0..).zip(resources) {
///     let found = envelope(resource, Proof::Trusted)?;
///     let entry = Entry::new(found.resource_type, found.id, Serial { source: 0, record }, resource.len() as u64);
///     let placed = writer.place(&entry)?;
///     assert_eq!(placed.ended(), None, "there is room in the open Bundle");
///     let mut open = writer.begin(&placed, &mut bundle);
///     open.push(resource, &mut bundle);
///     open.end(&mut bundle);
/// }
/// writer.end_bundle(&mut bundle);
/// assert_eq!(String::from_utf8(bundle)?, r#"{"resourceType":"Bundle","type":"collection","entry":[
/// {"fullUrl":"https://fhirline.invalid/fhir/Goal/1","resource":{"resourceType":"Goal","id":"1"}},
/// {"fullUrl":"https://fhirline.invalid/fhir/Goal/2","resource":{"resourceType":"Goal","id":"2"}}]}
/// "#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # `fullUrl`
///
/// A resource whose type looks like one and whose id is legal is `<base>/Type/id`: relative references (`Patient/1`) are
/// resolved against the URL of the entry they stand in, so they keep their meaning within the Bundle. Any other gets
/// `urn:uuid:`, of version 5 over a namespace of ours and its [`Serial`]. That holds for `POST` too, though FHIR would let
/// such an entry do without: a server that gives new ids replaces the references that resolve to a `fullUrl` of the Bundle,
/// and a `urn:uuid:` would let no relative reference resolve, for resources are not changed.
///
/// # Layout
///
/// One entry a line, so that whoever reads a Bundle by lines can; the last line ends with `]}` and a line end. No line but
/// the first is a JSON value of its own, so nobody takes a Bundle for NDJSON.
pub struct Writer {
    options: WriteOptions,
    open: Open,
    seen: Seen,
    tally: WriteTally,
    /// Where sizes are measured.
    scratch: Vec<u8>,
}

/// The Bundle that is being written.
#[derive(Clone, Copy)]
struct Open {
    entries: u64,
    bytes: u64,
    pretty: Option<Pretty>,
}

impl Open {
    fn put(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let before = out.len();
        match &mut self.pretty {
            Some(pretty) => pretty.push(bytes, out),
            None => out.extend_from_slice(bytes),
        }
        self.bytes += (out.len() - before) as u64;
    }
}

/// A moment to go back to, with [`Writer::go_back`].
#[derive(Clone, Copy)]
pub struct Mark {
    open: Open,
    tally: WriteTally,
}

/// Where an entry goes. Made by [`Writer::place`].
#[must_use]
#[derive(Clone, Copy)]
pub struct Placed<'e> {
    entry: &'e Entry<'e>,
    full_url: FullUrl<'e>,
    duplicate: bool,
    ended: Option<Ended>,
}

impl Placed<'_> {
    /// Why the open Bundle has to end before the entry, if it has to: [`Writer::end_bundle`] comes first then.
    #[must_use]
    pub fn ended(&self) -> Option<Ended> {
        self.ended
    }
}

/// An entry that is being written. Made by [`Writer::begin`].
#[must_use]
pub struct OpenEntry<'w> {
    writer: &'w mut Writer,
    placed: Placed<'w>,
}

impl OpenEntry<'_> {
    /// Appends the next piece of the resource.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        self.writer.open.put(piece, out);
        self.writer.tally.resource_bytes += piece.len() as u64;
    }

    /// Ends the entry, once the resource is whole.
    pub fn end(self, out: &mut Vec<u8>) {
        let Self { writer, placed } = self;
        put_tail(writer.options.form, placed.entry, &mut writer.open, out);
        writer.open.entries += 1;
        writer.count(&placed);
    }
}

impl Writer {
    /// A writer before its first Bundle.
    #[must_use]
    pub fn new(options: WriteOptions) -> Self {
        Self {
            open: first_of(&options),
            seen: Seen::within(options.fingerprint_bytes),
            options,
            tally: WriteTally::default(),
            scratch: Vec::new(),
        }
    }

    /// What was written so far. A Bundle counts once it is ended.
    #[must_use]
    pub fn tally(&self) -> &WriteTally {
        &self.tally
    }

    /// Whether the length of a resource matters to [`place`](Self::place).
    #[must_use]
    pub fn needs_lengths(&self) -> bool {
        self.options.max_bytes.is_some()
    }

    /// What a resource is laid out with, to measure it, or `None` if it is written as it is.
    #[must_use]
    pub fn layout(&self) -> Option<Pretty> {
        self.options.pretty.then(Pretty::of_resource)
    }

    /// Decides where an entry goes. Nothing is written yet.
    ///
    /// # Errors
    /// [`Refused`]; the entry can be left out then.
    pub fn place<'e>(&mut self, entry: &'e Entry<'_>) -> Result<Placed<'e>, Refused> {
        let full_url = entry.full_url();
        if self.options.form.method() == Some(Method::Put) && entry.id().is_none() {
            return Err(Refused::NoLegalId);
        }
        let mut placed = Placed { entry, full_url, duplicate: false, ended: None };
        if self.open.entries == 0 {
            return Ok(placed);
        }
        placed.duplicate = match &placed.full_url {
            FullUrl::Rest(name) => self.seen.has(name.fingerprint()),
            FullUrl::Uuid(_) => false,
        };
        if placed.duplicate && self.options.on_duplicate == OnDuplicate::Uuid {
            placed.full_url = entry.uuid();
        }
        placed.ended = self.has_to_end(&placed);
        match (placed.ended, self.options.on_duplicate) {
            (None, OnDuplicate::Fail) if placed.duplicate => return Err(Refused::Duplicate),
            (None, OnDuplicate::NewBundle) if placed.duplicate => placed.ended = Some(Ended::Duplicate),
            _ => {}
        }
        if matches!(placed.ended, Some(why) if why != Ended::Duplicate) {
            // It stands in another Bundle than its like.
            (placed.duplicate, placed.full_url) = (false, entry.full_url());
        }
        Ok(placed)
    }

    /// Whether the open Bundle is too full for the entry.
    fn has_to_end(&mut self, placed: &Placed<'_>) -> Option<Ended> {
        if self.options.max_entries.is_some_and(|most| self.open.entries >= most) {
            return Some(Ended::MaxEntries);
        }
        if let Some(most) = self.options.max_bytes
            && self.bytes_with(placed) > most
        {
            return Some(Ended::MaxBytes);
        }
        let is_new = matches!(placed.full_url, FullUrl::Rest(_)) && !placed.duplicate;
        (is_new && self.seen.is_full()).then_some(Ended::Fingerprints)
    }

    /// The length of the open Bundle if it ended behind the entry.
    fn bytes_with(&mut self, placed: &Placed<'_>) -> u64 {
        let mut open = self.open;
        self.scratch.clear();
        put_head(&self.options, placed, &mut open, &mut self.scratch);
        open.bytes += placed.entry.bytes;
        put_tail(self.options.form, placed.entry, &mut open, &mut self.scratch);
        open.entries += 1;
        put_end(&self.options, &mut open, &mut self.scratch);
        open.bytes
    }

    /// Begins an entry, and a Bundle if none is open. The resource itself is the caller's to bring.
    pub fn begin<'w>(&'w mut self, placed: &Placed<'w>, out: &mut Vec<u8>) -> OpenEntry<'w> {
        debug_assert!(placed.ended.is_none() || self.open.entries == 0, "the Bundle was to end first");
        put_head(&self.options, placed, &mut self.open, out);
        OpenEntry { writer: self, placed: *placed }
    }

    fn count(&mut self, placed: &Placed<'_>) {
        let tally = &mut self.tally;
        tally.entries += 1;
        tally.duplicates += u64::from(placed.duplicate);
        match &placed.full_url {
            FullUrl::Rest(name) => self.seen.add(name.fingerprint()),
            FullUrl::Uuid(_) => tally.uuids += 1,
        }
        if let Some(why) = placed.ended {
            tally.ended[why as usize] += 1;
        }
        if self.open.entries == 1
            && let Some(most) = self.options.max_bytes
        {
            let mut open = self.open;
            self.scratch.clear();
            put_end(&self.options, &mut open, &mut self.scratch);
            self.tally.too_long += u64::from(open.bytes > most);
        }
    }

    /// Ends the open Bundle; the next entry begins another. If there is no open one, an empty one is written.
    pub fn end_bundle(&mut self, out: &mut Vec<u8>) {
        put_end(&self.options, &mut self.open, out);
        self.tally.bundles += 1;
        self.open = first_of(&self.options);
        self.seen.clear();
    }

    /// The present moment. No entry may be open.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark { open: self.open, tally: self.tally }
    }

    /// Goes back. What the writer had written of the Bundle that was open then has to be shown to it again, from the first
    /// byte to that moment: which URLs stand in it is not held twice.
    pub fn go_back(&mut self, to: Mark) -> Recall<'_> {
        (self.open, self.tally) = (to.open, to.tally);
        self.seen.clear();
        Recall::new(&self.options, &mut self.seen)
    }
}

fn first_of(options: &WriteOptions) -> Open {
    Open { entries: 0, bytes: 0, pretty: options.pretty.then(Pretty::default) }
}

/// Writes what stands before the resource, and before the first one what a Bundle begins with.
fn put_head(options: &WriteOptions, placed: &Placed<'_>, open: &mut Open, out: &mut Vec<u8>) {
    if open.entries == 0 {
        put_bundle(options.form, open, out);
        open.put(b",\"entry\":[\n", out);
    } else {
        open.put(b",\n", out);
    }
    open.put(b"{\"fullUrl\":\"", out);
    match &placed.full_url {
        FullUrl::Uuid(uuid) => {
            let mut buffer = uuid::Uuid::encode_buffer();
            open.put(uuid.urn().encode_lower(&mut buffer).as_bytes(), out);
        }
        FullUrl::Rest(Name { resource_type, id }) => {
            // Neither holds a character that JSON would escape.
            for part in [options.base.as_str(), "/", resource_type, "/", id] {
                open.put(part.as_bytes(), out);
            }
        }
    }
    open.put(b"\",\"resource\":", out);
}

/// Writes what stands behind the resource.
fn put_tail(form: Form, entry: &Entry<'_>, open: &mut Open, out: &mut Vec<u8>) {
    if let Some(method) = form.method() {
        for part in [",\"request\":{\"method\":\"", method.name(), "\",\"url\":\""] {
            open.put(part.as_bytes(), out);
        }
        open.put(entry.escaped_type().as_bytes(), out);
        if let (Method::Put, Some(id)) = (method, entry.id()) {
            open.put(b"/", out);
            open.put(id.as_bytes(), out);
        }
        open.put(b"\"}", out);
    }
    open.put(b"}", out);
}

fn put_bundle(form: Form, open: &mut Open, out: &mut Vec<u8>) {
    for part in ["{\"resourceType\":\"Bundle\",\"type\":\"", form.name(), "\""] {
        open.put(part.as_bytes(), out);
    }
}

fn put_end(options: &WriteOptions, open: &mut Open, out: &mut Vec<u8>) {
    if open.entries == 0 {
        put_bundle(options.form, open, out);
        open.put(b"}", out);
    } else {
        open.put(b"]}", out);
    }
    out.push(b'\n');
    open.bytes += 1;
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("options", &self.options)
            .field("entries", &self.open.entries)
            .field("bytes", &self.open.bytes)
            .field("tally", &self.tally)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mark").field("entries", &self.open.entries).field("bytes", &self.open.bytes).finish()
    }
}

impl fmt::Debug for Placed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Placed")
            .field("duplicate", &self.duplicate)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for OpenEntry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenEntry").field("placed", &self.placed).finish_non_exhaustive()
    }
}
