use std::io;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use fhirline_core::{Batch, Budget, Chunk, Content, Lines, Parts};
use fhirline_route::{Router, Scratch};
use fhirline_sink::{Inline, Offload, Sink, SinkError};

use crate::Cancel;
use crate::commit::Commit;
use crate::entry::Entry;
use crate::error::RunError;
use crate::event::Event;
use crate::feed::{Feed, Halt, Starter, Step};
use crate::outcome::Outcome;
use crate::plan::FlowOptions;
use crate::tickets::{Sent, Ticket, TicketReceiver, TicketSender, is_heavy, queue};
use crate::workers::Workers;

/// How often a commit that waits for a source looks whether somebody asked it to stop.
const LOOK_FOR_CANCEL: Duration = Duration::from_millis(100);

/// Buffers beyond this size are given back to the allocator after use: they held one long line.
const KEEP_BUFFER_BYTES: usize = 2 << 20;

/// Reads the sources in order, routes their records, and commits them to the sink strictly in sequence.
///
/// The sink is left as it is: to seal it, or not, is up to the caller, who sees in the [`Outcome`] whether every source was
/// complete. `on_event` is called on the calling thread.
///
/// # Errors
/// [`RunError`] if the run had to stop. A source that is not complete is no such error; it is told in the outcome.
pub fn run<I>(
    sources: I,
    router: &Router,
    sink: &mut dyn Sink,
    options: &FlowOptions,
    cancel: &Cancel,
    on_event: &mut dyn FnMut(Event<'_>),
) -> Result<Outcome, RunError>
where
    I: IntoIterator<Item = Entry, IntoIter: Send>,
{
    let budget = Budget::new(options.memory.heart_bytes);
    let shared = Arc::new(Shared::new(router));
    let spares = Arc::clone(&shared);
    let feed = Feed::new(sources, router, options, budget.clone(), cancel, move || spares.drop_spares());
    let mut commit = Commit::new(sink, options, cancel, on_event);
    let read = if options.threads <= 1 {
        in_sequence(feed, &shared, &mut commit)
    } else {
        in_parallel(feed, &shared, &mut commit, options, &budget)
    };
    match read {
        Ok(()) => commit.finish(),
        Err(error) => Err(commit.stop(error)),
    }
}

/// The plain loop: the reference for all else.
fn in_sequence(mut feed: Feed<'_>, shared: &Shared, commit: &mut Commit<'_>) -> Result<(), RunError> {
    while let Some(step) = feed.next().map_err(stopped)? {
        match step {
            Step::Chunk { chunk, stored_bytes, standing } => {
                let spare = shared.batch_for(&chunk);
                let mut batch = shared.route(chunk, spare);
                commit.batch(&mut batch, stored_bytes, standing, &Inline)?;
                shared.recycle(batch);
                shared.lend_spares(&mut feed);
            }
            Step::Long { line, stored_bytes, standing } => {
                commit.long(*line, stored_bytes, standing, &Inline)?;
            }
            Step::Begun(begun) => commit.begin(begun)?,
            Step::Resumed(resumed) => commit.resume(resumed)?,
            Step::Ended(end) => commit.end(end)?,
            Step::Skipped { name, why, stamp } => commit.skipped(name, why, stamp),
        }
    }
    Ok(())
}

fn stopped(why: Halt) -> RunError {
    match why {
        // Nobody closes the budget while the commit, its other user, is at work.
        Halt::Closed => RunError::Cancelled,
        Halt::Spool(error) => RunError::Sink(spool_error(error)),
        Halt::Changed(changed) => RunError::Changed(changed),
        Halt::Misled => RunError::Misled,
        Halt::Records(error) => RunError::Places(error),
    }
}

fn spool_error(source: io::Error) -> SinkError {
    SinkError::Store { action: "write to", name: "the spool of a long line".to_owned(), source }
}

/// What workers share: the router, and buffers on their way back to use.
struct Shared {
    router: Router,
    batches: Mutex<Vec<Batch>>,
    lines: Mutex<Vec<Lines>>,
    parts: Mutex<Vec<Parts>>,
    scratches: Mutex<Vec<Scratch>>,
}

impl Shared {
    fn new(router: &Router) -> Self {
        let (batches, lines, parts, scratches) = Default::default();
        Self { router: router.clone(), batches, lines, parts, scratches }
    }

    /// A batch for that chunk, with its memory. Called where chunks are made: glibc keeps freed memory in the arena of the
    /// thread that allocated it, and one such arena holds less than as many as there are workers.
    fn batch_for(&self, chunk: &Chunk) -> Batch {
        let mut batch = take(&self.batches).unwrap_or_default();
        let wanted = chunk.content.buffer().capacity();
        if wanted <= KEEP_BUFFER_BYTES {
            batch.bytes.reserve_exact(wanted);
        }
        batch
    }

    /// The worker: one chunk to one batch.
    fn route(&self, chunk: Chunk, spare: Batch) -> Batch {
        let mut scratch = take(&self.scratches).unwrap_or_default();
        let (batch, content) = self.router.route(chunk, spare, &mut scratch);
        put(&self.scratches, scratch);
        match content {
            Content::Lines(lines) if is_kept(&lines.bytes) => put(&self.lines, lines),
            Content::Parts(parts) if is_kept(&parts.bytes) => put(&self.parts, *parts),
            _ => {}
        }
        batch
    }

    /// Ends the use of a batch: its lease returns, its buffers wait for the next chunk. Those that are not kept go before
    /// the lease does, as the fields of a batch are ordered.
    fn recycle(&self, mut batch: Batch) {
        if is_kept(&batch.bytes) {
            batch.clear();
            put(&self.batches, batch);
        }
    }

    fn lend_spares(&self, feed: &mut Feed<'_>) {
        if let Some(lines) = take(&self.lines) {
            feed.recycle(lines);
        }
        if let Some(parts) = take(&self.parts) {
            feed.recycle_parts(parts);
        }
    }

    fn drop_spares(&self) {
        while take(&self.batches).is_some() {}
        while take(&self.lines).is_some() {}
        while take(&self.parts).is_some() {}
    }
}

fn in_parallel(
    mut feed: Feed<'_>,
    shared: &Arc<Shared>,
    commit: &mut Commit<'_>,
    options: &FlowOptions,
    budget: &Budget,
) -> Result<(), RunError> {
    let (sender, tickets) = queue(options.threads);
    thread::scope(|scope| {
        let workers = Workers::begin(scope, (0..options.threads).map(|number| format!("fhirline-{number}")))
            .map_err(no_thread)?;
        // A thread of its own, so that memory which one thread takes and another frees is of one thread at least.
        let beginner = Workers::begin(scope, ["fhirline-begin".to_owned()]).map_err(no_thread)?;
        let of_source = workers.clone();
        feed.begin_early(starter(beginner, options));
        let source = thread::Builder::new().name("fhirline-source".into());
        let source = source.spawn_scoped(scope, move || send_tickets(feed, &sender, &of_source, shared));
        let source = source.map_err(no_thread)?;
        let result = commit_tickets(&tickets, commit, &workers, shared);
        // Whether the commit is done or gave up: let the source side out of any wait.
        budget.close();
        drop(tickets);
        match source.join() {
            Ok(()) => result,
            Err(_) => result.and(Err(RunError::WorkerLost)),
        }
    })
}

fn starter(beginner: Workers, options: &FlowOptions) -> Starter {
    let beginnings = options.memory.beginnings(options.threads);
    Starter::new(Box::new(beginner), options.checkpoint_bytes.is_some(), beginnings)
}

fn no_thread(error: io::Error) -> RunError {
    RunError::Threads(error.into())
}

/// The source side: sends steps in order and has chunks routed. Ends when the sources do, or when nobody listens.
fn send_tickets(mut feed: Feed<'_>, tickets: &TicketSender, workers: &Workers, shared: &Arc<Shared>) {
    loop {
        let (ticket, is_heavy, is_last) = match feed.next() {
            Ok(Some(step)) => {
                let is_heavy = is_heavy(&step);
                (ticket(step, workers, shared), is_heavy, false)
            }
            Ok(None) => return,
            Err(why) => (Ticket::Halted(why), false, true),
        };
        if !tickets.send(ticket, is_heavy) || is_last {
            return;
        }
        shared.lend_spares(&mut feed);
    }
}

/// The ticket for a step; a chunk is on its way to its batch then.
fn ticket(step: Step, workers: &Workers, shared: &Arc<Shared>) -> Ticket {
    match step {
        Step::Chunk { chunk, stored_bytes, standing } => {
            let (sender, promise) = sync_channel(1);
            let spare = shared.batch_for(&chunk);
            let shared = Arc::clone(shared);
            workers.offload(Box::new(move || {
                // Nobody receives once the run is over.
                let _ = sender.send(shared.route(chunk, spare));
            }));
            Ticket::Batch { promise, stored_bytes, standing }
        }
        Step::Long { line, stored_bytes, standing } => Ticket::Long { line, stored_bytes, standing },
        Step::Begun(begun) => Ticket::Begun(begun),
        Step::Resumed(resumed) => Ticket::Resumed(resumed),
        Step::Ended(end) => Ticket::Ended(end),
        Step::Skipped { name, why, stamp } => Ticket::Skipped { name, why, stamp },
    }
}

fn commit_tickets(
    tickets: &TicketReceiver,
    commit: &mut Commit<'_>,
    workers: &Workers,
    shared: &Shared,
) -> Result<(), RunError> {
    while let Some(sent) = next_ticket(tickets, commit)? {
        match sent.ticket {
            Ticket::Batch { promise, stored_bytes, standing } => {
                let mut batch = promise.recv().map_err(|_| RunError::WorkerLost)?;
                commit.batch(&mut batch, stored_bytes, standing, workers)?;
                shared.recycle(batch);
            }
            Ticket::Long { line, stored_bytes, standing } => {
                commit.long(*line, stored_bytes, standing, workers)?;
            }
            Ticket::Begun(begun) => commit.begin(begun)?,
            Ticket::Resumed(resumed) => commit.resume(resumed)?,
            Ticket::Ended(end) => commit.end(end)?,
            Ticket::Skipped { name, why, stamp } => commit.skipped(name, why, stamp),
            Ticket::Halted(why) => return Err(stopped(why)),
        }
    }
    Ok(())
}

/// Waits for the next ticket; `None` behind the last one. A source may block for ever, so the wait is cut short when
/// somebody asks the run to stop.
fn next_ticket(tickets: &TicketReceiver, commit: &Commit<'_>) -> Result<Option<Sent>, RunError> {
    loop {
        match tickets.next(LOOK_FOR_CANCEL) {
            Ok(sent) => return Ok(Some(sent)),
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
            Err(RecvTimeoutError::Timeout) => commit.check_cancel()?,
        }
    }
}

fn is_kept(buffer: &Vec<u8>) -> bool {
    buffer.capacity() <= KEEP_BUFFER_BYTES
}

fn take<T>(pile: &Mutex<Vec<T>>) -> Option<T> {
    pile.lock().unwrap_or_else(PoisonError::into_inner).pop()
}

fn put<T>(pile: &Mutex<Vec<T>>, item: T) {
    pile.lock().unwrap_or_else(PoisonError::into_inner).push(item);
}
