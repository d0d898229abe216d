//! An export's account, as its page has it.

use std::collections::BTreeMap;

use fhirline::{Account, Reconciliation};
use serde::Deserialize;

use crate::show::figures::{grouped, size};
use crate::store::ExportRow;

/// Types in the chart; the rest is in the table below it.
const BARS: usize = 24;
/// Units of the drawing: the height of a bar with its gap, where bars begin, and the length of the longest one.
const BAR_HEIGHT: usize = 22;
const BAR_LEFT: usize = 190;
const BAR_LENGTH: u64 = 400;

pub(super) struct AccountView {
    pub(super) delivered: String,
    pub(super) read: String,
    pub(super) filtered: String,
    pub(super) quarantined: String,
    pub(super) stored: String,
    pub(super) bars: Vec<Bar>,
    pub(super) height: usize,
    pub(super) label_x: usize,
    pub(super) types: Vec<TypeRow>,
    pub(super) faults: Vec<FaultRow>,
    pub(super) compared: Option<Compared>,
    pub(super) notes: Vec<String>,
}

pub(super) struct Bar {
    pub(super) name: String,
    pub(super) records: u64,
    pub(super) shown: String,
    pub(super) y: usize,
    pub(super) text_y: usize,
    pub(super) x: usize,
    pub(super) length: u64,
    pub(super) text_x: u64,
}

pub(super) struct TypeRow {
    pub(super) name: String,
    pub(super) records: String,
    pub(super) filtered: String,
    pub(super) size: String,
}

pub(super) struct FaultRow {
    pub(super) fault: String,
    pub(super) records: String,
    pub(super) source: String,
    pub(super) line: String,
    pub(super) byte: String,
}

pub(super) struct Compared {
    pub(super) matches: bool,
    pub(super) rows: Vec<ComparedRow>,
    pub(super) notes: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct ComparedRow {
    pub(super) name: String,
    pub(super) declared: String,
    pub(super) read: String,
    pub(super) differs: bool,
}

/// What the sender declares, as far as it can be read.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Declared {
    total_resources: Option<u64>,
    total_by_resource_type: BTreeMap<String, Option<u64>>,
}

impl AccountView {
    pub(super) fn of(export: &ExportRow) -> Option<Self> {
        let account: Account = serde_json::from_str(export.report.as_deref()?).ok()?;
        let declared = export.stats.as_deref().and_then(|stats| serde_json::from_str(stats).ok());
        let compared = account.reconciliation.as_ref();
        let bars = bars(&account);
        let records = &account.ledger.records;
        Some(Self {
            delivered: grouped(records.delivered),
            read: grouped(records.read),
            filtered: grouped(records.filtered),
            quarantined: grouped(records.quarantined),
            stored: size(account.sources.stored_bytes),
            height: bars.len() * BAR_HEIGHT,
            label_x: BAR_LEFT - 8,
            bars,
            types: account.types.iter().map(TypeRow::of).collect(),
            faults: account.faults.iter().map(FaultRow::of).collect(),
            compared: compared
                .map(|compared| Compared::of(compared, &declared.unwrap_or_default(), &account)),
            notes: account.notes.clone(),
        })
    }
}

/// The types with the most records, the longest bar first.
fn bars(account: &Account) -> Vec<Bar> {
    let mut types: Vec<_> = account.types.iter().filter(|of| of.records > 0).collect();
    types.sort_by(|one, other| {
        other.records.cmp(&one.records).then(one.resource_type.cmp(&other.resource_type))
    });
    let longest = types.first().map_or(1, |of| of.records);
    let bar = |(index, of): (usize, &&fhirline::TypeReport)| {
        let length = u128::from(of.records) * u128::from(BAR_LENGTH) / u128::from(longest);
        let length = u64::try_from(length).unwrap_or(BAR_LENGTH).max(1);
        Bar {
            name: of.resource_type.clone(),
            records: of.records,
            shown: grouped(of.records),
            y: index * BAR_HEIGHT + 3,
            text_y: index * BAR_HEIGHT + 15,
            x: BAR_LEFT,
            length,
            text_x: BAR_LEFT as u64 + length + 6,
        }
    };
    types.iter().take(BARS).enumerate().map(bar).collect()
}

impl TypeRow {
    fn of(of: &fhirline::TypeReport) -> Self {
        Self {
            name: of.resource_type.clone(),
            records: grouped(of.records),
            filtered: grouped(of.filtered),
            size: size(of.bytes),
        }
    }
}

impl FaultRow {
    fn of(of: &fhirline::FaultReport) -> Self {
        Self {
            fault: of.fault.clone(),
            records: grouped(of.records),
            source: of.first.source.clone(),
            line: grouped(of.first.line),
            byte: grouped(of.first.byte),
        }
    }
}

impl Compared {
    fn of(found: &Reconciliation, declared: &Declared, account: &Account) -> Self {
        let rows = if declared.total_by_resource_type.is_empty() {
            total(found, declared, account).into_iter().collect()
        } else {
            by_type(found, declared, account)
        };
        Self { matches: found.matches, rows, notes: found.notes.clone() }
    }
}

/// Counts by type, the ones that differ first.
fn by_type(found: &Reconciliation, declared: &Declared, account: &Account) -> Vec<ComparedRow> {
    let differing =
        |name: &str| found.differences.iter().find(|one| one.resource_type.as_deref() == Some(name));
    let mut read: BTreeMap<&str, u64> =
        declared.total_by_resource_type.keys().map(|name| (name.as_str(), 0)).collect();
    for of in &account.types {
        *read.entry(&of.resource_type).or_default() += of.records + of.filtered;
    }
    // Counts of what does not look like a type are compared under another name.
    for one in &found.differences {
        read.entry(one.resource_type.as_deref().unwrap_or_default()).or_insert(one.read);
    }
    let mut rows: Vec<_> = read
        .into_iter()
        .map(|(name, read)| {
            let difference = differing(name);
            let said = declared.total_by_resource_type.get(name).copied().flatten();
            let said = difference.map(|one| one.declared).or(said);
            ComparedRow {
                name: name.to_owned(),
                declared: said.map_or_else(|| "not said".to_owned(), grouped),
                read: grouped(difference.map_or(read, |one| one.read)),
                differs: difference.is_some(),
            }
        })
        .collect();
    rows.sort_by_key(|row| !row.differs);
    rows
}

fn total(found: &Reconciliation, declared: &Declared, account: &Account) -> Option<ComparedRow> {
    Some(ComparedRow {
        name: "all together".to_owned(),
        declared: grouped(declared.total_resources?),
        read: grouped(account.ledger.records.read),
        differs: !found.matches,
    })
}
