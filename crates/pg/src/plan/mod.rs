//! How a database is cut into parts: definitions before the rows, rows, indexes, what comes after.

mod indexes;
mod rows;

use std::collections::{BTreeMap, HashMap, HashSet};

use backup_core::{Error, Key, Name, Part, Result};
use bytes::Bytes;

use self::indexes::split_indexes;
pub(crate) use self::rows::TABLES;
use crate::catalog::{Catalog, TableData};
use crate::copy::Slice;
use crate::facts::{ObjectFacts, PartFacts, SequenceFacts, Stage};
use crate::graph::{self, Step};
use crate::object::{Id, Kind, Section};
use crate::quote::{ident, literal, qualified};
use crate::raw_text;

/// Sizes that decide where tables are cut and which ones share a part.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cut {
    /// A table of more bytes than this is cut into ranges of at most about this many.
    pub(crate) range: u64,
    /// Smaller tables share a part until it has about this many bytes.
    pub(crate) pack: u64,
    /// Whether the server can read a range of pages without reading the rest (TID range scans, 14 and newer).
    pub(crate) ranges: bool,
}

/// Bytes of a table: of its main fork, and with its toast table.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Size {
    /// Pages of the main fork.
    pub(crate) pages: u64,
    /// Bytes of everything but indexes.
    pub(crate) bytes: u64,
}

/// A part and what it is made of.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) part: Part,
    pub(crate) facts: PartFacts,
    pub(crate) content: Content,
}

/// What a part is made of.
#[derive(Debug)]
pub(crate) enum Content {
    /// Text that is there already.
    Text(Bytes),
    /// Rows of tables, behind the header.
    Rows(Bytes, Vec<Slice>),
    /// Large objects, behind the header.
    LargeObjects(Bytes),
}

/// Names and makes the parts of one database.
pub(crate) struct Planner<'a> {
    /// Its name.
    pub(crate) database: &'a str,
    /// Where its files go in a backup: `db/0003`.
    pub(crate) folder: Option<&'a Key>,
    /// The settings that begin each part.
    pub(crate) header: &'a str,
    /// Size of each table, by OID.
    pub(crate) sizes: &'a HashMap<u32, Size>,
    /// Where tables are cut.
    pub(crate) cut: Cut,
    /// Whether a part comes first that drops what the others create.
    pub(crate) clean: bool,
}

impl Planner<'_> {
    /// The parts of `catalog` in restore order: definitions, rows, sequences, indexes, the rest.
    pub(crate) fn parts(&self, catalog: Catalog, large_objects: bool, counts: BTreeMap<String, u64>) -> Result<Vec<Planned>> {
        let mut parts = Vec::new();
        let steps = graph::order(&catalog.objects, &catalog.edges)?;
        let needs = needs(&catalog);
        made_before_their_rows(&catalog.tables, &steps)?;
        let (pre, post): (Vec<_>, Vec<_>) = steps.iter().copied().partition(|step| step.section == Section::Pre);
        if self.clean {
            parts.push(self.drops(&steps));
        }
        let (indexes, post) = split_indexes(&post, &needs, &pre);
        parts.push(self.definitions(Stage::Pre, "before", &pre, &needs));
        parts.extend(self.rows(&catalog.tables)?);
        if !catalog.sequences.is_empty() {
            parts.push(self.sequences(&catalog));
        }
        if large_objects {
            let facts = PartFacts::new(Stage::Data, Some(self.database));
            parts.push(self.part("large objects", facts, Content::LargeObjects(self.header.to_owned().into()), None));
        }
        for (number, group) in self.grouped(&indexes).iter().enumerate() {
            parts.push(self.definitions(Stage::Indexes, &format!("indexes {number:03}"), group, &needs));
        }
        parts.push(self.after(&steps, &post, &needs, counts));
        Ok(parts)
    }

    /// What comes last, in order: definitions, privileges, contents of materialized views.
    fn after(
        &self,
        steps: &[Step<'_>],
        post: &[Step<'_>],
        needs: &HashMap<Id, Vec<Id>>,
        counts: BTreeMap<String, u64>,
    ) -> Planned {
        let mut facts = PartFacts::new(Stage::Post, Some(self.database));
        facts.counts = counts;
        // Privileges come last: a foreign key is checked with the rights of the table's owner, who may have none.
        let late = |step: &&Step<'_>| matches!(step.object.id.kind, Kind::DefaultAcl | Kind::EventTrigger | Kind::Refresh);
        let (late, post): (Vec<_>, Vec<_>) = post.iter().partition(late);
        let mut text = self.header.to_owned();
        for step in post {
            push(&mut text, &mut facts, step, step.sql(), needs);
        }
        for step in steps.iter().filter(|step| !step.early && !step.object.acl.is_empty()) {
            let mut acl = object_facts(step, &step.object.acl, &HashMap::new());
            acl.kind = format!("{:?}", Kind::Acl);
            acl.needs = vec![(format!("{:?}", step.object.id.kind), step.object.id.oid)];
            text.push_str(&step.object.acl);
            facts.objects.push(acl);
        }
        for step in late {
            push(&mut text, &mut facts, step, step.sql(), needs);
        }
        self.text("after", facts, text)
    }

    fn text(&self, what: &str, facts: PartFacts, text: String) -> Planned {
        let text = raw_text::to_bytes(text);
        let estimate = Some(text.len() as u64);
        self.part(what, facts, Content::Text(text.into()), estimate)
    }

    fn part(&self, what: &str, facts: PartFacts, content: Content, estimate: Option<u64>) -> Planned {
        let name: Name = name(self.database, what);
        let folder = folder(self.folder, facts.stage);
        Planned { part: Part { name, extension: "sql", folder, estimate }, facts, content }
    }

    fn definitions(&self, stage: Stage, what: &str, steps: &[Step<'_>], needs: &HashMap<Id, Vec<Id>>) -> Planned {
        let mut facts = PartFacts::new(stage, Some(self.database));
        let mut text = self.header.to_owned();
        for step in steps {
            push(&mut text, &mut facts, step, step.sql(), needs);
        }
        self.text(what, facts, text)
    }

    /// Drops everything, the last one first.
    fn drops(&self, steps: &[Step<'_>]) -> Planned {
        let drops = steps.iter().rev().filter(|step| !step.early).filter_map(|step| step.object.drop.as_deref());
        let text: String = [self.header].into_iter().chain(drops).collect();
        self.text("drops", PartFacts::new(Stage::Pre, Some(self.database)), text)
    }

    fn sequences(&self, catalog: &Catalog) -> Planned {
        let mut facts = PartFacts::new(Stage::Data, Some(self.database));
        let mut text = self.header.to_owned();
        for sequence in &catalog.sequences {
            let name = literal(&qualified(&sequence.schema, &sequence.name));
            text.push_str(&format!("SELECT pg_catalog.setval({name}, {}, {});\n", sequence.last, sequence.called));
            facts.sequences.push(SequenceFacts {
                schema: sequence.schema.clone(),
                name: sequence.name.clone(),
                last: sequence.last,
                called: sequence.called,
            });
        }
        self.text("sequences", facts, text)
    }
}

/// The name of a part: `database shop, rows of app.users`. Quoted names cannot be mistaken for one another.
pub(crate) fn name(database: &str, what: &str) -> Name {
    let text = format!("database {}, {what}", ident(database));
    text.parse().expect("it is not empty, and PostgreSQL has no NUL in names")
}

/// The folder of a part: rows lie apart from definitions.
pub(crate) fn folder(database: Option<&Key>, stage: Stage) -> Option<Key> {
    let database = database?;
    if stage == Stage::Data { database.join("data").ok() } else { Some(database.clone()) }
}

/// Fails if a table needs something that comes after the rows, such as a materialized view that is grouped by a primary key.
fn made_before_their_rows(tables: &[TableData], steps: &[Step<'_>]) -> Result<()> {
    let is_late = |step: &&Step<'_>| step.section == Section::Post && step.object.id.kind == Kind::Relation && !step.early;
    let late: HashSet<u32> = steps.iter().filter(is_late).map(|step| step.object.id.oid).collect();
    match tables.iter().find(|table| late.contains(&table.oid)) {
        None => Ok(()),
        Some(table) => Err(Error::failed(format!(
            "the table {} needs a view or function that can be made only after all rows are there",
            qualified(&table.schema, &table.name)
        ))
        .with_hint(
            "give its columns types of their own instead of the row type of a materialized view, or of a view with GROUP BY",
        )),
    }
}

fn needs(catalog: &Catalog) -> HashMap<Id, Vec<Id>> {
    let mut needs: HashMap<Id, Vec<Id>> = HashMap::new();
    for (from, to) in &catalog.edges {
        needs.entry(*from).or_default().push(*to);
    }
    for object in &catalog.objects {
        needs.entry(object.id).or_default().extend(&object.needs);
    }
    needs
}

fn push(text: &mut String, facts: &mut PartFacts, step: &Step<'_>, sql: &str, needs: &HashMap<Id, Vec<Id>>) {
    text.push_str(sql);
    facts.objects.push(object_facts(step, sql, needs));
}

fn object_facts(step: &Step<'_>, sql: &str, needs: &HashMap<Id, Vec<Id>>) -> ObjectFacts {
    let object = step.object;
    ObjectFacts {
        kind: format!("{:?}", object.id.kind),
        oid: object.id.oid,
        schema: object.order[0].clone(),
        name: object.order[1].clone(),
        table: object.table,
        length: raw_text::length(sql),
        needs: needs.get(&object.id).into_iter().flatten().map(|id| (format!("{:?}", id.kind), id.oid)).collect(),
    }
}
