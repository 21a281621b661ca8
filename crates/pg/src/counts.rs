//! How many objects of which kind a database, or the cluster itself, has; counted by the server.
//!
//! Not by the readers of the catalogs: what they would forget, they would forget to count.

use std::collections::BTreeMap;

use backup_core::Result;
use tokio_postgres::{Client, Row};

use crate::version::Version;

/// Rows of catalogs that users made: the name of the count, the catalog, and which of its rows.
///
/// An extension's own objects do not count, nor does what hangs on its tables: another version of it, as good, can have others.
const COUNTED: &[(&str, &str, &str)] = &[
    ("schemas", "pg_namespace", "c.nspname !~ '^pg_' AND c.nspname <> 'information_schema'"),
    ("tables", "pg_class", "c.relkind IN ('r', 'p', 'f') AND c.oid >= 16384 AND c.relpersistence <> 't'"),
    ("composite types", "pg_class", "c.relkind = 'c' AND c.oid >= 16384"),
    ("views", "pg_class", "c.relkind IN ('v', 'm') AND c.oid >= 16384"),
    ("sequences", "pg_class", "c.relkind = 'S' AND c.oid >= 16384"),
    (
        "indexes",
        "pg_class",
        "c.relkind IN ('i', 'I') AND c.oid >= 16384 AND EXISTS (SELECT FROM pg_catalog.pg_index i \
         JOIN pg_catalog.pg_class t ON t.oid = i.indrelid WHERE i.indexrelid = c.oid AND i.indisvalid AND t.relkind <> 't' \
         AND t.oid NOT IN (SELECT m.oid FROM members m))",
    ),
    ("defaults", "pg_attrdef", "c.adrelid >= 16384 AND c.adrelid NOT IN (SELECT m.oid FROM members m)"),
    ("constraints", "pg_constraint", "c.oid >= 16384 AND c.contype <> 'n' AND c.conrelid NOT IN (SELECT m.oid FROM members m)"),
    ("functions", "pg_proc", "c.oid >= 16384"),
    ("types", "pg_type", "c.oid >= 16384 AND c.typtype IN ('e', 'd', 'r', 'm')"),
    ("triggers", "pg_trigger", "NOT c.tgisinternal AND c.oid >= 16384 AND c.tgrelid NOT IN (SELECT m.oid FROM members m)"),
    ("rules", "pg_rewrite", "c.oid >= 16384 AND c.ev_class NOT IN (SELECT m.oid FROM members m)"),
    ("policies", "pg_policy", "c.polrelid NOT IN (SELECT m.oid FROM members m)"),
    ("extensions", "pg_extension", "true"),
    ("default privileges", "pg_default_acl", "true"),
    ("operators", "pg_operator", "c.oid >= 16384"),
    ("casts", "pg_cast", "c.oid >= 16384"),
    ("collations", "pg_collation", "c.oid >= 16384"),
    ("statistics objects", "pg_statistic_ext", "true"),
    ("event triggers", "pg_event_trigger", "true"),
    ("foreign-data wrappers", "pg_foreign_data_wrapper", "true"),
    ("foreign servers", "pg_foreign_server", "true"),
    ("publications", "pg_publication", "true"),
    ("tables in publications", "pg_publication_rel", "true"),
    ("access methods", "pg_am", "c.oid >= 16384"),
    ("conversions", "pg_conversion", "c.oid >= 16384"),
    ("languages", "pg_language", "c.oid >= 16384"),
    ("operator classes", "pg_opclass", "c.oid >= 16384"),
    ("operator families", "pg_opfamily", "c.oid >= 16384"),
    ("text search configurations", "pg_ts_config", "c.oid >= 16384"),
    ("text search dictionaries", "pg_ts_dict", "c.oid >= 16384"),
    ("text search parsers", "pg_ts_parser", "c.oid >= 16384"),
    ("text search templates", "pg_ts_template", "c.oid >= 16384"),
    ("transforms", "pg_transform", "c.oid >= 16384"),
    ("large objects", "pg_largeobject_metadata", "true"),
];

/// What is for some to read in parts only: the name of the count, and the rows.
const COUNTED_APART: &[(&str, &str)] = &[
    ("user mappings", "pg_user_mappings"),
    (
        "subscriptions",
        "pg_subscription c JOIN pg_catalog.pg_database d ON d.oid = c.subdbid AND d.datname = pg_catalog.current_database()",
    ),
    (
        "settings of the database",
        "pg_db_role_setting c JOIN pg_catalog.pg_database d ON d.oid = c.setdatabase AND d.datname = pg_catalog.current_database(), \
         pg_catalog.unnest(c.setconfig)",
    ),
];

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

/// Counts, in the transaction that `client` has open.
pub(crate) async fn read(client: &Client) -> Result<BTreeMap<String, u64>> {
    let counts = COUNTED.iter().map(|(_, catalog, condition)| {
        format!(
            "(SELECT pg_catalog.count(*) FROM pg_catalog.{catalog} c WHERE {condition} AND NOT EXISTS \
             (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.{catalog}'::pg_catalog.regclass \
             AND d.objid = c.oid AND d.deptype = 'e'))"
        )
    });
    let apart = COUNTED_APART.iter().map(|(_, rows)| format!("(SELECT pg_catalog.count(*) FROM pg_catalog.{rows})"));
    let members = "SELECT d.objid FROM pg_catalog.pg_depend d \
                   WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype = 'e'";
    let sql = format!("WITH members (oid) AS ({members}) SELECT {}", counts.chain(apart).collect::<Vec<_>>().join(", "));
    let row = client.query_one(&sql, &[]).await.map_err(|error| crate::pg_error("count the objects of the database", error))?;
    Ok(named(&row, COUNTED.iter().map(|(name, ..)| *name).chain(COUNTED_APART.iter().map(|(name, _)| *name))))
}

fn named<'a>(row: &Row, names: impl Iterator<Item = &'a str>) -> BTreeMap<String, u64> {
    let count = |at: usize| u64::try_from(row.get::<_, i64>(at)).unwrap_or_default();
    names.enumerate().map(|(at, name)| (name.to_owned(), count(at))).collect()
}
