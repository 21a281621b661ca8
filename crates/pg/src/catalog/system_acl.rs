//! Privileges that were changed on relations of the system and of extensions, and on `information_schema`.
//!
//! Those of the system's and extensions' functions, types, languages and other schemas are read with these.

use std::collections::BTreeMap;

use backup_core::Result;

use super::Reader;
use crate::acl;
use crate::object::{Kind, Object, class};
use crate::quote::{ident, qualified};

/// Reads them.
pub(super) async fn read(reader: &mut Reader<'_>) -> Result<()> {
    let mut objects: BTreeMap<u32, Object> = BTreeMap::new();
    // The relation first, and then its columns, whose grantors may hold their options on the relation.
    let sql = "SELECT c.oid, n.nspname::text, c.relname::text, c.relkind::text, c.relowner, c.relacl::text, 0::smallint, NULL::text \
               FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
               LEFT JOIN pg_catalog.pg_init_privs i ON i.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass AND i.objoid = c.oid \
               AND i.objsubid = 0 WHERE c.relkind IN ('r', 'v', 'm', 'S', 'p', 'f') AND c.relacl::text IS DISTINCT FROM i.initprivs::text \
               AND (c.oid < 16384 OR EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass \
               AND d.objid = c.oid AND d.deptype = 'e')) \
               UNION ALL SELECT c.oid, n.nspname::text, c.relname::text, c.relkind::text, c.relowner, a.attacl::text, a.attnum, a.attname::text \
               FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid \
               JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
               LEFT JOIN pg_catalog.pg_init_privs i ON i.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass AND i.objoid = c.oid \
               AND i.objsubid = a.attnum WHERE NOT a.attisdropped AND c.relkind IN ('r', 'v', 'm', 'p', 'f') \
               AND a.attacl::text IS DISTINCT FROM i.initprivs::text \
               AND (c.oid < 16384 OR EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass \
               AND d.objid = c.oid AND d.deptype = 'e')) ORDER BY 1, 7";
    for row in reader.rows("privileges on relations of the system", sql, &[]).await? {
        let (oid, schema, name, owner): (u32, &str, &str, u32) = (row.get(0), row.get(1), row.get(2), row.get(4));
        let (number, column): (i16, Option<&str>) = (row.get(6), row.get(7));
        let at = qualified(schema, name);
        let (kind, what) = match (row.get(3), column) {
            ("S", _) => (acl::Kind::Sequence, format!("SEQUENCE {at}")),
            (_, None) => (acl::Kind::Table, format!("TABLE {at}")),
            (_, Some(_)) => (acl::Kind::Column, format!("TABLE {at}")),
        };
        let sql = acl::acl_sql(reader, kind, &what, column, class::PG_CLASS, oid, number.into(), owner, row.get(5))?;
        let object = objects
            .entry(oid)
            .or_insert_with(|| Object::new(Kind::Acl, oid, format!("privileges on {at}"), [schema, name, ""], String::new()));
        object.acl.push_str(&sql);
    }
    let sql = "SELECT oid, nspname::text, nspowner, nspacl::text FROM pg_catalog.pg_namespace \
               WHERE oid < 16384 AND nspname NOT IN ('public', 'pg_catalog')";
    for row in reader.rows("privileges on schemas of the system", sql, &[]).await? {
        let (oid, name): (u32, &str) = (row.get(0), row.get(1));
        let what = format!("SCHEMA {}", ident(name));
        let sql = acl::acl_sql(reader, acl::Kind::Schema, &what, None, class::PG_NAMESPACE, oid, 0, row.get(2), row.get(3))?;
        let mut object = Object::new(Kind::Acl, oid, format!("privileges on {name}"), [name, "", ""], String::new());
        object.acl = sql;
        objects.insert(oid, object);
    }
    objects.into_values().filter(|object| !object.acl.is_empty()).for_each(|object| reader.add_derived(object));
    Ok(())
}
