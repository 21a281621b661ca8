//! Foreign servers, and the privileges on those of extensions where they were changed.

use backup_core::Result;

use super::Reader;
use super::options::server_options;
use crate::acl;
use crate::object::{Kind, Object, class};
use crate::quote::{ident, literal};

/// Reads the foreign servers.
pub(super) async fn read(reader: &mut Reader<'_>) -> Result<()> {
    let sql = format!(
        "SELECT s.oid, s.srvname::text, s.srvowner, s.srvacl::text, {}, s.srvtype, s.srvversion, w.fdwname::text \
         FROM pg_catalog.pg_foreign_server s JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw WHERE s.oid >= 16384",
        server_options("s.srvoptions")
    );
    for row in reader.rows_of(class::PG_FOREIGN_SERVER, b"", "foreign servers", &sql).await? {
        let (oid, name, owner): (u32, &str, u32) = (row.get(0), row.get(1), row.get(2));
        let (what, class) = (format!("SERVER {}", ident(name)), class::PG_FOREIGN_SERVER);
        let on = format!("FOREIGN {what}");
        let acl = acl::acl_sql(reader, acl::Kind::ForeignServer, &on, None, class, oid, 0, owner, row.get(3))?;
        let label = format!("foreign server {}", ident(name));
        let mut object = Object::new(Kind::ForeignServer, oid, label, ["", name, ""], String::new());
        object.acl = acl;
        if reader.is_member(class, oid) {
            if !object.acl.is_empty() {
                reader.add_derived(object);
            }
            continue;
        }
        let mut create = format!("CREATE {what}");
        for (at, keyword) in [(5, "TYPE"), (6, "VERSION")] {
            if let Some(text) = row.get::<_, Option<&str>>(at) {
                create.push_str(&format!(" {keyword} {}", literal(text)));
            }
        }
        create.push_str(&format!(" FOREIGN DATA WRAPPER {}", ident(row.get(7))));
        if let Some(options) = row.get::<_, Option<&str>>(4) {
            create.push_str(&format!("\n    OPTIONS ({options})"));
        }
        create.push_str(";\n");
        create.push_str(&reader.owner_sql(&what, owner)?);
        create.push_str(&reader.comment_sql(&what, class, oid, 0));
        object.create = create;
        object.drop = Some(format!("DROP SERVER IF EXISTS {};\n", ident(name)));
        reader.add(class, object);
    }
    Ok(())
}
