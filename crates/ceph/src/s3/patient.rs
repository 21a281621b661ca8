//! An answer that stands still for too long is an error.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use backup_core::Error;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Instant, Sleep};

/// A reader that fails when nothing comes for `most`, counted only while somebody waits.
pub(super) struct Patient<R> {
    reader: R,
    most: Duration,
    sleep: Pin<Box<Sleep>>,
    waiting: bool,
}

impl<R> Patient<R> {
    pub(super) fn new(reader: R, most: Duration) -> Self {
        Self { reader, most, sleep: Box::pin(tokio::time::sleep(most)), waiting: false }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Patient<R> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Poll::Ready(read) = Pin::new(&mut self.reader).poll_read(cx, buf) {
            self.waiting = false;
            return Poll::Ready(read);
        }
        if !self.waiting {
            self.waiting = true;
            let until = Instant::now() + self.most;
            self.sleep.as_mut().reset(until);
        }
        match self.sleep.as_mut().poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => {
                let error = Error::failed(format!("nothing came for {} s", self.most.as_secs()));
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, error)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_stands_still_fails_and_what_is_slow_does_not() {
        let (mut writer, reader) = tokio::io::duplex(16);
        let mut patient = Patient::new(reader, Duration::from_secs(10));
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_secs(60)).await;
            writer.write_all(b"x").await.expect("written");
            assert_eq!(patient.read_u8().await.expect("it came"), b'x');
        }
        let started = Instant::now();
        assert_eq!(patient.read_u8().await.expect_err("it stands still").kind(), io::ErrorKind::TimedOut);
        assert_eq!(started.elapsed().as_secs(), 10);
    }
}
