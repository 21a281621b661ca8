//! Schemas, and what was done to `public`, which every new database already has.

use backup_core::Result;

use super::Reader;
use crate::acl;
use crate::object::{Kind, Object, class};
use crate::quote::{ident, literal};

/// The comment that initdb gives to `public`.
const STANDARD: &str = "standard public schema";

/// OID of the `public` that initdb makes (`PG_PUBLIC_NAMESPACE` of `pg_namespace.dat`).
const PUBLIC: u32 = 2200;

/// Reads the schemas.
pub(super) async fn read(reader: &mut Reader<'_>) -> Result<()> {
    // What a new `public` grants once its owner is set. Before 15 it let everyone create in it; there the privileges are
    // taken from everyone first, so that the schema comes out the same on an older and on a newer server.
    let everyone =
        if reader.version.at_least(15) { " || ('=U/' || pg_catalog.quote_ident(r.rolname))::pg_catalog.aclitem" } else { "" };
    let sql = format!(
        "SELECT n.oid, n.nspname::text, n.nspowner, n.nspacl::text, (pg_catalog.acldefault('n', n.nspowner){everyone})::text \
         FROM pg_catalog.pg_namespace n LEFT JOIN pg_catalog.pg_roles r ON r.oid = n.nspowner \
         WHERE n.oid >= 16384 OR n.nspname IN ('pg_catalog', 'public')"
    );
    let mut public = false;
    for row in reader.rows("schemas", &sql, &[]).await? {
        let (oid, name, owner): (u32, String, u32) = (row.get(0), row.get(1), row.get(2));
        let (privileges, new): (Option<String>, Option<String>) = (row.get(3), row.get(4));
        let what = format!("SCHEMA {}", ident(&name));
        let given = name == "pg_catalog" || reader.is_member(class::PG_NAMESPACE, oid);
        if !given && !reader.is_dumped_schema(oid) {
            continue;
        }
        let is_public = name == "public" && !given;
        public |= name == "public";
        // One made by hand has no privileges of its own unless they were changed; the one of initdb has.
        let by_hand = privileges.is_none();
        if is_public && !by_hand {
            reader.initial.insert((class::PG_NAMESPACE, oid, 0), new.unwrap_or_default());
        }
        let mut acl =
            acl::acl_sql(reader, acl::Kind::Schema, &what, None, class::PG_NAMESPACE, oid, 0, owner, privileges.as_deref())?;
        if is_public && !by_hand && !reader.version.at_least(15) {
            acl.insert_str(0, "REVOKE ALL ON SCHEMA public FROM PUBLIC;\n");
        }
        let create = if given {
            String::new()
        } else if is_public && !by_hand {
            let owner_sql =
                if reader.role(owner)? == "pg_database_owner" { String::new() } else { reader.owner_sql(&what, owner)? };
            owner_sql
                + &public_comment(
                    reader.comment(class::PG_NAMESPACE, oid, 0),
                    &reader.comment_sql(&what, class::PG_NAMESPACE, oid, 0),
                )
        } else {
            let first = if is_public { "DROP SCHEMA IF EXISTS public;\n" } else { "" };
            let owner_sql = reader.owner_sql(&what, owner)?;
            format!("{first}CREATE {what};\n{owner_sql}{}", reader.comment_sql(&what, class::PG_NAMESPACE, oid, 0))
        };
        let mut object = Object::new(Kind::Schema, oid, format!("schema {name}"), ["", &name, ""], create);
        object.acl = acl;
        if given {
            if !object.acl.is_empty() {
                reader.add_derived(object);
            }
            continue;
        }
        object.drop = (!is_public).then(|| format!("DROP SCHEMA IF EXISTS {};\n", ident(&name)));
        reader.add(class::PG_NAMESPACE, object);
    }
    if !public {
        let sql = "DROP SCHEMA IF EXISTS public;\n".to_owned();
        reader.add_derived(Object::new(Kind::Schema, PUBLIC, "schema public", ["", "public", ""], sql));
    }
    Ok(())
}

/// What leads from the comment of a new `public` to `comment`; `sql` sets comment and labels, whatever they are.
fn public_comment(comment: Option<&str>, sql: &str) -> String {
    match comment {
        None => format!("COMMENT ON SCHEMA public IS NULL;\n{sql}"),
        Some(STANDARD) => {
            sql.strip_prefix(&format!("COMMENT ON SCHEMA public IS {};\n", literal(STANDARD))).unwrap_or(sql).to_owned()
        }
        Some(_) => sql.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_changed_comment_of_public_is_set() {
        let label = "SECURITY LABEL FOR a ON SCHEMA public IS 'x';\n";
        let set = |text: &str| format!("COMMENT ON SCHEMA public IS {};\n{label}", literal(text));
        assert_eq!(public_comment(Some(STANDARD), &set(STANDARD)), label);
        assert_eq!(public_comment(Some("mine"), &set("mine")), set("mine"));
        assert_eq!(public_comment(None, label), format!("COMMENT ON SCHEMA public IS NULL;\n{label}"));
    }
}
