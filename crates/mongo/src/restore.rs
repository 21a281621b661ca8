//! Brings collections back: of a dump all, a database, or one, under the same name or another.

mod collection;
mod insert;
pub(crate) mod mark;
mod options;
mod temporary;

use std::collections::BTreeMap;

use backup_core::{Context, Error, Event, Kind, Name, Restored, Result};
use futures_util::future::BoxFuture;
use futures_util::{StreamExt, TryStreamExt, stream};
use mongodb::Client;

pub use self::collection::Outcome;
pub(crate) use self::collection::{Place, build, count, restore as restore_collection};
pub(crate) use self::insert::{How, insert};
pub use self::options::Options as RestoreOptions;
pub use self::temporary::{PREFIX, Run};
pub(crate) use self::temporary::{is_temporary, owner, sweep};
use crate::dump::{Dump, Listed};

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
}

impl Selection {
    /// Those of `all` that are meant, each with the database and the name that it gets.
    ///
    /// [`Kind::NotFound`] for what is named and not there, [`Kind::Usage`] for a new name that several would get.
    pub fn of<'l>(&self, all: &'l [Listed]) -> Result<Vec<(&'l Listed, String, String)>> {
        let is_meant = |listed: &&Listed| match &self.database {
            Some(database) => {
                listed.database == *database && (self.collections.is_empty() || self.collections.contains(&listed.collection))
            }
            // The users and what the deployment keeps for itself are the server's own matter.
            None => !["admin", "config", "local"].contains(&listed.database.as_str()),
        };
        let meant: Vec<&Listed> = all.iter().filter(is_meant).collect();
        if self.database.is_none() && (!self.collections.is_empty() || self.as_database.is_some()) {
            return Err(Error::usage("of which database is not said"));
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
            let database = self.as_database.as_ref().unwrap_or(&listed.database);
            let collection = self.as_collection.as_ref().unwrap_or(&listed.collection);
            (listed, database.clone(), collection.clone())
        };
        Ok(meant.into_iter().map(named).collect())
    }
}

/// Restores what `selection` names out of `dump`, each collection beside and then into place.
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
    let all = dump.collections().await?;
    let meant = selection.of(&all)?;
    let mut there: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (_, database, _) in &meant {
        if !there.contains_key(database.as_str()) {
            there.insert(database, names(client, database).await?);
        }
    }
    let is_there = |database: &str, name: &String| there.get(database).is_some_and(|names| names.contains(name));
    if let Some((_, database, name)) = meant.iter().find(|(_, database, name)| is_there(database, name)) {
        return Err(taken(database, name).with_hint("restore under another name, or rename or drop what is there first"));
    }
    let owner = cx.unless_cancelled(owner(client)).await?;
    for database in there.keys() {
        sweep(cx, client, &client.database(database), &owner, run).await?;
    }
    cx.tell(Event::Begun { what: "restore", parts: meant.len(), bytes: None });
    // What a view shows is there before it, so that nobody sees an empty one.
    let (views, others): (Vec<_>, Vec<_>) =
        meant.iter().enumerate().partition(|(_, (listed, ..))| listed.kind == crate::CollectionType::View);
    let mut restored = Restored::default();
    for wave in [others, views] {
        let mut each: Vec<BoxFuture<'_, Result<(String, u64)>>> = Vec::new();
        for (number, (listed, database, name)) in wave {
            let work = run.name(&owner, number);
            each.push(Box::pin(async move {
                let place = Place { client, database: &client.database(database), name, work, options };
                let outcome = restore_collection(cx, &place, dump, listed).await?;
                let Outcome::Restored(documents) = outcome else { return Err(taken(database, name)) };
                let what = format!("{database}.{name}");
                cx.tell(Event::PartDone { part: &what.parse::<Name>()?, bytes: 0 });
                Ok((what, documents))
            }));
        }
        let done: Vec<(String, u64)> = stream::iter(each).buffer_unordered(options.jobs.max(1)).try_collect().await?;
        for (what, documents) in done {
            restored.what.push(what);
            *restored.counts.entry("collections".into()).or_default() += 1;
            *restored.counts.entry("documents".into()).or_default() += documents;
        }
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
