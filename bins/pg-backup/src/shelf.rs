//! The databases whose dump files a configuration keeps, whichever configuration says so.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use backup_cli::Face;
use backup_core::{BackupId, Context, Doing, Kind, Result};
use backup_pg::Config;
use backup_pg::config::Params;
use backup_service::container::Secret;
use backup_service::tree::{Dump, Layout, Tree};

use crate::connection::{resolve, variable};

/// All that a configuration says of dump files.
pub(crate) struct Shelf {
    /// The databases, in the order of the configuration; each has dumps of other names than the others of its tree.
    pub(crate) kept: Vec<Kept>,
    /// Where locks and journals lie, and how the jobs stand.
    pub(crate) state: PathBuf,
}

/// One database, who reads it, and the tree that its dumps lie in.
#[derive(Clone)]
pub(crate) struct Kept {
    /// What the configuration calls it: `host:port/database`, or the name of a job.
    pub(crate) name: String,
    /// What the names of its dumps begin with.
    pub(crate) core: String,
    /// Which database it is.
    pub(crate) database: String,
    /// Its server, and who logs in there; no password.
    pub(crate) server: Params,
    /// With which password, if the configuration says one.
    pub(crate) password: Option<Secret>,
    /// Where its dumps lie.
    pub(crate) tree: Arc<Tree>,
}

impl Kept {
    /// How it is reached by whoever takes its backups. What the configuration leaves out comes from libpq's environment.
    pub(crate) fn config(&self, cx: &Context) -> Result<Config> {
        let mut params = self.server.clone();
        params.set("dbname", &self.database)?;
        if let Some(password) = &self.password {
            params.set("password", password.expose())?;
        }
        resolve(cx, params).doing(|| format!("understand the server of {}", self.name))
    }

    /// Who takes its backups.
    pub(crate) fn user(&self) -> Result<String> {
        Ok(self.server.clone().resolve(variable)?.user)
    }

    /// Whether its server is on that host, an address of IPv6 in brackets or without.
    pub(crate) fn is_at(&self, host: &str) -> bool {
        self.server.get("host") == Some(host.trim_matches(['[', ']']))
    }

    /// What people call the database itself: a job may have another name.
    pub(crate) fn place(&self) -> String {
        let Self { name, database, .. } = self;
        if name.contains('/') || name == database { name.clone() } else { format!("{database} of {name}") }
    }

    /// Whether its dumps hold the roles too: those of the container's first generation have none.
    pub(crate) fn has_roles(&self) -> bool {
        !matches!(self.tree.layout, Layout::First(_))
    }
}

impl Shelf {
    /// The folders of all of `kept`, each once.
    pub(crate) fn roots<'k>(kept: impl IntoIterator<Item = &'k Kept>) -> Vec<&'k Path> {
        let mut roots: Vec<&Path> = Vec::new();
        for Kept { tree, .. } in kept {
            if !roots.contains(&tree.root()) {
                roots.push(tree.root());
            }
        }
        roots
    }

    /// The face of whoever works on dumps in `root`: with the locks and journals of the configuration.
    pub(crate) fn face(&self, face: &Face, root: &Path) -> Face {
        let mut face = face.clone();
        face.common.state = Some(self.state.clone());
        face.to = Some(root.to_string_lossy().into_owned());
        face
    }

    /// The dumps of a database, oldest first, those of the container's first generation among them: they name no host, so
    /// that they are its own only if no other database of the tree has the same name.
    pub(crate) async fn dumps(&self, kept: &Kept) -> Result<Vec<Dump>> {
        let mut dumps = kept.tree.list(&kept.core).await?;
        let (name, root) = (&kept.database, kept.tree.root());
        let is_namesake = |other: &&Kept| other.tree.root() == root && (other.database == *name || other.core == *name);
        if *name != kept.core && self.kept.iter().filter(is_namesake).count() == 1 {
            let minutes = |dump: &Dump| {
                let rest = dump.key.file_name().strip_prefix(name.as_str());
                dump.tier.is_none() && rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
            };
            match kept.tree.list(name).await {
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
