//! Children are bodies: what a program prints, with its exit status as the last byte.

mod feed;

use std::io;
use std::pin::Pin;
use std::process::{ExitStatus, Stdio};
use std::task::{Context, Poll, ready};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

use self::feed::Feed;
use crate::body::sound;
use crate::{Body, Doing, Error, Result};

/// How much of what a child complained is kept, in bytes: its last words.
const LAST_WORDS: usize = 8 * 1024;

/// Starts `command` and makes a body of its standard output, whose end of file comes only after exit status 0.
///
/// Any other end is an error with the status and the last 8 KiB of standard error. The child has no standard input and
/// leads a process group of its own, so that a Ctrl-C at the terminal reaches us first; dropping the body before its end kills
/// the whole group. Fails when the program cannot be started. Must be called within a Tokio runtime.
pub fn stdout(command: Command) -> Result<Body> {
    Ok(sound(Checked(start(command, None)?)))
}

/// Starts `command` as [`stdout`] does, with `stdin` as its input (none: it is empty), for those who judge the end by themselves.
///
/// The input is handed on while the output is read. If it breaks, the group is killed before the child can see an end of its
/// input, and the reader fails with that error. A child that closes its input gets no more of it, which is no error.
pub fn start(command: Command, stdin: Option<Body>) -> Result<Running> {
    let (mut running, to) = spawn(command, if stdin.is_some() { Stdio::piped() } else { Stdio::null() })?;
    running.feed = stdin.zip(to).map(|(body, to)| Feed::new(body, to));
    Ok(running)
}

/// Starts `command` as [`start`] does, for those who talk with it: its input is theirs to write, and ends when it is dropped.
pub fn open(command: Command) -> Result<(Running, ChildStdin)> {
    let (running, to) = spawn(command, Stdio::piped())?;
    Ok((running, to.ok_or("it has no input").doing(|| "talk with a program")?))
}

fn spawn(mut command: Command, stdin: Stdio) -> Result<(Running, Option<ChildStdin>)> {
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command
        .spawn()
        .doing(|| format!("start {program}"))
        .map_err(|error| error.with_hint(format!("look whether {program} is installed and on the PATH")))?;
    let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    let (to, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    Ok((Running { program, child, group, feed: None, stdout, stderr, words: Vec::new(), status: None }, to))
}

/// A child as the reader of what it prints. Its end of file comes once the child has ended, however that was.
///
/// Dropped before, it kills the child's whole process group.
#[derive(Debug)]
pub struct Running {
    program: String,
    child: Child,
    /// The group to kill; none once the child was waited for, as its number may be another's then.
    group: Option<Pid>,
    /// None once its body ended or the child wants no more.
    feed: Option<Feed>,
    /// None once it ended.
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    words: Vec<u8>,
    status: Option<ExitStatus>,
}

impl Running {
    /// The same child, which is not killed when this is dropped: its input and its outputs are closed, and it must end of that.
    pub fn only_closed(mut self) -> Self {
        self.group = None;
        self
    }

    /// The program's name, for messages.
    pub fn program(&self) -> &str {
        &self.program
    }

    /// How it ended; none before the end of file.
    pub fn status(&self) -> Option<ExitStatus> {
        self.status
    }

    /// What it wrote to standard error, the last 8 KiB: all of it after the end of file. NUL bytes, which are no text, are left out.
    pub fn last_words(&self) -> &[u8] {
        &self.words
    }

    /// Takes what the child complains, so that it never waits for us there.
    fn listen(&mut self, cx: &mut Context<'_>) {
        let mut space = [0; 4096];
        while let Some(stderr) = &mut self.stderr {
            let mut buf = ReadBuf::new(&mut space);
            match Pin::new(stderr).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => keep(&mut self.words, buf.filled()),
                Poll::Ready(_) => self.stderr = None,
                Poll::Pending => return,
            }
        }
    }

    /// Takes what is left in the pipe of a child that has ended, without waiting for a grandchild that holds it open.
    fn listen_to_the_last(&mut self) {
        let mut space = [0; 4096];
        while let Some(stderr) = &self.stderr {
            match rustix::io::read(stderr, &mut space) {
                Ok(length @ 1..) => keep(&mut self.words, space.get(..length).unwrap_or_default()),
                Err(rustix::io::Errno::INTR) => {}
                Ok(0) | Err(_) => self.stderr = None,
            }
        }
    }

    /// Hands on what there is of the input.
    fn feed(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if let Some(feed) = &mut self.feed {
            match feed.poll(cx) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => self.feed = None,
                Poll::Ready(Err(error)) => {
                    // Before its input is closed: it would take that for the end.
                    self.kill();
                    self.feed = None;
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn kill(&mut self) {
        if let Some(group) = self.group.take() {
            // It may have ended meanwhile; then there is nothing to kill.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl AsyncRead for Running {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.listen(cx);
        this.feed(cx)?;
        if let Some(stdout) = &mut this.stdout {
            let before = buf.filled().len();
            ready!(Pin::new(stdout).poll_read(cx, buf))?;
            if buf.filled().len() > before {
                return Poll::Ready(Ok(()));
            }
            this.stdout = None;
        }
        let status = {
            let waiting = std::pin::pin!(this.child.wait());
            ready!(waiting.poll(cx))?
        };
        (this.group, this.feed) = (None, None);
        this.listen_to_the_last();
        this.status = Some(status);
        Poll::Ready(Ok(()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Ends only after exit status 0.
struct Checked(Running);

impl AsyncRead for Checked {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.0).poll_read(cx, buf))?;
        let Some(status) = self.0.status().filter(|status| !status.success()) else { return Poll::Ready(Ok(())) };
        let error = Error::failed(format!("{} ended with {status}", self.0.program()));
        let words = String::from_utf8_lossy(self.0.last_words()).trim().to_owned();
        Poll::Ready(Err(if words.is_empty() { error } else { error.with_source(words) }.into()))
    }
}

fn keep(words: &mut Vec<u8>, more: &[u8]) {
    words.extend(more.iter().filter(|byte| **byte != 0));
    words.drain(..words.len().saturating_sub(LAST_WORDS));
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

    use super::*;
    use crate::body::{self, CHUNK, to_vec};

    fn sh(script: &str) -> Body {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        stdout(command).expect("sh starts")
    }

    #[tokio::test]
    async fn a_child_that_ends_well_is_a_whole_body() {
        assert_eq!(to_vec(sh("echo a; echo complaint >&2; echo b"), 99).await.expect("whole"), b"a\nb\n");
    }

    #[tokio::test]
    async fn a_child_that_fails_behind_its_last_byte_breaks_the_body() {
        let mut body = sh("echo all of it; echo first >&2; echo 'no space left' >&2; exit 3");
        let mut bytes = Vec::new();
        let error = body.read_to_end(&mut bytes).await.expect_err("exit status 3");
        assert_eq!(bytes, b"all of it\n");
        assert_eq!(Error::from(error).chain(), "sh ended with exit status: 3: first no space left");
        body.read_to_end(&mut bytes).await.expect_err("a broken body stays broken");
    }

    #[tokio::test]
    async fn a_child_killed_by_a_signal_breaks_the_body() {
        let error = to_vec(sh("echo a; kill -9 $$"), 99).await.expect_err("killed");
        assert_eq!(error.chain(), "sh ended with signal: 9 (SIGKILL)");
    }

    #[tokio::test]
    async fn a_child_that_closes_its_output_is_waited_for() {
        let error = to_vec(sh("exec >&-; read x </dev/null; exit 7"), 99).await.expect_err("exit status 7");
        assert_eq!(error.chain(), "sh ended with exit status: 7");
    }

    #[tokio::test]
    async fn a_child_that_complains_more_than_a_pipe_holds_does_not_hang_and_its_last_words_are_kept() {
        let error = to_vec(sh("i=0; while [ $i -lt 20000 ]; do echo line $i >&2; i=$((i+1)); done; exit 1"), 99).await;
        let line = error.expect_err("exit status 1").chain();
        assert!(line.ends_with("line 19998 line 19999") && line.len() < LAST_WORDS + 100, "{line}");
    }

    #[tokio::test]
    async fn a_grandchild_that_holds_standard_error_does_not_hold_us() {
        let mut printed = Vec::new();
        let error = sh("sleep 600 >/dev/null & echo $!; exit 1").read_to_end(&mut printed).await.expect_err("exit status 1");
        let grandchild = String::from_utf8_lossy(&printed).trim().parse().ok().and_then(Pid::from_raw).expect("its number");
        rustix::process::kill_process(grandchild, Signal::KILL).expect("it still runs");
        assert_eq!(error.to_string(), "sh ended with exit status: 1");
    }

    #[tokio::test]
    async fn dropping_the_body_kills_the_whole_group() {
        // The grandchild holds the lock until it dies; taking it waits for that.
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lock");
        let mut body = BufReader::new(sh(&format!("(flock 9; echo locked; sleep 600) 9>'{}' & wait", path.display())));
        let mut line = String::new();
        body.read_line(&mut line).await.expect("the grandchild runs");
        assert_eq!(line, "locked\n");
        let file = std::fs::File::open(&path).expect("the lock file");
        assert!(rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_err(), "it is held");
        drop(body);
        rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).expect("it is free");
    }

    fn fed(script: &str, stdin: Body) -> Running {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        start(command, Some(stdin)).expect("sh starts")
    }

    #[tokio::test]
    async fn more_input_than_a_pipe_holds_comes_back() {
        let bytes: Vec<u8> = (0..CHUNK * 9 + 1).map(|at| at as u8).collect();
        let mut child = fed("cat; echo end >&2; exit 3", body::from_bytes(bytes.clone()));
        let mut back = Vec::new();
        assert_eq!(child.status(), None);
        child.read_to_end(&mut back).await.expect("however it ends");
        assert!(back == bytes);
        assert_eq!((child.status().and_then(|status| status.code()), child.last_words()), (Some(3), &b"end\n"[..]));
    }

    #[tokio::test]
    async fn a_child_that_closes_its_input_ends_as_it_likes() {
        let endless = body::piped(|mut writer| async move {
            loop {
                writer.write_all(&[0; CHUNK]).await?
            }
        });
        let mut child = fed("exec <&-; echo out", endless);
        let mut out = Vec::new();
        child.read_to_end(&mut out).await.expect("it ended");
        assert_eq!((out.as_slice(), child.status().and_then(|status| status.code())), (&b"out\n"[..], Some(0)));
    }

    #[tokio::test]
    async fn an_input_that_breaks_is_not_taken_for_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("whole");
        let broken = crate::testing::breaking(vec![7; 10], 7);
        // It holds its output open until it is gone.
        let mut child = fed(&format!("cat >/dev/null; : >'{}'", path.display()), broken);
        let error = child.read_to_end(&mut Vec::new()).await.expect_err("broken on purpose");
        assert_eq!(error.to_string(), "broken on purpose");
        child.read_to_end(&mut Vec::new()).await.expect("it is gone");
        assert!(!child.status().expect("it ended").success());
        assert!(!path.exists(), "it took the cut for the end");
    }

    #[tokio::test]
    async fn a_child_that_is_only_closed_sees_its_input_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).expect("a pipe");
        let never = body::piped(|_| std::future::pending());
        let child = fed(&format!("cat; echo closed >'{}'", path.display()), never).only_closed();
        drop(child);
        assert_eq!(tokio::fs::read(&path).await.expect("it lives"), b"closed\n");
    }

    #[tokio::test]
    async fn a_child_that_is_talked_with() {
        let mut command = Command::new("sh");
        command.args(["-c", "read line; echo \"got $line\"; cat; exit 3"]);
        let (mut child, mut to) = open(command).expect("sh starts");
        to.write_all(b"one\n").await.expect("taken");
        let mut answer = [0; 8];
        child.read_exact(&mut answer).await.expect("answered");
        assert_eq!(&answer, b"got one\n");
        to.write_all(b"two").await.expect("taken");
        drop(to);
        let mut rest = Vec::new();
        child.read_to_end(&mut rest).await.expect("however it ends");
        assert_eq!((rest.as_slice(), child.status().and_then(|status| status.code())), (&b"two"[..], Some(3)));
    }

    #[tokio::test]
    async fn a_program_that_does_not_exist() {
        let error = stdout(Command::new("no-such-program")).err().expect("it cannot start");
        assert!(error.chain().starts_with("failed to start no-such-program: "), "{}", error.chain());
        assert!(error.hint().is_some());
    }
}
