#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../checks/choices.rs"]
mod choices;
#[path = "../checks/line_split.rs"]
mod line_split;

fuzz_target!(|input: &[u8]| line_split::check(input));
