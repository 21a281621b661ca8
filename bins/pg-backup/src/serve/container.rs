//! The tasks that the container's configuration asks for.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use backup_cli::Face;
use backup_core::{Context, Error, Name, Result};
use backup_pg::config::Params;
use backup_service::Schedule;
use backup_service::container::{Cron, Settings, Wanted};
use backup_service::tree::Tree;

use super::Serve;
use super::asked::Asked;
use super::configured::settings;
use super::dump::Dump;
use super::proof::{How, Proof};
use super::task::Task;
use crate::connection::at;
use crate::shelf::{Kept, Shelf};

/// Where the state of the service lies within the tree, unless `--state` says otherwise: it must outlive the container.
const STATE: &str = ".state";

/// What the backups are called, and where it is kept how they stand.
pub(super) fn backups(face: &Face) -> Result<(Vec<Name>, PathBuf)> {
    let Shelf { kept, state } = shelf(face)?;
    Ok((kept.iter().map(|kept| kept.core.parse()).collect::<Result<_>>()?, state))
}

/// The databases, and the one tree that all of their dumps lie in.
pub(super) fn shelf(face: &Face) -> Result<Shelf> {
    on_shelf(face, &settings()?)
}

fn on_shelf(face: &Face, settings: &Settings) -> Result<Shelf> {
    let tree = Arc::new(Tree::new(&settings.root, settings.layout, settings.zone.clone()));
    let kept = settings.databases.iter().map(|Wanted { spec, core, user, password, .. }| {
        let mut server = at(Params::default(), spec)?;
        if let Some(user) = user {
            server.set("user", user)?;
        }
        let (name, core, database) = (spec.to_string(), core.clone(), spec.database.clone());
        Ok(Kept { name, core, database, server, password: password.clone(), tree: Arc::clone(&tree) })
    });
    // Within the tree it outlives the container.
    let state = face.common.state.clone().unwrap_or_else(|| settings.root.join(STATE));
    Ok(Shelf { kept: kept.collect::<Result<_>>()?, state })
}

/// All that the container's variables, its file and the options ask for.
pub(super) fn asked(serve: &Serve, face: &Face, cx: &Context) -> Result<Asked> {
    let settings = settings()?;
    let shelf = on_shelf(face, &settings)?;
    let tasks = tasks(&settings, serve, &shelf, cx)?;
    let names: Vec<Name> = tasks.iter().map(|task| task.job.name.clone()).collect();
    let count = settings.databases.len();
    let line = format!("serving {count} databases, {}, into {}", settings.backups, settings.root.display());
    Ok(Asked {
        channels: serve.tell.channels(&settings, &names)?,
        doors: serve.machines.doors()?,
        state: shelf.state,
        at_once: serve.at_once,
        ephemeral: serve.ephemeral,
        line: (line, count),
        tasks,
    })
}

/// A dump of each database into the container's tree, and the proofs that are scheduled.
fn tasks(settings: &Settings, serve: &Serve, shelf: &Shelf, cx: &Context) -> Result<Vec<Task>> {
    check(settings)?;
    let mut tasks = Vec::new();
    for (wanted, kept) in settings.databases.iter().zip(&shelf.kept) {
        let (place, turn) = (Some(settings.root.clone()), Arc::default());
        let dump = Arc::new(Dump::new(kept, Arc::clone(&turn), shelf.state.clone(), cx)?);
        let (doing, server) = (format!("back up {}", kept.name), Some(dump.server().clone()));
        let job = serve.job(kept.core.parse()?, settings.backups.clone(), settings.at_start, dump);
        tasks.push(Task { job, doing, place: place.clone(), server });
        let times: Vec<Schedule> = verifications(settings, wanted).map(|cron| cron.schedule.clone()).collect();
        if !times.is_empty() {
            let how = How {
                schema: Some(wanted.schema.clone()),
                check_sql: Vec::new(),
                scratch: serve.scratch.clone(),
                patience: Some(Duration::from_secs(settings.server_timeout.into())),
            };
            let proof = Arc::new(Proof::new(kept, how, turn)?);
            // No database is called so: a slash stands in no name of a file.
            let job = serve.job(format!("{}/proof", kept.core).parse()?, Schedule::any(times), false, proof);
            tasks.push(Task { job, doing: format!("prove a dump of {}", kept.name), place, server: None });
        }
    }
    Ok(tasks)
}

/// Refuses a verification that means no database.
pub(super) fn check(settings: &Settings) -> Result<()> {
    let means_none = |cron: &&Cron| !settings.databases.iter().any(|wanted| is_meant(cron, wanted));
    match settings.verifications.iter().find(means_none) {
        None => Ok(()),
        Some(Cron { only, line, .. }) => {
            let only = only.as_ref().map(ToString::to_string).unwrap_or_default();
            Err(Error::usage(format!("backup.conf, line {line}: -v names {only}, which is no database that is backed up"))
                .with_hint("write -v all, or a database as it stands in its own line"))
        }
    }
}

/// The lines that have `wanted` verified.
fn verifications<'a>(settings: &'a Settings, wanted: &Wanted) -> impl Iterator<Item = &'a Cron> {
    settings.verifications.iter().filter(move |cron| is_meant(cron, wanted))
}

/// Whether a line means the database: all, or the one that it names, with its port or without.
fn is_meant(cron: &Cron, wanted: &Wanted) -> bool {
    let spec = &wanted.spec;
    cron.only
        .as_ref()
        .is_none_or(|only| only.core() == spec.core() && only.port.is_none_or(|port| port == spec.port.unwrap_or(5432)))
}
