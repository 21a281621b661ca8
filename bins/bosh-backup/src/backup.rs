//! `bosh-backup backup`.

use backup_bosh::Taken;
use backup_cli::{Face, one_line, size};
use backup_core::Result;
use clap::Args;
use serde_json::json;

use crate::director::Director;

/// How a backup is taken.
#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// List the steps and do none
    #[arg(long)]
    dry_run: bool,
    /// Believe that folders that have nothing any more are meant to be empty: the cache has them emptied too
    #[arg(long)]
    emptied: bool,
}

impl Backup {
    pub(crate) async fn run(self, face: &Face, director: &Director) -> Result<()> {
        let mut backup = director.backup(face)?;
        backup.emptied = self.emptied;
        if self.dry_run {
            for step in backup.steps() {
                face.report.result(step.name(), &json!({"step": step.name()}))?;
            }
            return Ok(());
        }
        let journal = Director::journal(face, &backup.director)?;
        let Taken { manifest, archive, log, copied, settled, dump_time } = Box::pin(backup.run(&face.cx, &journal)).await?;
        let seconds = |millis: u64| millis as f64 / 1000.0;
        let mut text = format!("{} files, {}", manifest.files, size(manifest.bytes));
        if let (Some(downtime), Some(settled)) = (manifest.downtime_ms, &settled) {
            let dump = dump_time.map(|time| format!(", and {:.1} s for the dump", time.as_secs_f64())).unwrap_or_default();
            let down = seconds(downtime);
            text.push_str(&format!(
                "; services were down for {down:.1} s{dump}, and {} were read then",
                size(settled.read_bytes)
            ));
        }
        let place = archive.as_ref().unwrap_or(&backup.cache).display().to_string();
        let value = json!({
            "archive": archive, "cache": backup.cache, "log": log, "size": archive.is_some().then_some(manifest.size),
            "files": manifest.files, "bytes": manifest.bytes,
            "read_bytes": copied.read_bytes, "read_bytes_while_stopped": settled.map(|settled| settled.read_bytes),
            "downtime_ms": manifest.downtime_ms, "dump_ms": dump_time.map(|time| time.as_millis() as u64),
            "stopped": manifest.stopped, "dumps": manifest.dumps,
        });
        Ok(face.report.result(&format!("{text}\n{}", one_line(&place)), &value)?)
    }
}
