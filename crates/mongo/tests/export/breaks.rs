//! What breaks off while it is read is an error, and no shorter file.

use backup_core::{Kind, body};
use backup_tests::Mongod;
use bson::{Document, doc};
use tokio::io::AsyncReadExt;

use crate::{deployment, snapshot, with_test_commands};

/// A server with a collection that takes some twenty replies.
async fn with_replies() -> Option<Mongod> {
    let server = Mongod::start().await?;
    let documents = (0..20).map(|n| doc! { "_id": n, "bytes": "x".repeat(1 << 20) });
    let replies = server.client().database("app").collection::<Document>("replies");
    replies.insert_many(documents).await.expect("stored");
    Some(server)
}

/// Begins to read the collection, lets `happen` happen, and reads on: how that ended.
async fn reads_on(server: &Mongod, happen: impl AsyncFnOnce()) -> backup_core::Error {
    let taken = snapshot(&deployment(server, Some("app"))).await.expect("a snapshot");
    let reading = taken.read(&"app/replies.bson".parse().expect("a name")).await.expect("a body");
    let mut body = reading.body;
    let mut begin = vec![0; 1000];
    body.read_exact(&mut begin).await.expect("it begins");
    happen().await;
    let error = body::drain(body).await.expect_err("it broke off");
    assert!(reading.facts.get().is_none(), "there are no facts of what broke off");
    error
}

#[tokio::test]
async fn a_server_that_goes_away_breaks_the_body() {
    let Some(server) = with_replies().await else { return };
    let error = reads_on(&server, async || server.crash()).await;
    assert!(error.chain().contains("app.replies"), "{error:?}");
}

#[tokio::test]
async fn a_collection_that_is_dropped_breaks_the_body() {
    let Some(server) = with_replies().await else { return };
    let drop = async || server.client().database("app").collection::<Document>("replies").drop().await.expect("dropped");
    let error = reads_on(&server, drop).await;
    assert_eq!(error.kind(), Kind::Failed);
}

#[tokio::test]
async fn a_collection_that_was_replaced_before_it_is_read_is_no_empty_file() {
    let Some(server) = with_replies().await else { return };
    let taken = snapshot(&deployment(&server, Some("app"))).await.expect("a snapshot");
    let replies = server.client().database("app").collection::<Document>("replies");
    replies.drop().await.expect("dropped");
    for again in [false, true] {
        if again {
            replies.insert_one(doc! { "_id": 1 }).await.expect("stored");
        }
        for part in ["app/replies.bson", "app/replies.metadata.json"] {
            let reading = taken.read(&part.parse().expect("a name")).await.expect("a body");
            let error = body::drain(reading.body).await.expect_err("another collection");
            assert!(error.chain().contains("app.replies was dropped or replaced"), "{error:?}");
        }
    }
}

#[tokio::test]
async fn a_database_that_is_not_there_is_said_so() {
    let Some(server) = with_replies().await else { return };
    let error = snapshot(&deployment(&server, Some("App"))).await.expect_err("none");
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(error.hint().is_some(), "{error:?}");
}

#[tokio::test]
async fn a_listing_that_fails_is_no_deployment_without_collections() {
    let Some(server) = with_test_commands(false).await else { return };
    server.client().database("app").collection::<Document>("users").insert_one(doc! { "_id": 1 }).await.expect("stored");
    for (command, what) in [("listDatabases", "list the databases"), ("listCollections", "list the collections")] {
        let data = doc! { "failCommands": [command], "errorCode": 13 };
        let fails = doc! { "configureFailPoint": "failCommand", "mode": "alwaysOn", "data": data };
        server.client().database("admin").run_command(fails).await.expect("set");
        let error = snapshot(&deployment(&server, None)).await.expect_err("nobody knows what there is");
        assert!(error.chain().contains(what) && error.chain().contains("[13 "), "{error:?}");
    }
}
