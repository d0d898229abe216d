//! What the README shows is what happens.

use super::place::{Place, has};

const README: &str = include_str!("../../README.md");

/// The fenced blocks of that kind, each as its lines.
fn blocks(kind: &str) -> Vec<Vec<&'static str>> {
    let mut blocks = Vec::new();
    let mut lines = README.lines();
    while let Some(line) = lines.next() {
        let Some(found) = line.strip_prefix("```") else { continue };
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        if found == kind {
            blocks.push(block);
        }
    }
    blocks
}

/// A command and what it is said to print.
fn steps(block: &[&'static str]) -> Vec<(String, Vec<&'static str>)> {
    let mut steps: Vec<(String, Vec<&str>)> = Vec::new();
    for line in block {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => steps.push((command.to_owned(), Vec::new())),
            (None, Some((_, printed))) => printed.push(line),
            (None, None) => panic!("output before a command: {line}"),
        }
    }
    steps
}

/// Whether lines are as shown; a line `...` stands for any number of lines.
fn are_as_shown(printed: &[&str], shown: &[&str]) -> bool {
    match shown.split_first() {
        None => printed.is_empty(),
        Some((&"...", rest)) => (0..=printed.len()).any(|skip| are_as_shown(&printed[skip..], rest)),
        Some((line, rest)) => printed
            .split_first()
            .is_some_and(|(first, more)| is_as_shown(first, line) && are_as_shown(more, rest)),
    }
}

/// Whether a line is as shown, where `...` stands for any characters.
fn is_as_shown(printed: &str, shown: &str) -> bool {
    match shown.split_once("...") {
        None => printed.trim_end() == shown.trim_end(),
        Some((start, end)) => printed.starts_with(start) && printed[start.len()..].ends_with(end),
    }
}

#[test]
fn the_first_commands_are_the_two_that_show_everything() {
    let first = README.split("```").nth(1).expect("a block");
    let commands: Vec<&str> = first.lines().skip(1).collect();
    assert_eq!(commands, ["cargo run --release -- demo", "cargo test --workspace --all-features"]);
}

#[test]
fn the_commands_print_what_is_shown() {
    let place = Place::new();
    let mut run = 0;
    for (command, shown) in blocks("console").iter().flat_map(|block| steps(block)) {
        if command.contains("jq") && !has("jq") {
            continue;
        }
        let ran = place.shell(&format!("{{ {command}\n}} 2>&1"));
        let printed: Vec<&str> = ran.out().lines().collect();
        assert!(are_as_shown(&printed, &shown), "{}\nshown:\n{}", ran.shown(), shown.join("\n"));
        run += 1;
    }
    assert!(run >= 10, "only {run} commands were run");
}

#[test]
fn the_comparison_can_fail() {
    assert!(are_as_shown(&["a", "b", "c"], &["a", "...", "c"]));
    assert!(are_as_shown(&["a"], &["a", "..."]));
    assert!(!are_as_shown(&["a", "b"], &["a"]));
    assert!(!are_as_shown(&["a", "b"], &["...", "a"]));
    assert!(!are_as_shown(&[], &["a"]));
    assert!(is_as_shown("stopped (line 7)", "stopped (...)") && !is_as_shown("stopped", "stopped (...)"));
}

#[test]
fn the_exit_statuses_are_those_of_the_help() {
    let help = Place::new().run("--help").ends_with(0);
    let (_, table) = help.out().split_once("Exit status:\n").expect("the statuses");
    let mut rows = 0;
    for line in table.lines().take_while(|line| line.starts_with(' ')) {
        let (code, meaning) = line.trim().split_once("  ").expect("two columns");
        assert!(README.contains(&format!("| {code} | {meaning} |")), "{line}");
        rows += 1;
    }
    assert_eq!(rows, 7);
}

#[test]
fn the_demo_leaves_what_it_shows() {
    let place = Place::new();
    let ran = place.run("demo here").ends_with(0);
    for name in ["export.jsonl", "event.json", "out/manifest.json", "out/_quarantine/lines.raw"] {
        assert!(place.exists(&format!("here/{name}")), "{name}");
    }
    assert!(ran.out().contains("complete, with records in quarantine (exit status 3)"), "{}", ran.out());
    // Again, and in a folder that holds something else.
    place.run("demo here").ends_with(0);
    place.put("mine/notes.txt", "mine");
    place.run("demo mine").ends_with(2);
    assert_eq!(place.files("mine"), ["notes.txt"]);
}

#[test]
fn the_demo_replaces_nothing_but_its_own() {
    let place = Place::new();
    place.run("demo made").ends_with(0);
    let (event, export) = (place.read("made/event.json"), place.read("made/export.jsonl"));
    let foreign: [&[(&str, &[u8])]; 6] = [
        &[("export.jsonl", &export), ("event.json", b"{}")],
        &[("export.jsonl", b"{}\n"), ("event.json", &event)],
        &[("export.jsonl", &export)],
        &[("event.json", &event), ("out/notes.txt", b"mine")],
        &[("event.json", &event), ("out/manifest.json", b"{}")],
        &[("event.json", &event), ("out", b"mine")],
    ];
    for (number, files) in foreign.into_iter().enumerate() {
        let folder = format!("folder{number}");
        files.iter().for_each(|(name, bytes)| place.put(&format!("{folder}/{name}"), bytes));
        let before = place.contents(&folder);
        place.run(&format!("demo {folder}")).ends_with(2);
        assert!(place.contents(&folder) == before, "{folder}");
    }
    // One that was stopped while it wrote.
    place.put("stopped/event.json", event);
    place.put("stopped/export.jsonl", &export[..1000]);
    place.put("stopped/out/_fhirline.partial", "");
    place.put("stopped/out/Goal.ndjson.partial", "half a rec");
    place.run("demo stopped").ends_with(0);
    assert!(place.read("stopped/export.jsonl") == export);
}

#[test]
fn paths_that_are_named_exist() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let targets = README.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let mut seen = 0;
    for target in targets.filter(|target| !target.contains("://") && !target.starts_with('#')) {
        assert!(root.join(target).exists(), "{target}");
        seen += 1;
    }
    assert!(seen > 0);
}
