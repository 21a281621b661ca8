//! Aggregates: normal, ordered-set and hypothetical-set ones.

use backup_core::Result;

use super::Reader;
use crate::acl;
use crate::catalog::Row;
use crate::object::{Kind, Object, class};
use crate::quote::{literal, qualified};

/// Options of `CREATE AGGREGATE` whose value is an SQL expression over `pg_aggregate a`, absent where that is null.
const OPTIONS: &[(&str, &str)] = &[
    ("SFUNC", "a.aggtransfn::pg_catalog.regproc::text"),
    ("STYPE", "pg_catalog.format_type(a.aggtranstype, NULL)"),
    ("SSPACE", "NULLIF(a.aggtransspace, 0)::text"),
    ("FINALFUNC", "NULLIF(a.aggfinalfn::oid, 0)::pg_catalog.regproc::text"),
    ("FINALFUNC_EXTRA", "CASE WHEN a.aggfinalextra THEN '' END"),
    (
        "FINALFUNC_MODIFY",
        "CASE WHEN a.aggfinalmodify <> CASE a.aggkind WHEN 'n' THEN 'r' ELSE 'w' END THEN \
         CASE a.aggfinalmodify WHEN 'r' THEN 'READ_ONLY' WHEN 's' THEN 'SHAREABLE' ELSE 'READ_WRITE' END END",
    ),
    ("COMBINEFUNC", "NULLIF(a.aggcombinefn::oid, 0)::pg_catalog.regproc::text"),
    ("SERIALFUNC", "NULLIF(a.aggserialfn::oid, 0)::pg_catalog.regproc::text"),
    ("DESERIALFUNC", "NULLIF(a.aggdeserialfn::oid, 0)::pg_catalog.regproc::text"),
    ("INITCOND", "a.agginitval"),
    ("MSFUNC", "NULLIF(a.aggmtransfn::oid, 0)::pg_catalog.regproc::text"),
    ("MINVFUNC", "NULLIF(a.aggminvtransfn::oid, 0)::pg_catalog.regproc::text"),
    ("MSTYPE", "CASE WHEN a.aggmtranstype <> 0 THEN pg_catalog.format_type(a.aggmtranstype, NULL) END"),
    ("MSSPACE", "NULLIF(a.aggmtransspace, 0)::text"),
    ("MFINALFUNC", "NULLIF(a.aggmfinalfn::oid, 0)::pg_catalog.regproc::text"),
    ("MFINALFUNC_EXTRA", "CASE WHEN a.aggmfinalextra THEN '' END"),
    (
        "MFINALFUNC_MODIFY",
        "CASE WHEN a.aggmfinalmodify <> CASE a.aggkind WHEN 'n' THEN 'r' ELSE 'w' END THEN \
         CASE a.aggmfinalmodify WHEN 'r' THEN 'READ_ONLY' WHEN 's' THEN 'SHAREABLE' ELSE 'READ_WRITE' END END",
    ),
    ("MINITCOND", "a.aggminitval"),
    (
        "SORTOP",
        "(SELECT pg_catalog.format('OPERATOR(%I.%s)', n.nspname, o.oprname) FROM pg_catalog.pg_operator o \
         JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace WHERE o.oid = a.aggsortop)",
    ),
    ("HYPOTHETICAL", "CASE WHEN a.aggkind = 'h' THEN '' END"),
    ("PARALLEL", "CASE p.proparallel WHEN 's' THEN 'safe' WHEN 'r' THEN 'restricted' END"),
];

/// Reads the aggregates; and the privileges of those of the system and of extensions where they were changed.
pub(super) async fn read(reader: &mut Reader<'_>) -> Result<()> {
    let options: Vec<&str> = OPTIONS.iter().map(|(_, sql)| *sql).collect();
    let sql = format!(
        "SELECT p.oid, p.proname::text, p.pronamespace, p.proowner, p.proacl::text, \
         pg_catalog.pg_get_function_identity_arguments(p.oid), pg_catalog.pg_get_function_arguments(p.oid), \
         ARRAY(SELECT pg_catalog.format_type(t, NULL) FROM pg_catalog.unnest(p.proargtypes) WITH ORDINALITY u (t, n) \
         ORDER BY n), {} FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_aggregate a ON a.aggfnoid = p.oid \
         WHERE p.oid >= 16384 OR p.proacl IS NOT NULL",
        options.join(", ")
    );
    for row in reader.rows_of(class::PG_PROC, b"a", "aggregates", &sql).await? {
        let (oid, name, schema, owner): (u32, String, u32, u32) = (row.get(0), row.get(1), row.get(2), row.get(3));
        let (privileges, identity, arguments): (Option<String>, String, String) = (row.get(4), row.get(5), row.get(6));
        let types: Vec<String> = row.get(7);
        let given = oid < 16_384 || reader.is_member(class::PG_PROC, oid);
        if !given && !reader.is_dumped_schema(schema) {
            continue;
        }
        let schema = reader.schema(schema)?.to_owned();
        let full = qualified(&schema, &name);
        // GRANT knows aggregates as functions, and no ORDER BY between their arguments.
        let function = format!("FUNCTION {full}({})", types.join(", "));
        let acl =
            acl::acl_sql(reader, acl::Kind::Function, &function, None, class::PG_PROC, oid, 0, owner, privileges.as_deref())?;
        let label = format!("aggregate {schema}.{name}({identity})");
        let order = [schema.as_str(), name.as_str(), identity.as_str()];
        if given {
            if !acl.is_empty() {
                let mut object = Object::new(Kind::Aggregate, oid, label, order, String::new());
                object.acl = acl;
                reader.add_derived(object);
            }
            continue;
        }
        let signature = format!("{full}({})", or_star(&identity));
        let what = format!("AGGREGATE {signature}");
        let create = format!("CREATE AGGREGATE {full}({}) (\n    {}\n);\n", or_star(&arguments), options_sql(&row, 8))
            + &reader.owner_sql(&what, owner)?
            + &reader.comment_sql(&what, class::PG_PROC, oid, 0);
        let mut object = Object::new(Kind::Aggregate, oid, label, order, create);
        object.acl = acl;
        object.drop = Some(format!("DROP AGGREGATE IF EXISTS {signature};\n"));
        reader.add(class::PG_PROC, object);
    }
    Ok(())
}

/// `SFUNC = …,\n    STYPE = …` from the columns of `row` that follow `first`.
fn options_sql(row: &Row, first: usize) -> String {
    let options = OPTIONS.iter().enumerate().filter_map(|(place, (option, _))| {
        let value: Option<String> = row.get(first + place);
        value.map(|value| option_sql(option, &value))
    });
    options.collect::<Vec<_>>().join(",\n    ")
}

fn option_sql(option: &str, value: &str) -> String {
    match option {
        "INITCOND" | "MINITCOND" => format!("{option} = {}", literal(value)),
        _ if value.is_empty() => option.to_owned(),
        _ => format!("{option} = {value}"),
    }
}

fn or_star(arguments: &str) -> &str {
    if arguments.is_empty() { "*" } else { arguments }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_initial_value_is_a_value() {
        assert_eq!(option_sql("INITCOND", ""), "INITCOND = ''");
        assert_eq!(option_sql("HYPOTHETICAL", ""), "HYPOTHETICAL");
        assert_eq!(option_sql("SSPACE", "7"), "SSPACE = 7");
    }
}
