//! Enums.

use backup_core::Result;

use super::{COLUMNS, Ids, NEXT, Reader, Type};
use crate::object::class;
use crate::quote::literal;

/// Reads the enums.
pub(super) async fn read(reader: &mut Reader<'_>, ids: &mut Ids) -> Result<()> {
    let sql = format!(
        "SELECT {COLUMNS}, ARRAY(SELECT e.enumlabel::text FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid \
         ORDER BY e.enumsortorder) FROM pg_catalog.pg_type t WHERE t.oid >= 16384 AND t.typtype = 'e'"
    );
    for row in reader.rows_of(class::PG_TYPE, b"e", "enums", &sql).await? {
        let Some(it) = Type::of(reader, &row)? else { continue };
        let create = create_sql(&it.full(), &row.get::<_, Vec<String>>(NEXT));
        it.add(reader, ids, "TYPE", &create, None, "")?;
    }
    Ok(())
}

fn create_sql(full: &str, labels: &[String]) -> String {
    let labels: Vec<String> = labels.iter().map(|label| literal(label)).collect();
    format!("CREATE TYPE {full} AS ENUM (\n    {}\n);\n", labels.join(",\n    "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_quoted_and_may_be_missing() {
        let labels = ["it's".to_owned(), String::new()];
        assert_eq!(create_sql("a.e", &labels), "CREATE TYPE a.e AS ENUM (\n    'it''s',\n    ''\n);\n");
        assert_eq!(create_sql("a.e", &[]), "CREATE TYPE a.e AS ENUM (\n    \n);\n");
    }
}
