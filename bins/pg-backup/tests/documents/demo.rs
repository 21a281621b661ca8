//! `./demo` ends well, leaves what it is asked to leave, and nothing when it is interrupted.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use backup_tests::{Major, hearing};
use tempfile::TempDir;

use crate::file;

/// The demo, with a temporary folder of its own that the server's user can enter.
fn demo(arguments: &[&str]) -> Option<(Command, TempDir)> {
    let bin = Major::V17.bin_dir()?;
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o711)).expect("its mode");
    let mut demo = hearing(file("demo"));
    demo.args(arguments).arg("--pg-bin").arg(bin).args(["--program", env!("CARGO_BIN_EXE_pg-backup")]);
    demo.env("TMPDIR", folder.path()).stdin(Stdio::null());
    Some((demo, folder))
}

fn left(folder: &TempDir) -> usize {
    folder.path().read_dir().expect("its folder").count()
}

#[test]
fn the_demo_brings_everything_back_and_keeps_it_until_it_is_ended() {
    let Some((mut demo, folder)) = demo(&["--keep"]) else { return };
    let output = demo.output().expect("the demo runs");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{out}\n{err}", output.status);
    for said in ["diff: 0 lines", "Everything came back", "verified, proven"] {
        assert!(out.contains(said), "{said:?} is not in\n{out}");
    }
    let commands = |after: &str, until: &str| -> String {
        let rest = out.split_once(after).unwrap_or_else(|| panic!("{after:?} is not in\n{out}")).1;
        rest.split_once(until).map_or(rest, |(commands, _)| commands).to_owned()
    };
    let play = commands("To play:\n", "To end it:").replace("psql shop", "psql -XAtc 'SELECT count(*) FROM app.orders' shop");
    let played = Command::new("sh").args(["-e", "-c", &play]).output().expect("sh runs");
    let shown = String::from_utf8_lossy(&played.stdout).into_owned();
    assert!(played.status.success() && shown.starts_with("110000\n") && shown.contains("proven"), "{shown}{played:?}");
    let end = commands("To end it:\n", "\u{0}");
    assert!(Command::new("sh").args(["-e", "-c", &end]).status().expect("sh runs").success());
    assert_eq!(left(&folder), 0);
}

#[test]
fn a_demo_that_is_interrupted_leaves_nothing() {
    let Some((mut demo, folder)) = demo(&[]) else { return };
    let mut child = demo.stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0).spawn().expect("the demo runs");
    let mut lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
    let begun = lines.any(|line| line.expect("text").ends_with("== Back it up"));
    assert!(begun, "it ended before it backed up");
    let group = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process_group(group, rustix::process::Signal::INT).expect("it runs");
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    assert_eq!(child.wait().expect("it ends").code(), Some(130), "{rest:?}");
    assert_eq!(left(&folder), 0);
}

#[test]
fn a_demo_with_an_option_that_it_does_not_have_says_how_it_is_used() {
    let output = Command::new(file("demo")).arg("--nonsense").output().expect("the demo runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--keep"));
}
