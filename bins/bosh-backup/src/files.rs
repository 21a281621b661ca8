//! `bosh-backup restore --files`.

use std::path::PathBuf;

use backup_bosh::files::{Files, Plan, Source, Step, What};
use backup_bosh::{Filter, Progress};
use backup_cli::{Answers, Face, Program, escaped, size};
use backup_core::{Doing, Event, Result, recover};
use serde_json::{Value, json};

use crate::args::BoshBackup;
use crate::director::{Director, unsaid};
use crate::list::newest;

/// The folder that the document of microbosh-simple-backup recovers.
const STORE: &str = "store";

/// How many names are told in a line.
const TOLD: usize = 5;

/// What comes back, and how.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) archive: Option<PathBuf>,
    pub(crate) cache: bool,
    pub(crate) paths: Vec<PathBuf>,
    pub(crate) keep: bool,
    pub(crate) other_director: bool,
    pub(crate) dry_run: bool,
    pub(crate) answers: Answers,
}

pub(crate) async fn run(options: Options, face: &Face, director: &Director) -> Result<()> {
    let Options { archive, cache, mut paths, keep, other_director, dry_run, answers } = options;
    let cx = &face.cx;
    if !dry_run {
        answers.possible("replace files of the director")?;
    }
    let (config, started) = director.config(face)?;
    let source = match (archive, cache) {
        (Some(archive), _) => Source::Archive(archive),
        (None, true) => Source::Cache(config.cache.clone().ok_or_else(|| unsaid("CACHE", "the folder of the copy"))?),
        (None, false) => Source::Archive(newest(face, director)?),
    };
    if paths.is_empty() {
        paths.push(STORE.into());
    }
    let there = director.there(&config)?;
    let filter = Filter::parse(&config.filter.unwrap_or_default()).doing(|| "read RSYNC_LIST")?;
    let (log_path, program, spill) = (config.log_path, BoshBackup::NAME.to_owned(), std::env::temp_dir());
    let files = Files { director: there, source, paths, filter, other_director, keep, spill, log_path, program, started };
    if dry_run {
        let plan = Box::pin(files.plan(cx)).await?;
        return list_steps(face, &files, &plan);
    }
    let journal = Director::journal(face, &files.director)?;
    // What an earlier run that died has left stopped.
    if let Some(entry) = recover(cx, &files.director.lifecycle(&Progress::default()), &journal).await? {
        let what = format!("an earlier run, of {}, died while services were stopped: they run again", entry.at);
        cx.tell(Event::Warning { what: &what });
    }
    let plan = Box::pin(files.plan(cx)).await?;
    answers.ask(cx, &question(&files, &plan)).await?;
    let restored = Box::pin(files.run(cx, &journal, &plan)).await?;
    let down = restored.downtime_ms.map(|millis| format!("; services were down for {:.1} s", millis as f64 / 1000.0));
    let kept = restored.kept.iter().map(|kept| format!("; what was there is in {}", kept.display())).collect::<String>();
    let text = format!("restored {}, {}{}{kept}", count(plan.files, "file"), size(plan.bytes), down.unwrap_or_default());
    let source = match &files.source {
        Source::Archive(path) => json!({"archive": path}),
        Source::Cache(path) => json!({"cache": path}),
    };
    let value = json!({
        "source": source, "places": plan.places.iter().map(place).collect::<Vec<_>>(), "files": plan.files, "bytes": plan.bytes,
        "stopped": restored.stopped, "downtime_ms": restored.downtime_ms, "kept": restored.kept, "log": restored.log,
    });
    Ok(face.report.result(&escaped(&text), &value)?)
}

fn place(place: &backup_bosh::files::Place) -> Value {
    json!({"path": place.path.to_string_lossy(), "what": word(place.what)})
}

fn word(what: What) -> &'static str {
    match what {
        What::Replaced => "replaced",
        What::Added => "added",
        What::Removed => "removed",
    }
}

fn count(number: u64, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// What is asked before anything is replaced: how many names, and the first of them.
fn question(files: &Files, plan: &Plan) -> String {
    let number = |what: What| plan.places.iter().filter(|place| place.what == what).count();
    let named = plan.places.iter().take(TOLD).map(|place| format!("{} {}", place.path.display(), word(place.what)));
    let more = if plan.places.len() > TOLD { ", …" } else { "" };
    let (replaced, added, removed) = (number(What::Replaced), number(What::Added), number(What::Removed));
    let names = named.collect::<Vec<_>>().join(", ");
    format!(
        "Below /var/vcap on {}: {replaced} replaced, {added} added, {removed} removed ({}{more}), with services stopped meanwhile?",
        files.director.host.name(),
        escaped(&names)
    )
}

/// Each step, and below it what it is about.
fn list_steps(face: &Face, files: &Files, plan: &Plan) -> Result<()> {
    for step in files.steps() {
        let about: Vec<String> = match step {
            Step::Unpack => vec![format!("{}, {}", count(plan.files, "file"), size(plan.bytes))],
            Step::Stop | Step::Start => plan.units.iter().map(ToString::to_string).collect(),
            Step::Swap => plan.places.iter().map(|place| format!("{}: {}", place.path.display(), word(place.what))).collect(),
            _ => Vec::new(),
        };
        let lines = about.iter().map(|line| format!("\n    {}", escaped(line))).collect::<String>();
        face.report.result(&format!("{step}{lines}"), &json!({"step": step.name(), "about": about}))?;
    }
    Ok(())
}
