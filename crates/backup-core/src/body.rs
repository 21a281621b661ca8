//! End of file means whole: bytes of one part, pulled at the pace of whoever stores them.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, DuplexStream, ReadBuf};

use crate::{Error, Result};

/// Bytes of one part or object. Its end of file says that it is whole: a body that breaks off ends in an error, and
/// keeps failing when it is polled again.
pub type Body = Pin<Box<dyn AsyncRead + Send>>;

/// How much a pipe holds between its writer and its reader, in bytes.
pub const PIPE: usize = 256 * 1024;

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
    async fn more_than_may_be_is_damage() {
        let error = to_vec(from_bytes("1234"), 3).await.expect_err("too long");
        assert_eq!(error.kind(), Kind::Damaged);
        assert_eq!(to_vec(from_bytes("123"), 3).await.expect("whole"), b"123");
    }
}
