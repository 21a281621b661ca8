//! User mappings: who is who on a foreign server. Their options hold passwords.

use backup_core::{Error, Result};

use super::Reader;
use super::options::server_options;
use crate::object::{Kind, Object, class};
use crate::quote::ident;

/// Whether the options of mapping `m` of server `s` are for us to see: who may is written in the view `pg_user_mappings`.
const IS_READABLE: &str = "m.umoptions IS NOT NULL OR (SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname = current_user) \
     OR m.umuser = 0 AND pg_catalog.pg_has_role(s.srvowner, 'USAGE') OR m.umuser <> 0 AND m.usename = current_user \
     AND (pg_catalog.pg_has_role(s.srvowner, 'USAGE') OR pg_catalog.has_server_privilege(s.oid, 'USAGE'))";

/// Reads the user mappings. One whose options we may not see is an error: without them it would let nobody in.
pub(super) async fn read(reader: &mut Reader<'_>) -> Result<()> {
    let sql = format!(
        "SELECT m.umid, m.umuser, m.srvid, m.srvname::text, {}, {IS_READABLE} FROM pg_catalog.pg_user_mappings m \
         JOIN pg_catalog.pg_foreign_server s ON s.oid = m.srvid WHERE m.umid >= 16384",
        server_options("m.umoptions")
    );
    for row in reader.rows_of(class::PG_USER_MAPPING, b"", "user mappings", &sql).await? {
        let (oid, user, server): (u32, u32, &str) = (row.get(0), row.get(1), row.get(3));
        if reader.is_member(class::PG_USER_MAPPING, oid) {
            continue;
        }
        let user = if user == 0 { "PUBLIC".to_owned() } else { ident(reader.role(user)?) };
        let at = format!("FOR {user} SERVER {}", ident(server));
        if row.get::<_, Option<bool>>(5) != Some(true) {
            let text = format!("may not read the options of the user mapping of {user} on {}", ident(server));
            return Err(Error::failed(text).with_hint("connect as a superuser"));
        }
        let drop = format!("DROP USER MAPPING IF EXISTS {at};\n");
        // An extension that makes its server may make mappings too; they never are its members.
        let mut create = if reader.is_member(class::PG_FOREIGN_SERVER, row.get(2)) { drop.clone() } else { String::new() };
        create.push_str(&format!("CREATE USER MAPPING {at}"));
        // In a line of their own: the first line of a statement is shown where it fails.
        if let Some(options) = row.get::<_, Option<&str>>(4) {
            create.push_str(&format!("\n    OPTIONS ({options})"));
        }
        create.push_str(";\n");
        let label = format!("user mapping of {user} on {}", ident(server));
        let mut object = Object::new(Kind::UserMapping, oid, label, ["", server, &user], create);
        object.drop = Some(drop);
        reader.add(class::PG_USER_MAPPING, object);
    }
    Ok(())
}
