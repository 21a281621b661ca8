//! What a restore makes: the collections of a dump that are meant, as they are at the end of its oplog's window.

use std::collections::BTreeSet;

use backup_core::{Context, Doing, Error, Result};
use futures_util::future::BoxFuture;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::Selection;
use super::collection::source;
use super::window::{Window, stray};
use crate::described::Described;
use crate::documents::Documents;
use crate::dump::{Dump, Listed};
use crate::facts::CollectionType;

/// How many collections are asked for at a time.
const ASKED: usize = 8;

/// What is restored.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Views behind those that they may show.
    pub(crate) collections: Vec<Planned>,
    /// What happened meanwhile; none if nothing is to be replayed.
    pub(crate) window: Option<Window>,
    /// What was dropped in the window, and is not restored.
    pub(crate) dropped: Vec<String>,
    /// Whether it is all that the dump holds.
    pub(crate) is_whole: bool,
}

/// A collection that is restored.
#[derive(Debug)]
pub(crate) struct Planned {
    /// Where it comes from; one that was made in the window has no documents there.
    pub(crate) listed: Listed,
    pub(crate) is_in_dump: bool,
    pub(crate) described: Described,
    /// What tells it in the oplog.
    pub(crate) key: Option<String>,
    /// Whether its documents are others at the end of the window.
    pub(crate) is_written: bool,
    /// The database that it goes to.
    pub(crate) database: String,
    /// What it is to be called.
    pub(crate) name: String,
}

/// What `selection` makes of `dump`; with its oplog, if `replay` says so and it has one.
pub(crate) async fn plan(cx: &Context, dump: &dyn Dump, selection: &Selection, replay: bool) -> Result<Plan> {
    let all = cx.unless_cancelled(dump.collections()).await?;
    let meant = selection.of(&all)?;
    let is_whole = all.iter().all(|listed| selection.covers(listed));
    let described = |(listed, database, name): (&Listed, String, String)| {
        let listed = listed.clone();
        let planned: BoxFuture<'_, Result<Planned>> = Box::pin(async move {
            let described = dump.describe(&listed).await?;
            let key = match described.kind {
                CollectionType::TimeSeries => {
                    Some(format!("{}.{}", listed.database, source(&listed.collection, described.kind)))
                }
                _ => described.uuid.clone(),
            };
            Ok(Planned { listed, is_in_dump: true, described, key, is_written: false, database, name })
        });
        planned
    };
    let each: Vec<BoxFuture<'_, Result<Planned>>> = meant.into_iter().map(described).collect();
    let collections = cx.unless_cancelled(stream::iter(each).buffered(ASKED).try_collect()).await?;
    let mut plan = Plan { collections, window: None, dropped: Vec::new(), is_whole };
    let oplog = if replay { cx.unless_cancelled(dump.oplog()).await? } else { None };
    if let Some(oplog) = oplog {
        let mut oplog = Documents::new(oplog, "oplog.bson");
        let is_meant = |database: &str, name: &str| selection.means(database, name);
        let window = cx.unless_cancelled(Window::read(&mut oplog, is_meant)).await.doing(|| "look through the oplog")?;
        plan.follow(&window, selection)?;
        plan.window = Some(window);
    }
    Ok(plan)
}

impl Plan {
    /// Makes of what was read what is there at the end of the window.
    fn follow(&mut self, window: &Window, selection: &Selection) -> Result<()> {
        let change = |planned: &Planned| window.changes.get(planned.key.as_deref()?);
        let is_dropped = |planned: &mut Planned| change(planned).is_some_and(|change| change.is_dropped);
        self.dropped = self.collections.extract_if(.., is_dropped).map(|planned| planned.listed.to_string()).collect();
        let mut known = BTreeSet::new();
        for planned in &mut self.collections {
            let Some(change) = window.changes.get(planned.key.as_deref().unwrap_or_default()) else { continue };
            if !planned.key.clone().is_none_or(|key| known.insert(key)) {
                return Err(Error::damaged(format!("the backup has two collections with the UUID of {}", planned.listed)));
            }
            change.apply(&mut planned.described)?;
            planned.is_written = change.is_written;
        }
        for (key, change) in window.changes.iter().filter(|(key, change)| !change.is_dropped && !known.contains(*key)) {
            if !change.is_made {
                return Err(stray(change));
            }
            let mut described = Described::default();
            change.apply(&mut described)?;
            let listed = Listed {
                database: change.database.clone(),
                collection: change.name.clone(),
                kind: described.kind,
                counted: None,
            };
            let (database, name) = selection.named(&listed);
            let made = Planned {
                listed,
                is_in_dump: false,
                described,
                key: Some(key.clone()),
                is_written: change.is_written,
                database,
                name,
            };
            self.collections.insert(0, made);
        }
        let mut names = BTreeSet::new();
        match self.collections.iter().find(|planned| !names.insert((&planned.database, &planned.name))) {
            Some(twice) => Err(Error::damaged(format!("with its oplog the backup has {} twice", twice.listed))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use backup_core::{Kind, body};
    use bson::doc;
    use bson::spec::BinarySubtype;

    use super::*;

    fn planned(name: &str, uuid: &str) -> Planned {
        let (database, collection) = ("app".to_owned(), name.to_owned());
        Planned {
            listed: Listed { database: database.clone(), collection, kind: CollectionType::Collection, counted: None },
            is_in_dump: true,
            described: Described::default(),
            key: Some(uuid.repeat(16)),
            is_written: false,
            database,
            name: name.to_owned(),
        }
    }

    #[tokio::test]
    async fn what_was_written_is_told_by_its_uuid_and_by_no_other() {
        let ui = bson::Binary { subtype: BinarySubtype::Uuid, bytes: vec![1; 16] };
        let entry = doc! { "op": "i", "ns": "app.a", "ui": ui, "o": { "_id": 1 } }.to_vec().expect("BSON");
        let window = Window::read(&mut Documents::new(body::from_bytes(entry), "oplog.bson"), |_, _| true).await;
        let window = window.expect("a window");
        let follow = |collections| {
            let mut plan = Plan { collections, window: None, dropped: Vec::new(), is_whole: true };
            let followed = plan.follow(&window, &Selection::default()).map_err(|error| error.kind());
            followed.map(|()| plan.collections.iter().map(|of| of.is_written).collect::<Vec<bool>>())
        };
        assert_eq!(follow(vec![planned("a", "01"), planned("b", "02")]), Ok(vec![true, false]));
        assert_eq!(follow(vec![planned("a", "01"), planned("b", "01")]), Err(Kind::Damaged));
        // Of another than the backup has there is nothing that the entry could change.
        assert_eq!(follow(vec![planned("a", "02")]), Err(Kind::Damaged));
        assert_eq!(follow(vec![planned("b", "02")]), Err(Kind::Damaged));
    }

    #[tokio::test]
    async fn what_was_made_comes_first_and_what_was_dropped_not_at_all() {
        let command = |number: u8, object: bson::Document| {
            let ui = bson::Binary { subtype: BinarySubtype::Uuid, bytes: vec![number; 16] };
            doc! { "op": "c", "ns": "app.$cmd", "ui": ui, "o": object }
        };
        let made_and_dropped = [
            command(3, doc! { "create": "brief" }),
            command(3, doc! { "drop": "brief" }),
            command(4, doc! { "create": "made" }),
            command(2, doc! { "drop": "b" }),
        ];
        let bytes: Vec<u8> = made_and_dropped.iter().flat_map(|entry| entry.to_vec().expect("BSON")).collect();
        let window = Window::read(&mut Documents::new(body::from_bytes(bytes), "oplog.bson"), |_, _| true).await;
        let window = window.expect("a window");
        let follow = |collections| {
            let mut plan = Plan { collections, window: None, dropped: Vec::new(), is_whole: true };
            plan.follow(&window, &Selection::default()).map_err(|error| error.kind())?;
            let names: Vec<String> = plan.collections.into_iter().map(|of| of.name).collect();
            Ok((names, plan.dropped))
        };
        let left = (vec!["made".to_owned(), "a".to_owned()], vec!["app.b".to_owned()]);
        assert_eq!(follow(vec![planned("a", "01"), planned("b", "02")]), Ok(left));
        // Of one name there cannot be two at the end.
        assert_eq!(follow(vec![planned("a", "01"), planned("made", "05")]), Err(Kind::Damaged));
    }
}
