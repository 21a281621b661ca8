//! Access methods of indexes and tables.

use backup_core::Result;

use super::Reader;
use crate::object::{Kind, Object, class};
use crate::quote::ident;

/// Reads the access methods.
pub(super) async fn read(reader: &mut Reader<'_>) -> Result<()> {
    let sql = "SELECT a.oid, a.amname::text, CASE a.amtype WHEN 'i' THEN 'INDEX' ELSE 'TABLE' END, \
               a.amhandler::pg_catalog.regproc::text FROM pg_catalog.pg_am a WHERE a.oid >= 16384";
    for row in reader.rows_of(class::PG_AM, b"", "access methods", sql).await? {
        let (oid, name, kind, handler): (u32, String, String, String) = (row.get(0), row.get(1), row.get(2), row.get(3));
        if reader.is_member(class::PG_AM, oid) {
            continue;
        }
        let what = format!("ACCESS METHOD {}", ident(&name));
        let comment = reader.comment_sql(&what, class::PG_AM, oid, 0);
        let create = format!("CREATE {what} TYPE {kind} HANDLER {handler};\n{comment}");
        let mut object = Object::new(Kind::AccessMethod, oid, format!("access method {name}"), ["", &name, ""], create);
        object.drop = Some(format!("DROP ACCESS METHOD IF EXISTS {};\n", ident(&name)));
        reader.add(class::PG_AM, object);
    }
    Ok(())
}
