//! A database comes back as it was, here or elsewhere, and nothing that is there is touched.

use backup_core::Kind;
use backup_mongo::restore::{RestoreOptions, Run, Selection, restore};
use mongodb::bson::{DateTime, Document, doc};

use crate::scene::{ALL, Scene, described, hash};

#[tokio::test(flavor = "multi_thread")]
async fn a_database_under_its_name_and_under_another() {
    let Some(scene) = Scene::filled().await else { return };
    let (shop, before) = (scene.shop(), scene.hash().await);
    let dump = scene.dump().await;
    let (run, options) = (Run::new(), RestoreOptions::default());
    let client = scene.client(&run);
    let of_shop = Selection { database: Some("shop".into()), ..Selection::default() };
    let created = async || {
        let status = client.database("admin").run_command(doc! { "serverStatus": 1 }).await.expect("a status");
        let commands = status.get_document("metrics").and_then(|metrics| metrics.get_document("commands")).expect("commands");
        commands.get_document("create").expect("a command").get("total").cloned()
    };
    let created_before = created().await;
    let taken = restore(&scene.cx, &client, &run, &dump, &of_shop, &options).await.expect_err("all is there");
    assert_eq!(taken.kind(), Kind::AlreadyExists, "{taken:?}");
    assert_eq!(created().await, created_before, "something was written before it was known");
    assert_eq!(scene.hash().await, before);

    let elsewhere = Selection { as_database: Some("other".into()), ..of_shop.clone() };
    let restored = restore(&scene.cx, &client, &run, &dump, &elsewhere, &options).await.expect("restored");
    assert_eq!((restored.what.len(), restored.counts["collections"]), (8, 8));
    let other = client.database("other");
    for name in ALL {
        assert_eq!(described(&other, name).await, described(&shop, name).await, "{name}");
    }
    shop.drop().await.expect("dropped");
    let restored = restore(&scene.cx, &client, &run, &dump, &of_shop, &options).await.expect("restored");
    assert_eq!(restored.what.len(), 8);
    assert_eq!(scene.hash().await, before);
    // Views name their database in the server's list of them.
    let (mut here, mut there) = (before, hash(&other).await);
    here.remove("system.views");
    there.remove("system.views");
    assert_eq!(here, there);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_collection_under_another_name_with_the_longest_documents() {
    let Some(scene) = Scene::start().await else { return };
    let shop = scene.shop();
    let large = "x".repeat(16 * 1024 * 1024 - 29);
    for i in 0..5 {
        shop.collection::<Document>("large").insert_one(doc! { "_id": i, "text": &large }).await.expect("inserted");
    }
    shop.collection::<Document>("users").insert_one(doc! { "_id": 1 }).await.expect("inserted");
    scene.take().await;
    let dump = scene.dump().await;
    let (run, options) = (Run::new(), RestoreOptions::default());
    let client = scene.client(&run);
    let one = Selection {
        database: Some("shop".into()),
        collections: vec!["large".into()],
        as_collection: Some("again".into()),
        ..Selection::default()
    };
    let restored = restore(&scene.cx, &client, &run, &dump, &one, &options).await.expect("restored");
    assert_eq!((restored.what, restored.counts["documents"]), (vec!["shop.again".to_owned()], 5));
    let hash = scene.hash().await;
    assert_eq!(hash.get("again"), hash.get("large"));
    let mut names = shop.list_collection_names().await.expect("names");
    names.sort_unstable();
    assert_eq!(names, ["again", "large", "users"]);
    let _ = shop.collection::<Document>("again");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_is_to_drop_when_it_is_old() {
    let Some(scene) = Scene::start().await else { return };
    let shop = scene.shop();
    let day = 86400;
    let series = doc! { "create": "weather", "timeseries": { "timeField": "at" }, "expireAfterSeconds": day };
    shop.run_command(series).await.expect("created");
    let clustered = doc! {
        "create": "ids", "clusteredIndex": { "key": { "_id": 1 }, "unique": true, "name": "by id" }, "expireAfterSeconds": day,
    };
    shop.run_command(clustered).await.expect("created");
    let now = DateTime::now();
    shop.collection::<Document>("weather").insert_one(doc! { "at": now }).await.expect("inserted");
    shop.collection::<Document>("ids").insert_one(doc! { "_id": now }).await.expect("inserted");
    let before = (described(&shop, "weather").await, described(&shop, "ids").await);
    scene.take().await;
    shop.drop().await.expect("dropped");
    let (run, options) = (Run::new(), RestoreOptions::default());
    let client = scene.client(&run);
    let of_shop = Selection { database: Some("shop".into()), ..Selection::default() };
    restore(&scene.cx, &client, &run, &scene.dump().await, &of_shop, &options).await.expect("restored");
    assert_eq!((described(&shop, "weather").await, described(&shop, "ids").await), before);
}
