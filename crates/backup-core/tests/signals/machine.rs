//! A machine in a temporary folder: services that are real processes, and programs that are started and killed on it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::Arc;

use async_trait::async_trait;
use backup_core::journal::Entry;
use backup_core::{Error, Journal, Kind, Lifecycle, OnFailure, Result, Unit};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::program::{Announcer, this_program};
use crate::unit::{has_stopped, holder, lock_file, runs, start_unit, tell_to_stop};

const UNITS: [&str; 4] = ["a", "b", "c", "d"];

pub(crate) struct Machine(TempDir);

impl Machine {
    /// `a`, `b` and `c` run, `d` does not.
    pub(crate) fn new() -> Self {
        let machine = Machine(tempfile::tempdir().expect("a folder"));
        for unit in UNITS {
            File::create(lock_file(machine.folder(), unit)).expect("a file");
        }
        UNITS[..3].iter().for_each(|unit| machine.start_unit(unit));
        machine
    }

    pub(crate) fn folder(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn start_unit(&self, unit: &str) {
        start_unit(self.folder(), unit).expect("it starts");
    }

    /// What runs, in start order.
    pub(crate) fn up(&self) -> Vec<String> {
        self.pids().into_keys().collect()
    }

    /// The processes of what runs.
    pub(crate) fn pids(&self) -> BTreeMap<String, i32> {
        let pid = |unit| Some((str::to_owned(unit), runs(self.folder(), unit)?.as_raw_nonzero().get()));
        UNITS.into_iter().filter_map(pid).collect()
    }

    /// Whether something is written down as stopped, also while a program holds the journal.
    pub(crate) fn has_entry(&self) -> bool {
        let files = fs::read_dir(self.folder().join("state")).into_iter().flatten().flatten();
        files.into_iter().any(|file| file.path().extension().is_some_and(|ext| ext == "json"))
    }

    /// What the journal says once the program that held it is dead.
    pub(crate) fn entry(&self) -> Option<Entry> {
        loop {
            match open_journal(self.folder()) {
                // A service that was being started may share the dead program's lock until it has become itself.
                Err(error) if error.kind() == Kind::Busy => std::thread::yield_now(),
                journal => return journal.and_then(|journal| journal.entry()).expect("a readable entry"),
            }
        }
    }

    pub(crate) fn is_committed(&self) -> bool {
        self.folder().join("committed").exists()
    }

    /// Starts a program; `run` announces its points, the others do not.
    pub(crate) fn start(&self, command: &str, on_failure: Option<OnFailure>) -> Program {
        Program::start(self.folder(), command, on_failure.unwrap_or(OnFailure::Resume), command == "run")
    }

    pub(crate) fn start_announcing(&self, command: &str) -> Program {
        Program::start(self.folder(), command, OnFailure::Resume, true)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        for unit in UNITS {
            while let Some(pid) = holder(self.folder(), unit) {
                let _ = kill_process(pid, Signal::KILL);
                std::thread::yield_now();
            }
        }
    }
}

/// A program that was started: it says `@point` and waits there, and `=whatever` else.
pub(crate) struct Program {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    said: Vec<String>,
}

impl Program {
    fn start(folder: &Path, command: &str, on_failure: OnFailure, announces: bool) -> Self {
        let mut child = this_program(folder, command)
            .env("PROGRAM_HOLDS", if on_failure == OnFailure::Hold { "yes" } else { "no" })
            .env("PROGRAM_ANNOUNCES", if announces { "yes" } else { "no" })
            .stdin(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let (stdin, stdout) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
        Program { child, stdin, stdout: BufReader::new(stdout), said: Vec::new() }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line that it says, `None` at its end.
    pub(crate) fn hears(&mut self) -> Option<String> {
        loop {
            let mut line = String::new();
            if self.stdout.read_line(&mut line).expect("readable") == 0 {
                return None;
            }
            // The test harness inside has words of its own.
            let line = line.trim_end().to_owned();
            if !line.starts_with(['@', '=']) {
                continue;
            }
            if line.starts_with('=') {
                self.said.push(line.clone());
            }
            return Some(line);
        }
    }

    /// Lets it go on from the point where it waits.
    pub(crate) fn go_on(&mut self) {
        let _ = self.stdin.write_all(b"\n");
    }

    /// Lets it wait nowhere.
    pub(crate) fn never_waits(&mut self) {
        self.stdin.write_all(&[b'\n'; 100]).expect("it listens");
    }

    /// Whether it says `line` next.
    pub(crate) fn says(&mut self, line: &str) -> bool {
        self.hears().as_deref() == Some(line)
    }

    /// Whether `point` is where it waits next.
    pub(crate) fn reaches(&mut self, point: &str) -> bool {
        self.says(&format!("@{point}"))
    }

    /// Lets it go on until it waits at `point`.
    pub(crate) fn passes_to(&mut self, point: &str) -> bool {
        while let Some(line) = self.hears() {
            match line.strip_prefix('@') {
                Some(reached) if reached == point => return true,
                Some(_) => self.go_on(),
                None => {}
            }
        }
        false
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process");
        kill_process(pid, signal).expect("it is there");
    }

    /// Lets it go on to its end; its exit code, or -1 if a signal killed it.
    pub(crate) fn ends(&mut self) -> i32 {
        while let Some(line) = self.hears() {
            if line.starts_with('@') {
                self.go_on();
            }
        }
        let status = self.child.wait().expect("its status");
        assert!(matches!(status.signal(), None | Some(9)), "{status}");
        status.code().unwrap_or(-1)
    }

    /// All that it said beside its points.
    pub(crate) fn said(&self) -> Vec<String> {
        self.said.clone()
    }
}

/// The services of a machine.
#[derive(Debug)]
pub(crate) struct Processes {
    folder: PathBuf,
    announcer: Option<Arc<Announcer>>,
}

impl Processes {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), announcer: None }
    }

    pub(crate) fn announcing(folder: &Path, announcer: Arc<Announcer>) -> Self {
        Self { folder: folder.to_owned(), announcer: Some(announcer) }
    }

    async fn point(&self, point: &str) {
        if let Some(announcer) = &self.announcer {
            announcer.point(point).await;
        }
    }
}

#[async_trait]
impl Lifecycle for Processes {
    async fn running(&self) -> Result<Vec<Unit>> {
        let units = UNITS.into_iter().filter(|unit| runs(&self.folder, unit).is_some());
        let units = units.map(|unit| Unit(unit.to_owned())).collect();
        self.point("asked").await;
        Ok(units)
    }

    async fn pause(&self, units: &[Unit]) -> Result<()> {
        self.point("pause").await;
        for unit in units.iter().rev() {
            tell_to_stop(&self.folder, &unit.0)?;
            self.point(&format!("stopping {unit}")).await;
            has_stopped(&self.folder, &unit.0).await;
            self.point(&format!("stopped {unit}")).await;
        }
        Ok(())
    }

    async fn held(&self, units: &[Unit]) -> Result<()> {
        let one = units.iter().find(|unit| runs(&self.folder, &unit.0).is_some());
        self.point("held").await;
        one.map_or(Ok(()), |unit| Err(Error::failed(format!("{unit} was started meanwhile"))))
    }

    async fn resume(&self, units: &[Unit]) -> Result<()> {
        self.point("resume").await;
        for unit in units {
            if runs(&self.folder, &unit.0).is_none() {
                // Whoever stopped it may have been killed before it was down, or before it was told.
                if holder(&self.folder, &unit.0).is_some() {
                    tell_to_stop(&self.folder, &unit.0)?;
                    has_stopped(&self.folder, &unit.0).await;
                }
                start_unit(&self.folder, &unit.0)?;
            }
            self.point(&format!("started {unit}")).await;
        }
        self.point("resumed").await;
        Ok(())
    }
}

/// The journal of the machine's only job.
pub(crate) fn open_journal(folder: &Path) -> Result<Journal> {
    Journal::open(&folder.join("state"), &"the job".parse()?)
}
