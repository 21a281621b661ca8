//! The command line of `ceph-backup`.

use backup_cli::{Common, Face, Print, Program, S3Args, exit_code};
use backup_core::{Error, Kind, Result};
use clap::{Parser, Subcommand};

use crate::{check, configure, list, s3cmd, sync};

/// Makes buckets of Ceph's gateway and other S3 servers and folders alike, as s3cmd does, and deletes nothing by mistake.
///
/// The server and its keys are those of the --s3-… options and the variables and files of the AWS tools, or of s3cmd's configuration:
/// the file that --s3cfg names, or ~/.s3cfg if nothing else names a server.
#[derive(Debug, Parser)]
#[command(name = "ceph-backup", version, max_term_width = 100)]
pub(crate) struct CephBackup {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    s3: S3Args,
    /// End with the exit codes of s3cmd instead
    #[arg(long, global = true)]
    s3cmd_exit_codes: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a folder have what a bucket has, a bucket what a folder has, or a bucket what another has
    Sync(Box<sync::Sync>),
    /// List the buckets, or the objects of one
    Ls(list::Ls),
    /// Count the objects under a prefix, and add their sizes up
    Du(list::Du),
    /// Make a bucket
    Mb(list::Mb),
    /// Ask for server and keys as s3cmd --configure does, try them, and write ~/.s3cfg
    Configure(configure::Configure),
    /// Look whether server, keys and a bucket are good for a sync, or a bucket of WAL-E enough to restore from
    Check(check::Check),
    #[command(flatten)]
    Print(Print),
}

impl Program for CephBackup {
    const NAME: &'static str = concat!("ceph-backup ", env!("CARGO_PKG_VERSION"));

    fn common(&self) -> &Common {
        &self.common
    }

    fn s3(&self) -> S3Args {
        self.s3.clone()
    }

    fn exit_codes(&self) -> fn(&Error) -> u8 {
        if self.s3cmd_exit_codes { s3cmd::exit_code } else { |error| exit_code(error.kind()) }
    }

    fn usage_code() -> u8 {
        // What could not be read may have said so all the same.
        let is_said = std::env::args_os().any(|word| word == "--s3cmd-exit-codes");
        let is_set = std::env::var("BACKUP_S3CMD_EXIT_CODES")
            .is_ok_and(|value| ["1", "true", "yes", "on", "y", "t"].contains(&value.to_lowercase().as_str()));
        if is_said || is_set { s3cmd::USAGE } else { exit_code(Kind::Usage) }
    }

    async fn run(self, face: Face) -> Result<()> {
        match self.command {
            Command::Sync(sync) => Box::pin(sync.run(&face)).await,
            Command::Ls(ls) => ls.run(&face).await,
            Command::Du(du) => du.run(&face).await,
            Command::Mb(mb) => mb.run(&face).await,
            Command::Configure(configure) => Box::pin(configure.run(&face)).await,
            Command::Check(check) => Box::pin(check.run(&face)).await,
            Command::Print(print) => print.run::<Self>(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::CephBackup;

    #[test]
    fn no_two_flags_clash() {
        backup_cli::command::<CephBackup>().debug_assert();
    }
}
