//! `bosh-backup status` and `bosh-backup resume`.

use backup_bosh::Progress;
use backup_cli::{Face, escaped};
use backup_core::{Kind, Result, Unit};
use serde_json::json;

use crate::director::Director;

/// Tells what runs there, and what the journal of this machine has stopped.
pub(crate) async fn status(face: &Face, director: &Director) -> Result<()> {
    let there = director.there(&director.config(face)?.0)?;
    let mut under_way = false;
    let entry = match Director::journal(face, &there) {
        Ok(journal) => journal.entry()?,
        Err(error) if error.kind() == Kind::Busy => {
            under_way = true;
            None
        }
        Err(error) => return Err(error),
    };
    let running = face.cx.unless_cancelled(there.lifecycle(&Progress::default()).running()).await?;
    let stopped: Vec<Unit> = entry.map(|entry| entry.units).unwrap_or_default();
    let mut lines = vec![format!("runs: {}", names(&running))];
    if under_way {
        lines.push("a run of this machine is under way".to_owned());
    }
    if !stopped.is_empty() {
        lines.push(format!("left stopped by a run that died: {}", names(&stopped)));
    }
    let text = lines.iter().map(|line| escaped(line)).collect::<Vec<_>>().join("\n");
    let value = json!({"director": there.name.as_str(), "running": running, "left": stopped, "under_way": under_way});
    Ok(face.report.result(&text, &value)?)
}

/// Starts what the journal of this machine has stopped.
pub(crate) async fn resume(face: &Face, director: &Director) -> Result<()> {
    let there = director.there(&director.config(face)?.0)?;
    let journal = Director::journal(face, &there)?;
    let entry = backup_core::resume(&face.cx, &there.lifecycle(&Progress::default()), &journal).await?;
    let units = entry.map(|entry| entry.units).unwrap_or_default();
    let text = if units.is_empty() { "nothing was left stopped".to_owned() } else { format!("started {}", names(&units)) };
    Ok(face.report.result(&escaped(&text), &json!({"resumed": units}))?)
}

fn names(units: &[Unit]) -> String {
    match units {
        [] => "nothing".to_owned(),
        units => units.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}
