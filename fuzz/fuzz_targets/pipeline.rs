#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../checks/choices.rs"]
mod choices;
#[path = "../checks/pipeline.rs"]
mod pipeline;
#[allow(dead_code, reason = "what is told of the rejects is looked at elsewhere")]
#[path = "../../tests/support/slow_reader.rs"]
mod slow_reader;

type Files = std::collections::BTreeMap<String, Vec<u8>>;

fuzz_target!(|input: &[u8]| pipeline::check(input));
