//! Users and roles of a dump, added to those of a server: none that is there is changed, and no password or hash is told.
//!
//! They go into collections beside, as mongorestore has it, and the server itself adds them from there.

use std::collections::BTreeSet;

use backup_core::{Context, Doing, Error, Event, Kind, Restored, Result};
use bson::{Document, doc};
use futures_util::TryStreamExt;
use mongodb::{Client, Database};

use super::answered::answered;
use super::collection::{Place, discard, fill_beside};
use super::temporary::{Run, owner, sweep};
use super::{RestoreOptions, Selection};
use crate::described::Described;
use crate::dump::{Dump, Listed};
use crate::mongo_error::mongo_error;
use crate::pace::Pace;

/// The collection of a kind, what the server calls one beside it, and what one of it is called.
const KINDS: [(&str, &str, &str); 2] =
    [("system.users", "tempUsersCollection", "user"), ("system.roles", "tempRolesCollection", "role")];

/// Whether `listed` is the users or the roles of a deployment.
pub(crate) fn is_users(listed: &Listed) -> bool {
    listed.database == "admin" && KINDS.iter().any(|(name, ..)| listed.collection == *name)
}

/// Whether `dump` has users or roles.
pub async fn has_users(dump: &dyn Dump) -> Result<bool> {
    Ok(dump.collections().await?.iter().any(is_users))
}

/// Adds the users and roles of `dump`, of one database if `selection` is, and counts them in `restored`. Those that are there stay as
/// they are, and are told.
pub(crate) async fn add(
    cx: &Context,
    client: &Client,
    run: &Run,
    dump: &dyn Dump,
    selection: &Selection,
    options: &RestoreOptions,
    restored: &mut Restored,
) -> Result<()> {
    let all = cx.unless_cancelled(dump.collections()).await?;
    let (admin, owner) = (client.database("admin"), cx.unless_cancelled(owner(client)).await?);
    sweep(cx, client, &admin, &owner, run).await?;
    let mut each: Vec<(&Listed, &str, &str, Place<'_>)> = Vec::new();
    for (number, (name, option, kind)) in KINDS.into_iter().enumerate() {
        let is_it = |listed: &&Listed| listed.database == "admin" && listed.collection == name;
        let Some(listed) = all.iter().find(is_it) else { continue };
        // Behind the numbers of all collections.
        let work = run.name(&owner, all.len() + number);
        each.push((listed, option, kind, Place { client, database: &admin, name, work, options, pace: Pace::default() }));
    }
    if each.is_empty() {
        return Err(Error::new(Kind::NotFound, "the backup has no users and roles")
            .with_hint("the backup of a whole deployment has them, that of one database has not"));
    }
    let mut is_sent = false;
    let added = merge(cx, dump, selection, &each, restored, &mut is_sent).await;
    for (.., place) in &each {
        discard(place).await;
    }
    added
        .map_err(|error| if error.kind() == Kind::Cancelled { interrupted(is_sent) } else { error })
        .doing(|| "add users and roles")
}

/// What a run that was stopped leaves: who was not told that it was done looks for it.
fn interrupted(is_sent: bool) -> Error {
    let users = if is_sent { "some or all users and roles may be, too" } else { "no user or role is" };
    Error::new(Kind::Cancelled, format!("interrupted; the collections are restored, {users}"))
}

/// Has the server add them; `is_sent` when it was asked to.
async fn merge(
    cx: &Context,
    dump: &dyn Dump,
    selection: &Selection,
    each: &[(&Listed, &str, &str, Place<'_>)],
    restored: &mut Restored,
    is_sent: &mut bool,
) -> Result<()> {
    let database = selection.database.as_deref().unwrap_or_default();
    let mut command = doc! { "_mergeAuthzCollections": 1 };
    let mut missing = Vec::new();
    for (listed, option, kind, place) in each {
        fill_beside(cx, place, Some((dump, *listed)), &Described::default()).await?;
        let wanted = cx.unless_cancelled(ids(place.database, &place.work, database)).await?;
        let there = cx.unless_cancelled(ids(place.database, place.name, "")).await?;
        for id in wanted.intersection(&there) {
            cx.tell(Event::Warning { what: &format!("the {kind} {id} is there already and stays as it is") });
        }
        command.insert(*option, format!("admin.{}", place.work));
        missing.push(wanted.difference(&there).cloned().collect::<BTreeSet<String>>());
    }
    // Without `drop` the server leaves those that are there.
    command.extend(doc! { "db": database, "drop": false, "writeConcern": { "w": "majority" } });
    let Some((.., first)) = each.first() else { return Ok(()) };
    let merged = async {
        let merged = first.database.run_command(command).await;
        merged.map(drop).map_err(|error| mongo_error("have the server add them", &error))
    };
    *is_sent = !cx.cancel.is_cancelled();
    answered(cx, merged).await?;
    // What it cannot add the server tells its log alone.
    for ((_, _, kind, place), wanted) in each.iter().zip(missing) {
        let there = cx.unless_cancelled(ids(place.database, place.name, "")).await?;
        if let Some(refused) = wanted.difference(&there).next() {
            return Err(Error::failed(format!("the server did not add the {kind} {refused}")).with_hint("see the server's log"));
        }
        restored.counts.insert(format!("{kind}s"), wanted.len() as u64);
    }
    Ok(())
}

/// Which users or roles there are, of one database or of all: `DATABASE.NAME`, and nothing else of them.
async fn ids(admin: &Database, name: &str, database: &str) -> Result<BTreeSet<String>> {
    let filter = if database.is_empty() {
        doc! {}
    } else {
        doc! { "db": database }
    };
    let collection = admin.collection::<Document>(name);
    let finding = collection.find(filter).projection(doc! { "_id": 1 });
    let found = async { finding.await?.try_collect::<Vec<Document>>().await }.await;
    let found = found.map_err(|error| mongo_error("look which users and roles there are", &error))?;
    Ok(found.iter().filter_map(|one| one.get_str("_id").ok().map(str::to_owned)).collect())
}
