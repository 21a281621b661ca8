//! What the failures of `ssh` itself mean: what failed, then what to do.

use backup_core::{Error, Kind};

use crate::Port;
use crate::wrapped::Lost;

/// Words of OpenSSH, what they say, and what to do about it. The first that is found counts.
const FAILURES: &[(&str, &str, &str)] = &[
    (
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
        "its host key is another than the one that is known",
        "ask its operators whether the key was changed; only then replace the old one in the file of known hosts (ssh-keygen -R)",
    ),
    (
        "Host key verification failed",
        "its host key is not known",
        "compare the key with what its operators say and add it to the file of known hosts (ssh-keyscan), or ask for new keys to be \
         accepted",
    ),
    (
        "Permission denied (",
        "it lets the user in with none of the keys",
        "look at the user's name, at the key, and at authorized_keys there; a key with a passphrase must be held by the agent",
    ),
    ("Too many authentication failures", "it was shown too many keys", "name the one file of the private key that it knows"),
    ("Could not resolve hostname", "its name is not known", "look at the name of the host"),
    ("Connection refused", "nobody listens there", "look at the port and whether sshd runs there"),
    ("Connection timed out", "it does not answer", "look at the name of the host, and whether a firewall is in between"),
    ("No route to host", "there is no way there", "look at the name of the host and the network"),
    ("Network is unreachable", "there is no way there", "look at the name of the host and the network"),
    ("kex_exchange_identification", "what listens there ends the connection", "look at the port, and at the log of sshd there"),
];

/// What `ssh` says of a connection that the host was to make, what that says, and what to do about it. The first that is found counts.
const REFUSALS: &[(&str, &str, &str)] = &[
    (
        "administratively prohibited",
        "its sshd lets the user make no connections",
        "let it: AllowTcpForwarding and PermitOpen of sshd_config, and authorized_keys there",
    ),
    ("Connection refused", "nobody listens there", "look at the port and whether its server runs"),
    ("Name or service not known", "its name is not known there", "look at the name of the machine"),
    ("open failed: ", "it does not answer", "look at the name of the machine, and whether a firewall is in between"),
];

/// What is told where `ssh -W` ended without the other side having closed.
pub(super) fn of_forward(name: &str, port: &Port, lost: Lost) -> Error {
    // Whoever says so was reached.
    if let Some(said) = lost.words.lines().find(|line| line.contains("open failed: "))
        && let Some((_, why, what)) = REFUSALS.iter().find(|(part, ..)| said.contains(part))
    {
        let error = Error::failed(format!("{name} cannot connect to {port}: {why}"));
        return error.with_source(said.trim().to_owned()).with_hint(*what);
    }
    if FAILURES.iter().any(|(said, ..)| lost.words.contains(said)) {
        return explained(name, lost);
    }
    let error = Error::failed(format!("the connection to {port} was cut on its way to {name} (ssh: {})", lost.status));
    let error = if lost.words.is_empty() { error } else { error.with_source(lost.words) };
    error.with_hint("look at the network and at the log of sshd there, then try again")
}

/// What is told where `ssh` ended and the command did not tell how.
pub(crate) fn explained(name: &str, lost: Lost) -> Error {
    let Lost { program, status, words } = lost;
    let last = |error: Error| if words.is_empty() { error } else { error.with_source(words.clone()) };
    if let Some(program) = program {
        let error = Error::failed(format!("the connection to {name} was cut before {program} there had ended (ssh: {status})"));
        return last(error.with_hint("look at the network and at the log of sshd there, then try again"));
    }
    if status.code() != Some(255) {
        // Connected, it was not our wrapper that ran.
        let error = Error::failed(format!("{name} does not run what it is told to (ssh: {status})"));
        return last(error.with_hint("look whether the user there has a POSIX shell and may run any command"));
    }
    match FAILURES.iter().find(|(said, ..)| words.contains(said)) {
        Some((_, why, what)) => Error::new(Kind::Failed, format!("{name} cannot be reached: {why}")).with_hint(*what),
        None => last(Error::failed(format!("{name} cannot be reached"))),
    }
}
