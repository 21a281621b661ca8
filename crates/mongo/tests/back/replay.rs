//! A replica set that is written to while it is backed up comes back as it was at one instant.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use backup_core::{Body, Context, Kind, Recorder, Repository, Result, Target, body, prove};
use backup_mongo::dump::{Dump, Listed};
use backup_mongo::heal::{Healer, Verified, examine, heal};
use backup_mongo::restore::{PREFIX, RestoreOptions, Run, Selection, restore};
use backup_mongo::{Config, Described, Restore, Secret};
use backup_tests::{Mongod, MongodSetup};
use futures_util::TryStreamExt;
use futures_util::future::BoxFuture;
use mongodb::bson::{Bson, DateTime, Document, doc};
use mongodb::{Client, Database};

use crate::breaks::leftovers;
use crate::meanwhile::{Meanwhile, Taken};
use crate::scene::{client, described, hash, healer, these};

/// What the accounts have together, always.
pub(crate) const ALL: i64 = 3000;

async fn run(database: &Database, command: Document) {
    database.run_command(command.clone()).await.unwrap_or_else(|error| panic!("{command}: {error}"));
}

fn index(of: &str, name: &str) -> Document {
    doc! { "createIndexes": of, "indexes": [{ "key": { name: 1 }, "name": name }] }
}

pub(crate) async fn sum(database: &Database) -> i64 {
    let mut sum = 0;
    for name in ["a", "z"] {
        let accounts = database.collection::<Document>(name);
        let accounts = accounts.find(doc! { "has": { "$exists": true } }).await.expect("found");
        let accounts: Vec<Document> = accounts.try_collect().await.expect("found");
        sum += accounts.iter().map(|account| account.get_i64("has").expect("a sum")).sum::<i64>();
    }
    sum
}

/// What is written to another database.
const ASIDE: &str = "what is aside";

pub(crate) async fn fill(client: &Client) {
    let bank = &client.database("bank");
    client.database("aside").collection::<Document>("notes").insert_one(doc! { "_id": 0 }).await.expect("inserted");
    run(bank, doc! { "create": "weather", "timeseries": { "timeField": "at", "metaField": "place" } }).await;
    for log in ["log", "zlog"] {
        run(bank, doc! { "create": log, "capped": true, "size": 65536, "max": 10 }).await;
        bank.collection::<Document>(log).insert_many((0..8).map(|i| doc! { "_id": i })).await.expect("inserted");
    }
    let accounts = (0..3).map(|i| doc! { "_id": i, "has": 500_i64, "of": { "who": "x", "tags": [1, 2, 3] } });
    for name in ["a", "z", "gone", "again"] {
        bank.collection::<Document>(name).insert_many(accounts.clone()).await.expect("inserted");
        bank.collection::<Document>(name).insert_one(doc! { "_id": "leaving", "n": 1 }).await.expect("inserted");
    }
    let measured = doc! { "at": DateTime::from_millis(1_700_000_000_000), "place": "p", "degrees": 1 };
    bank.collection::<Document>("weather").insert_one(measured).await.expect("inserted");
    run(bank, index("a", "old")).await;
    run(bank, index("a", "has")).await;
}

/// Moves money, in transactions of which one is too large for an entry, and changes all that can be changed.
pub(crate) async fn write(client: &Client) {
    let bank = client.database("bank");
    let [a, z] = ["a", "z"].map(|name| bank.collection::<Document>(name));
    for (large, id) in [(0, 0), (9 << 20, 1)] {
        let mut session = client.start_session().await.expect("a session");
        session.start_transaction().await.expect("begun");
        for (of, by) in [(&a, -100_i64), (&z, 100)] {
            let moved = doc! { "$inc": { "has": by }, "$set": { "of.who": "y", "text": "x".repeat(large) } };
            of.update_one(doc! { "_id": id }, moved).session(&mut session).await.expect("moved");
        }
        let notes = client.database("aside").collection::<Document>("notes");
        notes.insert_one(doc! { "text": ASIDE }).session(&mut session).await.expect("inserted");
        session.commit_transaction().await.expect("committed");
    }
    for of in [&a, &z] {
        of.update_one(doc! { "_id": 2 }, doc! { "$push": { "of.tags": 4 }, "$unset": { "of.who": 1 } }).await.expect("changed");
        of.insert_one(doc! { "_id": "new", "n": 1 }).await.expect("inserted");
        of.update_one(doc! { "_id": "new" }, doc! { "$inc": { "n": 1 } }).await.expect("changed");
        of.insert_one(doc! { "_id": "brief" }).await.expect("inserted");
        of.update_one(doc! { "_id": "brief" }, doc! { "$set": { "n": 1 } }).await.expect("changed");
        of.delete_one(doc! { "_id": "brief" }).await.expect("deleted");
        of.update_one(doc! { "_id": "leaving" }, doc! { "$inc": { "n": 1 } }).await.expect("changed");
        of.delete_one(doc! { "_id": "leaving" }).await.expect("deleted");
    }
    client.database("aside").collection::<Document>("notes").insert_one(doc! { "text": ASIDE }).await.expect("inserted");
    a.insert_one(doc! { "_id": "long", "text": "x".repeat((16 << 20) - 64) }).await.expect("inserted");
    bank.collection::<Document>("log").insert_many((8..15).map(|i| doc! { "_id": i })).await.expect("inserted");
    // What it had for a while it must not drop others for.
    let log = bank.collection::<Document>("zlog");
    for id in [Bson::Int32(8), Bson::String("brief".into()), Bson::Int32(9), Bson::Int32(10)] {
        log.insert_one(doc! { "_id": &id }).await.expect("inserted");
        log.delete_one(doc! { "_id": "brief" }).await.expect("deleted");
        log.update_one(doc! { "_id": 0 }, doc! { "$inc": { "n": 1 } }).await.expect("changed");
    }
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
    fill(&source).await;
    let taken =
        Taken::of(&server, None, Meanwhile(source.clone(), |client| Box::pin(async move { write(&client).await }))).await;
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
    for name in ["a", "z", "again", "made", "empty", "log", "zlog", "weather"] {
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
    let newest = taken.newest().await;
    let checked = prove(&taken.cx, &taken.repo, &taken.job, newest, &target).await.expect("proven");
    assert_eq!(checked.counts["collections"], 9, "{checked:?}");
    assert_eq!(hash(&scratch.client().database("bank")).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_database_comes_back_as_it_was_at_the_end_and_has_nothing_of_others() {
    let Some(server) = Mongod::replica_set().await else { return };
    let Some(other) = Mongod::start().await else { return };
    let source = server.client();
    fill(&source).await;
    let taken = Taken::of(
        &server,
        Some("bank"),
        Meanwhile(source.clone(), |client| {
            Box::pin(async move {
                // What is renamed elsewhere is nobody's concern.
                client.database("aside").create_collection("old").await.expect("created");
                run(&client.database("admin"), doc! { "renameCollection": "aside.old", "to": "aside.new" }).await;
                write(&client).await;
            })
        }),
    )
    .await;
    let before = hash(&source.database("bank")).await;
    let oplog = taken.dump().await.oplog().await.expect("read").expect("an oplog");
    let oplog = body::to_vec(oplog, 1 << 30).await.expect("whole");
    let has = |text: &str| oplog.windows(text.len()).any(|bytes| bytes == text.as_bytes());
    assert!(has("bank.a") && !has(ASIDE) && !has("aside"));
    taken.restore(&other.host(), &Selection::default(), true).await.expect("restored");
    let again = other.client().database("bank");
    assert_eq!((sum(&again).await, hash(&again).await), (ALL, before));

    // A healing does not replay: what was made meanwhile is in no backup for it.
    let bank = source.database("bank");
    for name in ["made", "a"] {
        bank.collection::<Document>(name).drop().await.expect("dropped");
    }
    let run = Run::new();
    let client = client(&server.host(), &run);
    let healer = Healer { database: "bank".to_owned(), ..healer(&client, &run, these(&["made", "a"])) };
    let mut backups = Verified::new(&taken.repo, taken.job.clone());
    let diagnosis = examine(&taken.cx, &healer, &mut backups).await.expect("told");
    let healed = heal(&taken.cx, &healer, diagnosis).await.expect("healed");
    assert_eq!((healed.still_sick(), healed.done.len()), (vec!["made"], 1), "{healed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_replay_is_told_before_anything_is_filled() {
    let Some(server) = Mongod::replica_set().await else { return };
    let setup = MongodSetup { password: Some("s3cret".to_owned()), ..MongodSetup::default() };
    let Some(other) = Mongod::start_with(&setup).await else { return };
    fill(&server.client()).await;
    let taken = Taken::of(
        &server,
        Some("bank"),
        Meanwhile(server.client(), |client| {
            Box::pin(async move {
                client.database("bank").collection("a").insert_one(doc! { "_id": "new" }).await.expect("inserted");
            })
        }),
    )
    .await;
    let admin = other.client().database("admin");
    let all = doc! { "resource": { "anyResource": true }, "actions": ["anyAction"] };
    run(&admin, doc! { "createRole": "replayer", "privileges": [all], "roles": [] }).await;
    for (user, role) in [("restorer", "restore"), ("replayer", "replayer")] {
        run(&admin, doc! { "createUser": user, "pwd": "s3cret", "roles": [role] }).await;
    }
    let target = |user: &str| Restore {
        config: Config {
            username: Some(user.to_owned()),
            password: Some(Secret::from("s3cret")),
            ..Config::new(format!("mongodb://{}/?directConnection=true", other.host()))
        },
        ..Restore::default()
    };
    let inserts = async || {
        let status = admin.run_command(doc! { "serverStatus": 1 }).await.expect("a status");
        status.get_document("opcounters").expect("counters").get("insert").cloned()
    };
    let (cx, before) = (Context::default(), inserts().await);
    let stored = taken.repo.open(&taken.job, taken.newest().await).await.expect("opened");
    let error = target("restorer").restore(&cx, &*stored).await.expect_err("refused");
    assert!(error.hint().is_some_and(|hint| hint.contains("anyAction") && hint.contains("--no-replay")), "{error:?}");
    assert_eq!(inserts().await, before);
    target("replayer").restore(&cx, &*stored).await.expect("restored");
}

/// A dump that looks at the server when its oplog is asked for, and whose oplog may break off when it is replayed.
#[derive(Debug)]
struct Looking<D> {
    dump: D,
    at: Database,
    seen: Mutex<Vec<Vec<String>>>,
    breaks: bool,
}

#[async_trait]
impl<D: Dump> Dump for Looking<D> {
    async fn collections(&self) -> Result<Vec<Listed>> {
        self.dump.collections().await
    }

    async fn describe(&self, listed: &Listed) -> Result<Described> {
        self.dump.describe(listed).await
    }

    async fn documents(&self, listed: &Listed) -> Result<Body> {
        self.dump.documents(listed).await
    }

    async fn oplog(&self) -> Result<Option<Body>> {
        let names = self.at.list_collection_names().await.expect("names");
        let is_again = {
            let mut seen = self.seen.lock().expect("no panic");
            seen.push(names);
            seen.len() > 1
        };
        let Some(oplog) = self.dump.oplog().await? else { return Ok(None) };
        if !(self.breaks && is_again) {
            return Ok(Some(oplog));
        }
        let all = body::to_vec(oplog, 1 << 30).await?;
        Ok(Some(body::from_bytes(all[..all.len() - 1].to_vec())))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_seen_before_all_is_replayed_and_nothing_is_left_of_a_replay_that_breaks_off() {
    let Some(server) = Mongod::replica_set().await else { return };
    let source = server.client();
    fill(&source).await;
    let taken =
        Taken::of(&server, None, Meanwhile(source.clone(), |client| Box::pin(async move { write(&client).await }))).await;
    let selection = Selection { database: Some("bank".into()), as_database: Some("other".into()), ..Selection::default() };
    for breaks in [true, false] {
        let at = source.database("other");
        let dump = Looking { dump: taken.dump().await, at: at.clone(), seen: Mutex::default(), breaks };
        let (run, told) = (Run::new(), Arc::new(Recorder::default()));
        let cx = Context { monitor: told.clone(), ..Context::default() };
        let client = client(&server.host(), &run);
        let restored = restore(&cx, &client, &run, &dump, &selection, &RestoreOptions::default()).await;
        let seen = std::mem::take(&mut *dump.seen.lock().expect("no panic"));
        assert_eq!(seen.len(), 2);
        // Of a time series the server shows its buckets too.
        let is_beside = |name: &String| name.starts_with(PREFIX) || name.starts_with("system.");
        assert!(seen[1].len() > 6 && seen[1].iter().all(is_beside), "{seen:?}");
        assert!(told.story().iter().any(|line| line.contains("bank.gone was dropped")), "{:?}", told.story());
        let left = at.list_collection_names().await.expect("names");
        match breaks {
            true => {
                assert_eq!(restored.expect_err("it breaks off").kind(), Kind::Damaged);
                assert!(left.iter().all(|name| name == "system.views"), "{left:?}");
            }
            false => {
                restored.expect("restored");
                assert_eq!(sum(&at).await, ALL);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_replayed_restores_nothing_but_without_it() {
    let Some(server) = Mongod::replica_set().await else { return };
    let source = server.client();
    fill(&source).await;
    let view = |client: Client| -> BoxFuture<'static, ()> {
        Box::pin(async move { run(&client.database("bank"), doc! { "create": "seen", "viewOn": "a", "pipeline": [] }).await })
    };
    let taken = Taken::of(&server, None, Meanwhile(source.clone(), view)).await;
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
