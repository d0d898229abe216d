/// What is pinned, by URL.
#[derive(Debug, Default)]
pub(super) struct Pins;
