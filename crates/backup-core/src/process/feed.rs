//! A child is fed: a body becomes its standard input.

use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::{fmt, io};

use tokio::io::{AsyncWrite, ReadBuf};
use tokio::process::ChildStdin;

use crate::Body;
use crate::body::CHUNK;

/// A child's input and who it comes from.
pub(super) struct Feed {
    body: Body,
    to: ChildStdin,
    chunk: Vec<u8>,
    /// What of the chunk is still to be handed on.
    ready: Range<usize>,
}

impl Feed {
    pub(super) fn new(body: Body, to: ChildStdin) -> Self {
        Self { body, to, chunk: vec![0; CHUNK], ready: 0..0 }
    }

    /// Ready once there is no more to hand on, or nobody who takes it.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.ready.is_empty() {
                let mut buf = ReadBuf::new(&mut self.chunk);
                ready!(self.body.as_mut().poll_read(cx, &mut buf))?;
                self.ready = 0..buf.filled().len();
                if self.ready.is_empty() {
                    return Poll::Ready(Ok(()));
                }
            }
            let chunk = self.chunk.get(self.ready.clone()).unwrap_or_default();
            match ready!(Pin::new(&mut self.to).poll_write(cx, chunk)) {
                Ok(taken) => self.ready.start += taken,
                Err(_) => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("ready", &self.ready).finish_non_exhaustive()
    }
}
