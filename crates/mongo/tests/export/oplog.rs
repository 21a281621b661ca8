//! What a replica set writes while it is read is in the oplog's window, and nothing of it is ours.

use backup_core::body;
use backup_mongo::{Instant, PartFacts, Window};
use backup_tests::{Mongod, MongodSetup, mongo_corpus};
use bson::{Document, doc};
use futures_util::TryStreamExt;

use crate::{deployment, files, snapshot, with_test_commands};

#[tokio::test]
async fn what_is_written_while_collections_are_read_stands_in_the_window() {
    let Some(server) = Mongod::replica_set().await else { return };
    let app = server.client().database("app");
    app.collection::<Document>("users").insert_one(doc! { "_id": "before" }).await.expect("stored");
    let taken = snapshot(&deployment(&server, None)).await.expect("a snapshot");
    assert_eq!((&taken.origin().facts["instant"], &taken.origin().facts["set"]), (&"end of the oplog".into(), &"rs0".into()));
    assert!(taken.width() >= 2, "whoever waits for all others must not be the only one");
    let last = taken.parts().last().expect("parts").name.clone();
    assert_eq!(last.as_str(), "oplog.bson");

    // The oplog is asked for first, and waits for every collection.
    let oplog = taken.read(&last).await.expect("a body");
    let reading = tokio::spawn(body::to_vec(oplog.body, 1 << 20));
    for part in taken.parts().iter().filter(|part| part.name != last) {
        assert!(!reading.is_finished(), "it did not wait for {}", part.name);
        body::drain(taken.read(&part.name).await.expect("a body").body).await.expect("whole");
        if part.name.as_str() == "app/users.bson" {
            app.collection::<Document>("users").insert_one(doc! { "_id": "meanwhile" }).await.expect("stored");
        }
    }
    let bytes = reading.await.expect("no panic").expect("whole");
    let facts = PartFacts::from_facts(&last, oplog.facts.get().expect("facts")).expect("facts");
    let window = facts.window.expect("a window");
    assert!(window.from < window.to, "{window:?}");
    let (mut rest, mut entries) = (bytes.as_slice(), Vec::new());
    while !rest.is_empty() {
        entries.push(Document::from_reader(&mut rest).expect("an entry"));
    }
    assert_eq!(facts.documents.expect("counted").documents, entries.len() as u64);
    // Both ends of the window are among it.
    let ts = |entry: Option<&Document>| entry.and_then(|entry| entry.get_timestamp("ts").ok()).map(Instant::from);
    assert_eq!((ts(entries.first()), ts(entries.last())), (Some(window.from), Some(window.to)));
    let inserted =
        entries.iter().find(|entry| entry.get_document("o").is_ok_and(|o| o.get_str("_id").is_ok_and(|id| id == "meanwhile")));
    assert_eq!(inserted.expect("the entry").get_str("ns").ok(), Some("app.users"));
}

#[tokio::test]
async fn a_rename_meanwhile_cannot_be_brought_to_one_instant() {
    let Some(server) = Mongod::replica_set().await else { return };
    let client = server.client();
    client.database("app").collection::<Document>("old").insert_one(doc! { "_id": 1 }).await.expect("stored");
    let taken = snapshot(&deployment(&server, None)).await.expect("a snapshot");
    for part in taken.parts().iter().filter(|part| part.name.as_str() != "oplog.bson") {
        body::drain(taken.read(&part.name).await.expect("a body").body).await.expect("whole");
    }
    let rename = doc! { "renameCollection": "app.old", "to": "app.new" };
    client.database("admin").run_command(rename).await.expect("renamed");
    let oplog = taken.read(&"oplog.bson".parse().expect("a name")).await.expect("a body");
    let error = body::drain(oplog.body).await.expect_err("refused");
    assert!(error.chain().contains("a collection was renamed"), "{error:?}");
}

#[tokio::test]
async fn an_export_writes_nothing_to_its_source() {
    let Some(server) = Mongod::replica_set().await else { return };
    let client = server.client();
    mongo_corpus::load(&client).await;
    let oplog = client.database("local").collection::<Document>("oplog.rs");
    let newest = oplog.find_one(doc! {}).sort(doc! { "$natural": -1 }).await.expect("read").expect("an entry");
    let taken = snapshot(&deployment(&server, None)).await.expect("a snapshot");
    let files = files(&*taken).await.expect("all is read");
    assert!(files["oplog.bson"].facts[0].window.is_some());
    // The server itself writes that nothing happened, and which clients it knows.
    let after = doc! { "ts": { "$gt": newest.get_timestamp("ts").expect("ts") }, "op": { "$ne": "n" }, "ns": { "$ne": "config.system.sessions" } };
    let written: Vec<Document> = oplog.find(after).await.expect("a cursor").try_collect().await.expect("entries");
    assert_eq!(written, Vec::<Document>::new());
}

/// The bounds of the window of a snapshot that is read now.
async fn window(taken: &dyn backup_core::Snapshot) -> backup_core::Result<Window> {
    for part in taken.parts().iter().filter(|part| part.name.as_str() != "oplog.bson") {
        body::drain(taken.read(&part.name).await?.body).await?;
    }
    let name = "oplog.bson".parse().expect("a name");
    let oplog = taken.read(&name).await?;
    body::drain(oplog.body).await?;
    Ok(PartFacts::from_facts(&name, oplog.facts.get().expect("facts"))?.window.expect("a window"))
}

#[tokio::test]
async fn a_collection_that_comes_while_others_are_listed_is_read_or_stands_in_the_window() {
    let Some(server) = with_test_commands(true).await else { return };
    let (admin, app) = (server.client().database("admin"), server.client().database("app"));
    app.collection::<Document>("users").insert_one(doc! { "_id": 1 }).await.expect("stored");
    // Where the window begins is asked once the collections were listed; the answer takes its time.
    let waits = doc! { "failCommands": ["find"], "namespace": "local.oplog.rs", "blockConnection": true, "blockTimeMS": 1000 };
    let set = doc! { "configureFailPoint": "failCommand", "mode": { "times": 1 }, "data": waits };
    admin.run_command(set).await.expect("set");
    let export = deployment(&server, None);
    let listing = tokio::spawn(async move { snapshot(&export).await });
    let reached = doc! { "waitForFailPoint": "failCommand", "timesEntered": 1, "maxTimeMS": 30_000 };
    admin.run_command(reached).await.expect("it was asked");
    app.collection::<Document>("late").insert_one(doc! { "_id": 1 }).await.expect("stored");
    let taken = listing.await.expect("no panic").expect("a snapshot");
    let files = files(&*taken).await.expect("all is read");
    let made = |entry: &Document| entry.get_document("o").is_ok_and(|o| o.get_str("create").is_ok_and(|name| name == "late"));
    let mut entries = files["oplog.bson"].bytes.as_slice();
    let mut is_made = false;
    while !entries.is_empty() {
        is_made |= made(&Document::from_reader(&mut entries).expect("an entry"));
    }
    assert!(is_made || files.contains_key("app/late.bson"), "{:?}", files.keys());
}

#[tokio::test]
async fn the_window_begins_where_a_transaction_under_way_began() {
    // By itself only a shard takes what prepares a transaction.
    let Some(server) = with_test_commands(true).await else { return };
    let client = server.client();
    let users = client.database("app").collection::<Document>("users");
    users.insert_one(doc! { "_id": "before" }).await.expect("stored");
    let mut session = client.start_session().await.expect("a session");
    session.start_transaction().await.expect("a transaction");
    users.insert_one(doc! { "_id": "prepared" }).session(&mut session).await.expect("stored");
    let prepare = doc! { "prepareTransaction": 1 };
    client.database("admin").run_command(prepare).session(&mut session).await.expect("prepared");
    users.insert_one(doc! { "_id": "after" }).await.expect("stored");
    let transactions = client.database("config").collection::<Document>("transactions");
    let under_way = transactions.find_one(doc! { "state": "prepared" }).await.expect("read").expect("it is under way");
    let began = under_way.get_document("startOpTime").and_then(|time| time.get_timestamp("ts")).expect("ts");
    let taken = snapshot(&deployment(&server, None)).await.expect("a snapshot");
    assert_eq!(window(&*taken).await.expect("a window").from, Instant::from(began));
}

#[tokio::test]
async fn an_oplog_that_was_written_round_is_an_error() {
    // What a crash would still need stays in the oplog: a checkpoint each second.
    let arguments = ["--syncdelay", "1"].map(str::to_owned).to_vec();
    let setup = MongodSetup { replica_set: true, arguments, ..MongodSetup::default() };
    let Some(server) = Mongod::start_with(&setup).await else { return };
    let client = server.client();
    client.database("app").collection::<Document>("users").insert_one(doc! { "_id": 1 }).await.expect("stored");
    let taken = snapshot(&deployment(&server, None)).await.expect("a snapshot");
    let oplog = client.database("local").collection::<Document>("oplog.rs");
    let newest = oplog.find_one(doc! {}).sort(doc! { "$natural": -1 }).await.expect("read").expect("an entry");
    let begin = newest.get_timestamp("ts").expect("ts");
    // The harness gives it 64 MiB.
    let other = client.database("other").collection::<Document>("large");
    while oplog.find_one(doc! { "ts": begin }).await.unwrap_or_default().is_some() {
        other.insert_one(doc! { "bytes": "x".repeat(8 << 20) }).await.expect("stored");
    }
    let error = window(&*taken).await.expect_err("some of it is lost");
    assert!(error.chain().contains("the oplog was written round"), "{error:?}");
}
