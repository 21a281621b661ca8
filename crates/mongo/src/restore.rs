//! Brings collections back: of a dump all, a database, or one, under the same name or another.

mod answered;
mod archived;
mod collection;
mod insert;
pub(crate) mod mark;
mod options;
mod plan;
mod replay;
mod temporary;
mod users;
mod window;

use std::collections::BTreeMap;

use backup_core::{Context, Doing, Error, Event, Kind, Name, Restored, Result};
use mongodb::{Client, Database};

use self::answered::{answered, together};
pub use self::archived::restore_archive;
pub use self::collection::Outcome;
pub(crate) use self::collection::{Place, build, count, restore as restore_collection, source};
use self::collection::{bound_beside, discard, fill_beside, index_beside, into_place};
pub(crate) use self::insert::{How, insert};
pub use self::options::Options as RestoreOptions;
use self::options::boundless;
pub(crate) use self::plan::{Plan, Planned, plan};
use self::replay::{may_replay, replay};
pub use self::temporary::{PREFIX, Run};
pub(crate) use self::temporary::{is_temporary, owner, sweep};
pub use self::users::has_users;
pub(crate) use self::users::is_users;
use crate::digest::Counted;
use crate::dump::{Dump, Listed};
use crate::pace::Pace;

/// What to restore of a dump.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection {
    /// This database alone.
    pub database: Option<String>,
    /// These collections of it alone.
    pub collections: Vec<String>,
    /// The database is restored under this name.
    pub as_database: Option<String>,
    /// The one collection is restored under this name.
    pub as_collection: Option<String>,
    /// The users and roles too, of the database alone if one is named. Those that are there stay as they are.
    pub users: bool,
}

impl Selection {
    /// Those of `all` that are meant, each with the database and the name that it gets.
    ///
    /// [`Kind::NotFound`] for what is named and not there, [`Kind::Usage`] for a new name that several would get.
    pub fn of<'l>(&self, all: &'l [Listed]) -> Result<Vec<(&'l Listed, String, String)>> {
        let meant: Vec<&Listed> = all.iter().filter(|listed| self.means(&listed.database, &listed.collection)).collect();
        if self.database.is_none() && (!self.collections.is_empty() || self.as_database.is_some()) {
            return Err(Error::usage("of which database is not said"));
        }
        if self.users && (self.as_database.is_some() || !self.collections.is_empty()) {
            return Err(Error::usage("users and roles are of a whole database, under its own name"));
        }
        if self.as_collection.is_some() && self.collections.len() != 1 {
            return Err(Error::usage("another name is for one collection"));
        }
        let missing = |what: &str| Error::new(Kind::NotFound, format!("the backup has no {what}"));
        for name in &self.collections {
            if !meant.iter().any(|listed| listed.collection == *name) {
                return Err(missing(&format!("{}.{name}", self.database.as_deref().unwrap_or_default())));
            }
        }
        if let (true, Some(database)) = (meant.is_empty(), &self.database) {
            return Err(missing(&format!("database {database}")));
        }
        let named = |listed: &'l Listed| {
            let (database, name) = self.named(listed);
            (listed, database, name)
        };
        Ok(meant.into_iter().map(named).collect())
    }

    /// Whether a collection is meant.
    fn means(&self, database: &str, collection: &str) -> bool {
        match &self.database {
            Some(meant) => {
                database == meant && (self.collections.is_empty() || self.collections.iter().any(|of| of == collection))
            }
            // The users and what the deployment keeps for itself are the server's own matter.
            None => !["admin", "config", "local"].contains(&database),
        }
    }

    /// Whether it makes all that is `listed`. What the deployment says of its own version each server has already.
    fn covers(&self, listed: &Listed) -> bool {
        let Listed { database, collection, .. } = listed;
        let is_version = database == "admin" && collection == "system.version";
        self.means(database, collection) || (self.database.is_none() && (is_version || self.users && is_users(listed)))
    }

    /// The database and the name that a collection gets.
    fn named(&self, listed: &Listed) -> (String, String) {
        let database = self.as_database.as_ref().unwrap_or(&listed.database);
        let collection = self.as_collection.as_ref().unwrap_or(&listed.collection);
        (database.clone(), collection.clone())
    }
}

/// Restores what `selection` names out of `dump`: all of it beside, with what happened while the dump was taken, and then into place.
///
/// [`Kind::AlreadyExists`] before anything is written if one of the names is taken; and at the end if somebody took one meanwhile,
/// whose collection stays. The client belongs to `run`.
pub async fn restore(
    cx: &Context,
    client: &Client,
    run: &Run,
    dump: &dyn Dump,
    selection: &Selection,
    options: &RestoreOptions,
) -> Result<Restored> {
    let plan = plan(cx, dump, selection, options.replay).await?;
    for name in &plan.dropped {
        cx.tell(Event::Warning { what: &format!("{name} was dropped while the backup was taken: it is not restored") });
    }
    let owner = begin(cx, client, run, &plan.collections).await?;
    let databases: Vec<Database> = plan.collections.iter().map(|of| client.database(&of.database)).collect();
    let each = places(client, run, &owner, &plan.collections, &databases, options);
    let restored = bring_back(cx, client, dump, &plan, &each).await;
    leave(&each, restored.is_ok()).await;
    let mut restored = restored?;
    if selection.users {
        // Behind what they are for.
        users::add(cx, client, run, dump, selection, options, &mut restored).await?;
    }
    Ok(restored)
}

/// Makes sure that no name is taken, drops what dead runs have left, and says whose the connection is.
async fn begin(cx: &Context, client: &Client, run: &Run, planned: &[Planned]) -> Result<String> {
    let mut there: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for Planned { database, .. } in planned {
        if !there.contains_key(database.as_str()) {
            there.insert(database, cx.unless_cancelled(names(client, database)).await?);
        }
    }
    let is_there = |of: &&Planned| there.get(of.database.as_str()).is_some_and(|names| names.contains(&of.name));
    if let Some(Planned { database, name, .. }) = planned.iter().find(is_there) {
        return Err(taken(database, name).with_hint("restore under another name, or rename or drop what is there first"));
    }
    let owner = cx.unless_cancelled(owner(client)).await?;
    for database in there.keys() {
        sweep(cx, client, &client.database(database), &owner, run).await?;
    }
    cx.tell(Event::Begun { what: "restore", parts: planned.len(), bytes: None });
    Ok(owner)
}

/// Where each goes.
fn places<'a>(
    client: &'a Client,
    run: &Run,
    owner: &str,
    planned: &'a [Planned],
    databases: &'a [Database],
    options: &'a RestoreOptions,
) -> Vec<(&'a Planned, Place<'a>)> {
    let (each, pace) = (planned.iter().zip(databases).enumerate(), Pace::default());
    each.map(|(number, (of, database))| {
        (of, Place { client, database, name: &of.name, work: run.name(owner, number), options, pace: pace.clone() })
    })
    .collect()
}

/// Drops what lies beside, unless all went well: then nothing does.
async fn leave(each: &[(&Planned, Place<'_>)], is_well: bool) {
    if !is_well {
        // What has its name already is not found under the other.
        for (_, place) in each {
            discard(place).await;
        }
    }
}

/// Fills all beside, replays, and gives all their names.
async fn bring_back(
    cx: &Context,
    client: &Client,
    dump: &dyn Dump,
    plan: &Plan,
    each: &[(&Planned, Place<'_>)],
) -> Result<Restored> {
    let jobs = each.first().map_or(1, |(_, place)| place.options.jobs.max(1));
    let target = |(of, place): &(&Planned, Place<'_>)| {
        Some((of.key.clone()?, format!("{}.{}", of.database, source(&place.work, of.described.kind))))
    };
    let targets: BTreeMap<String, String> = each.iter().filter(|(of, _)| of.is_written).filter_map(target).collect();
    if let Some(target) = targets.values().next() {
        cx.unless_cancelled(may_replay(client, target)).await?;
    }
    let mut counted: Vec<Counted> = together(cx, jobs, each, |cx, (of, place)| {
        Box::pin(async move {
            let from = of.is_in_dump.then_some((dump, &of.listed));
            let described = if of.is_written { boundless(&of.described) } else { of.described.clone() };
            fill_beside(&cx, place, from, &described).await.doing(|| format!("restore {}", of.listed))
        })
    })
    .await?;
    let mut restored = Restored::default();
    if let (Some(window), false) = (&plan.window, targets.is_empty()) {
        if let Some(oplog) = cx.unless_cancelled(dump.oplog()).await? {
            let applied = replay(cx, client, oplog, window, &targets).await?;
            restored.counts.insert("entries of the oplog".into(), applied);
        }
        for ((of, place), counted) in each.iter().zip(&mut counted).filter(|((of, _), _)| of.is_written) {
            answered(cx, bound_beside(place, &of.described)).await.doing(|| format!("restore {}", of.listed))?;
            let filled = source(&place.work, of.described.kind);
            *counted = cx.unless_cancelled(count(place.database, &filled, &place.pace)).await?;
        }
    }
    finish(cx, each, counted, restored).await
}

/// Builds the indexes of all that lies beside, which has what was `counted`, and gives all their names.
async fn finish(
    cx: &Context,
    each: &[(&Planned, Place<'_>)],
    counted: Vec<Counted>,
    mut restored: Restored,
) -> Result<Restored> {
    let jobs = each.first().map_or(1, |(_, place)| place.options.jobs.max(1));
    together(cx, jobs, each, |cx, (of, place)| {
        Box::pin(
            async move { answered(&cx, index_beside(place, &of.described)).await.doing(|| format!("restore {}", of.listed)) },
        )
    })
    .await?;
    // Views come last: what one shows is there before it, so that nobody sees an empty one.
    for ((of, place), counted) in each.iter().zip(counted) {
        let outcome = into_place(cx, place, &of.described, counted).await.doing(|| format!("restore {}", of.listed))?;
        let Outcome::Restored(documents) = outcome else { return Err(taken(&of.database, &of.name)) };
        let what = format!("{}.{}", of.database, of.name);
        cx.tell(Event::PartDone { part: &what.parse::<Name>()?, bytes: 0 });
        restored.what.push(what);
        *restored.counts.entry("collections".into()).or_default() += 1;
        *restored.counts.entry("documents".into()).or_default() += documents;
    }
    restored.what.sort_unstable();
    Ok(restored)
}

fn taken(database: &str, name: &str) -> Error {
    Error::new(Kind::AlreadyExists, format!("there is a collection {database}.{name}"))
}

/// The names of the collections of a database, views included.
async fn names(client: &Client, database: &str) -> Result<Vec<String>> {
    let names = client.database(database).list_collection_names().await;
    names.map_err(|error| crate::mongo_error(format!("list the collections of the database {database}"), &error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CollectionType;

    fn listed(database: &str, collection: &str) -> Listed {
        let (database, collection) = (database.to_owned(), collection.to_owned());
        Listed { database, collection, kind: CollectionType::Collection, counted: None }
    }

    #[test]
    fn what_is_meant() {
        let all = [listed("shop", "users"), listed("shop", "orders"), listed("blog", "users"), listed("admin", "system.users")];
        let of = |selection: Selection| {
            let meant = selection.of(&all)?;
            Ok(meant.into_iter().map(|(_, database, name)| format!("{database}.{name}")).collect::<Vec<_>>())
        };
        let shop = || Selection { database: Some("shop".into()), ..Selection::default() };
        let users = || Selection { collections: vec!["users".into()], ..shop() };
        assert_eq!(of(Selection::default()).expect("all"), ["shop.users", "shop.orders", "blog.users"]);
        assert_eq!(of(shop()).expect("a database"), ["shop.users", "shop.orders"]);
        assert_eq!(of(users()).expect("one"), ["shop.users"]);
        let renamed = Selection { as_database: Some("new".into()), as_collection: Some("old".into()), ..users() };
        assert_eq!(of(renamed).expect("one"), ["new.old"]);
        let kind = |selection| of(selection).map(|_: Vec<String>| ()).map_err(|error: Error| error.kind());
        let none = Selection { collections: vec!["none".into()], ..shop() };
        assert_eq!(kind(none), Err(Kind::NotFound));
        assert_eq!(kind(Selection { database: Some("none".into()), ..Selection::default() }), Err(Kind::NotFound));
        assert_eq!(kind(Selection { as_collection: Some("x".into()), ..shop() }), Err(Kind::Usage));
        assert_eq!(kind(Selection { as_database: Some("x".into()), ..Selection::default() }), Err(Kind::Usage));
    }
}
