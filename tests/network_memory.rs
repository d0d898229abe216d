//! The ceiling on resident memory holds for sources and destinations beyond this machine: measured from the real program, against
//! real servers.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::servers::Server;

const MIB: u64 = 1 << 20;
const CEILING_BYTES: u64 = 64 * MIB;

const FILES: usize = 4;
const TYPES: usize = 120;
/// Types with more records than others, so many that their outputs go up in parts while all others are open.
const LARGE_TYPES: usize = 6;

/// The files of an export of 80 MB whose types alternate line by line.
fn export() -> Vec<String> {
    const ROUNDS: usize = 500;
    let filler = "x".repeat(300);
    let file = |file: usize| {
        let mut lines = String::new();
        for round in 0..ROUNDS {
            for number in 0..TYPES {
                let records = if number < LARGE_TYPES { 13 } else { usize::from(number % 3 == round % 3) };
                for record in 0..records {
                    let id = format!("{file}-{round}-{record}");
                    let line = writeln!(
                        lines,
                        r#"{{"resourceType":"{}","id":"{id}","x":"{filler}"}}"#,
                        name_of_type(number)
                    );
                    line.expect("into memory");
                }
            }
        }
        lines
    };
    (0..FILES).map(file).collect()
}

/// Names of types are letters only.
fn name_of_type(number: usize) -> String {
    let letter = |digit: usize| char::from(b'a' + (digit % 26) as u8);
    ["Type".to_owned(), letter(number / 26).to_string(), letter(number).to_string()].concat()
}

fn file_name(number: usize) -> String {
    format!("{number}.ndjson")
}

/// Runs a split, and sees it stay below the ceiling with every record delivered.
#[track_caller]
fn split_within_the_ceiling(folder: &Path, server: &Server, arguments: &str) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fhirline"));
    command.current_dir(folder).envs(server.s3_settings());
    command.args(["split", "--json", "--threads", "2", "--memory", "64MiB"]);
    let output = command.args(arguments.split_whitespace()).output().expect("run");
    assert_eq!(output.status.code(), Some(0), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
    assert_eq!(report["outputs"].as_array().map(Vec::len), Some(TYPES), "{arguments}");
    // Only Linux tells.
    if cfg!(target_os = "linux") {
        let peak = report["memory"]["peak"].as_u64().expect("a peak");
        assert!(peak <= CEILING_BYTES, "{arguments}: {} KiB resident at the most", peak >> 10);
    }
}

#[test]
fn a_hundred_types_from_servers_and_into_stores_stay_below_the_ceiling() {
    let test = "a_hundred_types_from_servers_and_into_stores_stay_below_the_ceiling";
    let place = TempDir::new().expect("a folder");
    let (Some(store), Some(web)) = (Server::moto(test), Server::nginx(test, place.path(), "", "")) else {
        return;
    };
    ["export", "split"].iter().for_each(|bucket| store.s3_bucket(bucket));
    let mut urls = String::new();
    for (number, content) in export().iter().enumerate() {
        fs::write(place.path().join(file_name(number)), content).expect("written");
        store.s3_put("export", &file_name(number), content.as_bytes());
        write!(urls, " {}/{}", web.url(), file_name(number)).expect("into memory");
    }
    for arguments in [
        format!("{urls} -o folder"),
        format!("{urls} -o s3://split/from-http"),
        "s3://export/ -o s3://split/from-s3".to_owned(),
        "s3://export/ -o s3://split/compressed --compress gzip --level 1".to_owned(),
    ] {
        split_within_the_ceiling(place.path(), &store, &arguments);
    }
}
