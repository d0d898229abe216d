//! A run that goes on where another one stopped, without any store: what the engine itself does for it.

use std::io::{self, Cursor, Read};

use fhirline_core::{Batch, Identity, LongLine, Origin, SourceId};
use fhirline_flow::{Cancel, Changed, Entry, FlowOptions, Outcome, Progress, RunError, run};
use fhirline_route::Router;
use fhirline_sink::{Offload, Sink, SinkError};

#[derive(Clone, Debug)]
struct Text {
    name: &'static str,
    bytes: Vec<u8>,
}

impl Origin for Text {
    fn identity(&self) -> io::Result<Identity> {
        let stored_bytes = Some(self.bytes.len() as u64);
        Ok(Identity { name: self.name.to_owned(), stored_bytes, modified: None, tag: None })
    }

    fn name(&self) -> &str {
        self.name
    }

    fn open_at(&self, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(Cursor::new(self.bytes[offset as usize..].to_vec())))
    }
}

/// Keeps what the engine has noted.
#[derive(Debug, Default)]
struct Notes(Vec<Progress>);

impl Sink for Notes {
    fn begin_source(&mut self, _source: SourceId, _name: &str) -> Result<(), SinkError> {
        Ok(())
    }

    fn commit(&mut self, _batch: &mut Batch, _offload: &dyn Offload) -> Result<(), SinkError> {
        Ok(())
    }

    fn commit_long(&mut self, _line: &mut LongLine, _offload: &dyn Offload) -> Result<(), SinkError> {
        Ok(())
    }

    fn abandon_source(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    fn checkpoint(&mut self, progress: &[u8], _sync: bool) -> Result<(), SinkError> {
        self.0.push(serde_json::from_slice(progress).expect("what the engine wrote"));
        Ok(())
    }
}

fn text(name: &'static str, lines: usize) -> Text {
    let line = |number: usize| match number % 5 {
        0 => "\n".to_owned(),
        1 => "not JSON\n".to_owned(),
        _ => format!("{{\"resourceType\":\"Goal\",\"id\":\"{number}\"}}\n"),
    };
    Text { name, bytes: (0..lines).map(line).collect::<String>().into_bytes() }
}

fn texts() -> Vec<Text> {
    let mut texts = vec![text("a", 30), text("b", 60), text("c", 20)];
    texts[1].bytes.splice(0..0, *b"\xEF\xBB\xBF");
    texts
}

/// A run with chunks of four lines and a checkpoint whenever it may be, in which most lines are too long to be held.
fn go(texts: &[Text], from: Option<Progress>) -> (Result<Outcome, RunError>, Vec<Progress>) {
    let mut options = FlowOptions { checkpoint_bytes: Some(1), from, ..FlowOptions::default() };
    (options.chunk_size.max_lines, options.held_line_bytes) = (4, 32);
    let sources: Vec<_> = texts.iter().cloned().map(Entry::named).collect();
    let mut notes = Notes::default();
    let outcome = run(sources, &Router::default(), &mut notes, &options, &Cancel::new(), &mut |_| {});
    (outcome, notes.0)
}

/// Something noted within the second source: checkpoints are paced by the clock, so not every run has the same.
fn within_b() -> Progress {
    let within = |progress: &Progress| progress.place().is_some_and(|place| place.source == "b");
    std::iter::repeat_with(|| go(&texts(), None).1).flatten().find(within).expect("sooner or later")
}

#[test]
fn the_account_is_that_of_an_unbroken_run_from_wherever_it_goes_on() {
    let (unbroken, noted) = go(&texts(), None);
    let unbroken = unbroken.expect("sound");
    assert!(!noted.is_empty());
    for progress in noted.into_iter().chain([within_b()]) {
        let place = progress.place().expect("within a source");
        let outcome = go(&texts(), Some(progress)).0.expect("sound");
        assert_eq!(outcome.totals, unbroken.totals, "from {place:?}");
        assert_eq!((outcome.sources, outcome.stored_bytes), (unbroken.sources, unbroken.stored_bytes));
        assert_eq!(outcome.resumed.map(|at| at.place), Some(place));
    }
}

type Change = (&'static str, Changed, fn(&mut Vec<Text>));

/// They are compared before a run goes on; but between that and the reading of the first byte may lie minutes.
#[test]
fn a_source_that_changed_meanwhile_stops_the_run() {
    let changes: [Change; 4] = [
        ("a", Changed::Bytes, |texts| texts[0].bytes[3] ^= 1),
        ("b", Changed::Length, |texts| texts[1].bytes.push(b'\n')),
        ("b", Changed::Name, |texts| drop(texts.remove(0))),
        ("0", Changed::Name, |texts| texts.insert(0, text("0", 0))),
    ];
    for (name, what, change) in changes {
        let mut texts = texts();
        change(&mut texts);
        match go(&texts, Some(within_b())).0 {
            Err(RunError::Changed(told)) => assert_eq!((told.name.as_str(), told.changed), (name, what)),
            other => panic!("{name}, {what:?}: {other:?}"),
        }
    }
}

#[test]
fn a_source_that_is_gone_is_an_incomplete_one() {
    let mut texts = texts();
    texts.truncate(1);
    let outcome = go(&texts, Some(within_b())).0.expect("a run to its end");
    let failed: Vec<_> = outcome.failures.iter().map(|failure| &*failure.name).collect();
    assert_eq!(failed, ["b"]);
}
