//! Plays a script into a server, fast where it can be and one statement at a time where it must be.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::pin::pin;

use backup_core::{Doing, Error, Result};
use bytes::Bytes;
use futures_util::SinkExt;
use tokio::io::AsyncRead;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::{Item, MetaCommand, Scanner, Statement};
use crate::pg_error;

/// How many statements go to the server in one message at most.
const BATCH: usize = 200;

/// How many bytes of statements go to the server in one message at most, unless one alone is longer.
const BATCH_BYTES: usize = 256 * 1024;

/// What was played.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Played {
    /// Statements that the server has done, COPYs included.
    pub statements: u64,
    /// Rows that the server has taken, as the tags of its COPYs say.
    pub rows: u64,
    /// Statements that failed and were allowed to.
    pub tolerated: u64,
    /// Statements that the filter left out.
    pub skipped: u64,
}

/// Plays scripts over one connection.
///
/// Statements in a row go in one message, which the server takes as one transaction; if that fails they are played again one
/// by one, which tells the one that fails. Rows are streamed. Bytes that are not UTF-8 reach the server as the session's
/// `client_encoding` has them; only in the names of a COPY in an SQL_ASCII session they are [`Usage`](backup_core::Kind::Usage). After an error, or when the future of
/// [`play`](Self::play) is dropped, the connection is to be closed: the server may have work under way, and a COPY that
/// failed at its start leaves an answer behind that the next query would take for its own.
pub struct Player<'a> {
    client: &'a Client,
    filter: Filter<'a>,
    tolerate: Tolerate<'a>,
    connect: Connect<'a>,
    copied: Copied<'a>,
    batch: Vec<Statement>,
    bytes: usize,
    in_transaction: bool,
    played: Played,
}

type Filter<'a> = Box<dyn FnMut(&Item) -> bool + Send + 'a>;
type Tolerate<'a> = Box<dyn FnMut(&Statement, &SqlState) -> bool + Send + 'a>;
type Copied<'a> = Box<dyn FnMut(&str, u64) + Send + 'a>;
type Connect<'a> = Box<dyn FnMut(Option<&[u8]>) -> Result<()> + Send + 'a>;

impl std::fmt::Debug for Player<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Player").field("played", &self.played).finish_non_exhaustive()
    }
}

impl<'a> Player<'a> {
    /// Plays everything, tolerates nothing, and refuses `\connect`.
    ///
    /// The session must not be in a transaction, and have `standard_conforming_strings` on unless the script sets it.
    pub fn new(client: &'a Client) -> Self {
        Self {
            client,
            filter: Box::new(|_| true),
            tolerate: Box::new(|_, _| false),
            connect: Box::new(|_| {
                Err(Error::usage("the script goes on in another database").with_hint("extract one database out of it"))
            }),
            copied: Box::new(|_, _| {}),
            batch: Vec::new(),
            bytes: 0,
            in_transaction: false,
            played: Played::default(),
        }
    }

    /// Plays only the statements, COPYs and backslash commands for which `filter` is true. A COPY goes with its rows.
    pub fn filter(mut self, filter: impl FnMut(&Item) -> bool + Send + 'a) -> Self {
        self.filter = Box::new(filter);
        self
    }

    /// Goes on behind a statement that failed if `tolerate` is true. COPYs are not asked for.
    pub fn tolerate(mut self, tolerate: impl FnMut(&Statement, &SqlState) -> bool + Send + 'a) -> Self {
        self.tolerate = Box::new(tolerate);
        self
    }

    /// Hands `\connect` to `connect`; what it lets pass goes on over the same connection.
    pub fn connect(mut self, connect: impl FnMut(Option<&[u8]>) -> Result<()> + Send + 'a) -> Self {
        self.connect = Box::new(connect);
        self
    }

    /// Tells `copied` of each COPY: the table, as the script names it, and how many rows the server took.
    pub fn copied(mut self, copied: impl FnMut(&str, u64) + Send + 'a) -> Self {
        self.copied = Box::new(copied);
        self
    }

    /// Plays the rest of `scanner` and returns what was done for it.
    ///
    /// The error of a statement names its line and shows its beginning. A COPY whose rows break off is failed, never ended.
    pub async fn play<R: AsyncRead + Unpin>(&mut self, scanner: &mut Scanner<R>) -> Result<Played> {
        self.batch.clear();
        (self.bytes, self.in_transaction, self.played) = (0, false, Played::default());
        while let Some(item) = scanner.next().await? {
            match &item {
                Item::Statement(statement) if (self.filter)(&item) => self.add(statement.clone()).await?,
                Item::Copy(statement) => {
                    self.flush().await?;
                    match (self.filter)(&item) {
                        true => self.copy(statement, scanner).await?,
                        false => {
                            self.played.skipped += 1;
                            while let Some(Item::Data(_)) = scanner.next().await? {}
                        }
                    }
                }
                Item::Meta(meta) if (self.filter)(&item) => {
                    self.flush().await?;
                    match meta.command() {
                        MetaCommand::Connect { database } => (self.connect)(database.as_deref())
                            .doing(|| format!("play the \\connect in line {}", meta.line()))?,
                        MetaCommand::Encoding(encoding) => {
                            let sql = format!("SET client_encoding = '{}'", encoding.replace('\'', "''"));
                            let set = self.client.batch_execute(&sql).await;
                            set.map_err(|error| pg_error(format!("play the \\encoding in line {}", meta.line()), error))?;
                        }
                        MetaCommand::Restrict(_) | MetaCommand::Unrestrict(_) => {}
                    }
                }
                Item::Statement(_) | Item::Meta(_) => self.played.skipped += 1,
                Item::Blank(_) => {}
                Item::Data(_) | Item::CopyEnd(_) => return Err(Error::failed("the script was taken up inside of a COPY")),
            }
        }
        self.flush().await?;
        Ok(self.played)
    }

    async fn add(&mut self, statement: Statement) -> Result<()> {
        let first = statement.head().split(' ').next().unwrap_or_default().to_owned();
        if self.in_transaction || stands_alone(statement.head()) || str::from_utf8(statement.sql()).is_err() {
            self.flush().await?;
            self.one(&statement).await?;
            match first.as_str() {
                "begin" | "start" => self.in_transaction = true,
                "commit" | "end" | "abort" => self.in_transaction = false,
                "rollback" => self.in_transaction = statement.head().contains(" to "),
                _ => {}
            }
            return Ok(());
        }
        if self.batch.len() >= BATCH || self.bytes + statement.sql().len() > BATCH_BYTES {
            self.flush().await?;
        }
        self.bytes += statement.sql().len();
        self.batch.push(statement);
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        self.bytes = 0;
        let batch = std::mem::take(&mut self.batch);
        let (Some(first), Some(last)) = (batch.first(), batch.last()) else { return Ok(()) };
        if batch.len() == 1 {
            return self.one(first).await;
        }
        let texts = batch.iter().map(Statement::text).collect::<Result<Vec<_>>>()?;
        match self.client.batch_execute(&texts.join("\n")).await {
            Ok(()) => self.played.statements += batch.len() as u64,
            // All of it is undone. Alone each either passes or says why not.
            Err(error) if error.as_db_error().is_some() => {
                for statement in &batch {
                    self.one(statement).await?;
                }
            }
            Err(error) => {
                let doing = format!("play the statements in lines {} to {}", first.line(), last.line());
                return Err(pg_error(doing, error));
            }
        }
        Ok(())
    }

    async fn one(&mut self, statement: &Statement) -> Result<()> {
        match self.client.batch_execute(&message(statement)?).await {
            Ok(()) => self.played.statements += 1,
            Err(error) => match error.code() {
                Some(code) if (self.tolerate)(statement, code) => self.played.tolerated += 1,
                _ => return Err(failed(statement, error)),
            },
        }
        Ok(())
    }

    async fn copy<R: AsyncRead + Unpin>(&mut self, statement: &Statement, scanner: &mut Scanner<R>) -> Result<()> {
        let copy = prepared(self.client, statement).await?;
        let sink = self.client.copy_in::<_, Bytes>(&copy).await;
        let mut sink = pin!(sink.map_err(|error| failed(statement, error))?);
        loop {
            match scanner.next().await? {
                Some(Item::Data(rows)) => sink.feed(rows).await.map_err(|error| failed(statement, error))?,
                Some(Item::CopyEnd(_)) => break,
                other => return Err(Error::failed(format!("something else stands among the rows of a COPY: {other:?}"))),
            }
        }
        let rows = sink.finish().await.map_err(|error| failed(statement, error))?;
        (self.copied)(&table_of(statement), rows);
        self.played.rows += rows;
        self.played.statements += 1;
        Ok(())
    }
}

/// Has the server read a COPY, but not begin it. The encoding that holds when it begins is that of its rows; its names alone
/// are turned to UTF-8 where they are not.
async fn prepared(client: &Client, statement: &Statement) -> Result<tokio_postgres::Statement> {
    let failed = |error| failed(statement, error);
    if str::from_utf8(statement.sql()).is_ok() {
        return client.prepare(statement.text()?).await.map_err(failed);
    }
    let row = client.query_one("SELECT pg_catalog.current_setting('client_encoding')", &[]).await.map_err(failed)?;
    let encoding: String = row.get(0);
    if encoding == "SQL_ASCII" || encoding == "UTF8" {
        statement.text()?;
    }
    client.batch_execute("SET client_encoding = 'UTF8'").await.map_err(failed)?;
    let decode = "SELECT pg_catalog.convert_from($1, $2::pg_catalog.text::pg_catalog.name)";
    let row = client.query_one(decode, &[&statement.sql(), &encoding]).await.map_err(failed)?;
    let copy = client.prepare(row.get(0)).await.map_err(failed)?;
    client.batch_execute(&format!("SET client_encoding = '{encoding}'")).await.map_err(failed)?;
    Ok(copy)
}

/// The table of a COPY as the script names it.
fn table_of(statement: &Statement) -> String {
    let text = String::from_utf8_lossy(statement.sql());
    let rest = text.get("COPY ".len()..).unwrap_or_default();
    let end = [" (", " FROM "].iter().filter_map(|stop| rest.find(stop)).min();
    end.and_then(|end| rest.get(..end)).unwrap_or(rest).trim().to_owned()
}

fn playing(statement: &Statement) -> String {
    format!("play the statement in line {}, {}", statement.line(), statement.shown())
}

/// What is sent for a statement: its text, or if that is not UTF-8, which is all that the client can send, a block that makes
/// the server decode it from the encoding of the session.
fn message(statement: &Statement) -> Result<Cow<'_, str>> {
    if str::from_utf8(statement.sql()).is_ok() || stands_alone(statement.head()) {
        return statement.text().map(Cow::Borrowed);
    }
    let mut block = "DO LANGUAGE plpgsql $$BEGIN EXECUTE pg_catalog.convert_from(pg_catalog.decode('".to_owned();
    for byte in statement.sql() {
        let _ = write!(block, "{byte:02x}");
    }
    block.push_str("', 'hex'), pg_catalog.current_setting('client_encoding')); END$$");
    Ok(Cow::Owned(block))
}

/// What must not share a message with others: what begins or ends a transaction or refuses to run in one, and what changes
/// how the rest of the message is read (the server reads all of a message before it does any of it).
fn stands_alone(head: &str) -> bool {
    const FIRST: [&str; 18] = [
        "begin",
        "start",
        "commit",
        "end",
        "rollback",
        "abort",
        "savepoint",
        "release",
        "prepare",
        "do",
        "call",
        "vacuum",
        "reindex",
        "cluster",
        "discard",
        "reset",
        "checkpoint",
        "load",
    ];
    const OBJECTS: [&str; 10] = [
        "create database ",
        "drop database ",
        "alter database ",
        "create tablespace ",
        "drop tablespace ",
        "alter system ",
        "create subscription ",
        "alter subscription ",
        "drop subscription ",
        "set names ",
    ];
    const ANYWHERE: [&str; 5] =
        [" concurrently ", " add value ", " standard_conforming_strings ", " client_encoding ", " backslash_quote "];
    head.split(' ').next().is_some_and(|first| FIRST.contains(&first))
        || OBJECTS.iter().any(|object| head.starts_with(object))
        || ANYWHERE.iter().any(|words| head.contains(words))
}

/// The error of a statement, with the line of its COPY data if that is to blame, but never the row's values.
fn failed(statement: &Statement, error: tokio_postgres::Error) -> Error {
    let place = error.as_db_error().and_then(|answer| answer.where_()).filter(|context| context.starts_with("COPY "));
    let place = place.and_then(|context| context.lines().next()?.split(": ").next()).map(|place| format!(" ({place})"));
    pg_error(format!("{}{}", playing(statement), place.unwrap_or_default()), error)
}
