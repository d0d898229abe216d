use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use reqwest::Url;
use reqwest::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, DATE, ETAG, HeaderMap, HeaderName, LAST_MODIFIED,
};

use super::Change;
use super::ask::coding_of;
use super::content_range::ContentRange;

/// What is known of the objects behind URLs, for the life of a client.
#[derive(Default)]
pub(super) struct Pins(Mutex<HashMap<Url, Arc<Pin>>>);

impl Pins {
    pub(super) fn of(&self, url: &Url) -> Arc<Pin> {
        Arc::clone(locked(&self.0).entry(url.clone()).or_default())
    }
}

impl fmt::Debug for Pins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pins").finish_non_exhaustive()
    }
}

/// What the answers so far said of one object.
#[derive(Debug, Default)]
pub(super) struct Pin(Mutex<Option<Seen>>);

impl Pin {
    pub(super) fn seen(&self) -> Option<Seen> {
        locked(&self.0).clone()
    }

    pub(super) fn stored_bytes(&self) -> Option<u64> {
        locked(&self.0).as_ref()?.stored_bytes
    }

    /// Takes in what one more answer says; gives what is known now.
    ///
    /// # Errors
    /// When it contradicts the answers before.
    pub(super) fn admit(&self, seen: &Seen) -> Result<Seen, Change> {
        let mut pinned = locked(&self.0);
        let known = match &*pinned {
            Some(known) => known.joined(seen)?,
            None => seen.clone(),
        };
        *pinned = Some(known.clone());
        Ok(known)
    }
}

/// Nothing is left half done by a thread that panics within.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What an answer says of the whole object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) stored_bytes: Option<u64>,
    pub(super) etag: Option<String>,
    pub(super) modified: Option<String>,
    /// The content coding, if it is one.
    pub(super) coding: Option<String>,
    /// Whether the server said that it answers ranges.
    pub(super) ranges: bool,
}

impl Seen {
    /// What an answer says that holds the object (200) or a part of it (206).
    pub(super) fn of(status: u16, headers: &HeaderMap) -> Self {
        let content_range = text(headers, &CONTENT_RANGE).and_then(ContentRange::parse);
        let stored_bytes = match content_range {
            Some(ContentRange::Part { total, .. }) if status == 206 => total,
            _ => text(headers, &CONTENT_LENGTH).and_then(|length| length.trim().parse().ok()),
        };
        let accepts = || text(headers, &ACCEPT_RANGES).is_some_and(|unit| unit.trim() == "bytes");
        Self {
            stored_bytes,
            etag: text(headers, &ETAG).map(str::to_owned),
            modified: modified_of(headers).map(str::to_owned),
            coding: coding_of(headers),
            ranges: status == 206 || accepts(),
        }
    }

    /// The validator that stands for the very bytes.
    pub(super) fn strong_etag(&self) -> Option<&str> {
        self.etag.as_deref().filter(|etag| !etag.starts_with("W/"))
    }

    pub(super) fn modified_time(&self) -> Option<SystemTime> {
        httpdate::parse_http_date(self.modified.as_deref()?).ok()
    }

    /// Both together; what one of them does not say the other may.
    fn joined(&self, other: &Self) -> Result<Self, Change> {
        if differ(&self.stored_bytes, &other.stored_bytes) {
            return Err(Change::Length);
        }
        let opaque = |seen: &Self| seen.etag.as_ref().map(|etag| etag.trim_start_matches("W/").to_owned());
        if differ(&opaque(self), &opaque(other)) || differ(&self.modified, &other.modified) {
            return Err(Change::Validator);
        }
        if self.coding != other.coding {
            return Err(Change::Coding);
        }
        Ok(Self {
            stored_bytes: self.stored_bytes.or(other.stored_bytes),
            etag: self.etag.clone().or_else(|| other.etag.clone()),
            modified: self.modified.clone().or_else(|| other.modified.clone()),
            coding: self.coding.clone(),
            ranges: self.ranges || other.ranges,
        })
    }
}

fn differ<T: PartialEq>(one: &Option<T>, other: &Option<T>) -> bool {
    matches!((one, other), (Some(one), Some(other)) if one != other)
}

/// `Last-Modified`, unless it is the time of the answer: servers that make their bodies on the fly write the time into every one.
fn modified_of(headers: &HeaderMap) -> Option<&str> {
    let modified = text(headers, &LAST_MODIFIED)?;
    let time = httpdate::parse_http_date(modified).ok()?;
    let date = text(headers, &DATE).and_then(|date| httpdate::parse_http_date(date).ok());
    date.is_none_or(|date| time < date).then_some(modified)
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().expect("a value"))).collect()
    }

    #[test]
    fn an_answer_tells_length_and_validators() {
        let whole = headers(&[(CONTENT_LENGTH, "9"), (ETAG, "\"a\""), (ACCEPT_RANGES, "bytes")]);
        let seen =
            Seen { stored_bytes: Some(9), etag: Some("\"a\"".into()), ranges: true, ..Seen::default() };
        assert_eq!(Seen::of(200, &whole), seen);
        let part = headers(&[(CONTENT_LENGTH, "1"), (CONTENT_RANGE, "bytes 0-0/9"), (ETAG, "\"a\"")]);
        assert_eq!(Seen::of(206, &part), seen);
        assert_eq!(Seen::of(200, &HeaderMap::new()), Seen::default());
    }

    #[test]
    fn a_time_that_is_that_of_the_answer_says_nothing() {
        let (older, now) = ("Wed, 21 Oct 2015 07:27:59 GMT", "Wed, 21 Oct 2015 07:28:00 GMT");
        for (modified, kept) in [(older, Some(older)), (now, None), ("yesterday", None)] {
            let seen = Seen::of(200, &headers(&[(LAST_MODIFIED, modified), (DATE, now)]));
            assert_eq!(seen.modified.as_deref(), kept);
        }
    }

    #[test]
    fn answers_may_add_but_not_contradict() {
        let pin = Pin::default();
        let etag = |etag: &str| Seen { etag: Some(etag.into()), ..Seen::default() };
        let length = |stored_bytes| Seen { stored_bytes: Some(stored_bytes), ..Seen::default() };
        let modified = |modified: &str| Seen { modified: Some(modified.into()), ..Seen::default() };
        for seen in [Seen::default(), etag("\"a\""), length(9), modified("x"), etag("W/\"a\"")] {
            pin.admit(&seen).expect("the same object");
        }
        let coded = Seen { coding: Some("gzip".into()), ..Seen::default() };
        for (seen, change) in [
            (etag("\"b\""), Change::Validator),
            (modified("y"), Change::Validator),
            (length(8), Change::Length),
            (coded, Change::Coding),
        ] {
            assert_eq!(pin.admit(&seen).expect_err("another object"), change);
        }
        let known = pin.seen().expect("pinned");
        assert_eq!((known.strong_etag(), known.stored_bytes), (Some("\"a\""), Some(9)));
    }
}
