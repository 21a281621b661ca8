//! The tasks that a TOML file of ours asks for, and whom they are told to.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use backup_cli::Face;
use backup_core::{Context, Doing, Error, Identity, Name, Result, Unseal};
use backup_pg::Config as Server;
use backup_pg::config::Params;
use backup_service::config::{Backups, Config, Form, Outside, Plan, Proof};
use backup_service::tell::{Channel, PagerDuty, Ping, Webhook};
use backup_service::tree::{Layout, Tree};
use backup_service::{Job, Schedule, Work};
use jiff::tz::TimeZone;

use super::asked::{Asked, Doors};
use super::configured::file;
use super::dump::Dump;
use super::own_backup::Backup;
use super::own_proof::Prove;
use super::proof::{self, How, ScratchArgs};
use super::task::Task;
use super::telling::client;
use crate::connection::resolve;
use crate::shelf::{Kept, Shelf};

/// Reads the file at `path`.
pub(super) fn read(face: &Face, path: &Path) -> Result<Config> {
    let server = |text: &str| {
        let words = |error: Error| match error.hint() {
            Some(_) => error,
            None => error.with_hint("write words of libpq, such as host=db.example.org user=backup, or a URL"),
        };
        if Params::parse(text).map_err(words)?.get("password").is_some() {
            return Err(Error::usage("the connection string holds a password, and no secret is written out in this file")
                .with_hint("write password = { file = \"PATH\" } beside it"));
        }
        Ok(())
    };
    let variable = |name: &str| std::env::var(name).ok();
    let sink = |to: &str| face.could_open(to);
    let outside = Outside { variable: &variable, file: &file, server: &server, sink: &sink };
    Config::read(&path.display().to_string(), &file(path)?, &outside)
}

/// What the backups are called, and where it is kept how they stand.
pub(super) fn backups(face: &Face, path: &Path) -> Result<(Vec<Name>, PathBuf)> {
    let config = read(face, path)?;
    let names = config.jobs.iter().map(|plan| plan.name.clone()).collect();
    Ok((names, state(face, &config)?))
}

fn state(face: &Face, config: &Config) -> Result<PathBuf> {
    face.common.state.clone().or_else(|| config.state.clone()).map_or_else(|| face.state(), Ok)
}

/// The databases that the file at `path` has dump files of.
pub(super) fn shelf(face: &Face, path: &Path) -> Result<Shelf> {
    let config = read(face, path)?;
    let dumps = config.jobs.iter().filter_map(|plan| match &plan.form {
        Form::Dumps(dumps) => Some(kept(plan, dumps.layout, &config.zone, face)),
        Form::Backups(_) => None,
    });
    let kept: Vec<Kept> = dumps.collect::<Result<_>>()?;
    if kept.is_empty() {
        return Err(Error::usage(format!("{} has no job of dump files", path.display()))
            .with_hint("backups are listed and restored without dumps; a job of dump files has format = \"sql.gz\""));
    }
    Ok(Shelf { kept, state: state(face, &config)? })
}

/// The database of a job of dump files.
fn kept(plan: &Plan, layout: Layout, zone: &TimeZone, face: &Face) -> Result<Kept> {
    let elsewhere = || {
        Error::usage(format!("{} is no folder, and the dump files of {} lie in folders alone", plan.to, plan.name))
            .with_hint("write to = \"PATH\"")
    };
    let root = face.folder(&plan.to)?.ok_or_else(elsewhere)?;
    let name = plan.name.to_string();
    // The file is refused if it is not exactly one.
    let database = plan.databases.first().cloned().unwrap_or_default();
    let server = Params::parse(&plan.server)?;
    let tree = Arc::new(Tree::new(&root, layout, zone.clone()));
    Ok(Kept { core: name.clone(), name, database, server, password: plan.password.clone(), tree })
}

/// All that the file at `path` asks for.
pub(super) fn asked(path: &Path, face: &Face, cx: &Context) -> Result<Asked> {
    let config = read(face, path)?;
    let state = state(face, &config)?;
    let mut face = face.clone();
    face.cx = cx.clone();
    face.common.state = Some(state.clone());
    let count = config.jobs.len();
    Ok(Asked {
        channels: channels(&config)?,
        at_once: config.at_once,
        ephemeral: config.ephemeral,
        line: (format!("serving {count} jobs of {}", path.display()), count),
        doors: Doors { listen: config.listen, token: config.token.clone(), textfile: config.textfile.clone() },
        tasks: tasks(config, &face, cx)?,
        state,
    })
}

/// The backups and proofs of each job, in their order.
fn tasks(config: Config, face: &Face, cx: &Context) -> Result<Vec<Task>> {
    let mut tasks = Vec::new();
    for plan in config.jobs {
        let mut face = face.clone();
        face.to = Some(plan.to.clone());
        let place = face.folder(&plan.to)?;
        let job = |name: Name, schedule: &Schedule, at_start: bool, work: Arc<dyn Work>| Job {
            name,
            schedule: schedule.clone(),
            at_start,
            jitter: plan.jitter,
            late: plan.late,
            retries: plan.retries,
            work,
        };
        match &plan.form {
            Form::Dumps(dumps) => {
                let kept = kept(&plan, dumps.layout, &config.zone, &face)?;
                let (name, turn) = (&plan.name, Arc::default());
                let work = Dump::new(&kept, Arc::clone(&turn), face.state()?, cx)?;
                let server = Some(work.server().clone());
                let taken = job(name.clone(), &plan.schedule, plan.at_start, Arc::new(work));
                tasks.push(Task { job: taken, doing: format!("dump {name}"), place: place.clone(), server });
                if let Some(proof) = &dumps.proof {
                    let work = Arc::new(proof::Proof::new(&kept, how(proof), turn)?);
                    let job = job(proof_of(name)?, &proof.schedule, false, work);
                    tasks.push(Task { job, doing: format!("prove a dump of {name}"), place, server: None });
                }
            }
            Form::Backups(backups) => {
                let (name, doing) = (plan.name.clone(), format!("back up {}", plan.name));
                let server = server(&plan, cx)?;
                let work =
                    Backup::new(face.clone(), name.clone(), server.clone(), plan.databases.clone(), backups, &config.zone);
                let taken = job(name.clone(), &plan.schedule, plan.at_start, Arc::new(work));
                tasks.push(Task { job: taken, doing, place: place.clone(), server: Some(server) });
                if let Some(proof) = &backups.proof {
                    let work = Arc::new(prove(face, &name, proof, backups)?);
                    let job = job(proof_of(&name)?, &proof.schedule, false, work);
                    tasks.push(Task { job, doing: format!("prove {name}"), place, server: None });
                }
            }
        }
    }
    Ok(tasks)
}

/// What the proof of a job is called: no job can be called so.
fn proof_of(job: &Name) -> Result<Name> {
    format!("{job}/proof").parse()
}

/// How a dump is proven.
fn how(proof: &Proof) -> How {
    let scratch = ScratchArgs { pg_bin: proof.pg_bin.clone(), scratch_dir: proof.scratch_dir.clone() };
    How { schema: None, check_sql: proof.check_sql.clone(), scratch, patience: None }
}

/// What proves the backups of `job`. It has the keys before the first proof is due.
fn prove(face: Face, job: &Name, proof: &Proof, backups: &Backups) -> Result<Prove> {
    let identities = proof.identities.iter().map(|path| {
        let doing = || format!("read the identities in {}", path.display());
        Identity::parse_file(&std::fs::read_to_string(path).doing(doing)?).doing(doing)
    });
    let identities = identities.collect::<Result<Vec<_>>>()?.concat();
    let unseal = Unseal { identities, passphrase: backups.passphrase.clone() };
    Ok(Prove::new(face, job.clone(), unseal, proof))
}

/// Who is told.
fn channels(config: &Config) -> Result<Vec<Arc<dyn Channel>>> {
    let tell = &config.tell;
    if tell.webhooks.is_empty() && tell.pager.is_none() && config.jobs.iter().all(|plan| plan.ping.is_none()) {
        return Ok(Vec::new());
    }
    let client = client()?;
    let mut channels: Vec<Arc<dyn Channel>> = Vec::new();
    for hook in &tell.webhooks {
        channels.push(Arc::new(Webhook {
            client: client.clone(),
            address: hook.address.clone(),
            friendly_name: tell.friendly_name.clone(),
            name: tell.name.clone(),
            form: hook.form,
            wants: hook.wants,
        }));
    }
    if let Some(pager) = &tell.pager {
        let (address, service_key) = (pager.address.clone(), pager.key.expose().to_owned());
        channels.push(Arc::new(PagerDuty { client: client.clone(), address, service_key }));
    }
    for plan in &config.jobs {
        if let Some(address) = &plan.ping {
            channels.push(Arc::new(Ping::new(client.clone(), plan.name.clone(), address.clone())?.with_message()));
        }
    }
    Ok(channels)
}

/// The server of a job.
fn server(plan: &Plan, cx: &Context) -> Result<Server> {
    let mut params = Params::parse(&plan.server)?;
    if let Some(password) = &plan.password {
        params.set("password", password.expose())?;
    }
    resolve(cx, params).doing(|| format!("understand the server of {}", plan.name))
}
