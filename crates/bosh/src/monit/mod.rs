//! What monit says of its services.

mod parse;

use std::collections::BTreeSet;

use backup_core::{Error, Result};

/// What monit has answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Each service once, in monit's order.
    Services(Vec<Service>),
    /// There is no daemon that could tell: it is not running, or not yet. monit 5.2 says so with exit status 0.
    NoDaemon,
}

/// One service that monit looks after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// What it is.
    pub kind: ServiceKind,
    /// What it is called. Tables of monit 5.18 and later cut a long name and end it in `...`.
    pub name: String,
    /// How it is.
    pub state: State,
    /// What monit has been told to do with it and has not done yet: `stop`, `start`, `restart`.
    pub pending: Option<String>,
    /// The number of its process, where `monit status` tells one.
    pub pid: Option<u32>,
}

/// What monit can look after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ServiceKind {
    /// A process, known by the file of its ID.
    Process,
    /// The machine itself. On some stemcells it has to be started by hand.
    System,
    /// A file.
    File,
    /// A directory.
    Directory,
    /// A file system.
    Filesystem,
    /// A named pipe.
    Fifo,
    /// Another host.
    RemoteHost,
    /// A program that is run and whose exit status counts.
    Program,
    /// A network interface.
    Network,
}

/// How a service is, as far as monit knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It is there and well.
    Running,
    /// monit does not look after it: that is what becomes of a service that was stopped. One that was only unmonitored may run.
    NotMonitored,
    /// monit has begun to look after it and knows nothing yet.
    Initializing,
    /// Anything else, in monit's words: `Does not exist`, `Execution failed`, a text that was cut.
    Other(String),
}

impl Service {
    /// Whether monit is done with stopping it: not monitored, and nothing pending.
    pub fn is_stopped(&self) -> bool {
        self.state == State::NotMonitored && self.pending.is_none()
    }

    /// Whether it runs and is to stay so: nothing pending.
    pub fn is_running(&self) -> bool {
        self.state == State::Running && self.pending.is_none()
    }

    /// Whether monit looks after it as it is to be. What is no process is not started by monit: one that is not well is so by itself.
    pub fn is_up(&self) -> bool {
        let unwell = self.kind != ServiceKind::Process && matches!(self.state, State::Other(_));
        self.is_running() || (unwell && self.pending.is_none())
    }

    /// How it is, in monit's words: `not monitored - stop pending`.
    pub fn words(&self) -> String {
        let state = match &self.state {
            State::Running => "running",
            State::NotMonitored => "not monitored",
            State::Initializing => "initializing",
            State::Other(words) => words,
        };
        self.pending.as_ref().map_or_else(|| state.to_owned(), |action| format!("{state} - {action} pending"))
    }
}

impl Answer {
    /// Reads what `monit summary` or `monit status` printed, of any version from 5.2 to 5.33.
    ///
    /// Anything in another shape is an error, and so is text that breaks off in a line, or that has a service twice: nothing that
    /// cannot be understood counts as stopped.
    pub fn parse(text: &str) -> Result<Self> {
        let Some(services) = parse::parse(text)? else { return Ok(Self::NoDaemon) };
        let mut names = BTreeSet::new();
        match services.iter().find(|service| !names.insert(&service.name)) {
            Some(twice) => Err(Error::failed(format!("monit tells of two services that are called {:?}", twice.name))),
            None => Ok(Self::Services(services)),
        }
    }

    /// The service called `name`; none without a daemon.
    pub fn service(&self, name: &str) -> Option<&Service> {
        match self {
            Self::Services(services) => services.iter().find(|service| service.name == name),
            Self::NoDaemon => None,
        }
    }
}

/// Whether monit refused to start or stop a service, in these words of its, because there is none of that name.
pub fn is_unknown_service(said: &str) -> bool {
    said.lines().any(|line| line.contains("There is no service by that name") || line.starts_with("There is no service named "))
}

#[cfg(test)]
mod tests;
