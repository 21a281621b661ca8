//! One database as a source: one instant, read by several connections.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use backup_core::{
    Context, Doing, Error, Event, Key, Kind, Name, Origin, Part, Reading, Result, Snapshot, Source, Stored, body,
};
use futures_util::future::try_join_all;

use crate::catalog::{Catalog, few};
use crate::config::Config;
use crate::connect::{Purpose, Session, connect};
use crate::facts::{Instant, PartFacts, Stage};
use crate::globals::{self, DatabaseRecord};
use crate::inventory::Inventory;
use crate::lock::{Locked, lock, lock_again};
use crate::origin::origin;
use crate::pg_error::pg_error;
use crate::plan::{Content, Cut, Planned, Planner};
use crate::pool::Pool;
use crate::quote::{ident, literal};
use crate::script::{Item, Scanner};
use crate::{copy, large_objects, plan};

/// What to take of a database, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// How many connections read rows at the same time.
    pub jobs: usize,
    /// Whether rows, values of sequences and large objects are taken.
    pub data: bool,
    /// Whether the roles that it may need come first: created where they are missing, without passwords.
    pub roles: bool,
    /// Whether `CREATE DATABASE`, the database's owner, settings and privileges are taken.
    pub create: bool,
    /// Whether what is to be created is dropped first, in SQL that is played by hand.
    pub clean: bool,
    /// A table of more bytes than this is read in ranges of about this many.
    pub range: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { jobs: 4, data: true, roles: false, create: true, clean: false, range: 64 * 1024 * 1024 }
    }
}

/// One database of a server.
///
/// A snapshot holds one `REPEATABLE READ READ ONLY` transaction and a lock on every table against changes of its
/// definition, as pg_dump does; as many further connections as [`Options::jobs`] says join the same instant. A database of at most
/// 64 tables and less than 8 MiB, without large objects, is read over the one connection.
#[derive(Debug, Clone)]
pub struct Database {
    /// How to reach it.
    pub config: Config,
    /// What to take.
    pub options: Options,
    /// How the database is made; `None`: only what is in it is taken.
    pub record: Option<DatabaseRecord>,
    /// Where its files go within a backup, such as `db/0003`; beside all others if it does not matter.
    pub folder: Option<Key>,
}

/// How many parts may be open at once where all of them are in memory.
pub(crate) const TEXTS: usize = 4;

/// Tables of fewer bytes share a part.
const PACK: u64 = 8 << 20;

/// How often the instant is taken anew because tables changed before they could be locked.
const ATTEMPTS: u32 = 5;

#[async_trait]
impl Source for Database {
    async fn snapshot(&self, cx: &Context, _base: Option<&dyn Stored>) -> Result<Box<dyn Snapshot>> {
        self.snapshot_over(cx, connect(&self.config, Purpose::Dump).await?).await
    }
}

impl Database {
    /// As [`snapshot`](Source::snapshot), over a connection to it that is there already.
    pub(crate) async fn snapshot_over(&self, cx: &Context, leader: Session) -> Result<Box<dyn Snapshot>> {
        let doing = || format!("take a snapshot of the database {}", ident(&self.config.dbname));
        let snapshot = cx.unless_cancelled(Box::pin(self.open(cx, leader))).await.doing(doing)?;
        Ok(Box::new(snapshot))
    }

    fn create(&self, leader: &Session, record: &DatabaseRecord, instant: Instant) -> Planned {
        let mut known = PartFacts::new(Stage::Database, Some(&record.name));
        let drop = if self.options.clean { record.drop_sql(&record.name) } else { String::new() };
        let create = if record.predefined() { String::new() } else { record.create_sql(leader.version, &record.name) };
        let text = format!("{drop}{create}{}", connect_sql(&record.name));
        known.record = Some(record.clone());
        known.instant = Some(instant);
        self.text_part(&record.name, "create", known, text)
    }

    fn properties(&self, leader: &Session, record: &DatabaseRecord) -> Result<Planned> {
        let known = PartFacts::new(Stage::Properties, Some(&record.name));
        let text = format!("{}{}", crate::header(leader.version, "UTF8"), record.properties_sql(&record.name)?);
        Ok(self.text_part(&record.name, "properties", known, text))
    }

    async fn roles(&self, leader: &Session, database: &str) -> Result<Planned> {
        let sql = globals::missing_roles_sql(&leader.client, leader.version, &self.config.user).await?;
        let text = format!("{}{sql}", crate::header(leader.version, "UTF8"));
        Ok(self.text_part(database, "roles", PartFacts::new(Stage::Roles, None), text))
    }

    fn text_part(&self, database: &str, what: &str, facts: PartFacts, text: String) -> Planned {
        let folder = plan::folder(self.folder.as_ref(), facts.stage);
        let part = Part { name: plan::name(database, what), extension: "sql", folder, estimate: Some(text.len() as u64) };
        Planned { part, facts, content: Content::Text(text.into()) }
    }

    /// Opens a connection that joins the instant.
    async fn join(&self, exported: &str, encoding: &str) -> Result<Session> {
        let worker = connect(&self.config, Purpose::Dump).await?;
        begin(&worker).await?;
        worker.execute(&format!("SET TRANSACTION SNAPSHOT {}", literal(exported))).await?;
        if encoding == "SQL_ASCII" {
            worker.execute("SET client_encoding = 'SQL_ASCII'").await?;
        }
        Ok(worker)
    }

    async fn open(&self, cx: &Context, leader: Session) -> Result<DatabaseSnapshot> {
        if leader.encoding == "SQL_ASCII" {
            // Nothing is converted: bytes come as they are, whether they are valid text or not.
            leader.execute("SET client_encoding = 'SQL_ASCII'").await?;
        }
        let mut attempt = 1;
        let (sizes, all_known) = loop {
            begin(&leader).await?;
            match lock(&leader, self.options.data).await? {
                Locked::All { sizes, all_known } => break (sizes, all_known),
                Locked::Changed(_) if attempt < ATTEMPTS => {
                    cx.tell(Event::Stage { what: "take the instant anew: a table changed meanwhile" });
                    leader.execute("ROLLBACK").await?;
                    attempt += 1;
                }
                Locked::Changed(table) => {
                    return Err(Error::failed(format!("the definition of {table} keeps changing while it is to be locked"))
                        .with_hint("run it again when the change of the tables is through"));
                }
            }
        };
        let client = &leader.client;
        let (origin, instant, encoding) = origin(&leader).await?;
        let name = origin.facts.get("database").and_then(|name| name.as_str()).unwrap_or_default().to_owned();
        let inventory = Inventory::to_be_read(client, leader.version).await?;
        let (counts, large) = (inventory.counts(), self.options.data && inventory.large_objects > 0);
        // Known before anything is read: a connection costs the server more than what little there is in a small database.
        let small = sizes.len() <= plan::TABLES && sizes.values().map(|size| size.bytes).sum::<u64>() < PACK;
        let alone = !self.options.data || small && all_known && !large;
        let workers = async {
            let exported = if alone { return Ok(Vec::new()) } else { export(&leader).await? };
            try_join_all((0..self.options.jobs.max(1)).map(|_| self.join(&exported, &encoding))).await
        };
        let (catalog, workers) = tokio::try_join!(Catalog::read(client, leader.version, inventory), workers)?;
        let catalog = if self.options.data { catalog } else { catalog.without_data() };
        if !catalog.left_out.is_empty() {
            let what = format!(
                "what is unlogged can be read on the primary only, and is left out of the database {} but for its definition: {}",
                ident(&name),
                few(&catalog.left_out, catalog.left_out.len())
            );
            cx.tell(Event::Warning { what: &what });
        }
        let header = crate::header(leader.version, &encoding);
        let cut = Cut { range: self.options.range, pack: self.options.range.min(PACK), ranges: leader.version.at_least(14) };
        // A database that is dropped as a whole needs no more than that.
        let clean = self.options.clean && self.record.as_ref().is_none_or(DatabaseRecord::predefined);
        let planner = Planner { database: &name, folder: self.folder.as_ref(), header: &header, sizes: &sizes, cut, clean };
        let mut planned = planner.parts(catalog, large, counts)?;
        for planned in &planned {
            let Content::Text(text) = &planned.content else { continue };
            statements_only(text).await.doing(|| format!("trust the definitions of {}", planned.part.name))?;
        }
        if let Some(record) = &self.record {
            planned.insert(0, self.create(&leader, record, instant));
            planned.push(self.properties(&leader, record)?);
        }
        if self.options.roles {
            planned.insert(0, self.roles(&leader, &name).await?);
        }
        let parts = planned.iter().map(|planned| planned.part.clone()).collect();
        let reading = planned.iter().filter(|planned| !matches!(planned.content, Content::Text(_))).count();
        let planned = planned.into_iter().map(|planned| (planned.part.name.clone(), Arc::new(planned))).collect();
        // Rows stay as they are stored: some characters of some encodings are none of UTF-8.
        let encoding = Some(leader.encoding.clone()).filter(|encoding| !["UTF8", "SQL_ASCII"].contains(&encoding.as_str()));
        let width = match workers.len() {
            // Whoever waits for the one connection must not be who has it read.
            0 if reading > 1 => 1,
            0 => TEXTS,
            width => width,
        };
        let (leader, readers) = if alone { (None, vec![leader]) } else { (Some(leader), workers) };
        Ok(DatabaseSnapshot { origin, parts, planned, encoding, width, leader, readers: Pool::new(readers) })
    }
}

#[derive(Debug)]
struct DatabaseSnapshot {
    origin: Origin,
    parts: Vec<Part>,
    planned: HashMap<Name, Arc<Planned>>,
    /// Of the rows, where it is not the header's.
    encoding: Option<String>,
    /// How many parts may be open at once.
    width: usize,
    /// Holds the instant and the locks; `None` where it reads the rows too, as the only one of the readers.
    leader: Option<Session>,
    readers: Arc<Pool>,
}

#[async_trait]
impl Snapshot for DatabaseSnapshot {
    fn origin(&self) -> &Origin {
        &self.origin
    }

    fn parts(&self) -> &[Part] {
        &self.parts
    }

    fn width(&self) -> usize {
        self.width
    }

    async fn read(&self, part: &Name) -> Result<Reading> {
        let missing = || Error::new(Kind::NotFound, format!("the snapshot has no part {part}"));
        let planned = Arc::clone(self.planned.get(part).ok_or_else(missing)?);
        let facts = Arc::new(OnceLock::new());
        if let Content::Text(text) = &planned.content {
            let _ = facts.set(planned.facts.to_facts());
            return Ok(Reading { body: body::from_bytes(text.clone()), facts });
        }
        let reader = self.readers.lease().await?;
        let joined = self.leader.is_some();
        let (known, encoding) = (Arc::clone(&facts), self.encoding.clone());
        let body = body::piped(move |out| async move {
            let facts = planned.facts.clone();
            match &planned.content {
                Content::Text(_) => {}
                Content::Rows(header, slices) => {
                    if joined {
                        lock_again(reader.client(), slices).await?;
                    }
                    copy::write(reader.client(), header.clone(), encoding.as_deref(), slices, facts, &known, out).await?;
                }
                Content::LargeObjects(header) => {
                    large_objects::write(reader.client(), header.clone(), facts, &known, out).await?;
                }
            }
            reader.give_back();
            Ok(())
        });
        Ok(Reading { body, facts })
    }

    async fn close(self: Box<Self>) -> Result<()> {
        let doing = "let the instant go: its transaction was lost, and with it the locks on the tables";
        let leader = match self.leader {
            Some(leader) => leader,
            None => self.readers.lease().await.doing(|| doing)?.keep(),
        };
        leader.execute("COMMIT").await.doing(|| doing)?;
        self.readers.close().await;
        leader.close().await;
        Ok(())
    }
}

async fn begin(session: &Session) -> Result<()> {
    session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await
}

async fn export(leader: &Session) -> Result<String> {
    let row = leader.client.query_one("SELECT pg_catalog.pg_export_snapshot()", &[]).await;
    Ok(row.map_err(|error| pg_error("export the snapshot", error))?.get(0))
}

/// Makes sure that a text of definitions has nothing in it but statements, each with its end.
///
/// Part of it comes out of the server as it is. A server that is not to be trusted could put commands of psql there, which
/// run on the machine of whoever restores by hand (CVE-2025-8714).
async fn statements_only(text: &[u8]) -> Result<()> {
    let mut scanner = Scanner::new(text);
    while let Some(item) = scanner.next().await? {
        if !matches!(item, Item::Statement(_) | Item::Blank(_)) {
            return Err(Error::failed(format!("there is more than statements, near line {}", scanner.line()))
                .with_hint("look at the server's definitions for a backslash command: it may not be what it seems"));
        }
    }
    Ok(())
}

/// `\connect name`, in the form that psql takes for any name.
pub(crate) fn connect_sql(name: &str) -> String {
    if name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_') {
        return format!("\\connect {name}\n");
    }
    let conninfo = format!("dbname='{}'", name.replace('\\', "\\\\").replace('\'', "\\'"));
    if name.contains(['\n', '\r']) {
        // A command of psql ends at the end of the line, a variable does not.
        return format!(
            "SELECT {} AS backup_database\n\\gset\n\\connect -reuse-previous=on :backup_database\n",
            literal(&conninfo)
        );
    }
    format!("\\connect -reuse-previous=on \"{}\"\n", conninfo.replace('"', "\"\""))
}

impl Session {
    /// Runs statements that give no rows back.
    pub(crate) async fn execute(&self, sql: &str) -> Result<()> {
        let head = sql.chars().take(60).collect::<String>();
        self.client.batch_execute(sql).await.map_err(|error| pg_error(format!("run {head}"), error))
    }
}
