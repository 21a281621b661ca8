//! `bosh-backup ids`.

mod dump;

use std::collections::BTreeSet;
use std::path::PathBuf;

use backup_bosh::archive;
use backup_bosh::ids::{Ids, Kind, of_deployments};
use backup_cli::{Face, escaped};
use backup_core::{Doing, Error, Event, Result};
use clap::Args;
use serde_json::{Map, Value, json};

use self::dump::add_dump;
use crate::director::Director;
use crate::list::newest;

/// Whose ids.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The archive, one of ours or of microbosh-simple-backup [default: the newest where OUTPUT says]
    archive: Option<PathBuf>,
    /// The file of the deployment of a micro BOSH, bosh-deployments.yml
    #[arg(long, value_name = "FILE")]
    deployments: Option<PathBuf>,
}

impl Show {
    pub(crate) async fn run(self, face: &Face, director: &Director) -> Result<()> {
        let cx = &face.cx;
        let mut told: Vec<(&str, Ids)> = Vec::new();
        let deployments = self.deployments.as_deref().map(of_deployments).transpose()?;
        let archive = match self.archive {
            Some(archive) => archive,
            None => newest(face, director)?,
        };
        let verified = archive::verify(cx, &archive).await?;
        if verified.dumps.is_empty() {
            cx.tell(Event::Warning { what: "the archive has no dump of a database" });
        }
        let mut ids = Ids::default();
        for dump in &verified.dumps {
            let body = archive::member(cx, &archive, dump, &"dump".parse()?).await?;
            cx.unless_cancelled(add_dump(&mut ids, body)).await.doing(|| format!("read {dump} of the archive"))?;
        }
        told.push(("dump", ids));
        told.extend(deployments.map(|ids| ("file", ids)));
        let there = director.there(&director.config(face)?.0)?;
        match there.ids(cx).await? {
            Some(ids) => told.push(("host", ids)),
            None => cx.tell(Event::Warning { what: "the director has no settings of its agent, which would tell its ids" }),
        }
        table(face, &told)
    }
}

/// A line for each id: who tells it, and with which path.
fn table(face: &Face, told: &[(&str, Ids)]) -> Result<()> {
    let all: BTreeSet<&(Kind, String)> = told.iter().flat_map(|(_, ids)| ids.0.keys()).collect();
    if all.is_empty() {
        return Err(Error::new(backup_core::Kind::NotFound, "nothing tells an id of a machine or a disk")
            .with_hint("choose an archive with a dump of the director's database"));
    }
    let width = all.iter().map(|(_, id)| escaped(id).chars().count()).max().unwrap_or_default();
    for key in all {
        let (kind, id) = key;
        let (mut line, mut value) = (format!("{kind:<8}  {:<width$}", escaped(id)), Map::new());
        for (who, ids) in told {
            let told = ids.0.get(key);
            let path = told.and_then(Option::as_deref);
            let said = match told {
                Some(_) => path.map_or_else(|| (*who).to_owned(), |path| format!("{who} {}", escaped(path))),
                None => "-".to_owned(),
            };
            line.push_str(&format!("  {said:<16}"));
            value.insert((*who).to_owned(), told.map_or(Value::Null, |_| path.map_or(json!(true), |path| json!(path))));
        }
        let value = json!({"kind": kind.to_string(), "id": id, "told": value});
        face.report.result(line.trim_end(), &value)?;
    }
    Ok(())
}
