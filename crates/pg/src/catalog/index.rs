//! Indexes, the constraints that are indexes (primary keys, unique and exclusion constraints), and their attachment to
//! indexes of partitioned tables.

use backup_core::Result;

use super::options::{before_end, parameters};
use super::{Reader, dropped};
use crate::catalog::Row;
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
    /// The index that it is attached to: OID, schema, name, the OIDs of its table and constraint.
    parent: Option<(u32, String, String, u32, Option<u32>)>,
    /// OIDs of the indexes attached to it, and to those.
    below: Vec<u32>,
    /// OIDs of the partitions of its table.
    partitions: Vec<u32>,
}

/// Reads the indexes of tables and materialized views, but for broken ones (`CREATE INDEX CONCURRENTLY` that failed).
pub(super) async fn read(reader: &mut Reader<'_>) -> Result<()> {
    let nulls = if reader.version.at_least(17) { "a.attstattarget IS NOT NULL" } else { "a.attstattarget >= 0" };
    let sql = format!(
        "SELECT i.indexrelid, i.indrelid, c.relnamespace, c.relname::text, t.relname::text, c.relkind = 'I', \
         k.oid, k.conname::text, h.inhparent, p.relnamespace, p.relname::text, pi.indrelid, pk.oid, \
         ARRAY(WITH RECURSIVE below(oid) AS (SELECT inhrelid FROM pg_catalog.pg_inherits WHERE inhparent = i.indexrelid \
         UNION ALL SELECT b.inhrelid FROM pg_catalog.pg_inherits b JOIN below ON b.inhparent = below.oid) SELECT oid FROM below), \
         CASE WHEN k.oid IS NULL THEN pg_catalog.pg_get_indexdef(i.indexrelid) END, pg_catalog.pg_get_expr(i.indpred, i.indrelid), c.reloptions, s.spcname::text, \
         k.contype::text, pg_catalog.pg_get_constraintdef(k.oid), k.condeferrable, k.condeferred, \
         i.indisclustered, i.indisreplident AND t.relreplident = 'i' AND i.indisvalid, \
         (SELECT pg_catalog.string_agg(pg_catalog.format('ALTER COLUMN %s SET STATISTICS %s', a.attnum, a.attstattarget), ', ' \
         ORDER BY a.attnum) FROM pg_catalog.pg_attribute a WHERE a.attrelid = i.indexrelid AND {nulls}), \
         ARRAY(SELECT h.inhrelid FROM pg_catalog.pg_inherits h WHERE h.inhparent = i.indrelid AND c.relkind = 'I') \
         FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid \
         JOIN pg_catalog.pg_class t ON t.oid = i.indrelid LEFT JOIN pg_catalog.pg_tablespace s ON s.oid = c.reltablespace \
         LEFT JOIN pg_catalog.pg_constraint k ON k.conindid = i.indexrelid AND k.conrelid = i.indrelid AND k.contype IN ('p', 'u', 'x') \
         LEFT JOIN pg_catalog.pg_inherits h ON h.inhrelid = i.indexrelid LEFT JOIN pg_catalog.pg_class p ON p.oid = h.inhparent \
         LEFT JOIN pg_catalog.pg_index pi ON pi.indexrelid = h.inhparent \
         LEFT JOIN pg_catalog.pg_constraint pk ON pk.conindid = h.inhparent AND pk.conrelid = pi.indrelid \
         AND pk.contype IN ('p', 'u', 'x') \
         WHERE i.indrelid >= 16384 AND t.relkind IN ('r', 'p', 'm') AND t.relpersistence <> 't' AND i.indisready \
         AND (i.indisvalid OR t.relkind = 'p') ORDER BY i.indexrelid"
    );
    for row in reader.rows("indexes", &sql, &[]).await? {
        let (oid, table, namespace): (u32, u32, u32) = (row.get(0), row.get(1), row.get(2));
        if !reader.is_dumped_schema(namespace)
            || reader.is_member(class::PG_CLASS, table)
            || reader.is_member(class::PG_CLASS, oid)
        {
            continue;
        }
        let parent = match row.get::<_, Option<u32>>(8) {
            Some(oid) => Some((oid, reader.schema(row.get(9))?.to_owned(), row.get(10), row.get(11), row.get(12))),
            None => None,
        };
        let index = Index {
            oid,
            table,
            schema: reader.schema(namespace)?.to_owned(),
            name: row.get(3),
            table_name: row.get(4),
            is_partitioned: row.get(5),
            constraint: row.get::<_, Option<u32>>(6).zip(row.get(7)),
            parent,
            below: row.get(13),
            partitions: row.get(25),
        };
        add(reader, &index, &row)?;
    }
    Ok(())
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
    if let Some(statistics) = row.get::<_, Option<&str>>(24) {
        create.push_str(&format!("ALTER INDEX {at} {statistics};\n"));
    }
    if row.get(22) {
        create.push_str(&format!("ALTER TABLE {table_at} CLUSTER ON {name};\n"));
    }
    let identity =
        row.get::<_, bool>(23).then(|| format!("ALTER TABLE ONLY {table_at} REPLICA IDENTITY USING INDEX {name};\n"));
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
    let predicate = row.get::<_, Option<&str>>(15).map(|predicate| format!(" WHERE {predicate}")).unwrap_or_default();
    let tablespace = row.get::<_, Option<&str>>(17).map(|name| format!("TABLESPACE {}", ident(name))).unwrap_or_default();
    let definition = row.get::<_, Option<&str>>(14).ok_or_else(|| dropped(&format!("index {at}")))?;
    before_end(definition, &predicate, "", &tablespace)
}

/// The constraint as the server deparses it, with the parameters and tablespace that it leaves out.
fn constraint_definition(row: &Row, label: &str) -> Result<String> {
    let is_exclusion = row.get::<_, &str>(18) == "x";
    let predicate = row.get::<_, Option<&str>>(15).map(|predicate| format!(" WHERE ({predicate})")).unwrap_or_default();
    let tail = match (row.get(20), row.get(21)) {
        (true, true) => " DEFERRABLE INITIALLY DEFERRED",
        (true, false) => " DEFERRABLE",
        (false, _) => "",
    };
    let mut clauses: Vec<String> = Vec::new();
    let options = row.get::<_, Option<Vec<String>>>(16).unwrap_or_default();
    if !is_exclusion && !options.is_empty() {
        clauses.push(format!("WITH ({})", parameters(&options, "")));
    }
    if let Some(tablespace) = row.get::<_, Option<&str>>(17) {
        clauses.push(format!("USING INDEX TABLESPACE {}", ident(tablespace)));
    }
    let definition = row.get::<_, Option<&str>>(19).ok_or_else(|| dropped(label))?;
    before_end(definition, &predicate, tail, &clauses.join(" "))
}
