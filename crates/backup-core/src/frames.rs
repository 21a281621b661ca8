//! Zstandard frames, each of a stretch of the body that is compressed at once.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{BufMut, BytesMut};
use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::io::poll_read_buf;
use zstd::bulk::Compressor;
use zstd::zstd_safe::{CParameter, compress_bound};

use crate::body::{self, Body};

/// How many bytes of the body are in a frame; the last one has less.
///
/// A stream that goes through zstd in small pieces is searched across the seam of its window, which takes twice the time
/// of a stretch that lies in memory whole. A longer stretch costs memory, and stores hardly less.
const FRAME: usize = 1024 * 1024;

/// `body` as Zstandard frames with checksums; an empty body is one empty frame.
pub(crate) fn compressed(body: Body, level: i32) -> Body {
    let plain = BytesMut::with_capacity(FRAME);
    body::sound(Frames { body, level, compressor: None, plain, frame: Vec::new(), passed: 0, ended: false })
}

struct Frames {
    body: Body,
    level: i32,
    /// Made with the first frame.
    compressor: Option<Compressor<'static>>,
    plain: BytesMut,
    frame: Vec<u8>,
    /// How much of `frame` was read.
    passed: usize,
    ended: bool,
}

impl Frames {
    fn compress(&mut self) -> io::Result<()> {
        let compressor = match &mut self.compressor {
            Some(compressor) => compressor,
            none => {
                let mut compressor = Compressor::new(self.level)?;
                compressor.set_parameter(CParameter::ChecksumFlag(true))?;
                none.insert(compressor)
            }
        };
        self.frame.clear();
        self.frame.reserve(compress_bound(self.plain.len()));
        compressor.compress_to_buffer(&self.plain, &mut self.frame)?;
        self.plain.clear();
        self.passed = 0;
        Ok(())
    }
}

impl AsyncRead for Frames {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.passed == this.frame.len() {
            while !this.ended && this.plain.len() < FRAME {
                let free = FRAME - this.plain.len();
                this.ended = ready!(poll_read_buf(this.body.as_mut(), cx, &mut (&mut this.plain).limit(free)))? == 0;
            }
            if this.plain.is_empty() && this.compressor.is_some() {
                return Poll::Ready(Ok(()));
            }
            this.compress()?;
        }
        let left = this.frame.get(this.passed..).unwrap_or_default();
        let length = left.len().min(buf.remaining());
        buf.put_slice(left.get(..length).unwrap_or_default());
        this.passed += length;
        Poll::Ready(Ok(()))
    }
}
