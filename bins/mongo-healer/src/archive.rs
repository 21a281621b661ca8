//! `mongo-healer archive`.

use std::io::IsTerminal;

use backup_cli::{Face, UnsealArgs, Wanted};
use backup_core::{Doing, Error, Name, Repository, Result, Seal};
use backup_mongo::dump_archive;
use clap::Args;
use tokio::io::AsyncWriteExt;

/// Which backup is written.
#[derive(Debug, Args)]
pub(crate) struct Archive {
    #[command(flatten)]
    wanted: Wanted,
    #[command(flatten)]
    unseal: UnsealArgs,
}

impl Archive {
    pub(crate) async fn run(self, face: &Face, job: &Name) -> Result<()> {
        if std::io::stdout().is_terminal() {
            return Err(Error::usage("the archive is no text for a terminal").with_hint("write it to a file: > all.archive"));
        }
        let repo = face.repository(Seal::default(), self.unseal.unseal()?)?;
        let _reading = face.reading(job)?;
        let id = face.which(&repo, job, &self.wanted.which).await?;
        face.cx
            .unless_cancelled(async {
                let mut archive = dump_archive(repo.open(job, id).await?)?;
                let mut out = tokio::io::stdout();
                tokio::io::copy(&mut archive, &mut out).await?;
                Ok(out.flush().await?)
            })
            .await
            .doing(|| format!("write backup {id} as an archive"))
    }
}
