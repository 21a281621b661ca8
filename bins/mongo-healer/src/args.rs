//! The command line of `mongo-healer`.

use backup_cli::{Common, Face, Manage, Program, S3Args, SinkArgs, Sinks};
use backup_core::Result;
use clap::{Parser, Subcommand};

use crate::connection::Connection;
use crate::{archive, backup, heal, load, prove, restore, s3};

/// Backs MongoDB up, restores it, and heals what is lost and nothing else.
///
/// Backups lie in the sink that is named, those of one database under one --job: by default the name of the database.
#[derive(Debug, Parser)]
#[command(name = "mongo-healer", version, max_term_width = 100)]
pub(crate) struct MongoHealer {
    #[command(flatten)]
    sink: SinkArgs,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: Command,
}

/// The job of what names no database.
const WHOLE: &str = "mongo";

#[derive(Debug, Subcommand)]
enum Command {
    /// Take a backup; the last line of standard output is its ID
    Backup(backup::Backup),
    /// Bring back the collections that are gone, out of the newest backups that have them, and touch no other
    Heal(heal::Heal),
    /// Restore a backup, or a part of it; nothing that is there is replaced
    Restore(restore::Restore),
    /// Restore into a scratch server and compare what is there with what the backup says
    Prove(prove::Prove),
    /// Restore what mongodump wrote: a folder, an archive, or the .tar.gz of backup.bash; nothing that is there is replaced
    Load(load::Load),
    /// Write a backup to standard output as mongodump --archive does
    Archive(archive::Archive),
    #[command(flatten)]
    Manage(Manage),
}

impl Program for MongoHealer {
    const NAME: &'static str = concat!("mongo-healer ", env!("CARGO_PKG_VERSION"));

    fn common(&self) -> &Common {
        &self.common
    }

    fn to(&self) -> Option<String> {
        match &self.command {
            Command::Backup(backup) => Some(backup.sink.clone()),
            Command::Heal(heal) => Some(heal.sink.clone()),
            Command::Load(_) => None,
            Command::Restore(_) | Command::Prove(_) | Command::Archive(_) | Command::Manage(_) => self.sink.to.clone(),
        }
    }

    fn s3(&self) -> S3Args {
        self.sink.s3.clone()
    }

    fn sinks() -> Sinks {
        Sinks::new().with("s3", s3::open)
    }

    async fn run(self, face: Face) -> Result<()> {
        match self.command {
            Command::Backup(backup) => {
                let job = self.sink.job(backup.database.as_deref().unwrap_or(WHOLE))?;
                Box::pin(backup.run(&face, &job, &self.connection)).await
            }
            Command::Heal(heal) => {
                let job = self.sink.job(&heal.database)?;
                Box::pin(heal.run(&face, &job, &self.connection)).await
            }
            Command::Restore(restore) => Box::pin(restore.run(&face, &self.sink.job(WHOLE)?, &self.connection)).await,
            Command::Prove(prove) => Box::pin(prove.run(&face, &self.sink.job(WHOLE)?, &self.connection)).await,
            Command::Load(load) => Box::pin(load.run(&face, &self.connection)).await,
            Command::Archive(archive) => Box::pin(archive.run(&face, &self.sink.job(WHOLE)?)).await,
            Command::Manage(manage) => manage.run::<Self>(&face, &self.sink.job(WHOLE)?).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::MongoHealer;

    #[test]
    fn no_two_flags_clash() {
        backup_cli::command::<MongoHealer>().debug_assert();
    }

    #[test]
    fn every_option_has_its_variable() {
        let command = backup_cli::command::<MongoHealer>();
        let commands = std::iter::once(&command).chain(command.get_subcommands());
        let mut options = 0;
        for option in commands.flat_map(clap::Command::get_arguments) {
            let Some(long) = option.get_long() else { continue };
            let variable = option.get_env().unwrap_or_else(|| panic!("--{long} has no variable"));
            assert_eq!(variable.to_string_lossy(), format!("BACKUP_{}", long.to_uppercase().replace('-', "_")));
            options += 1;
        }
        assert!(options > 20, "{options} are not all");
    }
}
