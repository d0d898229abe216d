use fhirline_core::{Fault, ResourceType};
use fhirline_parse::Id;

/// Which ids a record may have to be delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IdRule {
    /// Any, or none: real exports hold ids longer than FHIR allows, and lose nothing by it.
    #[default]
    Any,
    /// Only what FHIR allows (<https://hl7.org/fhir/R4/datatypes.html#id>), with a type that looks like one, for outputs that address resources by both.
    Legal,
}

impl IdRule {
    /// What is wrong with a resource of that type and id.
    pub(crate) fn fault(self, resource_type: &str, id: Option<&Id<'_>>) -> Option<Fault> {
        match (self, id) {
            (Self::Any, _) => None,
            (Self::Legal, _) if ResourceType::new(resource_type).is_none() => Some(Fault::IllegalType),
            (Self::Legal, None) => Some(Fault::NoId),
            (Self::Legal, Some(id)) if id.is_legal() => None,
            (Self::Legal, Some(_)) => Some(Fault::IllegalId),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_fhir_allows_is_legal() {
        let text = |id: &'static str| Some(Id::Text(id.into()));
        let long = "x".repeat(65);
        for (id, fault) in [
            (None, Some(Fault::NoId)),
            (text("a-B.9"), None),
            (text(""), Some(Fault::IllegalId)),
            (text("a/b"), Some(Fault::IllegalId)),
            (text("\u{e9}"), Some(Fault::IllegalId)),
            (Some(Id::Text((&*long).into())), Some(Fault::IllegalId)),
            (Some(Id::Text((&long[1..]).into())), None),
            (Some(Id::TooLong(2000)), Some(Fault::IllegalId)),
        ] {
            assert_eq!(IdRule::Legal.fault("Goal", id.as_ref()), fault, "{id:?}");
            assert_eq!(IdRule::Legal.fault("go al", id.as_ref()), Some(Fault::IllegalType));
            assert_eq!(IdRule::Any.fault("go al", id.as_ref()), None);
        }
    }
}
