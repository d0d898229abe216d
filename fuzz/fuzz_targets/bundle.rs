#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../checks/choices.rs"]
mod choices;
#[path = "../checks/bundle.rs"]
mod bundle;

fuzz_target!(|input: &[u8]| bundle::check(input));
