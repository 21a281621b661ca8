//! Row level security: whether tables have it, and their policies.

use std::collections::BTreeMap;

use backup_core::Result;

use super::Reader;
use crate::object::{Address, Kind, Object, class};
use crate::quote::{ident, qualified};

/// Reads them: one object for each table.
pub(super) async fn read(reader: &mut Reader<'_>) -> Result<()> {
    let sql = "SELECT c.oid, c.relnamespace, c.relname::text, c.relrowsecurity, c.relforcerowsecurity FROM pg_catalog.pg_class c \
               WHERE c.oid >= 16384 AND c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND (c.relrowsecurity \
               OR c.relforcerowsecurity OR EXISTS (SELECT FROM pg_catalog.pg_policy p WHERE p.polrelid = c.oid))";
    let mut tables = BTreeMap::new();
    for row in reader.rows_of(class::PG_CLASS, b"rp", "row security", sql).await? {
        let (oid, namespace): (u32, u32) = (row.get(0), row.get(1));
        if !reader.is_dumped_schema(namespace) {
            continue;
        }
        let (schema, name): (String, String) = (reader.schema(namespace)?.to_owned(), row.get(2));
        let at = qualified(&schema, &name);
        let mut create = String::new();
        for (place, action) in [(3, "ENABLE"), (4, "FORCE")] {
            if row.get(place) {
                create.push_str(&format!("ALTER TABLE ONLY {at} {action} ROW LEVEL SECURITY;\n"));
            }
        }
        let mut object = Object::new(Kind::Policy, oid, format!("row security of {at}"), [&schema, &name, ""], create);
        object.table = Some(oid);
        object.needs.push(crate::object::Id { kind: Kind::Relation, oid });
        tables.insert(oid, (at, object, Vec::new()));
    }
    let sql = "SELECT p.oid, p.polrelid, p.polname::text, p.polcmd::text, p.polpermissive, p.polroles, \
               pg_catalog.pg_get_expr(p.polqual, p.polrelid), pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) \
               FROM pg_catalog.pg_policy p ORDER BY p.polname COLLATE \"C\"";
    for row in reader.rows_of(class::PG_POLICY, b"", "policies", sql).await? {
        let oid: u32 = row.get(0);
        let Some((at, object, policies)) = tables.get_mut(&row.get(1)) else { continue };
        let (name, command, permissive): (&str, &str, bool) = (row.get(2), row.get(3), row.get(4));
        let what = format!("POLICY {} ON {at}", ident(name));
        let roles: Vec<u32> = row.get(5);
        let role = |oid: &u32| Ok(if *oid == 0 { "PUBLIC".to_owned() } else { ident(reader.role(*oid)?) });
        let roles = roles.iter().map(role).collect::<Result<Vec<_>>>()?.join(", ");
        if reader.is_member(class::PG_CLASS, object.id.oid) {
            // It may be the extension's own, which nothing tells: it is the same then.
            object.create.push_str(&format!("DROP POLICY IF EXISTS {} ON {at};\n", ident(name)));
        }
        let kind = if permissive { "" } else { " AS RESTRICTIVE" };
        let command = match command {
            "r" => " FOR SELECT",
            "a" => " FOR INSERT",
            "w" => " FOR UPDATE",
            "d" => " FOR DELETE",
            _ => "",
        };
        let clause = |keyword: &str, place: usize| {
            let expression: Option<&str> = row.get(place);
            expression.map_or(String::new(), |expression| format!(" {keyword} ({expression})"))
        };
        let (using, check) = (clause("USING", 6), clause("WITH CHECK", 7));
        object.create.push_str(&format!("CREATE {what}{kind}{command} TO {roles}{using}{check};\n"));
        object.create.push_str(&reader.comment_sql(&what, class::PG_POLICY, oid, 0));
        policies.push(oid);
    }
    for (_, object, policies) in tables.into_values() {
        for oid in policies {
            reader.stands_for(Address { class: class::PG_POLICY, oid }, object.id);
        }
        reader.add_derived(object);
    }
    Ok(())
}
