//! What of a backup is brought back: what `restore` and `prove` have in common.

use backup_cli::{UnsealArgs, Wanted};
use backup_pg::restore::RestoreOptions;
use clap::Args;

use crate::check::Check;

/// What of which backup.
#[derive(Debug, Args)]
pub(crate) struct What {
    #[command(flatten)]
    pub(crate) wanted: Wanted,
    /// Only this database, and of the roles those that are missing; may be given several times
    #[arg(long = "database", value_name = "NAME")]
    databases: Vec<String>,
    /// How many connections load rows and build indexes at the same time
    #[arg(long, value_name = "N", default_value_t = 4)]
    jobs: usize,
    #[command(flatten)]
    pub(crate) check: Check,
    #[command(flatten)]
    pub(crate) unseal: UnsealArgs,
}

impl What {
    /// As the restore is told it.
    pub(crate) fn options(&self) -> RestoreOptions {
        RestoreOptions { only: self.databases.clone(), jobs: self.jobs, ..RestoreOptions::default() }
    }
}
