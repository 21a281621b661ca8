//! A connection that another machine makes for us: `ssh -W`.

use std::ffi::OsString;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use backup_core::process::{self, Running};
use backup_core::{Error, Result};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::process::ChildStdin;

use super::{Ssh, failure};
use crate::Port;
use crate::wrapped::Lost;

/// A TCP connection from another machine. `ssh` ends with status 0 only where the other side has closed it.
pub(super) struct Forward {
    running: Running,
    /// None once nothing more is written.
    to: Option<ChildStdin>,
    name: String,
    port: Port,
}

impl Forward {
    /// Returns before it is known whether anybody listens there.
    ///
    /// Fails where the port has what cannot be meant.
    pub(super) fn open(ssh: &Ssh, port: &Port) -> Result<Self> {
        if port.machine.is_empty() || port.machine.contains(|c: char| c.is_control() || c.is_whitespace() || "[]/".contains(c))
        {
            return Err(Error::usage(format!("{:?} is no machine to connect to", port.machine)));
        }
        // Of two words about it the first counts: at the usual level ssh says why it cannot connect.
        let mut arguments: Vec<OsString> = ["-o", "LogLevel=INFO"].map(OsString::from).to_vec();
        arguments.extend(ssh.config.arguments()?);
        arguments.extend([OsString::from("-W"), format!("[{}]:{}", port.machine, port.number).into()]);
        let (running, to) = process::open(ssh.program(arguments, None))?;
        Ok(Self { running, to: Some(to), name: ssh.name.clone(), port: port.clone() })
    }

    /// Why `ssh` did not end well; none if it did.
    fn failure(&self) -> Option<Error> {
        let status = self.running.status().filter(|status| !status.success())?;
        let words = String::from_utf8_lossy(self.running.last_words()).trim().to_owned();
        Some(failure::of_forward(&self.name, &self.port, Lost { program: None, status, words }))
    }
}

impl AsyncRead for Forward {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.running).poll_read(cx, buf))?;
        match self.failure().filter(|_| buf.filled().len() == before) {
            Some(error) => Poll::Ready(Err(error.into())),
            None => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for Forward {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Some(to) = &mut self.to else { return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())) };
        match ready!(Pin::new(to).poll_write(cx, bytes)) {
            // `ssh` has ended. Why, whoever reads is told.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Poll::Ready(Ok(bytes.len())),
            written => Poll::Ready(written),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.to.as_mut().map_or(Poll::Ready(Ok(())), |to| Pin::new(to).poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(cx))?;
        self.to = None;
        Poll::Ready(Ok(()))
    }
}
