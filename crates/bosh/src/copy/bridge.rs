//! Bytes of a body, read by work that blocks: on disks, not on the body's connection.

use std::io::{self, Read};

use backup_core::{Body, Error, Result, body};
use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

/// How many chunks are read ahead.
const AHEAD: usize = 8;

/// The bytes of a body, on a thread where it may block. Its end says that the body was whole.
#[derive(Debug)]
pub(crate) struct Blocking {
    chunks: mpsc::Receiver<io::Result<Bytes>>,
    chunk: Bytes,
    ended: bool,
}

impl Read for Blocking {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.chunk.is_empty() && !self.ended {
            let cut_off = || Err(Error::cancelled().into());
            let chunk = self.chunks.blocking_recv().unwrap_or_else(cut_off)?;
            self.ended = chunk.is_empty();
            self.chunk = chunk;
        }
        let length = self.chunk.len().min(buffer.len());
        buffer.get_mut(..length).unwrap_or_default().copy_from_slice(self.chunk.get(..length).unwrap_or_default());
        self.chunk.advance(length);
        Ok(length)
    }
}

/// Does `work` with the bytes of `body` on a thread where it may block. 512 KiB at most wait for it.
///
/// Dropped, it drops the body, and `work` is told so by an error at its next read.
pub(crate) async fn read<T: Send + 'static>(
    body: Body,
    work: impl FnOnce(&mut Blocking) -> Result<T> + Send + 'static,
) -> Result<T> {
    let (sender, chunks) = mpsc::channel(AHEAD);
    let mut reader = Blocking { chunks, chunk: Bytes::new(), ended: false };
    let worked = tokio::task::spawn_blocking(move || work(&mut reader));
    pump(body, sender).await;
    joined(worked.await)
}

/// What `work` makes of `body`, piece by piece, on a thread where it may block. A few pieces at most wait for whoever reads.
pub(crate) fn through(
    body: Body,
    work: impl FnOnce(&mut Blocking, &mut dyn FnMut(&[u8]) -> io::Result<()>) -> Result<()> + Send + 'static,
) -> Body {
    body::piped(move |mut writer| async move {
        let (sender, mut pieces) = mpsc::channel::<Bytes>(AHEAD);
        let reading = read(body, move |reader| {
            work(reader, &mut |piece| {
                sender.blocking_send(Bytes::copy_from_slice(piece)).map_err(|_| Error::cancelled().into())
            })
        });
        let writing = async {
            while let Some(piece) = pieces.recv().await {
                writer.write_all(&piece).await?;
            }
            Ok(())
        };
        tokio::try_join!(reading, writing).map(drop)
    })
}

/// Does `work` on a thread where it may block.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    joined(tokio::task::spawn_blocking(work).await)
}

fn joined<T>(worked: std::result::Result<Result<T>, tokio::task::JoinError>) -> Result<T> {
    worked.unwrap_or_else(|error| Err(Error::failed("the work of a copy broke off").with_source(error)))
}

async fn pump(mut body: Body, sender: mpsc::Sender<io::Result<Bytes>>) {
    loop {
        let mut chunk = BytesMut::with_capacity(body::CHUNK);
        let read = body.read_buf(&mut chunk).await;
        let is_last = !matches!(read, Ok(1..));
        // Whoever does not listen any more has had enough.
        if sender.send(read.map(|_| chunk.freeze())).await.is_err() || is_last {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use backup_core::Kind;

    use super::*;

    fn all(reader: &mut Blocking) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    #[tokio::test]
    async fn the_bytes_and_the_end_of_a_body_arrive() {
        let bytes: Vec<u8> = (0..body::CHUNK * 20 + 3).map(|at| at as u8).collect();
        assert_eq!(read(body::from_bytes(bytes.clone()), all).await.expect("whole"), bytes);
        let broken = body::piped(|_| async { Err(Error::damaged("flipped")) });
        assert_eq!(read(broken, all).await.expect_err("it broke").kind(), Kind::Damaged);
    }

    #[tokio::test]
    async fn a_copy_that_is_dropped_ends_its_work() {
        let (told, tells) = tokio::sync::oneshot::channel();
        let reading = read(body::piped(|_| std::future::pending()), move |reader| {
            let _ = told.send(all(reader).map_err(|error| error.kind()));
            Ok(())
        });
        tokio::select! {
            _ = reading => panic!("the body never ends"),
            () = tokio::time::sleep(std::time::Duration::from_millis(20)) => {}
        }
        assert_eq!(tells.await.expect("it ended"), Err(Kind::Cancelled));
    }
}
