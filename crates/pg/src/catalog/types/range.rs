//! Range types with their multiranges.

use backup_core::Result;

use super::{COLUMNS, Ids, NEXT, Reader, Type};
use crate::object::class;

/// Options of `CREATE TYPE … AS RANGE`, with the SQL of their value over `pg_range r` and `pg_type s`, the subtype; absent where
/// that is null. `regproc` and the like come out qualified.
const OPTIONS: &[(&str, &str)] = &[
    ("SUBTYPE", "pg_catalog.format_type(r.rngsubtype, NULL)"),
    ("MULTIRANGE_TYPE_NAME", ""),
    (
        "SUBTYPE_OPCLASS",
        "(SELECT pg_catalog.format('%I.%I', n.nspname, o.opcname) FROM pg_catalog.pg_opclass o \
         JOIN pg_catalog.pg_namespace n ON n.oid = o.opcnamespace WHERE o.oid = r.rngsubopc AND NOT o.opcdefault)",
    ),
    (
        "COLLATION",
        "(SELECT pg_catalog.format('%I.%I', n.nspname, c.collname) FROM pg_catalog.pg_collation c \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.collnamespace \
         WHERE c.oid = r.rngcollation AND r.rngcollation <> s.typcollation)",
    ),
    ("CANONICAL", "NULLIF(r.rngcanonical::oid, 0)::pg_catalog.regproc::text"),
    ("SUBTYPE_DIFF", "NULLIF(r.rngsubdiff::oid, 0)::pg_catalog.regproc::text"),
];

/// The multirange that goes with a range, since 14.
const MULTIRANGE: &str = "(SELECT pg_catalog.format('%I.%I', n.nspname, m.typname) FROM pg_catalog.pg_type m \
                          JOIN pg_catalog.pg_namespace n ON n.oid = m.typnamespace WHERE m.oid = r.rngmultitypid)";

/// Reads the range types.
pub(super) async fn read(reader: &mut Reader<'_>, ids: &mut Ids) -> Result<()> {
    let multirange = if reader.version.at_least(14) { MULTIRANGE } else { "NULL::text" };
    let options: Vec<&str> = OPTIONS.iter().map(|(_, sql)| if sql.is_empty() { multirange } else { sql }).collect();
    let sql = format!(
        "SELECT {COLUMNS}, {} FROM pg_catalog.pg_type t JOIN pg_catalog.pg_range r ON r.rngtypid = t.oid \
         JOIN pg_catalog.pg_type s ON s.oid = r.rngsubtype WHERE t.oid >= 16384",
        options.join(", ")
    );
    for row in reader.rows_of(class::PG_TYPE, b"r", "range types", &sql).await? {
        let Some(it) = Type::of(reader, &row)? else { continue };
        let mut values = Vec::new();
        let mut canonical = false;
        for (place, (option, _)) in OPTIONS.iter().enumerate() {
            if let Some(value) = row.get::<_, Option<String>>(NEXT + place) {
                canonical |= *option == "CANONICAL";
                values.push(format!("{option} = {value}"));
            }
        }
        let create = format!("CREATE TYPE {} AS RANGE (\n    {}\n);\n", it.full(), values.join(",\n    "));
        // Only a canonical function takes the range itself.
        let early = canonical.then(|| it.shell());
        it.add(reader, ids, "TYPE", &create, early, "")?;
    }
    Ok(())
}
