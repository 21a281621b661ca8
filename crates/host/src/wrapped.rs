//! A command under the wrapper: how it is started, and how it is known how it ended.

use std::collections::hash_map::RandomState;
use std::ffi::OsString;
use std::fmt;
use std::future::poll_fn;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::pin::Pin;
use std::process::ExitStatus;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use backup_core::process::{self, Running};
use backup_core::{Body, Error, Result, body};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio::time::Sleep;

use crate::frames::framed;
use crate::{Answer, Command};

/// What runs beside each command: it leads the group, and ends it when it is cut off. Its comments say what goes in and out.
const SCRIPT: &str = include_str!("wrapper.sh");

/// The most that an answer may print, in bytes.
const MOST: usize = 1024 * 1024;

/// How a program is started on some host.
pub(crate) trait Transport: fmt::Debug + Send + Sync {
    /// Who the host is, for messages.
    fn name(&self) -> &str;

    /// The program here that starts the argument vector `words` there, in a group of its own.
    fn carry(&self, words: Vec<OsString>) -> Result<tokio::process::Command>;

    /// Whether killing the program here is the host's business, and closing its input is all that we may do.
    fn is_only_closed(&self, command: &Command) -> bool;

    /// What went wrong where the end of the command was not told.
    fn lost(&self, lost: Lost) -> Error;
}

/// A command whose end was not told.
#[derive(Debug)]
pub(crate) struct Lost {
    /// The command's program; none if it was never started.
    pub(crate) program: Option<String>,
    /// How the program ended that was to carry it.
    pub(crate) status: ExitStatus,
    /// Its last words.
    pub(crate) words: String,
}

/// [`Host::run`](crate::Host::run), on any transport.
pub(crate) async fn run(transport: Arc<dyn Transport>, command: &Command, stdin: Option<Body>) -> Result<Body> {
    Ok(body::sound(Successful(start(transport, command, stdin).await?)))
}

/// [`Host::answer`](crate::Host::answer), on any transport.
pub(crate) async fn answer(transport: Arc<dyn Transport>, command: &Command) -> Result<Answer> {
    let mut wrapped = start(transport, command, None).await?;
    let mut stdout = Vec::new();
    (&mut wrapped).take(MOST as u64 + 1).read_to_end(&mut stdout).await?;
    match wrapped.end.take() {
        Some(End { status, words }) => Ok(Answer { status, stdout, stderr: words }),
        None => Err(Error::failed(format!("{wrapped} printed more than the {MOST} bytes that an answer may have"))),
    }
}

/// Returns once the command was started there.
async fn start(transport: Arc<dyn Transport>, command: &Command, stdin: Option<Body>) -> Result<Wrapped> {
    // Told apart from what a command prints by accident, on purpose it may fool us: it runs with our rights there.
    let token = format!("{:016x}", RandomState::new().build_hasher().finish());
    let how = if command.is_sudo() { "sudo" } else { "plain" };
    let words = ["sh", "-c", SCRIPT, "backup-host", &token, how].map(OsString::from).into_iter().chain(command.words()?);
    let mut running = process::start(transport.carry(words.collect())?, Some(framed(stdin)))?;
    if transport.is_only_closed(command) {
        running = running.only_closed();
    }
    let limit = command.longest().map(|limit| (limit, Box::pin(tokio::time::sleep(limit))));
    let (program, sudo) = (command.program(), command.is_sudo());
    let mut wrapped = Wrapped { transport, program, sudo, running: Some(running), token, limit, end: None };
    wrapped.started().await?;
    Ok(wrapped)
}

/// A command as the reader of what it prints; at the end of file it has told how it ended.
struct Wrapped {
    transport: Arc<dyn Transport>,
    program: String,
    sudo: bool,
    /// None once it is not waited for any more.
    running: Option<Running>,
    token: String,
    limit: Option<(std::time::Duration, Pin<Box<Sleep>>)>,
    end: Option<End>,
}

/// How it ended, with its last words.
struct End {
    status: i32,
    words: String,
}

impl Wrapped {
    /// Reads the line that the wrapper prints before it starts the command.
    async fn started(&mut self) -> Result<()> {
        let expected = format!("{}\n", self.token);
        let mut line = vec![0; expected.len()];
        let mut at = 0;
        while at < line.len() {
            let mut buf = ReadBuf::new(line.get_mut(at..).unwrap_or_default());
            poll_fn(|cx| self.poll_output(cx, &mut buf)).await?;
            let more = buf.filled().len();
            if more == 0 {
                return Err(self.lost(None));
            }
            at += more;
        }
        if line != expected.as_bytes() {
            let said = String::from_utf8_lossy(&line).trim().to_owned();
            let error = Error::failed(format!("{} prints something before a command runs: {said:?}", self.transport.name()));
            return Err(
                error.with_hint("let the start-up files of the user's shell there print only where the shell is interactive")
            );
        }
        Ok(())
    }

    /// Reads until the program here has ended, within the limit.
    fn poll_output(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some((limit, sleep)) = &mut self.limit
            && sleep.as_mut().poll(cx).is_ready()
        {
            let limit = *limit;
            // It is ended by that.
            self.running = None;
            return Poll::Ready(Err(Error::failed(format!("{self} did not end within {limit:?}")).into()));
        }
        match &mut self.running {
            Some(running) => Pin::new(running).poll_read(cx, buf),
            None => Poll::Ready(Err(Error::failed(format!("{self} was given up")).into())),
        }
    }

    /// What the wrapper told last, if it came to that and the program here thinks so too.
    fn told(&self) -> Result<End> {
        let running = self.running.as_ref().filter(|running| running.status().is_some_and(|status| status.success()));
        let words = running.map(|running| String::from_utf8_lossy(running.last_words())).unwrap_or_default();
        let told =
            words.rsplit_once(&format!("\n{} ", self.token)).and_then(|(words, rest)| Some((words, rest.split_once('\n')?.0)));
        let Some((words, told)) = told else { return Err(self.lost(Some(self.program.clone()))) };
        let words = words.trim().to_owned();
        match told {
            "untaken" => Err(Error::failed(format!("{self} ended before it had taken all of its input"))),
            told => match told.parse() {
                Ok(status) => Ok(End { status, words }),
                Err(_) => Err(Error::failed(format!("{self} lost its input before that had ended"))),
            },
        }
    }

    fn lost(&self, program: Option<String>) -> Error {
        let Some((running, status)) = self.running.as_ref().and_then(|running| Some((running, running.status()?))) else {
            return Error::failed(format!("{self} was given up"));
        };
        let words = String::from_utf8_lossy(running.last_words()).trim().to_owned();
        self.transport.lost(Lost { program, status, words })
    }
}

/// `tar on this machine`.
impl fmt::Display for Wrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.program, self.transport.name())
    }
}

impl AsyncRead for Wrapped {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(self.poll_output(cx, buf))?;
        if buf.filled().len() == before && buf.remaining() > 0 {
            self.end = Some(self.told()?);
        }
        Poll::Ready(Ok(()))
    }
}

/// Ends only after exit status 0.
struct Successful(Wrapped);

impl AsyncRead for Successful {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut self.0;
        ready!(Pin::new(&mut *this).poll_read(cx, buf))?;
        let Some(End { status, words }) = this.end.take().filter(|end| end.status != 0) else { return Poll::Ready(Ok(())) };
        let error = Error::failed(format!("{this} ended with exit status {status}"));
        let refused = this.sudo && words.lines().any(|line| line.starts_with("sudo: "));
        let hint = match status {
            126 | 127 => Some(format!("look whether {} can be run on {}", this.program, this.transport.name())),
            _ if refused => {
                Some(format!("let the user there run {} by sudo without a password and without a terminal", this.program))
            }
            _ => None,
        };
        let error = if words.is_empty() { error } else { error.with_source(words) };
        Poll::Ready(Err(match hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
        .into()))
    }
}
