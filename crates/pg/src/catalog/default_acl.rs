//! Default privileges (`ALTER DEFAULT PRIVILEGES`).

use backup_core::Result;

use super::Reader;
use crate::acl;
use crate::object::{Kind, Object, class};
use crate::quote::ident;

/// Reads them. They come after all objects, which would get them otherwise.
pub(super) async fn read(reader: &mut Reader<'_>) -> Result<()> {
    let sql = "SELECT oid, defaclrole, defaclnamespace, defaclobjtype::text, defaclacl::text FROM pg_catalog.pg_default_acl";
    for row in reader.rows_of(class::PG_DEFAULT_ACL, b"", "default privileges", sql).await? {
        let (oid, role, namespace): (u32, u32, u32) = (row.get(0), row.get(1), row.get(2));
        if (namespace != 0 && !reader.is_dumped_schema(namespace)) || reader.is_member(class::PG_DEFAULT_ACL, oid) {
            continue;
        }
        let (kind, what) = match row.get(3) {
            "r" => (acl::Kind::Table, "TABLES"),
            "S" => (acl::Kind::Sequence, "SEQUENCES"),
            "f" => (acl::Kind::Function, "FUNCTIONS"),
            "T" => (acl::Kind::Type, "TYPES"),
            "n" => (acl::Kind::Schema, "SCHEMAS"),
            "L" => (acl::Kind::LargeObject, "LARGE OBJECTS"),
            other => {
                return Err(backup_core::Error::failed(format!(
                    "the database has default privileges for {other:?}, which is new"
                )));
            }
        };
        let role = reader.role(role)?;
        let schema = if namespace == 0 { None } else { Some(reader.schema(namespace)?) };
        let in_schema = schema.map_or(String::new(), |schema| format!("IN SCHEMA {} ", ident(schema)));
        let prefix = format!("ALTER DEFAULT PRIVILEGES FOR ROLE {} {in_schema}", ident(role));
        let create = acl::default_acl_sql(reader.version, kind, &prefix, what, role, schema.is_some(), row.get(4))?;
        let label = format!("default privileges of {role} on {}", what.to_lowercase());
        let object = Object::new(Kind::DefaultAcl, oid, label, [schema.unwrap_or_default(), role, what], create);
        reader.add(class::PG_DEFAULT_ACL, object);
    }
    Ok(())
}
