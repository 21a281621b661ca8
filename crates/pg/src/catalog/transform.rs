//! Transforms between types and languages.

use backup_core::Result;

use super::Reader;
use crate::object::{Kind, Object, class};
use crate::quote::ident;

/// Reads the transforms.
pub(super) async fn read(reader: &mut Reader<'_>) -> Result<()> {
    let sql = "SELECT t.oid, pg_catalog.format_type(t.trftype, NULL), l.lanname::text, \
               pg_catalog.concat_ws(', ', 'FROM SQL WITH FUNCTION ' || NULLIF(t.trffromsql::oid, 0)::pg_catalog.regprocedure::text, \
               'TO SQL WITH FUNCTION ' || NULLIF(t.trftosql::oid, 0)::pg_catalog.regprocedure::text) \
               FROM pg_catalog.pg_transform t JOIN pg_catalog.pg_language l ON l.oid = t.trflang WHERE t.oid >= 16384";
    for row in reader.rows_of(class::PG_TRANSFORM, b"", "transforms", sql).await? {
        let (oid, kind, language, functions): (u32, String, String, String) = (row.get(0), row.get(1), row.get(2), row.get(3));
        if reader.is_member(class::PG_TRANSFORM, oid) {
            continue;
        }
        let full = format!("FOR {kind} LANGUAGE {}", ident(&language));
        let what = format!("TRANSFORM {full}");
        let create = format!("CREATE {what} ({functions});\n{}", reader.comment_sql(&what, class::PG_TRANSFORM, oid, 0));
        let label = format!("transform for {kind} language {language}");
        let mut object = Object::new(Kind::Transform, oid, label, ["", &kind, &language], create);
        object.drop = Some(format!("DROP TRANSFORM IF EXISTS {full};\n"));
        reader.add(class::PG_TRANSFORM, object);
    }
    Ok(())
}
