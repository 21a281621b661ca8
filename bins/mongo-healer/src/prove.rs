//! `mongo-healer prove`.

use std::path::PathBuf;

use backup_cli::{Face, UnsealArgs, Wanted};
use backup_core::{BackupId, Checked, Error, Event, Name, Repository, Result, Seal, prove};
use backup_mongo::dump::StoredDump;
use backup_mongo::restore::{RestoreOptions, Selection, has_users};
use backup_mongo::{Config, Restore as Target, Scratch};
use clap::Args;

use crate::connection::Connection;

/// Which backup, and where it is proven.
#[derive(Debug, Args)]
pub(crate) struct Prove {
    #[command(flatten)]
    wanted: Wanted,
    /// A server that has none of the collections; what is restored stays on it
    #[arg(value_name = "HOST[:PORT]|URL", required_unless_present = "mongod", conflicts_with = "mongod")]
    scratch: Option<String>,
    /// Start this mongod as the scratch server; it ends with the proof, and its files go
    #[arg(long, value_name = "FILE")]
    mongod: Option<PathBuf>,
    /// Where the files of that scratch server go: as much space as the collections take
    #[arg(long, value_name = "DIR", requires = "mongod")]
    scratch_dir: Option<PathBuf>,
    /// Prove each collection as it was read: what happened meanwhile is not replayed
    #[arg(long)]
    no_replay: bool,
    #[command(flatten)]
    unseal: UnsealArgs,
}

impl Prove {
    pub(crate) async fn run(self, face: &Face, job: &Name, connection: &Connection) -> Result<()> {
        let cx = &face.cx;
        let repo = face.repository(Seal::default(), self.unseal.unseal()?)?;
        let _reading = face.reading(job)?;
        let id = face.which(&repo, job, &self.wanted.which).await?;
        let proven = async |config: Config, users: bool| -> Result<Checked> {
            let options = RestoreOptions { replay: !self.no_replay, ..RestoreOptions::default() };
            let target = Target { config, selection: Selection { users, ..Selection::default() }, options };
            Box::pin(prove(cx, &repo, job, id, &target)).await
        };
        let Some(program) = &self.mongod else {
            let server = self.scratch.as_deref().ok_or_else(|| Error::usage("no scratch server is named"))?;
            // Whoever can log in there is none of our business.
            return report(face, id, &proven(connection.config(server)?, false).await?);
        };
        let users = cx.unless_cancelled(async { has_users(&StoredDump::new(repo.open(job, id).await?)?).await }).await?;
        cx.tell(Event::Stage { what: "start a scratch server" });
        let scratch = cx.unless_cancelled(Scratch::start(program, self.scratch_dir.as_deref())).await?;
        let checked = proven(scratch.config().clone(), users).await;
        let stopped = scratch.stop().await;
        match checked {
            Ok(checked) => report(face, id, &checked).and(stopped),
            // What it found counts for more than what went wrong after it.
            Err(error) => {
                if let Err(after) = stopped {
                    cx.tell(Event::Warning { what: &after.chain() });
                }
                Err(error)
            }
        }
    }
}

fn report(face: &Face, id: BackupId, checked: &Checked) -> Result<()> {
    Ok(face.report.equal(id, checked)?)
}
