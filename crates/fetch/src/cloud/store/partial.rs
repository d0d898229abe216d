use std::fmt;
use std::io;
use std::sync::Arc;

use object_store::PutMode;

use fhirline_core::Partial;

use super::Shared;
use super::prefix::Written;
use crate::object_name::already_exists;

/// An output that is being written to an object store. Dropped, it stays in the book, but no other process finds more of it
/// than was settled.
pub(super) struct CloudPartial {
    pub(super) shared: Arc<Shared>,
    pub(super) name: String,
    pub(super) serial: u64,
}

impl CloudPartial {
    /// Appends what the tail still takes, and tells how much that was, and whether the tail is full now.
    fn append_to_tail(&self, bytes: &[u8]) -> io::Result<(usize, bool)> {
        let mut book = self.shared.book()?;
        book.check()?;
        let output = book.output(&self.name, self.serial)?;
        let most = match output.aside {
            true => u64::MAX,
            false => self.shared.options.bytes_in_part(output.parts.len()),
        };
        let room = most.saturating_sub(output.tail.bytes());
        let count = usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len());
        output.tail.append(&bytes[..count])?;
        Ok((count, output.tail.bytes() >= most))
    }

    /// Puts an output under its final name in one step.
    fn put_whole(&self) -> io::Result<()> {
        let length = self.shared.book()?.output(&self.name, self.serial)?.length();
        let _room = self.shared.room_for(length)?;
        let bytes = self.shared.book()?.output(&self.name, self.serial)?.tail.read(0, length)?;
        match self.shared.objects.put(&self.name, bytes, PutMode::Create)? {
            Written::Done(_) => Ok(()),
            Written::Refused if self.is_there(length)? => Ok(()),
            Written::Refused => Err(already_exists(&self.name)),
        }
    }

    /// Sends up what is left, and completes the upload.
    fn complete(&self, upload: &str) -> io::Result<()> {
        let (length, index, tail) = {
            let mut book = self.shared.book()?;
            let output = book.output(&self.name, self.serial)?;
            (output.length(), output.parts.len(), output.tail.bytes())
        };
        let mut ids = Vec::with_capacity(index + 1);
        for part in &self.shared.book()?.output(&self.name, self.serial)?.parts {
            ids.push(part.id.clone().ok_or_else(|| io::Error::other("a part is missing"))?);
        }
        if tail > 0 {
            let _room = self.shared.room_for(tail)?;
            let bytes = self.shared.book()?.output(&self.name, self.serial)?.tail.read(0, tail)?;
            ids.push(self.shared.objects.put_last_part(&self.name, upload, index, bytes)?);
        }
        match self.shared.objects.complete(&self.name, upload, ids) {
            // The answer to an attempt that succeeded may have been lost.
            Err(_) if self.is_there(length)? => Ok(()),
            completed => completed,
        }
    }

    fn is_there(&self, length: u64) -> io::Result<bool> {
        Ok(self.shared.objects.length(&self.name)? == Some(length))
    }
}

impl Partial for CloudPartial {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (count, is_full) = self.append_to_tail(rest)?;
            if is_full {
                self.shared.upload_tail(&self.name, self.serial)?;
            }
            rest = &rest[count..];
        }
        Ok(())
    }

    fn stored_bytes(&self) -> u64 {
        self.shared.lock().output(&self.name, self.serial).map_or(0, |output| output.length())
    }

    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let mut book = self.shared.book()?;
        book.output(&self.name, self.serial)?.read_at(&self.name, offset, into)
    }

    fn mark(&mut self) {
        if let Ok(output) = self.shared.lock().output(&self.name, self.serial) {
            output.mark();
        }
    }

    fn truncate(&mut self, bytes: u64) -> io::Result<()> {
        self.shared.wait_for_parts();
        let mut book = self.shared.book()?;
        book.output(&self.name, self.serial)?.truncate(&self.name, bytes, &self.shared.spool)
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut book = self.shared.book()?;
        book.check()?;
        book.output(&self.name, self.serial).map(drop)
    }

    fn seal(self: Box<Self>) -> io::Result<()> {
        let shared = &self.shared;
        shared.confirm_lease()?;
        shared.wait_for_parts();
        shared.flush_if_stale()?;
        let (upload, in_parts) = {
            let mut book = shared.book()?;
            book.check()?;
            let output = book.output(&self.name, self.serial)?;
            (output.upload.clone(), !output.parts.is_empty())
        };
        if shared.objects.length(&self.name)?.is_some() {
            return Err(already_exists(&self.name));
        }
        match upload {
            Some(upload) if in_parts => self.complete(&upload)?,
            upload => {
                self.put_whole()?;
                if let Some(upload) = upload {
                    shared.objects.abort(&self.name, &upload)?;
                }
            }
        }
        shared.remove_replaced(&self.name)?;
        // What it says of this one does no harm: it has its final name.
        let mut book = shared.book()?;
        let stale = book.stale;
        book.remove(&self.name);
        book.stale = stale;
        drop(book);
        shared.clear_if_empty()
    }

    fn discard(self: Box<Self>) -> io::Result<()> {
        self.shared.book()?.output(&self.name, self.serial).map(drop)?;
        self.shared.forget(&self.name).map(drop)
    }
}

impl fmt::Debug for CloudPartial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CloudPartial").field("name", &self.name).finish_non_exhaustive()
    }
}
