//! `pg-backup dumps`: the trees of dump files that `serve` and the backup container write, looked at and used.

mod ask;
mod cull;
mod list;
mod pick;
mod restore;
mod verify;

use backup_cli::Face;
use backup_core::{BackupId, Kind, Result};
use backup_service::container::{Settings, Wanted};
use backup_service::tree::{Dump, Tree};
use clap::Subcommand;

use crate::down;
use crate::serve::{settings, state};

/// Of what a restore with applications down is journalled: one at a time in a tree.
const RESTORE: &str = "restore";

/// What is done with the dumps. Which tree and which databases is in the environment and in `backup.conf`, as for `serve`.
#[derive(Debug, Subcommand)]
pub(crate) enum Dumps {
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
        let settings = settings()?;
        // Beside the dumps, where it outlives a container.
        let mut face = face.clone();
        face.common.state = Some(state(&face, &settings));
        face.common.to = Some(settings.root.to_string_lossy().into_owned());
        let face = &face;
        let tree = Tree::new(&settings.root, settings.layout, settings.zone.clone());
        let shelf = Shelf { settings, tree };
        match self {
            Self::List(list) => list.run(face, &shelf).await,
            Self::Verify(verify) => verify.run(face, &shelf).await,
            Self::Restore(restore) => Box::pin(restore.run(face, &shelf)).await,
            Self::Cull(cull) => cull.run(face, &shelf).await,
            Self::Resume => down::resume(face, &RESTORE.parse()?).await,
        }
    }
}

/// The tree of the configuration and whose dumps are in it.
struct Shelf {
    settings: Settings,
    tree: Tree,
}

impl Shelf {
    /// The dumps of a database, oldest first, those of the container's first generation among them: they name no host, so
    /// that they are its own only if no other database of the configuration has the same name.
    async fn dumps(&self, wanted: &Wanted) -> Result<Vec<Dump>> {
        let mut dumps = self.tree.list(&wanted.core).await?;
        let name = &wanted.spec.database;
        let namesakes = self.settings.databases.iter().filter(|other| other.spec.database == *name).count();
        if *name != wanted.core && namesakes == 1 {
            let minutes = |dump: &Dump| {
                let rest = dump.key.file_name().strip_prefix(name.as_str());
                dump.tier.is_none() && rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
            };
            match self.tree.list(name).await {
                Ok(first) => dumps.extend(first.into_iter().filter(minutes)),
                // No file could be called so.
                Err(error) if error.kind() == Kind::Usage => {}
                Err(error) => return Err(error),
            }
            dumps.sort_by(|one, other| (one.id, &one.key).cmp(&(other.id, &other.key)));
            let mut newest = None;
            for dump in &mut dumps {
                dump.id = BackupId::next(dump.id.time(), newest);
                newest = Some(dump.id);
            }
        }
        Ok(dumps)
    }
}
