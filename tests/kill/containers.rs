//! The same where resources stand in Bundles. A run that was killed goes on within the Bundle, unless that is looked at a second
//! time.

use serde_json::Value;

use super::{Gzip, Place, killed_and_run_again};
use crate::support::{gzip_members, sample};

/// In each test.
const KILLS: usize = 12;

/// The resources of an export, as entries of Bundles.
fn entries(seed: u64, bytes: u64) -> Vec<String> {
    let export = String::from_utf8_lossy(&sample(seed, bytes)).into_owned();
    let is_sound = |line: &&str| serde_json::from_str::<Value>(line).is_ok_and(|value| value.is_object());
    let entry = |(number, line): (usize, &str)| match number % 50 {
        0 => format!(r#"{{"request":{{"method":"DELETE","url":"Patient/{number}"}}}}"#),
        _ => {
            format!(r#"{{"fullUrl":"urn:fhirline:{number}","resource":{line},"search":{{"mode":"match"}}}}"#)
        }
    };
    export.lines().filter(is_sound).enumerate().map(entry).collect()
}

fn bundle(entries: &[String]) -> String {
    let list = entries.join(",");
    format!(r#"{{"resourceType":"Bundle","type":"collection","id":"b","entry":[{list}],"total":1}}"#)
}

fn minified() -> Vec<u8> {
    bundle(&entries(1, 6 << 20)).into_bytes()
}

fn pretty() -> Vec<u8> {
    // A brace behind every line end would look like the beginning of a value.
    let spread = |entry: &String| entry.replace(",\"", ",\n    \"");
    bundle(&entries(2, 6 << 20).iter().map(spread).collect::<Vec<_>>()).replacen('{', "{\n ", 1).into_bytes()
}

/// What it is stands behind all of its entries.
fn type_last() -> Vec<u8> {
    let list = entries(3, 6 << 20).join(",");
    format!(r#"{{"entry":[{list}],"resourceType":"Bundle","type":"collection"}}"#).into_bytes()
}

fn on_lines() -> Vec<u8> {
    let bundles = entries(4, 6 << 20);
    let lines = bundles.chunks(97).map(|entries| bundle(entries) + "\n");
    lines.collect::<String>().into_bytes()
}

fn gzip() -> Vec<u8> {
    gzip_members(&minified().chunks(300_000).collect::<Vec<_>>())
}

/// Kills runs over that source, and returns how many went on in its midst.
#[track_caller]
fn killed_within(source: Vec<u8>, options: &str, seed: u64) -> usize {
    // It begins behind another, so that a checkpoint at its beginning is one, too.
    let sources = [("a.ndjson", b"{\"resourceType\":\"Patient\"}\n".to_vec()), ("b.json", source)];
    let place = Place::with(&sources, &format!("{options} --max-file-bytes 700KiB"));
    killed_and_run_again(&place, Gzip::Whole, KILLS, seed).inside
}

/// The same until a run went on in its midst. Where a kill falls is chance, and a slow disk can hold up every run until it comes.
#[track_caller]
fn killed_in_its_midst(source: fn() -> Vec<u8>, options: &str, seed: u64) {
    let went_on = (0..5).any(|round| killed_within(source(), options, seed + (round << 32)) > 0);
    assert!(went_on, "no run went on in its midst");
}

#[test]
fn killed_in_a_bundle_on_one_line() {
    killed_in_its_midst(minified, "", 0x0B0E_0001);
    killed_in_its_midst(minified, "--keep-entry-metadata", 0x0B0E_0002);
}

#[test]
fn killed_in_a_pretty_printed_bundle() {
    killed_in_its_midst(pretty, "", 0x0B0E_0003);
    killed_in_its_midst(pretty, "--keep-entry-metadata --compress zstd", 0x0B0E_0004);
}

#[test]
fn killed_in_a_bundle_whose_type_comes_last() {
    killed_within(type_last(), "", 0x0B0E_0005);
    killed_within(type_last(), "--keep-entry-metadata --threads 1", 0x0B0E_0006);
}

#[test]
fn killed_among_bundles_on_lines() {
    killed_in_its_midst(on_lines, "", 0x0B0E_0007);
    killed_in_its_midst(on_lines, "--keep-entry-metadata --compress gzip", 0x0B0E_0008);
}

#[test]
fn killed_in_a_compressed_bundle() {
    killed_within(gzip(), "", 0x0B0E_0009);
    killed_within(gzip(), "--keep-entry-metadata", 0x0B0E_000A);
}
