//! `pg-backup dumps list`.

use std::path::Path;

use backup_cli::{Face, one_line, size};
use backup_core::{Doing, Error, Kind, Result};
use backup_service::tree::Dump;
use clap::Args;
use serde_json::json;

use crate::shelf::{Kept, Shelf};

/// Whose dumps.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only those of this database: a job, host:port/database, host/database or database, as the configuration has it
    #[arg(value_name = "SPEC")]
    spec: Option<String>,
}

impl List {
    pub(super) async fn run(self, face: &Face, shelf: &Shelf) -> Result<()> {
        let wanted = shelf.wanted(self.spec.as_deref())?;
        let roots = Shelf::roots(wanted.iter().copied());
        let mut sums: Vec<(usize, u64)> = vec![(0, 0); roots.len()];
        for kept in &wanted {
            let dumps = face.cx.unless_cancelled(shelf.dumps(kept)).await?;
            for dump in &dumps {
                line(face, kept, dump)?;
            }
            let its = sums.iter_mut().zip(&roots).find(|(_, root)| **root == kept.tree.root());
            if let Some(((count, bytes), _)) = its {
                *count += dumps.len();
                *bytes += dumps.iter().map(|dump| dump.size).sum::<u64>();
            }
        }
        if sums.iter().all(|(count, _)| *count == 0) {
            let roots: Vec<String> = roots.iter().map(|root| root.display().to_string()).collect();
            return Err(Error::new(Kind::NotFound, format!("there is no dump in {}", roots.join(", ")))
                .with_hint("config check shows which folder and which databases are meant"));
        }
        sums.iter().zip(roots).filter(|((count, _), _)| *count > 0).try_for_each(|(sum, root)| total(face, *sum, root))
    }
}

/// What there is in a tree, and how much more it takes.
fn total(face: &Face, (count, bytes): (usize, u64), root: &Path) -> Result<()> {
    let free = rustix::fs::statvfs(root).doing(|| format!("ask how much space {} has", root.display()))?;
    let free = free.f_bavail.saturating_mul(free.f_frsize);
    let text = format!("{count} dumps, {}; {} free in {}", size(bytes), size(free), root.display());
    Ok(face.report.result(&text, &json!({"dumps": count, "bytes": bytes, "free": free, "root": root}))?)
}

/// A dump on a line.
fn line(face: &Face, kept: &Kept, dump: &Dump) -> Result<()> {
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
        kept.name,
        tier.as_deref().unwrap_or("-"),
        size(*bytes),
        known.join(", ")
    );
    let value = json!({
        "database": kept.name, "id": id, "file": key, "tier": tier, "bytes": bytes, "verified": mark.verified,
        "proven": mark.proven, "damaged": mark.damaged, "facts": mark.facts,
    });
    Ok(face.report.result(one_line(&text).trim_end(), &value)?)
}
