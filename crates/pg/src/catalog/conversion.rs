//! Conversions between encodings.

use backup_core::Result;

use super::Reader;
use crate::object::{Kind, Object, class};
use crate::quote::{literal, qualified};

/// Reads the conversions.
pub(super) async fn read(reader: &mut Reader<'_>) -> Result<()> {
    let sql = "SELECT c.oid, c.conname::text, c.connamespace, c.conowner, c.condefault, \
               pg_catalog.pg_encoding_to_char(c.conforencoding)::text, pg_catalog.pg_encoding_to_char(c.contoencoding)::text, \
               c.conproc::pg_catalog.regproc::text FROM pg_catalog.pg_conversion c WHERE c.oid >= 16384";
    for row in reader.rows_of(class::PG_CONVERSION, b"", "conversions", sql).await? {
        let (oid, name, schema, owner): (u32, String, u32, u32) = (row.get(0), row.get(1), row.get(2), row.get(3));
        if reader.is_member(class::PG_CONVERSION, oid) || !reader.is_dumped_schema(schema) {
            continue;
        }
        let default = if row.get(4) { "DEFAULT " } else { "" };
        let (from, to, function): (String, String, String) = (row.get(5), row.get(6), row.get(7));
        let schema = reader.schema(schema)?.to_owned();
        let full = qualified(&schema, &name);
        let what = format!("CONVERSION {full}");
        let (from, to) = (literal(&from), literal(&to));
        let create = format!("CREATE {default}{what} FOR {from} TO {to} FROM {function};\n")
            + &reader.owner_sql(&what, owner)?
            + &reader.comment_sql(&what, class::PG_CONVERSION, oid, 0);
        let label = format!("conversion {schema}.{name}");
        let mut object = Object::new(Kind::Conversion, oid, label, [&schema, &name, ""], create);
        object.drop = Some(format!("DROP CONVERSION IF EXISTS {full};\n"));
        reader.add(class::PG_CONVERSION, object);
    }
    Ok(())
}
