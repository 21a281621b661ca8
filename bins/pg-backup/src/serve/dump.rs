//! The work of one database: dumped, read back, and only then may older dumps go.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use backup_core::{Context, Doing, Facts, Journal, Key, Name, Result, body};
use backup_pg::script::{Inspected, inspect};
use backup_pg::{Config, Purpose, connect, single};
use backup_service::tree::{Mark, Tree};
use backup_service::{Outcome, Why, Work};
use jiff::Timestamp;
use tokio::io::AsyncWriteExt;
use tokio::sync::Mutex;

use super::volume;
use crate::shelf::Kept;

/// How many connections read rows of one large database at the same time.
const JOBS: usize = 2;

/// Dumps one database into a tree.
pub(super) struct Dump {
    config: Config,
    tree: Arc<Tree>,
    core: String,
    /// Whether the roles stand in the dump too.
    roles: bool,
    /// Held while a dump is added: whoever picks one meanwhile waits.
    turn: Arc<Mutex<()>>,
    /// Where it is locked, so that no other process dumps the same meanwhile.
    state: PathBuf,
}

impl Dump {
    /// Of a database of the configuration.
    pub(super) fn new(kept: &Kept, turn: Arc<Mutex<()>>, state: PathBuf, cx: &Context) -> Result<Self> {
        let (tree, core, roles) = (Arc::clone(&kept.tree), kept.core.clone(), kept.has_roles());
        Ok(Self { config: kept.config(cx)?, tree, core, roles, turn, state })
    }

    /// Which server and database.
    pub(super) fn server(&self) -> &Config {
        &self.config
    }

    /// Takes a dump, unless the day has none: read back and found whole before anything else goes; one that is not is removed.
    async fn take(&self, cx: &Context) -> Result<Outcome> {
        let _turn = cx.unless_cancelled(async { Ok(self.turn.lock().await) }).await?;
        // Another name than that of the service and of its restores, whatever the database is called.
        let _alone = Journal::open(&self.state, &"dump".parse::<Name>()?.join(&self.core))?;
        let now = Timestamp::now();
        if !self.tree.is_due(now) {
            return Ok(Outcome::Idle("the tier of this day keeps no dumps".into()));
        }
        // The one that is dumped over: a small database needs no other.
        let session = cx.unless_cancelled(connect(&self.config, Purpose::Dump)).await?;
        volume::warn(cx, self.tree.root(), session.data_directory()).await;
        let (server, encoding) = (session.version.to_string(), session.encoding.clone());
        let (config, roles, context) = (self.config.clone(), self.roles, cx.clone());
        let sql = body::piped(move |mut out| async move {
            single(&context, &config, session, roles, JOBS, &mut out).await?;
            out.shutdown().await.doing(|| "write the dump")
        });
        let (key, put) = cx.unless_cancelled(self.tree.put(&self.core, now, sql)).await?;
        let seen = match cx.unless_cancelled(self.read_back(&key)).await {
            Ok(seen) => seen,
            Err(error) => {
                self.tree.delete(&key).await?;
                return Err(error).doing(|| format!("read {key} back, so it was removed"));
            }
        };
        let mut facts = Facts::new();
        facts.insert("tables".into(), seen.tables.into());
        facts.insert("rows".into(), seen.rows.into());
        // What a proof goes by: of which release a scratch server is, and in which encoding.
        facts.insert("server".into(), server.into());
        facts.insert("encoding".into(), encoding.into());
        let verified = Some(Timestamp::now());
        let mark = Mark { size: Some(put.size), sha256: Some(put.sha256), verified, facts, ..Mark::default() };
        self.tree.mark(&key, &mark).await?;
        let gone = self.tree.cull(&self.core, now).await.doing(|| format!("cull the dumps of {} after {key}", self.core))?;
        let culled = if gone.is_empty() { String::new() } else { format!(", {} older ones culled", gone.len()) };
        let Inspected { tables, rows, .. } = seen;
        let line = format!("{key} holds {tables} tables and {rows} rows in {} bytes{culled}", put.size);
        Ok(Outcome::Done { line, bytes: Some(put.size) })
    }

    /// Reads a stored dump to its end, through the checksums of gzip.
    async fn read_back(&self, key: &Key) -> Result<Inspected> {
        inspect(self.tree.get(key).await?).await
    }
}

#[async_trait]
impl Work for Dump {
    async fn run(&self, cx: &Context, _: Why) -> Result<Outcome> {
        self.take(cx).await
    }
}

impl fmt::Debug for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dump").field("core", &self.core).finish_non_exhaustive()
    }
}
