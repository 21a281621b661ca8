//! `bosh-backup restore`.

use std::path::PathBuf;
use std::sync::Arc;

use backup_bosh::restore::{Choice, Plan, Planned, Restore as Target, Step};
use backup_bosh::{Director as There, Progress};
use backup_cli::{Answers, Face, Program, escaped, size};
use backup_core::{Event, Result, recover};
use clap::Args;
use serde_json::json;

use crate::args::BoshBackup;
use crate::director::Director;
use crate::files;
use crate::list::newest;
use crate::replace::{Replacement, ordered};
use crate::sql::Sql;

/// What to bring back.
#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// The archive, one of ours or of microbosh-simple-backup [default: the newest where OUTPUT says]
    archive: Option<PathBuf>,
    /// Only this database [default: all of the archive's dumps but those that PostgreSQL comes with]
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
    /// Give it this name, which no database there has: nothing is stopped, nothing is replaced
    #[arg(long = "as", value_name = "NAME", requires = "database")]
    rename: Option<String>,
    /// Bring files back instead of databases: /var/vcap/store, or what --path says
    #[arg(long, conflicts_with_all = ["database", "rename", "replace"])]
    files: bool,
    /// A file or folder below /var/vcap that comes back; may be given several times [default: store]
    #[arg(long = "path", value_name = "PATH", requires = "files")]
    paths: Vec<PathBuf>,
    /// Take files out of CACHE instead of an archive
    #[arg(long, requires = "files", conflicts_with = "archive")]
    cache: bool,
    /// Keep what is replaced, under the name that is told
    #[arg(long)]
    keep: bool,
    /// Write NEW where rows have the id OLD, of a machine or a disk; may be given several times
    #[arg(long, value_name = "OLD=NEW", value_delimiter = ',')]
    replace: Vec<Replacement>,
    /// The archive is of another director, or of another version of PostgreSQL, and that is meant
    #[arg(long)]
    other_director: bool,
    /// Read the archive, ask the director, list the steps, and do none
    #[arg(long)]
    dry_run: bool,
    /// Do not ask: without a terminal nothing is replaced otherwise
    #[arg(long)]
    yes: bool,
}

impl Restore {
    pub(crate) async fn run(self, face: &Face, director: &Director) -> Result<()> {
        let (cx, answers) = (&face.cx, Answers::new(self.yes, "--yes"));
        if self.files {
            let Self { archive, cache, paths, keep, other_director, dry_run, .. } = self;
            let options = files::Options { archive, cache, paths, keep, other_director, dry_run, answers };
            return Box::pin(files::run(options, face, director)).await;
        }
        let choice = match (self.database, self.rename) {
            (None, _) => Choice::All,
            (Some(name), None) => Choice::One(name),
            (Some(name), Some(other)) => Choice::Beside(name, other),
        };
        let replaces = !matches!(choice, Choice::Beside(..));
        if replaces && !self.dry_run {
            answers.possible("replace databases of the director")?;
        }
        let archive = match self.archive {
            Some(archive) => archive,
            None => newest(face, director)?,
        };
        let (config, started) = director.config(face)?;
        let there = director.there(&config)?;
        let (log_path, program) = (config.log_path, BoshBackup::NAME.to_owned());
        let (other_director, keep, dumps) = (self.other_director, self.keep, Arc::new(Sql(ordered(self.replace)?)));
        let restore = Target { director: there, archive, choice, other_director, keep, dumps, log_path, program, started };
        if self.dry_run {
            let plan = Box::pin(restore.plan(cx)).await?;
            return list_steps(face, &restore, &plan);
        }
        let journal = Director::journal(face, &restore.director)?;
        // What an earlier run that died has left stopped, postgres among it.
        if let Some(entry) = recover(cx, &restore.director.lifecycle(&Progress::default()), &journal).await? {
            let what = format!("an earlier run, of {}, died while services were stopped: they run again", entry.at);
            cx.tell(Event::Warning { what: &what });
        }
        let plan = Box::pin(restore.plan(cx)).await?;
        if replaces {
            answers.ask(cx, &question(&restore.director, &plan)).await?;
        }
        let restored = Box::pin(restore.run(cx, &journal, &plan)).await?;
        let down = restored.downtime_ms.map(|millis| format!("; services were down for {:.1} s", millis as f64 / 1000.0));
        let mut lines = Vec::new();
        for database in &restored.databases {
            let kept = database.replaced.as_ref().filter(|_| self.keep).map(|kept| format!(", what was there is {kept}"));
            let (name, rows) = (&database.target, database.rows);
            lines.push(format!("{name}: {rows} rows{}", kept.unwrap_or_default()));
        }
        let text = format!("restored {}{}", lines.join("; "), down.unwrap_or_default());
        let databases = restored.databases.iter().map(|one| {
            let kept = one.replaced.as_ref().filter(|_| self.keep);
            json!({"database": one.name, "as": one.target, "rows": one.rows, "roles": one.roles, "ids": one.ids, "kept": kept})
        });
        let value = json!({
            "archive": restore.archive, "databases": databases.collect::<Vec<_>>(),
            "stopped": restored.stopped, "downtime_ms": restored.downtime_ms, "log": restored.log,
        });
        Ok(face.report.result(&escaped(&text), &value)?)
    }
}

/// What is asked before anything is replaced.
fn question(director: &There, plan: &Plan) -> String {
    let replaced = plan.databases.iter().filter(|database| database.replaced.is_some());
    let names = replaced.map(|database| database.target.as_str()).collect::<Vec<_>>().join(", ");
    let what = if names.is_empty() { "Bring databases back".to_owned() } else { format!("Replace {names}") };
    format!("{what} on {}, with its services stopped meanwhile?", director.host.name())
}

/// Each step, and below it what it is about.
fn list_steps(face: &Face, restore: &Target, plan: &Plan) -> Result<()> {
    for step in restore.steps() {
        let about: Vec<String> = match step {
            Step::Load => {
                let about = |one: &Planned| {
                    let roles = one.roles.iter().map(|role| format!("role {role}, which is not there"));
                    let ids = one.ids.iter().map(|(id, count)| format!("the id {id}, which becomes another: {count}"));
                    roles
                        .chain([format!("{}: {} rows, {} of SQL", one.name, one.rows, size(one.bytes))])
                        .chain(ids)
                        .collect::<Vec<_>>()
                };
                plan.databases.iter().flat_map(about).collect()
            }
            Step::Stop | Step::Start => plan.units.iter().map(ToString::to_string).collect(),
            Step::Rename => {
                let replaced = |(target, kept): (&String, &String)| format!("{target} becomes {kept}");
                let one = |one: &Planned| {
                    let before = one.replaced.as_ref().map(|kept| replaced((&one.target, kept)));
                    before.into_iter().chain([format!("what was loaded of {} becomes {}", one.name, one.target)])
                };
                plan.databases.iter().flat_map(one).collect()
            }
            Step::Drop => plan.databases.iter().filter_map(|one| one.replaced.clone()).collect(),
            _ => Vec::new(),
        };
        let lines = about.iter().map(|line| format!("\n    {}", escaped(line))).collect::<String>();
        face.report.result(&format!("{step}{lines}"), &json!({"step": step.name(), "about": about}))?;
    }
    Ok(())
}
