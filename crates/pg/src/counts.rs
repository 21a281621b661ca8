//! How many objects of which kind a database, or the cluster itself, has; counted by the server.
//!
//! Not by the readers of the catalogs: what they would forget, they would forget to count.

use std::collections::BTreeMap;

use backup_core::Result;
use tokio_postgres::{Client, Row};

use crate::inventory::Inventory;
use crate::version::Version;

/// What the cluster itself has. Roles called `$1` are left out, with their memberships and settings.
const SHARED: &[(&str, &str)] = &[
    // All but the first superuser, whom every cluster has under some name, and the predefined ones.
    ("roles", "pg_roles c WHERE c.oid >= 16384 AND c.rolname <> ALL ($1)"),
    (
        "memberships",
        "pg_auth_members c JOIN pg_catalog.pg_roles r ON r.oid = c.roleid JOIN pg_catalog.pg_roles m ON m.oid = c.member \
         WHERE NOT (r.rolname ~ '^pg_' AND m.rolname ~ '^pg_') AND r.rolname <> ALL ($1) AND m.rolname <> ALL ($1)",
    ),
    ("tablespaces", "pg_tablespace c WHERE c.oid >= 16384"),
    (
        "settings",
        "pg_db_role_setting c LEFT JOIN pg_catalog.pg_roles r ON r.oid = c.setrole, pg_catalog.unnest(c.setconfig) \
         WHERE c.setdatabase = 0 AND (c.setrole = 0 OR r.rolname <> ALL ($1))",
    ),
];

/// Parameters that somebody was given privileges on; since 15.
const PARAMETERS: (&str, &str) = ("parameters", "pg_parameter_acl c");

/// Counts what the cluster has outside of its databases, but for the roles in `but`.
pub(crate) async fn shared(client: &Client, version: Version, but: &[String]) -> Result<BTreeMap<String, u64>> {
    let counted: Vec<_> = SHARED.iter().chain(version.at_least(15).then_some(&PARAMETERS)).collect();
    let counts = counted.iter().map(|(_, rows)| format!("(SELECT pg_catalog.count(*) FROM pg_catalog.{rows})"));
    let sql = format!("SELECT {}", counts.collect::<Vec<_>>().join(", "));
    let row = client.query_one(&sql, &[&but]).await.map_err(|error| crate::pg_error("count what the cluster holds", error))?;
    Ok(named(&row, counted.iter().map(|(name, _)| *name)))
}

/// Counts what the database holds that `client` is connected to.
pub(crate) async fn read(client: &Client, version: Version) -> Result<BTreeMap<String, u64>> {
    Ok(Inventory::read(client, version).await?.counts())
}

fn named<'a>(row: &Row, names: impl Iterator<Item = &'a str>) -> BTreeMap<String, u64> {
    let count = |at: usize| u64::try_from(row.get::<_, i64>(at)).unwrap_or_default();
    names.enumerate().map(|(at, name)| (name.to_owned(), count(at))).collect()
}
