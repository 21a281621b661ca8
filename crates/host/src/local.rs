//! This machine.

use std::ffi::OsString;
use std::sync::Arc;

use async_trait::async_trait;
use backup_core::{Body, Doing, Error, Result};
use tokio::net::TcpStream;

use crate::wrapped::{self, Lost, Transport};
use crate::{Answer, Command, Connection, Host, Port};

/// This machine: commands run with our rights, in our environment and working folder.
///
/// They end with us, however we end: a kill of ours ends them, too.
#[derive(Debug, Clone, Default)]
pub struct Local;

#[async_trait]
impl Host for Local {
    fn name(&self) -> &str {
        "this machine"
    }

    async fn run(&self, command: &Command, stdin: Option<Body>) -> Result<Body> {
        wrapped::run(Arc::new(self.clone()), command, stdin).await
    }

    async fn answer(&self, command: &Command) -> Result<Answer> {
        wrapped::answer(Arc::new(self.clone()), command).await
    }

    async fn connect(&self, to: &Port) -> Result<Connection> {
        let made = TcpStream::connect((to.machine.as_str(), to.number)).await.doing(|| format!("connect to {to}"));
        let made = made.map_err(|error| error.with_hint("look at the port and whether its server runs"))?;
        // What is asked is small, and waited for.
        made.set_nodelay(true).doing(|| format!("connect to {to}"))?;
        Ok(Box::pin(made))
    }
}

impl Transport for Local {
    fn name(&self) -> &str {
        Host::name(self)
    }

    fn carry(&self, words: Vec<OsString>) -> Result<tokio::process::Command> {
        let mut words = words.into_iter();
        let mut command = tokio::process::Command::new(words.next().unwrap_or_default());
        command.args(words);
        Ok(command)
    }

    fn is_only_closed(&self, command: &Command) -> bool {
        // Killed by us, the wrapper would leave behind what we may not kill, with an end of its input that is none.
        command.is_sudo()
    }

    fn lost(&self, lost: Lost) -> Error {
        let what = lost.program.unwrap_or_else(|| "sh".to_owned());
        let error = Error::failed(format!("{what} on this machine was cut off ({})", lost.status));
        if lost.words.is_empty() { error } else { error.with_source(lost.words) }
    }
}
