//! Sources in object stores: in memory, and on real servers over loopback.
#![cfg(feature = "cloud")]

mod faults;
mod listing;
mod patterns;
mod reading;
mod refusals;
#[path = "../support/servers.rs"]
mod servers;

use fhirline_fetch::{CloudBucket, CloudOptions, FetchError, Found, FoundBy, Objects};

/// What is found, a line each: how it was found and its name behind the bucket, or why it was skipped.
fn lines(objects: Objects) -> Vec<String> {
    objects.map(line).collect()
}

fn line(found: Result<Found, FetchError>) -> String {
    let below = |name: &str| name.splitn(4, '/').nth(3).unwrap_or_default().to_owned();
    match found {
        Ok(Found::Source { origin, by }) => {
            let by = match by {
                FoundBy::Name => "named",
                FoundBy::Manifest => "listed",
                FoundBy::Folder => "source",
            };
            format!("{by} {}", below(origin.name()))
        }
        Ok(Found::Skipped { name, why }) => format!("skipped {}: {why:?}", below(&name)),
        Err(error) => format!("error {error}"),
    }
}

/// A bucket in memory with objects that hold their own keys.
fn bucket_of(keys: &[&str]) -> CloudBucket {
    let bucket = CloudBucket::in_memory();
    for key in keys {
        bucket.put(key, key.as_bytes()).expect("put");
    }
    bucket
}

fn lines_at(bucket: &CloudBucket, key: &str) -> Vec<String> {
    lines(Objects::in_bucket(&bucket.at(key).expect("a key")))
}

/// The options that a user of a server has.
fn options(settings: Vec<(&'static str, String)>) -> CloudOptions {
    let options = CloudOptions::new().retries(2);
    settings.into_iter().fold(options, |options, (name, value)| options.set(name, value))
}
