use std::collections::BTreeSet;

use fhirline_core::{Destination, ResourceType};

/// Which resource types are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// If not empty, only these.
    pub only: BTreeSet<ResourceType>,
    /// Never these.
    pub except: BTreeSet<ResourceType>,
}

impl Selection {
    /// Whether records of that destination are wanted. A type that does not look like one is wanted unless `only` names
    /// what is.
    #[must_use]
    pub fn wants(&self, destination: &Destination) -> bool {
        match destination {
            Destination::Resource(resource_type) => {
                (self.only.is_empty() || self.only.contains(resource_type))
                    && !self.except.contains(resource_type)
            }
            Destination::Unknown | Destination::Together => self.only.is_empty(),
            // What has no type is not chosen by type.
            _ => true,
        }
    }

    /// Whether everything is wanted.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.only.is_empty() && self.except.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn types(names: &[&str]) -> BTreeSet<ResourceType> {
        names.iter().filter_map(|name| ResourceType::new(name)).collect()
    }

    fn wanted(selection: &Selection) -> Vec<&'static str> {
        let mut wanted: Vec<_> = ["Goal", "Patient"]
            .into_iter()
            .filter(|name| selection.wants(&Destination::Resource(ResourceType::new(name).expect("a type"))))
            .collect();
        if selection.wants(&Destination::Unknown) {
            wanted.push("_unknown");
        }
        wanted
    }

    #[test]
    fn only_and_except_work_together() {
        let everything = Selection::default();
        let only = Selection { only: types(&["Patient"]), ..Selection::default() };
        let except = Selection { except: types(&["Patient"]), ..Selection::default() };
        let both = Selection { only: types(&["Patient", "Goal"]), except: types(&["Goal"]) };
        assert_eq!(wanted(&everything), ["Goal", "Patient", "_unknown"]);
        assert_eq!(wanted(&only), ["Patient"]);
        assert_eq!(wanted(&except), ["Goal", "_unknown"]);
        assert_eq!(wanted(&both), ["Patient"]);
    }
}
