//! A dump to restore from: which collections it holds, and the documents of each.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;

use async_trait::async_trait;
use backup_core::{Body, Doing, Error, Kind, Manifest, Name, Result, Stored, body};
use tokio::io::AsyncReadExt;

use crate::described::{self, Described};
use crate::digest::Counted;
use crate::facts::{CollectionType, Content, PartFacts};

/// A dump to restore from.
#[async_trait]
pub trait Dump: fmt::Debug + Send + Sync {
    /// The collections it holds, views behind those that they may show.
    async fn collections(&self) -> Result<Vec<Listed>>;

    /// What a collection is beside its documents.
    async fn describe(&self, listed: &Listed) -> Result<Described>;

    /// The documents of a collection, one behind the other; what is no whole dump of it breaks before its end.
    async fn documents(&self, listed: &Listed) -> Result<Body>;

    /// What happened while the documents were read, if the dump has it: the entries of the oplog, one behind the other.
    async fn oplog(&self) -> Result<Option<Body>> {
        Ok(None)
    }
}

/// A collection in a dump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its database.
    pub database: String,
    /// Its name.
    pub collection: String,
    /// What it is, as far as a listing says; [`Described`] knows it for sure.
    pub kind: CollectionType,
    /// Its documents, if the dump says so.
    pub counted: Option<Counted>,
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.database, self.collection)
    }
}

/// A backup of this family as a dump.
#[derive(Debug)]
pub struct StoredDump<S> {
    stored: S,
    collections: Collections,
    oplog: Option<Name>,
}

/// The parts of a collection.
#[derive(Debug, Default)]
struct Parts {
    kind: Option<CollectionType>,
    metadata: Option<Name>,
    /// By the number of the range.
    documents: BTreeMap<u32, Name>,
    counted: Option<Counted>,
}

impl<S: Deref<Target: Stored>> StoredDump<S> {
    /// The backup's own list. [`Kind::Damaged`] if it contradicts itself, [`Kind::Usage`] if it is none of a MongoDB deployment.
    pub fn new(stored: S) -> Result<Self> {
        let (collections, oplog) = read(stored.manifest())?;
        Ok(Self { stored, collections, oplog })
    }

    fn parts(&self, listed: &Listed) -> Result<&Parts> {
        let key = (listed.database.clone(), listed.collection.clone());
        let missing = || Error::new(Kind::NotFound, format!("the backup has no {listed}"));
        self.collections.get(&key).ok_or_else(missing)
    }
}

/// Collections, by database and name.
type Collections = BTreeMap<(String, String), Parts>;

/// The collections that a manifest lists, and the part of the oplog.
fn read(manifest: &Manifest) -> Result<(Collections, Option<Name>)> {
    if manifest.origin.kind != "mongodb" {
        return Err(Error::usage(format!("backup {} holds {}, not mongodb", manifest.id, manifest.origin.kind)));
    }
    let mut collections = Collections::new();
    let mut oplog = None;
    for part in &manifest.parts {
        let facts = PartFacts::from_facts(&part.name, &part.facts)?;
        if facts.content == Content::Oplog && oplog.replace(part.name.clone()).is_some() {
            return Err(Error::damaged(format!("backup {} has two oplogs", manifest.id)));
        }
        let (Some(database), Some(collection)) = (facts.database, facts.collection) else { continue };
        let twice = || Error::damaged(format!("backup {} has {database}.{collection} twice", manifest.id));
        let parts = collections.entry((database.clone(), collection.clone())).or_default();
        parts.kind = parts.kind.or(facts.kind);
        match facts.content {
            Content::Metadata if parts.metadata.is_none() => parts.metadata = Some(part.name.clone()),
            Content::Documents => {
                if parts.documents.insert(facts.range.unwrap_or_default(), part.name.clone()).is_some() {
                    return Err(twice());
                }
                if let Some(counted) = facts.documents {
                    *parts.counted.get_or_insert_default() += counted;
                }
            }
            Content::Metadata => return Err(twice()),
            Content::Prelude | Content::Oplog => {}
        }
    }
    Ok((collections, oplog))
}

#[async_trait]
impl<S: Deref<Target: Stored> + fmt::Debug + Send + Sync> Dump for StoredDump<S> {
    async fn collections(&self) -> Result<Vec<Listed>> {
        let listed = |((database, collection), parts): (&(String, String), &Parts)| Listed {
            database: database.clone(),
            collection: collection.clone(),
            kind: parts.kind.unwrap_or(CollectionType::Collection),
            counted: parts.counted,
        };
        let mut all: Vec<Listed> = self.collections.iter().map(listed).collect();
        all.sort_by_key(|listed| listed.kind == CollectionType::View);
        Ok(all)
    }

    async fn describe(&self, listed: &Listed) -> Result<Described> {
        let Some(part) = &self.parts(listed)?.metadata else { return Ok(Described::default()) };
        let json = body::to_vec(self.stored.read(part).await?, described::LONGEST).await;
        json.and_then(|json| Described::from_json(&json)).doing(|| format!("read options and indexes of {listed}"))
    }

    async fn documents(&self, listed: &Listed) -> Result<Body> {
        let mut all: Body = body::from_bytes("");
        for part in self.parts(listed)?.documents.values() {
            all = Box::pin(all.chain(self.stored.read(part).await?));
        }
        Ok(all)
    }

    async fn oplog(&self) -> Result<Option<Body>> {
        match &self.oplog {
            Some(part) => Ok(Some(self.stored.read(part).await?)),
            None => Ok(None),
        }
    }
}
