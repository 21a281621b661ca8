//! Where the restore of one database goes: beside what is there, under a working name, and swapped in at the end.

use std::pin::{Pin, pin};
use std::time::Duration;

use backup_core::{BackupId, Error, Kind, Result};
use tokio_postgres::error::SqlState;

use super::contents::{contents, shown};
use super::databases::{ATTEMPTS, drop_database, end_sessions, may_replace, names, rename_sql};
use super::temporary::Temporary;
use crate::config::Config;
use crate::connect::{Purpose, Session, connect};
use crate::globals::DatabaseRecord;
use crate::pg_error::pg_error;
use crate::quote::ident;

/// Where the restore of one database goes, and what becomes of what was there.
#[derive(Debug)]
pub(crate) struct Place {
    /// What it is to be called.
    pub(crate) name: String,
    /// What it is called until it is whole.
    pub(crate) work: String,
    id: BackupId,
    there: There,
    /// What was there is not dropped at the end but stays under this name.
    kept: Option<String>,
    /// Whether what earlier runs have replaced goes too, in whichever way this one ends well.
    sweeps: bool,
}

/// What there is under the name.
#[derive(Debug)]
enum There {
    Nothing,
    /// A database in which users have made nothing. It gives way to one of the same encoding and locale.
    Empty(Box<DatabaseRecord>),
    /// The same, to be filled as it is.
    InPlace,
    /// A database with something in it, to be replaced.
    Full(Box<DatabaseRecord>),
}

impl Place {
    /// Looks at what there is among the `databases` of the server. A full one is refused unless it may be replaced.
    ///
    /// `bare` says that the backup has nothing to put there.
    pub(crate) async fn find(
        config: &Config,
        databases: &[DatabaseRecord],
        (name, id): (&str, BackupId),
        replace: bool,
        bare: bool,
    ) -> Result<Self> {
        let session = connect(config, Purpose::Restore).await?;
        let there = names(&session.client).await?;
        let unfinished = Temporary::Unfinished.name(name, id);
        if there.contains(&unfinished) {
            let what = format!("an earlier restore left the database {}, to be mended", ident(&unfinished));
            return Err(Error::new(Kind::AlreadyExists, what)
                .with_hint(format!("mend it and rename it to {}, or drop it", ident(name))));
        }
        let place = |there, work| Self { name: name.to_owned(), work, id, there, kept: None, sweeps: false };
        let work = Temporary::Restoring.name(name, id);
        if !there.iter().any(|there| there == name) {
            session.close().await;
            return Ok(place(There::Nothing, work));
        }
        let record =
            databases.iter().find(|record| record.name == name).cloned().map(Box::new).ok_or_else(|| {
                Error::failed(format!("the database {} is half dropped", ident(name))).with_hint("drop it again")
            })?;
        let made = made_in(config, name).await?;
        let may_replace = may_replace(&session.client, name).await?;
        session.close().await;
        if made.is_empty() {
            // Where the role may not do otherwise; and where nothing could be half there.
            let (there, work) = match !may_replace || bare && record.predefined() {
                true => (There::InPlace, name.to_owned()),
                false => (There::Empty(record), work),
            };
            return Ok(place(there, work));
        }
        if !replace {
            let what = format!("the database {} is not empty: {}", ident(name), shown(&made));
            return Err(Error::new(Kind::AlreadyExists, what)
                .with_hint("restore under another name with --as NAME, or replace it with --clean"));
        }
        if !may_replace {
            return Err(Error::failed(format!("the role may not replace the database {}", ident(name)))
                .with_hint("connect as a superuser, or as its owner with CREATEDB"));
        }
        Ok(place(There::Full(record), work))
    }

    /// Whether the database that is there is filled: what breaks off then leaves part of it.
    pub(crate) fn in_place(&self) -> bool {
        matches!(self.there, There::InPlace)
    }

    /// Whether there is a database with something in it, to be replaced.
    pub(crate) fn is_full(&self) -> bool {
        matches!(self.there, There::Full(_))
    }

    /// Whether there is no database of the name.
    pub(crate) fn is_nothing(&self) -> bool {
        matches!(self.there, There::Nothing)
    }

    /// Drops at the end what earlier runs have replaced, also where this one replaces nothing.
    pub(crate) fn sweep(&mut self) {
        self.sweeps = true;
    }

    /// Keeps what is there under this name when it is replaced.
    pub(crate) fn keep(&mut self, name: String) {
        self.kept = Some(name);
    }

    /// Where what was there stays when it is replaced.
    pub(crate) fn kept(&self) -> Option<&str> {
        self.kept.as_deref()
    }

    /// Drops what is there, before anything takes its place.
    pub(crate) async fn clear(&mut self, config: &Config) -> Result<()> {
        let session = self.commands(config).await?;
        if let Err(error) = drop_database(config, &session, &self.name).await {
            // It stays, and is to be used as before.
            let open = format!("ALTER DATABASE {} ALLOW_CONNECTIONS true", ident(&self.name));
            let _ = session.client.batch_execute(&open).await;
            return Err(error);
        }
        session.close().await;
        self.there = There::Nothing;
        Ok(())
    }

    /// A connection to another database of the same server: one cannot be renamed or dropped from within, and the one that is
    /// replaced may be the one that we come through.
    pub(crate) async fn beside(&self, config: &Config) -> Result<Session> {
        let other = if self.name == "postgres" { "template1" } else { "postgres" };
        let config = if self.name == config.dbname { config.with_database(other) } else { config.clone() };
        connect(&config, Purpose::Restore).await
    }

    /// Makes the database, and drops what runs that were killed have left of it.
    pub(crate) async fn make(&self, config: &Config, record: Option<&DatabaseRecord>) -> Result<()> {
        let like = match &self.there {
            There::InPlace => return Ok(()),
            There::Nothing => record,
            // Somebody chose its encoding and locale.
            There::Empty(there) => Some(&**there),
            There::Full(there) => record.or(Some(there)),
        };
        let session = self.commands(config).await?;
        self.drop_all(config, &session, Temporary::Restoring).await?;
        let sql = match like {
            Some(record) => record.create_sql(session.version, &self.work),
            None => format!("CREATE DATABASE {} TEMPLATE template0;\n", ident(&self.work)),
        };
        let mut attempt = 1;
        let made = loop {
            match session.client.batch_execute(&sql).await {
                // The server process of a killed run was still making it.
                Err(error) if is_there(&error) && attempt < ATTEMPTS => attempt += 1,
                made => break made.map_err(|error| pg_error(format!("create the database {}", ident(&self.work)), error)),
            }
            drop_database(config, &session, &self.work).await?;
        };
        session.close().await;
        made.map_err(|error| match error.hint() {
            Some(_) => error,
            None => error.with_hint("the locale or tablespace of the database may be missing on this machine: make it first"),
        })
    }

    /// Gives it owner, privileges and settings: those in the backup, or if it has none those of the database that was there.
    pub(crate) async fn set_properties(&self, config: &Config, record: Option<&DatabaseRecord>) -> Result<()> {
        let there = match &self.there {
            There::Empty(there) | There::Full(there) => Some(&**there),
            There::Nothing | There::InPlace => None,
        };
        let Some(record) = record.or(there) else { return Ok(()) };
        let session = self.commands(config).await?;
        let doing = |error| pg_error("set what belongs to the database itself", error);
        session.client.batch_execute(&record.properties_sql(&self.work)?).await.map_err(doing)?;
        session.close().await;
        Ok(())
    }

    /// Removes what was made: the restore broke off.
    pub(crate) async fn discard(&self, config: &Config) -> Result<()> {
        if self.in_place() {
            return Ok(());
        }
        drop_database(config, &self.commands(config).await?, &self.work).await
    }

    /// Keeps what was made for a person to mend, and returns the name under which no other run drops it.
    pub(crate) async fn set_aside(&self, config: &Config) -> Result<String> {
        if self.in_place() {
            return Ok(self.name.clone());
        }
        let (session, aside) = (self.commands(config).await?, Temporary::Unfinished.name(&self.name, self.id));
        let renamed = session.client.batch_execute(&rename_sql(&self.work, &aside)).await;
        renamed.map_err(|error| pg_error(format!("rename the database {}", ident(&self.work)), error))?;
        session.close().await;
        Ok(aside)
    }

    /// Gives it its name; what had the name before goes, once it has made way.
    pub(crate) async fn swap_in(&self, config: &Config) -> Result<()> {
        if self.in_place() {
            return Ok(());
        }
        let session = self.commands(config).await?;
        let swapped = match &self.there {
            There::Empty(_) | There::Full(_) => self.swap(config, &session).await,
            There::Nothing | There::InPlace => {
                let renamed = session.client.batch_execute(&rename_sql(&self.work, &self.name)).await;
                renamed.map_err(|error| self.renaming(error))
            }
        };
        if swapped.is_ok() && self.sweeps {
            self.drop_all(config, &session, Temporary::Before).await?;
        }
        session.close().await;
        swapped
    }

    async fn swap(&self, config: &Config, session: &Session) -> Result<()> {
        let old = match &self.kept {
            Some(kept) => kept.clone(),
            None => {
                let old = Temporary::Before.name(&self.name, self.id);
                drop_database(config, session, &old).await?;
                old
            }
        };
        let ending = self.commands(config).await?;
        // Both in one transaction: under the name there is always the one or the other, and whoever is let in.
        let both = format!("{}{}", rename_sql(&self.name, &old), rename_sql(&self.work, &self.name));
        for attempt in 1.. {
            if let There::Empty(_) = self.there {
                end_sessions(session, &self.name).await?;
                self.still_empty(config).await?;
            }
            let renamed = pin!(session.client.batch_execute(&both));
            match ending_sessions(&ending, &self.name, renamed).await {
                (Ok(()), _) => break,
                (Err(error), None) if error.code() == Some(&SqlState::OBJECT_IN_USE) && attempt < ATTEMPTS => {}
                // That somebody may not be told to go says more than that somebody is there.
                (Err(error), Some(why)) if error.code() == Some(&SqlState::OBJECT_IN_USE) => return Err(why),
                (Err(error), _) => return Err(self.renaming(error)),
            }
        }
        ending.close().await;
        match self.there {
            _ if self.kept.is_some() => Ok(()),
            There::Full(_) => self.drop_all(config, session, Temporary::Before).await,
            _ => drop_database(config, session, &old).await,
        }
    }

    /// Fails if somebody has made something in the empty database since it was looked at.
    async fn still_empty(&self, config: &Config) -> Result<()> {
        let made = made_in(config, &self.name).await?;
        if made.is_empty() {
            return Ok(());
        }
        let aside = self.set_aside(config).await?;
        let what = format!("the database {} is not empty any more: {}", ident(&self.name), shown(&made));
        Err(Error::new(Kind::AlreadyExists, what)
            .with_hint(format!("all of the backup is there under the name {}: rename it, or drop it", ident(&aside))))
    }

    /// Drops all databases that earlier runs have left under such a name, and this one's.
    async fn drop_all(&self, config: &Config, session: &Session, kind: Temporary) -> Result<()> {
        for name in names(&session.client).await?.iter().filter(|there| kind.is(there, &self.name)) {
            drop_database(config, session, name).await?;
        }
        Ok(())
    }

    fn renaming(&self, error: tokio_postgres::Error) -> Error {
        let error = pg_error(format!("rename the database {} to {}", ident(&self.work), ident(&self.name)), error);
        error.with_hint(format!("all of the backup is there under the name {}: rename it, or run it again", ident(&self.work)))
    }
}

/// Waits for the rename of a database and ends the sessions in it meanwhile: the rename keeps newcomers out from its beginning on, and
/// waits itself until all others have gone. Returns also why a session could not be ended.
async fn ending_sessions<T>(
    session: &Session,
    name: &str,
    mut renamed: Pin<&mut impl Future<Output = T>>,
) -> (T, Option<Error>) {
    let mut failed = None;
    loop {
        tokio::select! {
            biased;
            done = &mut renamed => return (done, failed),
            () = tokio::time::sleep(Duration::from_millis(20)) => failed = end_sessions(session, name).await.err(),
        }
    }
}

/// What users have made in the database called `name`.
async fn made_in(config: &Config, name: &str) -> Result<Vec<String>> {
    let session = connect(&config.with_database(name), Purpose::Restore).await?;
    let made = contents(&session).await?;
    session.close().await;
    Ok(made)
}

fn is_there(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| [SqlState::UNIQUE_VIOLATION, SqlState::DUPLICATE_DATABASE].contains(code))
}
