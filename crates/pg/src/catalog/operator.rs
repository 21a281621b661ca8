//! Operators.

use backup_core::Result;

use super::Reader;
use crate::object::{Id, Kind, Object, class};
use crate::quote::ident;

/// Options of `CREATE OPERATOR`, with the SQL of their value over `pg_operator o`; absent where that is null.
const OPTIONS: &[(&str, &str)] = &[
    ("PROCEDURE", "o.oprcode::pg_catalog.regproc::text"),
    ("LEFTARG", "CASE WHEN o.oprleft <> 0 THEN pg_catalog.format_type(o.oprleft, NULL) END"),
    ("RIGHTARG", "CASE WHEN o.oprright <> 0 THEN pg_catalog.format_type(o.oprright, NULL) END"),
    (
        "COMMUTATOR",
        "(SELECT pg_catalog.format('OPERATOR(%I.%s)', n.nspname, x.oprname) FROM pg_catalog.pg_operator x \
      JOIN pg_catalog.pg_namespace n ON n.oid = x.oprnamespace WHERE x.oid = o.oprcom)",
    ),
    (
        "NEGATOR",
        "(SELECT pg_catalog.format('OPERATOR(%I.%s)', n.nspname, x.oprname) FROM pg_catalog.pg_operator x \
      JOIN pg_catalog.pg_namespace n ON n.oid = x.oprnamespace WHERE x.oid = o.oprnegate)",
    ),
    ("RESTRICT", "NULLIF(o.oprrest::oid, 0)::pg_catalog.regproc::text"),
    ("JOIN", "NULLIF(o.oprjoin::oid, 0)::pg_catalog.regproc::text"),
    ("MERGES", "CASE WHEN o.oprcanmerge THEN '' END"),
    ("HASHES", "CASE WHEN o.oprcanhash THEN '' END"),
];

/// Operators that call `pg_operator o` their commutator or negator, while it has none: made after it, they would become its.
const ONE_SIDED: &str = "ARRAY(SELECT x.oid FROM pg_catalog.pg_operator x WHERE x.oid >= 16384 AND x.oid <> o.oid \
                         AND x.oprcode <> 0 AND o.oid IN (x.oprcom, x.oprnegate) AND x.oid NOT IN (o.oprcom, o.oprnegate) \
                         AND (x.oprcom = o.oid AND o.oprcom = 0 OR x.oprnegate = o.oid AND o.oprnegate = 0))";

/// Reads the operators. One that is only named, as the commutator of another, is made by that one.
pub(super) async fn read(reader: &mut Reader<'_>) -> Result<()> {
    let options: Vec<&str> = OPTIONS.iter().map(|(_, sql)| *sql).collect();
    let sql = format!(
        "SELECT o.oid, o.oprname::text, o.oprnamespace, o.oprowner, {ONE_SIDED}, {} FROM pg_catalog.pg_operator o \
         WHERE o.oid >= 16384 AND o.oprcode <> 0",
        options.join(", ")
    );
    for row in reader.rows_of(class::PG_OPERATOR, b"", "operators", &sql).await? {
        let (oid, name, schema, owner): (u32, String, u32, u32) = (row.get(0), row.get(1), row.get(2), row.get(3));
        if reader.is_member(class::PG_OPERATOR, oid) || !reader.is_dumped_schema(schema) {
            continue;
        }
        let schema = reader.schema(schema)?.to_owned();
        let full = format!("{}.{name}", ident(&schema));
        let values: Vec<Option<String>> = (0..OPTIONS.len()).map(|place| row.get(5 + place)).collect();
        let argument = |place: usize| values.get(place).and_then(Option::as_deref).unwrap_or("NONE");
        let arguments = format!("({}, {})", argument(1), argument(2));
        let options: Vec<String> = OPTIONS
            .iter()
            .zip(&values)
            .filter_map(|((option, _), value)| {
                let value = value.as_deref()?;
                Some(if value.is_empty() { (*option).to_owned() } else { format!("{option} = {value}") })
            })
            .collect();
        let what = format!("OPERATOR {full} {arguments}");
        let create = format!("CREATE OPERATOR {full} (\n    {}\n);\n", options.join(",\n    "))
            + &reader.owner_sql(&what, owner)?
            + &reader.comment_sql(&what, class::PG_OPERATOR, oid, 0);
        let label = format!("operator {schema}.{name} {arguments}");
        let mut object = Object::new(Kind::Operator, oid, label, [&schema, &name, &arguments], create);
        object.needs.extend(row.get::<_, Vec<u32>>(4).into_iter().map(|oid| Id { kind: Kind::Operator, oid }));
        object.drop = Some(format!("DROP OPERATOR IF EXISTS {full} {arguments};\n"));
        reader.add(class::PG_OPERATOR, object);
    }
    Ok(())
}
