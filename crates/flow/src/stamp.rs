//! How a source is told from what it was when an earlier run read it.

use std::fmt;
use std::io::{self, Read};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use fhirline_core::{Identity, Origin, SourceRole};

use crate::entry::Entry;
use crate::progress::SourceChanged;

/// Bytes at the beginning and at the end of a source that are compared.
const SAMPLE_BYTES: u64 = 4096;

/// So many sources are compared one by one; those behind them all together, which keeps the memory flat.
const COMPARED_ALONE: usize = 4096;

/// What is known of a source without reading it whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Stamp {
    /// Checksum of its name.
    name: u32,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    stored_bytes: Option<u64>,
    /// When it was last changed, in nanoseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    modified: Option<i64>,
    /// Checksum of its first and last bytes, if they could be had.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    sample: Option<u32>,
    /// Checksum of what its server calls this version of it. Where there is one it says all, and bytes of it would cost requests.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    tag: Option<u32>,
    /// What it is to the manifest that lists it; 0 for data.
    #[serde(skip_serializing_if = "is_data", default)]
    role: u8,
}

fn is_data(role: &u8) -> bool {
    *role == 0
}

/// In what a source differs from what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Changed {
    /// Another source stands in its place on the list.
    Name,
    /// Its length.
    Length,
    /// The time at which it was last changed.
    Modified,
    /// What its server calls this version of it.
    Tag,
    /// Its first or last bytes.
    Bytes,
    /// What it is to the manifest that lists it: data, or something beside it.
    Role,
    /// It is not on the list any more.
    Gone,
    /// One of those behind the first 4,096 differs, which are compared all together.
    OneOfMany,
}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "another source stood in its place",
            Self::Length => "its length differs",
            Self::Modified => "the time of its last change differs",
            Self::Tag => "its version differs",
            Self::Role => "the manifest lists it as something else",
            Self::Bytes => "its first or last bytes differ",
            Self::Gone => "it is not there any more",
            Self::OneOfMany => "it or a source before it differs",
        })
    }
}

impl Stamp {
    /// That of something of which only the name counts.
    pub(crate) fn of_name(name: &str) -> Self {
        Self {
            name: crc32c::crc32c(name.as_bytes()),
            stored_bytes: None,
            modified: None,
            sample: None,
            tag: None,
            role: 0,
        }
    }

    /// In what the source differs `now`. Bytes that could not be had, be it that once there was no room for one more open file, are
    /// not compared: then its length and time decide alone. Among sources that are compared all together they are one.
    pub(crate) fn difference(&self, now: &Self) -> Option<Changed> {
        if self.name != now.name {
            Some(Changed::Name)
        } else if self.stored_bytes != now.stored_bytes {
            Some(Changed::Length)
        } else if self.role != now.role {
            Some(Changed::Role)
        } else if self.tag != now.tag {
            Some(Changed::Tag)
        } else if self.sample.zip(now.sample).is_some_and(|(then, now)| then != now) {
            Some(Changed::Bytes)
        } else if self.modified != now.modified {
            Some(Changed::Modified)
        } else {
            None
        }
    }

    fn append_to(&self, digest: u32) -> u32 {
        crc32c::crc32c_append(digest, format!("{self:?}").as_bytes())
    }
}

/// The stamps of all that a run is done with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Stamps {
    first: Vec<Stamp>,
    /// How many come behind those, and the checksum over their stamps.
    more: u64,
    digest: u32,
}

impl Stamps {
    pub(crate) fn push(&mut self, stamp: Stamp) {
        if self.first.len() < COMPARED_ALONE {
            self.first.push(stamp);
        } else {
            self.more += 1;
            self.digest = stamp.append_to(self.digest);
        }
    }

    /// Takes as many entries as there are stamps, and compares them.
    pub(crate) fn check(&self, entries: &mut dyn Iterator<Item = Entry>) -> Result<(), SourceChanged> {
        let gone = || SourceChanged { name: "a source".to_owned(), changed: Changed::Gone };
        for stamp in &self.first {
            let (name, now) = stamp_of(&entries.next().ok_or_else(gone)?);
            if let Some(changed) = stamp.difference(&now) {
                return Err(SourceChanged { name, changed });
            }
        }
        let (mut digest, mut last) = (0, String::new());
        for _ in 0..self.more {
            let (name, now) = stamp_of(&entries.next().ok_or_else(gone)?);
            (digest, last) = (now.append_to(digest), name);
        }
        if digest == self.digest {
            Ok(())
        } else {
            Err(SourceChanged { name: last, changed: Changed::OneOfMany })
        }
    }
}

/// The name and the stamp of an entry as it is now.
pub(crate) fn stamp_of(entry: &Entry) -> (String, Stamp) {
    match entry {
        Entry::Source { origin, role, .. } => (origin.name().to_owned(), stamp(&**origin, *role)),
        Entry::Records { origin, .. } => (origin.name().to_owned(), stamp(&**origin, SourceRole::Data)),
        Entry::Skipped { name, .. } | Entry::Lost { name, .. } => (name.clone(), Stamp::of_name(name)),
    }
}

/// The stamp of a source as it is now. What cannot be looked at has only a name.
pub(crate) fn stamp(origin: &dyn Origin, role: SourceRole) -> Stamp {
    let identity = origin.identity();
    stamp_as(origin, role, identity.ok())
}

/// The same for a source of which it is known what it is now.
pub(crate) fn stamp_as(origin: &dyn Origin, role: SourceRole, identity: Option<Identity>) -> Stamp {
    let mut stamp = Stamp { role: number_of(role), ..Stamp::of_name(origin.name()) };
    let Some(Identity { stored_bytes: Some(stored_bytes), modified, tag, .. }) = identity else {
        return stamp;
    };
    stamp.stored_bytes = Some(stored_bytes);
    match tag {
        Some(tag) => stamp.tag = Some(crc32c::crc32c(tag.as_bytes())),
        None => {
            stamp.modified = modified.map(nanoseconds);
            stamp.sample = sample(origin, stored_bytes).ok();
        }
    }
    stamp
}

fn number_of(role: SourceRole) -> u8 {
    match role {
        SourceRole::Data => 0,
        SourceRole::Organized => 1,
        SourceRole::Deleted => 2,
        SourceRole::Errors => 3,
    }
}

/// The checksum of the first and the last bytes.
fn sample(origin: &dyn Origin, stored_bytes: u64) -> io::Result<u32> {
    let last = stored_bytes.saturating_sub(SAMPLE_BYTES);
    // Room for all of it, for what grows asks for little at first.
    let mut bytes = Vec::with_capacity(2 * SAMPLE_BYTES as usize);
    origin.open_at(0)?.take(SAMPLE_BYTES).read_to_end(&mut bytes)?;
    origin.open_at(last)?.take(SAMPLE_BYTES).read_to_end(&mut bytes)?;
    Ok(crc32c::crc32c(&bytes))
}

fn nanoseconds(time: SystemTime) -> i64 {
    let clamped = |nanos: u128| i64::try_from(nanos).unwrap_or(i64::MAX);
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => clamped(after.as_nanos()),
        Err(before) => -clamped(before.duration().as_nanos()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug)]
    struct Text {
        name: &'static str,
        bytes: Vec<u8>,
        modified: SystemTime,
        tag: Option<&'static str>,
    }

    impl Origin for Text {
        fn identity(&self) -> io::Result<Identity> {
            let (stored_bytes, tag) = (Some(self.bytes.len() as u64), self.tag.map(str::to_owned));
            Ok(Identity { name: self.name.into(), stored_bytes, modified: Some(self.modified), tag })
        }

        fn name(&self) -> &str {
            self.name
        }

        fn open_at(&self, offset: u64) -> io::Result<Box<dyn Read + Send>> {
            assert_eq!(self.tag, None, "bytes of what has a version cost requests");
            Ok(Box::new(io::Cursor::new(self.bytes[offset as usize..].to_vec())))
        }
    }

    /// Its bytes cannot be had just now.
    #[derive(Debug)]
    struct Unopened(Text);

    impl Origin for Unopened {
        fn identity(&self) -> io::Result<Identity> {
            self.0.identity()
        }

        fn name(&self) -> &str {
            self.0.name()
        }

        fn open_at(&self, _: u64) -> io::Result<Box<dyn Read + Send>> {
            Err(io::Error::other("too many open files"))
        }
    }

    type Change = (Changed, fn(&mut Text));

    fn text() -> Text {
        Text { name: "a", bytes: vec![b'x'; 10_000], modified: UNIX_EPOCH, tag: None }
    }

    #[test]
    fn each_kind_of_change_is_named() {
        let before = stamp(&text(), SourceRole::Data);
        let changes: [Change; 5] = [
            (Changed::Name, |text| text.name = "b"),
            (Changed::Length, |text| text.bytes.push(b'y')),
            (Changed::Bytes, |text| text.bytes[0] = b'y'),
            (Changed::Bytes, |text| text.bytes[9_999] = b'y'),
            (Changed::Modified, |text| text.modified -= std::time::Duration::from_nanos(1)),
        ];
        assert_eq!(before.difference(&stamp(&text(), SourceRole::Data)), None);
        assert_eq!(before.difference(&stamp(&text(), SourceRole::Deleted)), Some(Changed::Role));
        for (what, change) in changes {
            let mut changed = text();
            change(&mut changed);
            assert_eq!(before.difference(&stamp(&changed, SourceRole::Data)), Some(what));
        }
    }

    /// An interrupted run was refused for it.
    #[test]
    fn bytes_that_could_not_be_had_once_are_no_difference() {
        let (whole, unopened) =
            (stamp(&text(), SourceRole::Data), stamp(&Unopened(text()), SourceRole::Data));
        assert_ne!(whole, unopened);
        assert_eq!((whole.difference(&unopened), unopened.difference(&whole)), (None, None));
        let longer = Text { bytes: vec![b'x'; 10_001], ..text() };
        assert_eq!(unopened.difference(&stamp(&longer, SourceRole::Data)), Some(Changed::Length));
    }

    #[test]
    fn what_has_a_version_is_told_by_it_alone() {
        let of = |tag, modified, byte| {
            stamp(&Text { tag: Some(tag), modified, bytes: vec![byte; 9], ..text() }, SourceRole::Data)
        };
        let (before, later) = (of("v1", UNIX_EPOCH, b'x'), SystemTime::now());
        assert_eq!(before.difference(&of("v1", later, b'y')), None, "another server of the same");
        assert_eq!(before.difference(&of("v2", UNIX_EPOCH, b'x')), Some(Changed::Tag));
        let json = serde_json::to_string(&before).expect("into memory");
        assert_eq!(serde_json::from_str::<Stamp>(&json).expect("what was written"), before);
    }

    #[test]
    fn a_list_that_changed_is_noticed_however_long() {
        for (count, changed) in [(3, Changed::Name), (COMPARED_ALONE + 3, Changed::OneOfMany)] {
            let entries = |last: &'static str| {
                let name = move |at| if at + 1 == count { last } else { "a" };
                (0..count).map(move |at| Entry::named(Text { name: name(at), ..text() }))
            };
            let mut stamps = Stamps::default();
            entries("b").for_each(|entry| stamps.push(stamp_of(&entry).1));
            assert_eq!(stamps.first.len() as u64 + stamps.more, count as u64);
            assert_eq!(stamps.check(&mut entries("b")), Ok(()));
            let refused = stamps.check(&mut entries("c")).expect_err("another name");
            assert_eq!((refused.name.as_str(), refused.changed), ("c", changed));
            let refused = stamps.check(&mut entries("b").skip(1)).expect_err("one is missing");
            assert!(matches!(refused.changed, Changed::Gone | Changed::Name), "{refused}");
        }
    }
}
