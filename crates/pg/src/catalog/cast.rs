//! Casts.

use backup_core::Result;

use super::Reader;
use crate::object::{Kind, Object, class};

/// Reads the casts; that of a range to its multirange comes with the type.
pub(super) async fn read(reader: &mut Reader<'_>) -> Result<()> {
    let sql = "SELECT c.oid, pg_catalog.format_type(c.castsource, NULL), pg_catalog.format_type(c.casttarget, NULL), \
               CASE c.castmethod WHEN 'f' THEN ' WITH FUNCTION ' || c.castfunc::pg_catalog.regprocedure::text \
               WHEN 'i' THEN ' WITH INOUT' ELSE ' WITHOUT FUNCTION' END, \
               CASE c.castcontext WHEN 'a' THEN ' AS ASSIGNMENT' WHEN 'i' THEN ' AS IMPLICIT' ELSE '' END \
               FROM pg_catalog.pg_cast c WHERE c.oid >= 16384 AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d \
               WHERE d.classid = 'pg_catalog.pg_cast'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype IN ('e', 'i'))";
    for row in reader.rows_of(class::PG_CAST, b"", "casts", sql).await? {
        let (oid, source, target): (u32, String, String) = (row.get(0), row.get(1), row.get(2));
        let (way, context): (String, String) = (row.get(3), row.get(4));
        let what = format!("CAST ({source} AS {target})");
        let create = format!("CREATE {what}{way}{context};\n{}", reader.comment_sql(&what, class::PG_CAST, oid, 0));
        let label = format!("cast from {source} to {target}");
        let mut object = Object::new(Kind::Cast, oid, label, ["", &source, &target], create);
        object.drop = Some(format!("DROP CAST IF EXISTS ({source} AS {target});\n"));
        reader.add(class::PG_CAST, object);
    }
    Ok(())
}
