//! Foreign-data wrappers, and the privileges on those of extensions where they were changed.

use backup_core::Result;

use super::Reader;
use super::options::server_options;
use crate::acl;
use crate::object::{Kind, Object, class};
use crate::quote::ident;

/// Reads the foreign-data wrappers.
pub(super) async fn read(reader: &mut Reader<'_>) -> Result<()> {
    let function = |column: &str| {
        format!(
            "(SELECT pg_catalog.format('%I.%I', n.nspname, p.proname) FROM pg_catalog.pg_proc p \
             JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE p.oid = w.{column})"
        )
    };
    let sql = format!(
        "SELECT w.oid, w.fdwname::text, w.fdwowner, w.fdwacl::text, {}, {}, {} FROM pg_catalog.pg_foreign_data_wrapper w \
         WHERE w.oid >= 16384",
        server_options("w.fdwoptions"),
        function("fdwhandler"),
        function("fdwvalidator")
    );
    for row in reader.rows_of(class::PG_FOREIGN_DATA_WRAPPER, b"", "foreign-data wrappers", &sql).await? {
        let (oid, name, owner): (u32, &str, u32) = (row.get(0), row.get(1), row.get(2));
        let what = format!("FOREIGN DATA WRAPPER {}", ident(name));
        let (kind, class) = (acl::Kind::ForeignDataWrapper, class::PG_FOREIGN_DATA_WRAPPER);
        let acl = acl::acl_sql(reader, kind, &what, None, class, oid, 0, owner, row.get(3))?;
        let label = format!("foreign-data wrapper {}", ident(name));
        let mut object = Object::new(Kind::ForeignDataWrapper, oid, label, ["", name, ""], String::new());
        object.acl = acl;
        if reader.is_member(class, oid) {
            if !object.acl.is_empty() {
                reader.add_derived(object);
            }
            continue;
        }
        let mut create = format!("CREATE {what}");
        for (at, keyword) in [(5, "HANDLER"), (6, "VALIDATOR")] {
            if let Some(function) = row.get::<_, Option<&str>>(at) {
                create.push_str(&format!(" {keyword} {function}"));
            }
        }
        if let Some(options) = row.get::<_, Option<&str>>(4) {
            create.push_str(&format!("\n    OPTIONS ({options})"));
        }
        create.push_str(";\n");
        create.push_str(&reader.owner_sql(&what, owner)?);
        create.push_str(&reader.comment_sql(&what, class, oid, 0));
        object.create = create;
        object.drop = Some(format!("DROP FOREIGN DATA WRAPPER IF EXISTS {};\n", ident(name)));
        reader.add(class, object);
    }
    Ok(())
}
