//! The log of a run: what is told of it, a line each, with the time.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use backup_core::{Doing, Event, Monitor, Result};
use jiff::Zoned;

/// A file that only its user can read. What is told of a run is all that is in it: no secret is.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: Mutex<File>,
}

impl Log {
    /// Makes the log `name` in `folder`, which is made if it is not there.
    pub fn create(folder: &Path, name: &str) -> Result<Self> {
        let path = folder.join(name);
        let create = || {
            DirBuilder::new().recursive(true).mode(0o750).create(folder)?;
            OpenOptions::new().create(true).append(true).mode(0o600).open(&path)
        };
        let file = create().doing(|| format!("make the log {}", path.display()));
        let file = file.map_err(|error| error.with_hint("let LOG_PATH be a folder that this user may write to"))?;
        Ok(Self { path, file: Mutex::new(file) })
    }

    /// Makes the log of a run of `what` that began at `started`: `WHAT_HOST_YYYY-mm-dd-HHMMSS.log`, with the name of this machine.
    pub(crate) fn of_run(folder: &Path, what: &str, started: &Zoned) -> Result<Self> {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let host = host.split('.').next().unwrap_or_default();
        Self::create(folder, &format!("{what}_{host}_{}.log", started.strftime("%Y-%m-%d-%H%M%S")))
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a line. A disk that is full is in the way of no backup: then the line is missing.
    pub fn line(&self, text: &str) {
        let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let line = format!("{} {text}\n", Zoned::now().strftime("%Y-%m-%d %H:%M:%S %z"));
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = file.write_all(line.as_bytes()) {
            tracing::warn!(%error, "a line of the log is missing");
        }
    }
}

impl Monitor for Log {
    fn on(&self, event: Event<'_>) {
        let named = |units: &[backup_core::Unit]| units.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        match event {
            Event::Begun { what, bytes: Some(bytes), .. } => self.line(&format!("{what}: {bytes} bytes to come")),
            Event::Begun { what, .. } => self.line(what),
            Event::PartDone { part, bytes } => self.line(&format!("{part}: {bytes} bytes")),
            Event::Stage { what } => self.line(what),
            Event::Warning { what } => self.line(&format!("warning: {what}")),
            Event::Paused { units } => self.line(&format!("stopped {}", named(units))),
            Event::Resumed { units } => self.line(&format!("started {}", named(units))),
            _ => {}
        }
    }
}
