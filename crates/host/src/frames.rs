//! A body as the frames that the wrapper reads: its end is said, so that a cut is none.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use backup_core::body::CHUNK;
use backup_core::{Body, body};
use tokio::io::{AsyncRead, ReadBuf};

/// The most that is in a frame, in bytes: the wrapper starts a program for each.
const FRAME: usize = 1024 * 1024;

/// A frame begins with its length, blanks and a newline; so many bytes.
const HEAD: usize = 8;

/// `stdin` as frames, whose end is a frame of length 0. It never ends then: what closes the wrapper's input is a cut.
pub(crate) fn framed(stdin: Option<Body>) -> Body {
    let space = HEAD + if stdin.is_some() { FRAME } else { 0 };
    body::sound(Frames { body: stdin, frame: vec![0; space], filled: HEAD, sent: 0, state: State::Gathering })
}

struct Frames {
    /// None once it ended.
    body: Option<Body>,
    frame: Vec<u8>,
    /// How much of the frame is gathered, and how much of that was sent.
    filled: usize,
    sent: usize,
    state: State,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Gathering,
    Sending,
    /// The last one is sent.
    Over,
}

impl Frames {
    /// Ready once there is something to send: a full frame, or what there is while the body makes us wait, or the end.
    fn gather(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(body) = &mut self.body {
            let end = self.frame.len().min(self.filled + CHUNK);
            let mut buf = ReadBuf::new(self.frame.get_mut(self.filled..end).unwrap_or_default());
            if buf.remaining() == 0 {
                break;
            }
            match body.as_mut().poll_read(cx, &mut buf)? {
                Poll::Ready(()) if buf.filled().is_empty() => self.body = None,
                Poll::Ready(()) => self.filled += buf.filled().len(),
                Poll::Pending if self.filled > HEAD => break,
                Poll::Pending => return Poll::Pending,
            }
        }
        let head = format!("{:<width$}\n", self.filled - HEAD, width = HEAD - 1);
        self.frame.splice(..HEAD, head.into_bytes());
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Frames {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        match this.state {
            // Never: whoever waits is woken by what else it waits for.
            State::Over => return Poll::Pending,
            State::Gathering => ready!(this.gather(cx))?,
            State::Sending => {}
        }
        let rest = this.frame.get(this.sent..this.filled).unwrap_or_default();
        let now = rest.get(..buf.remaining().min(rest.len())).unwrap_or_default();
        buf.put_slice(now);
        this.sent += now.len();
        this.state = State::Sending;
        if this.sent == this.filled {
            this.state = if this.filled == HEAD { State::Over } else { State::Gathering };
            (this.filled, this.sent) = (HEAD, 0);
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn a_body_that_makes_us_wait_is_sent_as_far_as_it_is_there_and_its_end_is_said() {
        let (mut writer, reader) = tokio::io::duplex(16);
        let mut frames = framed(Some(body::sound(reader)));
        let mut said = [0; 11];
        writer.write_all(b"abc").await.expect("taken");
        frames.read_exact(&mut said).await.expect("a frame");
        assert_eq!(&said, b"3      \nabc");
        drop(writer);
        frames.read_exact(&mut said[..8]).await.expect("the end");
        assert_eq!(&said[..8], b"0      \n");
        let closed = poll_fn(|cx| Poll::Ready(frames.as_mut().poll_read(cx, &mut ReadBuf::new(&mut said)).is_ready())).await;
        assert!(!closed, "closing is a cut");
    }

    #[tokio::test]
    async fn a_long_body_is_frames_of_a_megabyte() {
        let mut frames = framed(Some(body::from_bytes(vec![7; FRAME + 1])));
        let mut said = vec![0; HEAD + FRAME + HEAD + 1 + HEAD];
        frames.read_exact(&mut said).await.expect("frames");
        assert_eq!(&said[..HEAD], b"1048576\n");
        assert_eq!(&said[HEAD + FRAME..], b"1      \n\x070      \n");
    }
}
