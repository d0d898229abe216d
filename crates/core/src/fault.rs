use std::fmt;

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Fault {
    /// The line is longer than `max_line_bytes`.
    TooLong,
    /// A byte order mark stands before the record, in the middle of a source (a sign of files glued together).
    ByteOrderMark,
    /// The bytes are not UTF-8.
    NotUtf8,
    /// The bytes are not JSON.
    NotJson,
    /// The line ends within a JSON value: it was cut, or a line break was written into it.
    Incomplete,
    /// More than one JSON value, or a value and something else, stand on the line.
    SeveralValues,
    /// Objects and arrays are nested deeper than the stated depth.
    TooDeep,
    /// The line is JSON, but not an object.
    NotAnObject,
    /// The object has no `resourceType` at its top level.
    NoResourceType,
    /// The top-level `resourceType` is not a string.
    ResourceTypeNotString,
    /// The top-level `resourceType` is the empty string.
    ResourceTypeEmpty,
    /// The `entry` of a Bundle is not an array.
    EntryNotArray,
    /// An entry of a Bundle is not an object.
    EntryNotObject,
    /// The resource has no `id`, and needs one.
    NoId,
    /// The `id` is not what FHIR allows (1 to 64 letters, digits, `-` and `.`), and has to be.
    IllegalId,
    /// The `resourceType` does not look like one, and has to.
    IllegalType,
}

impl Fault {
    /// Every fault, in the order of the enum.
    pub const ALL: [Self; 16] = [
        Self::TooLong,
        Self::ByteOrderMark,
        Self::NotUtf8,
        Self::NotJson,
        Self::Incomplete,
        Self::SeveralValues,
        Self::TooDeep,
        Self::NotAnObject,
        Self::NoResourceType,
        Self::ResourceTypeNotString,
        Self::ResourceTypeEmpty,
        Self::EntryNotArray,
        Self::EntryNotObject,
        Self::NoId,
        Self::IllegalId,
        Self::IllegalType,
    ];

    /// The stable name of the fault in reports, in kebab case.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::TooLong => "too-long",
            Self::ByteOrderMark => "byte-order-mark",
            Self::NotUtf8 => "not-utf8",
            Self::NotJson => "not-json",
            Self::Incomplete => "incomplete",
            Self::SeveralValues => "several-values",
            Self::TooDeep => "too-deep",
            Self::NotAnObject => "not-an-object",
            Self::NoResourceType => "no-resource-type",
            Self::ResourceTypeNotString => "resource-type-not-string",
            Self::ResourceTypeEmpty => "resource-type-empty",
            Self::EntryNotArray => "entry-not-array",
            Self::EntryNotObject => "entry-not-object",
            Self::NoId => "no-id",
            Self::IllegalId => "illegal-id",
            Self::IllegalType => "illegal-type",
        }
    }

    /// The fault of that [`code`](Self::code).
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fault| fault.code() == code)
    }

    /// The code of a FHIR `OperationOutcome.issue` for this fault (<http://hl7.org/fhir/issue-type>).
    #[must_use]
    pub fn issue_type(self) -> &'static str {
        match self {
            Self::TooLong => "too-long",
            Self::NoResourceType | Self::ResourceTypeEmpty | Self::NoId => "required",
            Self::ResourceTypeNotString | Self::IllegalId | Self::IllegalType => "value",
            _ => "structure",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "line is longer than the limit",
            Self::ByteOrderMark => "byte order mark in mid-file",
            Self::NotUtf8 => "not UTF-8",
            Self::NotJson => "not JSON",
            Self::Incomplete => "JSON value is cut off",
            Self::SeveralValues => "more than one value on the line",
            Self::TooDeep => "nested too deeply",
            Self::NotAnObject => "JSON, but not an object",
            Self::NoResourceType => "no resourceType",
            Self::ResourceTypeNotString => "resourceType is not a string",
            Self::ResourceTypeEmpty => "resourceType is empty",
            Self::EntryNotArray => "entry of a Bundle is not an array",
            Self::EntryNotObject => "entry of a Bundle is not an object",
            Self::NoId => "no id",
            Self::IllegalId => "id is not a legal FHIR id",
            Self::IllegalType => "resourceType does not look like one",
        })
    }
}

/// A record that cannot be delivered: its fault, and where in it the fault was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadRecord {
    /// What is wrong.
    pub fault: Fault,
    /// Offset from the record's first byte at which it was seen, in bytes; 0 where the whole record is meant.
    pub at: u64,
}

impl fmt::Display for BadRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at byte {} of the record)", self.fault, self.at)
    }
}

impl std::error::Error for BadRecord {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_found_again() {
        for fault in Fault::ALL {
            assert_eq!(Fault::from_code(fault.code()), Some(fault));
        }
        assert_eq!(Fault::from_code("no-such-fault"), None);
    }
}
