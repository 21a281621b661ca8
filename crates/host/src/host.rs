//! Where commands run.

use std::fmt::Debug;

use async_trait::async_trait;
use backup_core::{Body, Result};

use crate::Command;

/// Where commands run and files lie: this machine, a machine over SSH, a container.
///
/// Commands run with the rights and the environment of whoever the host lets in, in that one's home, with `sh`'s idea of a status.
/// Must be called within a Tokio runtime. What every host holds is [`host_contract`](crate::testing::host_contract).
#[async_trait]
pub trait Host: Debug + Send + Sync {
    /// Who it is, for messages: `this machine`, `core@director:22`.
    fn name(&self) -> &str;

    /// Starts `command` with `stdin` as its input (none: it is empty). The body is its standard output.
    ///
    /// Returns once it has started there. The end of file comes only after exit status 0 and after all of `stdin` was taken;
    /// any other end is an error with the status and the last 8 KiB of standard error. A `stdin` that breaks ends the command
    /// before it could take that for the end of its input. Dropping the body ends the command and all its group; so does
    /// whatever cuts us off from the host, there within seconds once the host knows of it. A command that prints may see its
    /// output closed first. A command that leaves children behind must detach them from its outputs and its group.
    async fn run(&self, command: &Command, stdin: Option<Body>) -> Result<Body>;

    /// Runs `command` to its end, whatever its exit status: that is part of the answer.
    ///
    /// More than 1 MiB of output is an error, and so is a host that cannot be reached. Dropping the future ends the command.
    async fn answer(&self, command: &Command) -> Result<Answer>;
}

/// How a command ended and what it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its exit status; 128 and the signal's number if a signal ended it, as `sh` has it. 126 and 127: it could not be started.
    pub status: i32,
    /// Its standard output, at most 1 MiB.
    pub stdout: Vec<u8>,
    /// Its standard error, the last 8 KiB. Bytes that are no UTF-8 are replaced.
    pub stderr: String,
}
