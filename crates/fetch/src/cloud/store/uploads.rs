//! Parts go up in the background.

use std::io;
use std::sync::{Arc, PoisonError};

use fhirline_core::Setting;
use tokio::sync::OwnedSemaphorePermit;

use super::pages::Extent;
use super::{MAX_PARTS, Shared};
use crate::net;

impl Shared {
    /// Waits until there is memory for so many bytes.
    pub(super) fn room_for(&self, bytes: u64) -> io::Result<OwnedSemaphorePermit> {
        let kib = bytes.min(self.options.most_bytes()).div_ceil(1024);
        let budget = Arc::clone(&self.budget);
        let permit = net::wait(budget.acquire_many_owned(u32::try_from(kib).unwrap_or(u32::MAX)))?;
        permit.map_err(|_| io::Error::other("uploads have ended"))
    }

    /// Sends the tail of an output up as a part. Returns as soon as that is on its way.
    pub(super) fn upload_tail(self: &Arc<Self>, name: &str, serial: u64) -> io::Result<()> {
        self.flush_if_stale()?;
        let upload = self.upload_of(name, serial)?;
        let (index, extent) = {
            let mut book = self.book()?;
            let output = book.output(name, serial)?;
            if output.parts.len() >= MAX_PARTS - 1 {
                return Err(too_many_parts(name));
            }
            let closed = output.close_tail(&self.spool);
            book.in_flight += 1;
            closed
        };
        let permit = self.room_for(extent.bytes());
        let runtime = permit.and_then(|permit| Ok((permit, net::runtime()?)));
        let (permit, runtime) = runtime.inspect_err(|error| self.landed(Err(error)))?;
        let (shared, name) = (Arc::clone(self), name.to_owned());
        runtime.spawn(async move {
            let part = shared.put_extent(&name, &upload, index, &extent).await;
            drop((extent, permit));
            let landed = part.as_ref().map(|id| (name.as_str(), serial, index, id.as_str()));
            shared.landed(landed);
        });
        Ok(())
    }

    async fn put_extent(
        &self,
        name: &str,
        upload: &String,
        index: usize,
        extent: &Extent,
    ) -> io::Result<String> {
        let bytes = extent.read(0, extent.bytes())?;
        self.objects.put_part(name, upload, index, bytes).await
    }

    /// A part is there, or will not come.
    fn landed(&self, part: Result<(&str, u64, usize, &str), &io::Error>) {
        let mut book = self.lock();
        book.in_flight -= 1;
        match part {
            Ok((name, serial, index, id)) => {
                if let Ok(output) = book.output(name, serial) {
                    output.uploaded(index, id.to_owned());
                }
            }
            Err(error) => book.fail(error),
        }
        self.idle.notify_all();
    }

    /// Waits until no part is on its way.
    pub(super) fn wait_for_parts(&self) {
        let mut book = self.lock();
        while book.in_flight > 0 {
            book = self.idle.wait(book).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The upload of an output, begun if there is none.
    fn upload_of(&self, name: &str, serial: u64) -> io::Result<String> {
        if let Some(upload) = self.book()?.output(name, serial)?.upload.clone() {
            return Ok(upload);
        }
        self.objects.abort_forgotten(name)?;
        let upload = self.objects.begin_upload(name)?;
        self.book()?.output(name, serial)?.upload = Some(upload.clone());
        Ok(upload)
    }
}

fn too_many_parts(name: &str) -> io::Error {
    let why = format!(
        "{name} is too long for the parts of an upload: give more {}, or {} to go on in another file",
        Setting::Memory,
        Setting::MaxFileBytes
    );
    io::Error::other(why)
}
