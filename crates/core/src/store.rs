use std::fmt;
use std::io;

/// Where outputs go: a flat set of names (`/` separates levels), such as a folder or a bucket prefix.
///
/// An output is written under a provisional name and takes its final name only when it is sealed; nobody ever sees a
/// final name whose content is not complete.
pub trait Store: Send + Sync + fmt::Debug {
    /// The store's name to show.
    fn name(&self) -> String;

    /// Begins an output anew under its provisional name, replacing what an earlier run left there.
    ///
    /// # Errors
    /// When the store refuses.
    fn create(&self, name: &str) -> io::Result<Box<dyn Partial>>;

    /// The same for an output of a few MiB that may have to be read back before it is sealed, by this run or by the next.
    ///
    /// # Errors
    /// When the store refuses.
    fn create_short(&self, name: &str) -> io::Result<Box<dyn Partial>> {
        self.create(name)
    }

    /// Whether all that was appended to an output can be read again before it is sealed. Where it cannot,
    /// [`read_at`](Partial::read_at) works for what was [short](Self::create_short) only, and an output can be cut back only to
    /// a length that was [marked](Partial::mark) or [settled](Self::settle).
    fn reads_back(&self) -> bool {
        true
    }

    /// Sees to it that all that was appended so far can be found by [`resume`](Self::resume), also by another process on
    /// another machine: every output at its present length, and at the length that was marked last. What was settled the time
    /// before can be found as well, for whoever noted it may have had no time to note this one.
    ///
    /// # Errors
    /// What the store says; what was settled before holds then.
    fn settle(&self) -> io::Result<()> {
        Ok(())
    }

    /// Goes on with an output that an earlier run left under its provisional name, cut back to its first `stored_bytes`;
    /// `None` if it is not there, or shorter than that.
    ///
    /// # Errors
    /// When the store refuses.
    fn resume(&self, name: &str, stored_bytes: u64) -> io::Result<Option<Box<dyn Partial>>>;

    /// The same, and marked at `mark`, as an output that was being written then had been: it may have to be cut back to there.
    /// `None` also if the store cannot do that any more.
    ///
    /// # Errors
    /// When the store refuses.
    fn resume_marked(
        &self,
        name: &str,
        stored_bytes: u64,
        mark: u64,
    ) -> io::Result<Option<Box<dyn Partial>>> {
        let _ = mark;
        self.resume(name, stored_bytes)
    }

    /// Writes a small object under that very name, replacing what is there in one step: whoever looks finds the old one or
    /// the new one, whole, also after a crash of the process. With `durable`, also after a crash of the machine.
    ///
    /// # Errors
    /// What the store says; the old one is still there then, unless only the new one's way to the disk failed.
    fn replace(&self, name: &str, bytes: &[u8], durable: bool) -> io::Result<()>;

    /// Writes a small object in one step under its final name, which must not exist yet.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] if it does, or what the store says.
    fn put_if_absent(&self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Reads a small object whole; `None` if it does not exist.
    ///
    /// # Errors
    /// What the store says, and [`io::ErrorKind::FileTooLarge`] beyond `max_bytes`.
    fn get(&self, name: &str, max_bytes: u64) -> io::Result<Option<Vec<u8>>>;

    /// How many bytes a name holds; `None` if it does not exist.
    ///
    /// # Errors
    /// What the store says.
    fn stored_bytes(&self, name: &str) -> io::Result<Option<u64>>;

    /// All names in the store, provisional ones with their suffix, in order of their bytes.
    ///
    /// # Errors
    /// What the store says.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Removes a name; it is no error if it does not exist.
    ///
    /// # Errors
    /// What the store says.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes names that were sealed, put or removed survive a crash of the machine.
    ///
    /// # Errors
    /// What the store says.
    fn sync(&self) -> io::Result<()>;
}

/// What a provisional name has behind its final name.
pub const PARTIAL_SUFFIX: &str = ".partial";

/// An output that is still being written.
pub trait Partial: Send + fmt::Debug {
    /// Appends bytes.
    ///
    /// # Errors
    /// What the store says (no space, say); the output may then hold a part of them.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Bytes written so far.
    fn stored_bytes(&self) -> u64;

    /// Reads bytes written earlier, from `offset` on; returns how many (0 at the end).
    ///
    /// # Errors
    /// What the store says.
    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> io::Result<usize>;

    /// Notes that the output may have to be cut back to its present length. Takes the place of the mark before.
    fn mark(&mut self) {}

    /// Says that nothing more is to come for now: what is held only so that more can come at once may go, an open file say.
    fn rest(&mut self) {}

    /// Cuts the output back to its first `bytes`.
    ///
    /// # Errors
    /// What the store says.
    fn truncate(&mut self, bytes: u64) -> io::Result<()>;

    /// Makes the bytes survive a crash of the machine. What a system tells only once a file is closed, nobody hears who does not
    /// ask here.
    ///
    /// # Errors
    /// What the store says.
    fn sync(&mut self) -> io::Result<()>;

    /// Gives the output its final name. The bytes survive a crash only if [`sync`](Self::sync) came before, the name only
    /// if [`Store::sync`] comes after.
    ///
    /// # Errors
    /// What the store says.
    fn seal(self: Box<Self>) -> io::Result<()>;

    /// Removes the output.
    ///
    /// # Errors
    /// What the store says.
    fn discard(self: Box<Self>) -> io::Result<()>;
}
