//! This machine as a host.

use std::path::Path;
use std::time::Duration;

use backup_host::testing::host_contract;
use backup_host::{Command, Host, Local};
use tokio::io::{AsyncBufReadExt, BufReader};

#[tokio::test]
async fn this_machine_is_a_host() {
    host_contract(&Local).await;
}

#[tokio::test]
async fn every_exit_status_arrives() {
    for status in 0..=255 {
        let answer = Local.answer(&Command::new("sh").args(["-c", "exit $1", "sh", &status.to_string()])).await;
        assert_eq!(answer.expect("it answers").status, status);
    }
}

/// Where the folder's name is found by the process that is killed.
const FOLDER: &str = "BACKUP_HOST_TEST_FOLDER";

#[tokio::test]
#[ignore = "another test starts it, to kill it"]
async fn somebody_who_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let command = Command::new("sh").args(["-c", r#"cd "$1"; echo here >&2; cat >/dev/null; : >whole"#, "sh"]).arg(folder);
    let quiet = backup_core::body::piped(|_| std::future::pending());
    let body = Local.run(&command, Some(quiet)).await.expect("it starts");
    println!("started");
    backup_core::body::drain(body).await.expect_err("never");
}

#[tokio::test]
async fn a_kill_of_who_asked_ends_the_command() {
    let folder = tempfile::tempdir().expect("a folder");
    let inhabitants = |folder: &Path| {
        let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
        processes.filter(|process| std::fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd == folder)).count()
    };
    let mut command = tokio::process::Command::new(std::env::current_exe().expect("this program"));
    command.args(["--ignored", "--exact", "--nocapture", "somebody_who_is_killed"]).env(FOLDER, folder.path());
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    while lines.next_line().await.expect("a line").expect("it goes on") != "started" {}
    let until = async |some: bool| {
        while (inhabitants(folder.path()) > 0) != some {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), until(true)).await.expect("the command runs");
    child.kill().await.expect("killed");
    tokio::time::timeout(Duration::from_secs(60), until(false)).await.expect("the command ends");
    assert!(!folder.path().join("whole").exists(), "it took the cut for the end of its input");
}
