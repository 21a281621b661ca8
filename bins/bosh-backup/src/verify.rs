//! `bosh-backup verify`.

use std::path::PathBuf;

use backup_bosh::archive;
use backup_cli::{Face, escaped, size};
use backup_core::Result;
use clap::Args;
use serde_json::json;

use crate::director::Director;
use crate::list::newest;

/// Which archive.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The archive, one of ours or of microbosh-simple-backup [default: the newest where OUTPUT says]
    archive: Option<PathBuf>,
}

impl Verify {
    pub(crate) async fn run(self, face: &Face, director: &Director) -> Result<()> {
        let path = match self.archive {
            Some(path) => path,
            None => newest(face, director)?,
        };
        let verified = archive::verify(&face.cx, &path).await?;
        let (members, bytes) = (verified.members, verified.bytes);
        let against = match verified.manifest {
            Some(_) => "it is what its manifest tells",
            None => "it has no manifest to be compared with",
        };
        let text = format!("verified {}: {members} members, {}; {against}", path.display(), size(bytes));
        let value = json!({"archive": path, "members": members, "bytes": bytes, "manifest": verified.manifest.is_some()});
        Ok(face.report.result(&escaped(&text), &value)?)
    }
}
