//! Whether the folder for dumps outlives the container.

use std::path::Path;

use backup_core::{Doing, Error, Result};

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
