//! Placeholder until the steps are benched.
fn main() {}
