//! What a backup holds, sorted by when it is played: globals, then each database.

use std::collections::BTreeMap;

use backup_core::{Error, Kind, Name, Result, Stored};

use crate::facts::{PartFacts, Stage};
use crate::globals::{DatabaseRecord, Tablespace};
use crate::quote::ident;

/// The parts of a backup, sorted.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) roles: Option<Name>,
    pub(crate) last: Option<Name>,
    pub(crate) tablespaces: Vec<Tablespace>,
    /// In the order in which they were taken.
    pub(crate) databases: Vec<Parts>,
}

/// The parts of one database.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) name: String,
    pub(crate) record: Option<DatabaseRecord>,
    pub(crate) pre: Vec<Loaded>,
    pub(crate) data: Vec<Loaded>,
    pub(crate) indexes: Vec<Loaded>,
    pub(crate) post: Vec<Loaded>,
}

/// A part and what the manifest says of it.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    pub(crate) name: Name,
    pub(crate) size: u64,
    pub(crate) facts: PartFacts,
}

impl Layout {
    /// Reads what the manifest of `backup` says; which objects there are only if `objects` are asked for, since they are many.
    pub(crate) fn read(backup: &dyn Stored, objects: bool) -> Result<Self> {
        let manifest = backup.manifest();
        if manifest.origin.kind != "postgresql" {
            let kind = &manifest.origin.kind;
            return Err(Error::usage(format!("backup {} holds {kind}, not PostgreSQL", manifest.id)));
        }
        let mut layout = Self { roles: None, last: None, tablespaces: Vec::new(), databases: Vec::new() };
        let mut places: BTreeMap<String, usize> = BTreeMap::new();
        for part in &manifest.parts {
            let mut facts = PartFacts::from_facts(&part.name, &part.facts)?;
            if !objects {
                facts.objects = Vec::new();
            }
            let loaded = Loaded { name: part.name.clone(), size: part.size, facts };
            match (loaded.facts.stage, loaded.facts.database.clone()) {
                (Stage::Roles, _) => layout.roles = Some(loaded.name),
                (Stage::Tablespaces, _) => layout.tablespaces = loaded.facts.tablespaces,
                (Stage::Last, _) => layout.last = Some(loaded.name),
                (stage, Some(database)) => {
                    let place = *places.entry(database.clone()).or_insert_with(|| {
                        layout.databases.push(Parts::of(database));
                        layout.databases.len() - 1
                    });
                    layout.databases[place].add(stage, loaded);
                }
                (_, None) => return Err(Error::damaged(format!("the manifest says of no database that {} is its", part.name))),
            }
        }
        Ok(layout)
    }

    /// The databases called `only`, all if it is empty.
    pub(crate) fn select(&self, only: &[String]) -> Result<Vec<&Parts>> {
        if only.is_empty() {
            return Ok(self.databases.iter().collect());
        }
        let find = |name: &String| {
            self.databases.iter().find(|database| database.name == *name).ok_or_else(|| {
                let there: Vec<String> = self.databases.iter().map(|database| ident(&database.name)).collect();
                Error::new(Kind::NotFound, format!("the backup has no database {}", ident(name)))
                    .with_hint(format!("it has {}", there.join(", ")))
            })
        };
        only.iter().map(find).collect()
    }
}

impl Parts {
    fn of(name: String) -> Self {
        Self { name, record: None, pre: Vec::new(), data: Vec::new(), indexes: Vec::new(), post: Vec::new() }
    }

    fn add(&mut self, stage: Stage, part: Loaded) {
        match stage {
            Stage::Database => self.record = part.facts.record,
            Stage::Pre | Stage::Script => self.pre.push(part),
            Stage::Data => self.data.push(part),
            Stage::Indexes => self.indexes.push(part),
            Stage::Post => self.post.push(part),
            // Made anew from the record, for the name that the database has then.
            Stage::Properties | Stage::Roles | Stage::Tablespaces | Stage::Last => {}
        }
    }

    /// Whether it has nothing but what every new database has.
    pub(crate) fn is_bare(&self) -> bool {
        let mut counts = self.post.iter().flat_map(|part| &part.facts.counts).peekable();
        let given = |kind: &str| u64::from(["schemas", "extensions"].contains(&kind));
        counts.peek().is_some() && counts.all(|(kind, count)| *count <= given(kind))
    }

    /// All parts that are played, in order.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Loaded> {
        self.pre.iter().chain(&self.data).chain(&self.indexes).chain(&self.post)
    }

    /// How many rows there are of each table, ranges added up.
    pub(crate) fn rows(&self) -> BTreeMap<(String, String), crate::digest::Rows> {
        let mut rows: BTreeMap<_, crate::digest::Rows> = BTreeMap::new();
        for table in self.data.iter().flat_map(|part| &part.facts.tables) {
            *rows.entry((table.schema.clone(), table.name.clone())).or_default() += table.rows;
        }
        rows
    }
}
