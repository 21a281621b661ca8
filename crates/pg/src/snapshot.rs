//! One database as a source: one instant, read by several connections.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use backup_core::{
    Context, Doing, Error, Event, Key, Kind, Name, Origin, Part, Reading, Result, Snapshot, Source, Stored, body,
};
use futures_util::future::try_join_all;
use tokio_postgres::error::SqlState;

use crate::catalog::{Catalog, few};
use crate::config::Config;
use crate::connect::{Purpose, Session, connect};
use crate::facts::{Instant, PartFacts, Stage};
use crate::globals::{self, DatabaseRecord};
use crate::inventory::Inventory;
use crate::pg_error::pg_error;
use crate::plan::{Content, Cut, Planned, Planner, Size};
use crate::pool::Pool;
use crate::quote::{ident, literal, qualified};
use crate::script::{Item, Scanner};
use crate::{Version, copy, facts, large_objects, plan};

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

/// `HEAP_TABLE_AM_OID` of `catalog/pg_am.dat`: whose files are as long as what is in them.
const HEAP: u32 = 2;

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

/// How the tables were locked.
enum Locked {
    /// All of them. How large each is, if that was asked for and its access method says it; and whether that is known of all.
    All { sizes: HashMap<u32, Size>, all_known: bool },
    /// This one changed between the instant and the lock.
    Changed(String),
}

/// Locks every table against changes of its definition, and looks at the files that they have then: by the leader alone, since others
/// would wait behind whoever waits for its locks.
async fn lock(leader: &Session, sizes: bool) -> Result<Locked> {
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
async fn lock_again(client: &tokio_postgres::Client, slices: &[copy::Slice]) -> Result<()> {
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
