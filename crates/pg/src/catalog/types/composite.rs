//! Composite types that stand alone.

use std::collections::HashMap;

use backup_core::Result;

use super::{COLUMNS, Ids, NEXT, Reader, Type, collate_sql};
use crate::object::class;
use crate::quote::ident;

/// Reads the composite types.
pub(super) async fn read(reader: &mut Reader<'_>, ids: &mut Ids) -> Result<()> {
    let sql = "SELECT c.oid, a.attnum::integer, a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod), \
               n.nspname::text, l.collname::text \
               FROM pg_catalog.pg_class c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid \
               JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
               LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation AND a.attcollation <> t.typcollation \
               LEFT JOIN pg_catalog.pg_namespace n ON n.oid = l.collnamespace \
               WHERE c.relkind = 'c' AND a.attnum > 0 AND NOT a.attisdropped AND c.oid >= 16384 ORDER BY c.oid, a.attnum";
    let mut columns: HashMap<u32, Vec<(i32, String, String)>> = HashMap::new();
    for row in reader.rows_of(class::PG_CLASS, b"c", "columns of composite types", sql).await? {
        let (name, kind): (String, String) = (ident(row.get(2)), row.get(3));
        let column = format!("{name} {kind}{}", collate_sql(row.get(4), row.get(5)));
        columns.entry(row.get(0)).or_default().push((row.get(1), name, column));
    }
    let sql = format!(
        "SELECT {COLUMNS}, c.oid FROM pg_catalog.pg_type t JOIN pg_catalog.pg_class c ON c.oid = t.typrelid \
         WHERE t.oid >= 16384 AND c.relkind = 'c'"
    );
    for row in reader.rows_of(class::PG_CLASS, b"c", "composite types", &sql).await? {
        let Some(it) = Type::of(reader, &row)? else { continue };
        let full = it.full();
        let relation: u32 = row.get(NEXT);
        let columns = columns.remove(&relation).unwrap_or_default();
        let list: Vec<&str> = columns.iter().map(|(_, _, column)| column.as_str()).collect();
        let create = format!("CREATE TYPE {full} AS (\n    {}\n);\n", list.join(",\n    "));
        let comments = columns
            .iter()
            .map(|(number, name, _)| reader.comment_sql(&format!("COLUMN {full}.{name}"), class::PG_CLASS, relation, *number));
        let comments: String = comments.collect();
        it.add(reader, ids, "TYPE", &create, None, &comments)?;
    }
    Ok(())
}
