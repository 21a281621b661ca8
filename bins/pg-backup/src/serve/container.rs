//! The tasks that the container's configuration asks for.

use std::path::PathBuf;
use std::sync::Arc;

use backup_cli::Face;
use backup_core::{Context, Name, Result};
use backup_service::container::Settings;
use backup_service::tree::{Layout, Tree};

use super::Serve;
use super::asked::Asked;
use super::configured::{not_yet, settings};
use super::dump::Dump;
use super::task::Task;

/// Where the state of the service lies within the tree, unless `--state` says otherwise: it must outlive the container.
const STATE: &str = ".state";

/// What the backups are called, and where it is kept how they stand.
pub(super) fn backups(face: &Face) -> Result<(Vec<Name>, PathBuf)> {
    let settings = settings()?;
    let names = settings.databases.iter().map(|wanted| wanted.core.parse()).collect::<Result<_>>()?;
    Ok((names, state(face, &settings)))
}

fn state(face: &Face, settings: &Settings) -> PathBuf {
    face.common.state.clone().unwrap_or_else(|| settings.root.join(STATE))
}

/// All that the container's variables, its file and the options ask for.
pub(super) fn asked(serve: &Serve, face: &Face, cx: &Context) -> Result<Asked> {
    let settings = settings()?;
    not_yet(&settings)?;
    let tasks = tasks(&settings, serve, cx)?;
    let names: Vec<Name> = tasks.iter().map(|task| task.job.name.clone()).collect();
    let count = settings.databases.len();
    let line = format!("serving {count} databases, {}, into {}", settings.backups, settings.root.display());
    Ok(Asked {
        channels: serve.tell.channels(&settings, &names)?,
        doors: serve.machines.doors()?,
        state: state(face, &settings),
        at_once: serve.at_once,
        ephemeral: serve.ephemeral,
        line: (line, count),
        tasks,
    })
}

/// A dump of each database, into the container's tree.
fn tasks(settings: &Settings, serve: &Serve, cx: &Context) -> Result<Vec<Task>> {
    let tree = Arc::new(Tree::new(&settings.root, settings.layout, settings.zone.clone()));
    let roles = !matches!(settings.layout, Layout::First(_));
    let mut tasks = Vec::new();
    for wanted in &settings.databases {
        let work = Arc::new(Dump::new(wanted, &tree, roles, cx)?);
        let (doing, place, server) =
            (format!("back up {}", wanted.spec), Some(settings.root.clone()), Some(work.server().clone()));
        let job = serve.job(wanted.core.parse()?, settings.backups.clone(), settings.at_start, work);
        tasks.push(Task { job, doing, place, server });
    }
    Ok(tasks)
}
