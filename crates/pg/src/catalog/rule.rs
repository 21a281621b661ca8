//! Rules, but for those that are views.

use backup_core::Result;

use super::{Reader, dropped};
use crate::object::{Kind, Object, class};
use crate::quote::{ident, qualified};

/// Reads the rules.
pub(super) async fn read(reader: &mut Reader<'_>) -> Result<()> {
    let sql = "SELECT r.oid, r.rulename::text, r.ev_enabled::text, pg_catalog.pg_get_ruledef(r.oid), c.oid, c.relname::text, \
               c.relnamespace FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_class c ON c.oid = r.ev_class \
               WHERE r.rulename <> '_RETURN' AND r.oid >= 16384";
    for row in reader.rows_of(class::PG_REWRITE, b"234", "rules", sql).await? {
        let (oid, table, namespace): (u32, u32, u32) = (row.get(0), row.get(4), row.get(6));
        if !reader.is_dumped_schema(namespace) || reader.is_member(class::PG_REWRITE, oid) {
            continue;
        }
        let (name, enabled): (&str, &str) = (row.get(1), row.get(2));
        let definition: Option<&str> = row.get(3);
        let (schema, table_name) = (reader.schema(namespace)?, row.get::<_, &str>(5));
        let at = qualified(schema, table_name);
        let rule = format!("RULE {} ON {at}", ident(name));
        let drop = format!("DROP RULE IF EXISTS {} ON {at};\n", ident(name));
        // On a member of an extension it may be the extension's own, which nothing tells: it is the same then.
        let mut create = if reader.is_member(class::PG_CLASS, table) { drop.clone() } else { String::new() };
        create.push_str(definition.ok_or_else(|| dropped(&format!("rule {} on {at}", ident(name))))?);
        create.push('\n');
        if let Some(state) = state(enabled) {
            create.push_str(&format!("ALTER TABLE {at} {state} RULE {};\n", ident(name)));
        }
        create.push_str(&reader.comment_sql(&rule, class::PG_REWRITE, oid, 0));
        let order = [schema, table_name, name];
        let mut object = Object::new(Kind::Rule, oid, format!("rule {} on {at}", ident(name)), order, create);
        object.drop = Some(drop);
        object.table = Some(table);
        reader.add(class::PG_REWRITE, object);
    }
    Ok(())
}

/// `DISABLE` and its like for rules and triggers that do not fire as usual.
pub(super) fn state(enabled: &str) -> Option<&'static str> {
    match enabled {
        "D" => Some("DISABLE"),
        "R" => Some("ENABLE REPLICA"),
        "A" => Some("ENABLE ALWAYS"),
        _ => None,
    }
}
