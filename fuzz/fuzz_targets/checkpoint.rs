#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../checks/choices.rs"]
mod choices;
#[path = "../checks/checkpoint.rs"]
mod checkpoint;

fuzz_target!(|input: &[u8]| checkpoint::check(input));
