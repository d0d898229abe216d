//! The suite finds what is wrong with a sink, and nothing wrong with sound ones.

use std::io::Read;
use std::sync::{Arc, Mutex};

use fhirline_core::{Batch, LongLine, MemorySpools, Position, Spools, Store};
use fhirline_fetch::MemoryStore;

use super::*;
use crate::{Offload, SplitOptions, SplitSink};

/// What may be wrong with a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Wrong {
    #[default]
    Nothing,
    LosesLongLines,
    KeepsBlanks,
    TurnsBatchesRound,
    KeepsAbandoned,
    AbandonsAll,
    ForgetsToNote,
    NotesBeforeRows,
    WritesAtOnce,
    ForgetsTheEnd,
    KeepsFailed,
    KeepsTheCheckpointOfAbandoned,
}

/// Rows that outlive the sink, and what was noted with them.
#[derive(Clone, Debug, Default)]
struct Durable {
    rows: Vec<(u32, String, Vec<u8>)>,
    noted: Option<Vec<u8>>,
}

/// A table in whose transactions rows and checkpoints go together.
struct Table {
    durable: Arc<Mutex<Durable>>,
    open: Vec<(u32, String, Vec<u8>)>,
    /// Sources whose rows go with the next transaction.
    taken_back: Vec<u32>,
    source: u32,
    wrong: Wrong,
}

impl Table {
    fn transact(&mut self, noted: &[u8]) {
        let mut durable = self.durable.lock().expect("nobody fell");
        durable.rows.retain(|row| !self.taken_back.contains(&row.0));
        self.taken_back.clear();
        if self.wrong != Wrong::NotesBeforeRows {
            durable.rows.append(&mut self.open);
        }
        if self.wrong != Wrong::ForgetsToNote {
            durable.noted = Some(noted.to_vec());
        }
    }

    fn take_back(&mut self) {
        let from = if self.wrong == Wrong::AbandonsAll { 0 } else { self.source };
        self.taken_back.extend(from..=self.source);
        self.open.retain(|row| !self.taken_back.contains(&row.0));
        if self.wrong == Wrong::KeepsTheCheckpointOfAbandoned {
            self.durable.lock().expect("nobody fell").rows.retain(|row| !self.taken_back.contains(&row.0));
        }
    }
}

impl Sink for Table {
    fn noted(&mut self) -> Result<Option<Vec<u8>>, SinkError> {
        let durable = self.durable.lock().expect("nobody fell");
        let source = durable
            .noted
            .as_deref()
            .and_then(|noted| serde_json::from_slice::<serde_json::Value>(noted).ok());
        self.source = source.map_or(0, |noted| noted["source"].as_u64().expect("a number") as u32);
        Ok(durable.noted.clone())
    }

    fn begin_source(&mut self, source: SourceId, _name: &str) -> Result<(), SinkError> {
        self.source = source.0;
        Ok(())
    }

    fn commit(&mut self, batch: &mut Batch, _offload: &dyn Offload) -> Result<(), SinkError> {
        let mut rows = Vec::new();
        for run in &batch.runs {
            let name = run.destination.name();
            rows.extend(
                batch.records(run).map(|record| (self.source, name.to_owned(), record.bytes.to_vec())),
            );
        }
        if self.wrong == Wrong::TurnsBatchesRound {
            rows.reverse();
        }
        if self.wrong == Wrong::WritesAtOnce {
            self.durable.lock().expect("nobody fell").rows.append(&mut rows);
        }
        self.open.append(&mut rows);
        Ok(())
    }

    fn commit_long(&mut self, line: &mut LongLine, _offload: &dyn Offload) -> Result<(), SinkError> {
        let mut row = Vec::new();
        if self.wrong == Wrong::KeepsBlanks {
            row.resize(line.length as usize, 0);
            line.spool.read_at(0, &mut row).expect("in memory");
        }
        let Some((destination, mut bytes)) = line.delivered() else { return Ok(()) };
        if self.wrong != Wrong::KeepsBlanks {
            bytes.read_to_end(&mut row).map_err(SinkError::own)?;
        }
        if self.wrong != Wrong::LosesLongLines {
            self.open.push((self.source, destination.name().to_owned(), row));
        }
        Ok(())
    }

    fn abandon_source(&mut self) -> Result<(), SinkError> {
        if self.wrong != Wrong::KeepsAbandoned {
            self.take_back();
        }
        Ok(())
    }

    fn fail_source(&mut self, progress: Option<&[u8]>) -> Result<(), SinkError> {
        if let Some(progress) = progress {
            if self.wrong != Wrong::KeepsFailed {
                self.take_back();
            }
            self.transact(progress);
        }
        Ok(())
    }

    fn checkpoint(&mut self, progress: &[u8], _sync: bool) -> Result<(), SinkError> {
        self.transact(progress);
        Ok(())
    }

    fn complete(&mut self, progress: &[u8]) -> Result<(), SinkError> {
        let before = self.durable.lock().expect("nobody fell").noted.clone();
        self.transact(progress);
        let mut durable = self.durable.lock().expect("nobody fell");
        durable.rows.append(&mut self.open);
        if self.wrong == Wrong::ForgetsTheEnd {
            durable.noted = before;
        }
        Ok(())
    }
}

/// A table, and what is wrong with it.
#[derive(Default)]
struct Tables {
    durable: Arc<Mutex<Durable>>,
    wrong: Wrong,
}

impl Subject for Tables {
    fn clear(&mut self) {
        *self.durable.lock().expect("nobody fell") = Durable::default();
    }

    fn open(&mut self) -> Box<dyn Sink + '_> {
        let (durable, wrong) = (Arc::clone(&self.durable), self.wrong);
        Box::new(Table { durable, open: Vec::new(), taken_back: Vec::new(), source: 0, wrong })
    }

    fn content(&mut self) -> Content {
        let durable = self.durable.lock().expect("nobody fell");
        durable.rows.iter().map(|(_, name, row)| (name.clone(), row.clone())).collect()
    }
}

#[test]
fn a_sound_sink_passes_and_a_broken_one_does_not() {
    let laws = [
        (Wrong::Nothing, None),
        (Wrong::LosesLongLines, Some(WHOLE)),
        (Wrong::KeepsBlanks, Some(WHOLE)),
        (Wrong::TurnsBatchesRound, Some(WHOLE)),
        (Wrong::KeepsAbandoned, Some(ABANDONED)),
        (Wrong::AbandonsAll, Some(ABANDONED)),
        (Wrong::NotesBeforeRows, Some(RESUMED)),
        (Wrong::WritesAtOnce, Some(WHOLE)),
        (Wrong::ForgetsTheEnd, Some(ENDED)),
        (Wrong::KeepsFailed, Some(FAILED)),
        (Wrong::KeepsTheCheckpointOfAbandoned, Some(BEHIND_ABANDONED)),
        // Nothing is noted, so it is none that goes on.
        (Wrong::ForgetsToNote, None),
    ];
    for (wrong, law) in laws {
        let found = check(&mut Tables { wrong, ..Tables::default() }).err();
        assert_eq!(found.map(|broken| broken.law), law, "{wrong:?}");
    }
}

/// A split into memory, sealed when it is complete.
struct Sealing<'s> {
    sink: Option<SplitSink>,
    store: &'s MemoryStore,
}

impl Sealing<'_> {
    fn sink(&mut self) -> &mut SplitSink {
        self.sink.get_or_insert_with(|| SplitSink::new(Arc::new(self.store.clone()), SplitOptions::default()))
    }
}

impl Sink for Sealing<'_> {
    fn begin_source(&mut self, source: SourceId, name: &str) -> Result<(), SinkError> {
        self.sink().begin_source(source, name)
    }

    fn commit(&mut self, batch: &mut Batch, offload: &dyn Offload) -> Result<(), SinkError> {
        self.sink().commit(batch, offload)
    }

    fn commit_long(&mut self, line: &mut LongLine, offload: &dyn Offload) -> Result<(), SinkError> {
        self.sink().commit_long(line, offload)
    }

    fn abandon_source(&mut self) -> Result<(), SinkError> {
        self.sink().abandon_source()
    }

    fn complete(&mut self, _progress: &[u8]) -> Result<(), SinkError> {
        self.sink.take().map_or(Ok(()), |sink| sink.finish(&Inline)?.seal())
    }
}

#[derive(Default)]
struct Splits(MemoryStore);

impl Subject for Splits {
    fn clear(&mut self) {
        self.0 = MemoryStore::new();
    }

    fn open(&mut self) -> Box<dyn Sink + '_> {
        Box::new(Sealing { sink: None, store: &self.0 })
    }

    fn content(&mut self) -> Content {
        let mut content = Content::new();
        for name in self.0.list().expect("in memory") {
            let Some(of_type) = name.strip_suffix(".ndjson") else { continue };
            let bytes = self.0.contents(&name).unwrap_or_default();
            let lines = bytes.split_inclusive(|byte| *byte == b'\n');
            content.extend(lines.map(|line| (of_type.to_owned(), line[..line.len() - 1].to_vec())));
        }
        content
    }
}

#[test]
fn the_sink_of_split_passes() {
    check(&mut Splits::default()).expect("sound");
}

#[test]
fn what_is_delivered_of_a_long_line_is_read_to_its_end_or_said_to_be_cut() {
    let mut spool = MemorySpools.create().expect("in memory");
    spool.append(b" {} ").expect("in memory");
    let verdict =
        fhirline_core::Verdict::Delivered { destination: fhirline_core::Destination::Unknown, record: 1..9 };
    let (at, end, ledger) = (Position::default(), Position::default(), fhirline_core::Ledger::default());
    let mut line = LongLine { at, end, length: 10, lines: 1, verdict, ledger, spool };
    let (_, mut reader) = line.delivered().expect("delivered");
    assert_eq!(reader.bytes_left(), 8);
    let mut read = Vec::new();
    assert!(reader.read_to_end(&mut read).is_err());
    assert_eq!(read, b"{} ");
}
