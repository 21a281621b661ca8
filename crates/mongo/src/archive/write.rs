//! Writing an archive, one collection after the other.

use backup_core::{Doing, Result};
use bson::{Document, doc};
use crc_fast::{CrcAlgorithm, Digest};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::{ArchiveHeader, Archived, MAGIC, TERMINATOR};
use crate::documents::Documents;

/// Writes an archive that stock `mongorestore --archive` reads.
///
/// Holds one document at a time. It is whole once [`finish`](Self::finish) returned.
#[derive(Debug)]
pub struct ArchiveWriter<W> {
    writer: W,
}

impl<W: AsyncWrite + Unpin> ArchiveWriter<W> {
    /// Writes the prelude. Each of `collections` must follow, views without documents too, and of a time series its buckets.
    pub async fn begin(mut writer: W, header: &ArchiveHeader, collections: &[Archived]) -> Result<Self> {
        writer.write_all(&MAGIC).await?;
        let ArchiveHeader { concurrent_collections, server_version, tool_version } = header;
        let header = doc! {
            "concurrent_collections": *concurrent_collections, "version": "0.1",
            "server_version": server_version, "tool_version": tool_version,
        };
        put(&mut writer, &header).await?;
        for Archived { database, collection, metadata, form } in collections {
            let archived = doc! { "db": database, "collection": collection, "metadata": metadata, "size": 0, "type": form };
            put(&mut writer, &archived).await?;
        }
        writer.write_all(&TERMINATOR).await?;
        Ok(Self { writer })
    }

    /// Writes all of a collection and returns how many documents it has.
    pub async fn collection(&mut self, database: &str, collection: &str, documents: &mut Documents) -> Result<u64> {
        let header = |ends: bool, crc: u64| {
            doc! { "db": database, "collection": collection, "EOF": ends, "CRC": crc.cast_signed() }
        };
        let mut crc = Digest::new(CrcAlgorithm::Crc64Xz);
        let mut count = 0;
        while let Some(document) = documents.next().await? {
            if count == 0 {
                put(&mut self.writer, &header(false, 0)).await?;
            }
            crc.update(document);
            self.writer.write_all(document).await?;
            count += 1;
        }
        if count > 0 {
            self.writer.write_all(&TERMINATOR).await?;
        }
        put(&mut self.writer, &header(true, crc.finalize())).await?;
        self.writer.write_all(&TERMINATOR).await?;
        Ok(count)
    }

    /// Writes what is still held back, and returns the writer.
    pub async fn finish(mut self) -> Result<W> {
        self.writer.flush().await?;
        Ok(self.writer)
    }
}

async fn put(writer: &mut (impl AsyncWrite + Unpin), document: &Document) -> Result<()> {
    let bytes = document.to_vec().doing(|| "write a header of the archive")?;
    Ok(writer.write_all(&bytes).await?)
}
