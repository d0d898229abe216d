//! What is shown while a run goes on.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanCount, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};

use fhirline::{Event, resident_bytes};

use crate::args::{Progress, TellArgs};
use crate::trouble::warn;

/// Rejected records told one by one.
const TOLD_REJECTS: u64 = 20;
/// Skipped files told one by one, unless `-v` asks for all.
const TOLD_SKIPS: u64 = 5;
/// Time between two states of the bar.
const BETWEEN_FRAMES: Duration = Duration::from_millis(120);
/// Time between lines where there is no terminal.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// Shows progress on standard error and tells what goes wrong.
pub(crate) struct Reporter {
    shown: Shown,
    quiet: bool,
    verbose: bool,
    tell_rejects: bool,
    total_bytes: Option<u64>,
    started: Instant,
    rejects: u64,
    skips: u64,
}

enum Shown {
    Nothing,
    Bar { bar: ProgressBar, next: Instant },
    Lines { next: Instant },
}

impl Reporter {
    /// `tell_rejects` names each of the first rejected records: for commands that keep no quarantine.
    pub(crate) fn new(tell: &TellArgs, total_bytes: Option<u64>, tell_rejects: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let shown = match tell.progress {
            _ if tell.quiet => Shown::Nothing,
            Progress::Never => Shown::Nothing,
            Progress::Always | Progress::Auto if terminal => {
                Shown::Bar { bar: bar(total_bytes), next: Instant::now() }
            }
            Progress::Always | Progress::Auto => Shown::Lines { next: Instant::now() + BETWEEN_LINES },
        };
        Self {
            shown,
            quiet: tell.quiet,
            verbose: tell.verbose,
            tell_rejects,
            total_bytes,
            started: Instant::now(),
            rejects: 0,
            skips: 0,
        }
    }

    pub(crate) fn on_event(&mut self, event: &Event<'_>) {
        match event {
            Event::Committed { before, current, stored_bytes } => {
                let records = before.ledger.records.read + current.ledger.records.read;
                let rejects = before.ledger.records.quarantined + current.ledger.records.quarantined;
                self.show(*stored_bytes, records, rejects);
            }
            Event::Waiting { name, at_most } => self.say(&format!(
                "{name} belongs to another run, or to one that was killed: waiting to see which, at most {}",
                HumanDuration(*at_most)
            )),
            Event::Rejected { source, position, length, why } if self.tell_rejects => {
                self.rejects += 1;
                if self.rejects <= TOLD_REJECTS {
                    let (line, byte, at) = (position.line, position.byte, why.at);
                    self.say(&format!("rejected {source}, line {line}, byte {byte}: {} ({length} bytes, seen at byte {at} of them)", why.fault));
                }
            }
            Event::SourceEnded { name, empty: true, error: None } => self.say(&format!("{name} is empty")),
            Event::Skipped { name, why } => {
                self.skips += 1;
                if self.verbose || self.skips <= TOLD_SKIPS {
                    self.say(&format!("skipped {name}: {why}"));
                }
            }
            _ => {}
        }
    }

    /// Takes the progress away and tells what was held back.
    pub(crate) fn finish(&mut self) {
        if let Shown::Bar { bar, .. } = &self.shown {
            bar.finish_and_clear();
        }
        self.shown = Shown::Nothing;
        let (rejects, skips) =
            (self.rejects.saturating_sub(TOLD_REJECTS), self.skips.saturating_sub(TOLD_SKIPS));
        if rejects > 0 {
            self.say(&format!(
                "and {} more records rejected; `fhirline split` keeps them",
                HumanCount(rejects)
            ));
        }
        if skips > 0 && !self.verbose {
            self.say(&format!("and {} more files skipped; -v names them", HumanCount(skips)));
        }
    }

    fn show(&mut self, stored_bytes: u64, records: u64, rejects: u64) {
        match &mut self.shown {
            Shown::Nothing => {}
            Shown::Bar { bar, next } => {
                let now = Instant::now();
                if now < *next {
                    return;
                }
                *next = now + BETWEEN_FRAMES;
                bar.set_position(stored_bytes);
                let memory =
                    resident_bytes().map_or_else(String::new, |bytes| format!(", {}", HumanBytes(bytes)));
                let (records, rejects) = (HumanCount(records), HumanCount(rejects));
                bar.set_message(format!("{records} records, {rejects} rejected{memory}"));
            }
            Shown::Lines { next } => {
                let now = Instant::now();
                if now < *next {
                    return;
                }
                *next = now + BETWEEN_LINES;
                let text =
                    progress_line(stored_bytes, self.total_bytes, self.started.elapsed(), records, rejects);
                let _ = writeln!(anstream::stderr(), "{text}");
            }
        }
    }

    fn say(&self, text: &str) {
        if self.quiet {
            return;
        }
        match &self.shown {
            Shown::Bar { bar, .. } => bar.suspend(|| warn(text)),
            _ => warn(text),
        }
    }
}

fn bar(total_bytes: Option<u64>) -> ProgressBar {
    let (bar, template) = match total_bytes {
        Some(bytes) => (
            ProgressBar::new(bytes),
            "{bar:24} {percent:>3}%  {binary_bytes}/{binary_total_bytes}  {binary_bytes_per_sec}  {eta} left  {msg}",
        ),
        None => {
            (ProgressBar::no_length(), "{spinner}  {binary_bytes}  {binary_bytes_per_sec}  {elapsed}  {msg}")
        }
    };
    bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(8));
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.with_style(style)
}

fn progress_line(stored: u64, total: Option<u64>, elapsed: Duration, records: u64, rejects: u64) -> String {
    let rate = stored as f64 / elapsed.as_secs_f64().max(0.001);
    let share = total.filter(|total| *total > 0).map(|total| {
        let left = Duration::from_secs_f64(total.saturating_sub(stored) as f64 / rate.max(1.0));
        format!(" ({}%, {} left)", stored * 100 / total, HumanDuration(left))
    });
    format!(
        "{}{} at {}/s, {} records, {} rejected",
        HumanBytes(stored),
        share.unwrap_or_default(),
        HumanBytes(rate as u64),
        HumanCount(records),
        HumanCount(rejects)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_progress() {
        let line = |total| progress_line(3 << 20, total, Duration::from_secs(2), 4000, 1);
        assert_eq!(
            line(Some(12 << 20)),
            "3.00 MiB (25%, 6 seconds left) at 1.50 MiB/s, 4,000 records, 1 rejected"
        );
        assert_eq!(line(None), "3.00 MiB at 1.50 MiB/s, 4,000 records, 1 rejected");
        assert_eq!(line(Some(0)), line(None));
    }
}
