//! The program as a user runs it: its own sink and state, nothing of the caller's environment, its exit code and words.

use std::ffi::OsStr;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use backup_tests::{Server, hearing};
use rustix::process::{Pid, Signal, kill_process};

/// How long a run may take before it counts as hanging and is killed.
const PATIENCE: Duration = Duration::from_secs(300);

/// A sink with a state folder, gone with the test.
pub(crate) struct Sink {
    folder: tempfile::TempDir,
    to: PathBuf,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: Vec<u8>,
    pub(crate) err: String,
    what: String,
}

impl Sink {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let to = folder.path().join("sink");
        Self { folder, to }
    }

    /// The same with the backups in `to`.
    pub(crate) fn at(to: &Path) -> Self {
        Self { to: to.to_owned(), ..Self::new() }
    }

    /// A folder beside the sink, for files of a test.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where the backups of the usual job lie.
    pub(crate) fn job(&self) -> PathBuf {
        self.to.join("pg")
    }

    /// The program, connected to `server` as the environment says it.
    pub(crate) fn command<A: AsRef<OsStr>>(&self, server: Option<&Server>, arguments: &[A]) -> Command {
        let mut command = hearing(env!("CARGO_BIN_EXE_pg-backup"));
        for (name, _) in std::env::vars_os() {
            if ["PG", "BACKUP_", "AWS_"].iter().any(|ours| name.to_string_lossy().starts_with(ours)) {
                command.env_remove(name);
            }
        }
        command.env("HOME", self.folder()).env("LC_ALL", "C.UTF-8").env("BACKUP_TO", &self.to);
        command.env("BACKUP_STATE", self.folder().join("state"));
        if let Some(server) = server {
            let path = std::env::var_os("PATH").unwrap_or_default();
            let mut folders = vec![server.bin_dir().to_owned()];
            folders.extend(std::env::split_paths(&path));
            command.env("PATH", std::env::join_paths(folders).expect("folders without colons")).envs(server.env());
            command.env_remove("PGDATABASE");
        }
        command.args(arguments).stdin(Stdio::null());
        command
    }

    /// Runs it to its end.
    pub(crate) fn run<A: AsRef<OsStr>>(&self, server: Option<&Server>, arguments: &[A]) -> Ran {
        Ran::of(&mut self.command(server, arguments))
    }

    /// Runs it against `server`.
    pub(crate) fn on(&self, server: &Server, arguments: &[&str]) -> Ran {
        self.run(Some(server), arguments)
    }

    /// Runs a command that needs no server.
    pub(crate) fn offline(&self, arguments: &[&str]) -> Ran {
        self.run(None, arguments)
    }

    /// Takes a backup and returns its folder.
    pub(crate) fn backup(&self, server: &Server, arguments: &[&str]) -> PathBuf {
        let ran = self.on(server, &[&["backup"], arguments].concat()).ok();
        let id = ran.text().lines().last().expect("the ID is the last line").to_owned();
        self.job().join(id)
    }

    /// Starts it and lets it run; its words are piped.
    pub(crate) fn start(&self, server: &Server, arguments: &[&str]) -> Child {
        let mut command = self.command(Some(server), arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")
    }

    /// IDs of what is listed as backups.
    pub(crate) fn listed(&self) -> Vec<String> {
        let ran = self.offline(&["list"]);
        assert!([0, 3].contains(&ran.code), "{ran:?}");
        let text = ran.text();
        let backups = text.lines().filter(|line| line.contains("  backup "));
        backups.map(|line| line.split(' ').next().unwrap_or_default().to_owned()).collect()
    }
}

impl Ran {
    /// Runs `command` to its end.
    pub(crate) fn of(command: &mut Command) -> Self {
        let what = format!("{:?}", command.get_args().collect::<Vec<_>>());
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program runs");
        let pid = Pid::from_child(&child);
        let (ended, has_ended) = mpsc::channel::<()>();
        let watch = thread::spawn(move || {
            if has_ended.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                let _ = kill_process(pid, Signal::KILL);
            }
        });
        let output = child.wait_with_output().expect("it ends");
        drop(ended);
        watch.join().expect("no panic");
        Self::ended(&output, what)
    }

    /// How `output` ended.
    pub(crate) fn ended(output: &Output, what: String) -> Self {
        // As a shell says it: 128 and the signal.
        let signal = std::os::unix::process::ExitStatusExt::signal(&output.status).map(|signal| 128 + signal);
        let code = output.status.code().or(signal).expect("it ended");
        Self { code, out: output.stdout.clone(), err: String::from_utf8_lossy(&output.stderr).into_owned(), what }
    }

    /// Standard output as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }

    /// It succeeded.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert!(self.code == 0, "{} ended with {}\n{}{}", self.what, self.code, self.err, head(&self.text()));
        self
    }

    /// It ended with `code`, one error line that has all of `words`, and a hint or none.
    #[track_caller]
    pub(crate) fn fails(self, code: i32, words: &[&str]) -> Self {
        let shown = format!("{} ended with {}\n{}{}", self.what, self.code, self.err, head(&self.text()));
        assert!(self.code == code, "not {code}: {shown}");
        let errors: Vec<&str> = self.err.lines().filter(|line| line.starts_with("error: ")).collect();
        assert!(errors.len() == 1, "not one clear line: {shown}");
        for word in words {
            assert!(self.err.contains(word), "nothing of {word:?}: {shown}");
        }
        assert!(!self.err.contains("panicked"), "{shown}");
        self
    }

    /// As [`Ran::fails`], and it says what to do.
    #[track_caller]
    pub(crate) fn fails_with_hint(self, code: i32, words: &[&str]) -> Self {
        let ran = self.fails(code, words);
        assert!(ran.err.lines().any(|line| line.starts_with("hint: ")), "no hint: {}", ran.err);
        ran
    }
}

/// A service that runs, gone with the test however that ends.
pub(crate) struct Service(Option<Child>);

impl Service {
    /// Starts it; its words are piped.
    pub(crate) fn start(command: &mut Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts").into()
    }

    /// Ends it as an orchestrator does: its exit code and all that it said.
    pub(crate) fn stop(mut self) -> (Option<i32>, String) {
        kill_process(Pid::from_child(&self), Signal::TERM).expect("it runs");
        let begun = Instant::now();
        while self.try_wait().expect("a child").is_none() {
            assert!(begun.elapsed() < Duration::from_secs(10), "it does not end");
            thread::sleep(Duration::from_millis(10));
        }
        let output = self.output();
        let log = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.code(), log)
    }

    /// Kills it unless what is returned is dropped in time: whoever waits for its words then sees their end.
    pub(crate) fn watched(&self) -> mpsc::Sender<()> {
        let (watched, end) = mpsc::channel();
        let pid = Pid::from_child(self);
        thread::spawn(move || {
            if end.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                let _ = kill_process(pid, Signal::KILL);
            }
        });
        watched
    }

    /// What it said and how it ended, once it has.
    pub(crate) fn output(mut self) -> Output {
        self.0.take().expect("it runs").wait_with_output().expect("it ends")
    }
}

impl From<Child> for Service {
    fn from(child: Child) -> Self {
        Self(Some(child))
    }
}

impl Deref for Service {
    type Target = Child;

    fn deref(&self) -> &Child {
        self.0.as_ref().expect("it runs")
    }
}

impl DerefMut for Service {
    fn deref_mut(&mut self) -> &mut Child {
        self.0.as_mut().expect("it runs")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn head(text: &str) -> String {
    text.chars().take(2000).collect()
}

/// Looks until `there`: what another process does cannot be waited for otherwise.
#[track_caller]
pub(crate) fn until(what: &str, mut there: impl FnMut() -> bool) {
    let patience = Duration::from_secs(120);
    let begun = Instant::now();
    while !there() {
        assert!(begun.elapsed() < patience, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
