use std::fmt;

use serde::{Serialize, Serializer};

/// Why an export failed, and what to do then (<https://docs.connect.fastenhealth.com/webhooks/events>).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailureReason {
    /// The patient's access token could not be renewed.
    TokenRefreshFailure,
    /// The token does not cover the Patient resource.
    ScopePatientMissing,
    /// The Patient could not be fetched, although the token was renewed.
    ResourcePatientFailure,
    /// A critical resource could not be read.
    ResourceInvalidContent,
    /// TEFCA has no records.
    TefcaNoDocumentsFound,
    /// The reason is withheld, because it may say something about the patient.
    SuppressedPleaseContact,
    /// One that was not known when this was written.
    Other(String),
}

const KNOWN: [(&str, FailureReason); 6] = [
    ("token_refresh_failure", FailureReason::TokenRefreshFailure),
    ("scope_patient_missing", FailureReason::ScopePatientMissing),
    ("resource_patient_failure", FailureReason::ResourcePatientFailure),
    ("resource_invalid_content", FailureReason::ResourceInvalidContent),
    ("tefca_no_documents_found", FailureReason::TefcaNoDocumentsFound),
    ("suppressed_please_contact", FailureReason::SuppressedPleaseContact),
];

impl FailureReason {
    /// The name in events.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Other(name) => name,
            known => KNOWN.iter().find(|(_, reason)| reason == known).map_or("", |(name, _)| name),
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn action(&self) -> &'static str {
        match self {
            Self::TokenRefreshFailure => "ask the patient to reconnect",
            Self::ScopePatientMissing => {
                "ask the patient to reconnect, and to leave Demographics ticked on the page of the health system"
            }
            Self::ResourcePatientFailure => "request the export again, a few times at most",
            Self::ResourceInvalidContent => "contact Fasten's support with the task_id",
            Self::TefcaNoDocumentsFound => {
                "in test mode, request the export with one of the TEFCA fixtures; in live mode, there are no records for this patient"
            }
            Self::SuppressedPleaseContact => "contact Fasten's support with the task_id",
            Self::Other(_) => {
                "see Fasten's documentation of webhook events, or contact their support with the task_id"
            }
        }
    }

    /// Whether another request may succeed without anybody doing anything.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::ResourcePatientFailure)
    }
}

impl From<&str> for FailureReason {
    fn from(name: &str) -> Self {
        let known = KNOWN.iter().find(|(known, _)| *known == name);
        known.map_or_else(|| Self::Other(name.to_owned()), |(_, reason)| reason.clone())
    }
}

impl fmt::Display for FailureReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for FailureReason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_keep_their_names_known_or_not() {
        for name in KNOWN.map(|(name, _)| name).into_iter().chain(["something_new"]) {
            assert_eq!(FailureReason::from(name).name(), name);
            assert!(!FailureReason::from(name).action().is_empty());
        }
        assert_eq!(FailureReason::from("something_new"), FailureReason::Other("something_new".to_owned()));
        assert!(FailureReason::from("resource_patient_failure").may_pass());
        assert!(!FailureReason::from("token_refresh_failure").may_pass());
    }
}
