//! A prefix in an object store as a destination.

use std::env;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use object_store::PutMode;
use tokio::sync::Semaphore;

use fhirline_core::{PARTIAL_SUFFIX, Partial, Store};

use self::book::{Book, Entry};
pub use self::lease::CloudClaim;
use self::lease::Lease;
use self::output::{Left, Output};
use self::pages::{Extent, PageSpool};
use self::partial::CloudPartial;
use self::prefix::{Prefix, Written};
use crate::cloud::CloudBucket;
use crate::object_name::{self, already_exists, partial_name, too_large};

mod book;
mod journal;
mod lease;
mod output;
mod pages;
mod partial;
mod prefix;
mod settle;
mod uploads;

/// Tells the next process what is being uploaded.
const JOURNAL: &str = "_uploads.partial";
/// Tells other processes that somebody is writing here.
const LOCK: &str = "_fhirline-lock.partial";
/// What the names of packs of tails begin with.
const TAILS: &str = "_tails/";

/// A part is at least so long, but for the last: more than the 5 MiB that S3 asks for.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>
const PART_BYTES: u64 = 8 << 20;

/// An upload has at most so many parts, from the same page.
const MAX_PARTS: usize = 10_000;

/// How a [`CloudStore`] writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloudStoreOptions {
    spool_folder: PathBuf,
    upload_bytes: u64,
    part_bytes: u64,
    lease_life: Duration,
    copies: bool,
}

impl Default for CloudStoreOptions {
    fn default() -> Self {
        Self {
            spool_folder: env::temp_dir(),
            upload_bytes: 2 * PART_BYTES,
            part_bytes: PART_BYTES,
            lease_life: Duration::from_secs(60),
            copies: false,
        }
    }
}

impl CloudStoreOptions {
    /// Where bytes wait for their upload: in a file without a name that only its owner may read. The system's folder for
    /// temporary files unless set.
    #[must_use]
    pub fn spool_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.spool_folder = folder.into();
        self
    }

    /// Most bytes in memory on their way up, all outputs together; 16 MiB unless set, and at least one part. The longest
    /// parts are as long as that, so it also decides how long an output can become.
    #[must_use]
    pub fn upload_bytes(mut self, bytes: u64) -> Self {
        self.upload_bytes = bytes;
        self
    }

    /// Bytes in each of the first thousand parts; 8 MiB unless set. Stores refuse less than 5 MiB.
    #[must_use]
    pub fn part_bytes(mut self, bytes: u64) -> Self {
        self.part_bytes = bytes.max(1);
        self
    }

    /// How long a claim holds that is not renewed; 60 s unless set. It is renewed three times in that time.
    #[must_use]
    pub fn lease_life(mut self, life: Duration) -> Self {
        self.lease_life = life;
        self
    }

    /// Keeps what goes up in the spool folder too, until its output is sealed or dropped: whoever writes an output can read it.
    /// That takes as much of the disk as all outputs together. It is not so unless set, and not for outputs that another process
    /// began.
    #[must_use]
    pub fn copies(mut self, kept: bool) -> Self {
        self.copies = kept;
        self
    }

    fn most_bytes(&self) -> u64 {
        self.upload_bytes.max(self.part_bytes)
    }

    /// How long a part is: twice as long with each thousand parts, so that ten thousand of them hold 5 TB, the most that S3
    /// takes, if memory allows. With 16 MiB they hold 148 GiB.
    fn bytes_in_part(&self, index: usize) -> u64 {
        let doublings = u32::try_from(index / 1000).unwrap_or(u32::MAX);
        let longer = 1u64.checked_shl(doublings).and_then(|times| self.part_bytes.checked_mul(times));
        longer.unwrap_or(u64::MAX).min(self.most_bytes())
    }
}

/// A prefix in an object store as a store: `s3://bucket/prefix` and the like.
///
/// Outputs go up in parts while they are written, as multipart uploads, which nobody sees before they are completed; a
/// small one goes up whole when it is sealed. What is not uploaded yet waits on the disk of this machine, in a file without
/// a name, so that memory does not grow with the number of outputs. What went up cannot be read back
/// ([`reads_back`](Store::reads_back)), and an output can be cut back only to a length that was marked or settled.
///
/// [`settle`](Store::settle) puts what is not in parts yet into the store, in packs (`_tails/`), and a journal
/// (`_uploads.partial`) that lets any other process on any machine go on from there. Those and the lock
/// (`_fhirline-lock.partial`) are not among the names that [`list`](Store::list) tells, and go with the last output.
///
/// Whoever writes must [`claim`](Self::claim) the prefix first. The store must know conditional writes; where it does not,
/// that is an error.
///
/// An upload that was begun after the last settling by a process that was killed is in no journal. On S3 the next process
/// that uploads an output of that name finds it and ends it, if it may list uploads (`s3:ListBucketMultipartUploads`);
/// elsewhere, or if nobody comes again, its parts cost money until a lifecycle rule of the bucket ends incomplete uploads.
/// (Azure does so by itself after a week.)
pub struct CloudStore {
    shared: Arc<Shared>,
}

struct Shared {
    objects: Prefix,
    options: CloudStoreOptions,
    spool: Arc<PageSpool>,
    /// Memory for what is on its way up, in KiB.
    budget: Arc<Semaphore>,
    book: Mutex<Book>,
    /// Notified when a part has come up.
    idle: Condvar,
    /// What this process puts into the names of its packs.
    run: String,
    lease: Mutex<Option<Arc<Lease>>>,
}

impl CloudStore {
    /// The store below the root of a bucket. Nothing is asked of the bucket yet.
    #[must_use]
    pub fn new(bucket: CloudBucket, options: CloudStoreOptions) -> Self {
        let kib = usize::try_from(options.most_bytes().div_ceil(1024)).unwrap_or(usize::MAX);
        let shared = Shared {
            objects: Prefix::new(bucket),
            spool: PageSpool::in_folder(&options.spool_folder),
            budget: Arc::new(Semaphore::new(kib.min(Semaphore::MAX_PERMITS))),
            book: Mutex::default(),
            idle: Condvar::new(),
            run: format!("{:016x}", fastrand::u64(..)),
            lease: Mutex::default(),
            options,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Claims the prefix for one run: an object there says so, and is renewed in the background until the claim is dropped.
    ///
    /// No clock is compared with another one. Whoever finds a claim watches it: if it changes, its holder lives; if it has
    /// not for the whole of its life, it is taken over. The claim of a process that died on this very machine is taken over
    /// at once. A holder that was taken over fails at its next call once it has noticed, which it does at its next renewal, and
    /// in any case before anything gets its final name. `on_wait` is told how long it may take, if it takes longer than an instant.
    ///
    /// # Errors
    /// [`io::ErrorKind::ResourceBusy`] while somebody else has it, [`io::ErrorKind::Unsupported`] if the store knows no
    /// conditional writes, or what the store says.
    pub fn claim(&self, on_wait: &mut dyn FnMut(Duration)) -> io::Result<CloudClaim> {
        self.claim_unless(&|| false, on_wait)
    }

    /// The same, but whoever waits for another's claim stops waiting as soon as that is asked for.
    ///
    /// # Errors
    /// Those of [`claim`](Self::claim), and [`io::ErrorKind::Interrupted`] if it was stopped.
    pub fn claim_unless(
        &self,
        stopped: &dyn Fn() -> bool,
        on_wait: &mut dyn FnMut(Duration),
    ) -> io::Result<CloudClaim> {
        let lease = lease::claim(&self.shared.objects, self.shared.options.lease_life, stopped, on_wait)?;
        *self.shared.lease.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&lease));
        Ok(CloudClaim::new(Arc::clone(&self.shared), lease))
    }

    /// The folder in which bytes wait for their upload.
    #[must_use]
    pub fn spool_folder(&self) -> &Path {
        &self.shared.options.spool_folder
    }
}

/// As a claim does, for whoever wrote without one.
impl Drop for CloudStore {
    fn drop(&mut self) {
        self.shared.wait_for_parts();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Book> {
        // A panic leaves at worst an output whose last bytes are missing, which its writer notices.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lease(&self) -> Option<Arc<Lease>> {
        self.lease.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Fails if somebody else has taken over.
    fn check_lease(&self) -> io::Result<()> {
        self.lease().map_or(Ok(()), |lease| lease.check())
    }

    /// The same behind a question to the store, unless that was asked a moment ago: before something becomes visible.
    fn confirm_lease(&self) -> io::Result<()> {
        self.lease().map_or(Ok(()), |lease| lease.confirm())
    }

    /// The book, with what an earlier process left in it.
    fn book(&self) -> io::Result<MutexGuard<'_, Book>> {
        self.check_lease()?;
        let mut book = self.lock();
        if !book.loaded {
            book.load(&self.objects)?;
        }
        Ok(book)
    }

    /// Takes an output out of the book and ends its upload; whether there was one.
    fn forget(&self, name: &str) -> io::Result<bool> {
        self.wait_for_parts();
        let Some(entry) = self.book()?.remove(name) else { return Ok(false) };
        if let Some(upload) = entry.upload() {
            self.objects.abort(name, upload)?;
        }
        self.clear_if_empty()?;
        Ok(true)
    }

    /// Removes what only served to go on with outputs, once there is none.
    fn clear_if_empty(&self) -> io::Result<()> {
        let mut book = self.book()?;
        if book.is_empty() {
            book.clear(&self.objects)?;
        }
        Ok(())
    }

    /// Removes the object that stands under the provisional name of an output, if there is one.
    fn remove_replaced(&self, name: &str) -> io::Result<()> {
        let partial = partial_name(name);
        if self.book()?.replaced.remove(&partial) {
            self.objects.delete(&partial)?;
        }
        Ok(())
    }

    /// Fetches pieces, one behind the other.
    fn fetch(&self, pieces: &[output::Piece]) -> io::Result<Extent> {
        let mut extent = Extent::new(&self.spool);
        for piece in pieces {
            extent.append(&self.objects.get_range(&piece.pack, piece.at..piece.at + piece.bytes)?)?;
        }
        Ok(extent)
    }

    fn put_new(self: &Arc<Self>, name: &str, aside: bool) -> io::Result<Box<dyn Partial>> {
        object_name::check_final(name)?;
        self.forget(name)?;
        self.remove_replaced(name)?;
        let mut book = self.book()?;
        let serial = book.next_serial();
        let output = Output::new(serial, aside, &self.spool).copied(self.options.copies);
        book.entries.insert(name.to_owned(), Entry::Open(output));
        Ok(self.partial(name, serial))
    }

    fn partial(self: &Arc<Self>, name: &str, serial: u64) -> Box<dyn Partial> {
        Box::new(CloudPartial { shared: Arc::clone(self), name: name.to_owned(), serial })
    }

    /// Goes on with an output that an earlier process left.
    fn take_up(&self, name: &str, left: Left, stored_bytes: u64, mark: u64) -> io::Result<Option<u64>> {
        let Some(way) = left.way_to(stored_bytes, mark) else {
            self.lock().entries.insert(name.to_owned(), Entry::Left(left));
            return Ok(None);
        };
        let fetched = self.fetch(&way.tail).and_then(|tail| Ok((tail, self.fetch(&way.marked)?)));
        let mut book = self.lock();
        match fetched {
            Ok((tail, marked)) => {
                let ahead = left.length() > stored_bytes;
                let marked = Some(marked).filter(|marked| marked.bytes() > 0);
                let serial = book.next_serial();
                let output = left.taken_up(serial, way, tail, marked);
                book.entries.insert(name.to_owned(), Entry::Open(output));
                book.stale |= ahead;
                Ok(Some(serial))
            }
            Err(error) => {
                book.entries.insert(name.to_owned(), Entry::Left(left));
                Err(error)
            }
        }
    }

    /// Goes on with what stands under a provisional name as an object.
    fn take_up_replaced(&self, name: &str, stored_bytes: u64) -> io::Result<Option<u64>> {
        let partial = partial_name(name);
        if !self.book()?.replaced.contains(&partial) {
            return Ok(None);
        }
        let Some(length) = self.objects.length(&partial)?.filter(|&length| length >= stored_bytes) else {
            return Ok(None);
        };
        let mut tail = Extent::new(&self.spool);
        while tail.bytes() < stored_bytes.min(length) {
            let end = stored_bytes.min(tail.bytes() + PART_BYTES);
            tail.append(&self.objects.get_range(&partial, tail.bytes()..end)?)?;
        }
        let mut book = self.book()?;
        let mut output = Output::new(book.next_serial(), false, &self.spool);
        output.tail = tail;
        let serial = output.serial;
        book.entries.insert(name.to_owned(), Entry::Open(output));
        Ok(Some(serial))
    }

    /// What an output holds that still has its provisional name, if all of it can be read; `None` if there is none.
    fn provisional(&self, partial: &str, max_bytes: u64) -> io::Result<Option<Vec<u8>>> {
        let Some(name) = partial.strip_suffix(PARTIAL_SUFFIX) else { return Ok(None) };
        let book = self.book()?;
        let Some(length) = book.entries.get(name).map(Entry::length) else { return Ok(None) };
        if length > max_bytes {
            return Err(too_large(partial, max_bytes));
        }
        match book.entries.get(name) {
            Some(Entry::Open(output)) if output.parts.is_empty() => output.tail.read(0, length).map(Some),
            Some(Entry::Left(left)) => match left.way_to(length, length).filter(|_| left.parts.is_empty()) {
                Some(way) => {
                    drop(book);
                    self.fetch(&way.tail)?.read(0, length).map(Some)
                }
                None => Err(output::not_read_back(partial)),
            },
            _ => Err(output::not_read_back(partial)),
        }
    }
}

impl Store for CloudStore {
    fn name(&self) -> String {
        self.shared.objects.name()
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn Partial>> {
        self.shared.put_new(name, false)
    }

    fn create_short(&self, name: &str) -> io::Result<Box<dyn Partial>> {
        self.shared.put_new(name, true)
    }

    fn reads_back(&self) -> bool {
        false
    }

    fn settle(&self) -> io::Result<()> {
        self.shared.settle()
    }

    fn resume(&self, name: &str, stored_bytes: u64) -> io::Result<Option<Box<dyn Partial>>> {
        self.resume_marked(name, stored_bytes, stored_bytes)
    }

    fn resume_marked(
        &self,
        name: &str,
        stored_bytes: u64,
        mark: u64,
    ) -> io::Result<Option<Box<dyn Partial>>> {
        object_name::check_final(name)?;
        let shared = &self.shared;
        shared.wait_for_parts();
        let mut book = shared.book()?;
        let serial = book.next_serial();
        let taken_up = match book.entries.get_mut(name) {
            Some(Entry::Open(output)) if output.length() < stored_bytes => None,
            Some(Entry::Open(output)) => {
                let cut = output.truncate(name, stored_bytes, &shared.spool);
                output.serial = serial;
                output.narrow_mark(mark);
                match cut {
                    Err(error) if error.kind() == io::ErrorKind::Unsupported => None,
                    cut => cut.map(|()| Some(serial))?,
                }
            }
            Some(Entry::Left(_)) => {
                let left = book.remove_left(name);
                drop(book);
                left.map_or(Ok(None), |left| shared.take_up(name, left, stored_bytes, mark))?
            }
            None => {
                drop(book);
                shared.take_up_replaced(name, stored_bytes)?
            }
        };
        Ok(taken_up.map(|serial| shared.partial(name, serial)))
    }

    fn replace(&self, name: &str, bytes: &[u8], _durable: bool) -> io::Result<()> {
        object_name::check(name)?;
        if let Some(output) = name.strip_suffix(PARTIAL_SUFFIX) {
            self.shared.forget(output)?;
            self.shared.book()?.replaced.insert(name.to_owned());
        }
        self.shared.check_lease()?;
        self.shared.objects.put(name, bytes.to_vec(), PutMode::Overwrite).map(drop)
    }

    fn put_if_absent(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        object_name::check_final(name)?;
        self.shared.confirm_lease()?;
        match self.shared.objects.put(name, bytes.to_vec(), PutMode::Create)? {
            Written::Done(_) => Ok(()),
            Written::Refused => Err(already_exists(name)),
        }
    }

    fn get(&self, name: &str, max_bytes: u64) -> io::Result<Option<Vec<u8>>> {
        object_name::check(name)?;
        match self.shared.provisional(name, max_bytes)? {
            None => self.shared.objects.get(name, max_bytes),
            found => Ok(found),
        }
    }

    fn stored_bytes(&self, name: &str) -> io::Result<Option<u64>> {
        object_name::check(name)?;
        let provisional = name.strip_suffix(PARTIAL_SUFFIX);
        let open = provisional
            .map(|name| Ok::<_, io::Error>(self.shared.book()?.entries.get(name).map(Entry::length)));
        match open.transpose()?.flatten() {
            None => self.shared.objects.length(name),
            length => Ok(length),
        }
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let book = self.shared.book()?;
        let provisional = book.entries.keys().map(|name| partial_name(name));
        let mut names: Vec<String> = provisional.collect();
        drop(book);
        let listed = self.shared.objects.list()?.into_iter().map(|(name, _)| name);
        names.extend(listed.filter(|name| !is_internal(name)));
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        object_name::check(name)?;
        if let Some(output) = name.strip_suffix(PARTIAL_SUFFIX) {
            let was_open = self.shared.forget(output)?;
            if !self.shared.book()?.replaced.remove(name) && was_open {
                return Ok(());
            }
        }
        self.shared.objects.delete(name)
    }

    fn sync(&self) -> io::Result<()> {
        self.shared.check_lease()
    }
}

impl fmt::Debug for CloudStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CloudStore").field("name", &self.name()).finish_non_exhaustive()
    }
}

/// Whether a name serves only to go on with outputs.
fn is_internal(name: &str) -> bool {
    name == JOURNAL || name == LOCK || journal::is_pack(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_parts_hold_what_they_should() {
        let total =
            |options: CloudStoreOptions| (0..MAX_PARTS).map(|i| options.bytes_in_part(i)).sum::<u64>();
        assert!(total(CloudStoreOptions::default().upload_bytes(4 << 30)) > 5_000_000_000_000);
        let usual = CloudStoreOptions::default();
        assert!(total(usual.clone()) > 148 << 30);
        assert_eq!((usual.bytes_in_part(999), usual.bytes_in_part(1000)), (8 << 20, 16 << 20));
        assert_eq!(usual.bytes_in_part(usize::MAX), 16 << 20);
        assert_eq!(usual.upload_bytes(1).bytes_in_part(0), 8 << 20);
    }
}
