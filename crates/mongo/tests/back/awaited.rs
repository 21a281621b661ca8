//! A restore that is stopped awaits what it has on its way: nothing of it runs on the server any more, and nothing comes late.

use backup_core::{Context, Kind};
use backup_mongo::heal::{Verified, examine, heal};
use backup_mongo::restore::{RestoreOptions, Run, Selection, restore};
use backup_tests::{Mongod, MongodSetup};
use futures_util::TryStreamExt;
use mongodb::Database;
use mongodb::bson::{Document, doc};

use crate::breaks::leftovers;
use crate::meanwhile::{Meanwhile, Taken};
use crate::scene::{Scene, fill, healer, patient, these};

fn obedient(replica_set: bool) -> MongodSetup {
    let arguments = ["--setParameter", "enableTestCommands=1"].map(str::to_owned).into();
    MongodSetup { replica_set, arguments, ..MongodSetup::default() }
}

async fn start(replica_set: bool) -> Option<Mongod> {
    Mongod::start_with(&obedient(replica_set)).await
}

/// The commands of a run that the server is at.
async fn running(admin: &Database, run: &Run) -> Vec<Document> {
    let all = doc! { "$currentOp": { "allUsers": true, "idleConnections": false } };
    let ours = doc! { "$match": { "appName": run.app_name(), "active": true, "command.hello": { "$exists": false } } };
    admin.aggregate([all, ours]).await.expect("operations").try_collect().await.expect("operations")
}

/// Makes a command of the run slow, behind so many of them; returns how many commands were by now.
async fn slow(admin: &Database, run: &Run, command: &str, before: i32) -> i32 {
    let slow = doc! {
        "configureFailPoint": "failCommand", "mode": { "skip": before },
        "data": { "failCommands": [command], "blockConnection": true, "blockTimeMS": 1500, "appName": run.app_name() },
    };
    admin.run_command(slow).await.expect("it is slow").get_i32("count").expect("a count")
}

/// Stops the run when the server is at the command that is slow.
async fn stop(admin: &Database, run: &Run, cx: &Context, command: &str, before: i32) {
    let entered = doc! { "waitForFailPoint": "failCommand", "timesEntered": before + 1, "maxTimeMS": 60_000 };
    admin.run_command(entered).await.unwrap_or_else(|error| panic!("{command} behind {before}: {error}"));
    assert!(!running(admin, run).await.is_empty(), "{command}: a server does not tell what it is at");
    cx.cancel.cancel();
}

async fn as_before(admin: &Database) {
    admin.run_command(doc! { "configureFailPoint": "failCommand", "mode": "off" }).await.expect("as before");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_restore_that_is_stopped_has_on_its_way_is_awaited() {
    let (Some(source), Some(target)) = (start(true).await, start(false).await) else { return };
    let bank = source.client().database("bank");
    bank.collection::<Document>("a").insert_many((0..9).map(|n| doc! { "_id": n })).await.expect("stored");
    bank.collection::<Document>("z").insert_one(doc! { "_id": 0 }).await.expect("stored");
    bank.run_command(doc! { "createIndexes": "a", "indexes": [{ "key": { "n": 1 }, "name": "n" }] }).await.expect("an index");
    // Its bounds come when what happened meanwhile is in it.
    bank.run_command(doc! { "create": "capped", "capped": true, "size": 1 << 20 }).await.expect("a collection");
    bank.run_command(doc! { "create": "view", "viewOn": "a", "pipeline": [] }).await.expect("a view");
    let user = doc! { "createUser": "ann", "pwd": "s3cret", "roles": ["read"] };
    bank.run_command(user).await.expect("a user");
    let taken = Taken::of(
        &source,
        None,
        Meanwhile(source.client(), |client| {
            Box::pin(async move {
                let [a, capped] = ["a", "capped"].map(|name| client.database("bank").collection::<Document>(name));
                // More than are replayed at once.
                a.insert_many((100..1200).map(|n| doc! { "_id": n })).await.expect("inserted");
                capped.insert_one(doc! { "_id": 1 }).await.expect("inserted");
            })
        }),
    )
    .await;
    let (admin, bank) = (target.client().database("admin"), target.client().database("bank"));
    let selection = Selection { users: true, ..Selection::default() };
    // Whether one may replay is asked by its command too.
    for (command, before) in [
        ("create", 0),
        ("create", 1),
        // The view, behind all three that lie beside.
        ("create", 3),
        ("insert", 0),
        ("applyOps", 1),
        ("applyOps", 2),
        ("collMod", 0),
        ("createIndexes", 0),
        ("renameCollection", 0),
        ("_mergeAuthzCollections", 0),
    ] {
        let (run, cx, dump) = (Run::new(), Context::default(), taken.dump().await);
        let count = slow(&admin, &run, command, before).await;
        let (client, options) = (patient(&target.host(), &run), RestoreOptions::default());
        let (restored, ()) =
            tokio::join!(restore(&cx, &client, &run, &dump, &selection, &options), stop(&admin, &run, &cx, command, count));
        assert_eq!(running(&admin, &run).await, Vec::<Document>::new(), "{command}");
        let error = restored.expect_err(command);
        assert_eq!(error.kind(), Kind::Cancelled, "{command}: {error:?}");
        let is_told = error.chain().ends_with("the collections are restored, some or all users and roles may be, too");
        assert_eq!(is_told, command == "_mergeAuthzCollections", "{command}: {}", error.chain());
        assert_eq!((leftovers(&bank).await, leftovers(&admin).await), (vec![], vec![]), "{command}");
        as_before(&admin).await;
        bank.drop().await.expect("dropped");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_healing_that_is_stopped_has_on_its_way_is_awaited_and_the_next_one_heals() {
    let Some(scene) = Scene::start_with(&obedient(false)).await else { return };
    let (admin, shop) = (scene.server.client().database("admin"), scene.shop());
    fill(&shop).await;
    scene.take().await;
    let before = scene.hash().await;
    // A time series is made twice, the second time in its place, where its mark comes first and then its documents.
    for (name, command, number) in
        [("users", "createIndexes", 0), ("weather", "create", 1), ("weather", "insert", 1), ("weather", "insert", 2)]
    {
        shop.collection::<Document>(name).drop().await.expect("dropped");
        let (run, cx) = (Run::new(), Context::default());
        let count = slow(&admin, &run, command, number).await;
        let client = patient(&scene.server.host(), &run);
        let healer = healer(&client, &run, these(&[name]));
        let healed = async {
            let mut backups = Verified::new(&scene.repo, scene.job.clone());
            let diagnosis = examine(&cx, &healer, &mut backups).await?;
            heal(&cx, &healer, diagnosis).await
        };
        let (healed, ()) = tokio::join!(healed, stop(&admin, &run, &cx, command, count));
        assert_eq!(running(&admin, &run).await, Vec::<Document>::new(), "{name} {command} {number}");
        assert_eq!(healed.expect_err(command).kind(), Kind::Cancelled, "{name} {command} {number}");
        let (left, is_series) = (leftovers(&shop).await, name == "weather");
        assert_eq!(left.len(), usize::from(is_series), "{name} {command} {number}: {left:?}");
        assert!(left.iter().all(|name| name.ends_with(".in-place")), "{name} {command} {number}: {left:?}");
        as_before(&admin).await;
        assert_eq!(scene.heal(these(&[name])).await.expect("healed").still_sick(), Vec::<&str>::new());
        assert_eq!(scene.hash().await, before, "{name} {command} {number}");
    }
}
