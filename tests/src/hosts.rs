//! Names of hosts that only one program knows.

use std::path::Path;
use std::process::Command;

use crate::installed::skipped;

/// `command` as a process for which `/etc/hosts` says what is in the file `hosts`: it has a namespace of its own.
///
/// `None`, and a line that says so, where the kernel lets nobody have one.
pub fn with_hosts(hosts: &Path, command: &Command) -> Option<Command> {
    let namespace = ["--map-root-user", "--mount"];
    let probe = Command::new("unshare").args(namespace).args(["mount", "--bind"]).arg(hosts).arg("/etc/hosts").output();
    if !probe.is_ok_and(|output| output.status.success()) {
        skipped("hosts cannot be named in a namespace", true);
        return None;
    }
    let mut with = Command::new("unshare");
    with.args(namespace).args(["sh", "-c", r#"mount --bind "$0" /etc/hosts && exec "$@""#]).arg(hosts);
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
