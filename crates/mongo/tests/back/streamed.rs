//! An archive that comes as a stream is restored while it comes, and nothing of it is seen before it has come to its end.

use backup_core::{Body, Context, Kind, body};
use backup_mongo::archive::MAGIC;
use backup_mongo::restore::{RestoreOptions, Run, Selection, restore_archive};
use backup_tests::Mongod;
use futures_util::TryStreamExt;
use mongodb::bson::{Document, doc};
use tokio::io::AsyncWriteExt;
use tokio::sync::oneshot;

use crate::breaks::leftovers;
use crate::scene::{client, described};

/// How many documents each collection has: more than a batch.
const MANY: i32 = 2500;

fn bytes(document: &Document) -> Vec<u8> {
    document.to_vec().expect("bytes")
}

fn header(database: &str, collection: &str, crc: Option<u64>) -> Vec<u8> {
    let crc = (crc.is_some(), crc.unwrap_or_default().cast_signed());
    bytes(&doc! { "db": database, "collection": collection, "EOF": crc.0, "CRC": crc.1 })
}

/// What mongodump writes of three collections that it reads at once, and of the oplog.
fn archive() -> Vec<u8> {
    let metadata = [
        ("log", r#"{"options":{"capped":true,"size":{"$numberInt":"1048576"}},"indexes":[]}"#),
        ("users", r#"{"indexes":[{"v":2,"key":{"n":{"$numberInt":"1"}},"name":"n","unique":true}]}"#),
        ("weather", r#"{"options":{"timeseries":{"timeField":"at","metaField":"of"}},"indexes":[],"type":"timeseries"}"#),
        ("empty", "{}"),
    ];
    let mut all = MAGIC.to_vec();
    all.extend(bytes(
        &doc! { "concurrent_collections": 4, "version": "0.1", "server_version": "6.0.5", "tool_version": "100.18.0" },
    ));
    for (name, metadata) in metadata {
        let kind = if name == "weather" { "timeseries" } else { "collection" };
        all.extend(bytes(&doc! { "db": "shop", "collection": name, "metadata": metadata, "size": 0, "type": kind }));
    }
    all.extend([0xff; 4]);
    let of_log: Vec<Vec<u8>> = (0..MANY).map(|n| bytes(&doc! { "_id": MANY - n })).collect();
    let of_users: Vec<Vec<u8>> = (0..MANY).map(|n| bytes(&doc! { "_id": n, "n": n })).collect();
    for half in 0..2 {
        for (name, documents) in [("log", &of_log), ("users", &of_users)] {
            all.extend(header("shop", name, None));
            all.extend(documents.chunks(MANY as usize / 2).nth(half).expect("a half").concat());
            all.extend([0xff; 4]);
        }
    }
    let entry = bytes(&doc! { "op": "n", "ns": "", "o": {} });
    all.extend(header("", "oplog", None));
    all.extend(&entry);
    all.extend([0xff; 4]);
    let (log, users, none) = (of_log.concat(), of_users.concat(), Vec::new());
    for (database, name, documents) in [
        ("", "oplog", &entry),
        ("shop", "log", &log),
        ("shop", "users", &users),
        ("shop", "empty", &none),
        ("shop", "system.buckets.weather", &none),
    ] {
        all.extend(header(database, name, Some(crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Xz, documents))));
        all.extend([0xff; 4]);
    }
    all
}

async fn load(server: &Mongod, archive: Body, selection: &Selection) -> backup_core::Result<backup_core::Restored> {
    let run = Run::new();
    let client = client(&server.host(), &run);
    restore_archive(&Context::default(), &client, &run, archive, selection, &RestoreOptions::default()).await
}

/// A body of `bytes` that stops in its middle until it is told to go on.
fn stopping(bytes: Vec<u8>) -> (Body, oneshot::Sender<()>) {
    let (go_on, wait) = oneshot::channel();
    let body = body::piped(move |mut writer| async move {
        let (first, rest) = bytes.split_at(bytes.len() / 2);
        writer.write_all(first).await?;
        writer.flush().await?;
        let _ = wait.await;
        writer.write_all(rest).await?;
        writer.shutdown().await?;
        Ok(())
    });
    (body, go_on)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_interleaved_is_filled_beside_and_seen_at_the_end() {
    let Some(server) = Mongod::start().await else { return };
    let shop = server.client().database("shop");
    let all = archive();
    for whole in [false, true] {
        let bytes = if whole { all.clone() } else { all[..all.len() - 1].to_vec() };
        let (archive, go_on) = stopping(bytes);
        let seen = async {
            while leftovers(&shop).await.len() < 4 {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
            let names = shop.list_collection_names().await.expect("names");
            let _ = go_on.send(());
            names
        };
        let selection = Selection::default();
        let (restored, seen) = tokio::join!(load(&server, archive, &selection), seen);
        assert!(!seen.iter().any(|name| ["log", "users", "empty", "weather"].contains(&name.as_str())), "{seen:?}");
        assert_eq!(leftovers(&shop).await, Vec::<String>::new());
        if whole {
            let restored = restored.expect("restored");
            assert_eq!(restored.what, ["shop.empty", "shop.log", "shop.users", "shop.weather"]);
            assert_eq!(restored.counts["documents"], 2 * MANY as u64);
        } else {
            assert_eq!(restored.expect_err("it breaks off").kind(), Kind::Damaged);
            let names = shop.list_collection_names().await.expect("names");
            assert!(names.iter().all(|name| name == "system.views"), "{names:?}");
        }
    }
    // In the order in which they came.
    let log: Vec<Document> = shop.collection("log").find(doc! {}).await.expect("found").try_collect().await.expect("found");
    assert!(log.iter().map(|one| one.get_i32("_id").expect("a number")).eq((1..=MANY).rev()));
    assert!(described(&shop, "users").await.to_string().contains("\"unique\": true"));
    let error = load(&server, body::from_bytes(all.clone()), &Selection::default()).await.expect_err("they are there");
    assert_eq!(error.kind(), Kind::AlreadyExists);

    let one = Selection { database: Some("shop".into()), collections: vec!["log".into()], ..Selection::default() };
    let one = Selection { as_collection: Some("other".into()), ..one };
    assert_eq!(load(&server, body::from_bytes(all.clone()), &one).await.expect("restored").what, ["shop.other"]);
    let none = Selection { collections: vec!["none".into()], as_collection: None, ..one };
    assert_eq!(load(&server, body::from_bytes(all), &none).await.expect_err("not there").kind(), Kind::NotFound);
    let text = load(&server, body::from_bytes("no archive"), &Selection::default()).await.expect_err("none");
    assert_eq!(text.kind(), Kind::Damaged);
}
