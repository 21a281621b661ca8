//! Remedies, applied one after the other.

use std::collections::BTreeMap;

use backup_core::{Context, Doing, Error, Event, Kind, Name, Result};

use super::{Healer, Held};
use crate::diagnose::{Remedy, State, Verdict};
use crate::documents::Documents;
use crate::dump::Listed;
use crate::pace::Pace;
use crate::restore::{How, Outcome, Place, build, insert, mark, owner, restore_collection, sweep};

/// What was done with a collection.
#[derive(Debug)]
pub enum Done {
    /// It was restored whole.
    Restored {
        /// Out of which backup.
        backup: String,
        /// How many documents it has; none if it was empty in all backups that were looked at.
        documents: u64,
    },
    /// Somebody else made it meanwhile: what they made stays.
    Appeared,
    /// What it had not was added.
    Added {
        /// Out of which backup.
        backup: String,
        /// How many documents.
        documents: u64,
    },
    /// Its missing indexes were built.
    Indexed,
    /// It is as sick as before.
    Failed(Error),
}

/// Applies the remedies. A failure of one is kept and the others go on; an interrupted run ends.
pub(super) async fn act(
    cx: &Context,
    healer: &Healer<'_>,
    held: &[Held],
    verdicts: &BTreeMap<String, Verdict>,
) -> Result<BTreeMap<String, Done>> {
    let is_due = |verdict: &Verdict| !matches!(verdict.remedy, Remedy::Nothing | Remedy::NoBackup);
    let due: Vec<(&String, &Verdict)> = verdicts.iter().filter(|(_, verdict)| is_due(verdict)).collect();
    let mut done = BTreeMap::new();
    if due.is_empty() {
        return Ok(done);
    }
    let database = healer.client.database(&healer.database);
    let owner = cx.unless_cancelled(owner(healer.client)).await?;
    sweep(cx, healer.client, &database, &owner, healer.run).await?;
    cx.tell(Event::Begun { what: "heal", parts: due.len(), bytes: None });
    for (number, (name, verdict)) in due.into_iter().enumerate() {
        let place = Place {
            client: healer.client,
            database: &database,
            name,
            work: healer.run.name(&owner, number),
            options: &healer.options,
            pace: Pace::default(),
        };
        let applied = Box::pin(apply(cx, &place, held, verdict)).await;
        let applied = applied.doing(|| format!("heal {}.{name}", healer.database));
        let one = match applied {
            Err(error) if error.kind() == Kind::Cancelled => return Err(error),
            Err(error) => Done::Failed(error),
            Ok(one) => {
                cx.tell(Event::PartDone { part: &name.parse::<Name>()?, bytes: 0 });
                one
            }
        };
        done.insert(name.clone(), one);
    }
    Ok(done)
}

async fn apply(cx: &Context, place: &Place<'_>, held: &[Held], verdict: &Verdict) -> Result<Done> {
    // Newest first, and those that are empty behind all others.
    let mut from: Vec<(&Held, &Listed)> =
        held.iter().filter_map(|held| Some((held, held.collections.get(place.name)?))).collect();
    if let State::Half(_, of) = verdict.state {
        from.retain(|(_, listed)| listed.counted == Some(of));
    }
    from.sort_by_key(|(_, listed)| listed.counted.is_some_and(|counted| counted.documents == 0));
    let mut damage = None;
    for (held, listed) in from {
        match one(cx, place, held, listed, verdict).await {
            Err(error) if error.kind() == Kind::Damaged => {
                cx.tell(Event::Warning { what: &format!("backup {} is passed over: {}", held.backup.id, error.chain()) });
                damage = Some(error);
            }
            applied => return applied,
        }
    }
    Err(damage.unwrap_or_else(|| Error::new(Kind::NotFound, "no backup has it")))
}

async fn one(cx: &Context, place: &Place<'_>, held: &Held, listed: &Listed, verdict: &Verdict) -> Result<Done> {
    let (dump, backup) = (&*held.backup.dump, held.backup.id.clone());
    match verdict.remedy {
        Remedy::Restore => Ok(match restore_collection(cx, place, dump, listed).await? {
            Outcome::Restored(documents) => Done::Restored { backup, documents },
            Outcome::Appeared => Done::Appeared,
        }),
        Remedy::Add { indexes } => {
            let mut documents = Documents::new(dump.documents(listed).await?, listed.to_string());
            let how = How { workers: place.options.workers, keeps: true, pace: place.pace.clone() };
            let target = listed_source(place.name, listed);
            let inserted = insert(cx, place.database, &target, &mut documents, how).await?;
            if indexes {
                index(place, dump, listed, verdict).await?;
            }
            if matches!(verdict.state, State::Half(..)) {
                mark::clear(place.database, place.name).await?;
            }
            Ok(Done::Added { backup, documents: inserted.added })
        }
        Remedy::Indexes => {
            index(place, dump, listed, verdict).await?;
            Ok(Done::Indexed)
        }
        Remedy::Nothing | Remedy::NoBackup => Err(Error::failed("there is nothing to do")),
    }
}

/// The collection that documents go into.
fn listed_source(name: &str, listed: &Listed) -> String {
    match listed.kind {
        crate::CollectionType::TimeSeries => format!("{}{name}", crate::layout::BUCKETS),
        _ => name.to_owned(),
    }
}

/// Builds the indexes that are missing.
async fn index(place: &Place<'_>, dump: &dyn crate::dump::Dump, listed: &Listed, verdict: &Verdict) -> Result<()> {
    let described = dump.describe(listed).await?;
    let is_missing = |index: &&bson::Document| {
        index.get_str("name").is_ok_and(|name| verdict.missing_indexes.iter().any(|missing| missing == name))
    };
    build(place.database, place.name, described.further_indexes().filter(is_missing)).await
}
