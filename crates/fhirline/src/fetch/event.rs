/// What happens during a download. Files are told apart by `ordinal`, their place among the sources from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FetchEvent {
    /// Something in a folder is not fetched.
    Skipped {
        /// Its path.
        name: String,
        /// Why.
        why: String,
    },
    /// A file is being fetched from now on.
    Started {
        /// Its place among the sources.
        ordinal: usize,
        /// Its name in the folder.
        name: String,
        /// How long it will be, if its source says so.
        stated_bytes: Option<u64>,
        /// How much of it an earlier run left.
        from_bytes: u64,
    },
    /// What an earlier run left of a file cannot be continued.
    BegunAfresh {
        /// Its place among the sources.
        ordinal: usize,
        /// Its name in the folder.
        name: String,
        /// Why.
        why: String,
    },
    /// More of a file is there.
    Advanced {
        /// Its place among the sources.
        ordinal: usize,
        /// Its bytes so far.
        bytes: u64,
    },
    /// A file is complete.
    Finished {
        /// Its place among the sources.
        ordinal: usize,
        /// Its name in the folder.
        name: String,
        /// Its bytes.
        bytes: u64,
        /// Whether an earlier run had fetched it already.
        kept: bool,
    },
    /// A file cannot be fetched to its end.
    Failed {
        /// Its place among the sources.
        ordinal: usize,
        /// What it was to be called.
        name: String,
        /// Why, from the outermost cause to the innermost.
        why: String,
    },
}
