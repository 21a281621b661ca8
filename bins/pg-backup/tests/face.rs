//! The command line itself: what needs no server.

use std::process::Command;

use assert_cmd::assert::OutputAssertExt as _;

fn pg_backup(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pg-backup"));
    command.args(arguments).env_clear().env("PATH", "/usr/bin:/bin");
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
