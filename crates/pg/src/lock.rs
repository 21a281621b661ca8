//! Tables are locked while a database is dumped: none may change its definition meanwhile.

use std::collections::{HashMap, HashSet};

use backup_core::{Error, Result};
use tokio_postgres::error::SqlState;

use crate::connect::Session;
use crate::copy;
use crate::pg_error::pg_error;
use crate::plan::Size;
use crate::quote::qualified;

/// `HEAP_TABLE_AM_OID` of `catalog/pg_am.dat`: whose files are as long as what is in them.
const HEAP: u32 = 2;

/// How the tables were locked.
pub(crate) enum Locked {
    /// All of them. How large each is, if that was asked for and its access method says it; and whether that is known of all.
    All { sizes: HashMap<u32, Size>, all_known: bool },
    /// This one changed between the instant and the lock.
    Changed(String),
}

/// Locks every table against changes of its definition, and looks at the files that they have then: by the leader alone, since others
/// would wait behind whoever waits for its locks.
pub(crate) async fn lock(leader: &Session, sizes: bool) -> Result<Locked> {
    let sql = "SELECT c.oid, n.nspname::text, c.relname::text FROM pg_catalog.pg_class c \
               JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
               WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' \
               AND n.nspname <> 'information_schema' ORDER BY c.oid";
    let tables = leader.client.query_typed(sql, &[]).await.map_err(|error| pg_error("list the tables", error))?;
    let is_text = |row: &tokio_postgres::Row| row.try_get::<_, &str>(1).is_ok() && row.try_get::<_, &str>(2).is_ok();
    if let Some(row) = tables.iter().find(|row| !is_text(row)) {
        return Err(Error::failed(format!("the name of the table with OID {} is no UTF-8", row.get::<_, u32>(0)))
            .with_hint("rename it, or take the cluster with --source pg_dumpall"));
    }
    for tables in tables.chunks(500) {
        let names: Vec<String> = tables.iter().map(|row| qualified(row.get(1), row.get(2))).collect();
        let sql = format!("LOCK TABLE ONLY {} IN ACCESS SHARE MODE", names.join(", ONLY "));
        if let Err(error) = leader.client.batch_execute(&sql).await {
            if matches!(error.code(), Some(&SqlState::UNDEFINED_TABLE | &SqlState::INVALID_SCHEMA_NAME)) {
                let message = error.as_db_error().map_or_else(String::new, |error| error.message().to_owned());
                return Ok(Locked::Changed(message));
            }
            return Err(pg_error("lock the tables against changes of their definitions", error));
        }
    }
    // The catalog is read as of the instant, the functions look at what is now: a table that was rewritten or truncated
    // in between would look empty to us.
    let bytes = |oid: &str| if sizes { format!("pg_catalog.pg_relation_size({oid})") } else { "NULL::bigint".to_owned() };
    let sql = format!(
        "SELECT c.oid, CASE WHEN pg_catalog.pg_relation_filenode(c.oid) IS DISTINCT FROM c.relfilenode \
         THEN c.oid::pg_catalog.regclass::text END, CASE WHEN c.relam = {HEAP} THEN {} END, \
         COALESCE({}, 0), pg_catalog.current_setting('block_size')::bigint FROM pg_catalog.pg_class c \
         WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND c.oid >= 16384",
        bytes("c.oid"),
        bytes("NULLIF(c.reltoastrelid, 0)")
    );
    let rows = leader.client.query_typed(&sql, &[]).await.map_err(|error| pg_error("look at the tables again", error))?;
    let locked: HashSet<u32> = tables.iter().map(|row| row.get(0)).collect();
    let changed = rows.iter().filter(|row| locked.contains(&row.get(0))).find_map(|row| row.get(1));
    let number = |row: &tokio_postgres::Row, at| row.get::<_, Option<i64>>(at).and_then(|number| u64::try_from(number).ok());
    let size = |row: &tokio_postgres::Row| {
        let (own, long) = (number(row, 2)?, number(row, 3)?);
        Some((row.get(0), Size { pages: own / number(row, 4)?.max(1), bytes: own + long }))
    };
    let sizes: HashMap<u32, Size> = rows.iter().filter_map(size).collect();
    let all_known = sizes.len() == rows.len();
    Ok(changed.map_or(Locked::All { sizes, all_known }, Locked::Changed))
}

/// Locks the tables in the worker's transaction too, without waiting: whoever waits for the leader's lock to go would be
/// in front of the worker, and both would wait for ever.
pub(crate) async fn lock_again(client: &tokio_postgres::Client, slices: &[copy::Slice]) -> Result<()> {
    let read = slices.iter().filter(|slice| !slice.empty);
    let names: Vec<String> = read.map(|slice| qualified(&slice.table.schema, &slice.table.name)).collect();
    if names.is_empty() {
        return Ok(());
    }
    let sql = format!("LOCK TABLE ONLY {} IN ACCESS SHARE MODE NOWAIT", names.join(", ONLY "));
    client.batch_execute(&sql).await.map_err(|error| {
        let waiting = error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE);
        let error = pg_error("lock tables that another session waits to change", error);
        if waiting { error.with_hint("run it again when the change of the tables is through") } else { error }
    })
}
