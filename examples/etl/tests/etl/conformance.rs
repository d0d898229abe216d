//! The sink against the suite for sinks.

use ::postgres::{Client, NoTls};
use fhirline::sink::Sink;
use fhirline::sink::conformance::{Content, Subject, check};
use fhirline_example_etl::table::Table;

use crate::postgres::Postgres;

struct Tables {
    url: String,
    client: Client,
}

impl Subject for Tables {
    fn clear(&mut self) {
        self.client.batch_execute("TRUNCATE exports, resources, rejects").expect("emptied");
    }

    fn open(&mut self) -> Box<dyn Sink + '_> {
        Box::new(Table::open(&self.url, "suite").expect("a table"))
    }

    fn content(&mut self) -> Content {
        let command = "SELECT resource_type, resource FROM resources ORDER BY source, byte";
        let rows = self.client.query(command, &[]).expect("rows");
        rows.iter().map(|row| (row.get(0), row.get::<_, String>(1).into_bytes())).collect()
    }
}

#[test]
fn the_table_is_a_sound_sink() {
    let Some(server) = Postgres::start("the_table_is_a_sound_sink") else { return };
    let url = server.url();
    let client = Client::connect(&url, NoTls).expect("connected");
    // Makes the tables.
    Table::open(&url, "suite").expect("a table");
    let held = check(&mut Tables { url, client });
    assert!(held.is_ok(), "{held:?}");
}
