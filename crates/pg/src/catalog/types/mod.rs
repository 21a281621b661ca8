//! Data types: what all sorts of them share, their array types, and their privileges.

mod base;
mod composite;
mod domain;
mod enumeration;
mod range;

use std::collections::HashMap;

use backup_core::Result;

use super::Reader;
use crate::acl;
use crate::catalog::Row;
use crate::object::{Address, Id, Kind, Object, class};
use crate::quote::{ident, qualified};

/// Reads the types that users made, other than the row types of tables.
pub(super) async fn read(reader: &mut Reader<'_>) -> Result<()> {
    let mut ids = HashMap::new();
    enumeration::read(reader, &mut ids).await?;
    base::read(reader, &mut ids).await?;
    composite::read(reader, &mut ids).await?;
    range::read(reader, &mut ids).await?;
    domain::read(reader, &mut ids).await?;
    read_made_along(reader, &ids).await?;
    read_privileges(reader).await
}

/// The objects of the types that have been read, by OID of the type.
type Ids = HashMap<u32, Id>;

/// The columns that every query over types begins with, for [`Type::of`].
const COLUMNS: &str = "t.oid, t.typname::text, t.typnamespace, t.typowner, t.typacl::text";

/// How many columns [`COLUMNS`] are.
const NEXT: usize = 5;

/// What all sorts of types have.
struct Type {
    oid: u32,
    schema: String,
    name: String,
    owner: u32,
    privileges: Option<String>,
}

impl Type {
    /// The type of `row`, unless it is one that is not dumped.
    fn of(reader: &Reader<'_>, row: &Row) -> Result<Option<Self>> {
        let (oid, schema): (u32, u32) = (row.get(0), row.get(2));
        if reader.is_member(class::PG_TYPE, oid) || !reader.is_dumped_schema(schema) {
            return Ok(None);
        }
        let schema = reader.schema(schema)?.to_owned();
        Ok(Some(Self { oid, schema, name: row.get(1), owner: row.get(3), privileges: row.get(4) }))
    }

    /// Its name as SQL.
    fn full(&self) -> String {
        qualified(&self.schema, &self.name)
    }

    fn id(&self) -> Id {
        Id { kind: Kind::Type, oid: self.oid }
    }

    /// `CREATE TYPE …;`, for those that functions may need before they are defined.
    fn shell(&self) -> String {
        format!("CREATE TYPE {};\n", self.full())
    }

    /// Adds it; `keyword` is `TYPE` or `DOMAIN`, `more` follows its owner and comment.
    fn add(
        self,
        reader: &mut Reader<'_>,
        ids: &mut Ids,
        keyword: &str,
        create: &str,
        early: Option<String>,
        more: &str,
    ) -> Result<()> {
        let full = self.full();
        let what = format!("{keyword} {full}");
        let owner = reader.owner_sql(&what, self.owner)?;
        let comment = reader.comment_sql(&what, class::PG_TYPE, self.oid, 0);
        let label = format!("{} {}.{}", keyword.to_lowercase(), self.schema, self.name);
        let create = format!("{create}{owner}{comment}{more}");
        let mut object = Object::new(Kind::Type, self.oid, label, [&self.schema, &self.name, ""], create);
        object.early = early;
        object.drop = Some(format!("DROP {keyword} IF EXISTS {full};\n"));
        object.acl = privileges_sql(reader, &full, self.oid, self.owner, self.privileges.as_deref())?;
        ids.insert(self.oid, object.id);
        reader.add(class::PG_TYPE, object);
        Ok(())
    }
}

fn privileges_sql(reader: &Reader<'_>, full: &str, oid: u32, owner: u32, privileges: Option<&str>) -> Result<String> {
    let what = format!("TYPE {full}");
    acl::acl_sql(reader, acl::Kind::Type, &what, None, class::PG_TYPE, oid, 0, owner, privileges)
}

/// Reads what the server makes along with a type (its array type, a multirange, constructors, the relation of a composite
/// type) and says that the type stands for it.
async fn read_made_along(reader: &mut Reader<'_>, ids: &Ids) -> Result<()> {
    if ids.is_empty() && !reader.inventory.members.keys().any(|member| member.class == class::PG_TYPE) {
        return Ok(());
    }
    let sql = "SELECT classid, objid, refobjid FROM pg_catalog.pg_depend WHERE deptype = 'i' AND objid >= 16384 \
               AND refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass AND classid IN ('pg_catalog.pg_type'::pg_catalog.regclass, \
               'pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_class'::pg_catalog.regclass, \
               'pg_catalog.pg_cast'::pg_catalog.regclass)";
    let rows = reader.rows("array types", sql, &[]).await?;
    let made: Vec<(Address, u32)> =
        rows.iter().map(|row| (Address { class: row.get(0), oid: row.get(1) }, row.get(2))).collect();
    let makers: HashMap<u32, u32> = made
        .iter()
        .filter(|(address, _)| address.class == class::PG_TYPE)
        .map(|(address, maker)| (address.oid, *maker))
        .collect();
    for (address, maker) in made {
        let mut root = maker;
        // An array of multiranges, made with a range: no chain is longer.
        for _ in 0..3 {
            root = makers.get(&root).copied().unwrap_or(root);
        }
        let extension = reader.inventory.members.get(&Address { class: class::PG_TYPE, oid: root });
        let extension = extension.map(|oid| Id { kind: Kind::Extension, oid: *oid });
        if let Some(id) = ids.get(&root).copied().or(extension) {
            reader.stands_for(address, id);
        }
    }
    Ok(())
}

/// Reads the privileges of types of the system and of extensions, where they were changed.
async fn read_privileges(reader: &mut Reader<'_>) -> Result<()> {
    let sql = format!("SELECT {COLUMNS} FROM pg_catalog.pg_type t WHERE t.typacl IS NOT NULL");
    for row in reader.rows("privileges of types", &sql, &[]).await? {
        let (oid, name, owner, privileges): (u32, String, u32, Option<String>) =
            (row.get(0), row.get(1), row.get(3), row.get(4));
        if oid >= 16_384 && !reader.is_member(class::PG_TYPE, oid) {
            continue;
        }
        let schema = reader.schema(row.get(2))?.to_owned();
        let acl = privileges_sql(reader, &qualified(&schema, &name), oid, owner, privileges.as_deref())?;
        if !acl.is_empty() {
            let mut object = Object::new(Kind::Type, oid, format!("type {schema}.{name}"), [&schema, &name, ""], String::new());
            object.acl = acl;
            reader.add_derived(object);
        }
    }
    Ok(())
}

/// ` COLLATE schema.name`, of two columns that are null where the collation is the type's own.
fn collate_sql(schema: Option<String>, name: Option<String>) -> String {
    match (schema, name) {
        (Some(schema), Some(name)) => format!(" COLLATE {}.{}", ident(&schema), ident(&name)),
        _ => String::new(),
    }
}
