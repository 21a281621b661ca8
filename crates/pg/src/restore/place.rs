//! The database that a restore goes into: empty, made under a name of its own, swapped in at the end.

use backup_core::{BackupId, Error, Kind, Result};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::config::Config;
use crate::connect::{Purpose, Session, connect};
use crate::globals::DatabaseRecord;
use crate::pg_error::pg_error;
use crate::quote::{ident, literal};

/// What there is under the name that a database is to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing.
    Absent,
    /// A database in which users have made nothing.
    Empty,
    /// A database with something in it.
    Full,
}

/// Where the restore of one database goes, and what becomes of what was there.
#[derive(Debug)]
pub(crate) struct Place {
    /// What it is to be called.
    pub(crate) name: String,
    /// What it is called until it is whole: `name` itself where there is an empty database of that name.
    pub(crate) work: String,
    found: Found,
}

impl Place {
    /// Looks at what there is. A full one is refused unless it may be replaced.
    pub(crate) async fn find(config: &Config, name: &str, id: BackupId, replace: bool) -> Result<Self> {
        let session = connect(config, Purpose::Restore).await?;
        let found = if exists(&session.client, name).await? {
            contents(&connect(&config.with_database(name), Purpose::Restore).await?).await?
        } else {
            Found::Absent
        };
        session.close().await;
        if found == Found::Full && !replace {
            return Err(Error::new(Kind::AlreadyExists, format!("the database {} is not empty", ident(name)))
                .with_hint("restore under another name with --as NAME, or replace it with --clean"));
        }
        let work = if found == Found::Empty { name.to_owned() } else { temporary(name, &format!("restoring_{id}")) };
        Ok(Self { name: name.to_owned(), work, found })
    }

    /// A connection to another database of the same server: one cannot be renamed or dropped from within, and the one that is
    /// replaced may be the one that we come through.
    pub(crate) async fn beside(&self, config: &Config) -> Result<Session> {
        let other = if self.name == "postgres" { "template1" } else { "postgres" };
        let config = if self.name == config.dbname { config.with_database(other) } else { config.clone() };
        connect(&config, Purpose::Restore).await
    }

    /// Makes the database, unless an empty one is there.
    pub(crate) async fn make(&self, config: &Config, record: Option<&DatabaseRecord>) -> Result<()> {
        if self.found == Found::Empty {
            return Ok(());
        }
        let session = self.beside(config).await?;
        let sql = match record {
            Some(record) => record.create_sql(session.version, &self.work),
            None => format!("CREATE DATABASE {} TEMPLATE template0;\n", ident(&self.work)),
        };
        let mut attempt = 1;
        let made = loop {
            // What a run that was killed has left under the same name; its server process may still be making it.
            drop_database(config, &session.client, &self.work).await?;
            match session.client.batch_execute(&sql).await {
                Err(error) if is_there(&error) && attempt < ATTEMPTS => attempt += 1,
                made => break made.map_err(|error| pg_error(format!("create the database {}", ident(&self.work)), error)),
            }
        };
        session.close().await;
        made.map_err(|error| match error.hint() {
            Some(_) => error,
            None => error.with_hint("the locale or tablespace of the database may be missing on this machine: make it first"),
        })
    }

    /// Removes what was made: the restore broke off.
    pub(crate) async fn discard(&self, config: &Config) -> Result<()> {
        if self.found == Found::Empty {
            return Ok(());
        }
        drop_database(config, &self.beside(config).await?.client, &self.work).await
    }

    /// Gives it its name; what had the name before goes, once it has made way.
    pub(crate) async fn swap_in(&self, config: &Config, id: BackupId) -> Result<()> {
        if self.work == self.name {
            return Ok(());
        }
        let session = self.beside(config).await?;
        let swapped = self.swap(config, &session.client, id).await;
        session.close().await;
        swapped
    }

    async fn swap(&self, config: &Config, client: &Client, id: BackupId) -> Result<()> {
        let rename = |from: &str, to: &str| format!("ALTER DATABASE {} RENAME TO {};\n", ident(from), ident(to));
        let doing = |error| pg_error(format!("rename the database {} to {}", ident(&self.work), ident(&self.name)), error);
        if self.found != Found::Full {
            return client.batch_execute(&rename(&self.work, &self.name)).await.map_err(doing);
        }
        let old = temporary(&self.name, &format!("before_{id}"));
        drop_database(config, client, &old).await?;
        // Both in one transaction: under the name there is always the one or the other, and whoever is let in.
        let both = format!("{}{}", rename(&self.name, &old), rename(&self.work, &self.name));
        for attempt in 1.. {
            end_sessions(client, &self.name).await?;
            match client.batch_execute(&both).await {
                Ok(()) => break,
                // Somebody has come in again.
                Err(error) if error.code() == Some(&SqlState::OBJECT_IN_USE) && attempt < ATTEMPTS => {}
                Err(error) => return Err(doing(error)),
            }
        }
        drop_database(config, client, &old).await
    }
}

fn is_there(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| [SqlState::UNIQUE_VIOLATION, SqlState::DUPLICATE_DATABASE].contains(code))
}

/// How often a name is tried that others are in the way of; the server itself waits for up to 5 seconds each time.
const ATTEMPTS: u32 = 5;

/// Whether users have made anything in the database; members of extensions and an untouched `public` do not count.
async fn contents(session: &Session) -> Result<Found> {
    let made = |catalog: &str, condition: &str| {
        format!(
            "EXISTS (SELECT FROM pg_catalog.{catalog} c WHERE c.oid >= 16384 AND {condition} AND NOT EXISTS (SELECT FROM \
             pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.{catalog}'::pg_catalog.regclass AND d.objid = c.oid \
             AND d.deptype = 'e'))"
        )
    };
    let sql = format!(
        "SELECT {} OR {} OR {} OR {} OR {} OR {} OR EXISTS (SELECT FROM pg_catalog.pg_largeobject_metadata) OR EXISTS (SELECT FROM \
         pg_catalog.pg_subscription s JOIN pg_catalog.pg_database d ON d.oid = s.subdbid AND d.datname = pg_catalog.current_database())",
        made(
            "pg_class",
            "c.relkind <> 't' AND c.relnamespace NOT IN (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname ~ '^pg_t')"
        ),
        made("pg_proc", "true"),
        made("pg_type", "c.typtype IN ('e', 'd', 'r')"),
        made("pg_namespace", "c.nspname !~ '^pg_' AND c.nspname <> 'public'"),
        made("pg_foreign_data_wrapper", "true"),
        made("pg_publication", "true"),
    );
    let row = session.client.query_one(&sql, &[]).await.map_err(|error| pg_error("look into the database", error))?;
    Ok(if row.get(0) { Found::Full } else { Found::Empty })
}

async fn exists(client: &Client, name: &str) -> Result<bool> {
    let row = client.query_opt("SELECT FROM pg_catalog.pg_database WHERE datname = $1", &[&name]).await;
    Ok(row.map_err(|error| pg_error("look for the database", error))?.is_some())
}

async fn end_sessions(client: &Client, name: &str) -> Result<()> {
    let sql = format!(
        "SELECT pg_catalog.pg_terminate_backend(pid, 10000) FROM pg_catalog.pg_stat_activity \
         WHERE datname = {} AND pid <> pg_catalog.pg_backend_pid()",
        literal(name)
    );
    let ended = client.batch_execute(&sql).await;
    ended.map_err(|error| pg_error(format!("end the sessions in the database {}", ident(name)), error))
}

/// Drops a database of ours if it is there.
async fn drop_database(config: &Config, client: &Client, name: &str) -> Result<()> {
    if !exists(client, name).await? {
        return Ok(());
    }
    drop_subscriptions(config, client, name).await?;
    let doing = |error| pg_error(format!("drop the database {}", ident(name)), error);
    let shut = format!("ALTER DATABASE {0} IS_TEMPLATE false; ALTER DATABASE {0} ALLOW_CONNECTIONS false", ident(name));
    client.batch_execute(&shut).await.map_err(doing)?;
    end_sessions(client, name).await?;
    client.batch_execute(&format!("DROP DATABASE {}", ident(name))).await.map_err(doing)
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

/// `name` with `suffix`, within the 63 bytes that a name may have.
fn temporary(name: &str, suffix: &str) -> String {
    let most = 63 - suffix.len().min(40) - 1;
    let mut end = name.len().min(most);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}_{suffix}", &name[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_keeps_its_suffix() {
        let name = temporary(&"ä".repeat(60), "restoring_20261120T101500Z");
        assert!(name.len() <= 63 && name.ends_with("_restoring_20261120T101500Z"), "{name}");
    }
}
