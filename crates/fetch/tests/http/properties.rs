//! The law of the source: exactly the object, or an error; never more of it than has to be fetched.

use std::io::Read;

use fhirline_core::Origin;
use fhirline_fetch::{HttpClient, HttpOrigin, Retry};
use proptest::prelude::*;

use crate::fault_server::{FaultServer, Object};
use crate::setup::{RETRY, bytes, options, read};

const TAIL_BYTES: usize = 64 << 10;

#[derive(Clone, Copy, Debug)]
enum Validator {
    Strong,
    Weak,
    Date,
    None,
}

fn validators() -> impl Strategy<Value = Validator> {
    prop_oneof![Just(Validator::Strong), Just(Validator::Weak), Just(Validator::Date), Just(Validator::None)]
}

/// `version` is in the validator only if that tells versions apart.
fn object(bytes: Vec<u8>, validator: Validator, version: u8) -> Object {
    let object = Object::new(bytes);
    match validator {
        Validator::Strong => object.etag(&format!("\"{version}\"")),
        Validator::Weak => object.etag("W/\"same\""),
        Validator::Date => object.modified("Wed, 21 Oct 2015 07:28:00 GMT"),
        Validator::None => object,
    }
}

fn patient() -> HttpClient {
    HttpClient::new(options().with_retry(Retry { max_attempts: 12, ..RETRY })).expect("a client")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_link_that_breaks_anywhere_gives_exactly_the_object(
        length in 1..600_000usize,
        cuts in prop::collection::vec(prop_oneof![0..2000usize, 0..300_000usize], 0..8),
        validator in validators(),
        start in any::<prop::sample::Index>(),
        seed in any::<u64>(),
    ) {
        let object_bytes = bytes(length, seed);
        let served = object(object_bytes.clone(), validator, 1);
        let breaks = cuts.len();
        let server = FaultServer::start(move |asked| {
            let reply = served.reply(asked);
            match cuts.get(asked.number) {
                Some(cut) => reply.cut(*cut),
                None => reply,
            }
        });
        let start = start.index(length);
        let origin = HttpOrigin::new(&patient(), &server.url("/a")).expect("a URL");
        prop_assert!(read(&origin, start as u64).expect("whole") == object_bytes[start..]);
        let most = length - start + TAIL_BYTES * breaks;
        prop_assert!(server.sent_bytes() <= most as u64, "{} of at most {most} bytes", server.sent_bytes());
    }

    #[test]
    fn two_objects_are_never_put_together(
        length in 2..400_000usize,
        cuts in prop::collection::vec(1..200_000usize, 1..4),
        change_after in 1..4usize,
        same_length in any::<bool>(),
        ranges in any::<bool>(),
        validator in validators(),
        seed in any::<u64>(),
    ) {
        let first = bytes(length, seed);
        let second = bytes(if same_length { length } else { length / 2 + 1 }, seed ^ 0xFF00);
        let (one, two) = (object(first.clone(), validator, 1), object(second.clone(), validator, 2));
        let (one, two) = if ranges { (one, two) } else { (one.without_ranges(), two.without_ranges()) };
        let server = FaultServer::start(move |asked| {
            let object = if asked.number < change_after { &one } else { &two };
            let reply = object.reply(asked);
            match cuts.get(asked.number) {
                Some(cut) => reply.cut(*cut),
                None => reply,
            }
        });
        let origin = HttpOrigin::new(&patient(), &server.url("/a")).expect("a URL");
        let mut bytes_read = Vec::new();
        let result = origin.open_at(0).expect("begun").read_to_end(&mut bytes_read);
        match result {
            Ok(_) => prop_assert!(bytes_read == first || bytes_read == second),
            Err(_) => prop_assert!(first.starts_with(&bytes_read) || second.starts_with(&bytes_read)),
        }
    }
}
