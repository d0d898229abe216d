#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../checks/checkpoint.rs"]
mod checkpoint;
#[path = "../checks/choices.rs"]
mod choices;

fuzz_target!(|input: &[u8]| checkpoint::check(input));
