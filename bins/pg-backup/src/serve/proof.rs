//! The proof of a database: its newest dump is restored into a scratch server and compared with what was counted.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backup_core::{Context, Doing, Error, Event, Kind, Result, Sha256, Tally};
use backup_pg::script::{Inspected, Played, Player, Scanner, inspect};
use backup_pg::{NATIVE, Purpose, Scratch, ServerShape, Version, check_sql, connect, pg_error};
use backup_service::tree::{Dump, Mark, Tree};
use backup_service::{Outcome, Why, Work};
use clap::Args;
use jiff::Timestamp;
use tokio::io::AsyncReadExt;
use tokio::sync::Mutex;

use crate::shelf::Kept;

/// The database that is restored into.
const DATABASE: &str = "proof";

/// How far into a dump of pg_dump its release is looked for, in bytes.
const HEAD: u64 = 64 << 10;

/// Of what a scratch server is made.
#[derive(Debug, Clone, Args)]
pub(crate) struct ScratchArgs {
    /// Where initdb and postgres are, for proofs on schedule
    #[arg(long, value_name = "DIR")]
    pub(super) pg_bin: Option<PathBuf>,
    /// Where the files of the scratch server go: as much space as the largest database takes
    #[arg(long, value_name = "DIR")]
    pub(super) scratch_dir: Option<PathBuf>,
}

/// What is asked of a restored dump, and of what the server for it is made.
pub(super) struct How {
    /// In which there must be a table; in any, if none is named.
    pub(super) schema: Option<String>,
    /// Queries that must succeed.
    pub(super) check_sql: Vec<String>,
    pub(super) scratch: ScratchArgs,
    /// How long the server may take to start, if it is said.
    pub(super) patience: Option<Duration>,
}

/// Proves the newest dump of one database.
pub(super) struct Proof {
    tree: Arc<Tree>,
    core: String,
    /// Who reads it, and so is in no dump of it.
    user: String,
    how: How,
    /// Held by whoever adds dumps of the database or says what is known of them.
    turn: Arc<Mutex<()>>,
}

/// What a restored dump was seen to be.
struct Seen {
    sha256: Sha256,
    version: Version,
    tables: u64,
    played: Played,
}

impl Proof {
    pub(super) fn new(kept: &Kept, how: How, turn: Arc<Mutex<()>>) -> Result<Self> {
        let (tree, core, user) = (Arc::clone(&kept.tree), kept.core.clone(), kept.user()?);
        Ok(Self { tree, core, user, how, turn })
    }

    /// The newest dump; one that is being taken is awaited.
    async fn newest(&self) -> Result<Option<Dump>> {
        let _turn = self.turn.lock().await;
        Ok(self.tree.list(&self.core).await?.pop())
    }

    /// Proves the newest dump and writes down that it is proven, or in what it is damaged.
    async fn prove(&self, cx: &Context) -> Result<Outcome> {
        let Some(dump) = self.newest().await? else {
            let place = self.tree.root().display();
            return Err(Error::new(Kind::NotFound, format!("there is no dump of {} in {place} to prove", self.core))
                .with_hint("see why none was taken, or take one by serve --once"));
        };
        let seen = self.restored(cx, &dump).await.map_err(|error| match error.kind() {
            Kind::Damaged | Kind::Differs => error,
            _ => error.with_kind(Kind::Unproven),
        });
        let seen = seen.doing(|| format!("prove {}", dump.key));
        let now = Timestamp::now();
        match &seen {
            Ok(seen) => {
                let known = |mark: &mut Mark| {
                    mark.size.get_or_insert(dump.size);
                    mark.sha256.get_or_insert(seen.sha256);
                    (mark.verified, mark.proven, mark.damaged) = (Some(now), Some(now), None);
                };
                self.note(&dump, known).await?;
            }
            Err(error) if [Kind::Damaged, Kind::Differs].contains(&error.kind()) => {
                let why = error.chain();
                self.note(&dump, |mark| mark.damaged = Some(why)).await?;
            }
            Err(_) => {}
        }
        let Seen { version, tables, played, .. } = seen?;
        let left = match played.tolerated {
            0 => String::new(),
            count => format!(", without {count} statements on roles or tablespaces that only its own server has"),
        };
        let rows = played.rows;
        let line = format!("{} is proven: {tables} tables and {rows} rows restored into PostgreSQL {version}{left}", dump.key);
        Ok(Outcome::Done { line, bytes: None })
    }

    /// Adds to what is known of `dump`, if it is still there.
    async fn note(&self, dump: &Dump, add: impl FnOnce(&mut Mark)) -> Result<()> {
        let _turn = self.turn.lock().await;
        let now = self.tree.list(&self.core).await?.into_iter().find(|other| other.key == dump.key && other.size == dump.size);
        let Some(Dump { key, mut mark, .. }) = now else { return Ok(()) };
        add(&mut mark);
        self.tree.mark(&key, &mark).await
    }

    /// Restores `dump` and compares. [`Kind::Damaged`] and [`Kind::Differs`] speak of the dump, [`Kind::Unproven`] of the way to it.
    async fn restored(&self, cx: &Context, dump: &Dump) -> Result<Seen> {
        let (written, sha256) = self.read(dump).await?;
        let (shape, how) = (self.shape(dump).await?, &self.how.scratch);
        let scratch = Scratch::start(how.pg_bin.as_deref(), how.scratch_dir.as_deref(), &shape).await?;
        for note in scratch.notes() {
            cx.tell(Event::Warning { what: note });
        }
        let version = scratch.version();
        let played = self.played(&scratch, dump).await;
        let stopped = scratch.stop().await;
        let (tables, played) = played?;
        differs("tables", written.tables, tables)?;
        differs("rows", written.rows, played.rows)?;
        stopped?;
        Ok(Seen { sha256, version, tables, played })
    }

    /// Reads `dump` to its end: it must be the file that was written, and hold what was counted then.
    async fn read(&self, dump: &Dump) -> Result<(Inspected, Sha256)> {
        let tally = Tally::default();
        let seen = inspect(self.tree.get_tallied(&dump.key, &tally).await?).await?;
        let (_, sha256) = tally.get();
        if dump.mark.sha256.is_some_and(|known| known != sha256) {
            return Err(Error::damaged("it is not the file that was written: its digest is another one"));
        }
        for (what, found) in [("tables", seen.tables), ("rows", seen.rows)] {
            let known = dump.mark.facts.get(what).and_then(|count| count.as_u64());
            differs(what, known.unwrap_or(found), found)?;
        }
        Ok((seen, sha256))
    }

    /// A server like the one that was dumped.
    async fn shape(&self, dump: &Dump) -> Result<ServerShape> {
        let fact = |name: &str| dump.mark.facts.get(name).and_then(|value| value.as_str());
        let version = match fact("server") {
            Some(release) => Version::of_program(&format!("(PostgreSQL) {release}")),
            None => {
                let mut head = Vec::new();
                self.tree.get(&dump.key).await?.take(HEAD).read_to_end(&mut head).await?;
                release(&String::from_utf8_lossy(&head))
            }
        };
        // Of a dump that does not say, the oldest programs that there are may be as old as its server.
        let mut shape = ServerShape::of(version.unwrap_or(Version(NATIVE.start() * 10_000)));
        if let Some(encoding) = fact("encoding") {
            encoding.clone_into(&mut shape.encoding);
        }
        shape.superuser.clone_from(&self.user);
        shape.start_limit = self.how.patience.unwrap_or(shape.start_limit);
        // Extensions and large schemas take more locks in one transaction than a server allows by default.
        shape.settings.push(("max_locks_per_transaction".into(), "4096".into()));
        Ok(shape)
    }

    /// Plays `dump` into a database of its own and counts.
    async fn played(&self, scratch: &Scratch, dump: &Dump) -> Result<(u64, Played)> {
        let session = connect(scratch.config(), Purpose::Ask).await?;
        let made = session.client.batch_execute(&format!("CREATE DATABASE {DATABASE} TEMPLATE template0")).await;
        made.map_err(|error| pg_error("make a database", error))?;
        session.close().await;
        let session = connect(&scratch.config().with_database(DATABASE), Purpose::Ask).await?;
        let mut scanner = Scanner::new(self.tree.get(&dump.key).await?);
        let mut player = Player::new(&session.client).tolerate(|statement, _| is_of_its_server(statement.head()));
        let played = player.play(&mut scanner).await?;
        drop(player);
        let counts =
            session.client.query_one(TABLES, &[&self.how.schema]).await.map_err(|error| pg_error("count tables", error))?;
        let (tables, in_schema): (i64, i64) = (counts.get(0), counts.get(1));
        session.close().await;
        match &self.how.schema {
            _ if in_schema > 0 => {}
            None => return Err(Error::new(Kind::Unproven, "it has no table").with_hint("see whether it is the right database")),
            Some(schema) => {
                return Err(Error::new(Kind::Unproven, format!("it has no table in the schema {schema:?}"))
                    .with_hint("name the schema of its tables: ?verifySchema= in backup.conf, or TABLE_SCHEMA"));
            }
        }
        check_sql(&scratch.config().with_database(DATABASE), &self.how.check_sql).await?;
        Ok((u64::try_from(tables).unwrap_or_default(), played))
    }
}

/// Tables of users, and those of a schema among them. Tables of extensions are left out: they stand in no dump.
const TABLES: &str = "SELECT count(*), count(*) FILTER (WHERE n.nspname = coalesce($1::text, n.nspname) AND c.relkind <> 'f') \
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
     WHERE c.relkind IN ('r', 'p', 'f') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' \
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass \
     AND d.objid = c.oid AND d.deptype = 'e')";

/// Whether a statement, by its first words, is of roles or tablespaces, which a dump of one database names and does not hold.
fn is_of_its_server(head: &str) -> bool {
    const FIRST: [&str; 6] =
        ["grant ", "revoke ", "alter default privileges ", "create policy ", "create user mapping ", "set default_tablespace "];
    FIRST.iter().any(|first| head.starts_with(first)) || head.contains(" owner to ")
}

/// Fails if what was `found` is not what was `written`.
fn differs(what: &str, written: u64, found: u64) -> Result<()> {
    if written == found {
        return Ok(());
    }
    Err(Error::new(Kind::Differs, format!("{written} {what} were written, and it has {found}")))
}

/// The release that pg_dump wrote into the head of a dump.
fn release(head: &str) -> Option<Version> {
    let line = head.lines().find_map(|line| line.strip_prefix("-- Dumped from database version "))?;
    Version::of_program(&format!("(PostgreSQL) {line}"))
}

#[async_trait]
impl Work for Proof {
    async fn run(&self, cx: &Context, _: Why) -> Result<Outcome> {
        Box::pin(cx.unless_cancelled(self.prove(cx))).await
    }

    fn is_proof(&self) -> bool {
        true
    }
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proof").field("core", &self.core).finish_non_exhaustive()
    }
}
