//! The scripts of a guard on this machine: what they count, and who wins.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

const ARM: &str = include_str!("../../src/guard/arm.sh");
const ASK: &str = include_str!("../../src/guard/ask.sh");
const GUARD: &str = include_str!("../../src/guard/guard.sh");

fn sh(home: &Path, script: &str, arguments: &[&str], stdin: &str) -> Output {
    let path = format!("{}:/usr/bin:/bin", home.display());
    let mut sh = Command::new("sh");
    sh.args(["-c", script, "sh"]).args(arguments).env("HOME", home).env("PATH", path);
    let mut child = sh.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("sh runs");
    child.stdin.take().expect("stdin is piped").write_all(stdin.as_bytes()).expect("it reads");
    child.wait_with_output().expect("it ends")
}

fn arm(home: &Path, lease: &str) {
    let armed = sh(home, ARM, &["job", lease, "1000", GUARD], "echo ran >>\"$HOME/ran\"");
    assert!(armed.status.success(), "{armed:?}");
}

#[test]
fn of_a_guard_and_a_backup_just_one_wins() {
    let home = tempfile::tempdir().expect("a folder");
    let homes: Vec<_> = (0..24).map(|n| home.path().join(n.to_string())).collect();
    let run = |n: usize, home: &Path| {
        std::fs::create_dir(home).expect("a folder");
        arm(home, "1");
        // Around the moment at which the lease runs out.
        std::thread::sleep(Duration::from_millis(900 + 10 * n as u64));
        let disarmed = sh(home, ASK, &["job", "disarm"], "");
        let ran = home.join("ran").exists();
        match disarmed.status.code() {
            Some(0) => assert!(!ran, "disarmed, and it has fired: {disarmed:?}"),
            Some(3) => {
                assert!(ran, "fired, and it has done nothing: {disarmed:?}");
                assert_eq!(String::from_utf8_lossy(&disarmed.stdout), "lease\nexit status 0\n");
            }
            _ => unreachable!("{disarmed:?}"),
        }
        assert!(!home.join(".bosh-backup").exists(), "a trace is left");
    };
    std::thread::scope(|scope| {
        for (n, home) in homes.iter().enumerate() {
            scope.spawn(move || run(n, home));
        }
    });
}

#[test]
fn a_guard_counts_its_own_seconds_and_no_clock() {
    use std::os::unix::fs::PermissionsExt;
    let home = tempfile::tempdir().expect("a folder");
    // Its seconds are whatever `sleep` says they are.
    let sleep = home.path().join("sleep");
    std::fs::write(&sleep, "#!/bin/sh\nexec /usr/bin/sleep 0.01\n").expect("written");
    std::fs::set_permissions(&sleep, PermissionsExt::from_mode(0o755)).expect("a program");
    arm(home.path(), "100");
    while !home.path().join("ran").exists() {
        std::thread::sleep(Duration::from_millis(20));
    }
    let held = loop {
        let held = sh(home.path(), ASK, &["job", "held"], "");
        if String::from_utf8_lossy(&held.stdout).contains("exit status") {
            break held;
        }
    };
    assert_eq!(held.status.code(), Some(3));
    assert_eq!(sh(home.path(), ASK, &["job", "renew", "1"], "").status.code(), Some(3), "it is too late");
}

#[test]
fn a_second_guard_is_refused_and_one_that_never_began_is_replaced() {
    let home = tempfile::tempdir().expect("a folder");
    std::fs::create_dir_all(home.path().join(".bosh-backup/job")).expect("a folder");
    arm(home.path(), "60");
    let again = sh(home.path(), ARM, &["job", "60", "1000", GUARD], "echo");
    assert_eq!((again.status.code(), String::from_utf8_lossy(&again.stdout).trim()), (Some(1), "alive"));
    let pid = std::fs::read_to_string(home.path().join(".bosh-backup/job/pid")).expect("its number");
    let killed = Command::new("sh").args(["-c", "kill -KILL \"$0\"", pid.trim()]).status().expect("sh runs");
    assert!(killed.success());
    while Path::new(&format!("/proc/{}", pid.trim())).exists() {
        std::thread::sleep(Duration::from_millis(20));
    }
    let again = sh(home.path(), ARM, &["job", "60", "1000", GUARD], "echo");
    assert_eq!((again.status.code(), String::from_utf8_lossy(&again.stdout).trim()), (Some(1), "dead"));
    assert_eq!(sh(home.path(), ASK, &["job", "held"], "").status.code(), Some(4));
    assert!(sh(home.path(), ASK, &["job", "disarm"], "").status.success());
    assert!(!home.path().join(".bosh-backup").exists());
    assert_eq!(sh(home.path(), ASK, &["job", "disarm"], "").status.code(), Some(4));
}
