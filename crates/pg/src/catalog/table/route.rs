//! Which partitions are loaded through the partitioned table at the top: those whose rows may belong elsewhere after a restore.

use std::collections::{HashMap, HashSet};

use backup_core::Result;

use super::inherit::Tables;
use crate::catalog::Reader;
use crate::object::class;

/// Schema and name of the table to load through, by the OID of the partition.
///
/// Rows of a table that is partitioned by hash lie where the hash of their key says. That of an enum is taken of its
/// label's OID, which is another after a restore.
pub(super) async fn through_root(reader: &Reader<'_>, tables: &Tables) -> Result<HashMap<u32, (String, String)>> {
    let multirange =
        if reader.version.at_least(14) { "UNION ALL SELECT rngmultitypid, rngtypid FROM pg_catalog.pg_range" } else { "" };
    let sql = format!(
        "WITH RECURSIVE part(whole, part) AS (\
         SELECT oid, typelem FROM pg_catalog.pg_type WHERE typelem <> 0 \
         UNION ALL SELECT oid, typbasetype FROM pg_catalog.pg_type WHERE typbasetype <> 0 \
         UNION ALL SELECT rngtypid, rngsubtype FROM pg_catalog.pg_range {multirange} \
         UNION ALL SELECT t.oid, a.atttypid FROM pg_catalog.pg_type t JOIN pg_catalog.pg_attribute a ON a.attrelid = t.typrelid \
         WHERE t.oid >= 16384 AND a.attnum > 0 AND NOT a.attisdropped), \
         shifting(oid) AS (SELECT oid FROM pg_catalog.pg_type WHERE typtype = 'e' \
         UNION SELECT part.whole FROM part JOIN shifting ON part.part = shifting.oid) \
         SELECT p.partrelid FROM pg_catalog.pg_partitioned_table p WHERE p.partstrat = 'h' AND (\
         EXISTS (SELECT FROM pg_catalog.unnest(p.partattrs::int2[]) k(attnum) JOIN pg_catalog.pg_attribute a \
         ON a.attrelid = p.partrelid AND a.attnum = k.attnum JOIN shifting ON shifting.oid = a.atttypid) \
         OR EXISTS (SELECT FROM pg_catalog.unnest(p.partclass::oid[]) k(oid) JOIN pg_catalog.pg_opclass c ON c.oid = k.oid \
         WHERE c.opcintype = 'pg_catalog.anyenum'::pg_catalog.regtype))"
    );
    let rows = reader.rows_of(class::PG_CLASS, b"p", "partition keys", &sql).await?;
    let shifting: HashSet<u32> = rows.iter().map(|row| row.get(0)).collect();
    let mut routes = HashMap::new();
    for table in tables.values().filter(|table| table.is_partition()) {
        let (mut top, mut shifts) = (table, false);
        while let Some(parent) = top.parents.first().filter(|_| top.is_partition()).and_then(|parent| tables.get(parent)) {
            top = parent;
            shifts |= shifting.contains(&top.oid);
        }
        if shifts {
            routes.insert(table.oid, (top.schema.clone(), top.name.clone()));
        }
    }
    Ok(routes)
}
