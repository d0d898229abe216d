#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../checks/choices.rs"]
mod choices;
#[path = "../checks/decompress.rs"]
mod decompress;

fuzz_target!(|input: &[u8]| decompress::check(input));
