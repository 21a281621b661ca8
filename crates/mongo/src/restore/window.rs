//! What happened to collections in the oplog's window: which were made, dropped or written to, and how options and indexes changed.
//!
//! A collection is told by its UUID: one that was dropped and made anew is another. A time series is told by the name of its buckets.

use std::collections::{BTreeMap, BTreeSet};

use backup_core::{Error, Kind, Result};
use bson::{Bson, Document, RawDocument, RawDocumentBuf};

use super::temporary::is_temporary;
use crate::described::Described;
use crate::documents::Documents;
use crate::layout::BUCKETS;
use crate::oplog_entry::{Does, Entry, Operation, Step, Transaction, command};

/// What servers do for themselves, or by other entries too.
const NOTHING: [&str; 5] = ["setMultikeyMetadata", "dropIdent", "dbCheck", "dropDatabase", "dbCheckStop"];

/// Views, as a collection of each database.
const VIEWS: &str = "system.views";

/// The most bytes that are kept of a window: 100 000 collections that come and go, or are given an index.
const MOST: usize = 32 << 20;
/// About how many bytes a change or a transaction takes beside its names.
const EACH: usize = 128;

/// What happened in the window.
#[derive(Debug, Default)]
pub(crate) struct Window {
    /// By what tells the collection.
    pub(crate) changes: BTreeMap<String, Change>,
    /// The transactions that are not committed at its end.
    open: BTreeSet<Vec<u8>>,
    /// About how many bytes all this takes.
    size: usize,
}

/// What happened to a collection.
#[derive(Debug, Default)]
pub(crate) struct Change {
    pub(crate) database: String,
    pub(crate) name: String,
    /// It was made in the window, so that all of it is in the oplog.
    pub(crate) is_made: bool,
    pub(crate) is_dropped: bool,
    /// Its documents changed.
    pub(crate) is_written: bool,
    /// What changed its options and indexes, in this order.
    commands: Vec<RawDocumentBuf>,
    /// About how many bytes these take.
    size: usize,
}

/// What tells the collection of an operation; `None` of one that does not say it.
pub(crate) fn key(operation: &Operation<'_>) -> Option<String> {
    let (_, name) = operation.namespace.split_once('.')?;
    match name.starts_with(BUCKETS) {
        true => Some(operation.namespace.to_owned()),
        false => Some(operation.uuid?.iter().map(|byte| format!("{byte:02x}")).collect()),
    }
}

impl Window {
    /// Reads the oplog to its end. Of others than the collections that are `meant` nothing is kept.
    ///
    /// [`Kind::Failed`] for what cannot be replayed.
    pub(crate) async fn read(oplog: &mut Documents, is_meant: impl Fn(&str, &str) -> bool) -> Result<Self> {
        let mut window = Self::default();
        while let Some(entry) = oplog.next().await? {
            let entry = Entry::of(entry)?;
            for operation in &entry.operations {
                window.take(operation, &is_meant)?;
            }
            match entry.transaction {
                Some(Transaction { id, step: Step::Open }) => {
                    let size = id.len() + EACH;
                    window.size += if window.open.insert(id) { size } else { 0 };
                }
                Some(Transaction { id, step: Step::Committed }) => {
                    window.size -= if window.open.remove(&id) { id.len() + EACH } else { 0 };
                }
                Some(Transaction { step: Step::Aborted, .. }) | None => {}
            }
            if window.size > MOST {
                return Err(unreplayable("more than 32 MiB of it", "too many collections were made, dropped or indexed"));
            }
        }
        Ok(window)
    }

    /// Whether an entry counts at the end of the window.
    pub(crate) fn counts(&self, entry: &Entry<'_>) -> bool {
        entry.transaction.as_ref().is_none_or(|of| !self.open.contains(&of.id))
    }

    fn take(&mut self, operation: &Operation<'_>, is_meant: impl Fn(&str, &str) -> bool) -> Result<()> {
        let Some((database, name)) = operation.namespace.split_once('.') else { return Ok(()) };
        let name = match operation.does {
            Does::Command => match command(operation.object) {
                Some((command, _)) if NOTHING.contains(&command) => return Ok(()),
                // It says both names, with their databases.
                Some(("renameCollection", from)) => {
                    let both = [from.as_str(), operation.object.get_str("to").ok()];
                    let mut both = both.into_iter().flatten().filter_map(|name| name.split_once('.'));
                    return match both.find(|(database, name)| is_meant(database, name)) {
                        Some((database, name)) => Err(unreplayable(&format!("{database}.{name}"), "a collection was renamed")),
                        None => Ok(()),
                    };
                }
                Some((_, value)) => value.as_str().unwrap_or(name),
                None => name,
            },
            _ => name,
        };
        let series = name.strip_prefix(BUCKETS);
        if !is_meant(database, series.unwrap_or(name)) {
            return Ok(());
        }
        if name == VIEWS && operation.does != Does::Command {
            return Err(unreplayable(database, "a view or a time series was made, changed or dropped"));
        }
        // What servers keep for themselves, and what is being restored, is in no backup.
        if is_temporary(name) || (series.is_none() && name.starts_with("system.") && name != "system.js") {
            return Ok(());
        }
        let unknown = || Error::damaged(format!("the oplog does not say which collection {database}.{name} is"));
        let key = match operation.does {
            Does::Command if series.is_some() => format!("{database}.{name}"),
            _ => key(operation).ok_or_else(unknown)?,
        };
        let size = key.len() + operation.namespace.len() + EACH;
        let change = self.changes.entry(key).or_insert_with(|| {
            self.size += size;
            Change::default()
        });
        (change.database, change.name) = (database.to_owned(), series.unwrap_or(name).to_owned());
        if operation.does != Does::Command {
            change.is_written = true;
            return Ok(());
        }
        self.size -= change.size;
        change.command(operation.object, series.is_some())?;
        self.size += change.size;
        Ok(())
    }
}

fn unreplayable(what: &str, why: &str) -> Error {
    Error::failed(format!("the oplog cannot be replayed: {why} while the backup was taken ({what})"))
        .with_hint("restore without it, by --no-replay: then each collection is as it was while it was read")
}

impl Change {
    fn command(&mut self, object: &RawDocument, is_series: bool) -> Result<()> {
        let what = format!("{}.{}", self.database, self.name);
        match command(object).map(|(name, _)| name).unwrap_or_default() {
            "create" | "drop" if is_series => return Err(unreplayable(&what, "a time series was made or dropped")),
            "startIndexBuild" | "abortIndexBuild" if is_series => return Ok(()),
            "create" => self.is_made = true,
            "drop" => {
                self.is_dropped = true;
                (self.commands, self.size) = (Vec::new(), 0);
                return Ok(());
            }
            "createIndexes" | "startIndexBuild" | "commitIndexBuild" | "abortIndexBuild" | "dropIndexes" | "deleteIndexes"
            | "dropIndex" | "deleteIndex" | "collMod"
                if !is_series => {}
            other => return Err(unreplayable(&what, &format!("{other} was run"))),
        }
        self.size += object.as_bytes().len() + EACH;
        self.commands.push(object.to_owned());
        Ok(())
    }

    /// What the collection is at the end of the window, of which the backup says that it was `described` some time in it.
    pub(crate) fn apply(&self, described: &mut Described) -> Result<()> {
        self.commands.iter().try_for_each(|object| {
            let object = Document::try_from(object.as_ref());
            self.apply_one(described, object.map_err(|error| Error::damaged("the oplog is not BSON").with_source(error))?)
        })
    }

    fn apply_one(&self, described: &mut Described, mut object: Document) -> Result<()> {
        let what = format!("{}.{}", self.database, self.name);
        let name = object.keys().next().cloned().unwrap_or_default();
        object.remove(&name);
        match name.as_str() {
            "create" => {
                let of_id = object.remove("idIndex");
                described.indexes = of_id.iter().filter_map(Bson::as_document).cloned().collect();
                described.options = object;
            }
            "createIndexes" => set(described, object),
            // One that is being built is listed already.
            "startIndexBuild" | "commitIndexBuild" | "abortIndexBuild" => {
                let indexes = object.get_array("indexes").map_err(|_| Error::damaged("the oplog has an index that is none"))?;
                for index in indexes.iter().filter_map(Bson::as_document) {
                    match name.as_str() {
                        "commitIndexBuild" => set(described, index.clone()),
                        _ => described.indexes.retain(|of| of.get("name") != index.get("name")),
                    }
                }
            }
            "dropIndexes" | "deleteIndexes" | "dropIndex" | "deleteIndex" => {
                let dropped = object.get_str("index").map_err(|_| unreplayable(&what, "indexes were dropped, not by name,"))?;
                described.indexes.retain(|index| index.get_str("name").ok() != Some(dropped));
            }
            "collMod" => self.modify(described, object, &what)?,
            _ => {}
        }
        Ok(())
    }

    fn modify(&self, described: &mut Described, object: Document, what: &str) -> Result<()> {
        for (field, value) in object {
            match (field.as_str(), value) {
                ("index", Bson::Document(mut change)) => {
                    let by_name = change.remove("name");
                    let by_key = change.remove("keyPattern");
                    let is_it = |index: &&mut Document| match (&by_name, &by_key) {
                        (Some(name), _) => index.get("name") == Some(name),
                        (None, key) => index.get("key") == key.as_ref(),
                    };
                    if let Some(index) = described.indexes.iter_mut().find(is_it) {
                        index.extend(change);
                    }
                }
                ("expireAfterSeconds", Bson::String(_)) => drop(described.options.remove("expireAfterSeconds")),
                ("cappedSize", value) => drop(described.options.insert("size", value)),
                ("cappedMax", value) => drop(described.options.insert("max", value)),
                (
                    "validator"
                    | "validationLevel"
                    | "validationAction"
                    | "expireAfterSeconds"
                    | "changeStreamPreAndPostImages",
                    value,
                ) => drop(described.options.insert(field, value)),
                _ => return Err(unreplayable(what, &format!("collMod changed {field}"))),
            }
        }
        Ok(())
    }
}

/// Adds an index, in place of one of its name.
fn set(described: &mut Described, index: Document) {
    described.indexes.retain(|of| of.get("name") != index.get("name"));
    described.indexes.push(index);
}

/// The error of entries whose collection the backup does not have.
pub(crate) fn stray(change: &Change) -> Error {
    let what = format!("the oplog changes another {}.{} than the backup has", change.database, change.name);
    Error::new(Kind::Damaged, what).with_hint("verify the backup; --no-replay restores it as it was read")
}

#[cfg(test)]
mod tests {
    use backup_core::body;
    use bson::doc;
    use bson::spec::BinarySubtype;

    use super::*;

    fn ui(number: u8) -> bson::Binary {
        bson::Binary { subtype: BinarySubtype::Uuid, bytes: vec![number; 16] }
    }

    fn command(number: u8, object: Document) -> Document {
        doc! { "op": "c", "ns": "app.$cmd", "ui": ui(number), "o": object }
    }

    async fn window(entries: &[Document]) -> Result<Window> {
        let bytes: Vec<u8> = entries.iter().flat_map(|entry| entry.to_vec().expect("BSON")).collect();
        let mut oplog = Documents::new(body::from_bytes(bytes), "oplog.bson");
        Window::read(&mut oplog, |database, _| database == "app").await
    }

    #[tokio::test]
    async fn options_and_indexes_are_what_the_last_command_left() {
        let key = "01".repeat(16);
        let index = |name: &str, n: i32| doc! { "v": 2, "key": { "a": n }, "name": name };
        let mut create = doc! { "createIndexes": "users" };
        create.extend(index("a", 1));
        let entries = [
            command(1, create),
            command(
                1,
                doc! { "commitIndexBuild": "users", "indexBuildUUID": ui(9), "indexes": [index("b", 1), index("old", -1)] },
            ),
            command(1, doc! { "dropIndexes": "users", "index": "gone" }),
            command(1, doc! { "collMod": "users", "index": { "name": "b", "expireAfterSeconds": 60 } }),
            command(1, doc! { "collMod": "users", "validator": { "x": 1 }, "validationLevel": "strict" }),
            command(1, doc! { "startIndexBuild": "users", "indexes": [index("begun", 1), index("broken", 1)] }),
            command(1, doc! { "abortIndexBuild": "users", "indexes": [index("failed", 1)] }),
            command(2, doc! { "collMod": "users", "validator": { "x": 1 } }),
            command(2, doc! { "drop": "users" }),
            command(
                3,
                doc! { "create": "new", "capped": true, "size": 4096, "idIndex": { "key": { "_id": 1 }, "name": "_id_" } },
            ),
        ];
        let window = window(&entries).await.expect("a window");
        let indexes = ["old", "gone", "begun", "failed"].map(|name| index(name, 1)).to_vec();
        let mut described = Described { indexes, ..Described::default() };
        window.changes[&key].apply(&mut described).expect("applied");
        let mut with_time = index("b", 1);
        with_time.insert("expireAfterSeconds", 60);
        assert_eq!(described.indexes, [index("a", 1), with_time, index("old", -1)]);
        assert_eq!(described.options, doc! { "validator": { "x": 1 }, "validationLevel": "strict" });
        let dropped = &window.changes[&"02".repeat(16)];
        assert!(dropped.is_dropped && dropped.commands.is_empty() && !window.changes[&key].is_dropped);
        let new = &window.changes[&"03".repeat(16)];
        new.apply(&mut described).expect("applied");
        assert!(new.is_made && !new.is_written);
        assert_eq!((described.options, described.indexes.len()), (doc! { "capped": true, "size": 4096 }, 1));
    }

    #[tokio::test]
    async fn what_cannot_be_replayed_is_refused_where_it_is_meant() {
        let views = |database: &str| doc! { "op": "i", "ns": format!("{database}.system.views"), "ui": ui(1), "o": {} };
        for entry in [
            views("app"),
            command(1, doc! { "create": "system.buckets.weather" }),
            command(1, doc! { "convertToCapped": "users" }),
            command(1, doc! { "renameCollection": "app.users", "to": "app.others" }),
        ] {
            let error = window(std::slice::from_ref(&entry)).await.expect_err("refused").chain();
            assert!(error.contains("cannot be replayed"), "{entry}: {error}");
        }
        assert!(window(&[views("other")]).await.expect("not meant").changes.is_empty());
        let other =
            doc! { "op": "c", "ns": "other.$cmd", "ui": ui(1), "o": { "renameCollection": "other.a", "to": "other.b" } };
        let nothing = [command(1, doc! { "setMultikeyMetadata": "users" }), command(1, doc! { "dropDatabase": 1 }), other];
        assert!(window(&nothing).await.expect("nothing").changes.is_empty());
        let unnamed = doc! { "op": "i", "ns": "app.users", "o": { "_id": 1 } };
        assert_eq!(window(&[unnamed]).await.expect_err("whose").kind(), Kind::Damaged);
    }

    #[tokio::test]
    async fn what_collmod_says_of_bounds_and_age_is_what_the_collection_has_and_what_is_not_known_is_refused() {
        let changed = async |change: Document, options: Document| {
            let mut object = doc! { "collMod": "users" };
            object.extend(change);
            let window = window(&[command(1, object)]).await.expect("a window");
            let mut described = Described { options, ..Described::default() };
            let applied = window.changes[&"01".repeat(16)].apply(&mut described);
            applied.map(|()| described.options).map_err(|error| error.chain())
        };
        let capped = doc! { "capped": true, "size": 4096, "max": 10 };
        let bounds = doc! { "cappedSize": 8192, "cappedMax": 20 };
        assert_eq!(changed(bounds, capped).await, Ok(doc! { "capped": true, "size": 8192, "max": 20 }));
        let clustered = || doc! { "clusteredIndex": true, "expireAfterSeconds": 60_i64 };
        let longer = doc! { "expireAfterSeconds": 90_i64 };
        assert_eq!(changed(longer, clustered()).await, Ok(doc! { "clusteredIndex": true, "expireAfterSeconds": 90_i64 }));
        assert_eq!(changed(doc! { "expireAfterSeconds": "off" }, clustered()).await, Ok(doc! { "clusteredIndex": true }));
        let refused = changed(doc! { "timeseries": { "granularity": "hours" } }, doc! {}).await.expect_err("refused");
        assert!(refused.contains("cannot be replayed: collMod changed timeseries"), "{refused}");
    }

    #[tokio::test]
    async fn what_is_kept_of_a_window_has_an_end() {
        let validator = doc! { "x": "x".repeat(8 << 20) };
        let change = |number| command(number, doc! { "collMod": "users", "validator": validator.clone() });
        let drop = command(1, doc! { "drop": "users" });
        let error = window(&[change(1), change(2), change(3), change(4)]).await.expect_err("refused").chain();
        assert!(error.contains("cannot be replayed: too many"), "{error}");
        window(&[change(1), change(2), change(3), drop, change(4)]).await.expect("what is dropped needs nothing");
    }

    #[tokio::test]
    async fn an_oplog_in_which_a_byte_is_wrong_is_told_in_words() {
        let mut entry = command(1, doc! { "create": "new", "idIndex": { "key": { "_id": 1 }, "name": "_id_" } });
        entry.extend(doc! { "lsid": { "id": ui(7) }, "txnNumber": 7_i64 });
        let inner = doc! { "op": "u", "ns": "app.users", "ui": ui(2), "o": { "$v": 2 }, "o2": { "_id": 1 } };
        let outer = doc! { "op": "c", "ns": "admin.$cmd", "o": { "applyOps": [inner], "prepare": true } };
        let bytes = [entry, outer].iter().flat_map(|entry| entry.to_vec().expect("BSON")).collect::<Vec<u8>>();
        let mut refused = 0;
        for at in 0..bytes.len() {
            for flip in [1, 0x20, 0x80, 0xff] {
                let mut bytes = bytes.clone();
                bytes[at] ^= flip;
                let mut oplog = Documents::new(body::from_bytes(bytes), "oplog.bson");
                let read = Window::read(&mut oplog, |database, _| database == "app").await;
                let applied = read
                    .and_then(|window| window.changes.values().try_for_each(|change| change.apply(&mut Described::default())));
                let Err(error) = applied else { continue };
                assert!([Kind::Damaged, Kind::Failed].contains(&error.kind()), "byte {at}: {error:?}");
                refused += 1;
            }
        }
        assert!(refused > bytes.len(), "{refused}");
    }

    #[tokio::test]
    async fn a_transaction_counts_if_it_is_committed_in_the_window() {
        let part = |number: i64, object: Document| {
            doc! { "op": "c", "ns": "admin.$cmd", "lsid": { "id": 1 }, "txnNumber": number, "o": object }
        };
        let entries = [
            part(1, doc! { "applyOps": [], "partialTxn": true }),
            part(2, doc! { "applyOps": [], "prepare": true }),
            part(3, doc! { "applyOps": [], "prepare": true }),
            part(4, doc! { "applyOps": [], "prepare": true }),
            part(1, doc! { "applyOps": [] }),
            part(2, doc! { "commitTransaction": 1 }),
            part(3, doc! { "abortTransaction": 1 }),
        ];
        let window = window(&entries).await.expect("a window");
        let counts: Vec<bool> =
            entries.iter().map(|entry| window.counts(&Entry::of(&entry.to_vec().expect("BSON")).expect("an entry"))).collect();
        assert_eq!(counts, [true, true, false, false, true, true, false]);
    }
}
