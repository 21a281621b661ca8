//! `pg-backup dumps`: the trees of dump files that `serve` and the backup container write, looked at and used.

mod cull;
mod into;
mod list;
mod pick;
mod restore;
mod verify;

use std::path::PathBuf;

use backup_cli::Face;
use backup_core::{Name, Result};
use clap::{Args, Subcommand};

use crate::shelf::Shelf;
use crate::{down, serve};

/// Which dumps, and what is done with them.
#[derive(Debug, Args)]
pub(crate) struct Dumps {
    /// Go by the jobs of dump files in this TOML file, in place of the container's environment and its backup.conf
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the dumps of each database, oldest first
    List(list::List),
    /// Read a dump to its end: the checksums of gzip, the SQL, its last words, at least one table
    Verify(verify::Verify),
    /// Put a dump in the place of a database: beside it first, swapped in once it is whole, the old one kept
    Restore(Box<restore::Restore>),
    /// Delete the dumps that the retention of the configuration lets go
    Cull(cull::Cull),
    /// Bring back the applications that a restore has left down
    Resume,
}

impl Dumps {
    pub(crate) async fn run(self, face: &Face) -> Result<()> {
        let shelf = serve::shelf(face, self.config.as_deref())?;
        match self.command {
            Command::List(list) => list.run(face, &shelf).await,
            Command::Verify(verify) => verify.run(face, &shelf).await,
            Command::Restore(restore) => Box::pin(restore.run(face, &shelf)).await,
            Command::Cull(cull) => cull.run(face, &shelf).await,
            Command::Resume => resume(face, &shelf).await,
        }
    }
}

/// Of what a restore with applications down is journalled: one at a time in a tree. No job can be called so.
fn journalled() -> Result<Name> {
    "dumps/restore".parse()
}

/// Brings back what restores have left down, of whichever tree.
async fn resume(face: &Face, shelf: &Shelf) -> Result<()> {
    let job = journalled()?;
    let faces: Vec<Face> = Shelf::roots(&shelf.kept).into_iter().map(|root| shelf.face(face, root)).collect();
    let mut left = 0;
    for face in &faces {
        if face.hold(&job)?.entry()?.is_some() {
            left += 1;
            down::resume(face, &job).await?;
        }
    }
    match faces.first() {
        Some(face) if left == 0 => face.nothing_paused(&job),
        _ => Ok(()),
    }
}
