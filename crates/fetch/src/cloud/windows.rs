use std::collections::VecDeque;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use fhirline_core::mapped_buffer;
use futures_util::StreamExt;
use object_store::{GetOptions, GetRange};
use tokio::task::JoinHandle;
use tokio::time;

use super::bucket::CloudBucket;
use super::origin::Pin;
use super::{Answer, CloudError, ObjectUrl, WindowSizes};
use crate::net;

/// How long one window may take with all attempts: 8 MiB at 14 kB/s. Idle connections end much earlier.
const WINDOW_TIME: Duration = Duration::from_secs(600);

type Window = Result<Vec<u8>, CloudError>;

/// The bytes of an object from an offset on, one window after the other.
///
/// A window is one bounded request, because a long one dies of its time and retry budgets behind a slow reader. The first is
/// asked for at once, those behind it once somebody reads.
pub(super) struct Windows {
    source: Arc<Source>,
    sizes: WindowSizes,
    /// Where the next window begins, and how long it will be.
    next: u64,
    next_bytes: u64,
    window: Vec<u8>,
    read: usize,
    coming: VecDeque<Coming>,
    failed: bool,
}

struct Source {
    bucket: CloudBucket,
    url: ObjectUrl,
    pin: Arc<Pin>,
}

/// A window that was asked for. Dropping it ends the request.
struct Coming {
    task: JoinHandle<()>,
    window: Receiver<Window>,
}

impl Drop for Coming {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Windows {
    pub(super) fn begin(bucket: CloudBucket, url: ObjectUrl, pin: Arc<Pin>, offset: u64) -> io::Result<Self> {
        let sizes = bucket.window_sizes();
        let mut windows = Self {
            source: Arc::new(Source { bucket, url, pin }),
            sizes,
            next: offset,
            next_bytes: sizes.first_bytes.min(sizes.most_bytes) as u64,
            window: Vec::new(),
            read: 0,
            coming: VecDeque::new(),
            failed: false,
        };
        windows.ask_until(1)?;
        Ok(windows)
    }

    /// Asks for windows until so many are on their way or there, or there are no more.
    fn ask_until(&mut self, count: usize) -> io::Result<()> {
        while self.coming.len() < count && self.next < self.source.pin.bytes {
            let coming = self.ask()?;
            self.coming.push_back(coming);
        }
        Ok(())
    }

    /// Asks for the next window; there must be one.
    fn ask(&mut self) -> io::Result<Coming> {
        let range = self.next..(self.next + self.next_bytes).min(self.source.pin.bytes);
        self.next = range.end;
        self.next_bytes = (self.next_bytes * 2).min(self.sizes.most_bytes as u64);
        let (sender, window) = mpsc::sync_channel(1);
        let source = Arc::clone(&self.source);
        let task = net::runtime()?.spawn(async move {
            let fetched = time::timeout(WINDOW_TIME, fetch(&source, range)).await;
            // The reader may be gone.
            let _ = sender.send(fetched.unwrap_or_else(|_| Err(source.too_slow())));
        });
        Ok(Coming { task, window })
    }

    /// Puts the next window in place of the one that was read, and asks for those behind it; false at the end.
    fn advance(&mut self) -> io::Result<bool> {
        // The old one goes first: it is none of those that may be held.
        self.window = Vec::new();
        self.read = 0;
        let Some(coming) = self.coming.pop_front() else { return Ok(false) };
        let gone = |_| io::Error::other("a task of the network ended without a result");
        self.window = coming.window.recv().map_err(gone)??;
        self.ask_until(self.sizes.ahead)?;
        Ok(true)
    }
}

impl Read for Windows {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        if self.failed {
            return Err(io::Error::other(format!("{}: reading it failed before", self.source.url)));
        }
        if self.read == self.window.len() {
            match self.advance() {
                Ok(true) => {}
                Ok(false) => return Ok(0),
                Err(error) => {
                    self.failed = true;
                    self.coming.clear();
                    return Err(error);
                }
            }
        }
        let bytes = (&self.window[self.read..]).read(into)?;
        self.read += bytes;
        Ok(bytes)
    }
}

impl Source {
    fn too_slow(&self) -> CloudError {
        let how = "it takes too long to send one window";
        CloudError::Unreachable { url: self.url.to_string(), how, answer: Answer::default() }
    }

    fn changed(&self) -> CloudError {
        CloudError::Changed { url: self.url.to_string() }
    }
}

/// One window, whole, of the pinned object.
async fn fetch(source: &Source, range: Range<u64>) -> Window {
    let options = GetOptions {
        if_match: source.pin.tag.clone(),
        range: Some(GetRange::Bounded(range.clone())),
        ..GetOptions::default()
    };
    let failed = |error| CloudError::reading(&source.url, &error);
    let got = source.bucket.objects().get_opts(&source.url.path(), options).await.map_err(failed)?;
    if !source.pin.is(&Pin::of(source.url.cloud(), &got.meta)) {
        return Err(source.changed());
    }
    let asked_bytes = range.end - range.start;
    let short = |got_bytes| CloudError::Short {
        url: source.url.to_string(),
        offset: range.start,
        asked_bytes,
        got_bytes,
    };
    if got.range != range {
        return Err(short(got.range.end - got.range.start));
    }
    let mut window = mapped_buffer(usize::try_from(asked_bytes).unwrap_or_default());
    let mut stream = got.into_stream();
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(failed)?;
        let got_bytes = (window.len() + piece.len()) as u64;
        if got_bytes > asked_bytes {
            return Err(short(got_bytes));
        }
        window.extend_from_slice(&piece);
    }
    if window.len() as u64 != asked_bytes {
        return Err(short(window.len() as u64));
    }
    Ok(window)
}
