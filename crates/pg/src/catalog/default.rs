//! Defaults of columns of tables and views, each apart from its table so that no loop can go through it.

use backup_core::Result;

use super::Reader;
use crate::object::{Kind, Object, class};
use crate::quote::{ident, qualified};

/// Reads the defaults that are not expressions of generated columns.
pub(super) async fn read(reader: &mut Reader<'_>) -> Result<()> {
    let sql = "SELECT d.oid, d.adrelid, c.relnamespace, c.relname::text, a.attname::text, pg_catalog.pg_get_expr(d.adbin, d.adrelid) \
               FROM pg_catalog.pg_attrdef d JOIN pg_catalog.pg_class c ON c.oid = d.adrelid \
               JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum \
               WHERE a.attgenerated = '' AND d.adrelid >= 16384 AND c.relpersistence <> 't'";
    for row in reader.rows_of(class::PG_ATTRDEF, b"", "column defaults", sql).await? {
        let (oid, table, namespace): (u32, u32, u32) = (row.get(0), row.get(1), row.get(2));
        if !reader.is_dumped_schema(namespace) || reader.is_member(class::PG_CLASS, table) {
            continue;
        }
        let (schema, name, column): (&str, &str, &str) = (reader.schema(namespace)?, row.get(3), row.get(4));
        let (at, column_name) = (qualified(schema, name), ident(column));
        let expression: &str = row.get(5);
        // ONLY: children have defaults of their own, or none on purpose.
        let create = format!("ALTER TABLE ONLY {at} ALTER COLUMN {column_name} SET DEFAULT {expression};\n");
        let label = format!("default of column {at}.{column_name}");
        let mut object = Object::new(Kind::Default, oid, label, [schema, name, column], create);
        object.drop = Some(format!("ALTER TABLE IF EXISTS ONLY {at} ALTER COLUMN {column_name} DROP DEFAULT;\n"));
        object.table = Some(table);
        reader.add(class::PG_ATTRDEF, object);
    }
    Ok(())
}
