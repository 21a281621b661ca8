//! A file of `mongodump --archive`, gzip or not, as a dump.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_compression::tokio::bufread::GzipDecoder;
use async_trait::async_trait;
use backup_core::{Body, Doing, Error, Key, Kind, Result, Sink, body};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use crate::archive::{Archive, Archived, MAGIC, Piece};
use crate::described::Described;
use crate::digest::Counted;
use crate::dump::{Dump, Listed};
use crate::dump_archive::OPLOG;
use crate::facts::CollectionType;
use crate::layout::BUCKETS;
use crate::stored_name::{check_collection, check_database};

/// What a gzip begins with.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// An archive, read through once: it is whole, and what is in it is known.
///
/// The documents of a collection are found by reading it from its beginning: to restore many, it is read as often.
#[derive(Debug)]
pub struct ArchiveDump {
    sink: Arc<dyn Sink>,
    key: Key,
    /// By database and collection.
    collections: BTreeMap<(String, String), Found>,
    has_oplog: bool,
}

/// A collection in an archive.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Under which name its documents come, and what they are.
    documents: Option<(String, Counted)>,
    pub(crate) described: Described,
}

impl ArchiveDump {
    /// Reads the archive to its end: [`Kind::Damaged`] where it breaks off or contradicts itself.
    pub async fn open(sink: Arc<dyn Sink>, key: Key) -> Result<Self> {
        let (collections, has_oplog) = read_through(&*sink, &key).await.doing(|| format!("read {key}"))?;
        Ok(Self { sink, key, collections, has_oplog })
    }

    fn found(&self, listed: &Listed) -> Result<&Found> {
        let key = (listed.database.clone(), listed.collection.clone());
        self.collections.get(&key).ok_or_else(|| Error::new(Kind::NotFound, format!("{} has no {listed}", self.key)))
    }

    /// The documents that come as those of `source` in `database`.
    fn source(&self, database: &str, source: &str) -> Body {
        let (sink, key, database, source) = (self.sink.clone(), self.key.clone(), database.to_owned(), source.to_owned());
        body::piped(move |mut writer| async move {
            let mut archive = open(&*sink, &key).await?;
            let mut buffer = Vec::new();
            while let Some(piece) = archive.next(&mut buffer).await? {
                let (Piece::Document(number) | Piece::End(number)) = piece;
                let is_it =
                    archive.collections().get(number).is_some_and(|it| it.database == database && it.collection == source);
                match piece {
                    Piece::Document(_) if is_it => writer.write_all(&buffer).await?,
                    Piece::End(_) if is_it => return Ok(()),
                    _ => {}
                }
            }
            Err(Error::damaged(format!("{key} does not have {database}.{source} any more")))
        })
    }
}

#[async_trait]
impl Dump for ArchiveDump {
    async fn collections(&self) -> Result<Vec<Listed>> {
        let listed = |((database, collection), found): (&(String, String), &Found)| Listed {
            database: database.clone(),
            collection: collection.clone(),
            kind: found.described.kind,
            counted: found.documents.as_ref().map(|(_, counted)| *counted),
        };
        let mut all: Vec<Listed> = self.collections.iter().map(listed).collect();
        all.sort_by_key(|listed| listed.kind == CollectionType::View);
        Ok(all)
    }

    async fn describe(&self, listed: &Listed) -> Result<Described> {
        Ok(self.found(listed)?.described.clone())
    }

    async fn documents(&self, listed: &Listed) -> Result<Body> {
        match &self.found(listed)?.documents {
            Some((source, _)) => Ok(self.source(&listed.database, source)),
            None => Ok(body::from_bytes("")),
        }
    }

    async fn oplog(&self) -> Result<Option<Body>> {
        Ok(self.has_oplog.then(|| self.source("", OPLOG)))
    }
}

/// Whether the file is an archive, compressed or not.
pub(crate) async fn is_archive(sink: &dyn Sink, key: &Key) -> Result<bool> {
    let mut begin = Vec::new();
    plain(sink, key).await?.take(MAGIC.len() as u64).read_to_end(&mut begin).await?;
    Ok(begin == MAGIC)
}

async fn open(sink: &dyn Sink, key: &Key) -> Result<Archive> {
    Archive::open(plain(sink, key).await?).await
}

async fn plain(sink: &dyn Sink, key: &Key) -> Result<Body> {
    decompressed(sink.get(key, None).await?).await
}

/// A body, decompressed if it is compressed.
pub(crate) async fn decompressed(body: Body) -> Result<Body> {
    let mut body = BufReader::with_capacity(body::CHUNK, body);
    if !body.fill_buf().await?.starts_with(&GZIP) {
        return Ok(Box::pin(body));
    }
    let mut gzip = GzipDecoder::new(body);
    gzip.multiple_members(true);
    Ok(body::worded(gzip, |error| Error::damaged("its gzip breaks off or is none").with_source(error)))
}

/// What is in the archive, and whether it has an oplog.
async fn read_through(sink: &dyn Sink, key: &Key) -> Result<(BTreeMap<(String, String), Found>, bool)> {
    let mut archive = open(sink, key).await?;
    let mut counted: Vec<Option<Counted>> = Vec::new();
    let mut buffer = Vec::new();
    while let Some(piece) = archive.next(&mut buffer).await? {
        let (Piece::Document(number) | Piece::End(number)) = piece;
        counted.resize(archive.collections().len(), None);
        let Some(counted) = counted.get_mut(number) else { continue };
        let counted = counted.get_or_insert_default();
        if let Piece::Document(_) = piece {
            counted.add(&buffer);
        }
    }
    Ok((found(archive.collections(), counted)?, has_oplog(archive.collections())))
}

/// Whether the oplog is among what an archive has. It belongs to no database.
pub(crate) fn has_oplog(archived: &[Archived]) -> bool {
    archived.iter().any(|archived| archived.database.is_empty() && archived.collection == OPLOG)
}

/// The collections of an archive, and what was counted of them in this order, if it was.
pub(crate) fn found(archived: &[Archived], mut counted: Vec<Option<Counted>>) -> Result<BTreeMap<(String, String), Found>> {
    counted.resize(archived.len(), None);
    let mut collections = BTreeMap::<_, Found>::new();
    for (archived, counted) in archived.iter().zip(counted) {
        // It is no collection.
        if archived.database.is_empty() {
            continue;
        }
        check_database(&archived.database)?;
        check_collection(&archived.collection)?;
        let is_buckets = archived.metadata.is_empty();
        let name = match archived.collection.strip_prefix(BUCKETS) {
            Some(name) if is_buckets => name,
            _ => archived.collection.as_str(),
        };
        let found = collections.entry((archived.database.clone(), name.to_owned())).or_default();
        if !is_buckets {
            let described = Described::from_json(archived.metadata.as_bytes());
            found.described = described.doing(|| format!("read what {} is", archived.collection))?;
        }
        if let Some(counted) = counted.filter(|_| archived.form != "view") {
            found.documents = Some((archived.collection.clone(), counted));
        }
    }
    Ok(collections)
}

#[cfg(test)]
mod tests {
    use backup_core::Memory;
    use bson::doc;

    use super::*;
    use crate::archive::{ArchiveHeader, ArchiveWriter};
    use crate::documents::Documents;

    #[tokio::test]
    async fn what_a_writer_wrote_is_a_dump() {
        let archived = |name: &str, metadata: &str, form: &str| Archived {
            database: "shop".into(),
            collection: name.into(),
            metadata: metadata.into(),
            form: form.into(),
        };
        let collections = [
            archived("users", r#"{"options":{"capped":true}}"#, "collection"),
            archived("weather", r#"{"options":{"timeseries":{"timeField":"t"}},"type":"timeseries"}"#, "timeseries"),
            archived("seen", r#"{"options":{"viewOn":"users","pipeline":[]},"type":"view"}"#, "view"),
        ];
        let mut writer = ArchiveWriter::begin(Vec::new(), &ArchiveHeader::default(), &collections).await.expect("begun");
        let bytes =
            [doc! { "_id": 1 }, doc! { "_id": 2 }].iter().flat_map(|one| one.to_vec().expect("bytes")).collect::<Vec<_>>();
        for (name, bytes) in [("users", bytes.clone()), ("system.buckets.weather", bytes.clone()), ("seen", Vec::new())] {
            writer.collection("shop", name, &mut Documents::new(body::from_bytes(bytes), name)).await.expect("written");
        }
        let sink: Arc<dyn Sink> = Arc::new(Memory::default());
        let key: Key = "all.archive".parse().expect("a key");
        sink.put(&key, body::from_bytes(writer.finish().await.expect("written"))).await.expect("stored");
        let dump = ArchiveDump::open(sink, key).await.expect("a dump");
        let all = dump.collections().await.expect("collections");
        let told: Vec<_> =
            all.iter().map(|one| (one.collection.as_str(), one.kind, one.counted.map(|of| of.documents))).collect();
        let expected = [
            ("users", CollectionType::Collection, Some(2)),
            ("weather", CollectionType::TimeSeries, Some(2)),
            ("seen", CollectionType::View, None),
        ];
        assert_eq!(told, expected);
        for listed in &all {
            let read = body::to_vec(dump.documents(listed).await.expect("a body"), 1 << 20).await.expect("whole");
            assert_eq!(read, if listed.kind == CollectionType::View { Vec::new() } else { bytes.clone() }, "{listed}");
        }
        assert!(dump.describe(&all[0]).await.expect("described").options.contains_key("capped"));
    }
}
