//! Bodies that watch the bytes that pass: checked against a digest, told to a monitor, with errors put into words.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use sha2::Digest;
use tokio::io::{AsyncRead, ReadBuf};

use crate::body::{self, Body};
use crate::{Error, Event, Name, Sha256};

/// `body`, whose end of file comes only if size and digest are what they must be; else it ends in [`Kind::Damaged`](crate::Kind::Damaged).
pub(crate) fn checked(body: Body, what: impl Into<String>, size: u64, sha256: Sha256) -> Body {
    body::sound(Checked { body, what: what.into(), left: size, size, hasher: sha2::Sha256::new(), sha256 })
}

/// Makes a body of any reader whose errors are told by `wording` unless they are [`Error`]s already.
pub fn worded(
    reader: impl AsyncRead + Send + Unpin + 'static,
    wording: impl Fn(io::Error) -> Error + Send + Unpin + 'static,
) -> Body {
    body::sound(Worded { reader, wording })
}

/// `body`, of which the monitor is told [`Event::Progress`] under `part`.
pub(crate) fn told(cx: &crate::Context, part: &Name, body: Body) -> Body {
    Box::pin(Told { body, cx: cx.clone(), part: part.clone() })
}

/// `body`, which is broken if it has no bytes at all.
pub(crate) fn nonempty(body: Body) -> Body {
    Box::pin(Nonempty { body, empty: true })
}

struct Checked {
    body: Body,
    what: String,
    left: u64,
    size: u64,
    hasher: sha2::Sha256,
    sha256: Sha256,
}

impl AsyncRead for Checked {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        ready!(this.body.as_mut().poll_read(cx, buf))?;
        let passed = &buf.filled()[before..];
        let damaged = |how: &str| Err(Error::damaged(format!("{} is not what was written: {how}", this.what)).into());
        if passed.is_empty() {
            return Poll::Ready(if this.left > 0 {
                damaged(&format!("{} of its {} bytes are missing", this.left, this.size))
            } else if Sha256::from(this.hasher.clone()) != this.sha256 {
                damaged("its digest differs")
            } else {
                Ok(())
            });
        }
        let Some(left) = this.left.checked_sub(passed.len() as u64) else {
            return Poll::Ready(damaged(&format!("it has more than {} bytes", this.size)));
        };
        this.left = left;
        this.hasher.update(passed);
        Poll::Ready(Ok(()))
    }
}

struct Worded<R, F> {
    reader: R,
    wording: F,
}

impl<R: AsyncRead + Unpin, F: Fn(io::Error) -> Error + Unpin> AsyncRead for Worded<R, F> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = ready!(Pin::new(&mut self.reader).poll_read(cx, buf));
        let word = |error: io::Error| match error.get_ref() {
            Some(inner) if inner.is::<Error>() => error,
            _ => (self.wording)(error).into(),
        };
        Poll::Ready(read.map_err(word))
    }
}

struct Nonempty {
    body: Body,
    empty: bool,
}

impl AsyncRead for Nonempty {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(self.body.as_mut().poll_read(cx, buf))?;
        if buf.filled().len() == before && self.empty {
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        self.empty = false;
        Poll::Ready(Ok(()))
    }
}

struct Told {
    body: Body,
    cx: crate::Context,
    part: Name,
}

impl AsyncRead for Told {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(self.body.as_mut().poll_read(cx, buf))?;
        let bytes = (buf.filled().len() - before) as u64;
        if bytes > 0 {
            self.cx.tell(Event::Progress { part: &self.part, bytes });
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    #[tokio::test]
    async fn every_difference_is_damage_before_the_end() {
        for (bytes, good) in [("abc", true), ("abd", false), ("ab", false), ("", false), ("abcd", false)] {
            let body = checked(body::from_bytes(bytes), "x", 3, Sha256::of("abc"));
            let read = body::to_vec(body, 99).await;
            assert_eq!(read.is_ok(), good, "{bytes:?}");
            assert!(read.is_ok() || read.is_err_and(|error| error.kind() == Kind::Damaged));
        }
    }
}
