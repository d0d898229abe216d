//! What is shown while files are fetched: a bar for each that comes, and one for all.

use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{
    HumanBytes, HumanCount, HumanDuration, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle,
};

use fhirline::FetchEvent;
#[cfg(feature = "http")]
use fhirline::{Cancelled, ExportEvent};

use crate::args::{Progress, TellArgs};
use crate::trouble::{shown, warn};

/// Skipped files told one by one, unless `-v` asks for all.
const TOLD_SKIPS: u64 = 5;
/// Time between lines where there is no terminal.
const BETWEEN_LINES: Duration = Duration::from_secs(10);
/// Characters of a name that stand before its bar.
const NAME_WIDTH: usize = 28;

/// Shows progress on standard error and tells what is odd.
pub(crate) struct Downloads {
    shown: Shown,
    quiet: bool,
    verbose: bool,
    skips: u64,
    tally: Tally,
    /// What was said last of a server.
    #[cfg(feature = "http")]
    told: String,
}

enum Shown {
    Nothing,
    Bars(Bars),
    Lines { next: Instant },
}

/// What has come of all files together.
struct Tally {
    started: Instant,
    total_bytes: Option<u64>,
    /// Of the files that come now: how much of them is there.
    coming: HashMap<usize, u64>,
    /// Of all files, those of earlier runs too.
    bytes: u64,
    /// What came now.
    fetched_bytes: u64,
    complete: u64,
}

impl Tally {
    fn take(&mut self, event: &FetchEvent) {
        match event {
            FetchEvent::Started { ordinal, from_bytes, .. } => {
                self.coming.insert(*ordinal, *from_bytes);
                self.bytes += from_bytes;
            }
            FetchEvent::Advanced { ordinal, bytes } => {
                let before = self.coming.insert(*ordinal, *bytes).unwrap_or(0);
                self.bytes += bytes.saturating_sub(before);
                self.fetched_bytes += bytes.saturating_sub(before);
            }
            FetchEvent::Finished { ordinal, bytes, kept, .. } => {
                self.coming.remove(ordinal);
                self.bytes += if *kept { *bytes } else { 0 };
                self.complete += 1;
            }
            FetchEvent::Failed { ordinal, .. } => {
                self.coming.remove(ordinal);
            }
            _ => {}
        }
    }

    fn line(&self, elapsed: Duration) -> String {
        let rate = self.fetched_bytes as f64 / elapsed.as_secs_f64().max(0.001);
        let share = self.total_bytes.filter(|total| *total > 0).map(|total| {
            let left = Duration::from_secs_f64(total.saturating_sub(self.bytes) as f64 / rate.max(1.0));
            format!(" ({}%, {} left)", self.bytes * 100 / total, HumanDuration(left))
        });
        let (share, rate) = (share.unwrap_or_default(), HumanBytes(rate as u64));
        format!("{}{share} at {rate}/s, {} files complete", HumanBytes(self.bytes), HumanCount(self.complete))
    }
}

impl Downloads {
    pub(crate) fn new(tell: &TellArgs, total_bytes: Option<u64>) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let shown = match tell.progress {
            _ if tell.quiet => Shown::Nothing,
            Progress::Never => Shown::Nothing,
            Progress::Always | Progress::Auto if terminal => Shown::Bars(Bars::new(total_bytes)),
            Progress::Always | Progress::Auto => Shown::Lines { next: Instant::now() + BETWEEN_LINES },
        };
        let tally = Tally {
            started: Instant::now(),
            total_bytes,
            coming: HashMap::new(),
            bytes: 0,
            fetched_bytes: 0,
            complete: 0,
        };
        Self {
            shown,
            quiet: tell.quiet,
            verbose: tell.verbose,
            skips: 0,
            tally,
            #[cfg(feature = "http")]
            told: String::new(),
        }
    }

    pub(crate) fn on_event(&mut self, event: &FetchEvent) {
        self.tally.take(event);
        match event {
            FetchEvent::Skipped { name, why } => {
                self.skips += 1;
                if self.verbose || self.skips <= TOLD_SKIPS {
                    self.say(&format!("skipped {name}: {why}"));
                }
            }
            FetchEvent::BegunAfresh { name, why, .. } => {
                self.say(&format!("{name} is begun afresh: {why}"));
            }
            _ => {}
        }
        match &mut self.shown {
            Shown::Nothing => {}
            Shown::Bars(bars) => bars.show(event, &self.tally),
            Shown::Lines { next } => {
                let now = Instant::now();
                if now >= *next {
                    *next = now + BETWEEN_LINES;
                    let _ = writeln!(anstream::stderr(), "{}", self.tally.line(self.tally.started.elapsed()));
                }
            }
        }
    }

    /// Shows what a server does before there are files.
    #[cfg(feature = "http")]
    pub(crate) fn on_server(&mut self, event: &ExportEvent<'_>) {
        match event {
            ExportEvent::KickedOff { .. } => self.wait("the server has taken the export", Duration::ZERO),
            ExportEvent::Working { progress, wait, .. } => {
                let text =
                    format!("the server is at work: {}", progress.unwrap_or("it does not say how far it is"));
                self.wait(&text, *wait);
            }
            ExportEvent::Faltering { status, wait, .. } => {
                let what = status.map_or_else(|| "no answer".to_owned(), |status| format!("status {status}"));
                let wait = HumanDuration(*wait);
                self.say(&format!(
                    "the server does not say how the export is ({what}); asked again in {wait}"
                ));
            }
            ExportEvent::Complete { manifest, .. } => {
                let files = manifest.files().count() as u64;
                self.wait(&format!("the export is ready: {} files", HumanCount(files)), Duration::ZERO);
                self.end_wait();
            }
            ExportEvent::Failed { .. } => self.end_wait(),
            ExportEvent::Abandoned { told } => self.say(match told {
                Some(Cancelled::Accepted) => {
                    "the server was told that the export of before is not wanted any more"
                }
                Some(Cancelled::Unknown) => "the server does not know the export of before any more",
                None => "the server could not be told that the export of before is not wanted any more",
            }),
            _ => {}
        }
    }

    #[cfg(feature = "http")]
    fn end_wait(&mut self) {
        if let Shown::Bars(bars) = &mut self.shown
            && let Some(bar) = bars.waiting.take()
        {
            bar.finish_and_clear();
        }
    }

    #[cfg(feature = "http")]
    fn wait(&mut self, text: &str, wait: Duration) {
        let text = shown(text);
        let again = match wait {
            Duration::ZERO => String::new(),
            wait => format!("; asked again in {}", HumanDuration(wait)),
        };
        match &mut self.shown {
            Shown::Nothing => {}
            Shown::Bars(bars) => bars.wait(&format!("{text}{again}")),
            // The same again tells nothing.
            Shown::Lines { .. } if self.told == text => {}
            Shown::Lines { .. } => {
                let _ = writeln!(anstream::stderr(), "{text}{again}");
                self.told = text.into_owned();
            }
        }
    }

    /// Takes the progress away and tells what was held back.
    pub(crate) fn finish(&mut self) {
        if let Shown::Bars(bars) = &self.shown {
            bars.clear();
        }
        self.shown = Shown::Nothing;
        let skips = self.skips.saturating_sub(TOLD_SKIPS);
        if skips > 0 && !self.verbose {
            self.say(&format!("and {} more files skipped; -v names them", HumanCount(skips)));
        }
    }

    fn say(&self, text: &str) {
        if self.quiet {
            return;
        }
        match &self.shown {
            Shown::Bars(bars) => bars.all.suspend(|| warn(text)),
            _ => warn(text),
        }
    }
}

/// The bars on a terminal.
struct Bars {
    all: MultiProgress,
    /// The last one: all files together.
    total: ProgressBar,
    coming: HashMap<usize, ProgressBar>,
    /// Before there are files.
    #[cfg(feature = "http")]
    waiting: Option<ProgressBar>,
}

impl Bars {
    fn new(total_bytes: Option<u64>) -> Self {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(8));
        let total = all.add(bar(total_bytes, "all files"));
        Self {
            all,
            total,
            coming: HashMap::new(),
            #[cfg(feature = "http")]
            waiting: None,
        }
    }

    #[cfg(feature = "http")]
    fn wait(&mut self, text: &str) {
        let (all, total) = (&self.all, &self.total);
        let bar = self.waiting.get_or_insert_with(|| {
            let bar = all.insert_before(total, ProgressBar::new_spinner());
            bar.enable_steady_tick(Duration::from_millis(250));
            bar
        });
        bar.set_message(text.to_owned());
    }

    fn show(&mut self, event: &FetchEvent, tally: &Tally) {
        match event {
            FetchEvent::Started { ordinal, name, stated_bytes, from_bytes } => {
                let bar = self.all.insert_before(&self.total, bar(*stated_bytes, name));
                bar.set_position(*from_bytes);
                // What was there before says nothing of the rate.
                bar.reset_eta();
                self.coming.insert(*ordinal, bar);
            }
            FetchEvent::Advanced { ordinal, bytes } => {
                if let Some(bar) = self.coming.get(ordinal) {
                    bar.set_position(*bytes);
                }
            }
            FetchEvent::Finished { ordinal, .. } | FetchEvent::Failed { ordinal, .. } => {
                if let Some(bar) = self.coming.remove(ordinal) {
                    bar.finish_and_clear();
                    self.all.remove(&bar);
                }
            }
            _ => {}
        }
        self.total.set_position(tally.bytes);
    }

    fn clear(&self) {
        self.coming.values().for_each(ProgressBar::finish_and_clear);
        self.total.finish_and_clear();
    }
}

fn bar(total_bytes: Option<u64>, name: &str) -> ProgressBar {
    let (bar, template) = match total_bytes {
        Some(bytes) => (
            ProgressBar::new(bytes),
            "{prefix:28} {bar:24} {percent:>3}%  {binary_bytes}/{binary_total_bytes}  {binary_bytes_per_sec}  {eta} left",
        ),
        None => (
            ProgressBar::no_length(),
            "{prefix:28} {spinner}  {binary_bytes}  {binary_bytes_per_sec}  {elapsed}",
        ),
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.with_style(style).with_prefix(short(name))
}

/// The end of a name tells more than its beginning.
fn short(name: &str) -> String {
    let name = shown(name);
    match name.chars().count().checked_sub(NAME_WIDTH) {
        None | Some(0) => name.into_owned(),
        Some(more) => format!("…{}", name.chars().skip(more + 1).collect::<String>()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(total_bytes: Option<u64>) -> Tally {
        let coming = HashMap::new();
        Tally { started: Instant::now(), total_bytes, coming, bytes: 0, fetched_bytes: 0, complete: 0 }
    }

    #[test]
    fn the_rate_is_that_of_what_came_now() {
        let mut tally = tally(Some(16 << 20));
        let name = "a".to_owned();
        for event in [
            FetchEvent::Finished { ordinal: 0, name: name.clone(), bytes: 4 << 20, kept: true },
            FetchEvent::Started { ordinal: 1, name: name.clone(), stated_bytes: None, from_bytes: 1 << 20 },
            FetchEvent::Advanced { ordinal: 1, bytes: 2 << 20 },
            FetchEvent::Started { ordinal: 2, name: name.clone(), stated_bytes: None, from_bytes: 0 },
            FetchEvent::Advanced { ordinal: 2, bytes: 2 << 20 },
            FetchEvent::Finished { ordinal: 1, name, bytes: 2 << 20, kept: false },
        ] {
            tally.take(&event);
        }
        let line = tally.line(Duration::from_secs(2));
        assert_eq!(line, "8.00 MiB (50%, 5 seconds left) at 1.50 MiB/s, 2 files complete");
        tally.total_bytes = None;
        let line = tally.line(Duration::from_secs(2));
        assert_eq!(line, "8.00 MiB at 1.50 MiB/s, 2 files complete");
    }

    #[test]
    fn long_names_are_shown_by_their_end() {
        assert_eq!(short("Patient.ndjson"), "Patient.ndjson");
        let long = format!("{}.0002.ndjson", "x".repeat(50));
        assert_eq!(short(&long).chars().count(), NAME_WIDTH);
        assert!(short(&long).ends_with("x.0002.ndjson") && short(&long).starts_with('…'));
    }
}
