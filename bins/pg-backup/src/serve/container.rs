//! The tasks that the container's configuration asks for.

use std::sync::Arc;

use backup_core::{Context, Name, Result};
use backup_service::container::Settings;
use backup_service::tree::{Layout, Tree};

use super::Serve;
use super::dump::Dump;
use super::task::Task;

/// What the backups are called.
pub(super) fn backups(settings: &Settings) -> Result<Vec<Name>> {
    settings.databases.iter().map(|wanted| wanted.core.parse()).collect()
}

/// A dump of each database, into the container's tree.
pub(super) fn tasks(settings: &Settings, serve: &Serve, cx: &Context) -> Result<Vec<Task>> {
    let tree = Arc::new(Tree::new(&settings.root, settings.layout, settings.zone.clone()));
    let roles = !matches!(settings.layout, Layout::First(_));
    let mut tasks = Vec::new();
    for wanted in &settings.databases {
        let work = Arc::new(Dump::new(wanted, &tree, roles, cx)?);
        let job = serve.job(wanted.core.parse()?, settings.backups.clone(), settings.at_start, work);
        tasks.push(Task { job, doing: format!("back up {}", wanted.spec), place: settings.root.clone() });
    }
    Ok(tasks)
}
