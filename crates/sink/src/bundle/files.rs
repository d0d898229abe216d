use std::fmt;
use std::io;
use std::sync::Arc;

use fhirline_bundle::WriteTally;
use fhirline_core::Store;

use super::FinishedBundles;
use crate::encode::Encoding;
use crate::error::SinkError;
use crate::long::PIECE_BYTES;
use crate::part::Part;
use crate::split::MAX_FILES;

/// What the files of Bundles are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleNames {
    stem: String,
    first_has_number: bool,
}

impl BundleNames {
    /// `X.json`, `X.0002.json`, …: there is mostly one, and it has the name that was asked for.
    #[must_use]
    pub fn behind_first(stem: impl Into<String>) -> Self {
        Self { stem: stem.into(), first_has_number: false }
    }

    /// `X.0001.json`, `X.0002.json`, …: whoever reads them by name reads them in order.
    #[must_use]
    pub fn numbered(stem: impl Into<String>) -> Self {
        Self { stem: stem.into(), first_has_number: true }
    }

    /// The name of Bundle `number`, from 1.
    #[must_use]
    pub fn name(&self, number: usize) -> String {
        let stem = &self.stem;
        if number == 1 && !self.first_has_number {
            return format!("{stem}.json");
        }
        format!("{stem}.{number:04}.json")
    }

    /// The number of the Bundle of that name, if it is one of these.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<usize> {
        let number = name.strip_prefix(&self.stem)?.strip_suffix(".json")?;
        let number = if number.is_empty() { 1 } else { number.strip_prefix('.')?.parse().ok()? };
        (self.name(number) == name).then_some(number)
    }
}

/// The files of Bundles, under provisional names: the last one is written to, the others are complete.
pub struct BundleFiles {
    store: Arc<dyn Store>,
    names: BundleNames,
    parts: Vec<Part>,
    /// What waits to be written to the last one.
    out: Vec<u8>,
    /// How many there were when the source began.
    savepoint: usize,
}

impl BundleFiles {
    /// Makes the first one.
    ///
    /// # Errors
    /// When the store refuses.
    pub fn create(store: Arc<dyn Store>, names: BundleNames) -> Result<Self, SinkError> {
        let mut files = Self { store, names, parts: Vec::new(), out: Vec::new(), savepoint: 1 };
        files.create_part()?;
        Ok(files)
    }

    fn create_part(&mut self) -> Result<(), SinkError> {
        if self.parts.len() >= MAX_FILES {
            return Err(SinkError::TooManyFiles { max_files: MAX_FILES });
        }
        let name = self.names.name(self.parts.len() + 1);
        self.parts.push(Part::create(&*self.store, name, None)?);
        Ok(())
    }

    /// The buffer to write to.
    pub fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Goes on in another file.
    ///
    /// # Errors
    /// When the store refuses, or there are too many.
    pub fn start_next(&mut self) -> Result<(), SinkError> {
        self.write()?;
        self.create_part()
    }

    /// What was written last is an entry of the Bundle.
    pub fn count_entry(&mut self) {
        if let Some(part) = self.parts.last_mut() {
            part.take(1, 0);
        }
    }

    /// Writes what waits, if that is worth while.
    ///
    /// # Errors
    /// When the store refuses.
    pub fn write_if_full(&mut self) -> Result<(), SinkError> {
        if self.out.len() >= PIECE_BYTES { self.write() } else { Ok(()) }
    }

    /// Writes what waits.
    pub(super) fn write(&mut self) -> Result<(), SinkError> {
        if let Some(part) = self.parts.last_mut()
            && !self.out.is_empty()
        {
            part.take(0, self.out.len() as u64);
            part.write(&self.out, self.out.len() as u64)?;
            self.out.clear();
        }
        Ok(())
    }

    pub(super) fn set_savepoint(&mut self) -> Result<(), SinkError> {
        self.write()?;
        self.savepoint = self.parts.len();
        self.parts.iter_mut().rev().take(1).for_each(Part::set_savepoint);
        Ok(())
    }

    pub(super) fn go_back(&mut self) -> Result<(), SinkError> {
        self.out.clear();
        self.parts.split_off(self.savepoint).into_iter().try_for_each(Part::discard)?;
        self.parts.iter_mut().rev().take(1).try_for_each(|part| part.go_back(Encoding::plain()))
    }

    /// Reads what the last file holds.
    pub(super) fn read_last(&mut self, take: impl FnMut(&[u8])) -> Result<(), SinkError> {
        let Some(part) = self.parts.last_mut() else { return Ok(()) };
        if part.read(&mut vec![0; PIECE_BYTES], take)? {
            return Ok(());
        }
        Err(SinkError::store("read back", part.name())(io::ErrorKind::UnexpectedEof.into()))
    }

    /// Writes what waits; the files are whole.
    pub(super) fn finish(mut self) -> Result<Vec<Part>, SinkError> {
        self.write()?;
        Ok(self.parts)
    }

    /// Writes what waits and makes it durable if asked, where nothing but the Bundles was written. The names are still the
    /// provisional ones.
    ///
    /// # Errors
    /// When the store refuses.
    pub fn finish_alone(self, durable: bool) -> Result<FinishedBundles, SinkError> {
        let store = Arc::clone(&self.store);
        let mut bundles = self.finish()?;
        if durable {
            bundles.iter_mut().try_for_each(Part::sync)?;
        }
        Ok(FinishedBundles { store, durable, bundles, quarantine: Vec::new(), tally: WriteTally::default() })
    }
}

impl fmt::Debug for BundleFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BundleFiles")
            .field("names", &self.names)
            .field("files", &self.parts.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_again() {
        let (behind, numbered) = (BundleNames::behind_first("X"), BundleNames::numbered("X"));
        assert_eq!(
            [1, 2, 12345].map(|number| behind.name(number)),
            ["X.json", "X.0002.json", "X.12345.json"]
        );
        assert_eq!([1, 2].map(|number| numbered.name(number)), ["X.0001.json", "X.0002.json"]);
        for number in [1, 2, 9999, 10_000] {
            assert_eq!(behind.number(&behind.name(number)), Some(number));
            assert_eq!(numbered.number(&numbered.name(number)), Some(number));
        }
        for other in
            ["X.0001.json", "X.2.json", "X.00002.json", "X2.json", "X..json", "X.json.partial", "Y.json"]
        {
            assert_eq!(behind.number(other), None, "{other}");
        }
        assert_eq!(numbered.number("X.json"), None);
    }
}
