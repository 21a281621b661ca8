//! Whether users have made anything in a server.

use backup_core::{Error, Kind, Result};

use crate::config::Config;
use crate::connect::Session;
use crate::pg_error::pg_error;

/// How many things an error names.
const NAMED: usize = 3;

/// Fails with [`Kind::AlreadyExists`] if the server has databases, roles or tablespaces beside those that initdb makes and the
/// role that is connected.
pub(super) async fn check(config: &Config, session: &Session) -> Result<()> {
    // By name, so that an error names the same ones each time.
    let sql = "SELECT 'database ' || pg_catalog.quote_ident(datname) FROM pg_catalog.pg_database \
               WHERE datname NOT IN ('postgres', 'template0', 'template1') \
               UNION ALL SELECT 'role ' || pg_catalog.quote_ident(rolname) FROM pg_catalog.pg_roles \
               WHERE oid <> 10 AND rolname !~ '^pg_' AND rolname <> session_user \
               UNION ALL SELECT 'tablespace ' || pg_catalog.quote_ident(spcname) FROM pg_catalog.pg_tablespace \
               WHERE spcname !~ '^pg_' ORDER BY 1";
    let rows = session.client.query(sql, &[]).await.map_err(|error| pg_error("look whether the server is empty", error))?;
    if rows.is_empty() {
        return Ok(());
    }
    let more = if rows.len() > NAMED { ", …" } else { "" };
    let named: Vec<&str> = rows.iter().take(NAMED).map(|row| row.get(0)).collect();
    Err(Error::new(Kind::AlreadyExists, format!("{} is not empty: it has {}{more}", config.describe(), named.join(", ")))
        .with_hint("give an empty server: a proof changes its roles and leaves what it has restored"))
}
