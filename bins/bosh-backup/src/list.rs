//! `bosh-backup list`.

use std::path::{Path, PathBuf};

use backup_bosh::Config;
use backup_bosh::archive::{self, Listed};
use backup_cli::{Face, escaped, size};
use backup_core::{Error, Kind, Result};
use serde_json::json;

use crate::director::{Director, unsaid};

pub(crate) fn run(face: &Face, director: &Director) -> Result<()> {
    let listed = listed(face, director)?;
    for Listed { path, size: bytes, at, manifest } in &listed {
        let (said, value) = match manifest {
            Ok(Some(manifest)) => {
                let dumps = manifest.dumps.iter().map(|dump| dump.path.as_str()).collect::<Vec<_>>().join(", ");
                let down = manifest.downtime_ms.map(|millis| format!(", down for {:.1} s", millis as f64 / 1000.0));
                let said = format!("{}{}  {dumps}", manifest.director, down.unwrap_or_else(|| ", online".into()));
                (said, json!(manifest))
            }
            Ok(None) => ("no manifest".to_owned(), json!(null)),
            Err(error) => (error.chain(), json!({"error": error.chain()})),
        };
        let line = format!("{at:.0}  {:>11}  {}  {said}", size(*bytes), path.display());
        let value = json!({"archive": path, "at": at, "size": bytes, "manifest": value});
        face.report.result(escaped(&line).trim_end(), &value)?;
    }
    Ok(())
}

/// The newest archive where the configuration says.
pub(crate) fn newest(face: &Face, director: &Director) -> Result<PathBuf> {
    let newest = listed(face, director)?.pop().map(|listed| listed.path);
    newest.ok_or_else(|| Error::new(Kind::NotFound, "there is no archive"))
}

/// The archives that lie where the configuration says; none is an error.
fn listed(face: &Face, director: &Director) -> Result<Vec<Listed>> {
    let folder = folder(&director.config(face)?.0)?;
    let listed = archive::list(&folder)?;
    match listed.is_empty() {
        true => Err(Error::new(Kind::NotFound, format!("there is no archive in {}", folder.display()))
            .with_hint("look at OUTPUT, or make one with the backup command")),
        false => Ok(listed),
    }
}

/// The folder of the archives.
pub(crate) fn folder(config: &Config) -> Result<PathBuf> {
    let output = config.output.as_deref().ok_or_else(|| unsaid("OUTPUT", "the archive that is made"))?;
    Ok(output.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned())
}
