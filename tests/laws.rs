//! `docs/laws.md` names tests; a name that leads nowhere would be a promise that nobody keeps.

use std::fs;
use std::path::Path;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The file and the function in the last column of each row.
fn named(page: &str) -> Vec<(&str, &str)> {
    let rows = page.lines().filter_map(|row| row.strip_suffix("` |"));
    rows.filter_map(|row| row.rsplit("| `").next()?.split_once("` `")).collect()
}

#[test]
fn test_each_law_has_its_tests() {
    let page = fs::read_to_string(root().join("docs/laws.md")).expect("the page");
    let named = named(&page);
    assert!(named.len() > 20, "{} rows: is the page read rightly?", named.len());
    for (file, function) in &named {
        let code = fs::read_to_string(root().join(file)).unwrap_or_default();
        assert!(
            code.contains(&format!("fn {function}(")),
            "docs/laws.md names {function} in {file}, which is not there"
        );
    }
    for law in ["Verbatim", "Accounting", "Deterministic", "Flat", "All or nothing", "Total", "Private"] {
        let section = page.split(&format!("\n## {law}\n")).nth(1).expect("a section of the law");
        let section = section.split("\n## ").next().unwrap_or_default();
        assert!(section.contains(".rs` `"), "{law} has no test");
    }
}
