//! A backup as one stream: what `mongodump --archive` writes and `mongorestore --archive` reads.

use std::sync::Arc;

use backup_core::{Body, Doing, Error, Name, Result, Stored, body};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::archive::{ArchiveHeader, ArchiveWriter, Archived};
use crate::described::LONGEST;
use crate::documents::Documents;
use crate::facts::{CollectionType, Content, PartFacts};
use crate::layout::BUCKETS;

/// The name of the oplog in an archive, where it belongs to no database.
pub(crate) const OPLOG: &str = "oplog";

/// A collection, or the oplog, and the parts that it is made of.
#[derive(Debug, Default)]
struct Member {
    archived: Archived,
    /// What the blocks of its documents are headed.
    source: String,
    metadata: Option<Name>,
    /// In the order of the ranges.
    documents: Vec<(u32, Name)>,
}

/// The archive of a backup, not compressed; one collection comes after the other, the oplog last.
///
/// Read from where the backup lies, at the pace of whoever reads; nothing is staged. A part that is not what was stored breaks it.
pub fn dump_archive(backup: Arc<dyn Stored>) -> Result<Body> {
    let members = members(&*backup)?;
    let header = ArchiveHeader {
        concurrent_collections: 1,
        server_version: backup.manifest().origin.version.clone(),
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    Ok(body::piped(move |out| async move {
        let mut archived = Vec::new();
        for member in &members {
            let mut one = member.archived.clone();
            if let Some(part) = &member.metadata {
                let json = body::to_vec(backup.read(part).await?, LONGEST).await?;
                one.metadata = String::from_utf8(json).doing(|| format!("read {part}"))?;
            }
            archived.push(one);
        }
        let mut writer = ArchiveWriter::begin(out, &header, &archived).await?;
        for member in &members {
            let mut all: Body = body::from_bytes("");
            for (_, part) in &member.documents {
                all = Box::pin(all.chain(backup.read(part).await?));
            }
            let mut documents = Documents::new(all, &*member.source);
            writer.collection(&member.archived.database, &member.source, &mut documents).await?;
        }
        writer.finish().await?.shutdown().await?;
        Ok(())
    }))
}

/// The collections in the order of their first parts.
fn members(backup: &dyn Stored) -> Result<Vec<Member>> {
    let mut members: Vec<Member> = Vec::new();
    for part in &backup.manifest().parts {
        let facts = PartFacts::from_facts(&part.name, &part.facts)?;
        let (database, collection) = match (facts.content, facts.database, facts.collection) {
            (Content::Oplog, ..) => (String::new(), OPLOG.to_owned()),
            (_, Some(database), Some(collection)) => (database, collection),
            _ => continue,
        };
        let is_same = |member: &Member| member.archived.database == database && member.archived.collection == collection;
        let at = match members.iter().rposition(is_same) {
            Some(at) => at,
            None => {
                let (form, source) = match facts.kind {
                    Some(CollectionType::View) => ("view", collection.clone()),
                    Some(CollectionType::TimeSeries) => ("timeseries", format!("{BUCKETS}{collection}")),
                    Some(CollectionType::Collection) => ("collection", collection.clone()),
                    None => ("", collection.clone()),
                };
                let archived = Archived { database, collection, metadata: String::new(), form: form.to_owned() };
                members.push(Member { archived, source, ..Member::default() });
                members.len() - 1
            }
        };
        let member = members.get_mut(at).ok_or_else(|| Error::failed("a collection was lost"))?;
        match facts.content {
            Content::Metadata => member.metadata = Some(part.name.clone()),
            _ => member.documents.push((facts.range.unwrap_or_default(), part.name.clone())),
        }
    }
    members.iter_mut().for_each(|member| member.documents.sort_unstable());
    Ok(members)
}
