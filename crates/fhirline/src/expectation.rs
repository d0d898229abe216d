use std::collections::{BTreeMap, BTreeSet};

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use fhirline_core::{Destination, ResourceType};
use fhirline_fetch::{Declared as DeclaredOutput, FetchError, Found};
use fhirline_flow::Totals;

/// What the sender of an export declared: how many resources, by type if told.
///
/// Read from a saved Fasten Connect webhook event (`data.stats`) or from a FHIR Bulk Data manifest (`output[].count`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expectation {
    /// All resources together.
    pub total: Option<u64>,
    /// By type.
    pub by_type: BTreeMap<String, u64>,
    /// Types that the sender named without a count.
    pub uncounted: BTreeSet<String>,
}

/// A file that declares no counts.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExpectationError {
    /// It is not JSON.
    #[error("it is not JSON (line {line}, column {column})")]
    NotJson {
        /// Line of the mistake, from 1.
        line: usize,
        /// Column of the mistake, from 1.
        column: usize,
    },
    /// It is neither a webhook event with `data.stats` nor a manifest with `output`.
    #[error("it is neither a webhook event with data.stats nor a Bulk Data manifest with output")]
    NoDeclaration,
    /// It could declare counts, but has none.
    #[error("the {kind} has no counts")]
    NoCounts {
        /// What it is: an event or a manifest.
        kind: &'static str,
    },
    /// It has a count that is negative, a fraction, too large, or no number at all.
    #[error("a count in it is not a whole number")]
    NotWhole,
}

impl Expectation {
    /// Reads the counts out of a saved event or manifest.
    ///
    /// # Errors
    /// [`ExpectationError`] if there are none.
    pub fn read(json: &[u8]) -> Result<Self, ExpectationError> {
        let declared: Declared = serde_json::from_slice(json).map_err(|error| {
            if error.is_data() {
                return ExpectationError::NoDeclaration;
            }
            ExpectationError::NotJson { line: error.line(), column: error.column() }
        })?;
        match declared {
            Declared { data: Some(EventData { stats: Some(stats) }), .. } => Self::of_event(stats),
            Declared { output: Some(output), .. } => Self::of_manifest(output),
            _ => Err(ExpectationError::NoDeclaration),
        }
    }

    fn of_event(stats: Stats) -> Result<Self, ExpectationError> {
        let mut expectation = Self { total: whole(stats.total_resources)?, ..Self::default() };
        for (resource_type, count) in stats.total_by_resource_type.unwrap_or_default() {
            expectation.add(resource_type, whole(count)?);
        }
        if !expectation.by_type.is_empty() {
            return Ok(expectation);
        }
        // Names alone declare nothing: the total does, if there is one.
        expectation.uncounted.clear();
        expectation.total.ok_or(ExpectationError::NoCounts { kind: "event" })?;
        Ok(expectation)
    }

    fn of_manifest(output: Vec<Output>) -> Result<Self, ExpectationError> {
        if output.is_empty() {
            return Ok(Self { total: Some(0), ..Self::default() });
        }
        let mut expectation = Self::default();
        for Output { resource_type, count } in output {
            expectation.add(resource_type, whole(count)?);
        }
        // A type with one file that is counted and one that is not has no declared count.
        expectation.by_type.retain(|name, _| !expectation.uncounted.contains(name));
        if expectation.by_type.is_empty() {
            return Err(ExpectationError::NoCounts { kind: "manifest" });
        }
        Ok(expectation)
    }

    fn add(&mut self, resource_type: String, count: Option<u64>) {
        let Some(count) = count else {
            self.uncounted.insert(resource_type);
            return;
        };
        let sum = self.by_type.entry(resource_type).or_default();
        *sum = sum.saturating_add(count);
    }

    /// Compares with what was read: by type, before filters, if the sender counted by type, else in total.
    #[must_use]
    pub fn reconcile(&self, totals: &Totals) -> Reconciliation {
        let quarantined = totals.ledger.records.quarantined;
        if self.by_type.is_empty() && self.uncounted.is_empty() {
            let read = totals.ledger.records.read;
            let differences = self.total.filter(|total| *total != read).map(|declared| Difference {
                resource_type: None,
                declared,
                read,
            });
            let differences: Vec<_> = differences.into_iter().collect();
            let matches = differences.is_empty();
            return Reconciliation { matches, differences, quarantined, notes: Vec::new() };
        }
        let declared = self.declared();
        let mut names: BTreeMap<&str, u64> = declared.keys().map(|name| (*name, 0)).collect();
        for (destination, of_type) in &totals.types {
            *names.entry(destination.name()).or_default() +=
                of_type.delivered.records + of_type.filtered.records;
        }
        let declared = |name: &str| declared.get(name).copied().unwrap_or(0);
        let differences = names
            .into_iter()
            .filter(|(name, read)| !self.uncounted.contains(*name) && declared(name) != *read)
            .map(|(name, read)| Difference {
                resource_type: Some(name.to_owned()),
                declared: declared(name),
                read,
            });
        let differences: Vec<_> = differences.collect();
        Reconciliation { matches: differences.is_empty(), differences, quarantined, notes: self.notes() }
    }

    /// The declared counts under the names of our destinations: what does not look like a type goes to `_unknown`.
    fn declared(&self) -> BTreeMap<&str, u64> {
        let mut declared = BTreeMap::new();
        for (name, count) in &self.by_type {
            let known = ResourceType::new(name).is_some();
            let name = if known { name } else { Destination::Unknown.name() };
            let sum: &mut u64 = declared.entry(name).or_default();
            *sum = sum.saturating_add(*count);
        }
        declared
    }

    /// The documented example of the webhook event contradicts itself, so a contradiction is told and changes nothing.
    fn notes(&self) -> Vec<String> {
        let sum = self.by_type.values().fold(0, |sum: u64, count| sum.saturating_add(*count));
        let total = self.total.filter(|total| *total != sum);
        let note =
            total.map(|total| format!("the sender declares {total} resources in total, but {sum} by type"));
        note.into_iter().collect()
    }
}

/// What manifests declare of the sources that come by.
#[derive(Debug)]
pub(crate) struct DeclaredCounts {
    expectation: Expectation,
    /// Whether they declare the type and the count of every source so far.
    of_all: bool,
    /// Whether a Bundle counts as one.
    keep_bundles: bool,
}

impl Default for DeclaredCounts {
    fn default() -> Self {
        Self::new(false)
    }
}

impl DeclaredCounts {
    pub(crate) fn new(keep_bundles: bool) -> Self {
        Self { expectation: Expectation::default(), of_all: true, keep_bundles }
    }

    /// Takes what comes next. What could not be found is a source that failed, and what is skipped has no resources.
    pub(crate) fn note(&mut self, found: &Result<Found, FetchError>) {
        let Ok(Found::Source { role, declared, .. }) = found else { return };
        if role.sidecar().is_some() || !self.of_all {
            return;
        }
        match declared {
            Some(DeclaredOutput { resource_type: Some(name), count: Some(count) })
                if self.keep_bundles || name != "Bundle" =>
            {
                self.expectation.add(name.clone(), Some(*count));
            }
            // The resources of one source that nobody counted may be of any type.
            _ => self.of_all = false,
        }
    }

    /// What they add up to, if that says anything of all that was read.
    pub(crate) fn expectation(self) -> Option<Expectation> {
        (self.of_all && !self.expectation.by_type.is_empty()).then_some(self.expectation)
    }
}

/// How what was read compares with what the sender declared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reconciliation {
    /// Whether every count is as declared.
    pub matches: bool,
    /// The counts that are not.
    pub differences: Vec<Difference>,
    /// Records in quarantine: they were read, but have no type, and may explain a difference.
    pub quarantined: u64,
    /// What else is worth knowing.
    pub notes: Vec<String>,
}

/// A count that is not as declared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The type; all together if `None`.
    pub resource_type: Option<String>,
    /// What the sender declared; 0 for a type that it did not name.
    pub declared: u64,
    /// What was read, before filters.
    pub read: u64,
}

#[derive(Deserialize)]
struct Declared {
    data: Option<EventData>,
    output: Option<Vec<Output>>,
}

#[derive(Deserialize)]
struct EventData {
    stats: Option<Stats>,
}

#[derive(Deserialize)]
struct Stats {
    total_resources: Option<Count>,
    total_by_resource_type: Option<BTreeMap<String, Option<Count>>>,
}

#[derive(Deserialize)]
struct Output {
    #[serde(rename = "type", default)]
    resource_type: String,
    count: Option<Count>,
}

/// A count, or whatever stands in its place.
#[derive(Deserialize)]
#[serde(untagged)]
enum Count {
    Whole(u64),
    Other(IgnoredAny),
}

fn whole(count: Option<Count>) -> Result<Option<u64>, ExpectationError> {
    let whole = |count| match count {
        Count::Whole(count) => Ok(count),
        Count::Other(_) => Err(ExpectationError::NotWhole),
    };
    count.map(whole).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use fhirline_flow::{Tally, TypeTotals};

    fn read(counts: &[(&str, u64, u64)], quarantined: u64) -> Totals {
        let mut totals = Totals::default();
        for &(name, delivered, filtered) in counts {
            let destination = ResourceType::new(name).map_or(Destination::Unknown, Destination::Resource);
            let tally = |records| Tally { records, bytes: 0 };
            let of_type = TypeTotals { delivered: tally(delivered), filtered: tally(filtered) };
            totals.types.insert(destination, of_type);
            totals.ledger.records.read += delivered + filtered;
        }
        totals.ledger.records.read += quarantined;
        totals.ledger.records.quarantined = quarantined;
        totals
    }

    fn event(stats: &str) -> Expectation {
        Expectation::read(format!("{{\"type\":\"t\",\"data\":{{\"stats\":{stats}}}}}").as_bytes())
            .expect("an event")
    }

    #[test]
    fn an_event_is_compared_by_type_before_filters() {
        let expectation = event(r#"{"total_resources":5,"total_by_resource_type":{"Patient":1,"Goal":4}}"#);
        assert!(expectation.reconcile(&read(&[("Patient", 1, 0), ("Goal", 1, 3)], 0)).matches);
        let found = expectation.reconcile(&read(&[("Goal", 3, 0), ("Basic", 1, 0)], 1));
        let difference =
            |name: &str, declared, read| Difference { resource_type: Some(name.into()), declared, read };
        assert_eq!(
            found.differences,
            [difference("Basic", 0, 1), difference("Goal", 4, 3), difference("Patient", 1, 0)]
        );
        assert_eq!((found.matches, found.quarantined), (false, 1));
    }

    #[test]
    fn declared_names_that_are_no_types_are_compared_with_unknown() {
        let expectation = event(r#"{"total_by_resource_type":{"x-custom/thing":1,"other thing":1}}"#);
        assert!(expectation.reconcile(&read(&[("no type", 2, 0)], 0)).matches);
    }

    #[test]
    fn a_total_alone_counts_what_is_in_quarantine_too() {
        let expectation = event(r#"{"total_resources":3}"#);
        assert!(expectation.reconcile(&read(&[("Goal", 2, 0)], 1)).matches);
        let found = expectation.reconcile(&read(&[("Goal", 2, 0)], 0));
        assert_eq!(found.differences, [Difference { resource_type: None, declared: 3, read: 2 }]);
    }

    #[test]
    fn a_total_that_contradicts_its_own_types_is_a_note() {
        let expectation = event(r#"{"total_resources":12,"total_by_resource_type":{"Goal":317}}"#);
        let found = expectation.reconcile(&read(&[("Goal", 317, 0)], 0));
        assert!(found.matches);
        assert_eq!(found.notes, ["the sender declares 12 resources in total, but 317 by type"]);
    }

    #[test]
    fn a_manifest_adds_up_its_files_and_compares_what_it_counts() {
        let json = br#"{"output":[{"type":"Goal","url":"1","count":2},{"type":"Goal","url":"2","count":3},
            {"type":"Patient","url":"3"}],"error":[]}"#;
        let expectation = Expectation::read(json).expect("a manifest");
        assert!(expectation.reconcile(&read(&[("Goal", 5, 0), ("Patient", 7, 0)], 0)).matches);
        assert!(!expectation.reconcile(&read(&[("Goal", 4, 0)], 0)).matches);
    }

    #[test]
    fn a_manifest_of_nothing_declares_that_there_is_nothing() {
        let expectation = Expectation::read(br#"{"output":[]}"#).expect("a manifest");
        assert!(expectation.reconcile(&read(&[], 0)).matches);
        assert!(!expectation.reconcile(&read(&[("Goal", 1, 0)], 0)).matches);
        assert!(!expectation.reconcile(&read(&[], 1)).matches);
    }

    #[test]
    fn names_without_counts_leave_the_total() {
        let expectation = event(r#"{"total_resources":2,"total_by_resource_type":{"Goal":null}}"#);
        assert!(expectation.reconcile(&read(&[("Patient", 2, 0)], 0)).matches);
        let expectation = event(r#"{"total_by_resource_type":{"Goal":null,"Patient":2}}"#);
        assert!(expectation.reconcile(&read(&[("Goal", 7, 0), ("Patient", 2, 0)], 0)).matches);
        assert!(!expectation.reconcile(&read(&[("Goal", 7, 0), ("Patient", 3, 0)], 0)).matches);
    }

    #[test]
    fn sums_that_are_too_large_do_not_wrap() {
        let most = u64::MAX;
        let json = format!(
            r#"{{"output":[{{"type":"Goal","count":{most}}},{{"type":"Goal","count":2}},
            {{"type":"x/y","count":{most}}},{{"type":"x/z","count":2}}]}}"#
        );
        let expectation = Expectation::read(json.as_bytes()).expect("a manifest");
        let found = expectation.reconcile(&read(&[("Goal", 1, 0), ("no type", 1, 0)], 0));
        assert_eq!(found.differences.iter().map(|of_type| of_type.declared).collect::<Vec<_>>(), [most; 2]);
        let stats =
            format!(r#"{{"total_resources":1,"total_by_resource_type":{{"Goal":{most},"Patient":2}}}}"#);
        let notes = event(&stats).reconcile(&read(&[], 0)).notes;
        assert_eq!(notes, [format!("the sender declares 1 resources in total, but {most} by type")]);
    }

    #[test]
    fn what_declares_nothing_is_refused() {
        let refused = |json: &str| Expectation::read(json.as_bytes()).expect_err(json);
        for json in [r#"{"data":{}}"#, "[]", r#"{"resourceType":"Patient"}"#, r#"{"data":{"stats":7}}"#] {
            assert!(matches!(refused(json), ExpectationError::NoDeclaration), "{json}");
        }
        assert!(matches!(refused("{"), ExpectationError::NotJson { .. }));
        for stats in [
            "{}",
            r#"{"total_resources":null,"total_by_resource_type":null}"#,
            r#"{"total_by_resource_type":{}}"#,
            r#"{"total_by_resource_type":{"Goal":null}}"#,
        ] {
            let error = refused(&format!(r#"{{"data":{{"stats":{stats}}}}}"#));
            assert!(matches!(error, ExpectationError::NoCounts { kind: "event" }), "{stats}");
        }
        for output in [r#"{"type":"Goal"}"#, r#"{"type":"Goal","count":1},{"type":"Goal","count":null}"#] {
            let error = refused(&format!(r#"{{"output":[{output}]}}"#));
            assert!(matches!(error, ExpectationError::NoCounts { kind: "manifest" }), "{output}");
        }
    }

    #[test]
    fn counts_that_are_no_whole_numbers_are_refused() {
        for count in ["-1", "1.5", "1.0", "\"1\"", "18446744073709551616", "true", "{}", "[]"] {
            for json in [
                format!(r#"{{"data":{{"stats":{{"total_resources":{count}}}}}}}"#),
                format!(r#"{{"data":{{"stats":{{"total_by_resource_type":{{"Goal":{count}}}}}}}}}"#),
                format!(r#"{{"output":[{{"type":"Goal","count":{count}}}]}}"#),
            ] {
                let error = Expectation::read(json.as_bytes()).expect_err(&json);
                assert!(matches!(error, ExpectationError::NotWhole), "{json}");
            }
        }
    }
}
