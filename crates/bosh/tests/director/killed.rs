//! A backup is killed at each of its steps, and nobody runs anything afterwards.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use backup_bosh::Progress;
use backup_core::{Body, Lifecycle, Result};
use backup_host::{Answer, Connection, Host, Port, Ssh};
use backup_tests::Director;
use rustix::process::{Signal, getpid, kill_process};

use crate::guard::{get_on, guarded, guarded_on, traces};
use crate::scene::{Login, running, stopped_before, up, wait_until_up};

/// Seconds.
const LEASE: u64 = 5;

/// A step of a backup: what is told to the director, and whether it is killed before that or behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Before(&'static str),
    After(&'static str),
    /// All are stopped, and the backup gets on.
    Paused,
}

/// All of them, in their order; the first four are of the way down.
const STEPS: [Step; 8] = [
    Step::Before("stop"),
    Step::After("stop"),
    Step::Before("down"),
    Step::Paused,
    Step::Before("start"),
    Step::After("start"),
    Step::After("up"),
    Step::Before("disarm"),
];

fn die() {
    let _ = kill_process(getpid(), Signal::KILL);
}

/// A host that its caller does not outlive at a step.
#[derive(Debug)]
struct Deadly {
    host: Ssh,
    step: Step,
}

#[async_trait]
impl Host for Deadly {
    fn name(&self) -> &str {
        self.host.name()
    }

    async fn run(&self, command: &backup_host::Command, stdin: Option<Body>) -> Result<Body> {
        self.host.run(command, stdin).await
    }

    async fn answer(&self, command: &backup_host::Command) -> Result<Answer> {
        let words = command.words()?;
        let is = |step: fn(&'static str) -> Step| words.iter().filter_map(|word| word.to_str()).any(|word| self.is(step, word));
        if is(Step::Before) {
            die();
        }
        let answer = self.host.answer(command).await;
        if is(Step::After) {
            die();
        }
        answer
    }

    async fn connect(&self, to: &Port) -> Result<Connection> {
        self.host.connect(to).await
    }
}

impl Deadly {
    fn is(&self, step: fn(&'static str) -> Step, word: &str) -> bool {
        matches!(self.step, Step::Before(at) | Step::After(at) if at == word && step(at) == self.step)
    }
}

/// A backup that does not get to its end.
async fn backup(login: &str, step: usize) {
    let host = Deadly { host: Login::of_line(login).host(), step: STEPS[step] };
    let progress = Progress::default();
    let guarded = guarded_on(Arc::new(host), LEASE, 600, &progress);
    let all = running(&guarded).await;
    if guarded.pause(&all).await.is_err() {
        // The machine has so much to do that the lease was lost.
        std::process::exit(1);
    }
    if STEPS[step] == Step::Paused {
        let _ = tokio::time::timeout(Duration::from_secs(1), get_on(&progress)).await;
        die();
    }
    let _ = guarded.resume(&all).await;
    std::process::exit(1);
}

/// Lets a backup of `director` be killed at a step, and waits until its guard has fired and what ran runs again. Whether it got there.
fn is_killed_at(director: &Director, step: usize) -> bool {
    let mut backup = Command::new(std::env::current_exe().expect("this program"));
    backup.args(["--exact", "killed::the_backup_that_is_killed", "--ignored", "--nocapture"]);
    backup.env(BACKUP, format!("{step}\n{}", Login::at(director).to_line())).stdout(Stdio::null());
    let ended = backup.status().expect("this program runs");
    let since = Instant::now();
    while director.sh("cd /home/vcap/.bosh-backup/bosh 2>/dev/null || exit 0; [ -d fired ] || echo waits") == "waits" {
        std::thread::sleep(Duration::from_millis(200));
    }
    wait_until_up(director, &["agent", "director", "postgres"]);
    assert!(since.elapsed() < Duration::from_secs(LEASE + 60), "{:?}: within the lease and a minute", STEPS[step]);
    ended.signal() == Some(Signal::KILL.as_raw())
}

/// Which step, and how it logs in.
const BACKUP: &str = "BACKUP_TESTS_KILLED";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "other tests start it"]
async fn the_backup_that_is_killed() {
    let Ok(what) = std::env::var(BACKUP) else { return };
    let (step, login) = what.split_once('\n').expect("two lines");
    backup(login, step.parse().expect("a number")).await;
}

async fn killed_at(steps: std::ops::Range<usize>) {
    let Some(director) = Director::start() else { return };
    stopped_before(&director, "nats");
    for step in steps {
        let mut tries = 0;
        while !is_killed_at(&director, step) {
            tries += 1;
            assert!(tries < 5, "{:?}: it never gets there", STEPS[step]);
            clear_up(&director).await;
        }
        assert_ne!(traces(&director), "", "{:?}: its guard has brought them back", STEPS[step]);
        clear_up(&director).await;
    }
}

/// The next run finds out, and leaves no trace.
async fn clear_up(director: &Director) {
    let next = guarded(director, LEASE, 600, &Progress::default());
    let all = running(&next).await;
    next.held(&all).await.expect_err("no guard is armed and alive");
    next.resume(&all).await.expect("all run");
    assert_eq!(traces(director), "");
    assert_eq!(up(director), ["agent", "director", "postgres"], "what was stopped before stays so");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_killed_while_it_stops_has_all_that_ran_running_again() {
    killed_at(0..4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_killed_while_it_starts_has_all_that_ran_running_again() {
    killed_at(4..8).await;
}
