//! The command line of `pg-backup`.

use std::sync::Arc;

use backup_cli::{Common, Face, Manage, Program, S3Args, SinkArgs, Sinks};
use backup_core::{Error, Result};
use clap::{Parser, Subcommand};

use crate::connection::Connection;
use crate::{backup, down, dump, dumps, prove, restore, s3, serve};

/// Backs a PostgreSQL cluster up, restores it, and proves that the restore is equal.
///
/// The server is named as libpq's programs have it: PGHOST, PGPORT, PGUSER, PGPASSWORD, PGSERVICE, ~/.pgpass and their like, or
/// with --server. Backups lie in the sink that --to names, those of one cluster under one --job.
#[derive(Debug, Parser)]
#[command(name = "pg-backup", version, max_term_width = 100)]
pub(crate) struct PgBackup {
    #[command(flatten)]
    sink: SinkArgs,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Take a backup; the last line of standard output is its ID
    Backup(backup::Backup),
    /// Bring a backup back into a server
    Restore(restore::Restore),
    /// Restore a backup into a scratch server and compare it with what was backed up
    Prove(prove::Prove),
    /// Write plain SQL to standard output, as pg_dumpall does
    Dump(dump::Dump),
    /// Write one database out of a file of pg_dumpall to standard output
    Extract(dump::Extract),
    /// Take backups on a schedule, configured as the backup container is: by its environment and its backup.conf
    Serve(serve::Serve),
    /// Have a running service take backups now
    Ask(serve::Ask),
    /// Look at the dumps that serve or the backup container has written, and use them
    Dumps(dumps::Dumps),
    /// Look at the configuration that serve goes by
    #[command(subcommand)]
    Config(serve::Config),
    /// Bring back what a run that died left stopped
    Resume,
    #[command(flatten)]
    Manage(Manage),
}

impl Program for PgBackup {
    const NAME: &'static str = concat!("pg-backup ", env!("CARGO_PKG_VERSION"));

    fn common(&self) -> &Common {
        &self.common
    }

    fn to(&self) -> Option<String> {
        self.sink.to.clone()
    }

    fn s3(&self) -> S3Args {
        self.sink.s3.clone()
    }

    fn sinks() -> Sinks {
        Sinks::new().with("s3", s3::open)
    }

    async fn run(self, face: Face) -> Result<()> {
        let job = self.sink.job("pg")?;
        let way = Arc::new(self.connection.way()?);
        let connects = matches!(self.command, Command::Backup(_) | Command::Restore(_) | Command::Prove(_) | Command::Dump(_));
        if !way.is_direct() && !connects {
            return Err(Error::usage("--via is for backup, restore, prove and dump"));
        }
        let done = match self.command {
            Command::Backup(backup) => backup.run(&face, &job, &self.connection, &way).await,
            Command::Restore(restore) => restore.run(&face, &job, &self.connection, &way).await,
            Command::Prove(prove) => Box::pin(prove.run(&face, &job, way.clone())).await,
            Command::Dump(dump) => Box::pin(dump.run(&face, &self.connection, &way)).await,
            Command::Extract(extract) => extract.run(&face).await,
            Command::Serve(serve) => Box::pin(serve.run(&face)).await,
            Command::Ask(ask) => ask.run(&face).await,
            Command::Dumps(dumps) => Box::pin(dumps.run(&face)).await,
            Command::Config(config) => config.run(&face),
            Command::Resume => down::resume(&face, &job).await,
            Command::Manage(manage) => manage.run::<Self>(&face, &job).await,
        };
        way.explain(done)
    }
}

#[cfg(test)]
mod tests {
    use super::PgBackup;

    #[test]
    fn no_two_flags_clash() {
        backup_cli::command::<PgBackup>().debug_assert();
    }

    #[test]
    fn every_option_has_its_variable() {
        let command = backup_cli::command::<PgBackup>();
        let inner = command.get_subcommands().flat_map(clap::Command::get_subcommands);
        let commands = std::iter::once(&command).chain(command.get_subcommands()).chain(inner);
        let mut options = 0;
        for (command, option) in commands.flat_map(|command| command.get_arguments().map(move |arg| (command.get_name(), arg)))
        {
            let Some(long) = option.get_long() else {
                assert!(option.is_positional(), "{command} has an option {option} without a name");
                continue;
            };
            let variable = option.get_env().unwrap_or_else(|| panic!("{command} --{long} has no variable"));
            assert_eq!(variable.to_string_lossy(), format!("BACKUP_{}", long.to_uppercase().replace('-', "_")));
            options += 1;
        }
        assert!(options > 40, "{options} are not all");
    }
}
