//! Whether the folder for backups outlives the container, at the start and at each run.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use backup_core::{Context, Doing, Error, Result};
use backup_service::{Outcome, Why, Work};

/// File systems that are gone with the container or the machine: `linux/magic.h`.
const EPHEMERAL: [(u64, &str); 3] = [(0x794c_7630, "overlay"), (0x0102_1994, "tmpfs"), (0x8584_58f6, "ramfs")];

/// Refuses a folder that is gone with the container, unless it `may` be.
pub(super) fn check(root: &Path, may: bool) -> Result<()> {
    // What is not there yet will lie where the nearest folder above it does.
    let there = root.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let system = rustix::fs::statfs(there).doing(|| format!("ask which file system {} is on", root.display()))?;
    let kind = u64::try_from(system.f_type).unwrap_or_default();
    match EPHEMERAL.iter().find(|(magic, _)| *magic == kind) {
        Some((_, name)) if !may => Err(Error::usage(format!(
            "{} is on {name} and would be gone with the container: it must be persistent storage",
            root.display()
        ))
        .with_hint("mount a volume there, or allow it with --ephemeral")),
        _ => Ok(()),
    }
}

/// Work on backups on a volume, which fails while nothing is mounted where the volume was when the service started: it would go
/// on in the folder beneath.
///
/// Not the number of the device is remembered, which another mount of the same volume may change.
#[derive(Debug)]
pub(super) struct Mounted {
    /// Where the volume was; none for a folder on the root file system.
    at: Option<PathBuf>,
    work: Arc<dyn Work>,
}

impl Mounted {
    /// `work` in the folder `root`, and so on the volume that is there now.
    pub(super) fn new(root: &Path, work: Arc<dyn Work>) -> Self {
        let root = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
        let at = root.ancestors().find(|folder| is_mounted(folder).is_ok_and(|is| is)).map(Path::to_owned);
        Self { at, work }
    }
}

/// Whether a file system begins in `folder`: it lies on another device than the folder above.
fn is_mounted(folder: &Path) -> io::Result<bool> {
    let Some(above) = folder.parent() else { return Ok(false) };
    Ok(std::fs::metadata(folder)?.dev() != std::fs::metadata(above)?.dev())
}

#[async_trait]
impl Work for Mounted {
    async fn run(&self, cx: &Context, why: Why) -> Result<Outcome> {
        // What cannot be told, the work itself will tell.
        let is_there = |at: &Path| is_mounted(at).unwrap_or_else(|error| error.kind() != io::ErrorKind::NotFound);
        if let Some(at) = self.at.as_deref().filter(|at| !is_there(at)) {
            let what = format!("nothing is mounted at {} any more, where the volume of the backups was", at.display());
            return Err(Error::failed(what)
                .with_hint("mount it again, and the service goes on; if it is to go on without, start it again"));
        }
        self.work.run(cx, why).await
    }

    fn is_proof(&self) -> bool {
        self.work.is_proof()
    }
}
