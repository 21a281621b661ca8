//! Which collections the files of mongodump's folder make, wherever they lie.

use std::collections::BTreeMap;

use backup_core::{Doing, Error, Result};

use crate::described::Described;
use crate::digest::Counted;
use crate::dump::Listed;
use crate::facts::CollectionType;
use crate::layout::BUCKETS;
use crate::stored_name::{Stem, check_collection};

/// The most files that a dump may have.
const MOST: usize = 200_000;

/// What a dump has of a collection.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Where the documents are, and what they are.
    pub(crate) documents: Option<(String, Counted)>,
    pub(crate) described: Option<Described>,
}

/// The files that were met, which may be in any order.
#[derive(Debug, Default)]
pub(crate) struct Files {
    described: BTreeMap<Stem, Described>,
    documents: BTreeMap<Stem, (String, Counted)>,
}

impl Files {
    /// Takes the metadata at `path`.
    pub(crate) fn describe(&mut self, stem: Stem, path: &str, json: &[u8]) -> Result<()> {
        let described = Described::from_json(json).doing(|| format!("read {path}"))?;
        let before = self.described.insert(stem, described);
        self.check(path, before.is_some())
    }

    /// Takes the documents at `path`, which were read through.
    pub(crate) fn count(&mut self, stem: Stem, path: &str, counted: Counted) -> Result<()> {
        let before = self.documents.insert(stem, (path.to_owned(), counted));
        self.check(path, before.is_some())
    }

    fn check(&self, path: &str, is_twice: bool) -> Result<()> {
        match (is_twice, self.described.len() + self.documents.len() > MOST) {
            (true, _) => Err(Error::damaged(format!("{path} is there twice"))),
            (_, true) => Err(Error::damaged("it has more files than can be")),
            _ => Ok(()),
        }
    }

    /// The collections by database and name.
    pub(crate) fn collections(self) -> Result<BTreeMap<(String, String), Found>> {
        let mut collections = BTreeMap::<_, Found>::new();
        let mut cut = BTreeMap::new();
        let unnamed = |file: &str| Error::damaged(format!("nothing says which collection {file} is"));
        for (stem, described) in self.described {
            let name = stem.collection.clone().or_else(|| described.name.clone()).ok_or_else(|| unnamed(&stem.file))?;
            check_collection(&name)?;
            cut.insert((stem.database.clone(), stem.file), name.clone());
            collections.entry((stem.database, name)).or_default().described = Some(described);
        }
        for (stem, found) in self.documents {
            let of = cut.get(&(stem.database.clone(), stem.file.clone())).cloned().or(stem.collection);
            let name = of.ok_or_else(|| unnamed(&stem.file))?;
            let name = name.strip_prefix(BUCKETS).map(str::to_owned).unwrap_or(name);
            collections.entry((stem.database, name)).or_default().documents = Some(found);
        }
        Ok(collections)
    }
}

/// The collections as a dump lists them.
pub(crate) fn listed(collections: &BTreeMap<(String, String), Found>) -> Vec<Listed> {
    let listed = |((database, collection), found): (&(String, String), &Found)| Listed {
        database: database.clone(),
        collection: collection.clone(),
        kind: found.described.as_ref().map_or(CollectionType::Collection, |described| described.kind),
        counted: found.documents.as_ref().map(|(_, counted)| *counted),
    };
    let mut all: Vec<Listed> = collections.iter().map(listed).collect();
    all.sort_by_key(|listed| listed.kind == CollectionType::View);
    all
}
