//! The command line of `bosh-backup`.

use backup_cli::{Common, Face, Print, Program};
use backup_core::Result;
use clap::{Parser, Subcommand};

use crate::director::Director;
use crate::{backup, ids, list, prune, restore, resume, verify};

/// Backs a BOSH director up as microbosh-simple-backup does, and never leaves it down.
///
/// What is backed up, from where and to where stands in the configuration of microbosh-simple-backup: NAME.conf beside the program, or
/// beside what it is a link to, and the files of -c on top. It is read and never run. The director is reached by ssh.
#[derive(Debug, Parser)]
#[command(name = "bosh-backup", version, max_term_width = 100)]
pub(crate) struct BoshBackup {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    director: Director,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Take a backup; the last line of standard output is its archive
    Backup(backup::Backup),
    /// List the archives that lie where OUTPUT says, oldest first
    List,
    /// Read every byte of an archive and compare it with its manifest
    Verify(verify::Verify),
    /// Delete archives that no rule keeps, and print each verdict with its reason
    Prune(prune::Prune),
    /// Bring databases or files back out of an archive
    Restore(restore::Restore),
    /// Tell the ids of the director, its machines and disks: those of the dump, of a file of deployments, and of the host
    Ids(ids::Show),
    /// Tell what runs on the director, and what a run has left stopped
    Status,
    /// Start again what a run that died left stopped
    Resume,
    #[command(flatten)]
    Print(Print),
}

impl Program for BoshBackup {
    const NAME: &'static str = concat!("bosh-backup ", env!("CARGO_PKG_VERSION"));

    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, face: Face) -> Result<()> {
        match self.command {
            Command::Backup(backup) => Box::pin(backup.run(&face, &self.director)).await,
            Command::List => list::run(&face, &self.director),
            Command::Verify(verify) => verify.run(&face, &self.director).await,
            Command::Prune(prune) => prune.run(&face, &self.director).await,
            Command::Restore(restore) => Box::pin(restore.run(&face, &self.director)).await,
            Command::Ids(show) => show.run(&face, &self.director).await,
            Command::Status => resume::status(&face, &self.director).await,
            Command::Resume => Box::pin(resume::resume(&face, &self.director)).await,
            Command::Print(print) => print.run::<Self>(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::BoshBackup;

    #[test]
    fn no_two_flags_clash() {
        backup_cli::command::<BoshBackup>().debug_assert();
    }

    #[test]
    fn every_option_has_its_variable() {
        let command = backup_cli::command::<BoshBackup>();
        let commands = std::iter::once(&command).chain(command.get_subcommands());
        let mut options = 0;
        for option in commands.flat_map(clap::Command::get_arguments) {
            let Some(long) = option.get_long() else { continue };
            let variable = option.get_env().unwrap_or_else(|| panic!("--{long} has no variable"));
            let prefix = if long == "lease" { "BOSH_BACKUP" } else { "BACKUP" };
            assert_eq!(variable.to_string_lossy(), format!("{prefix}_{}", long.to_uppercase().replace('-', "_")));
            options += 1;
        }
        assert!(options > 10, "{options} are not all");
    }
}
