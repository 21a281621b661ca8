//! `pg-backup dumps verify`: a dump is read to its end, and what was found is written down.

use backup_cli::{Face, exit_code, one_line, size};
use backup_core::{Context, Doing, Error, Event, Kind, Result, Sha256, Tally, body};
use backup_pg::script::{Inspected, inspect};
use backup_service::tree::{Dump, Mark, Tree};
use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use super::pick;
use crate::shelf::{Kept, Shelf};

/// Which dump.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Of which database: a job, host:port/database, host/database or database, as the configuration has it; `all`, or nothing, is each
    #[arg(value_name = "SPEC")]
    spec: Option<String>,
    /// Which: the whole name of a file, its path, an ID, the beginning of one, latest, latest-verified or latest-proven
    #[arg(short = 'f', long, value_name = "FILTER", default_value = "latest")]
    filter: String,
}

impl Verify {
    pub(super) async fn run(self, face: &Face, shelf: &Shelf) -> Result<()> {
        let mut failed = None;
        for kept in shelf.wanted(self.spec.as_deref())? {
            match self.one(face, shelf, kept).await {
                Ok(()) => {}
                Err(error) if error.kind() == Kind::Cancelled => return Err(error),
                Err(error) if failed.is_none() => failed = Some(error),
                Err(error) => face.report.error(&error, exit_code(error.kind())),
            }
        }
        failed.map_or(Ok(()), Err)
    }

    async fn one(&self, face: &Face, shelf: &Shelf, kept: &Kept) -> Result<()> {
        let dumps = face.cx.unless_cancelled(shelf.dumps(kept)).await?;
        let dump = pick::pick(kept, &dumps, &self.filter)?;
        let Inspected { tables, rows, bytes, .. } = verify(&face.cx, &kept.tree, dump).await?;
        let text = format!("{}: {} is whole: {tables} tables, {rows} rows, {} of SQL", kept.name, dump.key, size(bytes));
        let value = json!({
            "database": kept.name, "id": dump.id, "file": dump.key, "tables": tables, "rows": rows, "bytes": bytes,
        });
        Ok(face.report.result(&one_line(&text), &value)?)
    }
}

/// Reads a dump to its end and writes down that it is whole, or in what it is damaged. [`Kind::Damaged`] if it is.
pub(super) async fn verify(cx: &Context, tree: &Tree, dump: &Dump) -> Result<Inspected> {
    let read = cx.unless_cancelled(read(tree, dump)).await.doing(|| format!("verify {}", dump.key));
    let mark = match &read {
        Ok((seen, sha256)) => {
            let mut facts = dump.mark.facts.clone();
            facts.extend([("tables", seen.tables), ("rows", seen.rows)].map(|(name, count)| (name.to_owned(), count.into())));
            Mark {
                size: Some(dump.size),
                sha256: Some(*sha256),
                verified: Some(Timestamp::now()),
                damaged: None,
                facts,
                ..dump.mark.clone()
            }
        }
        Err(error) if error.kind() == Kind::Damaged => {
            Mark { size: Some(dump.size), damaged: Some(error.chain()), ..dump.mark.clone() }
        }
        Err(_) => return read.map(|(seen, _)| seen),
    };
    if let Err(error) = tree.mark(&dump.key, &mark).await {
        cx.tell(Event::Warning { what: &error.chain() });
    }
    read.map(|(seen, _)| seen).map_err(|error| match error.hint() {
        Some(_) => error,
        None => error.with_hint("use another dump: pg-backup dumps list shows what there is"),
    })
}

/// What is in a dump, and the digest of its file.
async fn read(tree: &Tree, dump: &Dump) -> Result<(Inspected, Sha256)> {
    let tally = Tally::default();
    let mut sql = tree.get_tallied(&dump.key, &tally).await?;
    let seen = match inspect(&mut sql).await {
        Ok(seen) => seen,
        // What cannot be understood may be damage, which gzip finds at the end.
        Err(error) if error.kind() != Kind::Damaged => {
            body::drain(sql).await?;
            return Err(error);
        }
        Err(error) => return Err(error),
    };
    let (_, sha256) = tally.get();
    if dump.mark.sha256.is_some_and(|known| known != sha256) {
        return Err(Error::damaged("its digest is not that of the file that was written"));
    }
    if seen.tables == 0 {
        return Err(Error::damaged("it creates no table"));
    }
    Ok((seen, sha256))
}
