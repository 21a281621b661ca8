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
use tokio::sync::oneshot;
use tokio::time::Sleep;

use crate::command::AsWhom;
use crate::frames::framed;
use crate::{Answer, Command};

/// What runs beside each command: it leads the group, and ends it when it is cut off. Its comments say what goes in and out.
const SCRIPT: &str = include_str!("wrapper.sh");

/// What runs beside a command whose host closes no outputs. Its comments say what goes in.
const LIFELINE: &str = include_str!("lifeline.sh");

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

    /// Whether the host closes the outputs of a command that we are cut off from. Else it must hand on the end of its input.
    fn closes_outputs(&self) -> bool {
        true
    }

    /// What went wrong where this was printed in place of what the wrapper prints first, if the host says so.
    fn refused(&self, _: &str) -> Option<Error> {
        None
    }

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
    let how = match command.as_whom() {
        AsWhom::Login => "plain".to_owned(),
        AsWhom::Root => "root".to_owned(),
        AsWhom::User(name) => format!("user:{name}"),
    };
    let words = ["sh", "-c", SCRIPT, "backup-host", &token, &how].map(OsString::from).into_iter().chain(command.words()?);
    // A command without an input takes all there is of it, and sees its end. To one with an input nothing is handed on before.
    let needs_lifeline = stdin.is_some() && !transport.closes_outputs();
    let (open, opened) = oneshot::channel();
    let stdin = if needs_lifeline { stdin.map(|body| behind(opened, body)) } else { stdin };
    let mut running = process::start(transport.carry(words.collect())?, Some(framed(stdin)))?;
    if transport.is_only_closed(command) {
        running = running.only_closed();
    }
    let limit = command.longest().map(|limit| (limit, Box::pin(tokio::time::sleep(limit))));
    let (program, sudo) = (command.program(), command.is_sudo());
    let mut wrapped = Wrapped { transport, program, sudo, running: Some(running), token, limit, lifeline: None, end: None };
    let process = wrapped.started().await?;
    if needs_lifeline {
        wrapped.lifeline = Some(lifeline(&*wrapped.transport, &process, &wrapped.token, &how).await?);
        // Who would be told is there: it is dropped with us.
        let _ = open.send(());
    }
    Ok(wrapped)
}

/// `body` once `opened` says so.
fn behind(opened: oneshot::Receiver<()>, mut body: Body) -> Body {
    body::piped(|mut writer| async move {
        opened.await.map_err(|_| Error::failed("the command was given up before it began"))?;
        tokio::io::copy(&mut body, &mut writer).await?;
        Ok(())
    })
}

/// Starts what ends the group of the wrapper `process` once it is dropped. Returns when it runs there.
async fn lifeline(transport: &dyn Transport, process: &str, token: &str, how: &str) -> Result<Running> {
    let words = ["sh", "-c", LIFELINE, "backup-host", process, token, how].map(OsString::from);
    let never = body::piped(|_| std::future::pending());
    let mut running = process::start(transport.carry(words.into())?, Some(never))?;
    let mut line = [0; 1];
    if running.read(&mut line).await? == 0 {
        let status = running.status().unwrap_or_default();
        let words = String::from_utf8_lossy(running.last_words()).trim().to_owned();
        return Err(transport.lost(Lost { program: None, status, words }));
    }
    Ok(running)
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
    /// What ends the command where the host would not; dropped with all this.
    lifeline: Option<Running>,
    end: Option<End>,
}

/// How it ended, with its last words.
struct End {
    status: i32,
    words: String,
}

impl Wrapped {
    /// Reads the line that the wrapper prints before it starts the command: its number there.
    async fn started(&mut self) -> Result<String> {
        let mut line = vec![0; self.token.len() + 12];
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
        let said = String::from_utf8_lossy(&line).trim().to_owned();
        let number = said.strip_prefix(&self.token).map(str::trim).filter(|number| number.parse::<u32>().is_ok());
        let Some(number) = number else {
            if let Some(refused) = self.transport.refused(&said) {
                return Err(refused);
            }
            let error = Error::failed(format!("{} prints something before a command runs: {said:?}", self.transport.name()));
            return Err(
                error.with_hint("let the start-up files of the user's shell there print only where the shell is interactive")
            );
        };
        Ok(number.to_owned())
    }

    /// Reads until the program here has ended, within the limit.
    fn poll_output(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some((limit, sleep)) = &mut self.limit
            && sleep.as_mut().poll(cx).is_ready()
        {
            let limit = *limit;
            // It is ended by that.
            (self.running, self.lifeline) = (None, None);
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
            self.lifeline = None;
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
