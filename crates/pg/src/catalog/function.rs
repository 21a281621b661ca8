//! Functions, procedures and window functions in every language.

use backup_core::Result;

use super::{Reader, dropped};
use crate::acl;
use crate::object::{Kind, Object, class};
use crate::quote::qualified;

/// Reads the functions; and the privileges of those of the system and of extensions where they were changed.
pub(super) async fn read(reader: &mut Reader<'_>) -> Result<()> {
    // Functions that something else makes (constructors of range types) have an internal dependency on it.
    let sql = "SELECT p.oid, p.proname::text, p.pronamespace, p.proowner, p.proacl::text, p.prokind::text, \
               pg_catalog.pg_get_function_identity_arguments(p.oid), \
               CASE WHEN p.oid >= 16384 AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e \
               WHERE e.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND e.objid = p.oid AND e.deptype = 'e') \
               THEN pg_catalog.pg_get_functiondef(p.oid) END \
               FROM pg_catalog.pg_proc p WHERE p.prokind <> 'a' AND (p.oid >= 16384 OR p.proacl IS NOT NULL) \
               AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend i \
               WHERE i.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND i.objid = p.oid AND i.deptype = 'i')";
    for row in reader.rows("functions", sql, &[]).await? {
        let (oid, name, schema, owner): (u32, String, u32, u32) = (row.get(0), row.get(1), row.get(2), row.get(3));
        let (privileges, kind, arguments): (Option<String>, String, String) = (row.get(4), row.get(5), row.get(6));
        let given = oid < 16_384 || reader.is_member(class::PG_PROC, oid);
        if !given && !reader.is_dumped_schema(schema) {
            continue;
        }
        let keyword = if kind == "p" { "PROCEDURE" } else { "FUNCTION" };
        let schema = reader.schema(schema)?.to_owned();
        let signature = format!("{}({arguments})", qualified(&schema, &name));
        let what = format!("{keyword} {signature}");
        let acl = acl::acl_sql(reader, acl::Kind::Function, &what, None, class::PG_PROC, oid, 0, owner, privileges.as_deref())?;
        let label = format!("{} {schema}.{name}({arguments})", keyword.to_lowercase());
        let order = [schema.as_str(), name.as_str(), arguments.as_str()];
        if given {
            if !acl.is_empty() {
                let mut object = Object::new(Kind::Function, oid, label, order, String::new());
                object.acl = acl;
                reader.add_derived(object);
            }
            continue;
        }
        let definition: Option<String> = row.get(7);
        let definition = definition.ok_or_else(|| dropped(&label))?;
        let create = statement(&definition)
            + &reader.owner_sql(&what, owner)?
            + &reader.comment_sql(&what, class::PG_PROC, oid, 0)
            + &reader.extension_sql(&what, class::PG_PROC, oid);
        let mut object = Object::new(Kind::Function, oid, label, order, create);
        object.acl = acl;
        object.drop = Some(format!("DROP {keyword} IF EXISTS {signature};\n"));
        reader.add(class::PG_PROC, object);
    }
    Ok(())
}

/// What `pg_get_functiondef()` gives as a statement that does not replace anything.
fn statement(definition: &str) -> String {
    let rest = definition.strip_prefix("CREATE OR REPLACE ").map(|rest| format!("CREATE {rest}"));
    let text = rest.unwrap_or_else(|| definition.to_owned());
    format!("{};\n", text.strip_suffix('\n').unwrap_or(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_becomes_a_statement() {
        let given = "CREATE OR REPLACE FUNCTION a.f()\n LANGUAGE sql\nAS $function$CREATE OR REPLACE \n$function$\n";
        let wanted = "CREATE FUNCTION a.f()\n LANGUAGE sql\nAS $function$CREATE OR REPLACE \n$function$;\n";
        assert_eq!(statement(given), wanted);
    }
}
