//! Operator families, with their members that no class owns, and operator classes with theirs.

use std::collections::HashMap;

use backup_core::Result;

use super::Reader;
use crate::object::{Address, Id, Kind, Object, class};
use crate::quote::{ident, qualified};

/// Reads the operator families and classes.
pub(super) async fn read(reader: &mut Reader<'_>) -> Result<()> {
    if !reader.inventory.has(class::PG_OPCLASS, b"") && !reader.inventory.has(class::PG_OPFAMILY, b"") {
        return Ok(());
    }
    let mut members = read_members(reader).await?;
    read_families(reader, &mut members).await?;
    read_classes(reader, &mut members).await
}

/// Operators and functions by the class or family that owns them: the row, and its line in a list of members.
type Members = HashMap<Address, Vec<(Address, String)>>;

async fn read_members(reader: &Reader<'_>) -> Result<Members> {
    // The dependency of a member on its class is internal; on its family, where no class owns it, automatic.
    // Names are looked for after the join: before it, the server would look for each of them once per dependency.
    const OWNED: &str = "(d.refclassid = 'pg_catalog.pg_opclass'::pg_catalog.regclass AND d.deptype = 'i' \
                         OR d.refclassid = 'pg_catalog.pg_opfamily'::pg_catalog.regclass AND d.deptype = 'a')";
    let sql = format!(
        "SELECT d.refclassid, d.refobjid, d.classid, d.objid, \
         pg_catalog.format('OPERATOR %s %s', o.amopstrategy, o.amopopr::pg_catalog.regoperator) || COALESCE(( \
         SELECT pg_catalog.format(' FOR ORDER BY %I.%I', n.nspname, f.opfname) FROM pg_catalog.pg_opfamily f \
         JOIN pg_catalog.pg_namespace n ON n.oid = f.opfnamespace WHERE f.oid = o.amopsortfamily), '') AS line, \
         1 AS part, o.amopstrategy AS number FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_amop o ON o.oid = d.objid \
         WHERE d.classid = 'pg_catalog.pg_amop'::pg_catalog.regclass AND d.objid >= 16384 AND {OWNED} UNION ALL \
         SELECT d.refclassid, d.refobjid, d.classid, d.objid, \
         pg_catalog.format('FUNCTION %s (%s, %s) %s', p.amprocnum, pg_catalog.format_type(p.amproclefttype, NULL), \
         pg_catalog.format_type(p.amprocrighttype, NULL), p.amproc::pg_catalog.regprocedure), \
         2, p.amprocnum FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_amproc p ON p.oid = d.objid \
         WHERE d.classid = 'pg_catalog.pg_amproc'::pg_catalog.regclass AND d.objid >= 16384 AND {OWNED} \
         ORDER BY part, number, line"
    );
    let mut members = Members::new();
    for row in reader.rows("members of operator classes", &sql, &[]).await? {
        let owner = Address { class: row.get(0), oid: row.get(1) };
        members.entry(owner).or_default().push((Address { class: row.get(2), oid: row.get(3) }, row.get(4)));
    }
    Ok(members)
}

/// The lines of what `id` owns, for which it stands from now on.
fn lines(reader: &mut Reader<'_>, members: &mut Members, class: u32, id: Id) -> Vec<String> {
    let own = members.remove(&Address { class, oid: id.oid }).unwrap_or_default();
    own.into_iter()
        .map(|(address, line)| {
            reader.stands_for(address, id);
            line
        })
        .collect()
}

async fn read_families(reader: &mut Reader<'_>, members: &mut Members) -> Result<()> {
    let sql = "SELECT f.oid, f.opfname::text, f.opfnamespace, f.opfowner, a.amname::text FROM pg_catalog.pg_opfamily f \
               JOIN pg_catalog.pg_am a ON a.oid = f.opfmethod WHERE f.oid >= 16384";
    for row in reader.rows_of(class::PG_OPFAMILY, b"", "operator families", sql).await? {
        let (oid, name, schema, owner): (u32, String, u32, u32) = (row.get(0), row.get(1), row.get(2), row.get(3));
        if reader.is_member(class::PG_OPFAMILY, oid) || !reader.is_dumped_schema(schema) {
            continue;
        }
        let (schema, method) = (reader.schema(schema)?.to_owned(), row.get::<_, String>(4));
        let full = format!("{} USING {}", qualified(&schema, &name), ident(&method));
        let what = format!("OPERATOR FAMILY {full}");
        let mut create = format!("CREATE {what};\n")
            + &reader.owner_sql(&what, owner)?
            + &reader.comment_sql(&what, class::PG_OPFAMILY, oid, 0);
        let id = Id { kind: Kind::OperatorFamily, oid };
        let loose = lines(reader, members, class::PG_OPFAMILY, id);
        if !loose.is_empty() {
            create += &format!("ALTER {what} ADD\n    {};\n", loose.join(",\n    "));
        }
        let label = format!("operator family {schema}.{name} using {method}");
        let mut object = Object::new(id.kind, oid, label, [&schema, &name, &method], create);
        object.drop = Some(format!("DROP OPERATOR FAMILY IF EXISTS {full};\n"));
        reader.add(class::PG_OPFAMILY, object);
    }
    Ok(())
}

async fn read_classes(reader: &mut Reader<'_>, members: &mut Members) -> Result<()> {
    let sql = "SELECT c.oid, c.opcname::text, c.opcnamespace, c.opcowner, a.amname::text, c.opcdefault, \
               pg_catalog.format_type(c.opcintype, NULL), \
               CASE WHEN c.opckeytype <> 0 THEN pg_catalog.format_type(c.opckeytype, NULL) END, \
               pg_catalog.format('%I.%I', n.nspname, f.opfname) FROM pg_catalog.pg_opclass c \
               JOIN pg_catalog.pg_am a ON a.oid = c.opcmethod JOIN pg_catalog.pg_opfamily f ON f.oid = c.opcfamily \
               JOIN pg_catalog.pg_namespace n ON n.oid = f.opfnamespace WHERE c.oid >= 16384";
    for row in reader.rows_of(class::PG_OPCLASS, b"", "operator classes", sql).await? {
        let (oid, name, schema, owner): (u32, String, u32, u32) = (row.get(0), row.get(1), row.get(2), row.get(3));
        if reader.is_member(class::PG_OPCLASS, oid) || !reader.is_dumped_schema(schema) {
            continue;
        }
        let (schema, method) = (reader.schema(schema)?.to_owned(), row.get::<_, String>(4));
        let default = if row.get(5) { "DEFAULT " } else { "" };
        let (input, storage, family): (String, Option<String>, String) = (row.get(6), row.get(7), row.get(8));
        let full = format!("{} USING {}", qualified(&schema, &name), ident(&method));
        let what = format!("OPERATOR CLASS {full}");
        let id = Id { kind: Kind::OperatorClass, oid };
        let mut own = lines(reader, members, class::PG_OPCLASS, id);
        // The list cannot be empty, and to store the type itself is the default.
        let storage = storage.or_else(|| own.is_empty().then(|| input.clone()));
        own.splice(..0, storage.map(|storage| format!("STORAGE {storage}")));
        let create = format!(
            "CREATE OPERATOR CLASS {} {default}FOR TYPE {input} USING {} FAMILY {family} AS\n    {};\n",
            qualified(&schema, &name),
            ident(&method),
            own.join(",\n    ")
        ) + &reader.owner_sql(&what, owner)?
            + &reader.comment_sql(&what, class::PG_OPCLASS, oid, 0);
        let label = format!("operator class {schema}.{name} using {method}");
        let mut object = Object::new(id.kind, oid, label, [&schema, &name, &method], create);
        object.drop = Some(format!("DROP OPERATOR CLASS IF EXISTS {full};\n"));
        reader.add(class::PG_OPCLASS, object);
    }
    Ok(())
}
