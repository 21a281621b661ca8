//! `pg-backup prove`.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use backup_cli::{Face, UnsealArgs, Wanted};
use backup_core::{
    Checked, Context, Error, Event, Kind, Name, Repository, Restored, Result, Seal, Stored, Target, prove, which,
};
use backup_pg::restore::{Restore, RestoreOptions};
use backup_pg::{Config, Scratch, ServerShape, Table, Version};
use clap::Args;

use crate::check::Check;
use crate::connection::config;

/// Which backup, and where it is proven.
#[derive(Debug, Args)]
pub(crate) struct Prove {
    #[command(flatten)]
    wanted: Wanted,
    /// Use this empty server instead of starting one from the PostgreSQL programs of this machine
    #[arg(long, value_name = "CONNINFO", env = "BACKUP_SCRATCH", hide_env_values = true)]
    scratch: Option<String>,
    /// Where initdb and postgres are
    #[arg(long, value_name = "DIR", env = "BACKUP_PG_BIN", conflicts_with = "scratch")]
    pg_bin: Option<PathBuf>,
    /// Where the scratch server's files go: as much space as the databases take
    #[arg(long, value_name = "DIR", env = "BACKUP_SCRATCH_DIR", conflicts_with = "scratch")]
    scratch_dir: Option<PathBuf>,
    /// Only this database; may be given several times
    #[arg(long = "database", value_name = "NAME")]
    databases: Vec<String>,
    /// How many connections load rows and build indexes at the same time
    #[arg(long, value_name = "N", default_value_t = 4, env = "BACKUP_JOBS")]
    jobs: usize,
    #[command(flatten)]
    check: Check,
    #[command(flatten)]
    unseal: UnsealArgs,
}

impl Prove {
    pub(crate) async fn run(self, face: &Face, job: &Name) -> Result<()> {
        let cx = &face.cx;
        let repo = face.repository(Seal::default(), self.unseal.unseal()?)?;
        let id = which(&repo, job, &self.wanted.which).await?;
        let (scratch, at) = match &self.scratch {
            Some(conninfo) => (None, config(cx, conninfo)?),
            None => {
                cx.tell(Event::Stage { what: "start a scratch server" });
                // Not kept: a manifest can be large, and the proof reads it for itself.
                let shape = shape(&*repo.open(job, id).await?)?;
                let start = Scratch::start(self.pg_bin.as_deref(), self.scratch_dir.as_deref(), &shape);
                let scratch = cx.unless_cancelled(start).await?;
                for note in scratch.notes() {
                    cx.tell(Event::Warning { what: note });
                }
                let at = scratch.config().clone();
                (Some(scratch), at)
            }
        };
        let options = RestoreOptions {
            only: self.databases,
            jobs: self.jobs,
            tablespaces_in_place: scratch.is_some(),
            ..RestoreOptions::default()
        };
        let target = Proving { restore: Restore { config: at, options }, check: self.check, shown: Mutex::default() };
        let checked = prove(cx, &repo, job, id, &target).await;
        if let Some(scratch) = scratch {
            scratch.stop().await?;
        }
        Check::show(face, &target.shown.lock().unwrap_or_else(PoisonError::into_inner).1)?;
        Ok(face.report.checked(id, &checked?)?)
    }
}

/// A server like the one that was backed up.
fn shape(stored: &dyn Stored) -> Result<ServerShape> {
    let origin = &stored.manifest().origin;
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

/// Restores, compares, and then runs the user's queries: a query that fails keeps the backup from being proven.
#[derive(Debug)]
struct Proving {
    restore: Restore,
    check: Check,
    shown: Mutex<(Vec<String>, Vec<Table>)>,
}

#[async_trait]
impl Target for Proving {
    async fn restore(&self, cx: &Context, backup: &dyn Stored) -> Result<Restored> {
        let restored = self.restore.restore(cx, backup).await?;
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).0.clone_from(&restored.what);
        Ok(restored)
    }

    async fn compare(&self, cx: &Context, backup: &dyn Stored) -> Result<Checked> {
        let checked = self.restore.compare(cx, backup).await?;
        let config: &Config = &self.restore.config;
        let restored = self.shown.lock().unwrap_or_else(PoisonError::into_inner).0.clone();
        let tables = self.check.run(config, &restored).await?;
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).1 = tables;
        Ok(checked)
    }
}
