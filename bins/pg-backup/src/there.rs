//! A dump by PostgreSQL's own program, run where the way to the server ends.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use backup_core::{Body, Error, Result, body};
use backup_host::{Command, Host};
use backup_pg::config::Params;
use tokio::io::{AsyncRead, ReadBuf};

/// How much of the end of a dump is looked at, in bytes: its last line, and what newer programs write behind it.
const LAST: usize = 1024;

/// What is dumped. Plain data.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    /// One database, by `pg_dump`; none: all, by `pg_dumpall`.
    pub(crate) database: Option<String>,
    /// Options of the program.
    pub(crate) options: Vec<&'static str>,
    /// As whom it runs, by `sudo`; none: as who logs in there.
    pub(crate) run_as: Option<String>,
}

impl Wanted {
    /// Starts the program on `host`. The body ends only where the program did, with status 0, and the dump says that it is whole.
    ///
    /// `params` are the server's address there and the role, no more; what is left out is as the program has it.
    pub(crate) async fn read(&self, host: &dyn Host, params: &Params) -> Result<Body> {
        let from = host.run(&self.command(params)?, None).await?;
        let last = match self.database {
            Some(_) => "\n-- PostgreSQL database dump complete\n",
            None => "\n-- PostgreSQL database cluster dump complete\n",
        };
        let program = format!("{} on {}", self.program(), host.name());
        Ok(body::sound(Whole { from, last, program, seen: Vec::new() }))
    }

    fn program(&self) -> &'static str {
        if self.database.is_some() { "pg_dump" } else { "pg_dumpall" }
    }

    fn command(&self, params: &Params) -> Result<Command> {
        let mut command = Command::new(self.program()).arg("--no-password").args(&self.options);
        for (key, option) in [("host", "host"), ("port", "port"), ("user", "username")] {
            if let Some(value) = params.get(key) {
                command = command.arg(format!("--{option}={value}"));
            }
        }
        if let Some(name) = &self.database {
            // libpq would take it for more than a name.
            if name.is_empty() || name.contains('=') || name.starts_with("postgres://") || name.starts_with("postgresql://") {
                return Err(Error::usage(format!("pg_dump cannot be told of a database called {name:?}")));
            }
            command = command.arg("--").arg(name);
        }
        Ok(match &self.run_as {
            Some(user) => command.run_as(user),
            None => command,
        })
    }
}

/// A dump whose end of file comes only behind its own last line.
struct Whole {
    from: Body,
    last: &'static str,
    program: String,
    seen: Vec<u8>,
}

impl AsyncRead for Whole {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        ready!(this.from.as_mut().poll_read(cx, buf))?;
        let more = buf.filled().get(before..).unwrap_or_default();
        if more.is_empty() && buf.remaining() > 0 {
            if this.seen.windows(this.last.len()).any(|window| window == this.last.as_bytes()) {
                return Poll::Ready(Ok(()));
            }
            let error = Error::failed(format!("{} ended well, but its dump does not end with its last line", this.program));
            return Poll::Ready(Err(error.with_hint("look at what is called so there").into()));
        }
        this.seen.extend(more.get(more.len().saturating_sub(LAST)..).unwrap_or_default());
        this.seen.drain(..this.seen.len().saturating_sub(LAST));
        Poll::Ready(Ok(()))
    }
}
