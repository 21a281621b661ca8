//! How a database is cut into parts: definitions before the rows, rows, indexes, what comes after.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use backup_core::{Error, Key, Name, Part, Result};
use bytes::Bytes;

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

/// At most this many small tables share a part: each of them costs the server a round trip, whatever its size.
pub(crate) const TABLES: usize = 64;

/// At most this many indexes share a part, but for those of one table.
const INDEXES: usize = 500;

/// A table's rows have at most this many ranges, so that a cluster stays below 10^5 parts.
const RANGES: u64 = 4096;

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

    /// Small tables together, then big ones in ranges: a part of many tables, which no one helps with, must not be the last.
    fn rows(&self, tables: &[TableData]) -> Result<Vec<Planned>> {
        let (mut parts, mut big) = (Vec::new(), Vec::new());
        let linked: HashSet<u32> = tables.iter().filter(|table| !table.after.is_empty()).flat_map(linked).collect();
        let mut in_order: Vec<Slice> = Vec::new();
        let mut pack: Vec<Slice> = Vec::new();
        let (mut packed, mut packs) = (0, 0);
        let mut flush = |pack: &mut Vec<Slice>, packed: &mut u64, parts: &mut Vec<Planned>| {
            if !pack.is_empty() {
                let slices = std::mem::take(pack);
                parts.push(self.slices(&format!("rows {packs:05}"), slices, std::mem::take(packed)));
                packs += 1;
            }
        };
        for table in in_load_order(tables) {
            let size = self.sizes.get(&table.oid).copied();
            let empty = size.is_some_and(|size| size.pages == 0);
            let size = size.unwrap_or_default();
            let qualified = qualified(&table.schema, &table.name);
            let table = Arc::new(table.clone());
            let whole = |table: &Arc<TableData>| Slice { table: Arc::clone(table), range: None, empty };
            if linked.contains(&table.oid) {
                in_order.push(whole(&table));
            } else if size.bytes < self.cut.pack {
                pack.push(whole(&table));
                packed += size.bytes;
                if packed >= self.cut.pack || pack.len() >= TABLES {
                    flush(&mut pack, &mut packed, &mut parts);
                }
            } else if size.bytes <= self.cut.range || !self.cut.ranges || table.condition.is_some() {
                big.push(self.slices(&format!("rows of {qualified}"), vec![whole(&table)], size.bytes));
            } else {
                let ranges = size.bytes.div_ceil(self.cut.range.max(1)).clamp(1, RANGES).min(size.pages.max(1));
                let step = size.pages.div_ceil(ranges).max(1);
                for number in 0..ranges {
                    let from = number * step;
                    // The last one has no end: the table may have grown since.
                    let to = (number + 1 < ranges).then_some(from + step);
                    let number = u32::try_from(number).unwrap_or(u32::MAX);
                    let slice = Slice { table: Arc::clone(&table), range: Some((number, from, to)), empty };
                    let what = format!("rows of {qualified}, range {number}");
                    big.push(self.slices(&what, vec![slice], size.bytes / ranges));
                }
            }
        }
        flush(&mut pack, &mut packed, &mut parts);
        // Parts can be played at the same time: tables that must follow each other share one.
        let bytes = in_order.iter().map(|slice| self.sizes.get(&slice.table.oid).map_or(0, |size| size.bytes)).sum();
        parts.extend((!in_order.is_empty()).then(|| self.slices("rows of linked tables", in_order, bytes)));
        parts.extend(big);
        Ok(parts)
    }

    fn slices(&self, what: &str, slices: Vec<Slice>, bytes: u64) -> Planned {
        let facts = PartFacts::new(Stage::Data, Some(self.database));
        self.part(what, facts, Content::Rows(self.header.to_owned().into(), slices), Some(bytes))
    }

    /// Indexes by table: each group is built by itself, so that several can be at the same time; big tables alone.
    fn grouped<'s>(&self, steps: &[Step<'s>]) -> Vec<Vec<Step<'s>>> {
        let mut tables: BTreeMap<u32, Vec<Step<'s>>> = BTreeMap::new();
        for step in steps {
            tables.entry(step.object.table.unwrap_or_default()).or_default().push(*step);
        }
        let bytes = |table: &u32| self.sizes.get(table).map_or(0, |size| size.bytes);
        let mut tables: Vec<_> = tables.into_iter().collect();
        tables.sort_by_key(|(table, _)| std::cmp::Reverse(bytes(table)));
        let mut groups: Vec<Vec<Step<'s>>> = Vec::new();
        let mut shared = 0;
        for (table, steps) in tables {
            let alone = bytes(&table) >= self.cut.pack && groups.len() < 1000;
            match groups.last_mut() {
                Some(group) if !alone && shared > 0 && shared + steps.len() <= INDEXES => {
                    shared += steps.len();
                    group.extend(steps);
                }
                _ => {
                    shared = if alone { 0 } else { steps.len() };
                    groups.push(steps);
                }
            }
        }
        groups
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

/// Which steps after the rows need nothing but what is before the rows and what else is done to their table: they are taken first.
fn split_indexes<'a>(post: &[Step<'a>], needs: &HashMap<Id, Vec<Id>>, pre: &[Step<'a>]) -> (Vec<Step<'a>>, Vec<Step<'a>>) {
    let mut done: HashSet<Id> = pre.iter().filter(|step| !step.early).map(|step| step.object.id).collect();
    let all: HashSet<Id> = done.iter().copied().chain(post.iter().map(|step| step.object.id)).collect();
    let mut of_table: HashMap<Id, u32> = HashMap::new();
    post.iter().partition(|step| {
        let object = step.object;
        let Some(table) = object.table.filter(|_| matches!(object.id.kind, Kind::Constraint | Kind::Index)) else {
            return false;
        };
        let ready =
            needs.get(&object.id).into_iter().flatten().all(|need| {
                !all.contains(need) || done.contains(need) && of_table.get(need).is_none_or(|other| *other == table)
            });
        if ready {
            done.insert(object.id);
            of_table.insert(object.id, table);
        }
        ready
    })
}

/// A table and those that it must follow.
fn linked(table: &TableData) -> impl Iterator<Item = u32> {
    std::iter::once(table.oid).chain(table.after.iter().copied())
}

/// Tables that others must follow come first.
fn in_load_order(tables: &[TableData]) -> Vec<&TableData> {
    let mut left: Vec<&TableData> = tables.iter().collect();
    let mut ordered = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let waiting: HashSet<u32> = left.iter().map(|table| table.oid).collect();
        let blocked = |table: &&TableData| table.after.iter().any(|other| *other != table.oid && waiting.contains(other));
        let (blocked, free): (Vec<_>, Vec<_>) = left.iter().partition(|table| blocked(table));
        if free.is_empty() {
            // A loop of foreign keys: as pg_dump does, in the order that there is.
            ordered.extend(blocked);
            break;
        }
        ordered.extend(free);
        left = blocked;
    }
    ordered
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

#[cfg(test)]
mod tests {
    use super::*;

    fn table(oid: u32, after: &[u32]) -> TableData {
        TableData {
            oid,
            schema: "s".into(),
            name: format!("t{oid}"),
            columns: vec!["a".into()],
            condition: None,
            load_via: None,
            after: after.to_vec(),
        }
    }

    fn planner(sizes: &HashMap<u32, Size>) -> Planner<'_> {
        Planner {
            database: "d",
            folder: None,
            header: "",
            sizes,
            cut: Cut { range: 1000, pack: 100, ranges: true },
            clean: false,
        }
    }

    #[test]
    fn big_tables_are_cut_without_a_gap_and_small_ones_share() {
        let sizes =
            HashMap::from([(1, Size { pages: 37, bytes: 3700 }), (2, Size { pages: 1, bytes: 10 }), (4, Size::default())]);
        let tables = [table(1, &[]), table(2, &[]), table(3, &[]), table(4, &[])];
        let parts = planner(&sizes).rows(&tables).expect("planned");
        let slices: Vec<Vec<Slice>> = parts
            .into_iter()
            .map(|part| match part.content {
                Content::Rows(_, slices) => slices,
                other => unreachable!("{other:?}"),
            })
            .collect();
        let ranges: Vec<_> = slices[1..].iter().map(|slices| slices[0].range.expect("a range")).collect();
        assert_eq!(ranges, [(0, 0, Some(10)), (1, 10, Some(20)), (2, 20, Some(30)), (3, 30, None)]);
        let empty: Vec<_> = slices[0].iter().map(|slice| (slice.table.oid, slice.empty)).collect();
        assert_eq!(empty, [(2, false), (3, false), (4, true)], "the small ones share a part; an unknown size is not none");
    }

    #[test]
    fn many_small_tables_have_several_parts() {
        let tables: Vec<_> = (1..=200).map(|oid| table(oid, &[])).collect();
        let sizes = HashMap::new();
        assert_eq!(planner(&sizes).rows(&tables).expect("planned").len(), 4);
    }

    #[test]
    fn tables_that_follow_each_other_share_a_part_whatever_their_size() {
        let sizes = HashMap::from([(2, Size { pages: 37, bytes: 3700 })]);
        let parts = planner(&sizes).rows(&[table(1, &[2]), table(2, &[]), table(3, &[])]).expect("planned");
        let Content::Rows(_, slices) = &parts[1].content else { unreachable!("rows") };
        let order: Vec<_> = slices.iter().map(|slice| (slice.table.oid, slice.range)).collect();
        assert_eq!((parts.len(), order), (2, vec![(2, None), (1, None)]));
    }

    #[test]
    fn tables_follow_those_that_they_refer_to() {
        let order: Vec<u32> = in_load_order(&[table(1, &[2]), table(2, &[3]), table(3, &[])]).iter().map(|t| t.oid).collect();
        assert_eq!(order, [3, 2, 1]);
        assert_eq!(in_load_order(&[table(1, &[2]), table(2, &[1])]).len(), 2);
    }
}
