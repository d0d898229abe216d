use crate::Destination;

/// What a source holds, as far as somebody said so: the manifest of a Bulk Data export lists files that are no data beside
/// those that are (<https://hl7.org/fhir/uv/bulkdata/export.html>, "Response - Complete Status").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SourceRole {
    /// Resources.
    #[default]
    Data,
    /// Resources in blocks, each behind a header line (`outputOrganizedBy`). Headers are no data.
    Organized,
    /// Transaction Bundles that tell what was deleted. They are kept as they are, and nothing in them is a record.
    Deleted,
    /// OperationOutcomes that tell how the export went, of any severity. They are kept as they are.
    Errors,
}

impl SourceRole {
    /// Where all of the source goes; `None` if it holds data.
    #[must_use]
    pub fn sidecar(self) -> Option<Destination> {
        match self {
            Self::Data | Self::Organized => None,
            Self::Deleted => Some(Destination::Deleted),
            Self::Errors => Some(Destination::Errors),
        }
    }
}
