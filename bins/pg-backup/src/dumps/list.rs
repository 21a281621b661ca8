//! `pg-backup dumps list`.

use backup_cli::{Face, one_line, size};
use backup_core::{Doing, Error, Kind, Result};
use backup_service::container::Wanted;
use backup_service::tree::Dump;
use clap::Args;
use serde_json::json;

use super::Shelf;

/// Whose dumps.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only those of this database: host:port/database, host/database or database, as the configuration has it
    #[arg(value_name = "SPEC")]
    spec: Option<String>,
}

impl List {
    pub(super) async fn run(self, face: &Face, shelf: &Shelf) -> Result<()> {
        let (mut count, mut bytes) = (0, 0);
        for wanted in shelf.wanted(self.spec.as_deref())? {
            let dumps = face.cx.unless_cancelled(shelf.dumps(wanted)).await?;
            for dump in &dumps {
                line(face, wanted, dump)?;
            }
            count += dumps.len();
            bytes += dumps.iter().map(|dump| dump.size).sum::<u64>();
        }
        let root = shelf.tree.root();
        if count == 0 {
            return Err(Error::new(Kind::NotFound, format!("there is no dump in {}", root.display()))
                .with_hint("config check shows which folder and which databases are meant"));
        }
        let free = rustix::fs::statvfs(root).doing(|| format!("ask how much space {} has", root.display()))?;
        let free = free.f_bavail.saturating_mul(free.f_frsize);
        let text = format!("{count} dumps, {}; {} free in {}", size(bytes), size(free), root.display());
        Ok(face.report.result(&text, &json!({"dumps": count, "bytes": bytes, "free": free, "root": root}))?)
    }
}

/// A dump on a line.
fn line(face: &Face, wanted: &Wanted, dump: &Dump) -> Result<()> {
    let Dump { id, key, tier, size: bytes, mark } = dump;
    let tier = tier.map(|tier| tier.to_string());
    let known = [
        (mark.verified.is_some() && mark.damaged.is_none(), "verified"),
        (mark.proven.is_some() && mark.damaged.is_none(), "proven"),
        (mark.damaged.is_some(), "damaged"),
    ];
    let known: Vec<&str> = known.iter().filter(|(is, _)| *is).map(|(_, word)| *word).collect();
    let text = format!(
        "{id}  {}  {:<7}  {:>11}  {key}  {}",
        wanted.spec,
        tier.as_deref().unwrap_or("-"),
        size(*bytes),
        known.join(", ")
    );
    let value = json!({
        "database": wanted.spec.to_string(), "id": id, "file": key, "tier": tier, "bytes": bytes, "verified": mark.verified,
        "proven": mark.proven, "damaged": mark.damaged, "facts": mark.facts,
    });
    Ok(face.report.result(one_line(&text).trim_end(), &value)?)
}
