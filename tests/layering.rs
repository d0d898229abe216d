//! The arrows between the crates, kept true by machine: who may use whom inside the workspace, which crates may reach
//! which dependency, and what the code of the pure crates may name.
//!
//! The rules are pure functions over a [`Graph`], so that the tests at the end can see them fail.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

const CLI: &str = "fhirline-cli";

/// What each crate of the workspace may use of the workspace. A crate that is not in this table fails the test.
const ARROWS: &[(&str, &[&str])] = &[
    ("fhirline-core", &[]),
    ("fhirline-fetch", &["fhirline-core"]),
    ("fhirline-decompress", &["fhirline-core"]),
    ("fhirline-line-split", &["fhirline-core"]),
    ("fhirline-parse", &["fhirline-core"]),
    ("fhirline-route", &["fhirline-core", "fhirline-bundle", "fhirline-parse"]),
    ("fhirline-sink", &["fhirline-bundle", "fhirline-core"]),
    ("fhirline-bundle", &["fhirline-core", "fhirline-parse"]),
    (
        "fhirline-flow",
        &[
            "fhirline-bundle",
            "fhirline-core",
            "fhirline-decompress",
            "fhirline-line-split",
            "fhirline-route",
            "fhirline-sink",
        ],
    ),
    (
        "fhirline",
        &[
            "fhirline-bundle",
            "fhirline-core",
            "fhirline-decompress",
            "fhirline-fetch",
            "fhirline-flow",
            "fhirline-line-split",
            "fhirline-parse",
            "fhirline-route",
            "fhirline-sink",
        ],
    ),
    ("fhirline-connect", &["fhirline-core", "fhirline-fetch"]),
    ("fhirline-serve", &["fhirline", "fhirline-connect"]),
    (CLI, &["fhirline", "fhirline-connect", "fhirline-serve"]),
];

/// The only crates of the workspace from which a dependency may be reached, with default features.
const ONLY_FROM: &[(&str, &[&str])] = &[
    ("tokio", RIM),
    ("tokio-util", RIM),
    ("crossbeam-channel", &["fhirline-flow", "fhirline", "fhirline-serve", CLI]),
    ("rayon", &[]),
    ("clap", &[CLI]),
    ("indicatif", &[CLI]),
    ("reqwest", &[]),
    ("hyper", &[]),
    ("rustls", &[]),
    ("native-tls", &[]),
    ("openssl", &[]),
    ("openssl-sys", &[]),
    ("object_store", &[]),
    ("sqlx-core", &[]),
    ("libsqlite3-sys", &[]),
];

/// Most packages that are built for the command line on Linux: with default features, and with all. Whoever adds one raises the number in
/// the same commit, and says why (docs/decisions/0014).
const MOST_PACKAGES: [(&[&str], usize); 2] = [(&[], 101), (&["--all-features"], 302)];

/// The crates that may know an async runtime.
const RIM: &[&str] = &["fhirline-fetch", "fhirline-connect", "fhirline-serve", "fhirline", CLI];

/// The crates that must build on the standard library alone.
const WITHOUT_DEPENDENCIES: &[&str] = &["fhirline-core"];

/// The crates that touch no file, socket, clock, thread or runtime, by folder.
const PURE: &[&str] = &["core", "line-split", "parse", "route", "bundle"];

/// What they must not name. `std::io` traits and the type `std::time::SystemTime` are allowed: `core` needs them to say
/// what a source is.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::net",
    "std::os",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "SystemTime::now",
    "tokio",
];

/// Who uses whom, by package name; dev-dependencies and build-dependencies do not count.
#[derive(Default)]
struct Graph {
    /// What each crate of the workspace says it uses, optional or not.
    declared: BTreeMap<String, BTreeSet<String>>,
    /// What each package really uses, with default features.
    resolved: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    fn new(metadata: &Metadata) -> Self {
        let mut graph = Self::default();
        for package in metadata.workspace_packages() {
            let normal = package.dependencies.iter().filter(|used| used.kind == DependencyKind::Normal);
            graph.declared.insert(package.name.to_string(), normal.map(|used| used.name.clone()).collect());
        }
        for node in metadata.resolve.iter().flat_map(|resolve| &resolve.nodes) {
            let used = graph.resolved.entry(metadata[&node.id].name.to_string()).or_default();
            let normal = node
                .deps
                .iter()
                .filter(|dep| dep.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal));
            used.extend(normal.map(|dep| metadata[&dep.pkg].name.to_string()));
        }
        graph
    }

    /// Everything that a package reaches.
    fn reach<'g>(&'g self, package: &'g str) -> BTreeSet<&'g str> {
        let (mut seen, mut next) = (BTreeSet::new(), vec![package]);
        while let Some(name) = next.pop() {
            let used = self.resolved.get(name).into_iter().flatten().map(String::as_str);
            next.extend(used.filter(|used| seen.insert(*used)));
        }
        seen
    }
}

/// How many packages are built for the command line beside itself: two versions of one are two, and what builds others counts too.
fn packages_built(metadata: &Metadata) -> usize {
    let nodes = metadata.resolve.iter().flat_map(|resolve| &resolve.nodes);
    let nodes: BTreeMap<_, _> = nodes.map(|node| (&node.id, node)).collect();
    let cli = nodes.keys().find(|id| metadata[**id].name.as_str() == CLI).expect("the command line");
    let (mut seen, mut next) = (BTreeSet::new(), vec![*cli]);
    while let Some(id) = next.pop() {
        let built = nodes[id]
            .deps
            .iter()
            .filter(|dep| dep.dep_kinds.iter().any(|kind| kind.kind != DependencyKind::Development));
        next.extend(built.map(|dep| &dep.pkg).filter(|id| seen.insert(*id)));
    }
    seen.len()
}

fn find<'t>(table: &'t [(&str, &'t [&str])], name: &str) -> Option<&'t [&'t str]> {
    table.iter().find(|(key, _)| *key == name).map(|(_, row)| *row)
}

/// Arrows inside the workspace that the table does not have.
fn wrong_arrows(graph: &Graph) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, used) in &graph.declared {
        let Some(allowed) = find(ARROWS, name) else {
            wrong.push(format!("{name} is not in the table of arrows"));
            continue;
        };
        let inside = used.iter().filter(|used| graph.declared.contains_key(*used));
        let surplus = inside.filter(|used| !allowed.contains(&used.as_str()));
        wrong.extend(surplus.map(|used| format!("{name} must not use {used}")));
        if WITHOUT_DEPENDENCIES.contains(&name.as_str()) && !used.is_empty() {
            wrong.push(format!("{name} must have no dependency"));
        }
    }
    wrong
}

/// Dependencies reached from a crate that must not know them.
fn wrong_reach(graph: &Graph) -> Vec<String> {
    let mut wrong = Vec::new();
    for name in graph.declared.keys() {
        for dependency in graph.reach(name) {
            if find(ONLY_FROM, dependency).is_some_and(|allowed| !allowed.contains(&name.as_str())) {
                wrong.push(format!("{name} must not reach {dependency}"));
            }
        }
    }
    wrong
}

/// The code without its comments and without what stands under `#[cfg(test)]`. Crude, and enough for `rustfmt`ed code:
/// a test item that ends on its first line is left out alone, any other ends the file.
fn code_of(source: &str) -> String {
    let mut code = String::new();
    let mut lines = source.lines();
    while let Some(line) = lines.next() {
        if line.trim() == "#[cfg(test)]" {
            if lines.next().is_some_and(|item| item.ends_with(';')) {
                continue;
            }
            break;
        }
        code.push_str(line.split("//").next().unwrap_or_default());
        code.push('\n');
    }
    code
}

/// Whether the code names a path, in full or in a group (`use std::{fs, io};`).
fn names(code: &str, path: &str) -> bool {
    if words(code, path) {
        return true;
    }
    let Some((parent, last)) = path.rsplit_once("::") else { return false };
    let group = format!("{parent}::{{");
    code.match_indices(&group).any(|(at, _)| {
        let inside = &code[at + group.len()..];
        words(inside.split(';').next().unwrap_or_default(), last)
    })
}

/// Whether the text holds that word or path, not as part of a longer word.
fn words(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + word.len()..]);
        !before.ends_with(is_part) && !after.starts_with(is_part)
    })
}

/// What a source file names although it must not.
fn impurities(source: &str) -> Vec<&'static str> {
    let code = code_of(source);
    IMPURE.iter().copied().filter(|path| names(&code, path)).collect()
}

/// The crates of ours that the code names.
fn ours(source: &str) -> BTreeSet<&str> {
    let words = source.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '-');
    words.filter(|word| word.replace('-', "_").starts_with("fhirline")).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The metadata of the workspace; from the network only when the index at hand is not enough.
fn metadata() -> Metadata {
    metadata_with(&[])
}

fn metadata_with(features: &[&str]) -> Metadata {
    let read = |options: &[&str]| {
        let options: Vec<String> =
            options.iter().chain(features).map(|option| (*option).to_owned()).collect();
        MetadataCommand::new().manifest_path(root().join("Cargo.toml")).other_options(options).exec()
    };
    read(&["--offline", "--filter-platform", "host-tuple"])
        .or_else(|_| read(&[]))
        .expect("cargo metadata describes the workspace")
}

/// The Rust files below a folder; none where the crate does not exist yet.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files = Vec::new();
    for path in entries.map(|entry| entry.expect("a readable folder").path()) {
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|ext| ext == "rs") && !path.ends_with("tests.rs") {
            files.push(path);
        }
    }
    files
}

#[test]
fn test_crates_use_only_whom_they_may() {
    assert_eq!(wrong_arrows(&Graph::new(&metadata())), Vec::<String>::new());
}

#[test]
fn test_dependencies_are_reached_only_from_where_they_may() {
    let graph = Graph::new(&metadata());
    assert!(graph.reach("fhirline").contains("fhirline-core"), "the graph has no edges");
    assert_eq!(wrong_reach(&graph), Vec::<String>::new());
}

#[test]
fn test_pure_crates_name_nothing_impure() {
    let mut scanned = 0;
    for folder in PURE {
        for file in sources(&root().join("crates").join(folder).join("src")) {
            let source = fs::read_to_string(&file).expect("a readable source");
            assert_eq!(impurities(&source), Vec::<&str>::new(), "{}", file.display());
            scanned += 1;
        }
    }
    assert!(scanned > 4, "only {scanned} files found");
}

#[test]
fn test_unsafe_code_is_in_the_one_module_for_it() {
    let mut with_unsafe = Vec::new();
    for file in sources(&root().join("crates")) {
        let source = fs::read_to_string(&file).expect("a readable source");
        let code = code_of(&source).replace("#![forbid(unsafe_code)]", "");
        if words(&code, "unsafe") || words(&code, "unsafe_code") {
            with_unsafe.push(file.strip_prefix(root()).expect("below the root").to_owned());
        }
        if file.ends_with("src/lib.rs") && !file.ends_with("parse/src/lib.rs")
            || file.ends_with("cli/main.rs")
        {
            assert!(source.contains("\n#![forbid(unsafe_code)]\n"), "{}", file.display());
        }
    }
    assert_eq!(with_unsafe, [PathBuf::from("crates/parse/src/avx2.rs")]);
}

#[test]
fn test_the_example_of_others_names_only_what_is_for_them() {
    let example = root().join("examples/etl");
    let for_others =
        ["fhirline", "fhirline-connect", "fhirline_connect", "fhirline-example-etl", "fhirline_example_etl"];
    let mut named = 0;
    let code = ["src", "tests"].into_iter().flat_map(|folder| sources(&example.join(folder)));
    for file in code.chain([example.join("Cargo.toml")]) {
        let source = fs::read_to_string(&file).expect("a readable file");
        let source = if file.extension().is_some_and(|ext| ext == "rs") { code_of(&source) } else { source };
        let inner: Vec<_> = ours(&source).into_iter().filter(|name| !for_others.contains(name)).collect();
        assert_eq!(inner, Vec::<&str>::new(), "{}", file.display());
        named += ours(&source).len();
    }
    assert!(named > 8, "only {named} crates of ours are named");
}

#[cfg(target_os = "linux")]
#[test]
fn test_no_dependency_comes_unseen() {
    for (features, most) in MOST_PACKAGES {
        let built = packages_built(&metadata_with(features));
        assert!(built <= most, "{built} packages with {features:?}, and {most} were reckoned with");
        assert!(built + 10 > most, "{built} packages with {features:?}: lower the bound of {most}");
    }
}

/// A graph in which declared and resolved edges are the same.
fn graph(edges: &[(&str, &[&str])]) -> Graph {
    let set = |used: &[&str]| used.iter().map(ToString::to_string).collect();
    let resolved: BTreeMap<String, BTreeSet<String>> =
        edges.iter().map(|(name, used)| ((*name).to_owned(), set(used))).collect();
    let declared = resolved.clone().into_iter().filter(|(name, _)| name.starts_with("fhirline")).collect();
    Graph { declared, resolved }
}

#[test]
fn test_a_sound_graph_passes() {
    let sound = graph(&[
        ("fhirline-core", &[]),
        ("fhirline-parse", &["fhirline-core", "memchr"]),
        ("fhirline-route", &["fhirline-core", "fhirline-parse"]),
        ("fhirline-fetch", &["fhirline-core", "tokio"]),
    ]);
    assert!(wrong_arrows(&sound).is_empty());
    assert!(wrong_reach(&sound).is_empty());
}

#[test]
fn test_an_arrow_to_a_sibling_is_seen() {
    let broken = graph(&[("fhirline-sink", &["fhirline-fetch"]), ("fhirline-fetch", &[])]);
    assert_eq!(wrong_arrows(&broken), ["fhirline-sink must not use fhirline-fetch"]);
}

#[test]
fn test_a_runtime_in_the_heart_is_seen() {
    let direct = graph(&[("fhirline-route", &["tokio"])]);
    assert_eq!(wrong_reach(&direct), ["fhirline-route must not reach tokio"]);
    let behind = graph(&[("fhirline-route", &["innocent"]), ("innocent", &["tokio"]), ("tokio", &[])]);
    assert_eq!(wrong_reach(&behind), ["fhirline-route must not reach tokio"]);
}

#[test]
fn test_a_circle_of_dependencies_ends() {
    let circle = graph(&[("fhirline-fetch", &["a"]), ("a", &["b"]), ("b", &["a", "openssl"])]);
    assert_eq!(wrong_reach(&circle), ["fhirline-fetch must not reach openssl"]);
}

#[test]
fn test_a_dependency_of_core_is_seen() {
    assert_eq!(
        wrong_arrows(&graph(&[("fhirline-core", &["memchr"])])),
        ["fhirline-core must have no dependency"]
    );
}

#[test]
fn test_a_new_crate_must_take_its_place() {
    assert_eq!(
        wrong_arrows(&graph(&[("fhirline-util", &[])])),
        ["fhirline-util is not in the table of arrows"]
    );
}

#[test]
fn test_impure_code_is_seen() {
    assert_eq!(impurities("use std::fs::File;"), ["std::fs"]);
    assert_eq!(impurities("use std::{\n    io,\n    thread::spawn,\n};"), ["std::thread"]);
    assert_eq!(impurities("use std::time::{Duration, Instant};"), ["std::time::Instant"]);
    assert_eq!(impurities("let now = SystemTime::now();"), ["SystemTime::now"]);
    assert_eq!(impurities("#[cfg(test)]\nmod tests;\nuse std::net::TcpStream;"), ["std::net"]);
}

#[test]
fn test_crates_of_ours_are_seen() {
    let code = "use fhirline::Job;\nuse fhirline_route::Filter;\nfhirline-core = { path = \"core\" }";
    assert_eq!(ours(code).into_iter().collect::<Vec<_>>(), ["fhirline", "fhirline-core", "fhirline_route"]);
}

#[test]
fn test_pure_code_passes() {
    assert!(impurities("use std::{fmt, io::Read, time::SystemTime};").is_empty());
    assert!(impurities("//! Never tokio.\nlet tokios = 1; // std::fs\n").is_empty());
    assert!(impurities("fn f() {}\n#[cfg(test)]\nmod tests {\n    use std::fs;\n}").is_empty());
}
