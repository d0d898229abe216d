//! The patients whose resources are wanted.

use std::collections::BTreeSet;
use std::fmt;

use fhirline::{Filter, Resource, ResourceError, Value};
use sha2::{Digest, Sha256};

/// Where a resource says whom it is about.
const SUBJECTS: [&str; 3] = ["/subject/reference", "/patient/reference", "/beneficiary/reference"];

/// Keeps these patients, and what is about one of them. What is about nobody (an organization, say) is left out.
pub struct PatientList(BTreeSet<String>);

impl PatientList {
    /// The ids in a text, one on each line.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self(text.lines().map(str::trim).filter(|id| !id.is_empty()).map(str::to_owned).collect())
    }

    fn is_wanted(&self, resource: &Resource<'_>) -> Result<bool, ResourceError> {
        if resource.resource_type().is_some_and(|of| of.as_str() == "Patient") {
            return Ok(resource.id()?.is_some_and(|id| self.0.contains(&*id)));
        }
        for pointer in SUBJECTS {
            let reference = resource.get(pointer)?.and_then(Value::into_text);
            if reference.is_some_and(|reference| patient_of(&reference).is_some_and(|id| self.0.contains(id)))
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Filter for PatientList {
    /// A hash: the ids are private, and a run that goes on wants the same list.
    fn name(&self) -> String {
        let mut hash = Sha256::new();
        self.0.iter().for_each(|id| hash.update(format!("{id}\n")));
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn keeps(&self, resource: &Resource<'_>) -> bool {
        // One that cannot be read is kept: the sink cannot read it either, and says so.
        self.is_wanted(resource).unwrap_or(true)
    }
}

/// Says nothing of the ids.
impl fmt::Debug for PatientList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PatientList").field(&self.0.len()).finish()
    }
}

/// The id in `Patient/ID`, `https://server/fhir/Patient/ID` and `Patient/ID/_history/1`.
fn patient_of(reference: &str) -> Option<&str> {
    let (before, rest) = reference.split_once("Patient/")?;
    let is_whole = before.is_empty() || before.ends_with('/');
    rest.split('/').next().filter(|_| is_whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_to_patients_and_to_nobody_else() {
        for (reference, id) in [
            ("Patient/a-1", Some("a-1")),
            ("https://fhir.example/r4/Patient/a-1/_history/2", Some("a-1")),
            ("Practitioner/a-1", None),
            ("NotAPatient/a-1", None),
            ("urn:uuid:a-1", None),
        ] {
            assert_eq!(patient_of(reference), id, "{reference}");
        }
    }

    #[test]
    fn the_name_is_of_the_list_and_not_of_its_order_and_tells_no_id() {
        let list = PatientList::parse("canary-a\n\n canary-b \n");
        assert_eq!(list.name(), PatientList::parse("canary-b\ncanary-a").name());
        assert_ne!(list.name(), PatientList::parse("canary-a").name());
        assert!(!format!("{list:?} {}", list.name()).contains("canary"));
    }
}
