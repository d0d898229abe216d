use std::collections::{BTreeMap, BTreeSet};

use super::table::{Case, Reply, Row, Table};

const HEAD: &str = "\
# What is wrong with exports, and what fhirline does about it

<!-- Written from fixtures/faults.toml: UPDATE_DOCS=1 cargo test --test fhirline faults -->

Every kind of trouble that is known from exports in the wild, and what comes of it. Each has small sources that show it
(`fixtures/faults`), and a test runs every one of them through the program: it checks the counts, the exit status and the
messages below, and that every record of a source that could be read is in an output or in quarantine, byte for byte.

The exit status is 0 if all is well, 3 if records are in quarantine, 4 if the counts are not those that the sender
declared, 5 if a source could not be read to its end. With 5 nothing gets a final name: the
source is taken back to its beginning, and the same command begins there once the source is whole.

What servers do has a table of its own: each line names the tests that show it, against a server that does it. What is an
event is not read yet; the table says where it will belong.
";

/// The table as a page for users.
pub(super) fn page(table: &Table) -> String {
    let overview: String = table.row.iter().map(overview).collect();
    let replies: String =
        table.row.iter().flat_map(|row| row.reply.iter().map(|reply| answered(row, reply))).collect();
    let cases: String =
        table.row.iter().flat_map(|row| row.case.iter().map(|case| line(row, case))).collect();
    format!(
        "{HEAD}\n| # | found | what fhirline does | exit |\n|---|---|---|---|\n{overview}\n\
         ## The cases\n\n`fhirline split SOURCE -o DEST`, with the options that are given.\n\n\
         | # | source | what it holds | delivered | quarantined | exit | it says |\n\
         |---|---|---|---|---|---|---|\n{cases}\n\
         ## What servers do\n\n| # | the server | what fhirline does | shown by |\n|---|---|---|---|\n{replies}"
    )
}

fn overview(row: &Row) -> String {
    let exits: BTreeSet<i32> = row.case.iter().map(|case| case.exit).collect();
    let exits: Vec<String> = exits.iter().map(ToString::to_string).collect();
    let mut does = row.does.clone();
    if let (Some(whose), Some(there)) = (&row.belongs_to, &row.there) {
        does += &format!(" *Belongs to {whose}:* {there}.");
    }
    cells(&[&row.number.to_string(), &row.name, &does, &exits.join(", ")])
}

fn line(row: &Row, case: &Case) -> String {
    let source = match (&case.fixture, &case.generate) {
        (Some(name), _) => format!("[{name}](../fixtures/faults/{name})"),
        (None, made) => format!("{} (made by the test)", made.as_deref().unwrap_or_default()),
    };
    let options = if case.options.is_empty() { String::new() } else { format!(" `{}`", case.options) };
    cells(&[
        &row.number.to_string(),
        &(source + &options),
        &case.what,
        &counted(&case.delivered, ""),
        &counted(&case.faults, "`"),
        &case.exit.to_string(),
        &said(case),
    ])
}

fn answered(row: &Row, reply: &Reply) -> String {
    let shown_by = |test: &String| {
        let (file, function) = test.split_once("::").unwrap_or((test, ""));
        format!("[`{function}`](../{file})")
    };
    let tests: Vec<String> = reply.tests.iter().map(shown_by).collect();
    cells(&[&row.number.to_string(), &reply.what, &reply.does, &tests.join(", ")])
}

fn said(case: &Case) -> String {
    let counted = |count: u64, what: &str| (count > 0).then(|| format!("{what}: {count}"));
    let differ = (!case.differs.is_empty()).then(|| format!("other counts of {}", case.differs.join(", ")));
    let parts = [
        case.says.as_ref().map(|says| format!("... {says} ...")),
        case.hint.as_ref().map(|hint| format!("hint: ... {hint} ...")),
        differ,
        counted(case.blank_lines, "blank lines"),
        counted(case.bare_entries, "entries without a resource"),
        counted(case.duplicate_keys, "duplicate keys"),
        counted(case.byte_order_marks, "bytes of marks"),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn counted(counts: &BTreeMap<String, u64>, quote: &str) -> String {
    let each = counts.iter().map(|(name, count)| format!("{count} {quote}{name}{quote}"));
    each.collect::<Vec<_>>().join(", ")
}

/// One line of a table.
fn cells(cells: &[&str]) -> String {
    let escaped = cells.iter().map(|cell| cell.replace('|', "\\|"));
    format!("| {} |\n", escaped.collect::<Vec<_>>().join(" | "))
}
