//! Indexes, the constraints that are indexes (primary keys, unique and exclusion constraints), and their attachment to
//! indexes of partitioned tables.

use std::collections::HashMap;

use backup_core::Result;

use super::options::{before_end, parameters};
use super::{Reader, dropped};
use crate::catalog::Row;
use crate::inventory::INDEXES;
use crate::object::{Address, Id, Kind, Object, class};
use crate::quote::{ident, qualified};

/// An index and the table that it is on.
struct Index {
    oid: u32,
    table: u32,
    schema: String,
    name: String,
    /// Name of the table; its schema is the index's.
    table_name: String,
    is_partitioned: bool,
    /// The constraint that it is, by OID and name.
    constraint: Option<(u32, String)>,
    /// The index that it is attached to.
    parent: Option<Parent>,
    /// OIDs of the indexes attached to it, and to those.
    below: Vec<u32>,
    /// OIDs of the partitions of its table.
    partitions: Vec<u32>,
}

/// An index of a partitioned table: OID, schema, name, the OIDs of its table and constraint.
type Parent = (u32, String, String, u32, Option<u32>);

/// Reads the indexes of tables and materialized views, but for broken ones (`CREATE INDEX CONCURRENTLY` that failed).
pub(super) async fn read(reader: &mut Reader<'_>) -> Result<()> {
    let nulls = if reader.version.at_least(17) { "a.attstattarget IS NOT NULL" } else { "a.attstattarget >= 0" };
    let sql = format!(
        "SELECT i.indexrelid, i.indrelid, c.relnamespace, c.relname::text, t.relname::text, c.relkind = 'I', k.oid, k.conname::text, \
         CASE WHEN k.oid IS NULL THEN pg_catalog.pg_get_indexdef(i.indexrelid) END, \
         pg_catalog.pg_get_expr(i.indpred, i.indrelid), c.reloptions, \
         (SELECT s.spcname::text FROM pg_catalog.pg_tablespace s WHERE s.oid = c.reltablespace), \
         k.contype::text, pg_catalog.pg_get_constraintdef(k.oid), k.condeferrable, k.condeferred, \
         i.indisclustered, i.indisreplident AND t.relreplident = 'i' AND i.indisvalid, \
         (SELECT pg_catalog.string_agg(pg_catalog.format('ALTER COLUMN %s SET STATISTICS %s', a.attnum, a.attstattarget), ', ' \
         ORDER BY a.attnum) FROM pg_catalog.pg_attribute a WHERE a.attrelid = i.indexrelid AND {nulls}) \
         FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid \
         JOIN pg_catalog.pg_class t ON t.oid = i.indrelid \
         LEFT JOIN pg_catalog.pg_constraint k ON k.conindid = i.indexrelid AND k.conrelid = i.indrelid AND k.contype IN ('p', 'u', 'x') \
         WHERE i.indrelid >= 16384 AND t.relkind IN ('r', 'p', 'm') AND t.relpersistence <> 't' AND i.indisready \
         AND (i.indisvalid OR t.relkind = 'p') ORDER BY i.indexrelid"
    );
    let (mut parents, mut partitioned) = (parents(reader).await?, partitioned(reader).await?);
    for row in reader.rows_of(class::PG_CLASS, INDEXES, "indexes", &sql).await? {
        let (oid, table, namespace): (u32, u32, u32) = (row.get(0), row.get(1), row.get(2));
        if !reader.is_dumped_schema(namespace)
            || reader.is_member(class::PG_CLASS, table)
            || reader.is_member(class::PG_CLASS, oid)
        {
            continue;
        }
        let (below, partitions) = partitioned.remove(&oid).unwrap_or_default();
        let index = Index {
            oid,
            table,
            schema: reader.schema(namespace)?.to_owned(),
            name: row.get(3),
            table_name: row.get(4),
            is_partitioned: row.get(5),
            constraint: row.get::<_, Option<u32>>(6).zip(row.get(7)),
            parent: parents.remove(&oid),
            below,
            partitions,
        };
        add(reader, &index, &row)?;
    }
    Ok(())
}

/// The index that each is attached to.
async fn parents(reader: &Reader<'_>) -> Result<HashMap<u32, Parent>> {
    let sql = "SELECT h.inhrelid, p.oid, p.relnamespace, p.relname::text, i.indrelid, k.oid FROM pg_catalog.pg_inherits h \
               JOIN pg_catalog.pg_class p ON p.oid = h.inhparent AND p.relkind = 'I' \
               JOIN pg_catalog.pg_index i ON i.indexrelid = p.oid \
               LEFT JOIN pg_catalog.pg_constraint k ON k.conindid = p.oid AND k.conrelid = i.indrelid AND k.contype IN ('p', 'u', 'x')";
    let rows = reader.rows_of(class::PG_CLASS, b"p", "parents of indexes", sql).await?;
    let parent = |row: &Row| {
        let schema = reader.schema(row.get(2))?.to_owned();
        Ok((row.get(0), (row.get(1), schema, row.get(3), row.get(4), row.get(5))))
    };
    rows.iter().map(parent).collect()
}

/// What is attached to each index of a partitioned table, and to that; and the partitions of its table.
async fn partitioned(reader: &Reader<'_>) -> Result<HashMap<u32, (Vec<u32>, Vec<u32>)>> {
    let sql = "SELECT i.indexrelid, ARRAY(WITH RECURSIVE below(oid) AS (SELECT inhrelid FROM pg_catalog.pg_inherits \
               WHERE inhparent = i.indexrelid UNION ALL SELECT b.inhrelid FROM pg_catalog.pg_inherits b \
               JOIN below ON b.inhparent = below.oid) SELECT oid FROM below), \
               ARRAY(SELECT h.inhrelid FROM pg_catalog.pg_inherits h WHERE h.inhparent = i.indrelid) \
               FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid WHERE c.relkind = 'I'";
    let rows = reader.rows_of(class::PG_CLASS, b"p", "indexes of partitioned tables", sql).await?;
    Ok(rows.iter().map(|row| (row.get(0), (row.get(1), row.get(2)))).collect())
}

fn add(reader: &mut Reader<'_>, index: &Index, row: &Row) -> Result<()> {
    let (at, table_at) = (qualified(&index.schema, &index.name), qualified(&index.schema, &index.table_name));
    let name = ident(&index.name);
    let mut create = match &index.constraint {
        Some((oid, constraint)) => {
            let constraint = ident(constraint);
            let what = format!("CONSTRAINT {constraint} ON {table_at}");
            let definition = constraint_definition(row, &format!("constraint {constraint} on {table_at}"))?;
            format!("ALTER TABLE ONLY {table_at} ADD CONSTRAINT {constraint} {definition};\n")
                + &reader.comment_sql(&what, class::PG_CONSTRAINT, *oid, 0)
        }
        None => index_definition(row, &at)? + ";\n",
    };
    create.push_str(&reader.comment_sql(&format!("INDEX {at}"), class::PG_CLASS, index.oid, 0));
    create.push_str(&reader.extension_sql(&format!("INDEX {at}"), class::PG_CLASS, index.oid));
    if let Some(statistics) = row.get::<_, Option<&str>>(18) {
        create.push_str(&format!("ALTER INDEX {at} {statistics};\n"));
    }
    if row.get(16) {
        create.push_str(&format!("ALTER TABLE {table_at} CLUSTER ON {name};\n"));
    }
    let identity =
        row.get::<_, bool>(17).then(|| format!("ALTER TABLE ONLY {table_at} REPLICA IDENTITY USING INDEX {name};\n"));
    if let Some(identity) = identity.as_ref().filter(|_| !index.is_partitioned) {
        create.push_str(identity);
    }

    let (id, label) = match &index.constraint {
        Some((oid, name)) => (Id { kind: Kind::Constraint, oid: *oid }, format!("constraint {} on {table_at}", ident(name))),
        None => (Id { kind: Kind::Index, oid: index.oid }, format!("index {at}")),
    };
    let order = [index.schema.as_str(), &index.table_name, &index.name];
    let mut object = Object::new(id.kind, id.oid, label, order, create);
    object.table = Some(index.table);
    object.needs.push(Id { kind: Kind::Relation, oid: index.table });
    // A partition that is attached after would get an index of its own.
    object.needs.extend(index.partitions.iter().map(|oid| Id { kind: Kind::Attach, oid: *oid }));
    object.drop = Some(match &index.constraint {
        Some((_, name)) => format!("ALTER TABLE IF EXISTS ONLY {table_at} DROP CONSTRAINT IF EXISTS {};\n", ident(name)),
        None => format!("DROP INDEX IF EXISTS {at};\n"),
    });
    // What is attached goes with what it is attached to, and cannot go without.
    object.drop.take_if(|_| index.parent.is_some());
    let class = if index.constraint.is_some() { class::PG_CONSTRAINT } else { class::PG_CLASS };
    reader.add(class, object);
    reader.stands_for(Address { class: class::PG_CLASS, oid: index.oid }, id);

    if let Some((parent, schema, name, table, constraint)) = &index.parent {
        let above = qualified(schema, name);
        let attach = format!("ALTER INDEX {above} ATTACH PARTITION {at};\n");
        let mut object = Object::new(Kind::IndexAttach, index.oid, format!("attachment of index {at}"), order, attach);
        object.table = Some(*table);
        let parent = constraint.map_or(Id { kind: Kind::Index, oid: *parent }, |oid| Id { kind: Kind::Constraint, oid });
        object.needs.extend([id, parent]);
        reader.add_derived(object);
    }
    if let Some(identity) = identity.filter(|_| index.is_partitioned) {
        // Such an index is valid once there is one in each partition. The table's OID is no index's.
        let mut object =
            Object::new(Kind::IndexAttach, index.table, format!("replica identity of {table_at}"), order, identity);
        object.table = Some(index.table);
        object.needs.push(id);
        object.needs.extend(index.below.iter().map(|oid| Id { kind: Kind::IndexAttach, oid: *oid }));
        reader.add_derived(object);
    }
    Ok(())
}

fn index_definition(row: &Row, at: &str) -> Result<String> {
    let predicate = row.get::<_, Option<&str>>(9).map(|predicate| format!(" WHERE {predicate}")).unwrap_or_default();
    let tablespace = row.get::<_, Option<&str>>(11).map(|name| format!("TABLESPACE {}", ident(name))).unwrap_or_default();
    let definition = row.get::<_, Option<&str>>(8).ok_or_else(|| dropped(&format!("index {at}")))?;
    before_end(definition, &predicate, "", &tablespace)
}

/// The constraint as the server deparses it, with the parameters and tablespace that it leaves out.
fn constraint_definition(row: &Row, label: &str) -> Result<String> {
    let is_exclusion = row.get::<_, &str>(12) == "x";
    let predicate = row.get::<_, Option<&str>>(9).map(|predicate| format!(" WHERE ({predicate})")).unwrap_or_default();
    let tail = match (row.get(14), row.get(15)) {
        (true, true) => " DEFERRABLE INITIALLY DEFERRED",
        (true, false) => " DEFERRABLE",
        (false, _) => "",
    };
    let mut clauses: Vec<String> = Vec::new();
    let options = row.get::<_, Option<Vec<String>>>(10).unwrap_or_default();
    if !is_exclusion && !options.is_empty() {
        clauses.push(format!("WITH ({})", parameters(&options, "")));
    }
    if let Some(tablespace) = row.get::<_, Option<&str>>(11) {
        clauses.push(format!("USING INDEX TABLESPACE {}", ident(tablespace)));
    }
    let definition = row.get::<_, Option<&str>>(13).ok_or_else(|| dropped(label))?;
    before_end(definition, &predicate, tail, &clauses.join(" "))
}
