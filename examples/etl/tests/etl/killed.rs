//! The program killed between two checkpoints and within them, and the same command again.
//!
//! Triggers hold it where it is to be killed: on the row of the checkpoint before the `COMMIT`, or within the `COMMIT`. So each kill hits
//! a run in its middle, at a known place, on any machine.

use std::io::Read;
use std::process::{Child, Command, Stdio};

use ::postgres::Client;
use serde_json::Value;

use crate::place::{Place, assert_same, sample};

/// Holds the first checkpoint when it is written and not committed: what was copied goes with the one who is killed.
const WRITING: i64 = 101;
/// Holds it within the `COMMIT`, which comes about although nobody waits for it any more.
const COMMITTING: i64 = 102;
/// Holds the last one, behind as many others as there was time for.
const COMPLETING: i64 = 103;

const KILLS: [i64; 7] = [WRITING, COMMITTING, WRITING, COMMITTING, WRITING, COMMITTING, COMPLETING];

const TRIGGERS: &str = "
    CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN
            PERFORM pg_advisory_lock_shared(TG_ARGV[0]::bigint);
            PERFORM pg_advisory_unlock_shared(TG_ARGV[0]::bigint);
            RETURN NULL;
        END $$;
    CREATE TRIGGER writing AFTER INSERT OR UPDATE ON exports
        FOR EACH ROW EXECUTE FUNCTION gate(101);
    CREATE CONSTRAINT TRIGGER committing AFTER INSERT OR UPDATE ON exports
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION gate(102);
    CREATE TRIGGER completing AFTER INSERT OR UPDATE ON exports
        FOR EACH ROW WHEN (NEW.complete) EXECUTE FUNCTION gate(103);";

struct Gates(Client);

impl Gates {
    fn close(&mut self, gate: i64) {
        self.0.execute("SELECT pg_advisory_lock($1)", &[&gate]).expect("closed");
    }

    fn open(&mut self, gate: i64) {
        self.0.execute("SELECT pg_advisory_unlock($1)", &[&gate]).expect("opened");
    }

    /// Asks until somebody waits, at that gate or for the end of another run. There is no wait in between: each answer takes its time.
    #[track_caller]
    fn until_waiting(&mut self, child: &mut Child, at_gate: Option<i64>) {
        let command = "SELECT CASE locktype WHEN 'advisory' THEN objid::bigint ELSE 0 END FROM pg_locks WHERE NOT granted";
        loop {
            let waiting = self.0.query(command, &[]).expect("locks");
            let waiting: Vec<i64> = waiting.iter().map(|row| row.get(0)).collect();
            let at_gates = waiting.iter().filter(|lock| KILLS.contains(*lock)).count();
            assert!(!waiting.contains(&0), "two runs write one export at once");
            let there = match at_gate {
                Some(gate) => waiting.contains(&gate),
                None => {
                    assert!(at_gates < 2, "a run did not wait for the end of another");
                    waiting.len() > at_gates
                }
            };
            if there {
                return;
            }
            if child.try_wait().expect("a child").is_some() {
                panic!("it should wait at {at_gate:?}, and ended: {}", said(child));
            }
        }
    }
}

fn started(mut command: Command) -> Child {
    command.stdout(Stdio::null()).spawn().expect("run")
}

fn said(child: &mut Child) -> String {
    let mut said = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut said).expect("text");
    said
}

#[test]
fn killed_and_run_again_it_leaves_the_same_rows() {
    let sources = [("a.jsonl", sample(3, 9 << 20)), ("b.jsonl", sample(4, 7 << 20))];
    let Some(place) = Place::new("killed_and_run_again_it_leaves_the_same_rows", &sources) else { return };
    place.deliver("unbroken", 0);
    place.run(&[], 3);
    let unbroken = place.rows("unbroken");
    assert_same(&unbroken, &place.expected());

    place.client().batch_execute(TRIGGERS).expect("triggers");
    place.deliver("killed", 0);
    let mut gates = Gates(place.client());
    let mut killed: Option<(i64, usize)> = None;
    for gate in KILLS {
        gates.close(gate);
        let mut child = started(place.command(&[]));
        if let Some((old, _)) = killed {
            // The session of the one before is still there, and the heir waits for its end.
            gates.until_waiting(&mut child, None);
            gates.open(old);
        }
        gates.until_waiting(&mut child, Some(gate));
        let rows = place.rows("killed").len();
        match killed {
            Some((COMMITTING, before)) => assert!(rows > before, "a commit was on its way, and is lost"),
            Some((_, before)) => assert_eq!(rows, before, "what was not committed"),
            None => assert_eq!(rows, 0),
        }
        assert!(gate == COMPLETING || rows < unbroken.len(), "there is nothing left to be done");
        child.kill().expect("killed");
        assert_eq!(child.wait().expect("ended").code(), None);
        assert!(!place.complete("killed").unwrap_or_default());
        killed = Some((gate, place.rows("killed").len()));
    }
    gates.open(COMPLETING);
    let report: Value = serde_json::from_slice(&place.run(&[], 3).stdout).expect("a report");
    assert!(report["resumed_from"].is_object(), "{report}");
    assert_eq!(place.complete("killed"), Some(true));
    assert_same(&place.rows("killed"), &unbroken);
}
