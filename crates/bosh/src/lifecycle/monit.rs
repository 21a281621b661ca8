//! monit on a host: asked how its services are, told to stop and start one.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use backup_core::{Error, Result};
use backup_host::{Command, Host};

use crate::monit::{Answer, Service, is_unknown_service};

/// How long one call of monit or sv may take. Both only pass on what they are told.
pub(super) const CALL: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Monit {
    pub(super) host: Arc<dyn Host>,
    pub(super) program: PathBuf,
}

impl Monit {
    /// Each service once, in monit's order; `None` while there is no daemon that could tell.
    pub(super) async fn services(&self) -> Result<Option<Vec<Service>>> {
        // Not `summary`: monit 5.18 and later cuts long names in it.
        let command = Command::new(&self.program).arg("status").sudo().limit(CALL);
        let answer = self.host.answer(&command).await?;
        let stdout = String::from_utf8_lossy(&answer.stdout);
        // Which of the two it says on that there is no daemon, and with which status, depends on its version.
        let said = if stdout.trim().is_empty() { answer.stderr.as_str() } else { &stdout };
        match Answer::parse(said) {
            Ok(Answer::NoDaemon) => Ok(None),
            Ok(Answer::Services(services)) if answer.status == 0 => Ok(Some(services)),
            Err(error) if answer.status == 0 => Err(error),
            _ => Err(refused(&format!("{} status", self.program.display()), answer.status, &answer.stderr)),
        }
    }

    /// Tells monit to `stop` or `start` the service; it does so later. Only where there is a daemon: without one monit would do it by
    /// itself, and wait.
    pub(super) async fn tell(&self, action: &str, name: &str) -> Result<()> {
        let command = Command::new(&self.program).args([action, name]).sudo().limit(CALL);
        let answer = self.host.answer(&command).await?;
        let said = format!("{}{}", String::from_utf8_lossy(&answer.stdout), answer.stderr);
        if is_unknown_service(&said) {
            return Err(unknown(name));
        }
        // What it is busy with, or a daemon that has just gone, is seen in its status.
        match answer.status == 0 || said.contains("already in progress") || said.contains("the monit daemon") {
            true => Ok(()),
            false => Err(refused(&format!("{} {action} {name}", self.program.display()), answer.status, &said)),
        }
    }
}

pub(super) fn unknown(name: &str) -> Error {
    Error::failed(format!("monit knows no service {name:?}")).with_hint("see what `monit summary` names on the host")
}

/// What a program says that did not do as it was told.
pub(super) fn refused(what: &str, status: i32, said: &str) -> Error {
    let error = Error::failed(format!("{what} ended with exit status {status}"));
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    if said.contains("sudo: ") {
        let hint = "let the login user run monit and sv by sudo without a password";
        return error.with_source(said).with_hint(hint);
    }
    if said.is_empty() { error } else { error.with_source(said) }
}
