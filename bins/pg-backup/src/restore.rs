//! `pg-backup restore`.

use backup_cli::{Face, UnsealArgs, Wanted};
use backup_core::{Name, Result, Seal, restore, which};
use backup_pg::restore::{Restore as Target, RestoreOptions};
use clap::Args;

use crate::check::Check;
use crate::connection::Connection;

/// What to bring back, and where.
#[derive(Debug, Args)]
pub(crate) struct Restore {
    #[command(flatten)]
    wanted: Wanted,
    /// Only this database, not roles that exist; may be given several times
    #[arg(long = "database", value_name = "NAME")]
    databases: Vec<String>,
    /// Only this table of the one database, with what it needs; may be given several times
    #[arg(long = "table", value_name = "SCHEMA.TABLE", requires = "databases")]
    tables: Vec<String>,
    /// What the one database is to be called
    #[arg(long = "as", value_name = "NAME", requires = "databases")]
    rename: Option<String>,
    /// Replace databases that are not empty: after the backup was read and checked, and once the new one is whole
    #[arg(long)]
    clean: bool,
    /// How many connections load rows and build indexes at the same time
    #[arg(long, value_name = "N", default_value_t = 4, env = "BACKUP_JOBS")]
    jobs: usize,
    #[command(flatten)]
    check: Check,
    #[command(flatten)]
    unseal: UnsealArgs,
}

impl Restore {
    pub(crate) async fn run(self, face: &Face, job: &Name, connection: &Connection) -> Result<()> {
        let cx = &face.cx;
        let repo = face.repository(Seal::default(), self.unseal.unseal()?)?;
        let id = which(&repo, job, &self.wanted.which).await?;
        let config = connection.config(cx)?;
        let options = RestoreOptions {
            only: self.databases,
            tables: self.tables,
            rename: self.rename,
            clean: self.clean,
            jobs: self.jobs,
            tablespaces_in_place: false,
        };
        let target = Target { config: config.clone(), options };
        let restored = restore(cx, &repo, job, id, &target).await?;
        let tables = self.check.run(&config, &restored.what).await?;
        Check::show(face, &tables)?;
        Ok(face.report.restored(id, &restored)?)
    }
}
