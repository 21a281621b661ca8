//! `pg-backup restore`.

use backup_cli::Face;
use backup_core::{Context, Name, Result, Seal, restore};
use backup_pg::restore::{Restore as Target, RestoreOptions};
use clap::Args;

use crate::check::Check;
use crate::connection::Connection;
use crate::down::Down;
use crate::via::Way;
use crate::what::What;

/// What to bring back, and where.
#[derive(Debug, Args)]
pub(crate) struct Restore {
    #[command(flatten)]
    what: What,
    /// Only this table of the one database, with what it needs; may be given several times
    #[arg(long = "table", value_name = "SCHEMA.TABLE", requires = "databases")]
    tables: Vec<String>,
    /// What the one database is to be called
    #[arg(long = "as", value_name = "NAME", requires = "databases")]
    rename: Option<String>,
    /// Replace databases that are not empty: after the backup was read and checked, and once the new one is whole
    #[arg(long)]
    clean: bool,
    #[command(flatten)]
    down: Down,
}

impl Restore {
    pub(crate) async fn run(self, face: &Face, job: &Name, connection: &Connection, way: &Way) -> Result<()> {
        let (cx, what) = (&face.cx, self.what);
        let repo = face.repository(Seal::default(), what.unseal.unseal()?)?;
        let _reading = face.reading(job)?;
        let id = face.which(&repo, job, &what.wanted.which).await?;
        let config = connection.config(cx, way)?;
        let options = RestoreOptions { tables: self.tables, rename: self.rename, clean: self.clean, ..what.options() };
        let target = Target { config: config.clone(), options };
        // The check is in it: it looks at what nobody has changed yet.
        let work = async |cx: Context| {
            let restored = restore(&cx, &repo, job, id, &target).await?;
            // Before the check, which may fail: it is there all the same.
            face.report.restored(id, &restored)?;
            Check::show(face, &what.check.run(&cx, &config, &restored.what).await?)
        };
        Box::pin(self.down.meanwhile(face, job, work)).await
    }
}
