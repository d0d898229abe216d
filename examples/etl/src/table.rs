//! Where the resources go: tables of PostgreSQL, by `COPY`.
//!
//! All that comes between two checkpoints is one transaction, and the checkpoint is part of it. So whatever happens, what the tables
//! hold is what the last checkpoint vouches for, and a run that goes on from there writes no row twice.

use std::fmt;

use fhirline::sink::{Batch, Destination, LongLine, Offload, Sink, SinkError, SourceId, resources};
use postgres::{Client, NoTls};
use serde::Deserialize;

use crate::DatabaseError;
use crate::copy::{Copy, Field};

const SCHEMA: &str = include_str!("../schema.sql");

const COPY_RESOURCES: &str = "copy resources";
const COPY_REJECTS: &str = "copy rejects";

/// The rows of one export.
pub struct Table {
    client: Client,
    export: String,
    /// The source that began last.
    source: u64,
    /// Whether a transaction is open.
    writing: bool,
}

/// What is looked for in a resource that is too long to be held.
#[derive(Deserialize)]
struct Identified {
    id: Option<String>,
}

impl Table {
    /// Connects, makes the tables if they are not there, and waits until no other run writes this export: one that was killed a
    /// moment ago may have a `COMMIT` on its way, and what it comes to is known when its session has ended.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub fn open(url: &str, export: &str) -> Result<Self, DatabaseError> {
        let mut client = Client::connect(url, NoTls).map_err(DatabaseError::when("connect to PostgreSQL"))?;
        // Tables of the same name that two sessions make at once are an error to one of them.
        let made =
            client.batch_execute(&format!("BEGIN; SELECT pg_advisory_xact_lock(0);\n{SCHEMA}; COMMIT"));
        made.map_err(DatabaseError::when("make the tables"))?;
        let locked = client.execute("SELECT pg_advisory_lock(hashtextextended($1, 1))", &[&export]);
        locked.map_err(DatabaseError::when("wait for other runs"))?;
        Ok(Self { client, export: export.to_owned(), source: 0, writing: false })
    }

    fn execute(&mut self, action: &'static str, command: &str) -> Result<(), DatabaseError> {
        self.client.batch_execute(command).map_err(DatabaseError::when(action))
    }

    fn begin(&mut self) -> Result<(), DatabaseError> {
        if !self.writing {
            self.execute("begin a transaction", "BEGIN")?;
            self.writing = true;
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), DatabaseError> {
        self.writing = false;
        self.execute("commit", "COMMIT")
    }

    /// Writes down how far the run has come.
    fn note(&mut self, progress: &[u8], complete: bool) -> Result<(), DatabaseError> {
        self.begin()?;
        let progress = String::from_utf8_lossy(progress);
        let noted = self.client.execute(
            "INSERT INTO exports VALUES ($1, $2, $3, $4) ON CONFLICT (export) DO UPDATE \
             SET source = EXCLUDED.source, progress = EXCLUDED.progress, complete = EXCLUDED.complete",
            &[&self.export, &(self.source as i64), &&*progress, &complete],
        );
        noted.map(|_| ()).map_err(DatabaseError::when("note a checkpoint"))
    }

    /// Takes back what came of the current source.
    fn forget_source(&mut self) -> Result<(), DatabaseError> {
        self.begin()?;
        for table in ["resources", "rejects"] {
            let command = format!("DELETE FROM {table} WHERE export = $1 AND source = $2");
            let deleted = self.client.execute(&command, &[&self.export, &(self.source as i64)]);
            deleted.map_err(DatabaseError::when("take a source back"))?;
        }
        Ok(())
    }

    fn copy_resources(&mut self, batch: &Batch) -> Result<(), SinkError> {
        let mut copy = Copy::begin(&mut self.client, COPY_RESOURCES, "resources").map_err(SinkError::own)?;
        for resource in resources(batch) {
            let id = resource.id().map_err(SinkError::own)?;
            let of_type = resource.resource_type();
            let at = resource.position();
            let fields = [
                Field::Text(&self.export),
                Field::Number(self.source),
                Field::Number(at.byte),
                Field::Number(at.line),
                of_type.as_ref().map(|of| of.as_str()).into(),
                id.as_deref().into(),
            ];
            copy.row(&fields, &mut resource.reader(), resource.length()).map_err(SinkError::own)?;
        }
        copy.finish().map_err(SinkError::own)
    }

    fn copy_rejects(&mut self, batch: &Batch) -> Result<(), DatabaseError> {
        let mut copy = Copy::begin(&mut self.client, COPY_REJECTS, "rejects")?;
        for reject in batch.rejects() {
            let fields = [
                Field::Text(&self.export),
                Field::Number(self.source),
                Field::Number(reject.position.byte),
                Field::Number(reject.position.line),
                Field::Text(reject.why.fault.code()),
            ];
            copy.row(&fields, &mut { reject.bytes }, reject.bytes.len() as u64)?;
        }
        copy.finish()
    }

    fn copy_long(&mut self, line: &mut LongLine) -> Result<(), DatabaseError> {
        let at = line.at;
        let place = [
            Field::Text(&self.export),
            Field::Number(self.source),
            Field::Number(at.byte),
            Field::Number(at.line),
        ];
        if let Some((why, mut bytes)) = line.rejected() {
            let mut copy = Copy::begin(&mut self.client, COPY_REJECTS, "rejects")?;
            let fields = [&place[..], &[Field::Text(why.fault.code())]].concat();
            let length = bytes.bytes_left();
            copy.row(&fields, &mut bytes, length)?;
            return copy.finish();
        }
        let id = long_id(line);
        if let Some((destination, mut bytes)) = line.delivered().filter(|(to, _)| !to.is_sidecar()) {
            let of_type = match &destination {
                Destination::Resource(of_type) => Some(of_type.as_str()),
                _ => None,
            };
            let mut copy = Copy::begin(&mut self.client, COPY_RESOURCES, "resources")?;
            let fields = [&place[..], &[of_type.into(), id.as_deref().into()]].concat();
            let length = bytes.bytes_left();
            copy.row(&fields, &mut bytes, length)?;
            copy.finish()?;
        }
        Ok(())
    }
}

impl Sink for Table {
    fn noted(&mut self) -> Result<Option<Vec<u8>>, SinkError> {
        let found =
            self.client.query_opt("SELECT source, progress FROM exports WHERE export = $1", &[&self.export]);
        let found = found.map_err(DatabaseError::when("read the last checkpoint")).map_err(SinkError::own)?;
        Ok(found.map(|row| {
            self.source = row.get::<_, i64>(0) as u64;
            row.get::<_, String>(1).into_bytes()
        }))
    }

    fn begin_source(&mut self, source: SourceId, _name: &str) -> Result<(), SinkError> {
        self.source = u64::from(source.0);
        Ok(())
    }

    fn commit(&mut self, batch: &mut Batch, _: &dyn Offload) -> Result<(), SinkError> {
        self.begin().map_err(SinkError::own)?;
        if !batch.runs.is_empty() {
            self.copy_resources(batch)?;
        }
        if !batch.rejects.is_empty() {
            self.copy_rejects(batch).map_err(SinkError::own)?;
        }
        Ok(())
    }

    fn commit_long(&mut self, line: &mut LongLine, _: &dyn Offload) -> Result<(), SinkError> {
        self.begin().and_then(|()| self.copy_long(line)).map_err(SinkError::own)
    }

    /// The rows go, and are gone with the next checkpoint: a kill before it brings them back, together with theirs.
    fn abandon_source(&mut self) -> Result<(), SinkError> {
        self.forget_source().map_err(SinkError::own)
    }

    fn fail_source(&mut self, progress: Option<&[u8]>) -> Result<(), SinkError> {
        let failed = match progress {
            Some(progress) => {
                self.forget_source().and_then(|()| self.note(progress, false)).and_then(|()| self.commit())
            }
            None => {
                self.writing = false;
                self.execute("take back what no checkpoint vouches for", "ROLLBACK")
            }
        };
        failed.map_err(SinkError::own)
    }

    fn checkpoint(&mut self, progress: &[u8], sync: bool) -> Result<(), SinkError> {
        self.note(progress, false).map_err(SinkError::own)?;
        if !sync {
            // The transaction is as whole as any; PostgreSQL only does not wait for its disk.
            let relaxed = self.execute("relax a commit", "SET LOCAL synchronous_commit = off");
            relaxed.map_err(SinkError::own)?;
        }
        self.commit().map_err(SinkError::own)
    }

    fn complete(&mut self, progress: &[u8]) -> Result<(), SinkError> {
        self.note(progress, true).and_then(|()| self.commit()).map_err(SinkError::own)
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("export", &self.export)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

/// The id of a resource that is too long to be held, by reading past all else.
fn long_id(line: &mut LongLine) -> Option<String> {
    let (_, bytes) = line.delivered()?;
    serde_json::from_reader::<_, Identified>(std::io::BufReader::with_capacity(1 << 16, bytes)).ok()?.id
}
