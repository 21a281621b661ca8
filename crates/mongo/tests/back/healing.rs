//! What is healed, what is only told, and what is left alone.

use std::collections::BTreeSet;

use backup_core::Kind;
use backup_mongo::diagnose::{Asked, State};
use backup_mongo::heal::{Done, Verified, examine};
use backup_mongo::restore::Run;
use backup_tests::MongodSetup;
use mongodb::bson::{Document, doc};

use crate::scene::{Scene, fill, healer, listed, these};

async fn writes(scene: &Scene) -> Document {
    let status = scene.server.client().database("admin").run_command(doc! { "serverStatus": 1 }).await.expect("a status");
    let counters = status.get_document("opcounters").expect("counters");
    let number = |name: &str| counters.get(name).expect("a counter").clone();
    doc! { "insert": number("insert"), "update": number("update"), "delete": number("delete") }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_writes_nothing() {
    let setup = MongodSetup { replica_set: true, ..MongodSetup::default() };
    let Some(scene) = Scene::start_with(&setup).await else { return };
    let shop = scene.shop();
    fill(&shop).await;
    scene.take().await;
    shop.collection::<Document>("users").drop().await.expect("dropped");
    assert_eq!(scene.heal(listed()).await.expect("healed").done.len(), 1);
    let oplog = scene.server.client().database("local").collection::<Document>("oplog.rs");
    // Beside what is written to the database there are only the set's own notes that it lives.
    let ours = doc! { "op": { "$ne": "n" }, "ns": { "$regex": "^(shop|admin)\\." } };
    let (counters, entries) = (writes(&scene).await, oplog.count_documents(ours.clone()).await.expect("counted"));
    let healed = scene.heal(listed()).await.expect("nothing to do");
    assert!(healed.done.is_empty() && healed.verdicts.values().all(|verdict| verdict.is_healthy()), "{healed:?}");
    assert_eq!(healed.verdicts.len(), 8);
    assert_eq!((writes(&scene).await, oplog.count_documents(ours).await.expect("counted")), (counters, entries));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_and_no_list_only_tell() {
    let Some(scene) = Scene::filled().await else { return };
    scene.shop().collection::<Document>("users").drop().await.expect("dropped");
    let hash = scene.hash().await;
    let healed = scene.heal(Asked::default()).await.expect("told");
    assert_eq!((&healed.verdicts["users"].state, healed.done.len()), (&State::Gone, 0));
    let run = Run::new();
    let client = scene.client(&run);
    let mut backups = Verified::new(&scene.repo, scene.job.clone());
    let diagnosis = examine(&scene.cx, &healer(&client, &run, listed()), &mut backups).await.expect("told");
    assert_eq!(diagnosis.verdicts()["users"].state, State::Gone);
    assert_eq!(scene.hash().await, hash);
    // All of the backup without a list.
    let all = Asked { all: true, ..Asked::default() };
    assert_eq!(scene.heal(all).await.expect("healed").done.into_keys().collect::<Vec<_>>(), ["users"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_emptied_shrunk_or_without_indexes_heals_when_asked_for() {
    let Some(scene) = Scene::filled().await else { return };
    let (shop, before) = (scene.shop(), scene.hash().await);
    let users = shop.collection::<Document>("users");
    let orders = shop.collection::<Document>("orders");
    users.delete_many(doc! {}).await.expect("emptied");
    orders.delete_many(doc! { "_id": { "$gte": 10 } }).await.expect("shrunk");
    orders.update_one(doc! { "_id": 3 }, doc! { "$set": { "text": "newer" } }).await.expect("changed");
    users.drop_index("z_a").await.expect("dropped");
    let told = scene.heal(listed()).await.expect("told");
    assert_eq!(told.verdicts["users"].state, State::Emptied(60));
    assert_eq!(told.verdicts["users"].missing_indexes, ["z_a"]);
    assert_eq!(told.verdicts["orders"].state, State::Shrunk(10, 60));
    assert!(told.done.is_empty());
    let asked = Asked { emptied: true, merge: true, indexes: true, ..listed() };
    let healed = scene.heal(asked).await.expect("healed");
    assert!(matches!(healed.done["users"], Done::Added { documents: 60, .. }), "{:?}", healed.done);
    assert!(matches!(healed.done["orders"], Done::Added { documents: 50, .. }), "{:?}", healed.done);
    // What was newer stays.
    let newer = orders.find_one(doc! { "_id": 3 }).await.expect("read").expect("there");
    assert_eq!(newer.get_str("text").expect("a text"), "newer");
    orders.update_one(doc! { "_id": 3 }, doc! { "$set": { "text": "x".repeat(50) } }).await.expect("changed back");
    assert_eq!(scene.hash().await, before);
    assert!(scene.heal(listed()).await.expect("looked").verdicts.values().all(|verdict| verdict.is_healthy()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_backup_that_has_documents_of_it_and_an_empty_one_if_none_has() {
    let Some(scene) = Scene::start().await else { return };
    let shop = scene.shop();
    shop.collection::<Document>("a").insert_one(doc! { "_id": 1 }).await.expect("inserted");
    shop.create_collection("b").await.expect("created");
    shop.run_command(doc! { "createIndexes": "b", "indexes": [{ "key": { "x": 1 }, "name": "x" }] }).await.expect("an index");
    let first = scene.take().await;
    shop.collection::<Document>("a").drop().await.expect("dropped");
    // Recreated empty by the application before the next backup.
    shop.create_collection("a").await.expect("created");
    scene.take().await;
    shop.drop().await.expect("dropped");
    let healed = scene.heal(these(&["a", "b", "c"])).await.expect("healed");
    assert!(matches!(&healed.done["a"], Done::Restored { backup, documents: 1 } if *backup == first), "{:?}", healed.done);
    assert!(matches!(healed.done["b"], Done::Restored { documents: 0, .. }), "{:?}", healed.done);
    assert_eq!(shop.collection::<Document>("b").list_index_names().await.expect("indexes"), ["_id_", "x"]);
    assert_eq!(healed.still_sick(), ["c"]);
    assert_eq!(healed.backups, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_empty_in_the_newest_backup_already_is_filled_out_of_an_older_one() {
    let Some(scene) = Scene::filled().await else { return };
    let users = scene.shop().collection::<Document>("users");
    users.delete_many(doc! {}).await.expect("emptied");
    scene.take().await;
    let told = scene.heal(these(&["users"])).await.expect("told");
    assert_eq!((&told.verdicts["users"].state, told.done.len()), (&State::Emptied(60), 0));
    let healed = scene.heal(Asked { emptied: true, ..these(&["users"]) }).await.expect("healed");
    assert!(matches!(healed.done["users"], Done::Added { documents: 60, .. }), "{:?}", healed.done);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_server_and_no_backup_are_told_apart_and_touch_nothing() {
    let Some(scene) = Scene::start().await else { return };
    scene.shop().collection::<Document>("users").insert_one(doc! { "_id": 1 }).await.expect("inserted");
    let error = scene.heal(these(&["gone"])).await.expect_err("no backup");
    assert_eq!(error.kind(), Kind::NotFound, "{error:?}");
    scene.take().await;
    scene.server.crash();
    let error = scene.heal(these(&["users"])).await.expect_err("no server");
    assert_eq!(error.kind(), Kind::Unproven, "{error:?}");
    scene.server.start_again();
    assert_eq!(scene.heal(these(&["users"])).await.expect("there").verdicts.into_keys().collect::<BTreeSet<_>>().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_look_is_told_so() {
    let setup = MongodSetup { password: Some("secret".to_owned()), ..MongodSetup::default() };
    let Some(scene) = Scene::start_with(&setup).await else { return };
    scene.shop().collection::<Document>("users").insert_one(doc! { "_id": 1 }).await.expect("inserted");
    // The scene's clients do not log in.
    let error = scene.heal(these(&["users", "gone"])).await.expect_err("no rights");
    assert_eq!(error.kind(), Kind::Unproven, "{error:?}");
}
