use std::fmt;
use std::sync::Arc;

use fhirline_core::{Destination, LongLine, Verdict};

use crate::place::{Place, Scratch};
use crate::{Resource, Router, with_long_resource};

/// Decides which resources of the wanted types are kept. What is left out is counted as filtered.
///
/// It is asked by any worker, in any order, about each resource of a wanted type that is sound, and perhaps twice; so it has to say the same
/// of the same resource each time, or outputs depend on chance. White space between tokens may differ from one time to the other.
///
/// ```
/// use fhirline_route::{Filter, Resource};
///
/// /// What is about one of these patients.
/// struct Patients(Vec<String>);
///
/// impl Filter for Patients {
///     fn name(&self) -> String {
///         "patients of the study".into()
///     }
///
///     fn keeps(&self, resource: &Resource<'_>) -> bool {
///         let about = |pointer| resource.get(pointer).ok().flatten().and_then(|found| found.text().map(String::from));
///         let subject = about("/subject/reference").or_else(|| about("/patient/reference"));
///         subject.is_some_and(|subject| self.0.contains(&subject))
///     }
/// }
/// ```
pub trait Filter: Send + Sync {
    /// What tells this filter from others, and from itself when it would decide otherwise (a hash of its list, say). It is written down
    /// with an output, and a run that goes on, or that is run again, wants the same; so nothing in it may be private.
    fn name(&self) -> String;

    /// Whether the resource is kept.
    fn keeps(&self, resource: &Resource<'_>) -> bool;
}

/// All filters of a router: a resource is kept if each of them keeps it.
#[derive(Clone)]
pub struct Filters(Arc<[Arc<dyn Filter>]>);

impl Filters {
    /// One filter, behind those that there are.
    #[must_use]
    pub fn with(before: Option<&Self>, filter: Arc<dyn Filter>) -> Self {
        let before = before.iter().flat_map(|filters| filters.0.iter().cloned());
        Self(before.chain([filter]).collect())
    }

    /// Their names.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.0.iter().map(|filter| filter.name()).collect()
    }

    /// Whether all of them keep the resource.
    #[must_use]
    pub fn keep(&self, resource: &Resource<'_>) -> bool {
        self.0.iter().all(|filter| filter.keeps(resource))
    }
}

impl fmt::Debug for Filters {
    /// Their names: lists in them may be of patients.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

impl Router {
    /// Whether the filter, if there is one, keeps a record of that group. It is not asked about what is not wanted anyway.
    pub(crate) fn keeps(&self, group: u32, at: Place, record: &[u8], scratch: &Scratch) -> bool {
        let Some(filters) = &self.filters else { return true };
        let group = &scratch.groups.all[group as usize];
        let position = scratch.at.advanced(u64::from(at.offset), u64::from(at.line));
        !group.wanted || filters.keep(&Resource::inline(group.destination, position, record))
    }

    /// Asks the filter, if there is one, about a record that was too long to be held.
    #[must_use]
    pub fn filtered_long(&self, mut line: LongLine, of_type: Option<Destination>) -> LongLine {
        let Some(filters) = &self.filters else { return line };
        let asked = with_long_resource(&mut line, |resource| {
            let destination = of_type.unwrap_or(resource.destination());
            (filters.keep(&resource.clone().going_to(destination)), destination)
        });
        if let (Some((false, destination)), Verdict::Delivered { record, .. }) = (asked, &line.verdict) {
            let record = record.clone();
            let (records, bytes) = (&mut line.ledger.records, &mut line.ledger.bytes);
            (records.filtered, records.delivered) = (records.delivered, 0);
            (bytes.filtered, bytes.delivered) = (bytes.delivered, 0);
            (line.ledger.duplicate_keys, line.ledger.unknown_types) = (0, 0);
            line.verdict = Verdict::Filtered { destination, record };
        }
        line
    }
}
