//! Large objects without their bytes: owner, privileges, comment. There can be millions: they are read page by page.

use backup_core::Result;
use tokio_postgres::Client;

use crate::acl;
use crate::catalog::Row;
use crate::quote::{ident, literal};
use crate::raw_text::to_bytes;
use crate::version::Version;

/// A large object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LargeObject {
    /// Its OID, which is its name. Any number: users choose it.
    pub(crate) oid: u32,
    /// Creates it, empty, with its owner and comment.
    pub(crate) create: Vec<u8>,
    /// Sets its privileges; empty where they are the default. To be run after the bytes are in.
    pub(crate) acl: Vec<u8>,
}

/// No version has changed the privileges that there are on large objects.
const SAME: Version = Version(0);

/// How many are read at once.
const PAGE: i64 = 1000;

/// The next large objects above `after`, in the order of OIDs. Empty at the end.
pub(crate) async fn page(client: &Client, after: u32) -> Result<Vec<LargeObject>> {
    let sql = "SELECT m.oid, pg_catalog.pg_get_userbyid(m.lomowner)::text, m.lomacl::text, d.description, \
               ARRAY(SELECT l.provider FROM pg_catalog.pg_seclabel l WHERE l.classoid = 'pg_catalog.pg_largeobject'::pg_catalog.regclass \
               AND l.objoid = m.oid ORDER BY l.provider), \
               ARRAY(SELECT l.label FROM pg_catalog.pg_seclabel l WHERE l.classoid = 'pg_catalog.pg_largeobject'::pg_catalog.regclass \
               AND l.objoid = m.oid ORDER BY l.provider) \
               FROM pg_catalog.pg_largeobject_metadata m LEFT JOIN pg_catalog.pg_description d \
               ON d.classoid = 'pg_catalog.pg_largeobject'::pg_catalog.regclass AND d.objoid = m.oid AND d.objsubid = 0 \
               WHERE m.oid > $1 ORDER BY m.oid LIMIT $2";
    let rows = client.query(sql, &[&after, &PAGE]).await;
    let rows = rows.map_err(|error| crate::pg_error("read the large objects of the database", error))?;
    let mut objects = Vec::new();
    for row in rows {
        // In a database of encoding SQL_ASCII text is any bytes.
        let row = Row::new(row, true);
        let (oid, owner): (u32, String) = (row.get(0), row.get(1));
        let (acl, comment): (Option<String>, Option<String>) = (row.get(2), row.get(3));
        let (providers, labels): (Vec<String>, Vec<String>) = (row.get(4), row.get(5));
        let what = format!("LARGE OBJECT {oid}");
        let mut create = format!("SELECT pg_catalog.lo_create('{oid}');\nALTER {what} OWNER TO {};\n", ident(&owner));
        if let Some(comment) = comment {
            create.push_str(&format!("COMMENT ON {what} IS {};\n", literal(&comment)));
        }
        for (provider, label) in providers.iter().zip(&labels) {
            create.push_str(&format!("SECURITY LABEL FOR {} ON {what} IS {};\n", ident(provider), literal(label)));
        }
        let acl = acl::global_acl_sql(SAME, acl::Kind::LargeObject, &what, &owner, acl.as_deref())?;
        objects.push(LargeObject { oid, create: to_bytes(create), acl: to_bytes(acl) });
    }
    Ok(objects)
}
