//! Who a server is, and at which instant of it a transaction looks.

use backup_core::{Origin, Result};

use crate::connect::Session;
use crate::facts::{self, Instant};
use crate::pg_error::pg_error;
use crate::version::Version;

/// Asks the server who it is; with the instant of the open transaction, and the encoding that its definitions are read in.
pub(crate) async fn origin(leader: &Session) -> Result<(Origin, Instant, String)> {
    let (replayed, current) = match leader.version.at_least(10) {
        true => ("pg_last_wal_replay_lsn", "pg_current_wal_lsn"),
        false => ("pg_last_xlog_replay_location", "pg_current_xlog_location"),
    };
    // Before 9.6 the server tells its own number only to replicas; when its folder was made is as good.
    let identity = match leader.version >= Version(90_600) {
        true => "SELECT system_identifier FROM pg_catalog.pg_control_system()",
        false => "SELECT pg_catalog.date_part('epoch', modification)::bigint FROM pg_catalog.pg_stat_file('PG_VERSION')",
    };
    let sql = format!(
        "SELECT ({identity}), pg_catalog.current_setting('server_version'), \
         pg_catalog.current_database()::text, pg_catalog.pg_is_in_recovery(), \
         pg_catalog.to_char(pg_catalog.now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), \
         CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.{replayed}() \
         ELSE pg_catalog.{current}() END::text, pg_catalog.current_setting('server_encoding'), \
         (SELECT rolname::text FROM pg_catalog.pg_roles WHERE oid = 10)"
    );
    let row = leader.client.query_one(&sql, &[]).await.map_err(|error| pg_error("ask the server who it is", error))?;
    let instant = Instant { time: row.get(4), lsn: row.get::<_, Option<String>>(5).unwrap_or_default() };
    let mut known = backup_core::Facts::new();
    known.insert("database".into(), row.get::<_, String>(2).into());
    known.insert("standby".into(), row.get::<_, bool>(3).into());
    known.insert("time".into(), instant.time.clone().into());
    known.insert("lsn".into(), instant.lsn.clone().into());
    known.insert("superuser".into(), row.get::<_, Option<String>>(7).into());
    known.insert("reader".into(), facts::READER.into());
    let identity = facts::identity(row.get(0));
    let encoding = if row.get::<_, String>(6) == "SQL_ASCII" { "SQL_ASCII" } else { "UTF8" };
    Ok((Origin { kind: "postgresql".into(), identity, version: row.get(1), facts: known }, instant, encoding.into()))
}
