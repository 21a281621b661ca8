//! End of file means whole: bytes of one part, pulled at the pace of whoever stores them.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, DuplexStream, ReadBuf};
use tokio::sync::mpsc;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

pub use crate::checked::worded;
use crate::{Error, Result};

/// Bytes of one part or object. Its end of file says that it is whole: a body that breaks off ends in an error, and
/// keeps failing when it is polled again.
pub type Body = Pin<Box<dyn AsyncRead + Send>>;

/// How much a pipe holds between its writer and its reader, in bytes.
pub const PIPE: usize = 256 * 1024;

/// How much is read at once where bytes are moved, in bytes.
pub const CHUNK: usize = 64 * 1024;

/// How many chunks a task reads ahead.
const AHEAD: usize = 4;

/// Makes a body of any reader: after its first error it only fails, after its end it only ends.
pub fn sound(reader: impl AsyncRead + Send + 'static) -> Body {
    Box::pin(Sound { reader: Box::pin(reader), state: State::Open })
}

/// Makes a body of bytes in memory.
pub fn from_bytes(bytes: impl Into<Bytes>) -> Body {
    Box::pin(io::Cursor::new(bytes.into()))
}

/// Makes a body of whatever `write` writes: its end of file comes only after `write` returned `Ok`.
///
/// The writer runs while the body is read and waits while nobody reads ([`PIPE`] bytes ahead). Dropping the body drops it.
pub fn piped<W, F>(write: W) -> Body
where
    W: FnOnce(DuplexStream) -> F,
    F: Future<Output = Result<()>> + Send + 'static,
{
    let (writer, reader) = tokio::io::duplex(PIPE);
    sound(Piped { writing: Some(Box::pin(write(writer))), reader })
}

/// Reads `body` on a task of its own, a few chunks ahead of whoever reads what is returned: two processors share the work.
///
/// Dropping the body ends the task; `tasks` knows when it has ended.
pub fn spawned(tasks: &TaskTracker, mut body: Body) -> Body {
    let (sender, receiver) = mpsc::channel(AHEAD);
    let reading = async move {
        loop {
            let mut chunk = BytesMut::with_capacity(CHUNK);
            let read = body.read_buf(&mut chunk).await;
            let ended = !matches!(read, Ok(1..));
            // No one listens any more: the task is about to be ended.
            if sender.send(read.map(|_| chunk.freeze())).await.is_err() || ended {
                return;
            }
        }
    };
    let task = AbortOnDropHandle::new(tasks.spawn(reading));
    sound(Spawned { receiver, chunk: Bytes::new(), _task: task })
}

/// `body`, which lets go of `held` as soon as it ends, breaks or is dropped.
pub(crate) fn holding(held: impl Send + Unpin + 'static, body: Body) -> Body {
    Box::pin(Holding { body, held: Some(held) })
}

/// Reads a body to its end and returns how many bytes it had.
pub async fn drain(body: Body) -> Result<u64> {
    let mut body = tokio::io::BufReader::with_capacity(CHUNK, body);
    Ok(tokio::io::copy_buf(&mut body, &mut tokio::io::sink()).await?)
}

/// Reads a body that must not be longer than `most` bytes into memory.
pub async fn to_vec(body: Body, most: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    body.take(most.saturating_add(1)).read_to_end(&mut bytes).await?;
    if bytes.len() as u64 > most {
        return Err(Error::damaged(format!("longer than the {most} bytes that it may have")));
    }
    Ok(bytes)
}

struct Sound<R> {
    reader: Pin<Box<R>>,
    state: State,
}

enum State {
    Open,
    Ended,
    Broken(io::ErrorKind, String),
}

impl<R: AsyncRead> AsyncRead for Sound<R> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match &this.state {
            State::Open => {}
            State::Ended => return Poll::Ready(Ok(())),
            State::Broken(kind, text) => return Poll::Ready(Err(io::Error::new(*kind, text.clone()))),
        }
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        match ready!(this.reader.as_mut().poll_read(cx, buf)) {
            Ok(()) if buf.filled().len() == before => this.state = State::Ended,
            Ok(()) => {}
            Err(error) => {
                // A reader that fails has read nothing, whatever it has put there.
                buf.set_filled(before);
                this.state = State::Broken(error.kind(), error.to_string());
                return Poll::Ready(Err(error));
            }
        }
        Poll::Ready(Ok(()))
    }
}

struct Piped {
    writing: Option<Pin<Box<dyn Future<Output = Result<()>> + Send>>>,
    reader: DuplexStream,
}

impl AsyncRead for Piped {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(writing) = &mut self.writing
            && let Poll::Ready(written) = writing.as_mut().poll(cx)
        {
            self.writing = None;
            written?;
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.reader).poll_read(cx, buf))?;
        if buf.filled().len() == before && self.writing.is_some() {
            // The writer let go of its end and has not said yet that all is well.
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

struct Holding<T> {
    body: Body,
    held: Option<T>,
}

impl<T: Unpin> AsyncRead for Holding<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = ready!(self.body.as_mut().poll_read(cx, buf));
        if read.is_err() || (buf.filled().len() == before && buf.remaining() > 0) {
            self.held = None;
        }
        Poll::Ready(read)
    }
}

struct Spawned {
    receiver: mpsc::Receiver<io::Result<Bytes>>,
    chunk: Bytes,
    _task: AbortOnDropHandle<()>,
}

impl AsyncRead for Spawned {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.chunk.is_empty() {
            // Only an empty chunk says that the end was reached; a task that just went away did not get there.
            let gone = || Err(Error::failed("the task that read was cut off").into());
            self.chunk = ready!(self.receiver.poll_recv(cx)).unwrap_or_else(gone)?;
        }
        let length = self.chunk.len().min(buf.remaining());
        buf.put_slice(&self.chunk[..length]);
        self.chunk.advance(length);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;
    use crate::Kind;

    #[tokio::test]
    async fn a_writer_that_fails_at_its_end_breaks_the_body() {
        let mut body = piped(|mut writer| async move {
            writer.write_all(b"all of it").await?;
            drop(writer);
            tokio::task::yield_now().await;
            Err(Error::failed("exit status 1"))
        });
        let mut bytes = Vec::new();
        let error = body.read_to_end(&mut bytes).await.expect_err("the writer failed");
        assert_eq!((bytes.as_slice(), error.to_string().as_str()), (&b"all of it"[..], "exit status 1"));
        let again = body.read_to_end(&mut bytes).await.expect_err("a broken body stays broken");
        assert_eq!(again.to_string(), "exit status 1");
    }

    #[tokio::test]
    async fn a_writer_may_write_more_than_the_pipe_holds() {
        let body = piped(|mut writer| async move { Ok(writer.write_all(&vec![7; PIPE * 3]).await?) });
        assert_eq!(to_vec(body, u64::MAX).await.expect("whole").len(), PIPE * 3);
    }

    #[tokio::test]
    async fn a_body_on_a_task_of_its_own_is_the_same_body() {
        let tasks = TaskTracker::new();
        let bytes: Vec<u8> = (0..CHUNK * 9 + 1).map(|at| at as u8).collect();
        let body = spawned(&tasks, from_bytes(bytes.clone()));
        assert_eq!(to_vec(body, u64::MAX).await.expect("whole"), bytes);
        let mut body = spawned(&tasks, piped(|_| async { Err(Error::damaged("flipped")) }));
        let error = Error::from(body.read_u8().await.expect_err("it broke"));
        assert_eq!(error.kind(), Kind::Damaged);
        assert!(body.read_u8().await.is_err(), "a broken body stays broken");
        drop(spawned(&tasks, piped(|_| std::future::pending())));
        tasks.close();
        tasks.wait().await;
    }

    /// Fills the buffer and fails all the same, as some decoders do.
    struct Rude;

    impl AsyncRead for Rude {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            buf.put_slice(b"x");
            Poll::Ready(Err(io::ErrorKind::InvalidData.into()))
        }
    }

    #[tokio::test]
    async fn bytes_that_come_with_an_error_do_not_count() {
        let mut bytes = Vec::new();
        assert!(sound(Rude).read_to_end(&mut bytes).await.is_err());
        assert_eq!(bytes, b"");
    }

    #[tokio::test]
    async fn a_task_that_panics_is_no_quiet_end() {
        let mut body = spawned(&TaskTracker::new(), piped(|_| async { panic!("on purpose") }));
        assert!(body.read_to_end(&mut Vec::new()).await.is_err());
    }

    #[tokio::test]
    async fn more_than_may_be_is_damage() {
        let error = to_vec(from_bytes("1234"), 3).await.expect_err("too long");
        assert_eq!(error.kind(), Kind::Damaged);
        assert_eq!(to_vec(from_bytes("123"), 3).await.expect("whole"), b"123");
    }
}
