//! What the fuzzers kept, run again without them: the checks of `fuzz/checks` on every file of `fuzz/corpus`.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use crate::support::slow_reader;

#[path = "../fuzz/checks/bundle.rs"]
mod bundle;
#[path = "../fuzz/checks/checkpoint.rs"]
mod checkpoint;
#[path = "../fuzz/checks/choices.rs"]
mod choices;
#[path = "../fuzz/checks/decompress.rs"]
mod decompress;
#[path = "../fuzz/checks/envelope.rs"]
mod envelope;
#[path = "../fuzz/checks/line_split.rs"]
mod line_split;
#[path = "../fuzz/checks/pipeline.rs"]
mod pipeline;

fn replay(target: &str, check: fn(&[u8])) {
    let files = corpus(target);
    assert!(!files.is_empty(), "the corpus of {target} is empty");
    for file in files {
        let input = fs::read(&file).expect("a readable file");
        let passed = catch_unwind(AssertUnwindSafe(|| check(&input)));
        assert!(passed.is_ok(), "{}", file.display());
    }
}

/// The files of a corpus, in order of their names.
fn corpus(target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let entries = fs::read_dir(folder).expect("a readable folder");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    files.sort();
    files
}

#[test]
fn test_the_corpus_of_bundle_passes() {
    replay("bundle", bundle::check);
}

#[test]
fn test_the_corpus_of_checkpoint_passes() {
    replay("checkpoint", checkpoint::check);
}

#[test]
fn test_the_corpus_of_decompress_passes() {
    replay("decompress", decompress::check);
}

#[test]
fn test_the_corpus_of_envelope_passes() {
    replay("envelope", envelope::check);
}

#[test]
fn test_the_corpus_of_line_split_passes() {
    replay("line_split", line_split::check);
}

#[test]
fn test_the_corpus_of_pipeline_passes() {
    replay("pipeline", pipeline::check);
}
