//! Rows for `COPY ... FROM STDIN (FORMAT binary)`. In this form a field is its length and its bytes, so nothing needs an escape, and one
//! of any length is passed on piece by piece. Source: <https://www.postgresql.org/docs/current/sql-copy.html>, "Binary Format".

use std::io::{self, Read, Write};

use postgres::{Client, CopyInWriter};

use crate::DatabaseError;

/// What a file in this form begins with; no flags, and no extension of the header.
const HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// Stands where the next row would tell the number of its fields.
const END: [u8; 2] = (-1_i16).to_be_bytes();
/// Stands where the length of a field would.
const NULL: [u8; 4] = (-1_i32).to_be_bytes();

/// One `COPY`. It is taken back unless it is finished.
pub(crate) struct Copy<'c> {
    rows: CopyInWriter<'c>,
    action: &'static str,
    /// The fields of a row before the last.
    fields: Vec<u8>,
}

/// A field that is not long.
#[derive(Clone, Copy)]
pub(crate) enum Field<'f> {
    Number(u64),
    Text(&'f str),
    Null,
}

impl<'f> From<Option<&'f str>> for Field<'f> {
    /// A text of PostgreSQL's holds no U+0000, which JSON may; no id of FHIR's does.
    fn from(text: Option<&'f str>) -> Self {
        text.filter(|text| !text.contains('\0')).map_or(Self::Null, Self::Text)
    }
}

impl<'c> Copy<'c> {
    pub(crate) fn begin(
        client: &'c mut Client,
        action: &'static str,
        into: &str,
    ) -> Result<Self, DatabaseError> {
        let command = format!("COPY {into} FROM STDIN (FORMAT binary)");
        let mut rows = client.copy_in(&command).map_err(DatabaseError::when(action))?;
        rows.write_all(HEAD).map_err(DatabaseError::when_writing(action))?;
        Ok(Self { rows, action, fields: Vec::new() })
    }

    /// One row: some fields, and a last one of that many bytes.
    pub(crate) fn row(
        &mut self,
        fields: &[Field<'_>],
        last: &mut dyn Read,
        bytes: u64,
    ) -> Result<(), DatabaseError> {
        let too_long = || DatabaseError::new(self.action, "a field of PostgreSQL's takes 1 GiB");
        let length = i32::try_from(bytes).map_err(|_| too_long())?;
        self.fields.clear();
        self.fields.extend((fields.len() as i16 + 1).to_be_bytes());
        fields.iter().for_each(|field| put(*field, &mut self.fields));
        self.fields.extend(length.to_be_bytes());
        let written = self.rows.write_all(&self.fields).and_then(|()| io::copy(last, &mut self.rows));
        written.map(|_| ()).map_err(DatabaseError::when_writing(self.action))
    }

    pub(crate) fn finish(mut self) -> Result<(), DatabaseError> {
        self.rows.write_all(&END).map_err(DatabaseError::when_writing(self.action))?;
        self.rows.finish().map(|_| ()).map_err(DatabaseError::when(self.action))
    }
}

fn put(field: Field<'_>, row: &mut Vec<u8>) {
    match field {
        Field::Number(number) => {
            row.extend(8_i32.to_be_bytes());
            row.extend((number as i64).to_be_bytes());
        }
        Field::Text(text) => {
            row.extend((text.len() as i32).to_be_bytes());
            row.extend(text.as_bytes());
        }
        Field::Null => row.extend(NULL),
    }
}
