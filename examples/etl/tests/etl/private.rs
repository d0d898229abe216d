//! Whatever happens, the program says nothing of what records hold. Each run of these tests is searched for it.

use serde_json::json;

use crate::place::{CANARY, Place, sample};
use crate::slow_reader::patients;

#[test]
fn no_error_of_the_database_tells_what_a_record_holds() {
    let mut export = sample(7, 1 << 20);
    let subject = json!({"reference": format!("Patient/{}", patients(&export)[0])});
    for id in [format!("{CANARY}-1"), format!("{CANARY}-2")] {
        let goal = json!({"resourceType": "Goal", "id": id, "subject": subject, "note": [{"text": CANARY}]});
        export.extend(format!("{goal}\n{{\"resourceType\":\"{CANARY}\n").bytes());
    }
    let sources = [("a.jsonl", export)];
    let Some(place) = Place::new("no_error_of_the_database_tells_what_a_record_holds", &sources) else {
        return;
    };
    place.deliver("task-1", 0);
    place.run(&[], 3);
    let mut client = place.client();
    let noted = client.query_one("SELECT progress FROM exports", &[]).expect("a checkpoint");
    assert!(!noted.get::<_, String>(0).contains(CANARY));

    // PostgreSQL would quote the whole row.
    client.batch_execute("TRUNCATE exports, resources, rejects").expect("emptied");
    let constraint = "ALTER TABLE resources ADD CHECK (id NOT LIKE 'canary%')";
    client.batch_execute(constraint).expect("a constraint");
    let said = place.run(&[], 1).stderr;
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("cannot copy resources: PostgreSQL says 23514"), "{said}");
    assert_ne!(place.complete("task-1"), Some(true));

    // And nobody answers.
    let output =
        place.command(&[]).env("DATABASE_URL", "postgres://x:canary@127.0.0.1:1/x").output().expect("run");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("cannot connect to PostgreSQL: connection refused") && !said.contains(CANARY),
        "{said}"
    );
}
