//! As root, by sudo: what its rule lets happen, and what it refuses.

use std::time::Duration;

use backup_core::body;
use backup_core::testing::body_contract;
use backup_host::{Command, Host, Ssh};
use backup_tests::Director;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::{login, sh};

/// How long something may take on a busy machine before it counts as never.
const LONG: Duration = Duration::from_secs(120);

/// From here on sudo lets the login user do what `rule` says, and no more.
fn rule(director: &Director, rule: &str) {
    director.sh(&format!("printf '%s\\n' 'Defaults secure_path=\"/usr/bin:/bin\"' '{rule}' >/etc/sudoers"));
}

#[tokio::test]
async fn a_command_runs_as_root_if_the_rule_names_it_and_any_other_is_refused_without_a_question() {
    let Some(director) = Director::start() else { return };
    let host = login(&director);
    rule(&director, "vcap ALL=(root) NOPASSWD: /usr/bin/id");
    let id = Command::new("id").arg("-u");
    assert_eq!(host.answer(&id).await.expect("it answers").stdout, b"1000\n");
    assert_eq!(host.answer(&id.sudo()).await.expect("it answers").stdout, b"0\n");

    let tar = Command::new("tar").arg("--version").sudo();
    let no_terminal = "Defaults requiretty' 'vcap ALL=(root) NOPASSWD: ALL";
    for (only, said) in [
        ("vcap ALL=(root) NOPASSWD: /usr/bin/id", "sudo: a password is required"),
        ("vcap ALL=(root) ALL", "sudo: a password is required"),
        ("root ALL=(ALL) ALL", "sudo: a password is required"),
        (no_terminal, "sudo: sorry, you must have a tty to run sudo"),
    ] {
        rule(&director, only);
        // Somebody who would wait for a password has an input that never ends.
        let quiet = body::piped(|_| std::future::pending());
        let ended = async { body_contract(host.run(&tar, Some(quiet)).await?).await };
        let error = tokio::time::timeout(LONG, ended).await.expect("nobody waits").expect_err("it is refused");
        assert_eq!(error.chain(), format!("tar on {} ended with exit status 1: {said}", host.name()));
        assert_eq!(error.hint(), Some("let the user there run tar by sudo without a password and without a terminal"));
        let answer = host.answer(&tar).await.expect("it answers");
        assert_eq!((answer.status, answer.stderr.as_str()), (1, said));
    }
}

/// How many processes work in the folder `place` there.
fn inhabitants(director: &Director, place: &str) -> usize {
    let script = r#"for one in /proc/[0-9]*; do [ "$(readlink "$one/cwd")" != "$PLACE" ] || echo; done | wc -l"#;
    director.sh(&format!("PLACE={place}; {script}")).parse().expect("a number")
}

/// Waits until `script` ends well there.
async fn until(director: &Director, script: &str) {
    let script = format!("if {script}; then echo yes; fi");
    let soon = async {
        while director.sh(&script) != "yes" {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(LONG, soon).await.expect(&script);
}

/// Starts `script` as root in the new folder `place`, and drops it once it runs.
async fn start_and_drop(host: &Ssh, place: &str, script: &str) {
    let script = format!("mkdir {place} && cd {place} && echo here && {script} && : >whole");
    let quiet = body::piped(|_| std::future::pending());
    let mut body = BufReader::new(host.run(&sh(&script).sudo(), Some(quiet)).await.expect("it starts"));
    let mut line = String::new();
    body.read_line(&mut line).await.expect("it runs");
    assert_eq!(line, "here\n");
}

#[tokio::test]
async fn what_runs_as_root_ends_where_sudo_may_kill_and_else_takes_no_cut_for_the_end_of_its_input() {
    let Some(director) = Director::start() else { return };
    let host = login(&director);
    // Ubuntu has the second.
    for (nth, own) in ["!use_pty", "use_pty"].into_iter().enumerate() {
        rule(&director, &format!("Defaults {own}' 'vcap ALL=(root) NOPASSWD: /bin/sh, /bin/kill"));
        let place = format!("/tmp/killed-{nth}");
        start_and_drop(&host, &place, "cat >/dev/null").await;
        until(&director, &format!("[ -d {place} ] && ! ls -l /proc/[0-9]*/cwd | grep -q '{place}$'")).await;
        director.sh(&format!("[ ! -e {place}/whole ]"));

        rule(&director, &format!("Defaults {own}' 'vcap ALL=(root) NOPASSWD: /bin/sh"));
        let place = format!("/tmp/left-{nth}");
        start_and_drop(&host, &place, "cat >/dev/null").await;
        // Nothing is left to the wrapper but to wait.
        until(&director, "pgrep -u vcap -f '^sleep 60$' >/dev/null").await;
        assert!(inhabitants(&director, &place) > 0, "{own}: it waits for more input");
        director.sh(&format!("[ ! -e {place}/whole ]"));
        director.sh("pkill -KILL -x cat; pkill -KILL -u vcap -x sleep");

        let place = format!("/tmp/prints-{nth}");
        start_and_drop(&host, &place, "yes").await;
        until(&director, &format!("! ls -l /proc/[0-9]*/cwd | grep -q '{place}$'")).await;
        director.sh(&format!("[ ! -e {place}/whole ]"));
    }
}

#[tokio::test]
async fn what_runs_as_another_user_ends_where_sudo_may_kill_as_that_one() {
    let Some(director) = Director::start() else { return };
    let host = login(&director);
    rule(&director, "vcap ALL=(nobody) NOPASSWD: /bin/sh, /bin/kill");
    let script = "mkdir /tmp/nobodys && cd /tmp/nobodys && id -un && cat >/dev/null && : >whole";
    let quiet = body::piped(|_| std::future::pending());
    let mut body = BufReader::new(host.run(&sh(script).run_as("nobody"), Some(quiet)).await.expect("it starts"));
    let mut line = String::new();
    body.read_line(&mut line).await.expect("it runs");
    assert_eq!(line, "nobody\n");
    drop(body);
    until(&director, "! ls -l /proc/[0-9]*/cwd | grep -q '/tmp/nobodys$'").await;
    // Nor is the script beside it left.
    until(&director, "! pgrep -u vcap -f backup-host >/dev/null").await;
    director.sh("[ ! -e /tmp/nobodys/whole ]");
}
