//! Heals what is lost, and nothing else: looks, decides, brings back.

mod act;
mod backups;
mod look;

use std::collections::{BTreeMap, BTreeSet};

use backup_core::{Context, Error, Event, Kind, Result};
use mongodb::{Client, Database};

pub use self::act::Done;
use self::act::act;
pub use self::backups::{Backup, Backups, Chained, Verified};
pub(crate) use self::look::look;
use crate::diagnose::{Asked, Extent, Remedy, State, Verdict, diagnose};
use crate::digest::Counted;
use crate::dump::Listed;
use crate::facts::CollectionType;
use crate::mongo_error::mongo_error;
use crate::restore::{RestoreOptions, Run, mark};

/// How many backups are looked at for a collection, unless told otherwise.
pub const LAST: usize = 3;

/// What to heal, where, and how.
#[derive(Debug)]
pub struct Healer<'a> {
    /// The server, connected on behalf of `run`.
    pub client: &'a Client,
    /// The run.
    pub run: &'a Run,
    /// The database.
    pub database: String,
    /// What must be there, and what may be done.
    pub asked: Asked,
    /// How many backups that hold the database are looked at; all if none.
    pub last: Option<usize>,
    /// How collections are filled.
    pub options: RestoreOptions,
}

/// What was found, and what was done.
#[derive(Debug, Default)]
pub struct Healed {
    /// What was found out about each collection.
    pub verdicts: BTreeMap<String, Verdict>,
    /// What was done with those that have a remedy; nothing after a diagnosis alone.
    pub done: BTreeMap<String, Done>,
    /// How many backups were looked at.
    pub backups: usize,
}

impl Healed {
    /// The collections that are to be healed and are not; after a diagnosis alone all of them.
    pub fn still_sick(&self) -> Vec<&str> {
        let is_sick = |(name, verdict): &(&String, &Verdict)| {
            verdict.remedy != Remedy::Nothing && matches!(self.done.get(*name), None | Some(Done::Failed(_)))
        };
        self.verdicts.iter().filter(is_sick).map(|(name, _)| name.as_str()).collect()
    }
}

/// A backup and what it has of the database.
#[derive(Debug)]
struct Held {
    backup: Backup,
    collections: BTreeMap<String, Listed>,
}

/// What the server has, what the backups have, and what follows from it. Nothing is written.
#[derive(Debug)]
pub struct Diagnosis {
    healed: Healed,
    held: Vec<Held>,
}

impl Diagnosis {
    /// What was found out about each collection.
    pub fn verdicts(&self) -> &BTreeMap<String, Verdict> {
        &self.healed.verdicts
    }

    /// What was found, with nothing done.
    pub fn into_healed(self) -> Healed {
        self.healed
    }
}

/// Looks at the server and at the backups, and decides.
///
/// [`Kind::Unproven`] if the server does not answer, or not for all: nobody knows then what is lost. [`Kind::NotFound`] if
/// something is gone and there is no backup at all.
pub async fn examine(cx: &Context, healer: &Healer<'_>, backups: &mut dyn Backups) -> Result<Diagnosis> {
    let database = healer.client.database(&healer.database);
    // The server first: if it is away no backup is read.
    let mut found = cx.unless_cancelled(look(&database, &healer.asked.collections)).await?;
    let half = cx.unless_cancelled(half(&database)).await?;
    let (held, kept) = search(cx, healer, backups, &half).await?;
    if healer.asked.collections.is_empty() {
        let names: BTreeSet<String> = kept.keys().cloned().collect();
        found = cx.unless_cancelled(look(&database, &names)).await?;
    }
    let verdicts = diagnose(&healer.asked, &found, &kept);
    for (name, verdict) in &verdicts {
        if let State::CannotTell(why) = &verdict.state {
            return Err(Error::new(Kind::Unproven, format!("it cannot be told how {}.{name} is: {why}", healer.database)));
        }
    }
    if held.is_empty() && (verdicts.is_empty() || verdicts.values().any(|verdict| verdict.remedy == Remedy::NoBackup)) {
        return Err(Error::new(Kind::NotFound, format!("there is no backup of the database {}", healer.database)));
    }
    let backups = held.len();
    Ok(Diagnosis { healed: Healed { verdicts, done: BTreeMap::new(), backups }, held })
}

/// Does what was decided: one collection after the other, each whole before it is seen.
pub async fn heal(cx: &Context, healer: &Healer<'_>, diagnosis: Diagnosis) -> Result<Healed> {
    let Diagnosis { mut healed, held } = diagnosis;
    healed.done = act(cx, healer, &held, &healed.verdicts).await?;
    Ok(healed)
}

/// The collections that are half there, and what each is to get.
async fn half(database: &Database) -> Result<BTreeMap<String, Counted>> {
    let found = async { mark::marks(database, &mark::list(database).await?).await };
    let marks = found.await.map_err(|error| mongo_error("look for what is half there", &error).with_kind(Kind::Unproven))?;
    Ok(marks.into_iter().filter_map(|mark| Some((mark.on?, mark.counted))).collect())
}

/// The newest backups that hold the database, and what the newest says of each collection that has documents in it; of one that is
/// empty in all, that; of one that is half there the backup that it is to get.
async fn search(
    cx: &Context,
    healer: &Healer<'_>,
    backups: &mut dyn Backups,
    half: &BTreeMap<String, Counted>,
) -> Result<(Vec<Held>, BTreeMap<String, Extent>)> {
    let (mut held, mut kept) = (Vec::new(), BTreeMap::<String, Extent>::new());
    while healer.last.is_none_or(|last| held.len() < last) {
        let is_known = |name: &String| kept.get(name).is_some_and(has_something);
        let listed = &healer.asked.collections;
        if !listed.is_empty() && listed.iter().all(is_known) {
            break;
        }
        let Some(backup) = backups.older(cx).await? else { break };
        let all = cx.unless_cancelled(backup.dump.collections()).await?;
        let collections: BTreeMap<String, Listed> =
            all.into_iter().filter(|of| of.database == healer.database).map(|of| (of.collection.clone(), of)).collect();
        if collections.is_empty() {
            cx.tell(Event::Warning { what: &format!("backup {} does not hold the database {}", backup.id, healer.database) });
            continue;
        }
        for (name, of) in &collections {
            let is_asked = listed.is_empty() || listed.contains(name);
            let is_better = match kept.get(name) {
                None => true,
                Some(extent) => !has_something(extent) && of.counted.is_none_or(|counted| counted.documents > 0),
            };
            let is_right = half.get(name).is_none_or(|counted| of.counted == Some(*counted));
            if is_asked && is_better && is_right {
                let described = cx.unless_cancelled(backup.dump.describe(of)).await?;
                let documents = of.counted.map(|counted| counted.documents);
                kept.insert(name.clone(), Extent { kind: described.kind, documents, indexes: described.indexes });
            }
        }
        held.push(Held { backup, collections });
    }
    Ok((held, kept))
}

fn has_something(extent: &Extent) -> bool {
    extent.kind == CollectionType::View || extent.documents != Some(0)
}
