//! A program with a sink that hangs or fails where it is told to: what a signal does then, and what is told.

mod odd;

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use backup_core::testing::FakeSource;
use backup_core::{Context, Directory, Name, Options, Plain, backup};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Not a test: what the tests start, as a process of its own.
#[test]
fn the_program() {
    odd::main();
}

/// Backups of a job, oldest first, and the program that works with them.
struct Place {
    folder: TempDir,
    ids: Vec<String>,
}

impl Place {
    fn with_backups(count: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let repo = Plain::new(Arc::new(Directory::new(folder.path().join("sink"))), "test");
        let job: Name = "odd".parse().expect("a name");
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
        let take = || async {
            let sources = async { Ok([Box::new(FakeSource::with_parts(2))]) };
            backup(&Context::default(), &repo, &job, sources, Options::default()).await.expect("taken").id.to_string()
        };
        let ids = (0..count).map(|_| runtime.block_on(take())).collect();
        Self { folder, ids }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// The program with `arguments`; its sink does `how`, and says so in the file `reached`.
    fn start(&self, how: &str, arguments: &[&str]) -> Child {
        let mut command = Command::new(std::env::current_exe().expect("this test"));
        command.args(["--exact", "the_program", "--nocapture"]).env_clear();
        command.env("ODD_HOW", how).env("ODD_ARGUMENTS", arguments.join("\n")).env("ODD_FOLDER", self.folder.path());
        command.env("BACKUP_TO", format!("odd://{}", self.path("sink").display())).env("BACKUP_STATE", self.path("state"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
    }

    fn run(&self, how: &str, arguments: &[&str]) -> Output {
        self.start(how, arguments).wait_with_output().expect("it ends")
    }

    /// Starts it and lets it come to where it hangs.
    fn hanging(&self, how: &str, arguments: &[&str]) -> Child {
        let child = self.start(how, arguments);
        until(|| self.path("reached").exists());
        std::fs::remove_file(self.path("reached")).expect("removed");
        child
    }

    fn backups(&self) -> usize {
        let is_backup = |folder: &Path| folder.join("manifest.json").exists();
        self.path("sink/odd").read_dir().expect("the job").flatten().filter(|entry| is_backup(&entry.path())).count()
    }
}

#[track_caller]
fn until(mut there: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !there() {
        assert!(begun.elapsed() < Duration::from_secs(60), "waited in vain");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn send(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process of ours");
    // It may have ended by itself meanwhile.
    let _ = kill_process(pid, signal);
}

#[track_caller]
fn ends(mut child: Child) -> (Option<i32>, String) {
    until(|| child.try_wait().expect("it is ours").is_some());
    let output = child.wait_with_output().expect("it ends");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn one_signal_ends_whatever_hangs_on_its_storage() {
    let place = Place::with_backups(1);
    for arguments in [
        &["list"] as &[&str],
        &["show", "latest"],
        &["verify", "latest"],
        &["pin", "latest"],
        &["unpin", "latest"],
        &["prune", "--keep-last", "1"],
    ] {
        let child = place.hanging("hang in list", arguments);
        send(&child, Signal::TERM);
        let (code, err) = ends(child);
        assert_eq!(code, Some(130), "{arguments:?}: {err}");
    }
}

#[test]
fn nothing_is_pruned_while_it_is_read() {
    let place = Place::with_backups(2);
    let reader = place.hanging("hang in parts", &["verify", "latest"]);
    let busy = place.run("", &["prune", "--keep-last", "1"]);
    assert_eq!(busy.status.code(), Some(75), "{busy:?}");
    assert!(place.run("", &["prune", "--keep-last", "1", "--dry-run"]).status.success(), "nothing is deleted");
    assert_eq!(place.backups(), 2);
    assert!(place.run("", &["verify", "latest"]).status.success(), "readers share");
    send(&reader, Signal::INT);
    assert_eq!(ends(reader).0, Some(130));
    assert!(place.run("", &["prune", "--keep-last", "1"]).status.success());
    assert_eq!(place.backups(), 1);
    let pruner = place.hanging("hang in list", &["prune", "--keep-last", "1"]);
    assert_eq!(place.run("", &["verify", "latest"]).status.code(), Some(75));
    assert_eq!(place.run("", &["pin", "latest"]).status.code(), Some(75));
    send(&pruner, Signal::INT);
    assert_eq!(ends(pruner).0, Some(130));
}

#[test]
fn what_cannot_be_locked_is_read_all_the_same() {
    let place = Place::with_backups(1);
    std::fs::write(place.path("state"), "not a folder").expect("written");
    let ran = place.run("", &["verify", "latest"]);
    let err = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(ran.status.success() && err.contains("warning: nothing keeps a prune"), "{err}");
    assert_eq!(place.run("", &["prune", "--keep-last", "1"]).status.code(), Some(1), "but nothing is deleted");
}

#[test]
fn a_prune_that_fails_tells_what_is_gone() {
    let place = Place::with_backups(4);
    let ran = place.run("fail in delete 2", &["prune", "--keep-last", "1"]);
    assert_eq!(ran.status.code(), Some(1), "{ran:?}");
    let out = String::from_utf8_lossy(&ran.stdout).into_owned();
    // Newest first.
    let [first, second, third, last] = place.ids.as_slice() else { unreachable!("four") };
    for line in
        [format!("{last}  keep   "), format!("{first}  prune  "), format!("deleted {third}\n"), format!("deleted {second}\n")]
    {
        assert!(out.contains(&line), "{line:?} is not in\n{out}");
    }
    assert!(!out.contains(&format!("deleted {first}")), "{out}");
    assert_eq!(place.backups(), 2);
}

#[test]
fn a_second_signal_ends_what_the_first_does_not_cut_short() {
    let place = Place::with_backups(2);
    let mut child = place.hanging("hang in delete", &["prune", "--keep-last", "1"]);
    send(&child, Signal::TERM);
    assert!(child.try_wait().expect("it is ours").is_none(), "a deletion is not cut short");
    until(|| {
        send(&child, Signal::TERM);
        child.try_wait().expect("it is ours").is_some()
    });
    assert_eq!(ends(child).0, Some(130));
}

#[test]
fn no_signal_ends_what_has_something_stopped() {
    let place = Place::with_backups(0);
    let mut child = place.hanging("", &["bracket"]);
    let mut err = std::io::BufReader::new(child.stderr.take().expect("piped"));
    let told = std::thread::spawn(move || {
        let mut line = String::new();
        std::io::BufRead::read_line(&mut err, &mut line).expect("text");
        (line, err)
    });
    until(|| {
        send(&child, Signal::INT);
        told.is_finished()
    });
    let (line, _err) = told.join().expect("it reads");
    assert!(line.contains("brought back what it stopped"), "{line}");
    assert!(child.try_wait().expect("it is ours").is_none());
    std::fs::write(place.path("go on"), "").expect("written");
    assert_eq!(ends(child).0, Some(0));
}
