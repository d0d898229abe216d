use std::borrow::Cow;
use std::fmt;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use serde::de::DeserializeOwned;
use serde_json::error::Category;

use fhirline_core::{Destination, Position, ResourceType, Spool};

use crate::pointer::{self, Stop, Value};

/// One resource: its type, where it stood, and its exact bytes.
///
/// ```
/// use fhirline_core::{Destination, Position, ResourceType};
/// use fhirline_route::Resource;
///
/// let bytes = br#"{"resourceType":"Goal","id":"g1","subject":{"reference":"Patient/1"}}"#;
/// let goal = Destination::from_name("Goal").expect("a type");
/// let resource = Resource::inline(goal, Position::default(), bytes);
/// assert_eq!(resource.id()?.as_deref(), Some("g1"));
/// assert_eq!(resource.get("/subject/reference")?.and_then(|found| found.text().map(String::from)), Some("Patient/1".into()));
/// let fields = resource.json::<std::collections::HashMap<String, serde_json::Value>>()?;
/// assert_eq!(fields.len(), 3);
/// # Ok::<(), fhirline_route::ResourceError>(())
/// ```
#[derive(Clone)]
pub struct Resource<'r> {
    destination: Destination,
    position: Position,
    body: Body<'r>,
}

/// The bytes of a resource.
#[derive(Clone)]
pub enum Body<'r> {
    /// All of them, without line end. A resource is on one line, but where a filter is asked for what is told of entries; a reject is as it
    /// stood.
    Inline(&'r [u8]),
    /// They wait in a spool, for they are too many to be held.
    Spooled(Spooled<'r>),
}

/// The bytes of a resource that is too long to be held.
#[derive(Clone)]
pub struct Spooled<'r> {
    spool: &'r Mutex<Box<dyn Spool>>,
    range: Range<u64>,
}

/// Reads a resource from its first byte to its last.
pub struct ResourceReader<'r> {
    rest: Body<'r>,
}

/// A resource that cannot be read as was asked. Says nothing of what it holds.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResourceError {
    /// The spool in which it waits cannot be read.
    #[error("cannot read the resource at line {}, byte {} back", position.line, position.byte)]
    Read {
        /// Where the resource stood.
        position: Position,
        /// What the system says.
        source: io::Error,
    },
    /// It, or the value in it, does not have the shape of the type that was asked for, or holds what a parser refuses though JSON allows it:
    /// a number beyond any float, half of a surrogate pair. Trusted input may be no JSON at all.
    #[error("the resource at line {}, byte {} is not what was asked for: {what} at its byte {at}", position.line, position.byte)]
    Shape {
        /// Where the resource stood.
        position: Position,
        /// `a value of another shape`, `no JSON` or `an early end`.
        what: &'static str,
        /// About where in it, in bytes of the line on which that is.
        at: u64,
    },
    /// A JSON Pointer is empty or begins with `/` (RFC 6901).
    #[error("a JSON Pointer that is not empty begins with /")]
    Pointer,
}

impl<'r> Resource<'r> {
    /// A resource that is held: its bytes on one line, without line end.
    #[inline]
    #[must_use]
    pub fn inline(destination: Destination, position: Position, bytes: &'r [u8]) -> Self {
        Self { destination, position, body: Body::Inline(bytes) }
    }

    /// A resource that stands in that range of a spool.
    #[must_use]
    pub fn spooled(
        destination: Destination,
        position: Position,
        spool: &'r Mutex<Box<dyn Spool>>,
        range: Range<u64>,
    ) -> Self {
        Self { destination, position, body: Body::Spooled(Spooled { spool, range }) }
    }

    /// The same with another destination.
    pub(crate) fn going_to(self, destination: Destination) -> Self {
        Self { destination, ..self }
    }

    /// Its type; `None` if what it gives as its type does not look like one.
    #[must_use]
    pub fn resource_type(&self) -> Option<ResourceType> {
        match self.destination {
            Destination::Resource(resource_type) => Some(resource_type),
            _ => None,
        }
    }

    /// The output it belongs to, by its type.
    #[must_use]
    pub fn destination(&self) -> Destination {
        self.destination
    }

    /// Where it stood.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// Its bytes, or where they are.
    #[must_use]
    pub fn body(&self) -> &Body<'r> {
        &self.body
    }

    /// Its bytes, if they are held. Those of long resources are not: of more than 4 MiB on a line, of more than 1 MiB in a container.
    #[must_use]
    pub fn bytes(&self) -> Option<&'r [u8]> {
        match &self.body {
            Body::Inline(bytes) => Some(bytes),
            Body::Spooled(_) => None,
        }
    }

    /// Its length in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        match &self.body {
            Body::Inline(bytes) => bytes.len() as u64,
            Body::Spooled(spooled) => spooled.range.end - spooled.range.start,
        }
    }

    /// Reads its bytes, wherever they are.
    #[must_use]
    pub fn reader(&self) -> ResourceReader<'r> {
        ResourceReader { rest: self.body.clone() }
    }

    /// Its `id`, if it has one that is a string; the last if it has more.
    ///
    /// # Errors
    /// [`ResourceError`] for one in a spool that cannot be read.
    pub fn id(&self) -> Result<Option<Cow<'r, str>>, ResourceError> {
        Ok(self.get("/id")?.and_then(Value::into_text))
    }

    /// The value at that JSON Pointer (RFC 6901): `/subject/reference`, `/code/coding/0/code`; of keys that stand twice the
    /// last. Nothing else is parsed, and of a resource in a spool nothing else is held.
    ///
    /// # Errors
    /// [`ResourceError::Pointer`] for what is none; [`ResourceError`] for a resource in a spool that cannot be read, or that was trusted to be
    /// JSON and is none.
    pub fn get(&self, pointer: &str) -> Result<Option<Value<'r>>, ResourceError> {
        let tokens = pointer::tokens(pointer).ok_or(ResourceError::Pointer)?;
        match &self.body {
            Body::Inline(bytes) => Ok(pointer::within(bytes, &tokens, self.position)),
            Body::Spooled(_) => pointer::read(self.buffered(), &tokens, self.position)
                .map_err(|stop| ResourceError::of_stop(self.position, stop)),
        }
    }

    /// The resource in a type of the caller's, or of one of the crates that model FHIR.
    ///
    /// # Errors
    /// [`ResourceError::Shape`] if it is none; [`ResourceError::Read`] for one in a spool that cannot be read.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ResourceError> {
        let parsed = match &self.body {
            Body::Inline(bytes) => serde_json::from_slice(bytes),
            Body::Spooled(_) => serde_json::from_reader(self.buffered()),
        };
        parsed.map_err(|error| ResourceError::of_parser(self.position, error))
    }

    fn buffered(&self) -> io::BufReader<ResourceReader<'r>> {
        io::BufReader::with_capacity(1 << 16, self.reader())
    }
}

impl ResourceError {
    /// What a parser says may quote what it reads, so only what kind of trouble it was goes on.
    pub(crate) fn of_parser(position: Position, error: serde_json::Error) -> Self {
        let what = match error.classify() {
            Category::Io => return Self::Read { position, source: error.into() },
            Category::Syntax => "no JSON",
            Category::Data => "a value of another shape",
            Category::Eof => "an early end",
        };
        Self::Shape { position, what, at: error.column() as u64 }
    }

    fn of_stop(position: Position, stop: Stop) -> Self {
        match stop {
            Stop::Read(source) => Self::Read { position, source },
            Stop::NotJson(at) => Self::Shape { position, what: "no JSON", at },
            Stop::Ended(at) => Self::Shape { position, what: "an early end", at },
        }
    }
}

impl Read for ResourceReader<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match &mut self.rest {
            Body::Inline(bytes) => bytes.read(into),
            Body::Spooled(Spooled { spool, range }) => {
                let left = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
                let wanted = left.min(into.len());
                if wanted == 0 {
                    return Ok(0);
                }
                let mut spool = spool.lock().unwrap_or_else(PoisonError::into_inner);
                let count = spool.read_at(range.start, &mut into[..wanted])?;
                if count == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                range.start += count as u64;
                Ok(count)
            }
        }
    }
}

impl fmt::Debug for Resource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resource")
            .field("destination", &self.destination)
            .field("position", &self.position)
            .field("body", &self.body)
            .finish()
    }
}

impl fmt::Debug for Body<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inline(bytes) => f.debug_tuple("Inline").field(&bytes.len()).finish(),
            Self::Spooled(spooled) => f.debug_tuple("Spooled").field(spooled).finish(),
        }
    }
}

impl fmt::Debug for Spooled<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spooled").field("range", &self.range).finish_non_exhaustive()
    }
}

impl fmt::Debug for ResourceReader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResourceReader").field("rest", &self.rest).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fhirline_core::{MemorySpools, Spools};
    use proptest::prelude::*;
    use serde_json::json;

    fn spool_of(bytes: &[u8]) -> Mutex<Box<dyn Spool>> {
        let mut spool = MemorySpools.create().expect("in memory");
        spool.append(bytes).expect("in memory");
        Mutex::new(spool)
    }

    fn values() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(serde_json::Value::from),
            any::<i32>().prop_map(serde_json::Value::from),
            "[ -~\u{e9}]{0,6}".prop_map(serde_json::Value::from),
        ];
        leaf.prop_recursive(4, 30, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
                prop::collection::btree_map("[ab~/\"\\\\]{0,2}", inner, 0..4)
                    .prop_map(|members| members.into_iter().collect::<serde_json::Map<_, _>>().into()),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_pointer_finds_what_serde_json_finds_held_or_spooled(
            value in values(),
            tokens in prop::collection::vec("[ab~/\"\\\\]{0,2}|0|1|01|-|\\+1", 0..4),
            pretty in any::<bool>(),
        ) {
            let escaped = |token: &String| format!("/{}", token.replace('~', "~0").replace('/', "~1"));
            let pointer: String = tokens.iter().map(escaped).collect();
            let written = if pretty { serde_json::to_vec_pretty(&value) } else { serde_json::to_vec(&value) };
            let padded = [b"  ", &written.expect("into memory")[..], b" \n"].concat();
            let range = 2..padded.len() as u64 - 2;
            let held = &padded[range.start as usize..range.end as usize];
            let spool = spool_of(&padded);
            let of = Destination::Unknown;
            for resource in [
                Resource::inline(of, Position::default(), held),
                Resource::spooled(of, Position::default(), &spool, range.clone()),
            ] {
                let found = resource.get(&pointer).expect("a pointer");
                let found = found.map(|found| serde_json::from_slice(found.raw()).expect("a value"));
                prop_assert_eq!(found.as_ref(), value.pointer(&pointer), "{:?}", resource);
                let whole = resource.json::<serde_json::Value>().expect("JSON");
                prop_assert_eq!(&whole, &value);
                prop_assert_eq!(resource.length(), held.len() as u64);
            }
        }
    }

    /// JSON as it may stand in a record, also with what parsers refuse: numbers beyond any float, halves of surrogate pairs, keys that
    /// stand twice.
    fn written() -> impl Strategy<Value = String> {
        const ODD: &[&str] =
            &["1e999", "-0.0E-400", "123456789012345678901234567890", r#""\ud800""#, r#""\"{[,:""#];
        let leaf = prop_oneof![
            prop::sample::select(ODD).prop_map(str::to_owned),
            prop::sample::select(["null", "true", "7", "\"\"", "{}", "[ ]"].as_slice())
                .prop_map(str::to_owned),
        ];
        let blank = || prop::sample::select(["", " ", "\r\n\t"].as_slice());
        leaf.prop_recursive(4, 40, 5, move |inner| {
            let key = prop::sample::select([r#""a""#, r#""b""#, r#""\u0061""#, r#""\udc00""#].as_slice());
            let member = (key, blank(), blank(), inner.clone())
                .prop_map(|(key, before, behind, value)| format!("{before}{key}{behind}:{before}{value}"));
            let element = (blank(), inner).prop_map(|(blank, value)| format!("{blank}{value}{blank}"));
            prop_oneof![
                prop::collection::vec(member, 0..5).prop_map(|members| format!("{{{}}}", members.join(","))),
                prop::collection::vec(element, 0..5).prop_map(|values| format!("[{}]", values.join(","))),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_spooled_gives_what_is_held_gives(
            text in written(),
            steps in prop::collection::vec("[abc\u{fffd}]|0|1|2", 0..4),
        ) {
            let pointer: String = steps.iter().map(|step| format!("/{step}")).collect();
            let spool = spool_of(text.as_bytes());
            let of = Destination::Unknown;
            let held = Resource::inline(of, Position::default(), text.as_bytes());
            let spooled = Resource::spooled(of, Position::default(), &spool, 0..text.len() as u64);
            prop_assert_eq!(held.id().expect("sound"), spooled.id().expect("sound"));
            let raw = |resource: &Resource<'_>| {
                resource.get(&pointer).expect("sound").map(|found| found.raw().to_vec())
            };
            prop_assert_eq!(raw(&held), raw(&spooled), "{}", pointer);
            let tokens = pointer::tokens(&pointer).expect("a pointer");
            let cut = pointer::read(io::BufReader::with_capacity(1, text.as_bytes()), &tokens, held.position());
            let cut = cut.ok().flatten().map(|found| found.raw().to_vec());
            prop_assert_eq!(raw(&held), cut, "{} byte by byte", pointer);
        }

        #[test]
        fn trusted_input_that_is_no_json_makes_nothing_fall_or_spin(
            text in r#"[{\[]?[\[\]{},:"\\ a01]{0,40}"#,
            steps in prop::collection::vec("a|0|1", 0..3),
        ) {
            let pointer: String = steps.iter().map(|step| format!("/{step}")).collect();
            let spool = spool_of(text.as_bytes());
            let spooled =
                Resource::spooled(Destination::Unknown, Position::default(), &spool, 0..text.len() as u64);
            match spooled.get(&pointer) {
                Ok(found) => prop_assert!(found.is_none_or(|found| found.raw().len() <= text.len())),
                Err(error) => prop_assert!(matches!(error, ResourceError::Shape { .. }), "{error}"),
            }
        }
    }

    #[test]
    fn what_a_value_is_not_is_told_with_the_place_of_its_resource() {
        let bytes = br#"{"active":true,"name":"canary-7f"}"#;
        let spool = spool_of(bytes);
        let at = Position { line: 7, ..Position::default() };
        for resource in [
            Resource::inline(Destination::Unknown, at, bytes),
            Resource::spooled(Destination::Unknown, at, &spool, 0..bytes.len() as u64),
        ] {
            let value = |pointer| resource.get(pointer).expect("sound").expect("there");
            assert!(value("/active").json::<bool>().expect("a truth value"));
            let error = value("/name").json::<bool>().expect_err("a text");
            assert!(matches!(&error, ResourceError::Shape { position, .. } if *position == at), "{error}");
            assert!(!format!("{error} {error:?}").contains("canary"));
        }
    }

    #[test]
    fn of_keys_that_stand_twice_the_last_counts() {
        let bytes = br#"{"a":{"b":1},"id":"first","\u0061":{"b":2},"id":"last"}"#;
        let spool = spool_of(bytes);
        let of = Destination::Unknown;
        for resource in [
            Resource::inline(of, Position::default(), bytes),
            Resource::spooled(of, Position::default(), &spool, 0..bytes.len() as u64),
        ] {
            assert_eq!(resource.id().expect("readable").as_deref(), Some("last"));
            assert_eq!(resource.get("/a/b").expect("a pointer").expect("there").raw(), b"2");
        }
    }

    #[test]
    fn half_of_a_surrogate_pair_in_a_key_hides_no_other() {
        let bytes = br#"{"k\ud800":1,"id":"g","x\ud800":{"\ud800":2}}"#;
        let spool = spool_of(bytes);
        let of = Destination::Unknown;
        for resource in [
            Resource::inline(of, Position::default(), bytes),
            Resource::spooled(of, Position::default(), &spool, 0..bytes.len() as u64),
        ] {
            assert_eq!(resource.id().expect("readable").as_deref(), Some("g"));
        }
    }

    #[test]
    fn what_is_no_pointer_is_refused() {
        let resource = Resource::inline(Destination::Unknown, Position::default(), b"{}");
        assert!(matches!(resource.get("subject"), Err(ResourceError::Pointer)));
        assert_eq!(resource.get("").expect("a pointer").expect("all").raw(), b"{}");
    }

    #[test]
    fn an_error_tells_nothing_of_the_record() {
        let bytes = json!({"resourceType": "Patient", "active": "canary-7f"}).to_string();
        let spool = spool_of(bytes.as_bytes());
        #[derive(Debug, serde::Deserialize)]
        struct Active {
            #[serde(rename = "active")]
            _active: bool,
        }
        for resource in [
            Resource::inline(Destination::Unknown, Position::default(), bytes.as_bytes()),
            Resource::spooled(Destination::Unknown, Position::default(), &spool, 0..bytes.len() as u64),
        ] {
            let error = resource.json::<Active>().expect_err("a text is no truth value");
            assert!(matches!(error, ResourceError::Shape { what: "a value of another shape", .. }));
            let found = resource.get("/active").expect("a pointer").expect("there");
            let told = format!("{error} {error:?} {resource:?} {:?} {found:?}", resource.reader());
            assert!(!told.contains("canary"), "{told}");
        }
    }

    #[test]
    fn a_spool_that_lost_bytes_is_an_error_and_no_end() {
        let spool = spool_of(b"{\"resourceType\":\"Goal\"");
        let resource = Resource::spooled(Destination::Unknown, Position::default(), &spool, 0..40);
        assert!(matches!(resource.json::<serde_json::Value>(), Err(ResourceError::Read { .. })));
        assert!(resource.reader().read_to_end(&mut Vec::new()).is_err());
    }
}
