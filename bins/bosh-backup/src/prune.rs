//! `bosh-backup prune`.

use backup_bosh::archive::{Judged, judged, remove};
use backup_cli::{Face, KeepArgs, escaped};
use backup_core::Result;
use clap::Args;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;

use crate::director::Director;
use crate::list::folder;

/// Which archives stay.
#[derive(Debug, Args)]
pub(crate) struct Prune {
    #[command(flatten)]
    keep: KeepArgs,
    /// Print the verdicts and delete nothing
    #[arg(long)]
    dry_run: bool,
}

impl Prune {
    /// Judges the archives of the director that lie where OUTPUT says, and removes those that no rule keeps.
    pub(crate) async fn run(self, face: &Face, director: &Director) -> Result<()> {
        let (config, _) = director.config(face)?;
        let there = director.there(&config)?;
        // No run makes one, or restores from one, meanwhile.
        let _held = Director::journal(face, &there)?;
        let folder = folder(&config)?;
        let (now, zone) = (Timestamp::now(), TimeZone::system());
        let judged = judged(&face.cx, &folder, there.name.as_str(), &self.keep.keep(), now, &zone).await?;
        for Judged { path, at, keep, reasons } in judged {
            let verdict = if keep { "keep" } else { "prune" };
            let why = reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let text = format!("{at:.0}  {verdict:<5}  {}  {why}", path.display());
            // Told before, so that it is known if it fails.
            face.report.result(&escaped(&text), &json!({"archive": path, "at": at, "keep": keep, "reasons": reasons}))?;
            if !keep && !self.dry_run {
                remove(&path)?;
            }
        }
        Ok(())
    }
}
