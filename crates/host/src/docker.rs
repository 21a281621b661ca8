//! A container of Docker, on this machine or on another one, by the `docker` that is there.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use backup_core::{Body, Error, Result};

use crate::command::is_name;
use crate::wrapped::{self, Lost, Transport};
use crate::{Answer, Command, Connection, Host, Local, Port, Ssh, relay};

/// Which container, and who one is in it. Plain data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The program on the machine: a path, or a name to be looked up on the PATH there.
    pub program: PathBuf,
    /// The container's name or id. It must run.
    pub container: String,
    /// As whom its commands run, by `docker exec --user`, which Docker has since 1.7; none: as the container's own user.
    pub user: Option<String>,
}

impl Config {
    /// `container`, as its own user.
    pub fn new(container: impl Into<String>) -> Self {
        Self { program: "docker".into(), container: container.into(), user: None }
    }
}

/// A container that runs, by `docker exec`: commands run in its working folder, with its environment, without a terminal.
///
/// There must be `sh`, `dd`, `cat`, `grep` and `sleep` in it, and `/proc`; for [`connect`](Host::connect) `perl`. Whoever logs in to the
/// machine must be let to use Docker, which there is the same as being root. Docker says nothing to a command whose caller
/// is gone: it ends because its input does, or, where it has an input that it may not take, by a second command that waits for the
/// end of its own.
#[derive(Debug, Clone)]
pub struct Docker {
    name: String,
    machine: Arc<dyn Transport>,
    config: Config,
}

impl Docker {
    /// A container on this machine. Nothing is asked yet.
    ///
    /// Fails with [`Kind::Usage`](backup_core::Kind::Usage) where no container or user can be called so.
    pub fn here(config: Config) -> Result<Self> {
        Self::new(Arc::new(Local), config)
    }

    /// A container on another machine. No connection is made yet. Fails as [`here`](Self::here) does.
    pub fn on(machine: Ssh, config: Config) -> Result<Self> {
        Self::new(Arc::new(machine), config)
    }

    fn new(machine: Arc<dyn Transport>, config: Config) -> Result<Self> {
        if !is_name(&config.container) {
            return Err(Error::usage(format!("{:?} is no name of a container", config.container)));
        }
        if let Some(user) = config.user.as_ref().filter(|user| !is_name(user)) {
            return Err(Error::usage(format!("{user:?} is no user's name")));
        }
        Ok(Self { name: format!("container {} on {}", config.container, machine.name()), machine, config })
    }
}

#[async_trait]
impl Host for Docker {
    fn name(&self) -> &str {
        &self.name
    }

    async fn run(&self, command: &Command, stdin: Option<Body>) -> Result<Body> {
        wrapped::run(Arc::new(self.clone()), command, stdin).await
    }

    async fn answer(&self, command: &Command) -> Result<Answer> {
        wrapped::answer(Arc::new(self.clone()), command).await
    }

    async fn connect(&self, to: &Port) -> Result<Connection> {
        relay::connect(self, to).await
    }
}

impl Transport for Docker {
    fn name(&self) -> &str {
        Host::name(self)
    }

    fn carry(&self, words: Vec<OsString>) -> Result<tokio::process::Command> {
        let mut exec: Vec<OsString> = vec![self.config.program.clone().into(), "exec".into(), "--interactive".into()];
        exec.extend(self.config.user.as_ref().map(|user| format!("--user={user}").into()));
        exec.push(self.config.container.clone().into());
        exec.extend(spoken(words));
        self.machine.carry(exec)
    }

    /// Killing `docker` only closes the input in the container, whoever the command runs as.
    fn is_only_closed(&self, _: &Command) -> bool {
        false
    }

    /// Docker reads on for nobody.
    fn closes_outputs(&self) -> bool {
        false
    }

    fn refused(&self, said: &str) -> Option<Error> {
        let (_, why, what) = FAILURES.iter().find(|(part, ..)| said.contains(part))?;
        Some(Error::failed(format!("{} cannot be used: {why}", self.name)).with_hint(*what))
    }

    fn lost(&self, lost: Lost) -> Error {
        let name = &self.name;
        match (self.refused(&lost.words), &lost.program) {
            (Some(refused), None) => refused,
            // ssh itself has failed.
            _ if lost.status.code() == Some(255) => self.machine.lost(lost),
            (_, Some(program)) => {
                let error = Error::failed(format!("{program} in {name} was cut off (docker: {})", lost.status));
                let error = if lost.words.is_empty() { error } else { error.with_source(lost.words) };
                error.with_hint("look whether the container and Docker still run there, then try again")
            }
            (None, None) => Error::failed(format!("{name} cannot be used (docker: {})", lost.status)).with_source(lost.words),
        }
    }
}

/// Takes each of its arguments for one of `printf %b`, and becomes that program.
const DECODE: &str = r#"for word; do shift; word=$(printf '%b.' "$word"); set -- "$@" "${word%.}"; done; exec "$@""#;

/// `words` as Docker can be told of them: it speaks UTF-8 and replaces what is none. Then a shell in the container puts the bytes back.
fn spoken(words: Vec<OsString>) -> Vec<OsString> {
    if words.iter().all(|word| word.to_str().is_some()) {
        return words;
    }
    let encoded = |word: OsString| {
        let mut text = String::new();
        for &byte in word.as_bytes() {
            match byte {
                b'\\' | 0x80.. => text.extend(format!("\\0{byte:03o}").chars()),
                _ => text.push(char::from(byte)),
            }
        }
        text.into()
    };
    ["sh", "-c", DECODE, "sh"].map(OsString::from).into_iter().chain(words.into_iter().map(encoded)).collect()
}

/// Words of Docker and of shells, what they say, and what to do about it. The first that is found counts.
const FAILURES: &[(&str, &str, &str)] = &[
    ("No such container", "there is none of that name", "look at the container's name: docker ps"),
    ("is not running", "it does not run", "start it: docker start"),
    ("is paused", "it is paused", "let it go on: docker unpause"),
    (
        "permission denied while trying to connect to the Docker daemon",
        "who logs in there may not use Docker",
        "let the user use Docker: the group docker",
    ),
    ("Got permission denied", "who logs in there may not use Docker", "let the user use Docker: the group docker"),
    ("Cannot connect to the Docker daemon", "Docker does not run there", "start Docker Engine there"),
    ("docker: not found", "there is no program docker there", "look whether Docker is installed and on the PATH there"),
    ("unable to find user", "nobody in it is called so", "look at the user's name in the container"),
    ("unknown flag: --user", "Docker there is older than 1.7", "name no user before the container's name"),
    ("flag provided but not defined: --user", "Docker there is older than 1.7", "name no user before the container's name"),
    ("executable file not found", "there is no sh in it", "use a container with a shell"),
];
