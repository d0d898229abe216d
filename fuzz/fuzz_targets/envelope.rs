#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../checks/choices.rs"]
mod choices;
#[path = "../checks/envelope.rs"]
mod envelope;

fuzz_target!(|input: &[u8]| envelope::check(input));
