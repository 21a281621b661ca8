//! Extended statistics.

use backup_core::Result;

use super::{Reader, dropped};
use crate::object::{Kind, Object, class};
use crate::quote::qualified;

/// Reads the statistics objects.
pub(super) async fn read(reader: &mut Reader<'_>) -> Result<()> {
    let target = match reader.version.major() {
        17.. => "x.stxstattarget::int4",
        13.. => "NULLIF(x.stxstattarget, -1)::int4",
        _ => "NULL::int4",
    };
    let sql = format!(
        "SELECT x.oid, x.stxname::text, x.stxnamespace, x.stxowner, x.stxrelid, {target}, pg_catalog.pg_get_statisticsobjdef(x.oid) \
         FROM pg_catalog.pg_statistic_ext x JOIN pg_catalog.pg_class c ON c.oid = x.stxrelid \
         WHERE x.oid >= 16384 AND c.relpersistence <> 't' ORDER BY x.oid"
    );
    for row in reader.rows_of(class::PG_STATISTIC_EXT, b"", "statistics objects", &sql).await? {
        let (oid, name, namespace): (u32, &str, u32) = (row.get(0), row.get(1), row.get(2));
        if !reader.is_dumped_schema(namespace) || reader.is_member(class::PG_STATISTIC_EXT, oid) {
            continue;
        }
        let schema = reader.schema(namespace)?;
        let at = qualified(schema, name);
        let what = format!("STATISTICS {at}");
        let definition = row.get::<_, Option<&str>>(6).ok_or_else(|| dropped(&format!("statistics {at}")))?;
        let mut create = format!("{definition};\n");
        create.push_str(&reader.owner_sql(&what, row.get(3))?);
        if let Some(target) = row.get::<_, Option<i32>>(5) {
            create.push_str(&format!("ALTER {what} SET STATISTICS {target};\n"));
        }
        create.push_str(&reader.comment_sql(&what, class::PG_STATISTIC_EXT, oid, 0));
        let mut object = Object::new(Kind::Statistics, oid, format!("statistics {at}"), [schema, name, ""], create);
        object.table = Some(row.get(4));
        object.drop = Some(format!("DROP STATISTICS IF EXISTS {at};\n"));
        reader.add(class::PG_STATISTIC_EXT, object);
    }
    Ok(())
}
