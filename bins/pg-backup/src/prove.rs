//! `pg-backup prove`.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use async_trait::async_trait;
use backup_cli::Face;
use backup_core::{
    BackupId, Checked, Context, Error, Event, Kind, Name, Origin, Repository, Restored, Result, Seal, Stored, Target, prove,
};
use backup_pg::restore::{Restore, RestoreOptions};
use backup_pg::{Scratch, ServerShape, Table, Version};
use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use crate::check::Check;
use crate::connection::config;
use crate::via::Way;
use crate::what::What;

/// Which backup, and where it is proven.
#[derive(Debug, Args)]
pub(crate) struct Prove {
    #[command(flatten)]
    what: What,
    /// Use this empty server instead of starting one from the PostgreSQL programs of this machine
    #[arg(long, value_name = "CONNINFO", hide_env_values = true, value_parser = NonEmptyStringValueParser::new())]
    scratch: Option<String>,
    /// Where initdb and postgres are
    #[arg(long, value_name = "DIR", conflicts_with = "scratch")]
    pg_bin: Option<PathBuf>,
    /// Where the scratch server's files go: as much space as the databases take
    #[arg(long, value_name = "DIR", conflicts_with = "scratch")]
    scratch_dir: Option<PathBuf>,
}

impl Prove {
    pub(crate) async fn run(self, face: &Face, job: &Name, way: Arc<Way>) -> Result<()> {
        let cx = &face.cx;
        let repo = face.repository(Seal::default(), self.what.unseal.unseal()?)?;
        let _reading = face.reading(job)?;
        let id = face.which(&repo, job, &self.what.wanted.which).await?;
        let Self { what, scratch, pg_bin, scratch_dir } = self;
        let options = what.options();
        let how = How { scratch, way, pg_bin, scratch_dir, options, check: what.check };
        let Proven { checked, shown, stopped } = how.prove(cx, &repo, job, id).await;
        let shown = Check::show(face, &shown);
        match checked {
            Ok(checked) => {
                face.report.equal(id, &checked)?;
                shown.and(stopped)
            }
            // What it found counts for more than what went wrong after it.
            Err(error) => {
                for after in [shown, stopped].into_iter().filter_map(Result::err) {
                    cx.tell(Event::Warning { what: &after.chain() });
                }
                Err(error)
            }
        }
    }
}

/// Where a backup is proven, and what is asked of what was restored.
#[derive(Debug, Clone)]
pub(crate) struct How {
    /// An empty server, in place of one that is started.
    pub(crate) scratch: Option<String>,
    /// The way to that server.
    pub(crate) way: Arc<Way>,
    pub(crate) pg_bin: Option<PathBuf>,
    pub(crate) scratch_dir: Option<PathBuf>,
    pub(crate) options: RestoreOptions,
    pub(crate) check: Check,
}

/// What came of a proof.
#[derive(Debug)]
pub(crate) struct Proven {
    pub(crate) checked: Result<Checked>,
    /// What the user's queries showed.
    pub(crate) shown: Vec<Table>,
    /// Whether the server that was started is gone.
    pub(crate) stopped: Result<()>,
}

impl How {
    /// Proves `id` of `job`.
    pub(crate) async fn prove(self, cx: &Context, repo: &dyn Repository, job: &Name, id: BackupId) -> Proven {
        let proving = Proving { how: self, place: OnceLock::new(), shown: Mutex::default() };
        let checked = prove(cx, repo, job, id, &proving).await;
        let Proving { place, shown, .. } = proving;
        let shown = shown.into_inner().unwrap_or_else(PoisonError::into_inner).1;
        let stopped = match place.into_inner().and_then(|place| place.scratch) {
            Some(scratch) => scratch.stop().await,
            None => Ok(()),
        };
        Proven { checked, shown, stopped }
    }

    /// Where the state of `origin` is proven: the server that was named, or one that is started now.
    async fn place(&self, cx: &Context, origin: &Origin) -> Result<Place> {
        let (scratch, config) = match &self.scratch {
            Some(conninfo) => (None, config(cx, &self.way, conninfo)?),
            None => {
                cx.tell(Event::Stage { what: "start a scratch server" });
                let shape = shape(origin)?;
                let start = Scratch::start(self.pg_bin.as_deref(), self.scratch_dir.as_deref(), &shape);
                let scratch = cx.unless_cancelled(start).await?;
                for note in scratch.notes() {
                    cx.tell(Event::Warning { what: note });
                }
                let config = scratch.config().clone();
                (Some(scratch), config)
            }
        };
        let options = RestoreOptions { tablespaces_in_place: scratch.is_some(), pristine: true, ..self.options.clone() };
        Ok(Place { restore: Restore { config, options }, scratch })
    }
}

/// A server to restore into, and what keeps it running if it is ours.
#[derive(Debug)]
struct Place {
    restore: Restore,
    scratch: Option<Scratch>,
}

/// A server like the one that was backed up.
fn shape(origin: &Origin) -> Result<ServerShape> {
    let unknown =
        || Error::new(Kind::Unproven, format!("the backup is of PostgreSQL {:?}, which says no version", origin.version));
    let version = Version::of_program(&format!("(PostgreSQL) {}", origin.version)).ok_or_else(unknown)?;
    let mut shape = ServerShape::of(version);
    if let Some(superuser) = origin.facts.get("superuser").and_then(|name| name.as_str()) {
        superuser.clone_into(&mut shape.superuser);
    }
    // Extensions and large schemas take more locks in one transaction than a server allows by default.
    shape.settings.push(("max_locks_per_transaction".into(), "4096".into()));
    Ok(shape)
}

/// Finds a place, restores, compares, and then runs the user's queries: one that fails keeps the backup from being proven.
#[derive(Debug)]
struct Proving {
    how: How,
    place: OnceLock<Place>,
    shown: Mutex<(Vec<String>, Vec<Table>)>,
}

#[async_trait]
impl Target for Proving {
    async fn restore(&self, cx: &Context, backup: &dyn Stored) -> Result<Restored> {
        let place = self.how.place(cx, &backup.manifest().origin).await?;
        let restored = self.place.get_or_init(|| place).restore.restore(cx, backup).await?;
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).0.clone_from(&restored.what);
        Ok(restored)
    }

    async fn compare(&self, cx: &Context, backup: &dyn Stored) -> Result<Checked> {
        let restore = self.place.get().map(|place| &place.restore);
        let restore = restore.ok_or_else(|| Error::new(Kind::Unproven, "nothing was restored"))?;
        let checked = restore.compare(cx, backup).await?;
        let restored = self.shown.lock().unwrap_or_else(PoisonError::into_inner).0.clone();
        match self.how.check.run(cx, &restore.config, &restored).await {
            Ok(tables) => self.shown.lock().unwrap_or_else(PoisonError::into_inner).1 = tables,
            // What differs differs, whatever the queries would have shown.
            Err(error) if !checked.differences.is_empty() => cx.tell(Event::Warning { what: &error.chain() }),
            Err(error) => return Err(error),
        }
        Ok(checked)
    }
}
