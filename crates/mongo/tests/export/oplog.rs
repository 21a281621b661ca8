//! What a replica set writes while it is read is in the oplog's window, and nothing of it is ours.

use backup_core::body;
use backup_mongo::PartFacts;
use backup_tests::{Mongod, mongo_corpus};
use bson::{Document, doc};
use futures_util::TryStreamExt;

use crate::{deployment, files, snapshot};

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
