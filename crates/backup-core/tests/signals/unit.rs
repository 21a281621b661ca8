//! A service: a process that holds a POSIX lock on its file as long as it lives.
//!
//! So the kernel knows who runs, under which process ID and at most once, even while whoever starts and stops them is killed.
//! One that is told to stop takes its time, and a file beside the lock says so from before it is told until it is started
//! again: on its way down it does not run any more.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use backup_core::{Doing, Error, Result};
use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::process::{Flock, FlockType, Pid, Signal, fcntl_getlk, kill_process};
use tokio::signal::unix::{SignalKind, signal};

use crate::program::this_program;

/// How long a service takes to stop.
const STOPS_IN: Duration = Duration::from_millis(10);

/// What a service does: it takes its lock, says so, and lives until it is stopped or its machine is gone.
pub(crate) async fn be_a_unit(folder: &Path, unit: &str) {
    let path = lock_file(folder, unit);
    let Ok(file) = OpenOptions::new().read(true).write(true).open(&path) else { return };
    let mut told = signal(SignalKind::terminate()).expect("a handler");
    if fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        return;
    }
    let _ = fs::remove_file(stopping_file(folder, unit));
    let _ = writeln!(std::io::stdout(), "\n@ready").and_then(|()| std::io::stdout().flush());
    while path.exists() {
        if tokio::time::timeout(Duration::from_secs(1), told.recv()).await.is_ok() {
            tokio::time::sleep(STOPS_IN).await;
            break;
        }
    }
}

pub(crate) fn lock_file(folder: &Path, unit: &str) -> PathBuf {
    folder.join(format!("{unit}.lock"))
}

/// There once a service is told to stop, until it is started again.
fn stopping_file(folder: &Path, unit: &str) -> PathBuf {
    folder.join(format!("{unit}.stopping"))
}

/// The process that is `unit`, if it runs and is to go on running.
pub(crate) fn runs(folder: &Path, unit: &str) -> Option<Pid> {
    holder(folder, unit).filter(|_| !stopping_file(folder, unit).exists())
}

/// The process that is `unit`, also if it is on its way down.
pub(crate) fn holder(folder: &Path, unit: &str) -> Option<Pid> {
    let file = OpenOptions::new().read(true).write(true).open(lock_file(folder, unit)).ok()?;
    fcntl_getlk(&file, &Flock::from(FlockType::WriteLock)).expect("the kernel knows")?.pid
}

/// Starts one that is down, and waits until it runs.
pub(crate) fn start_unit(folder: &Path, unit: &str) -> Result<()> {
    if !lock_file(folder, unit).exists() {
        return Err(Error::failed(format!("there is no unit {unit:?}")));
    }
    let mut child = this_program(folder, "unit").env("PROGRAM_UNIT", unit).stdin(Stdio::null()).spawn().doing(|| "start")?;
    let mut lines = BufReader::new(child.stdout.take().ok_or_else(|| Error::failed("no output"))?).lines();
    let is_ready = lines.any(|line| line.is_ok_and(|line| line == "@ready"));
    if !is_ready {
        // Another one that was still on its way has the lock, or it is broken.
        child.wait().doing(|| "wait for a service")?;
        holder(folder, unit).ok_or_else(|| Error::failed(format!("{unit} did not start")))?;
    }
    Ok(())
}

pub(crate) fn tell_to_stop(folder: &Path, unit: &str) -> Result<()> {
    if let Some(pid) = holder(folder, unit) {
        // First written down: if we are killed in between, it counts as stopped.
        File::create(stopping_file(folder, unit)).doing(|| "stop")?;
        let _ = kill_process(pid, Signal::TERM);
    }
    Ok(())
}

pub(crate) async fn has_stopped(folder: &Path, unit: &str) {
    while holder(folder, unit).is_some() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
