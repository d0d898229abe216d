//! An export over a link that breaks a dozen times and more: what comes of it, and how much of it is sent twice.

use std::sync::Mutex;

use super::fault_server::{FaultServer, Object};
use super::network::outputs;
use super::place::{Place, gzip};
use crate::support::{Dice, proof_export, say};

/// Of 256 MiB, the link carries 10 to 20 at a time.
const LEAST_SHARE: f64 = 10.0 / 256.0;
const MOST_SHARE: f64 = 20.0 / 256.0;

/// Splits an export from the disk and over the link, and compares.
#[track_caller]
fn over_a_link_that_breaks(name: &str, export: Vec<u8>) {
    let bytes = export.len() as u64;
    let place = Place::with([(name, &export)]);
    let local = place.run(&format!("split {name} -o local"));
    assert!(matches!(local.code, 0 | 3), "{}", local.shown());
    let (object, dice) = (Object::new(export).etag("\"v1\""), Mutex::new(Dice(0x0C0_FFEE)));
    let server = FaultServer::start(move |asked| {
        let share = dice.lock().expect("no panic").share();
        let carried = bytes as f64 * (LEAST_SHARE + share * (MOST_SHARE - LEAST_SHARE));
        object.reply(asked).cut(carried as usize)
    });
    place.run(&format!("split {} -o remote", server.url(&format!("/{name}")))).ends_with(local.code);
    assert!(outputs(&place, "remote") == outputs(&place, "local"), "the outputs differ");
    let (connections, sent) = (server.asked().len(), server.sent_bytes());
    say(&format!("{name}: {bytes} bytes, {sent} sent over {connections} connections"));
    assert!(connections >= 12, "it broke");
    assert!(sent as f64 <= 1.1 * bytes as f64, "{sent} bytes sent for {bytes}");
}

#[test]
fn an_export_over_a_link_that_breaks() {
    over_a_link_that_breaks("export.ndjson", proof_export(24));
}

#[test]
fn a_compressed_export_over_a_link_that_breaks() {
    over_a_link_that_breaks("export.ndjson.gz", gzip(proof_export(24)));
}
