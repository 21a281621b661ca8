//! What happens, shown: bars on a terminal, lines elsewhere, JSON lines if asked.

use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use backup_core::{Event, Monitor};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

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

/// Shows events on standard error; standard output is for results.
#[derive(Debug)]
pub struct Progress {
    style: Style,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    bar: Option<ProgressBar>,
    what: String,
    parts: usize,
    done: usize,
    bytes: u64,
    told: Option<Instant>,
    unfinished: HashMap<String, u64>,
}

impl Progress {
    /// What suits the flags and where standard error goes.
    pub(crate) fn new(json: bool, quiet: bool, verbose: bool) -> Self {
        let style = match (json, quiet, std::io::stderr().is_terminal()) {
            (true, ..) => Style::Json,
            (_, true, _) => Style::Quiet,
            (.., true) => Style::Bars { verbose },
            (.., false) => Style::Lines { verbose },
        };
        Self { style, state: Mutex::default() }
    }

    /// Takes the bar away, so that the next line stands by itself.
    pub(crate) fn clear(&self) {
        if let Some(bar) = self.state.lock().unwrap_or_else(PoisonError::into_inner).bar.take() {
            bar.finish_and_clear();
        }
    }

    fn line(&self, state: &State, text: &str) {
        let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        match &state.bar {
            Some(bar) => bar.println(text),
            None => {
                // Nobody is left to tell if this fails.
                let _ = writeln!(std::io::stderr(), "{text}");
            }
        }
    }

    fn shown(&self, state: &mut State, event: Event<'_>) {
        let (verbose, bars) = match self.style {
            Style::Bars { verbose } => (verbose, true),
            Style::Lines { verbose } => (verbose, false),
            Style::Quiet | Style::Json => return,
        };
        match event {
            Event::Begun { what, parts, bytes } => {
                let more = state.bar.is_some() && state.what == what;
                state.what = what.to_owned();
                state.parts = if more { state.parts + parts } else { parts };
                if bars {
                    let bar = state.bar.get_or_insert_with(|| ProgressBar::new(0).with_style(style()));
                    bar.set_prefix(state.what.clone());
                    bar.set_length(bytes.unwrap_or_default() + if more { bar.length().unwrap_or_default() } else { 0 });
                    bar.enable_steady_tick(Duration::from_millis(200));
                }
            }
            Event::PartBegun { part } if verbose => self.line(state, &format!("begin {part}")),
            Event::Progress { bytes, .. } => {
                state.bytes += bytes;
                if let Some(bar) = &state.bar {
                    // Estimates are of pages, text can be longer.
                    if bar.position() + bytes > bar.length().unwrap_or_default() {
                        bar.set_length(bar.position() + bytes);
                    }
                    bar.inc(bytes);
                } else if state.told.is_none_or(|told| told.elapsed() >= OFTEN) {
                    if state.told.is_some() {
                        let (what, done, parts, bytes) = (&state.what, state.done, state.parts, size(state.bytes));
                        self.line(state, &format!("{what}: {done} of {parts} parts, {bytes}"));
                    }
                    state.told = Some(Instant::now());
                }
            }
            Event::PartDone { part, bytes } => {
                state.done += 1;
                if let Some(bar) = &state.bar {
                    bar.set_message(format!("{}/{}", state.done, state.parts));
                }
                if verbose {
                    self.line(state, &format!("done {part}, {}", size(bytes)));
                }
            }
            Event::Stage { what } => match &state.bar {
                Some(bar) if !verbose => bar.set_message(what.to_owned()),
                _ if verbose => self.line(state, what),
                _ => {}
            },
            Event::Warning { what } => self.line(state, &format!("warning: {what}")),
            Event::Paused { units } => self.line(state, &format!("stopped {}", joined(units))),
            Event::Resumed { units } => self.line(state, &format!("started {}", joined(units))),
            _ => {}
        }
    }

    fn json(&self, state: &mut State, event: Event<'_>) {
        let line = match event {
            Event::Begun { what, parts, bytes } => json!({"event": "begun", "what": what, "parts": parts, "bytes": bytes}),
            Event::PartBegun { part } => json!({"event": "part begun", "part": part.as_str()}),
            Event::Progress { part, bytes } => {
                // Gathered, or a line per row would drown what matters.
                *state.unfinished.entry(part.to_string()).or_default() += bytes;
                if state.told.is_some_and(|told| told.elapsed() < Duration::from_secs(1)) {
                    return;
                }
                state.told = Some(Instant::now());
                for (part, bytes) in std::mem::take(&mut state.unfinished) {
                    emit(&json!({"event": "progress", "part": part, "bytes": bytes}));
                }
                return;
            }
            Event::PartDone { part, bytes } => {
                state.unfinished.remove(part.as_str());
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

impl Monitor for Progress {
    fn on(&self, event: Event<'_>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match self.style {
            Style::Json => self.json(&mut state, event),
            _ => self.shown(&mut state, event),
        }
    }
}

fn emit(line: &serde_json::Value) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn joined(units: &[backup_core::Unit]) -> String {
    units.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{prefix} {wide_bar} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta} {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// A size for people: `1.5 GiB`.
pub(crate) fn size(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}
