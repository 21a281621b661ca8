//! `mongo-healer prove`.

use backup_cli::{Face, UnsealArgs, Wanted};
use backup_core::{Name, Result, Seal, prove};
use backup_mongo::Restore as Target;
use backup_mongo::restore::{RestoreOptions, Selection};
use clap::Args;

use crate::connection::Connection;

/// Which backup, and where it is proven.
#[derive(Debug, Args)]
pub(crate) struct Prove {
    #[command(flatten)]
    wanted: Wanted,
    /// A server that has none of the collections; what is restored stays on it
    #[arg(value_name = "HOST[:PORT]|URL")]
    scratch: String,
    /// Prove each collection as it was read: what happened meanwhile is not replayed
    #[arg(long)]
    no_replay: bool,
    #[command(flatten)]
    unseal: UnsealArgs,
}

impl Prove {
    pub(crate) async fn run(self, face: &Face, job: &Name, connection: &Connection) -> Result<()> {
        let repo = face.repository(Seal::default(), self.unseal.unseal()?)?;
        let _reading = face.reading(job)?;
        let id = face.which(&repo, job, &self.wanted.which).await?;
        let config = connection.config(&self.scratch)?;
        let options = RestoreOptions { replay: !self.no_replay, ..RestoreOptions::default() };
        let target = Target { config, selection: Selection::default(), options };
        let checked = Box::pin(prove(&face.cx, &repo, job, id, &target)).await?;
        Ok(face.report.equal(id, &checked)?)
    }
}
