//! A replica set that is written to while it is backed up comes back as it was at one instant.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use backup_core::{
    Context, Kind, Memory, Name, Origin, Part, Plain, Reading, Repository, Result, Snapshot, Source, Stored, backup, body,
    prove,
};
use backup_mongo::dump::StoredDump;
use backup_mongo::restore::{RestoreOptions, Run, Selection, restore};
use backup_mongo::{Config, Deployment, Options, Restore};
use backup_tests::Mongod;
use futures_util::TryStreamExt;
use futures_util::future::BoxFuture;
use mongodb::bson::{DateTime, Document, doc};
use mongodb::{Client, Database};
use tokio::sync::watch;

use crate::breaks::leftovers;
use crate::scene::{client, described, hash};

/// What the accounts have together, always.
const ALL: i64 = 3000;
/// The part that is read last of all documents.
const LAST: &str = "bank/z.bson";

/// What happens to a deployment meanwhile.
#[derive(Debug, Clone)]
struct Meanwhile(Client, fn(Client) -> BoxFuture<'static, ()>);

/// A deployment to which something happens when all documents but those of one collection were read.
#[derive(Debug)]
struct Written {
    of: Deployment,
    meanwhile: Meanwhile,
}

#[derive(Debug)]
struct WrittenSnapshot {
    of: Box<dyn Snapshot>,
    meanwhile: Meanwhile,
    unread: watch::Sender<HashSet<Name>>,
}

#[async_trait]
impl Source for Written {
    async fn snapshot(&self, cx: &Context, base: Option<&dyn Stored>) -> Result<Box<dyn Snapshot>> {
        let of = self.of.snapshot(cx, base).await?;
        let others = of.parts().iter().map(|part| part.name.clone());
        let others = others.filter(|name| name.as_str().ends_with(".bson") && ![LAST, "oplog.bson"].contains(&name.as_str()));
        let unread = watch::Sender::new(others.collect());
        Ok(Box::new(WrittenSnapshot { of, meanwhile: self.meanwhile.clone(), unread }))
    }
}

#[async_trait]
impl Snapshot for WrittenSnapshot {
    fn origin(&self) -> &Origin {
        self.of.origin()
    }

    fn parts(&self) -> &[Part] {
        self.of.parts()
    }

    fn width(&self) -> usize {
        self.of.width()
    }

    async fn read(&self, part: &Name) -> Result<Reading> {
        if part.as_str() == LAST {
            let _ = self.unread.subscribe().wait_for(HashSet::is_empty).await;
            let Meanwhile(client, does) = self.meanwhile.clone();
            does(client).await;
        }
        let mut reading = self.of.read(part).await?;
        if self.unread.borrow().contains(part) {
            reading.body = body::from_bytes(body::to_vec(reading.body, 1 << 30).await?);
            self.unread.send_if_modified(|unread| unread.remove(part));
        }
        Ok(reading)
    }

    async fn close(self: Box<Self>) -> Result<()> {
        self.of.close().await
    }
}

/// A backup that was taken while `meanwhile` happened.
struct Taken {
    repo: Plain,
    job: Name,
    cx: Context,
}

impl Taken {
    async fn of(server: &Mongod, meanwhile: Meanwhile) -> Self {
        let (repo, job, cx) =
            (Plain::new(Arc::new(Memory::default()), "tests"), "bank".parse().expect("a name"), Context::default());
        let of = Deployment { config: Config::new(server.host()), options: Options { jobs: 1, ..Options::default() } };
        let sources = async { Ok([Box::new(Written { of, meanwhile })]) };
        backup(&cx, &repo, &job, sources, backup_core::Options::default()).await.expect("a backup");
        Self { repo, job, cx }
    }

    async fn restore(&self, host: &str, selection: &Selection, replay: bool) -> Result<backup_core::Restored> {
        let newest = self.repo.records(&self.job).await?.last().expect("a backup").id;
        let dump = StoredDump::new(self.repo.open(&self.job, newest).await?)?;
        let run = Run::new();
        let options = RestoreOptions { replay, ..RestoreOptions::default() };
        restore(&self.cx, &client(host, &run), &run, &dump, selection, &options).await
    }
}

async fn run(database: &Database, command: Document) {
    database.run_command(command.clone()).await.unwrap_or_else(|error| panic!("{command}: {error}"));
}

fn index(of: &str, name: &str) -> Document {
    doc! { "createIndexes": of, "indexes": [{ "key": { name: 1 }, "name": name }] }
}

async fn sum(database: &Database) -> i64 {
    let mut sum = 0;
    for name in ["a", "z"] {
        let accounts = database.collection::<Document>(name);
        let accounts = accounts.find(doc! { "has": { "$exists": true } }).await.expect("found");
        let accounts: Vec<Document> = accounts.try_collect().await.expect("found");
        sum += accounts.iter().map(|account| account.get_i64("has").expect("a sum")).sum::<i64>();
    }
    sum
}

async fn fill(bank: &Database) {
    run(bank, doc! { "create": "weather", "timeseries": { "timeField": "at", "metaField": "place" } }).await;
    run(bank, doc! { "create": "log", "capped": true, "size": 65536, "max": 10 }).await;
    let accounts = (0..3).map(|i| doc! { "_id": i, "has": 500_i64, "of": { "who": "x", "tags": [1, 2, 3] } });
    for name in ["a", "z", "gone", "again"] {
        bank.collection::<Document>(name).insert_many(accounts.clone()).await.expect("inserted");
    }
    bank.collection::<Document>("log").insert_many((0..8).map(|i| doc! { "_id": i })).await.expect("inserted");
    let measured = doc! { "at": DateTime::from_millis(1_700_000_000_000), "place": "p", "degrees": 1 };
    bank.collection::<Document>("weather").insert_one(measured).await.expect("inserted");
    run(bank, index("a", "old")).await;
    run(bank, index("a", "has")).await;
}

/// Moves money, in transactions of which one is too large for an entry, and changes all that can be changed.
async fn write(client: &Client) {
    let bank = client.database("bank");
    let [a, z] = ["a", "z"].map(|name| bank.collection::<Document>(name));
    for (large, id) in [(0, 0), (9 << 20, 1)] {
        let mut session = client.start_session().await.expect("a session");
        session.start_transaction().await.expect("begun");
        for (of, by) in [(&a, -100_i64), (&z, 100)] {
            let moved = doc! { "$inc": { "has": by }, "$set": { "of.who": "y", "text": "x".repeat(large) } };
            of.update_one(doc! { "_id": id }, moved).session(&mut session).await.expect("moved");
        }
        session.commit_transaction().await.expect("committed");
    }
    for of in [&a, &z] {
        of.update_one(doc! { "_id": 2 }, doc! { "$push": { "of.tags": 4 }, "$unset": { "of.who": 1 } }).await.expect("changed");
        of.insert_one(doc! { "_id": "new", "n": 1 }).await.expect("inserted");
        of.update_one(doc! { "_id": "new" }, doc! { "$inc": { "n": 1 } }).await.expect("changed");
        of.insert_one(doc! { "_id": "brief" }).await.expect("inserted");
        of.update_one(doc! { "_id": "brief" }, doc! { "$set": { "n": 1 } }).await.expect("changed");
        of.delete_one(doc! { "_id": "brief" }).await.expect("deleted");
    }
    bank.collection::<Document>("log").insert_many((8..15).map(|i| doc! { "_id": i })).await.expect("inserted");
    let measured = doc! { "at": DateTime::from_millis(1_700_000_060_000), "place": "p", "degrees": 2 };
    bank.collection::<Document>("weather").insert_one(measured).await.expect("inserted");
    run(&bank, doc! { "dropIndexes": "a", "index": "old" }).await;
    run(&bank, index("a", "new")).await;
    run(&bank, index("empty", "first")).await;
    run(&bank, doc! { "collMod": "a", "validator": { "_id": { "$exists": true } }, "validationLevel": "moderate" }).await;
    for name in ["gone", "again"] {
        bank.collection::<Document>(name).drop().await.expect("dropped");
    }
    bank.collection::<Document>("again").insert_one(doc! { "_id": "other" }).await.expect("inserted");
    run(&bank, doc! { "create": "made", "capped": true, "size": 4096 }).await;
    bank.collection::<Document>("made").insert_one(doc! { "_id": 1 }).await.expect("inserted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_that_is_written_to_comes_back_as_it_was_at_the_end() {
    let Some(server) = Mongod::replica_set().await else { return };
    let Some(other) = Mongod::start().await else { return };
    let source = server.client();
    let bank = source.database("bank");
    fill(&bank).await;
    let taken = Taken::of(&server, Meanwhile(source.clone(), |client| Box::pin(async move { write(&client).await }))).await;
    let before = hash(&bank).await;
    assert!(before.contains_key("made") && !before.contains_key("gone"), "{before}");
    assert_eq!(sum(&bank).await, ALL);

    // As it was read, money is there twice.
    let of_bank =
        |name: &str| Selection { database: Some("bank".into()), as_database: Some(name.into()), ..Selection::default() };
    let as_read = source.database("read");
    taken.restore(&server.host(), &of_bank("read"), false).await.expect("restored");
    assert_eq!(sum(&as_read).await, ALL + 200);

    let restored = taken.restore(&other.host(), &Selection::default(), true).await.expect("restored");
    assert!(restored.counts["entries of the oplog"] > 20, "{restored:?}");
    let again = other.client().database("bank");
    assert_eq!((sum(&again).await, hash(&again).await), (ALL, before.clone()));
    for name in ["a", "z", "again", "made", "empty", "log", "weather"] {
        assert_eq!(described(&again, name).await, described(&bank, name).await, "{name}");
    }
    assert_eq!(leftovers(&again).await, Vec::<String>::new());

    // Under another name, and of two collections alone.
    taken.restore(&server.host(), &of_bank("other"), true).await.expect("restored");
    let mut renamed = hash(&source.database("other")).await;
    let mut plain = before.clone();
    for of in [&mut renamed, &mut plain] {
        of.remove("system.views");
    }
    assert_eq!(renamed, plain);
    let two = Selection { collections: vec!["a".into(), "z".into()], ..of_bank("two") };
    let restored = taken.restore(&server.host(), &two, true).await.expect("restored");
    assert_eq!(
        (restored.what.as_slice(), sum(&source.database("two")).await),
        (&["two.a".to_owned(), "two.z".to_owned()][..], ALL)
    );

    let Some(scratch) = Mongod::start().await else { return };
    let target = Restore { config: Config::new(scratch.host()), ..Restore::default() };
    let newest = taken.repo.records(&taken.job).await.expect("records").last().expect("a backup").id;
    let checked = prove(&taken.cx, &taken.repo, &taken.job, newest, &target).await.expect("proven");
    assert_eq!(checked.counts["collections"], 7, "{checked:?}");
    assert_eq!(hash(&scratch.client().database("bank")).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_replayed_restores_nothing_but_without_it() {
    let Some(server) = Mongod::replica_set().await else { return };
    let source = server.client();
    let bank = source.database("bank");
    fill(&bank).await;
    let view = |client: Client| -> BoxFuture<'static, ()> {
        Box::pin(async move { run(&client.database("bank"), doc! { "create": "seen", "viewOn": "a", "pipeline": [] }).await })
    };
    let taken = Taken::of(&server, Meanwhile(source.clone(), view)).await;
    let selection = Selection { database: Some("bank".into()), as_database: Some("other".into()), ..Selection::default() };
    let error = taken.restore(&server.host(), &selection, true).await.expect_err("refused");
    assert_eq!(error.kind(), Kind::Failed);
    assert!(
        error.chain().contains("a view or a time series was made") && error.chain().contains("(bank)"),
        "{}",
        error.chain()
    );
    let other = source.database("other");
    assert_eq!(other.list_collection_names().await.expect("names"), Vec::<String>::new());
    taken.restore(&server.host(), &selection, false).await.expect("restored");
    assert!(!other.list_collection_names().await.expect("names").is_empty());
}
