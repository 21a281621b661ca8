//! Large objects as psql input, and what they hold.

use std::sync::OnceLock;

use backup_core::{Doing, Facts, Result};
use bytes::Bytes;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio_postgres::{Client, Statement};

use crate::digest::Rows;
use crate::facts::PartFacts;
use crate::large_object;

/// How much of a large object is read at once, in bytes.
const PIECE: i32 = 128 * 1024;

/// How many large objects are listed at once: there can be millions.
const PAGE: i64 = 10_000;

/// Writes `header` and then every large object: its creation, owner, comment, privileges and bytes; sets `facts` at the end.
pub(crate) async fn write(
    client: &Client,
    header: Bytes,
    mut known: PartFacts,
    facts: &OnceLock<Facts>,
    mut out: impl AsyncWrite + Unpin,
) -> Result<()> {
    out.write_all(&header).await?;
    let get = prepare(client).await?;
    let mut rows = Rows::default();
    let mut after = 0_u32;
    loop {
        let page = large_object::page(client, after).await?;
        let Some(last) = page.last() else { break };
        after = last.oid;
        for object in page {
            out.write_all(&object.create).await?;
            pieces(client, &get, object.oid, &mut rows, Some(&mut out)).await?;
            out.write_all(&object.acl).await?;
        }
    }
    known.large_objects = Some(rows);
    let _ = facts.set(known.to_facts());
    out.shutdown().await?;
    Ok(())
}

/// What all large objects hold: the number of pieces, empty objects as one, and the sum of their hashes.
pub(crate) async fn digest(client: &Client) -> Result<Rows> {
    let get = prepare(client).await?;
    let mut rows = Rows::default();
    let mut after = 0_u32;
    loop {
        let page = page(client, after).await?;
        let Some(last) = page.last() else { return Ok(rows) };
        after = *last;
        for oid in page {
            pieces(client, &get, oid, &mut rows, None::<&mut tokio::io::Sink>).await?;
        }
    }
}

/// OIDs of large objects above `after`, in order.
async fn page(client: &Client, after: u32) -> Result<Vec<u32>> {
    let sql = "SELECT oid FROM pg_catalog.pg_largeobject_metadata WHERE oid > $1 ORDER BY oid LIMIT $2";
    let page = client.query(sql, &[&after, &PAGE]).await.doing(|| "list the large objects")?;
    Ok(page.iter().map(|row| row.get(0)).collect())
}

async fn prepare(client: &Client) -> Result<Statement> {
    client.prepare("SELECT pg_catalog.lo_get($1, $2, $3)").await.doing(|| "read the large objects")
}

async fn pieces(
    client: &Client,
    get: &Statement,
    oid: u32,
    rows: &mut Rows,
    mut out: Option<&mut (impl AsyncWrite + Unpin)>,
) -> Result<()> {
    let mut offset = 0_i64;
    loop {
        let row = client.query_one(get, &[&oid, &offset, &PIECE]).await;
        let row = row.doing(|| format!("read the large object {oid}"))?;
        let bytes: &[u8] = row.get(0);
        if offset == 0 || !bytes.is_empty() {
            let mut piece = format!("{oid} {offset} ").into_bytes();
            piece.extend_from_slice(bytes);
            rows.add_row(&piece);
        }
        if let Some(out) = &mut out
            && !bytes.is_empty()
        {
            let mut sql = format!("SELECT pg_catalog.lo_put({oid}, {offset}, '\\x").into_bytes();
            let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' - 10 + nibble };
            sql.extend(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]));
            sql.extend_from_slice(b"');\n");
            out.write_all(&sql).await?;
        }
        if bytes.len() < usize::try_from(PIECE).unwrap_or_default() {
            return Ok(());
        }
        offset += i64::from(PIECE);
    }
}
