//! Plays the parts of one database: definitions, rows on several connections, indexes on several, the rest.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use backup_core::{Body, Context, Doing, Error, Event, Result, Stored, body};
use futures_util::future::try_join_all;

use super::layout::{Loaded, Parts};
use super::tables::Wanted;
use crate::config::Config;
use crate::connect::{Purpose, Session, connect};
use crate::facts::Stage;
use crate::pg_error::pg_error;
use crate::script::{Item, Player, Scanner};

/// What is played into one database.
pub(super) struct Load<'a> {
    pub(super) cx: &'a Context,
    pub(super) backup: &'a dyn Stored,
    pub(super) config: Config,
    pub(super) jobs: usize,
    /// Only these tables and what they need; `None`: everything.
    pub(super) wanted: Option<&'a Wanted>,
}

impl Load<'_> {
    /// Plays everything. Returns the number of rows, and what failed after the rows without ending the restore.
    pub(super) async fn run(&self, parts: &Parts) -> Result<(u64, Vec<String>)> {
        let failed = Mutex::new(Vec::new());
        self.in_order(&parts.pre, None).await?;
        let rows = self.at_once(&parts.data, None).await?;
        self.cx.tell(Event::Stage { what: "build indexes and check keys" });
        self.at_once(&parts.indexes, Some(&failed)).await?;
        self.in_order(&parts.post, Some(&failed)).await?;
        let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok((rows, failed))
    }

    /// Several parts at the same time, each on one of `jobs` connections.
    async fn at_once(&self, parts: &[Loaded], failed: Option<&Mutex<Vec<String>>>) -> Result<u64> {
        let parts: VecDeque<&Loaded> =
            parts.iter().filter(|part| self.wanted.is_none_or(|wanted| wanted.plays(&part.facts))).collect();
        let width = self.jobs.max(1).min(parts.len());
        let queue = Arc::new(Mutex::new(parts));
        let worker = || async {
            let session = self.session().await?;
            let mut rows = 0;
            loop {
                let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                let Some(part) = next else { break };
                rows += self.play(&session, part, failed).await?;
            }
            session.close().await;
            Ok::<u64, Error>(rows)
        };
        Ok(try_join_all((0..width).map(|_| worker())).await?.into_iter().sum())
    }

    async fn in_order(&self, parts: &[Loaded], failed: Option<&Mutex<Vec<String>>>) -> Result<()> {
        let session = self.session().await?;
        for part in parts {
            self.play(&session, part, failed).await?;
        }
        session.close().await;
        Ok(())
    }

    async fn session(&self) -> Result<Session> {
        let session = connect(&self.config, Purpose::Restore).await?;
        // Nothing counts until the last commit, which is synchronous again and flushes all that came before it.
        session.execute("SET synchronous_commit = off").await?;
        Ok(session)
    }

    /// Plays one part and returns how many rows the server took.
    ///
    /// With `failed`, a statement that fails is noted there and the rest is played all the same.
    async fn play(&self, session: &Session, part: &Loaded, failed: Option<&Mutex<Vec<String>>>) -> Result<u64> {
        let doing = || format!("restore {}", part.name);
        self.cx.tell(Event::PartBegun { part: &part.name });
        let body = self.text(part).await.doing(doing)?;
        let mut scanner = Scanner::new(body);
        // Rows of which tables, in the order of the part; all of them if it says of none.
        let tables = part.facts.tables.iter();
        let wanted: Option<Vec<bool>> =
            self.wanted.map(|wanted| tables.clone().map(|table| wanted.has(&table.schema, &table.name)).collect());
        let (all, mut keep) = (wanted.is_none(), wanted.iter().flatten().copied());
        let mut player = Player::new(&session.client)
            .filter(move |item| !matches!(item, Item::Copy(_)) || keep.next().unwrap_or(all))
            .tolerate(|statement, state| {
                let Some(failed) = failed else { return false };
                let line = format!("{}: {} [SQLSTATE {}]", part.name, statement.shown(), state.code());
                failed.lock().unwrap_or_else(PoisonError::into_inner).push(line);
                true
            });
        let played = self.cx.unless_cancelled(player.play(&mut scanner)).await.doing(doing)?;
        let expected: u64 = match &wanted {
            None => tables.map(|table| table.rows.rows).sum(),
            Some(wanted) => tables.zip(wanted).filter(|(_, wanted)| **wanted).map(|(table, _)| table.rows.rows).sum(),
        };
        if part.facts.stage != Stage::Script && played.rows != expected {
            return Err(Error::damaged(format!("{} has {expected} rows and the server took {}", part.name, played.rows)));
        }
        self.cx.tell(Event::Progress { part: &part.name, bytes: part.size });
        self.cx.tell(Event::PartDone { part: &part.name, bytes: part.size });
        Ok(played.rows)
    }

    /// The part as it is, or only what is wanted of its definitions.
    async fn text(&self, part: &Loaded) -> Result<Body> {
        let body = self.backup.read(&part.name).await?;
        match self.wanted {
            Some(wanted) if part.facts.tables.is_empty() => {
                let text = body::to_vec(body, part.size).await?;
                Ok(body::from_bytes(wanted.cut(&part.facts, &text)?))
            }
            _ => Ok(body),
        }
    }
}

/// Makes everything that was committed so far durable.
pub(super) async fn flush(session: &Session) -> Result<()> {
    // Something for the log to commit, and no statement that an event trigger of the database could refuse.
    let sql = "SET synchronous_commit = on; SELECT pg_catalog.pg_logical_emit_message(true, 'backup', '')";
    session.client.batch_execute(sql).await.map_err(|error| pg_error("flush what was restored to disk", error))
}
