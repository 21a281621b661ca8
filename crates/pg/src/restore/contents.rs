//! What users have made in a database: where that is nothing, a restore may take its place.

use backup_core::Result;

use crate::connect::Session;
use crate::counts;
use crate::pg_error::pg_error;

/// How many kinds of objects an error names.
const NAMED: usize = 3;

/// What is in the database, as `tables: 3`, one kind each; empty if there is nothing but what every new database has.
pub(super) async fn contents(session: &Session) -> Result<Vec<String>> {
    // An untouched public is no content, nor is the language that initdb makes.
    let sql = "SELECT (SELECT pg_catalog.count(*) FROM pg_catalog.pg_namespace WHERE nspname = 'public'), \
               (SELECT pg_catalog.count(*) FROM pg_catalog.pg_extension WHERE extname = 'plpgsql'), \
               EXISTS (SELECT FROM pg_catalog.pg_namespace n LEFT JOIN pg_catalog.pg_init_privs i ON i.objoid = n.oid \
               AND i.classoid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND i.objsubid = 0 \
               WHERE n.nspname = 'public' AND n.nspacl IS DISTINCT FROM i.initprivs)";
    let row = session.client.query_one(sql, &[]).await.map_err(|error| pg_error("look into the database", error))?;
    let given = |kind: &str| match kind {
        "schemas" => row.get::<_, i64>(0),
        "extensions" => row.get::<_, i64>(1),
        _ => 0,
    };
    let counts = counts::read(&session.client, session.version).await?;
    // The settings of a database are of it, not in it: they stay with its name.
    let within = counts.iter().filter(|(kind, _)| *kind != "settings of the database");
    let made = within.filter(|(kind, count)| **count > given(kind).unsigned_abs());
    let mut made: Vec<String> = made.map(|(kind, count)| format!("{kind}: {}", count - given(kind).unsigned_abs())).collect();
    if row.get(2) {
        made.push("privileges on the schema public".to_owned());
    }
    Ok(made)
}

/// The first of `contents`, for an error.
pub(super) fn shown(contents: &[String]) -> String {
    let more = if contents.len() > NAMED { ", …" } else { "" };
    format!("{}{more}", contents.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", "))
}
