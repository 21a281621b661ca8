//! The connection is cut in the middle: an error here, and there the command ends.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use backup_core::Error;
use backup_core::body::{self, Body, CHUNK};
use backup_core::testing::body_contract;
use backup_host::ssh::Config;
use backup_host::{Command, Host};
use backup_tests::Sshd;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use crate::{config, sh, ssh};

/// How many processes work in `folder`. Those of a server in a namespace of its own may call it otherwise.
fn inhabitants(folder: &Path) -> usize {
    let identity = |path: &Path| fs::metadata(path).ok().map(|is| (is.dev(), is.ino()));
    let folder = identity(folder).expect("a folder");
    let processes = fs::read_dir("/proc").expect("/proc").flatten();
    processes.filter(|process| identity(&process.path().join("cwd")) == Some(folder)).count()
}

async fn has_nobody(folder: &Path) {
    let none = async {
        while inhabitants(folder) > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), none).await.expect("all of the group has ended");
}

/// Programs `ssh` that this process has started for that server and that still run.
fn clients(sshd: &Sshd) -> Vec<Pid> {
    let mut found = Vec::new();
    for task in fs::read_dir("/proc/self/task").expect("/proc").flatten() {
        let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        found.extend(children.split_whitespace().filter_map(|child| Pid::from_raw(child.parse().ok()?)));
    }
    let port = format!("\0-p\0{}\0", sshd.port());
    found.retain(|child| {
        let words = fs::read(format!("/proc/{}/cmdline", child.as_raw_nonzero())).unwrap_or_default();
        words.windows(port.len()).any(|word| word == port.as_bytes())
    });
    found
}

/// Commands of every kind run, and are cut by `cut`, all at once.
async fn cut_by(sshd: &Sshd, cut: impl Fn(&Sshd)) {
    let endless = || {
        body::piped(|mut writer| async move {
            loop {
                writer.write_all(&[0; CHUNK]).await?
            }
        })
    };
    let quiet = || body::piped(|_| std::future::pending());
    let host = ssh(config(sshd));
    let cases: [(&str, Option<Body>); 6] = [
        ("sleep 1000", None),
        ("trap '' TERM HUP PIPE INT; sleep 1000 & wait", None),
        ("yes", None),
        ("cat >/dev/null", Some(quiet())),
        ("cat >/dev/null", Some(endless())),
        ("sleep 1000", Some(endless())),
    ];
    let mut started = Vec::new();
    for (script, stdin) in cases {
        let folder = tempfile::tempdir().expect("a folder");
        let command = sh(r#"cd "$1"; echo here; eval "$2" && : >whole"#).arg(folder.path()).arg(script);
        let mut body = BufReader::new(host.run(&command, stdin).await.expect("it starts"));
        let mut line = String::new();
        body.read_line(&mut line).await.expect("it runs");
        assert_eq!(line, "here\n");
        assert!(inhabitants(folder.path()) > 0, "{script} runs");
        started.push((script, folder, tokio::spawn(read(body))));
    }
    // So that it waits for us, or we for it.
    tokio::time::sleep(Duration::from_millis(100)).await;
    cut(sshd);
    for (script, folder, reading) in started {
        let ended = tokio::time::timeout(Duration::from_secs(120), reading).await.expect("it ends").expect("no panic");
        let error = ended.expect_err("it was cut");
        assert!(error.chain().contains(" was cut before sh there had ended"), "{script}: {error:?}");
        assert!(error.hint().is_some(), "{error:?}");
        has_nobody(folder.path()).await;
        assert!(!folder.path().join("whole").exists(), "{script} took the cut for the end of its input");
    }
    let answer = host.answer(&Command::new("true")).await.expect("there is a connection again");
    assert_eq!(answer.status, 0);
}

/// Takes all that comes; what was printed before a cut may.
async fn read(mut body: BufReader<Body>) -> Result<(), Error> {
    while let more @ 1.. = body.fill_buf().await?.len() {
        body.consume(more);
    }
    Ok(())
}

#[tokio::test]
async fn the_server_end_is_killed() {
    let Some(sshd) = Sshd::start() else { return };
    cut_by(&sshd, Sshd::cut).await;
}

#[tokio::test]
async fn the_client_is_killed() {
    let Some(sshd) = Sshd::start() else { return };
    let kill = |sshd: &Sshd| {
        let clients = clients(sshd);
        assert!(!clients.is_empty(), "there are clients");
        for client in clients {
            kill_process(client, Signal::KILL).expect("it lives");
        }
    };
    cut_by(&sshd, kill).await;
}

#[tokio::test]
async fn a_host_that_does_not_answer_any_more_is_given_up() {
    let Some(sshd) = Sshd::start() else { return };
    let config = Config { alive_interval: Duration::from_secs(1), alive_count: 2, ..config(&sshd) };
    let body = ssh(config).run(&sh("sleep 1000"), None).await.expect("it starts");
    sshd.freeze();
    let error = body_contract(body).await.expect_err("nobody answers");
    assert!(error.chain().contains(" was cut before sh there had ended"), "{error:?}");
}
