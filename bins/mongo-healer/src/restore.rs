//! `mongo-healer restore`.

use backup_cli::{Face, UnsealArgs, Wanted};
use backup_core::{Name, Result, Seal, restore};
use backup_mongo::Restore as Target;
use backup_mongo::restore::{RestoreOptions, Selection};
use clap::Args;

use crate::connection::Connection;

/// What to bring back, and where.
#[derive(Debug, Args)]
pub(crate) struct Restore {
    #[command(flatten)]
    wanted: Wanted,
    /// The server: HOST, HOST:PORT, SET/HOST:PORT,…, mongodb://… or mongodb+srv://…
    #[arg(value_name = "HOST[:PORT]|URL")]
    server: String,
    #[command(flatten)]
    meant: Meant,
    #[command(flatten)]
    unseal: UnsealArgs,
}

/// What of it, under which names, of when, and how fast.
#[derive(Debug, Args)]
pub(crate) struct Meant {
    /// Only this database
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
    /// Only this collection of it; may be given several times
    #[arg(long = "collection", value_name = "NAME", requires = "database")]
    collections: Vec<String>,
    /// What the database is to be called
    #[arg(long = "as", value_name = "NAME", requires = "database")]
    rename: Option<String>,
    /// What the one collection is to be called
    #[arg(long, value_name = "NAME", requires = "collections")]
    as_collection: Option<String>,
    /// How many collections are restored at the same time
    #[arg(long, value_name = "N", default_value_t = RestoreOptions::default().jobs)]
    jobs: usize,
    /// Add the users and roles too, of the database alone if one is named; those that are there stay as they are
    #[arg(long, conflicts_with_all = ["rename", "collections"])]
    users: bool,
    /// Leave each collection as it was while it was read: what happened meanwhile is not replayed
    #[arg(long)]
    no_replay: bool,
}

impl Meant {
    /// As the library has it.
    pub(crate) fn into_parts(self) -> (Selection, RestoreOptions) {
        let Self { database, collections, rename, as_collection, jobs, users, no_replay } = self;
        let selection = Selection { database, collections, as_database: rename, as_collection, users };
        (selection, RestoreOptions { jobs, replay: !no_replay, ..RestoreOptions::default() })
    }
}

impl Restore {
    pub(crate) async fn run(self, face: &Face, job: &Name, connection: &Connection) -> Result<()> {
        let cx = &face.cx;
        let repo = face.repository(Seal::default(), self.unseal.unseal()?)?;
        let _reading = face.reading(job)?;
        let id = face.which(&repo, job, &self.wanted.which).await?;
        let (selection, options) = self.meant.into_parts();
        let target = Target { config: connection.config(&self.server)?, selection, options };
        let restored = Box::pin(restore(cx, &repo, job, id, &target)).await?;
        Ok(face.report.restored(id, &restored)?)
    }
}
