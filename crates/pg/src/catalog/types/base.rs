//! Base types, and shell types that were never completed.

use backup_core::Result;

use super::{COLUMNS, Ids, NEXT, Reader, Type};
use crate::object::class;
use crate::quote::literal;

/// Options of `CREATE TYPE`, with the SQL of their value over `pg_type t`; absent where that is null, bare where it is empty.
const OPTIONS: &[(&str, &str)] = &[
    ("INPUT", "t.typinput::pg_catalog.regproc::text"),
    ("OUTPUT", "t.typoutput::pg_catalog.regproc::text"),
    ("RECEIVE", "NULLIF(t.typreceive::oid, 0)::pg_catalog.regproc::text"),
    ("SEND", "NULLIF(t.typsend::oid, 0)::pg_catalog.regproc::text"),
    ("TYPMOD_IN", "NULLIF(t.typmodin::oid, 0)::pg_catalog.regproc::text"),
    ("TYPMOD_OUT", "NULLIF(t.typmodout::oid, 0)::pg_catalog.regproc::text"),
    ("ANALYZE", "NULLIF(t.typanalyze::oid, 0)::pg_catalog.regproc::text"),
    ("SUBSCRIPT", ""),
    ("INTERNALLENGTH", "CASE WHEN t.typlen = -1 THEN 'variable' ELSE t.typlen::text END"),
    ("PASSEDBYVALUE", "CASE WHEN t.typbyval THEN '' END"),
    ("ALIGNMENT", "CASE t.typalign WHEN 'c' THEN 'char' WHEN 's' THEN 'int2' WHEN 'i' THEN 'int4' ELSE 'double' END"),
    ("STORAGE", "CASE t.typstorage WHEN 'p' THEN 'plain' WHEN 'e' THEN 'external' WHEN 'x' THEN 'extended' ELSE 'main' END"),
    ("CATEGORY", "NULLIF(t.typcategory, 'U')::text"),
    ("PREFERRED", "CASE WHEN t.typispreferred THEN 'true' END"),
    ("DEFAULT", "COALESCE(pg_catalog.pg_get_expr(t.typdefaultbin, 0), t.typdefault)"),
    ("ELEMENT", "CASE WHEN t.typelem <> 0 THEN pg_catalog.format_type(t.typelem, NULL) END"),
    ("DELIMITER", "NULLIF(t.typdelim, ',')::text"),
    ("COLLATABLE", "CASE WHEN t.typcollation <> 0 THEN 'true' END"),
];

/// Reads the base types and shell types.
pub(super) async fn read(reader: &mut Reader<'_>, ids: &mut Ids) -> Result<()> {
    let subscript =
        if reader.version.at_least(14) { "NULLIF(t.typsubscript::oid, 0)::pg_catalog.regproc::text" } else { "NULL::text" };
    let options: Vec<&str> = OPTIONS.iter().map(|(_, sql)| if sql.is_empty() { subscript } else { sql }).collect();
    let sql = format!(
        "SELECT {COLUMNS}, t.typisdefined, {} FROM pg_catalog.pg_type t WHERE t.oid >= 16384 \
         AND (t.typtype = 'b' OR t.typtype = 'p' AND NOT t.typisdefined) \
         AND NOT EXISTS (SELECT FROM pg_catalog.pg_type e WHERE e.oid = t.typelem AND e.typarray = t.oid)",
        options.join(", ")
    );
    for row in reader.rows_of(class::PG_TYPE, b"bp", "base types", &sql).await? {
        let Some(it) = Type::of(reader, &row)? else { continue };
        let shell = it.shell();
        if !row.get::<_, bool>(NEXT) {
            it.add(reader, ids, "TYPE", &shell, None, "")?;
            continue;
        }
        let options = OPTIONS.iter().enumerate().filter_map(|(place, (option, _))| {
            let value: Option<String> = row.get(NEXT + 1 + place);
            value.map(|value| option_sql(option, &value))
        });
        let options = options.collect::<Vec<_>>().join(",\n    ");
        let create = format!("CREATE TYPE {} (\n    {options}\n);\n", it.full());
        it.add(reader, ids, "TYPE", &create, Some(shell), "")?;
    }
    Ok(())
}

fn option_sql(option: &str, value: &str) -> String {
    match option {
        "CATEGORY" | "DELIMITER" | "DEFAULT" => format!("{option} = {}", literal(value)),
        _ if value.is_empty() => option.to_owned(),
        _ => format!("{option} = {value}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_characters_are_literals() {
        assert_eq!(option_sql("DELIMITER", "'"), "DELIMITER = ''''");
        assert_eq!(option_sql("DEFAULT", ""), "DEFAULT = ''");
        assert_eq!(option_sql("PASSEDBYVALUE", ""), "PASSEDBYVALUE");
    }
}
