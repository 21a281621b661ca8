//! Names of hosts that only one program knows.

use std::path::Path;
use std::process::Command;

use crate::installed::{home, skipped};

/// `command` as a process for which `/etc/hosts` says what is in the file `hosts`: it has a namespace of its own.
///
/// `None`, and a line that says so, where the kernel lets nobody have one.
pub fn with_hosts(hosts: &Path, command: &Command) -> Option<Command> {
    within(&["--map-root-user", "--mount"], r#"mount --bind "$1" /etc/hosts && shift"#, &[hosts], command)
}

/// Without `ip`, which not every machine has: 0x8914 is SIOCSIFFLAGS, 1 is IFF_UP.
const ALONE: &str = r#"mount --bind "$1" /etc/hosts && mount --bind "$2" /etc/resolv.conf && shift 2 &&
    perl -e 'my $s; my $lo = pack("a16sx22", "lo", 1); socket($s, 2, 2, 0) && ioctl($s, 0x8914, $lo) or die "lo: $!\n"'"#;

/// As [`with_hosts`], with the name servers of the file `resolv`, and with a network that is this process alone: it may listen on
/// every port of 127.0.0.1.
pub fn alone(hosts: &Path, resolv: &Path, command: &Command) -> Option<Command> {
    let mut alone = within(&["--map-root-user", "--mount", "--net"], ALONE, &[hosts, resolv], command)?;
    // Who is root in there finds the servers of who is none out here.
    alone.env("BACKUP_TESTS_DIR", home());
    Some(alone)
}

/// `command` in a namespace, after `setup`, which is given `files` and drops them from its arguments.
fn within(namespace: &[&str], setup: &str, files: &[&Path], command: &Command) -> Option<Command> {
    let sh = |script: &str| {
        let mut sh = Command::new("unshare");
        sh.args(namespace).args(["sh", "-c", script, "sh"]).args(files);
        sh
    };
    if !sh(setup).output().is_ok_and(|output| output.status.success()) {
        skipped("hosts cannot be named in a namespace", true);
        return None;
    }
    let mut with = sh(&format!("{setup} && exec \"$@\""));
    with.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => with.env(name, value),
            None => with.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        with.current_dir(folder);
    }
    Some(with)
}
