//! Databases of a server as a whole: found, renamed, emptied of sessions, dropped.

use backup_core::Result;
use tokio_postgres::Client;

use crate::config::Config;
use crate::connect::{Purpose, Session, connect};
use crate::pg_error::pg_error;
use crate::quote::{ident, literal};

/// How often a name is tried that others are in the way of; the server itself waits for up to 5 seconds each time.
pub(super) const ATTEMPTS: u32 = 5;

/// The names of all databases.
pub(super) async fn names(client: &Client) -> Result<Vec<String>> {
    let rows = client.query("SELECT datname::text FROM pg_catalog.pg_database", &[]).await;
    let rows = rows.map_err(|error| pg_error("list the databases", error))?;
    Ok(rows.iter().filter_map(|row| row.try_get(0).ok()).collect())
}

/// Whether the role may give the database another name and drop it.
pub(super) async fn may_replace(client: &Client, name: &str) -> Result<bool> {
    let sql = "SELECT r.rolsuper OR r.rolcreatedb AND pg_catalog.pg_has_role(d.datdba, 'USAGE') \
               FROM pg_catalog.pg_roles r, pg_catalog.pg_database d WHERE r.rolname = current_user AND d.datname = $1";
    let row = client.query_opt(sql, &[&name]).await.map_err(|error| pg_error("ask what the role may do", error))?;
    Ok(row.is_some_and(|row| row.get(0)))
}

/// `ALTER DATABASE from RENAME TO to`.
pub(super) fn rename_sql(from: &str, to: &str) -> String {
    format!("ALTER DATABASE {} RENAME TO {};\n", ident(from), ident(to))
}

/// Ends every session in the database but this one. The server's own workers, which are nobody's, it ends itself when it must.
pub(super) async fn end_sessions(session: &Session, name: &str) -> Result<()> {
    // Before 14 the server does not wait until they have ended; a rename waits for them.
    let wait = if session.version.at_least(14) { ", 10000" } else { "" };
    let sql = format!(
        "SELECT pg_catalog.pg_terminate_backend(pid{wait}) FROM pg_catalog.pg_stat_activity \
         WHERE datname = {} AND pid <> pg_catalog.pg_backend_pid() AND usesysid IS NOT NULL",
        literal(name)
    );
    let ended = session.client.batch_execute(&sql).await;
    ended.map_err(|error| pg_error(format!("end the sessions in the database {}", ident(name)), error))
}

/// The roles whose sessions in the database ours may not end, and how many sessions each of them has.
pub(super) async fn unendable(client: &Client, name: &str) -> Result<Vec<(String, i64)>> {
    // A superuser's only by a superuser; others' by who has their rights, or may signal all.
    let sql = "SELECT a.usename::text, pg_catalog.count(*) FROM pg_catalog.pg_stat_activity a \
               JOIN pg_catalog.pg_roles s ON s.oid = a.usesysid, pg_catalog.pg_roles me \
               WHERE a.datname = $1 AND a.pid <> pg_catalog.pg_backend_pid() AND me.rolname = current_user AND NOT me.rolsuper \
               AND (s.rolsuper OR NOT pg_catalog.pg_has_role(s.oid, 'USAGE') \
               AND NOT pg_catalog.pg_has_role('pg_signal_backend', 'USAGE')) GROUP BY 1 ORDER BY 1";
    let rows = client.query(sql, &[&name]).await.map_err(|error| pg_error("ask whose sessions may be ended", error))?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// Drops a database of ours if it is there.
pub(super) async fn drop_database(config: &Config, session: &Session, name: &str) -> Result<()> {
    let doing = |error| pg_error(format!("drop the database {}", ident(name)), error);
    // What the server calls invalid: it was being dropped and crashed, or was told to stop. It can only be dropped again.
    let sql = "SELECT datconnlimit = -2 FROM pg_catalog.pg_database WHERE datname = $1";
    let Some(row) = session.client.query_opt(sql, &[&name]).await.map_err(doing)? else { return Ok(()) };
    if !row.get::<_, bool>(0) {
        drop_subscriptions(config, &session.client, name).await?;
        let shut = format!("ALTER DATABASE {0} IS_TEMPLATE false; ALTER DATABASE {0} ALLOW_CONNECTIONS false", ident(name));
        session.client.batch_execute(&shut).await.map_err(doing)?;
        end_sessions(session, name).await?;
    }
    session.client.batch_execute(&format!("DROP DATABASE {}", ident(name))).await.map_err(doing)
}

/// Drops the subscriptions of a database, with which it cannot be dropped. Their slots at the publishers stay: whoever takes the
/// database's place goes on with them.
async fn drop_subscriptions(config: &Config, client: &Client, name: &str) -> Result<()> {
    let doing = |error| pg_error(format!("drop the subscriptions of the database {}", ident(name)), error);
    let sql = "SELECT s.subname::text FROM pg_catalog.pg_subscription s JOIN pg_catalog.pg_database d ON d.oid = s.subdbid \
               WHERE d.datname = $1";
    let rows = client.query(sql, &[&name]).await.map_err(doing)?;
    if rows.is_empty() {
        return Ok(());
    }
    client.batch_execute(&format!("ALTER DATABASE {} ALLOW_CONNECTIONS true", ident(name))).await.map_err(doing)?;
    let session = connect(&config.with_database(name), Purpose::Restore).await?;
    for row in rows {
        let subscription = ident(row.get(0));
        // One by one: a subscription with a slot cannot be dropped in a transaction.
        for what in [
            format!("ALTER SUBSCRIPTION {subscription} DISABLE"),
            format!("ALTER SUBSCRIPTION {subscription} SET (slot_name = NONE)"),
            format!("DROP SUBSCRIPTION {subscription}"),
        ] {
            session.client.batch_execute(&what).await.map_err(doing)?;
        }
    }
    session.close().await;
    Ok(())
}
