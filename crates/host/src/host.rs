//! Where commands run.

use std::fmt::{self, Debug};
use std::pin::Pin;

use async_trait::async_trait;
use backup_core::{Body, Result};
use tokio::io::{AsyncRead, AsyncWrite};

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

    /// Connects to a TCP port as the host sees it: `127.0.0.1` is the host itself.
    ///
    /// Nobody who listens there, a host that cannot be reached, and a connection to it that is cut are errors, of this call or of
    /// the next read: the end of file says that the other side has closed. Shutting down the writing half is handed on. Dropping
    /// it closes the connection.
    async fn connect(&self, to: &Port) -> Result<Connection>;
}

/// A connection that was made on a host: both directions at once.
pub type Connection = Pin<Box<dyn ReadWrite>>;

/// What can be read and written.
pub trait ReadWrite: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> ReadWrite for T {}

/// A TCP port of a machine, as a host sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// A name that the host can resolve, or an address.
    pub machine: String,
    /// Its number.
    pub number: u16,
}

impl Port {
    /// The port `number` of the host itself, over IPv4.
    pub fn of_host(number: u16) -> Self {
        Self { machine: "127.0.0.1".into(), number }
    }
}

/// `127.0.0.1:5432`, `[::1]:5432`.
impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.machine.contains(':') {
            true => write!(f, "[{}]:{}", self.machine, self.number),
            false => write!(f, "{}:{}", self.machine, self.number),
        }
    }
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
