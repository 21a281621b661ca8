//! Another machine, over the system's `ssh`.

mod config;
mod failure;
mod forward;

use std::ffi::OsString;
use std::sync::Arc;

use async_trait::async_trait;
use backup_core::{Body, Error, Result};

pub use self::config::Config;
use self::forward::Forward;
use crate::command::quoted;
use crate::wrapped::{self, Lost, Transport};
use crate::{Answer, Command, Connection, Host, Port};

/// Another machine, over the system's `ssh`: `~/.ssh/config`, the agent and `ssh`'s own choice of ciphers count.
///
/// Each command has a connection of its own. Host keys are checked, and nobody is asked for anything: what would need an answer is
/// an error. The login shell there must be a POSIX shell. A connection that is cut is an error here, and there it ends the command;
/// within seconds if the host sees the cut, and otherwise once its kernel gives the connection up. A command with all its arguments
/// may have 128 KiB.
#[derive(Debug, Clone)]
pub struct Ssh {
    name: String,
    config: Config,
}

impl Ssh {
    /// A host that is reached as `config` says; no connection is made yet.
    ///
    /// Fails where the configuration has what cannot be meant.
    pub fn new(config: Config) -> Result<Self> {
        config.arguments()?;
        Ok(Self { name: config.name(), config })
    }

    /// `ssh` with `arguments`, and the line that the login shell there is to run, if any.
    fn program(&self, arguments: Vec<OsString>, line: Option<OsString>) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(&self.config.program);
        command.args(arguments).arg("--").arg(&self.config.host).args(line);
        // Nor is anybody asked in a window.
        command.env("SSH_ASKPASS_REQUIRE", "never");
        command
    }
}

#[async_trait]
impl Host for Ssh {
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
        Ok(Box::pin(Forward::open(self, to)?))
    }
}

impl Transport for Ssh {
    fn name(&self) -> &str {
        Host::name(self)
    }

    /// `words` become one line, which the login shell there takes apart again.
    fn carry(&self, words: Vec<OsString>) -> Result<tokio::process::Command> {
        let mut line = OsString::from("exec");
        for word in words {
            line.push(" ");
            line.push(quoted(&word));
        }
        Ok(self.program(self.config.arguments()?, Some(line)))
    }

    fn is_only_closed(&self, _: &Command) -> bool {
        false
    }

    fn lost(&self, lost: Lost) -> Error {
        failure::explained(&self.name, lost)
    }
}
