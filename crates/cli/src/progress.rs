//! What happens, shown: bars on a terminal, lines elsewhere, JSON lines if asked.

use std::collections::HashMap;
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use backup_core::{Doing, Event, Monitor, Result};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::report::{Report, one_line};

/// How often numbers are told where there is no terminal.
const OFTEN: Duration = Duration::from_secs(30);

/// How much is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Quiet,
    Lines { verbose: bool },
    Bars { verbose: bool },
    Json,
}

/// Shows events on standard error; results that come one by one go to standard output, as all results do.
#[derive(Debug)]
pub struct Progress {
    style: Style,
    report: Report,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    bar: Option<ProgressBar>,
    counts: Counts,
    told: Option<Instant>,
    unfinished: HashMap<String, u64>,
    /// Why a result could not be written.
    lost: Option<io::Error>,
}

/// How far what is being done got. Operations with the same name, as those of several databases, add up.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Counts {
    what: String,
    parts: usize,
    done: usize,
    /// The bytes to expect; 0 if nobody knows.
    total: u64,
    bytes: u64,
}

impl Counts {
    /// Returns whether another operation has begun, whose numbers begin anew.
    fn begin(&mut self, what: &str, parts: usize, bytes: Option<u64>) -> bool {
        let new = self.what != what;
        if new {
            *self = Self { what: what.to_owned(), ..Self::default() };
        }
        self.parts += parts;
        self.total += bytes.unwrap_or_default();
        new
    }

    /// More bytes have passed. Estimates are of pages, text can be longer.
    fn passed(&mut self, bytes: u64) {
        self.bytes += bytes;
        if self.total > 0 {
            self.total = self.total.max(self.bytes);
        }
    }

    fn line(&self) -> String {
        let Self { what, parts, done, bytes, .. } = self;
        format!("{what}: {done} of {parts} parts, {}", size(*bytes))
    }

    /// Position and length of a bar: in bytes, or in parts where nobody knows of bytes.
    fn bar(&self) -> (u64, u64) {
        if self.total > 0 { (self.bytes, self.total) } else { (self.done as u64, self.parts as u64) }
    }
}

impl State {
    /// Shows the numbers on the bar, or on a line if that is due.
    fn count(&mut self) {
        if let Some(bar) = &self.bar {
            let (position, length) = self.counts.bar();
            bar.set_length(length);
            bar.set_position(position);
        } else if self.told.is_none_or(|told| told.elapsed() >= OFTEN) {
            if self.told.is_some() {
                self.line(&self.counts.line());
            }
            self.told = Some(Instant::now());
        }
    }

    fn line(&self, text: &str) {
        let text = one_line(text);
        match &self.bar {
            Some(bar) => bar.println(text),
            None => {
                // Nobody is left to tell if this fails.
                let _ = writeln!(io::stderr(), "{text}");
            }
        }
    }

    fn shown(&mut self, event: Event<'_>, verbose: bool, bars: bool) {
        match event {
            Event::Begun { what, parts, bytes } => {
                let new = self.counts.begin(what, parts, bytes);
                if bars {
                    let bar = self.bar.get_or_insert_with(|| ProgressBar::new(0));
                    if new {
                        bar.reset();
                        bar.set_message("");
                    }
                    bar.set_style(style(self.counts.total > 0));
                    bar.set_prefix(what.to_owned());
                    bar.enable_steady_tick(Duration::from_millis(200));
                }
                self.count();
            }
            Event::PartBegun { part } if verbose => self.line(&format!("begin {part}")),
            Event::Progress { bytes, .. } => {
                self.counts.passed(bytes);
                self.count();
            }
            Event::PartDone { part, bytes } => {
                self.counts.done += 1;
                self.count();
                if let Some(bar) = &self.bar {
                    bar.set_message(format!("{}/{}", self.counts.done, self.counts.parts));
                }
                // A comparison counts rows, and no bytes pass.
                if verbose && bytes == 0 {
                    self.line(&format!("done {part}"));
                } else if verbose {
                    self.line(&format!("done {part}, {}", size(bytes)));
                }
            }
            Event::Stage { what } => match &self.bar {
                Some(bar) if !verbose => bar.set_message(one_line(what)),
                _ if verbose => self.line(what),
                _ => {}
            },
            Event::Warning { what } => self.line(&format!("warning: {what}")),
            Event::Paused { units } => self.line(&format!("stopped {}", joined(units))),
            Event::Resumed { units } => self.line(&format!("started {}", joined(units))),
            _ => {}
        }
    }

    fn json(&mut self, event: Event<'_>) {
        let line = match event {
            Event::Begun { what, parts, bytes } => json!({"event": "begun", "what": what, "parts": parts, "bytes": bytes}),
            Event::PartBegun { part } => json!({"event": "part begun", "part": part.as_str()}),
            Event::Progress { part, bytes } => {
                // Gathered, or a line per row would drown what matters.
                *self.unfinished.entry(part.to_string()).or_default() += bytes;
                if self.told.is_some_and(|told| told.elapsed() < Duration::from_secs(1)) {
                    return;
                }
                self.told = Some(Instant::now());
                for (part, bytes) in std::mem::take(&mut self.unfinished) {
                    emit(&json!({"event": "progress", "part": part, "bytes": bytes}));
                }
                return;
            }
            Event::PartDone { part, bytes } => {
                self.unfinished.remove(part.as_str());
                json!({"event": "part done", "part": part.as_str(), "bytes": bytes})
            }
            Event::Stage { what } => json!({"event": "stage", "what": what}),
            Event::Warning { what } => json!({"event": "warning", "what": what}),
            Event::Committed { id } => json!({"event": "committed", "id": id.to_string()}),
            Event::Paused { units } => json!({"event": "paused", "units": units}),
            Event::Resumed { units } => json!({"event": "resumed", "units": units}),
            _ => return,
        };
        emit(&line);
    }
}

impl Progress {
    /// What suits the flags and where standard error goes.
    pub(crate) fn new(report: Report, quiet: bool, verbose: bool) -> Self {
        let style = match (report.json, quiet, io::stderr().is_terminal()) {
            (true, ..) => Style::Json,
            (_, true, _) => Style::Quiet,
            (.., true) => Style::Bars { verbose },
            (.., false) => Style::Lines { verbose },
        };
        Self { style, report, state: Mutex::default() }
    }

    /// Takes the bar away, so that the next line stands by itself. An error if a result could not be written.
    pub(crate) fn end(&self) -> Result<()> {
        self.clear();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.lost.take().map_or(Ok(()), Err).doing(|| "write the result")
    }

    /// Takes the bar away.
    pub(crate) fn clear(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bar) = state.bar.take() {
            bar.finish_and_clear();
        }
    }

    /// Writes what is a result; `None` if it is none.
    fn result(&self, event: Event<'_>) -> Option<io::Result<()>> {
        match event {
            Event::Judged { verdict } => Some(self.report.verdict(verdict)),
            Event::Deleted { id } => Some(self.report.done(id, "deleted")),
            Event::Differs { difference } => Some(self.report.difference(difference)),
            _ => None,
        }
    }
}

impl Monitor for Progress {
    fn on(&self, event: Event<'_>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let written = match &state.bar {
            Some(bar) => bar.suspend(|| self.result(event)),
            None => self.result(event),
        };
        match (written, self.style) {
            (Some(written), _) => state.lost = state.lost.take().or(written.err()),
            (None, Style::Json) => state.json(event),
            (None, Style::Bars { verbose }) => state.shown(event, verbose, true),
            (None, Style::Lines { verbose }) => state.shown(event, verbose, false),
            (None, Style::Quiet) => {}
        }
    }
}

fn emit(line: &serde_json::Value) {
    let _ = writeln!(io::stderr(), "{line}");
}

fn joined(units: &[backup_core::Unit]) -> String {
    units.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn style(bytes: bool) -> ProgressStyle {
    let template = if bytes {
        "{prefix} {wide_bar} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta} {msg}"
    } else {
        "{prefix} {wide_bar} {eta} {msg}"
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// A size for people: `1.5 GiB`.
pub fn size(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}

#[cfg(test)]
mod tests {
    use indicatif::ProgressDrawTarget;

    use super::*;

    fn tell(state: &mut State, events: &[Event<'_>]) {
        for event in events {
            state.shown(*event, false, state.bar.is_some());
        }
    }

    fn hidden() -> ProgressBar {
        ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden())
    }

    fn seen(state: &State) -> (u64, Option<u64>, String) {
        let bar = state.bar.as_ref().expect("a bar");
        (bar.position(), bar.length(), bar.message())
    }

    #[test]
    fn sources_of_one_backup_add_up() {
        let part = &"part".parse().expect("a name");
        let (begun, done) = (
            |parts| Event::Begun { what: "backup", parts, bytes: Some(100) },
            [Event::Progress { part, bytes: 60 }, Event::PartDone { part, bytes: 60 }],
        );
        for bars in [false, true] {
            let mut state = State { bar: bars.then(hidden), ..State::default() };
            tell(&mut state, &[begun(2)]);
            tell(&mut state, &done);
            tell(&mut state, &[begun(3)]);
            tell(&mut state, &done);
            assert_eq!(state.counts.line(), "backup: 2 of 5 parts, 120 B");
            if bars {
                assert_eq!(seen(&state), (120, Some(200), "2/5".into()));
            }
            // More than was thought.
            tell(&mut state, &[Event::Progress { part, bytes: 100 }]);
            assert_eq!(state.counts.bar(), (220, 220));
        }
    }

    #[test]
    fn another_operation_begins_anew() {
        let part = &"part".parse().expect("a name");
        let mut state = State { bar: Some(hidden()), ..State::default() };
        for (what, bytes) in [("verify", Some(70)), ("restore", Some(100))] {
            tell(&mut state, &[Event::Begun { what, parts: 2, bytes }]);
            assert_eq!(seen(&state), (0, bytes, String::new()));
            tell(&mut state, &[Event::Progress { part, bytes: 50 }, Event::PartDone { part, bytes: 50 }]);
            assert_eq!(seen(&state), (50, bytes, "1/2".into()));
        }
        tell(&mut state, &[Event::Begun { what: "compare", parts: 4, bytes: None }, Event::PartDone { part, bytes: 0 }]);
        assert_eq!(seen(&state), (1, Some(4), "1/4".into()));
        assert_eq!(state.counts.line(), "compare: 1 of 4 parts, 0 B");
    }
}
