//! Dumps of a director, read as SQL: what is in them, and one database of them under another name.

use std::sync::Arc;

use async_trait::async_trait;
use backup_bosh::restore::{Dumps, Found, Inspected, Wanted};
use backup_core::{Body, Error, Result, body};
use backup_pg::script::{Item, MetaCommand, Scanner, Statement};
use tokio::io::AsyncWriteExt;

use crate::replace::{Replacement, Replacer};

/// The comments with which a dump of all databases begins and ends, and one of a database ends (`src/bin/pg_dump/pg_dumpall.c`,
/// `pg_backup_archiver.c`).
const CLUSTER: &str = "-- PostgreSQL database cluster dump";
const CLUSTER_COMPLETE: &str = "-- PostgreSQL database cluster dump complete";
const COMPLETE: &str = "-- PostgreSQL database dump complete";
const VERSION: &str = "-- Dumped from database version ";

/// Reads dumps with the scanner of our own dumps, and replaces ids in their rows.
#[derive(Debug)]
pub(crate) struct Sql(pub(crate) Arc<[Replacement]>);

#[async_trait]
impl Dumps for Sql {
    async fn inspect(&self, dump: Body) -> Result<Inspected> {
        let mut scanner = Scanner::new(dump);
        let mut inspected = Inspected::default();
        let mut current: Option<String> = None;
        let mut replacer = Replacer::new(Arc::clone(&self.0));
        let (mut cluster, mut complete) = (false, false);
        while let Some(item) = scanner.next().await? {
            let comments = String::from_utf8_lossy(item.leading()).into_owned();
            let has = |line: &str| comments.lines().any(|comment| comment == line);
            cluster |= current.is_none() && has(CLUSTER);
            // Whatever follows shows that it was not the end.
            complete = match &item {
                Item::Blank(_) | Item::Meta(_) if has(if cluster { CLUSTER_COMPLETE } else { COMPLETE }) => true,
                Item::Blank(_) => complete,
                Item::Meta(meta) if matches!(meta.command(), MetaCommand::Unrestrict(_)) => complete,
                _ => false,
            };
            if inspected.version.is_none() {
                let version = comments.lines().find_map(|line| line.strip_prefix(VERSION));
                inspected.version = version.and_then(|version| version.split(' ').next()).map(str::to_owned);
            }
            match &item {
                Item::Meta(meta) => {
                    if let MetaCommand::Connect { database: Some(name) } = meta.command() {
                        let name = text(name)?;
                        if !inspected.databases.iter().any(|found| found.name == name) {
                            let replaced = self.0.iter().map(|pair| (pair.old.clone(), 0)).collect();
                            inspected.databases.push(Found { name: name.clone(), rows: 0, bytes: 0, replaced });
                        }
                        current = Some(name);
                    }
                }
                Item::Statement(statement) if statement.head().starts_with("create role ") => {
                    inspected.roles.extend(name_after(statement.sql(), b"CREATE ROLE ").map(|(name, _)| name));
                }
                _ => {}
            }
            let found = inspected.databases.iter_mut().find(|found| Some(&found.name) == current.as_ref());
            if let Some(found) = found {
                found.bytes += item.raw().len() as u64;
                match &item {
                    Item::Data(rows) => {
                        found.rows += rows.iter().filter(|byte| **byte == b'\n').count() as u64;
                        replacer.feed(rows);
                    }
                    Item::CopyEnd(_) => {
                        replacer.finish();
                        for (pair, count) in self.0.iter().zip(&mut replacer.counts) {
                            *found.replaced.entry(pair.old.clone()).or_default() += std::mem::take(count);
                        }
                    }
                    _ => {}
                }
            }
        }
        match complete {
            true => Ok(inspected),
            false => Err(Error::damaged("the dump does not say that it is complete")
                .with_hint("whoever wrote it broke off: restore from another archive")),
        }
    }

    fn script(&self, dump: Body, wanted: &Wanted) -> Body {
        let (wanted, replacer) = (wanted.clone(), Replacer::new(Arc::clone(&self.0)));
        let mut choice =
            Excerpt { wanted, replacer, connected: false, making: false, made: false, inside: false, whole: false };
        body::piped(move |mut writer| async move {
            let mut scanner = Scanner::new(dump);
            // To the end: that the dump is whole shows there.
            while let Some(item) = scanner.next().await? {
                for piece in choice.of(&item)? {
                    writer.write_all(&piece).await?;
                }
            }
            match choice.whole && !choice.inside {
                true => Ok(()),
                false => Err(Error::damaged(format!("the dump does not have all of {}", choice.wanted.database))),
            }
        })
    }
}

/// What of a dump goes on, while it passes.
struct Excerpt {
    wanted: Wanted,
    replacer: Replacer,
    /// What passes is of some database.
    connected: bool,
    /// Roles are being made: all that the dump says of them, or nothing.
    making: bool,
    /// The database was made under its working name.
    made: bool,
    /// What passes is of it.
    inside: bool,
    /// Its end was seen.
    whole: bool,
}

impl Excerpt {
    /// What psql is told where the dump has `item`.
    fn of(&mut self, item: &Item) -> Result<Vec<Vec<u8>>> {
        if self.inside && String::from_utf8_lossy(item.leading()).lines().any(|line| line == COMPLETE) {
            // What follows, up to the next \connect, prepares another database.
            (self.inside, self.whole) = (false, true);
        }
        match item {
            Item::Meta(meta) => {
                let told = self.meta(meta.command())?;
                Ok(self.made_roles(told))
            }
            Item::Statement(statement) if statement.is_of_roles() && !statement.head().contains(" in database ") => {
                Ok(self.of_roles(statement.sql()))
            }
            Item::Statement(statement) => {
                let told = self.statement(statement).map(line).into_iter().collect();
                Ok(self.made_roles(told))
            }
            // The rest of its line belongs to a COPY.
            Item::Copy(statement) if self.inside => Ok(vec![statement.raw().slice(statement.leading().len()..).to_vec()]),
            Item::Data(rows) if self.inside => Ok(vec![self.replacer.feed(rows)]),
            Item::CopyEnd(end) if self.inside => Ok(vec![self.replacer.finish(), end.to_vec()]),
            Item::Copy(_) | Item::Data(_) | Item::CopyEnd(_) | Item::Blank(_) => Ok(Vec::new()),
        }
    }

    fn meta(&mut self, command: &MetaCommand) -> Result<Vec<Vec<u8>>> {
        match command {
            MetaCommand::Connect { database: Some(name) } => {
                (self.connected, self.inside) = (true, text(name)? == self.wanted.database);
                if !self.inside {
                    return Ok(Vec::new());
                }
                let mut told = Vec::new();
                if !self.made {
                    // Of what every server has, older dumps do not say how it is made.
                    told.push(line(format!("CREATE DATABASE {} TEMPLATE template0;", self.wanted.working).into_bytes()));
                    self.made = true;
                }
                told.push(line(format!("\\connect {}", self.wanted.working).into_bytes()));
                Ok(told)
            }
            MetaCommand::Encoding(encoding) if self.inside => {
                let is_plain = encoding.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
                is_plain
                    .then(|| vec![line(format!("\\encoding {encoding}").into_bytes())])
                    .ok_or_else(|| Error::damaged(format!("the dump names an encoding that is none: {encoding:?}")))
            }
            _ => Ok(Vec::new()),
        }
    }

    /// What becomes of a statement.
    fn statement(&mut self, statement: &Statement) -> Option<Vec<u8>> {
        let (head, sql) = (statement.head(), statement.sql());
        if let Some(renamed) = self.about_a_database(head, sql) {
            return renamed;
        }
        match self.inside {
            // A database made of template0 has it. pg_dump before 15 makes it nonetheless, if it was told to clean first.
            true => (sql != b"CREATE SCHEMA public;").then(|| sql.to_vec()),
            // What roles are to be read by.
            false => (!self.connected && head.starts_with("set ")).then(|| sql.to_vec()),
        }
    }

    /// `None` of what is about no database by its name; else what is to be said under the working name, if anything.
    fn about_a_database(&mut self, head: &str, sql: &[u8]) -> Option<Option<Vec<u8>>> {
        let starts = |words: &[&str]| words.iter().any(|word| head.starts_with(word));
        let before: &[u8] = if starts(&["create database "]) {
            b"CREATE DATABASE "
        } else if starts(&["alter database ", "comment on database "]) {
            b" DATABASE "
        } else if starts(&["grant ", "revoke ", "security label "]) && head.contains(" on database ") {
            b" ON DATABASE "
        } else if starts(&["alter role ", "alter user "]) && head.contains(" in database ") {
            b" IN DATABASE "
        } else if starts(&["drop database ", "update pg_catalog . pg_database "]) {
            return Some(None);
        } else {
            return None;
        };
        let Some((name, (start, end))) = name_after(sql, before) else { return Some(None) };
        let is_made = head.starts_with("create ");
        if name != self.wanted.database || is_made == self.made {
            return Some(None);
        }
        self.made |= is_made;
        let [front, rest] = [sql.get(..start), sql.get(end..)].map(Option::unwrap_or_default);
        Some(Some([front, self.wanted.working.as_bytes(), rest].concat()))
    }

    /// What psql is told of roles.
    fn of_roles(&mut self, sql: &[u8]) -> Vec<Vec<u8>> {
        let begins = !self.making;
        if !self.of_a_missing_role(sql) {
            return Vec::new();
        }
        self.making = true;
        let begin = begins.then(|| b"BEGIN;\n".to_vec());
        begin.into_iter().chain([line(sql.to_vec())]).collect()
    }

    /// `told`, which is not of roles; what was said of roles counts before that.
    fn made_roles(&mut self, mut told: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        if !told.is_empty() && std::mem::take(&mut self.making) {
            told.insert(0, b"COMMIT;\n".to_vec());
        }
        told
    }

    /// Whether the statement is about a role that is to be made. A membership is of the one who gets it.
    fn of_a_missing_role(&self, sql: &[u8]) -> bool {
        let before: &[&[u8]] = &[b"CREATE ROLE ", b"ALTER ROLE ", b"COMMENT ON ROLE "];
        let start = before.iter().find(|start| sql.starts_with(start));
        let name = match start {
            Some(start) => name_after(sql, start),
            None if sql.starts_with(b"GRANT ") => name_after(sql, b" TO "),
            None => None,
        };
        name.is_some_and(|(name, _)| self.wanted.roles.contains(&name))
    }
}

/// A statement or command with the end of its line.
fn line(mut sql: Vec<u8>) -> Vec<u8> {
    sql.push(b'\n');
    sql
}

/// The name behind the first `before`, and from where to where it stands.
fn name_after(sql: &[u8], before: &[u8]) -> Option<(String, (usize, usize))> {
    let start = sql.windows(before.len()).position(|window| window == before)? + before.len();
    let rest = sql.get(start..)?;
    let (name, length) = match rest.strip_prefix(b"\"") {
        Some(quoted) => {
            let (mut name, mut at) = (Vec::new(), 0);
            loop {
                match (quoted.get(at)?, quoted.get(at + 1)) {
                    (b'"', Some(b'"')) => {
                        name.push(b'"');
                        at += 2;
                    }
                    (b'"', _) => break (name, at + 2),
                    (byte, _) => {
                        name.push(*byte);
                        at += 1;
                    }
                }
            }
        }
        None => {
            let length = rest.iter().position(|byte| byte.is_ascii_whitespace() || *byte == b';').unwrap_or(rest.len());
            (rest.get(..length)?.to_vec(), length)
        }
    };
    Some((String::from_utf8(name).ok()?, (start, start + length)))
}

fn text(name: &[u8]) -> Result<String> {
    String::from_utf8(name.to_vec()).map_err(|_| Error::failed("the dump has a database whose name is not UTF-8"))
}

#[cfg(test)]
mod tests;
