//! The table of faults: what is wrong with exports as they are found, each case run through the program itself.

mod case;
mod generated;
mod page;
mod table;

use std::fs;
use std::path::{Path, PathBuf};

use case::check;
use page::page;
use table::{Case, Table};

const TABLE: &str = include_str!("../fixtures/faults.toml");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn fixtures() -> PathBuf {
    root().join("fixtures/faults")
}

/// Runs the cases that are chosen, and tells all that went wrong.
#[track_caller]
fn check_cases(chosen: impl Fn(&Case) -> bool) {
    let (mut trouble, mut checked) = (String::new(), 0);
    for row in Table::read(TABLE).row {
        for case in row.case.iter().filter(|case| chosen(case)) {
            checked += 1;
            if let Err(why) = check(case) {
                trouble += &format!("\nrow {}, {}\n{why}\n", row.number, case.title());
            }
        }
    }
    assert!(checked > 0, "no case was chosen");
    assert!(trouble.is_empty(), "{trouble}");
}

#[test]
fn every_fixture_without_an_option() {
    check_cases(|case| case.fixture.is_some() && case.options.is_empty());
}

#[test]
fn sources_that_are_made() {
    check_cases(|case| case.generate.is_some());
}

#[test]
fn caps_on_what_is_decoded() {
    check_cases(|case| case.options.contains("--max-ratio") || case.options.contains("--max-decoded-bytes"));
}

#[test]
fn counts_that_were_declared() {
    check_cases(|case| case.options.contains("--expect"));
}

#[test]
fn bundles_that_are_kept() {
    check_cases(|case| case.options.contains("--keep-bundles"));
}

#[test]
fn no_case_is_left_out() {
    let tested = |case: &Case| {
        case.generate.is_some()
            || case.options.is_empty()
            || ["--max-ratio", "--max-decoded-bytes", "--expect", "--keep-bundles"]
                .iter()
                .any(|name| case.options.contains(name))
    };
    for row in Table::read(TABLE).row {
        assert!(row.case.iter().all(tested), "row {}: a case that no test runs", row.number);
    }
}

#[test]
fn all_43_rows_are_there_in_order() {
    let rows = Table::read(TABLE).row;
    let numbers: Vec<u32> = rows.iter().map(|row| row.number).collect();
    assert_eq!(numbers, (1..=43).collect::<Vec<u32>>());
    for row in &rows {
        let is_shown = !row.case.is_empty() || !row.reply.is_empty() || row.belongs_to.is_some();
        assert!(is_shown, "row {}: nothing shows it", row.number);
        assert_eq!(row.belongs_to.is_some(), row.there.is_some(), "row {}", row.number);
        for case in &row.case {
            assert!(case.fixture.is_some() != case.generate.is_some(), "row {}: {}", row.number, case.what);
            let told = case.exit == 5 && case.says.is_none();
            assert!(!told, "row {}: a source that fails has a message: {}", row.number, case.what);
        }
    }
}

#[test]
fn what_servers_do_is_shown_by_tests_that_exist() {
    for row in Table::read(TABLE).row {
        for reply in &row.reply {
            assert!(!reply.tests.is_empty(), "row {}: {}: no test", row.number, reply.what);
            for test in &reply.tests {
                let (file, function) = test.split_once("::").expect("file::function");
                let text = fs::read_to_string(root().join(file)).unwrap_or_default();
                let is_there = text.contains(&format!("#[test]\nfn {function}()"));
                assert!(is_there, "row {}: there is no test {test}", row.number);
            }
        }
    }
}

#[test]
fn every_file_of_the_folder_is_in_the_table() {
    let table = Table::read(TABLE);
    let is_used = |name: &str| {
        let mut cases = table.row.iter().flat_map(|row| &row.case);
        cases.any(|case| case.fixture.as_deref() == Some(name) || case.options.ends_with(name))
    };
    for entry in fs::read_dir(fixtures()).expect("a readable folder") {
        let name = entry.expect("a readable folder").file_name().display().to_string();
        assert!(is_used(&name), "{name} is in no row of fixtures/faults.toml");
    }
}

#[test]
fn the_page_for_users_is_the_table() {
    let path = root().join("docs/faults.md");
    let wanted = page(&Table::read(TABLE));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &wanted).expect("docs can be written");
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == wanted,
        "docs/faults.md is not what fixtures/faults.toml says; write it with \
         UPDATE_DOCS=1 cargo test --test fhirline faults"
    );
}
