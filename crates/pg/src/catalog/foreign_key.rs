//! Foreign keys: those that stand for themselves, not what they make on partitions.

use backup_core::Result;

use super::{Reader, dropped};
use crate::object::{Id, Kind, Object, class};
use crate::quote::{ident, qualified};

/// Reads the foreign keys of tables and partitioned tables.
pub(super) async fn read(reader: &mut Reader<'_>) -> Result<()> {
    let sql = "SELECT k.oid, k.conname::text, t.oid, t.relnamespace, t.relname::text, t.relkind = 'p', \
               pg_catalog.pg_get_constraintdef(k.oid), \
               ARRAY(WITH RECURSIVE below(oid) AS (SELECT inhrelid FROM pg_catalog.pg_inherits WHERE inhparent = k.conindid \
               UNION ALL SELECT b.inhrelid FROM pg_catalog.pg_inherits b JOIN below ON b.inhparent = below.oid) SELECT oid FROM below), \
               ARRAY(SELECT f.oid FROM pg_catalog.pg_partition_ancestors(t.oid) a JOIN pg_catalog.pg_constraint f ON f.conrelid = a.relid \
               WHERE f.contype = 'f' AND f.conparentid = 0 AND f.conrelid <> t.oid) \
               FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class t ON t.oid = k.conrelid \
               WHERE k.contype = 'f' AND k.conparentid = 0 AND t.oid >= 16384 AND t.relpersistence <> 't' ORDER BY k.oid";
    for row in reader.rows_of(class::PG_CONSTRAINT, b"f", "foreign keys", sql).await? {
        let (oid, name, table, namespace): (u32, &str, u32, u32) = (row.get(0), row.get(1), row.get(2), row.get(3));
        if !reader.is_dumped_schema(namespace) || reader.is_member(class::PG_CLASS, table) {
            continue;
        }
        let (schema, table_name): (&str, &str) = (reader.schema(namespace)?, row.get(4));
        let (at, key) = (qualified(schema, table_name), ident(name));
        // On a partitioned table it goes on to the partitions.
        let only = if row.get(5) { "" } else { "ONLY " };
        let label = format!("foreign key {key} of {at}");
        let definition = row.get::<_, Option<&str>>(6).ok_or_else(|| dropped(&label))?;
        let mut create = format!("ALTER TABLE {only}{at} ADD CONSTRAINT {key} {definition};\n");
        create.push_str(&reader.comment_sql(&format!("CONSTRAINT {key} ON {at}"), class::PG_CONSTRAINT, oid, 0));
        let mut object = Object::new(Kind::ForeignKey, oid, label, [schema, table_name, name], create);
        object.table = Some(table);
        object.drop = Some(format!("ALTER TABLE IF EXISTS {only}{at} DROP CONSTRAINT IF EXISTS {key};\n"));
        // A key of a partitioned table is valid once each partition has it.
        let attached: Vec<u32> = row.get(7);
        object.needs.extend(attached.into_iter().map(|oid| Id { kind: Kind::IndexAttach, oid }));
        // A parent's would be merged with one that a partition has already.
        let above: Vec<u32> = row.get(8);
        object.needs.extend(above.into_iter().map(|oid| Id { kind: Kind::ForeignKey, oid }));
        reader.add(class::PG_CONSTRAINT, object);
    }
    Ok(())
}
