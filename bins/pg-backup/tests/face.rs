//! The command line itself: what needs no server.

use std::process::{Child, Command};
use std::sync::Arc;

use assert_cmd::assert::OutputAssertExt as _;
use backup_core::testing::FakeSource;
use backup_core::{Context, Directory, Options, Plain, backup};

fn pg_backup(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pg-backup"));
    command.args(arguments).env_clear().env("PATH", "/usr/bin:/bin").env("BACKUP_STATE", env!("CARGO_TARGET_TMPDIR"));
    command
}

fn stdout(arguments: &[&str]) -> String {
    let output = pg_backup(arguments).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn the_manual_page_has_every_command_and_every_exit_code() {
    let page = stdout(&["man"]);
    for command in
        ["backup", "restore", "prove", "dump", "extract", "resume", "list", "show", "verify", "prune", "pin", "unpin"]
    {
        assert!(page.contains(command), "{command} is missing");
    }
    for code in ["75 ", "130 ", "still paused"] {
        assert!(page.contains(code), "{code} is missing");
    }
}

#[test]
fn each_shell_is_completed() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(stdout(&["completions", shell]).contains("verify"), "{shell}");
    }
}

#[test]
fn what_cannot_be_meant_is_usage() {
    let folder = tempfile::tempdir().expect("a folder");
    let to = folder.path().to_str().expect("a path");
    for arguments in [
        &["--to", to, "frobnicate"] as &[&str],
        &["--to", to, "verify"],
        &["--to", "s3://bucket/x", "list"],
        &["list"],
        &["--to", to, "--job", "../x", "list"],
        &["--to", to, "restore", "latest", "--as", "x"],
    ] {
        pg_backup(arguments).assert().code(2);
    }
}

#[test]
fn what_is_not_there_is_not_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let to = folder.path().to_str().expect("a path");
    for arguments in
        [&["--to", to, "list"] as &[&str], &["--to", to, "show", "latest"], &["--to", to, "verify", "20261120T101500Z"]]
    {
        let assert = pg_backup(arguments).assert().code(3);
        let stderr = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
        assert_eq!(stderr.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{stderr}");
    }
}

#[test]
fn an_error_is_a_json_line_if_asked() {
    let output = pg_backup(&["--to", "/nonexistent/folder", "--json", "list"]).output().expect("it runs");
    let line: serde_json::Value = serde_json::from_slice(&output.stderr).expect("one JSON line");
    assert_eq!((line["event"].as_str(), line["exit"].as_u64()), (Some("error"), Some(3)));
}

#[test]
fn nothing_is_paused_where_nothing_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().to_str().expect("a path");
    assert_eq!(stdout(&["--to", state, "--state", state, "resume"]), "nothing is paused\n");
}

/// A folder with an empty backup in it, and one more for each further `--job`.
fn backups(jobs: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let repo = Plain::new(Arc::new(Directory::new(folder.path())), "test");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    for job in jobs {
        let sources = async { Ok([Box::new(FakeSource::with_parts(1))]) };
        let job = job.parse().expect("a name");
        runtime.block_on(backup(&Context::default(), &repo, &job, sources, Options::default())).expect("taken");
    }
    folder
}

#[test]
fn a_variable_says_what_its_option_would_and_nothing_if_it_is_empty() {
    let folder = backups(&["pg", "pg", "other"]);
    let to = folder.path().to_str().expect("a path");
    let run = |arguments: &[&str], variables: &[(&str, &str)]| {
        let output = pg_backup(arguments).env("BACKUP_TO", to).envs(variables.iter().copied()).output().expect("it runs");
        (output.status.code(), String::from_utf8(output.stdout).expect("text"))
    };
    let lines = |variables: &[(&str, &str)]| run(&["list"], variables).1.lines().count();
    assert_eq!((lines(&[]), lines(&[("BACKUP_JOB", "other")]), lines(&[("BACKUP_JOB", "")])), (2, 1, 2));
    assert_eq!(run(&["list"], &[("BACKUP_TO", "")]).0, Some(2), "it is not said where");
    for (yes, json) in [("1", true), ("true", true), ("yes", true), ("0", false), ("off", false), ("", false)] {
        let (code, out) = run(&["list"], &[("BACKUP_JSON", yes)]);
        assert_eq!((code, out.starts_with('{')), (Some(0), json), "BACKUP_JSON={yes:?}: {out}");
    }
    assert_eq!(run(&["list"], &[("BACKUP_JSON", "maybe")]).0, Some(2));
    assert_eq!(run(&["prune"], &[("BACKUP_KEEP_LAST", "1"), ("BACKUP_DRY_RUN", "yes")]).0, Some(0));
    assert_eq!(lines(&[]), 2, "it was a dry run");
    assert_eq!(run(&["prune"], &[("BACKUP_KEEP_LAST", "1"), ("BACKUP_DRY_RUN", "")]).0, Some(0));
    assert_eq!(lines(&[]), 1);
}

#[test]
fn no_empty_text_is_taken_for_a_scratch_server() {
    let folder = backups(&["pg"]);
    let to = folder.path().to_str().expect("a path");
    // What is said to be in production is not asked, and nothing listens there.
    let production = ("PGHOST", "/nonexistent/production");
    pg_backup(&["--to", to, "prove", "latest", "--scratch", ""]).envs([production]).assert().code(2);
    let assert = pg_backup(&["--to", to, "prove", "latest"]).envs([production, ("BACKUP_SCRATCH", "")]).assert();
    let stderr = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    assert!(!stderr.contains("production"), "{stderr}");
}

#[test]
fn the_first_of_several_state_folders_is_the_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    let mut resume = pg_backup(&["--to", folder.path().to_str().expect("a path"), "resume"]);
    resume.env_remove("BACKUP_STATE").env("STATE_DIRECTORY", std::env::join_paths([&first, &second]).expect("paths"));
    resume.assert().code(0);
    assert!(first.is_dir() && !second.exists());
}

#[test]
fn what_a_manifest_says_does_not_move_the_cursor() {
    let folder = tempfile::tempdir().expect("a folder");
    let repo = Plain::new(Arc::new(Directory::new(folder.path())), "evil \u{1b}[2J program");
    let mut source = FakeSource::with_parts(1);
    source.origin.version = "17\u{1b}]0;title\u{7}\r".to_owned();
    source.origin.identity = "1\u{9b}2J".to_owned();
    let (cx, job) = (Context::default(), "pg".parse().expect("a name"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let sources = async { Ok([&source]) };
    runtime.block_on(backup(&cx, &repo, &job, sources, Options::default())).expect("taken");
    let shown = stdout(&["--to", folder.path().to_str().expect("a path"), "show", "latest"]);
    assert!(shown.contains("evil") && shown.contains("title"), "{shown}");
    let control = shown.chars().find(|c| c.is_control() && *c != '\n');
    assert_eq!(control, None, "{shown:?}");
}

#[test]
fn levels_of_compression_are_taken_and_nonsense_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let backup = ["--to", folder.path().to_str().expect("a path"), "backup", "--server", "host=127.0.0.1 port=1"];
    for (how, code) in [("zstd:19", 1), ("gzip:9", 1), ("gzip", 1), ("none", 1), ("zstd:23", 2), ("gzip:0", 2), ("lzma", 2)] {
        pg_backup(&[&backup[..], &["--compress", how]].concat()).assert().code(code);
    }
}

/// What `/proc` says of a process, as a mask of signals.
fn mask(child: &Child, which: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix(which)).map(str::trim);
    mask.and_then(|mask| u64::from_str_radix(mask, 16).ok()).unwrap_or_default()
}

#[test]
fn what_nohup_ignores_stays_ignored_and_a_second_signal_ends_what_hangs() {
    let folder = backups(&["pg"]);
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("it runs").success());
    let [hangup, interrupt, terminate] = [1_u64, 2, 15].map(|signal| 1 << (signal - 1));
    for (ignore, caught) in [("HUP", interrupt | terminate), ("INT", hangup | terminate)] {
        // Nobody writes into the pipe: the read of the key cannot be cut short.
        let script = format!("trap '' {ignore}; exec \"$@\"");
        // What the test run itself ignores does not count.
        let mut command = Command::new("env");
        command
            .args(["--default-signal=INT,TERM,HUP,QUIT", "sh", "-c", &script, "sh", env!("CARGO_BIN_EXE_pg-backup"), "--to"])
            .arg(folder.path());
        command.args(["verify", "latest", "--passphrase-file"]).arg(&pipe).env("BACKUP_STATE", env!("CARGO_TARGET_TMPDIR"));
        let mut child = command.spawn().expect("it starts");
        while mask(&child, "SigCgt:") & terminate == 0 {
            assert!(child.try_wait().expect("ours").is_none(), "it ended by itself");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        assert_eq!(mask(&child, "SigCgt:") & (hangup | interrupt | terminate), caught, "trap '' {ignore}");
        let begun = std::time::Instant::now();
        while child.try_wait().expect("ours").is_none() {
            if begun.elapsed().as_secs() > 60 {
                child.kill().expect("ours");
            }
            let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw).expect("a process");
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        assert_eq!(child.wait().expect("it ended").code(), Some(130));
    }
}

#[test]
fn why_it_is_pinned_is_shown() {
    let folder = backups(&["pg"]);
    let to = folder.path().to_str().expect("a path");
    assert!(!stdout(&["--to", to, "show", "latest"]).contains("pinned"));
    pg_backup(&["--to", to, "pin", "latest", "--why", "before the\nmove"]).assert().code(0);
    let shown = stdout(&["--to", to, "show", "latest"]);
    assert!(shown.contains("\npinned     before the move\n"), "{shown}");
    pg_backup(&["--to", to, "unpin", "latest"]).assert().code(0);
    pg_backup(&["--to", to, "pin", "latest"]).assert().code(0);
    let shown = stdout(&["--to", to, "show", "latest"]);
    assert!(shown.contains("\npinned     "), "{shown}");
}
