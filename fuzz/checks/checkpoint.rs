//! Whatever the checkpoint of an interrupted run has become: it is refused, or gone on from, and what comes out in the end is
//! what comes out of a run that was never interrupted.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, LazyLock};

use fhirline_core::Store;
use fhirline_fetch::{BytesOrigin, MemoryStore};
use fhirline_flow::{Cancel, Entry, Event, FlowOptions, Outcome, Progress, RunError, run};
use fhirline_line_split::ChunkSize;
use fhirline_route::Router;
use fhirline_sink::{Checkpoint, Codec, Encoding, Finished, Inline, SplitOptions, SplitSink};
use serde_json::value::RawValue;

use super::choices::Choices;

/// The names of the latest checkpoint, and of the one beside it that survives a crash of the machine.
const NAMES: [&str; 2] = ["_fhirline.partial", "_fhirline-safe.partial"];

/// Two sources, the second one compressed: types, rejects, blank lines, and a line that is spooled.
static SOURCES: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| {
    let text: String = (0..24).map(line).collect();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let stored = encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish());
    [text.into_bytes(), stored.expect("a vector takes all")]
});

fn line(number: usize) -> String {
    match number % 8 {
        3 => "no JSON\n".to_owned(),
        4 if number == 4 => "\n".to_owned(),
        5 => format!("{{\"resourceType\":\"Binary\",\"data\":\"{}\"}}\r\n", "x".repeat(10 * number)),
        kind => {
            let name = ["Goal", "Patient", "patient-like", "", "Observation", "", "PATIENT", "Goal"][kind];
            format!("{{\"resourceType\":\"{name}\",\"id\":\"{number}\"}}\n")
        }
    }
}

pub(crate) fn check(input: &[u8]) {
    let mut choices = Choices::new(input);
    let plan = Plan::choose(&mut choices);
    let (unbroken, commits) = plan.unbroken();
    let stops_after = usize::from(choices.byte()) % (commits + 1);
    let store = plan.interrupted_again(plan.interrupted(stops_after), usize::from(choices.byte() % 6));
    let before = contents(&store);
    Damage::choose(&store, &mut choices).befall(&store, choices.rest());
    let after = contents(&store);
    let noted = |files: &Files| NAMES.map(|name| files.get(name).cloned().unwrap_or_default());
    let is_noted = noted(&before).concat() != b"" && noted(&after) == noted(&before);
    match plan.gone_on(&store) {
        End::Whole(files) => assert!(files == unbroken, "other files"),
        End::Afresh => assert!(!is_noted || after != before, "nothing was wrong with the checkpoint"),
        End::Stopped => assert!(!is_noted, "nothing was wrong with the checkpoint"),
    }
}

/// How a run ends that finds what an interrupted one left.
enum End {
    /// It goes on to the end.
    Whole(Files),
    /// It begins afresh, or refuses to.
    Afresh,
    /// It goes on, and sees that something is wrong.
    Stopped,
}

type Files = BTreeMap<String, Vec<u8>>;

struct Plan {
    threads: usize,
    split: SplitOptions,
    /// Whether the second interruption is a stop, and not a kill.
    stopped_again: bool,
}

impl Plan {
    fn choose(choices: &mut Choices<'_>) -> Self {
        let flags = choices.flags();
        let codec = choices.of(&[Codec::None, Codec::Gzip, Codec::Zstd]);
        let split = SplitOptions {
            encoding: Encoding::new(codec, None).expect("the usual level"),
            max_file_bytes: flags[0].then_some(300),
            max_file_records: flags[1].then_some(2),
            block_bytes: choices.size(),
            open_block_bytes: choices.size() as u64,
            ..SplitOptions::default()
        };
        Self { threads: 1 + usize::from(flags[2]), split, stopped_again: flags[3] }
    }

    /// What a run leaves that nothing happens to, and how often it commits.
    fn unbroken(&self) -> (Files, usize) {
        let (store, mut commits) = (MemoryStore::new(), 0);
        let mut sink = SplitSink::new(Arc::new(store.clone()), self.split);
        self.run(&mut sink, None, &Cancel::new(), &mut || commits += 1).expect("memory takes all");
        sink.finish(&Inline).and_then(Finished::seal).expect("memory takes all");
        (contents(&store), commits)
    }

    /// What a run leaves that is stopped after so many commits.
    fn interrupted(&self, commits: usize) -> MemoryStore {
        let store = MemoryStore::new();
        let known = RawValue::from_string("{}".to_owned()).expect("JSON");
        let mut sink = SplitSink::new(Arc::new(store.clone()), self.split).with_checkpoints(NAMES[0], known);
        self.stop(&mut sink, None, commits);
        store
    }

    /// What is left when the run that goes on is interrupted, too, after so many commits: stopped, which it notes, or killed
    /// behind what was noted before.
    fn interrupted_again(&self, store: MemoryStore, commits: usize) -> MemoryStore {
        let going = copy_of(&store);
        let Some((mut sink, progress)) = self.taken_up(&going, NAMES[0]) else { return store };
        if self.stopped_again {
            self.stop(&mut sink, Some(progress), commits);
            return going;
        }
        let (mut left, mut killed) = (commits, store);
        let ended = self.run(&mut sink, Some(progress), &Cancel::new(), &mut || {
            left = left.wrapping_sub(1);
            if left == 0 {
                killed = copy_of(&going);
            }
        });
        assert!(ended.is_ok());
        killed
    }

    /// Runs until somebody asks to stop after so many commits.
    fn stop(&self, sink: &mut SplitSink, from: Option<Progress>, commits: usize) {
        let (cancel, mut left) = (Cancel::new(), commits);
        if left == 0 {
            cancel.cancel();
        }
        let stopped = self.run(sink, from, &cancel, &mut || {
            left = left.saturating_sub(1);
            if left == 0 {
                cancel.cancel();
            }
        });
        assert!(matches!(stopped, Ok(_) | Err(RunError::Cancelled)));
    }

    /// What comes of the same run when it finds what the store holds.
    fn gone_on(&self, store: &MemoryStore) -> End {
        let taken_up = NAMES.into_iter().find_map(|name| self.taken_up(store, name));
        let Some((mut sink, progress)) = taken_up else { return End::Afresh };
        match self.run(&mut sink, Some(progress), &Cancel::new(), &mut || ()) {
            Ok(outcome) if outcome.failed_sources == 0 => {}
            _ => return End::Stopped,
        }
        sink.finish(&Inline).and_then(Finished::seal).expect("memory takes all");
        // They go when the run is over.
        NAMES.into_iter().for_each(|name| store.remove(name).expect("in memory"));
        End::Whole(contents(store))
    }

    fn taken_up(&self, store: &MemoryStore, name: &str) -> Option<(SplitSink, Progress)> {
        let noted = store.get(name, Checkpoint::MAX_BYTES).expect("in memory")?;
        let checkpoint = Checkpoint::parse(&noted).ok()?;
        let progress: Progress = serde_json::from_str(checkpoint.progress().get()).ok()?;
        progress.check_sources(sources()).ok()?;
        let store = Arc::new(store.clone());
        let (sink, _) = SplitSink::resume(store, self.split, NAMES[0], checkpoint).ok()?;
        Some((sink, progress))
    }

    fn run(
        &self,
        sink: &mut SplitSink,
        from: Option<Progress>,
        cancel: &Cancel,
        on_commit: &mut dyn FnMut(),
    ) -> Result<Outcome, RunError> {
        let options = FlowOptions {
            threads: self.threads,
            chunk_size: ChunkSize { max_bytes: 300, max_lines: 3 },
            held_line_bytes: 100,
            // Only a run that is stopped makes one: how often others do is a matter of time.
            checkpoint_bytes: Some(u64::MAX),
            from,
            ..FlowOptions::default()
        };
        run(sources(), &Router::default(), sink, &options, cancel, &mut |event| {
            if let Event::Committed { .. } = event {
                on_commit();
            }
        })
    }
}

fn sources() -> impl Iterator<Item = Entry> + Send {
    let named = ["plain", "compressed"].into_iter().zip(&*SOURCES);
    named.map(|(name, bytes)| Entry::named(BytesOrigin::new(name, bytes)))
}

fn contents(store: &MemoryStore) -> Files {
    let names = store.list().expect("in memory");
    names.into_iter().map(|name| (name.clone(), store.contents(&name).expect("it was listed"))).collect()
}

fn copy_of(store: &MemoryStore) -> MemoryStore {
    let copy = MemoryStore::new();
    for (name, bytes) in contents(store) {
        copy.replace(&name, &bytes, false).expect("in memory");
    }
    copy
}

/// What becomes of a file that an interrupted run left.
enum Damage {
    /// It is something else.
    Replaced(String),
    /// It is changed in a few places.
    Edited(String),
    Removed(String),
}

impl Damage {
    fn choose(store: &MemoryStore, choices: &mut Choices<'_>) -> Self {
        let (kind, names) = (choices.byte(), store.list().expect("in memory"));
        let any = names[usize::from(choices.byte()) % names.len()].clone();
        match kind % 6 {
            0 => Self::Replaced(NAMES[0].to_owned()),
            1..4 => Self::Edited(NAMES[0].to_owned()),
            4 => Self::Edited(any),
            _ => Self::Removed(any),
        }
    }

    fn befall(&self, store: &MemoryStore, how: &[u8]) {
        let replace = |name: &str, bytes: &[u8]| store.replace(name, bytes, false).expect("in memory");
        match self {
            Self::Replaced(name) => replace(name, how),
            Self::Edited(name) => {
                let mut bytes = store.contents(name).unwrap_or_default();
                how.chunks_exact(4).for_each(|edit| change(&mut bytes, edit));
                replace(name, &bytes);
            }
            Self::Removed(name) => store.remove(name).expect("in memory"),
        }
    }
}

/// One change: its kind, its place in two bytes, and a value.
fn change(bytes: &mut Vec<u8>, edit: &[u8]) {
    let [kind, high, low, value] = *edit else { return };
    if bytes.is_empty() {
        return;
    }
    let at = usize::from(u16::from_be_bytes([high, low])) % bytes.len();
    match kind % 6 {
        0 => bytes[at] ^= 1 << (value % 8),
        1 => bytes[at] = value,
        2 => bytes.insert(at, value),
        3 => drop(bytes.drain(at..(at + usize::from(value)).min(bytes.len()))),
        4 => bytes.truncate(at),
        _ => change_number(bytes, at, value),
    }
}

/// Puts another number in the place of the first one behind `at`.
fn change_number(bytes: &mut Vec<u8>, at: usize, value: u8) {
    let others = [0, 1, u64::from(u32::MAX), 1 << 53, u64::MAX];
    let Some(from) = bytes[at..].iter().position(u8::is_ascii_digit).map(|digit| at + digit) else { return };
    let digits = bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let other = others.get(usize::from(value)).copied().unwrap_or(u64::from(value));
    bytes.splice(from..from + digits, other.to_string().into_bytes());
}
