//! The same parts as plain SQL in one stream, for psql.

use std::collections::VecDeque;

use backup_core::{Body, Context, Doing, Error, Event, Result, Snapshot, Source};
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

/// How much is handed on at once, in bytes.
const CHUNK: usize = 256 * 1024;

/// How many chunks of a part are read ahead of their turn: 12 MiB.
const AHEAD: usize = 48;

/// How a dump begins.
const BEGIN: &[u8] = b"-- PostgreSQL dump. It is whole only if its last line says so.\n\n";

/// The last line of a dump that is whole.
pub(crate) const END: &[u8] = b"-- End of the dump.";

/// How large a range of a table should be for [`dump`], in bytes: one that is read ahead fits into memory mostly.
pub const RANGE: u64 = 8 * 1024 * 1024;

/// Writes every part of `sources` to `out`, in order: psql input that recreates what they hold.
///
/// Parts are read several at a time and written one after another. It is whole only if this returns `Ok`: whoever reads
/// `out` must look at that, as with any dump. Memory: 12 MiB for each part that is read at the same time.
pub async fn dump(cx: &Context, sources: &[Box<dyn Source>], out: &mut (impl AsyncWrite + Unpin)) -> Result<()> {
    write(cx, out, BEGIN).await?;
    for source in sources {
        one(cx, source.snapshot(cx, None).await?, out).await?;
    }
    end(cx, out).await
}

/// The same of one snapshot that is there already.
pub(crate) async fn dump_snapshot(
    cx: &Context,
    snapshot: Box<dyn Snapshot>,
    out: &mut (impl AsyncWrite + Unpin),
) -> Result<()> {
    write(cx, out, BEGIN).await?;
    one(cx, snapshot, out).await?;
    end(cx, out).await
}

async fn end(cx: &Context, out: &mut (impl AsyncWrite + Unpin)) -> Result<()> {
    write(cx, out, END).await?;
    write(cx, out, b"\n").await?;
    cx.unless_cancelled(async { out.flush().await.doing(|| "write the dump") }).await
}

/// Writes `bytes`, unless the run is cancelled: whoever reads may have stopped reading.
async fn write(cx: &Context, out: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> Result<()> {
    cx.unless_cancelled(async { out.write_all(bytes).await.doing(|| "write the dump") }).await
}

async fn one(cx: &Context, snapshot: Box<dyn Snapshot>, out: &mut (impl AsyncWrite + Unpin)) -> Result<()> {
    let parts = snapshot.parts();
    let bytes = parts.iter().filter_map(|part| part.estimate).sum();
    cx.tell(Event::Begun { what: "dump", parts: parts.len(), bytes: Some(bytes) });
    let mut opened = VecDeque::new();
    let mut left = parts.iter();
    loop {
        while opened.len() < snapshot.width()
            && let Some(part) = left.next()
        {
            let reading = snapshot.read(&part.name).await?;
            let (chunks, pumped) = mpsc::channel(AHEAD);
            let pump = AbortOnDropHandle::new(tokio::spawn(pump(reading.body, chunks)));
            opened.push_back((&part.name, pump, pumped));
        }
        let Some((name, pump, mut chunks)) = opened.pop_front() else { break };
        cx.tell(Event::PartBegun { part: name });
        let mut size = 0;
        while let Some(chunk) = cx.unless_cancelled(async { Ok(chunks.recv().await) }).await? {
            write(cx, out, &chunk).await?;
            size += chunk.len() as u64;
            cx.tell(Event::Progress { part: name, bytes: chunk.len() as u64 });
        }
        let ended = pump.await.map_err(|error| Error::failed("the reader of the part broke off").with_source(error))?;
        ended.doing(|| format!("read {name}"))?;
        cx.tell(Event::PartDone { part: name, bytes: size });
    }
    snapshot.close().await
}

/// Reads `body` to its end into `chunks`.
async fn pump(mut body: Body, chunks: mpsc::Sender<Bytes>) -> Result<()> {
    loop {
        let mut chunk = BytesMut::with_capacity(CHUNK);
        while chunk.len() < CHUNK && body.read_buf(&mut chunk).await? > 0 {}
        if chunk.is_empty() {
            return Ok(());
        }
        if chunks.send(chunk.freeze()).await.is_err() {
            return Err(Error::cancelled());
        }
    }
}
