//! `pg-backup dumps cull`: the retention of the configuration, applied now.

use backup_cli::{Answers, Face, one_line};
use backup_core::{Event, Key, Kind, Result};
use backup_service::tree::Dump;
use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use super::verify::verify;
use crate::shelf::{Kept, Shelf};

/// Whose dumps are culled, and how.
#[derive(Debug, Args)]
pub(crate) struct Cull {
    /// Only those of this database: a job, host:port/database, host/database or database, as the configuration has it
    #[arg(value_name = "SPEC")]
    spec: Option<String>,
    /// Print the verdicts and delete nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask: without a terminal nothing is deleted otherwise
    #[arg(long)]
    yes: bool,
}

impl Cull {
    pub(super) async fn run(self, face: &Face, shelf: &Shelf) -> Result<()> {
        let answers = Answers::new(self.yes, "--yes");
        if !self.dry_run {
            answers.possible("delete dumps")?;
        }
        let (now, mut shown) = (Timestamp::now(), Vec::new());
        for kept in shelf.wanted(self.spec.as_deref())? {
            shown.push((kept, show(face, kept, now).await?));
        }
        let count: usize = shown.iter().map(|(_, goes)| goes.len()).sum();
        if self.dry_run || count == 0 {
            return Ok(());
        }
        answers.ask(&face.cx, &format!("Delete these {count} dumps?")).await?;
        for (kept, goes) in shown {
            // What has come meanwhile stays, and what was shown goes only if nothing speaks against it now.
            for dump in kept.tree.cull_only(&kept.core, now, |dump| goes.contains(&dump.key)).await? {
                let value = json!({"database": kept.name, "id": dump.id, "file": dump.key, "done": "deleted"});
                face.report.result(&one_line(&format!("deleted {}", dump.key)), &value)?;
            }
        }
        Ok(())
    }
}

/// Prints a verdict of each dump of a database and returns those that go. The newest that is good is read to its end first:
/// the others may go only because it is there.
async fn show(face: &Face, kept: &Kept, now: Timestamp) -> Result<Vec<Key>> {
    let listed = face.cx.unless_cancelled(kept.tree.list(&kept.core)).await?;
    for dump in listed.iter().rev().filter(|dump| dump.mark.damaged.is_none()) {
        match verify(&face.cx, &kept.tree, dump).await {
            Ok(_) => break,
            Err(error) if error.kind() == Kind::Damaged => face.cx.tell(Event::Warning { what: &error.chain() }),
            Err(error) => return Err(error),
        }
    }
    let dumps = face.cx.unless_cancelled(kept.tree.list(&kept.core)).await?;
    let verdicts = kept.tree.judge(&dumps, now);
    let mut goes = Vec::new();
    for Dump { id, key, .. } in &dumps {
        let (keep, reasons) = match verdicts.iter().find(|verdict| verdict.id == *id) {
            Some(verdict) => (verdict.keep, verdict.reasons.iter().map(ToString::to_string).collect()),
            None => (true, vec!["the configuration has no rule for this folder".to_owned()]),
        };
        let text = format!("{id}  {}  {key}  {}", if keep { "keep" } else { "cull" }, reasons.join(", "));
        let value = json!({"database": kept.name, "id": id, "file": key, "keep": keep, "reasons": reasons});
        face.report.result(&one_line(&text), &value)?;
        if !keep {
            goes.push(key.clone());
        }
    }
    Ok(goes)
}
