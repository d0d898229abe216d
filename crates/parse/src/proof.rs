use fhirline_core::{BadRecord, Fault};

use crate::top_level::TopLevel;
use crate::walker;

/// How much of a record is proven.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Proof {
    /// All of it: the bytes are UTF-8, and they are one JSON value.
    #[default]
    Full,
    /// Nothing beyond what finding the envelope needs: the bytes were proven before. What that is may change.
    Trusted,
}

/// Proves that a text is UTF-8 and one JSON value of any kind, with white space around it or without.
///
/// ```
/// use fhirline_core::{BadRecord, Fault};
/// use fhirline_parse::prove_value;
///
/// assert_eq!(prove_value(b"[1.00, \"\\ud83d\"]"), Ok(()));
/// assert_eq!(prove_value(b"[01]"), Err(BadRecord { fault: Fault::NotJson, at: 2 }));
/// ```
///
/// # Errors
/// The fault whose byte comes first, by the rules 2 and 3 of [`envelope`](crate::envelope()).
pub fn prove_value(text: &[u8]) -> Result<(), BadRecord> {
    full(text).map(drop)
}

/// Proves that `text` is UTF-8 and one JSON value, and notes what stands at its top level.
///
/// The fault that is seen first in the text wins, and at the same byte UTF-8 speaks before the grammar.
pub(crate) fn full(text: &[u8]) -> Result<TopLevel, BadRecord> {
    let walked = walker::walk(text);
    // This says whether, and quickly; where is asked only of what is broken.
    if simdutf8::basic::from_utf8(text).is_ok() {
        return walked;
    }
    let Err(broken) = str::from_utf8(text) else { return walked };
    let at = broken.valid_up_to() as u64;
    Err(first_fault(walked.err(), at, broken.error_len().is_none()))
}

/// The fault of a text that is not UTF-8 at `at`: that, or what the walk found if it was seen first. `cut_off` says that
/// the text ends there within a character.
#[cold]
pub(crate) fn first_fault(walked: Option<BadRecord>, at: u64, cut_off: bool) -> BadRecord {
    match walked {
        // The text ends within a character of a string: it was cut there, and nothing else is wrong with it.
        Some(bad) if bad.fault == Fault::Incomplete && cut_off => bad,
        Some(bad) if bad.at < at => bad,
        _ => BadRecord { fault: Fault::NotUtf8, at },
    }
}
