use std::sync::Arc;

use bytes::Bytes;
use reqwest::Response;
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_RANGE, HeaderMap, HeaderName, HeaderValue, IF_MATCH,
    IF_UNMODIFIED_SINCE, RANGE,
};

use super::ask::{accept_value, coding_of, next_bytes};
use super::content_range::ContentRange;
use super::first_bytes::FirstBytes;
use super::link::{Link, is_gone};
use super::patience::{Again, Fault, Patience, is_passing, retry_after};
use super::pin::{Pin, Seen};
use super::queue::Feed;
use super::seam::{Delivered, Seam};
use super::{Change, HttpError, HttpOptions};
use crate::shown::shown;

const LEAST_COMPARED_BYTES: u64 = 1 << 10;

/// Brings the bytes of one object from `start` on, over as many requests as it takes.
pub(super) struct Transfer {
    link: Link,
    pin: Arc<Pin>,
    feed: Feed,
    patience: Patience,
    delivered: Delivered,
    /// Whether the server left out the strong `ETag` of a part, so that bytes have to be compared.
    compares: bool,
    first: Option<FirstBytes>,
}

/// What an attempt asks for.
struct Plan {
    /// The first byte of the object that is asked for.
    from: u64,
    range: bool,
}

impl Transfer {
    pub(super) fn new(link: Link, pin: Arc<Pin>, feed: Feed, start: u64) -> Self {
        let patience = Patience::new(link.client.options.retry);
        Self { link, pin, feed, patience, delivered: Delivered::from(start), compares: false, first: None }
    }

    /// Runs to the end, good or bad, which it puts into the queue.
    pub(super) async fn run(mut self) {
        let result = self.bring().await;
        self.feed.end(result);
    }

    async fn bring(&mut self) -> Result<(), HttpError> {
        loop {
            self.patience.begin();
            match self.attempt().await {
                Ok(()) => break,
                // The last byte came, if not the end of the message.
                Err(fault) if fault.again != Again::Never && self.is_complete() => break,
                Err(fault) => self.patience.pause(fault).await?,
            }
        }
        if let Some(first) = &mut self.first {
            let held = first.end()?;
            self.feed.send(held).await;
        }
        Ok(())
    }

    fn is_complete(&self) -> bool {
        self.stated_bytes() == Some(self.delivered.position)
    }

    fn stated_bytes(&self) -> Option<u64> {
        self.pin.stored_bytes()
    }

    async fn attempt(&mut self) -> Result<(), Fault> {
        let seen = self.pin.seen().unwrap_or_default();
        let plan = self.plan(&seen);
        let headers = headers(&self.link.client.options, &seen, &plan)?;
        let mut response = self.link.ask(&headers).await?;
        let Some(at) = self.admit(&response, &plan)? else { return Ok(()) };
        if at == 0 && self.delivered.position == 0 {
            self.first = Some(FirstBytes::of(&response));
        }
        let mut seam = Seam::from(at, &self.delivered);
        let idle = self.link.client.options.retry.idle;
        while let Some(bytes) = next_bytes(&mut response, idle).await.map_err(|fault| self.broken(fault))? {
            self.take(&mut seam, &bytes).await?;
        }
        self.ended(&seam)
    }

    /// Where to go on: at the next byte, or a little before it where bytes have to be compared.
    fn plan(&self, seen: &Seen) -> Plan {
        let position = self.delivered.position;
        // What is compressed on the fly has no ranges; a server that ignores `Range` would do so anyway.
        if position == 0 || (seen.coding.is_some() && !seen.ranges) {
            return Plan { from: 0, range: false };
        }
        let trusted = seen.strong_etag().is_some() && !self.compares;
        let most =
            if trusted { 0 } else { compared_bytes(self.delivered.tail_bytes(), self.patience.attempts()) };
        Plan { from: position - most, range: true }
    }

    /// Where in the object the body of this answer begins; `None` if there is nothing left to come.
    fn admit(&mut self, response: &Response, plan: &Plan) -> Result<Option<u64>, Fault> {
        let status = response.status().as_u16();
        match status {
            412 => return Err(self.changed(Change::Precondition).into()),
            416 => return self.unsatisfied(response).map(|()| None),
            200 | 206 => {}
            _ => return Err(refusal(response, self.given_bytes())),
        }
        refuse_coding(response)?;
        let at = if status == 206 { part(response, plan)? } else { 0 };
        let answer = Seen::of(status, response.headers());
        let seen = self.pin.admit(&answer).map_err(|what| self.changed(what))?;
        let confirmed = seen.strong_etag().is_some() && answer.strong_etag() == seen.strong_etag();
        if status == 206 && seen.stored_bytes.is_none() {
            return Err(self.bad("it does not say how long the whole is").into());
        }
        if at == self.delivered.position && !self.delivered.is_empty() && !confirmed && !self.compares {
            self.compares = true;
            return Err(Fault::passing(self.bad("it leaves out the ETag")));
        }
        if at == 0 && !self.delivered.is_empty() && !confirmed && !self.delivered.has_digest() {
            return Err(self.bad("it answers no ranges any more").into());
        }
        if seen.ranges {
            self.delivered.forget_digest();
        }
        Ok(Some(at))
    }

    /// The server says that it has no byte at this place.
    fn unsatisfied(&self, response: &Response) -> Result<(), Fault> {
        let range = response.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
        let Some(ContentRange::Unsatisfied { total }) = range.and_then(ContentRange::parse) else {
            return Err(self.bad("it refuses the range without saying how long the whole is").into());
        };
        if self.stated_bytes().is_some_and(|stated| stated != total) {
            return Err(self.changed(Change::Length).into());
        }
        let position = self.delivered.position;
        match total.cmp(&position) {
            std::cmp::Ordering::Equal => Ok(()),
            std::cmp::Ordering::Less if self.delivered.is_empty() => {
                let url = self.shown();
                Err(HttpError::BehindEnd { url, offset: position, stored_bytes: total }.into())
            }
            std::cmp::Ordering::Less => Err(self.changed(Change::Length).into()),
            std::cmp::Ordering::Greater => Err(self.bad("it refuses a range that it should have").into()),
        }
    }

    /// Compares what is old in these bytes, and passes on what is new.
    async fn take(&mut self, seam: &mut Seam, bytes: &Bytes) -> Result<(), Fault> {
        let (old, same) = seam.passes(bytes, &self.delivered);
        if !same {
            return Err(self.changed(Change::Bytes).into());
        }
        let mut fresh = bytes.slice(old..);
        if fresh.is_empty() {
            return Ok(());
        }
        let behind = self.delivered.position + fresh.len() as u64;
        if let Some(stated_bytes) = self.stated_bytes().filter(|stated| behind > *stated) {
            return Err(HttpError::Long { url: self.shown(), stated_bytes }.into());
        }
        self.delivered.push(&fresh);
        self.patience.progress();
        self.link.progress();
        if let Some(first) = &mut self.first {
            fresh = first.push(fresh)?;
        }
        if !fresh.is_empty() {
            self.feed.send(fresh).await;
        }
        Ok(())
    }

    /// The body came to its end; was that the end of the object?
    fn ended(&self, seam: &Seam) -> Result<(), Fault> {
        match self.stated_bytes() {
            Some(stated) if self.delivered.position < stated => Err(Fault::passing(self.short(stated))),
            None if seam.at < self.delivered.position => Err(self.changed(Change::Length).into()),
            _ => Ok(()),
        }
    }

    /// A break within a body is told by what is missing.
    fn broken(&self, fault: Fault) -> Fault {
        match (&fault.error, self.stated_bytes()) {
            (HttpError::Broken { .. }, Some(stated)) => Fault { error: self.short(stated), ..fault },
            _ => fault,
        }
    }

    /// Bytes that came before, in this reader.
    fn given_bytes(&self) -> u64 {
        if self.delivered.is_empty() { 0 } else { self.delivered.position }
    }

    fn short(&self, stated_bytes: u64) -> HttpError {
        HttpError::Short { url: self.shown(), read_bytes: self.delivered.position, stated_bytes }
    }

    fn changed(&self, what: Change) -> HttpError {
        HttpError::Changed { url: self.shown(), what }
    }

    fn bad(&self, reason: &'static str) -> HttpError {
        HttpError::BadAnswer { url: self.shown(), reason }
    }

    fn shown(&self) -> String {
        shown(self.link.target.url.as_str())
    }
}

/// How many of `tail_bytes` are asked for again. Less each time that nothing new came, since a link may break before it has
/// brought as much as is compared, but never nothing.
fn compared_bytes(tail_bytes: u64, attempts: u32) -> u64 {
    (tail_bytes >> attempts.min(16)).max(tail_bytes.min(LEAST_COMPARED_BYTES))
}

/// The headers of every request for an object.
pub(super) fn asking(options: &HttpOptions) -> Result<HeaderMap, HttpError> {
    let mut headers = HeaderMap::new();
    if let Some(accept) = &options.accept {
        headers.insert(ACCEPT, accept_value(accept)?);
    }
    let coding = if options.accepts_gzip { "gzip" } else { "identity" };
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(coding));
    Ok(headers)
}

fn headers(options: &HttpOptions, seen: &Seen, plan: &Plan) -> Result<HeaderMap, HttpError> {
    let mut headers = asking(options)?;
    if plan.range {
        put(&mut headers, RANGE, &format!("bytes={}-", plan.from));
        if let Some(etag) = seen.strong_etag() {
            put(&mut headers, IF_MATCH, etag);
        } else if let Some(modified) = &seen.modified {
            put(&mut headers, IF_UNMODIFIED_SINCE, modified);
        }
    }
    Ok(headers)
}

/// Puts in what came as a header before, so that it can be sent as one.
fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// Where the part begins that a 206 holds, if it is the one that was asked for.
fn part(response: &Response, plan: &Plan) -> Result<u64, HttpError> {
    let bad = |reason| HttpError::BadAnswer { url: shown(response.url().as_str()), reason };
    if !plan.range {
        return Err(bad("it sends a part where the whole was asked for"));
    }
    let range = response.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
    match range.and_then(ContentRange::parse) {
        Some(ContentRange::Part { first, .. }) if first == plan.from => Ok(first),
        Some(_) => Err(bad("it sends another range than was asked for")),
        None => Err(bad("it sends a part without saying which")),
    }
}

/// Compressed bodies are data like any other, and found out by their first bytes; what else there is nobody reads.
fn refuse_coding(response: &Response) -> Result<(), HttpError> {
    match coding_of(response.headers()) {
        Some(coding) if !matches!(coding.as_str(), "gzip" | "x-gzip" | "zstd") => {
            Err(HttpError::Coding { url: shown(response.url().as_str()), coding })
        }
        _ => Ok(()),
    }
}

/// What a status means that is not one of success, after `read_bytes` had come.
pub(super) fn refusal(response: &Response, read_bytes: u64) -> Fault {
    let (url, status) = (shown(response.url().as_str()), response.status().as_u16());
    if is_passing(response.status()) {
        let again = Again::After(retry_after(response.headers()));
        return Fault { error: HttpError::Refused { url, status }, again };
    }
    if read_bytes > 0 && is_gone(status) {
        return HttpError::Expired { url, status, read_bytes }.into();
    }
    HttpError::Refused { url, status }.into()
}
