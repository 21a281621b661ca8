//! A time series is filled in its place: whatever breaks off there, nothing that an application wrote is lost, and the rest is added.

use std::time::Duration;

use backup_core::Kind;
use backup_mongo::diagnose::State;
use backup_mongo::heal::{Done, Healed};
use backup_tests::MongodSetup;
use mongodb::bson::{DateTime, Document, doc};

use crate::breaks::leftovers;
use crate::scene::{Scene, these};

/// More buckets than fit into two batches.
const MEASURED: i32 = 3000;
const MINE: i32 = 10;

fn at(i: i32) -> DateTime {
    DateTime::from_millis(1_700_000_000_000 + i64::from(i) * 60_000)
}

/// A server that can be told to fail, with a backup of a long time series, which is gone.
async fn scene() -> Option<Scene> {
    let arguments = ["--setParameter", "enableTestCommands=1"].map(str::to_owned).into();
    let scene = Scene::start_with(&MongodSetup { arguments, ..MongodSetup::default() }).await?;
    let shop = scene.shop();
    let series = doc! { "create": "weather", "timeseries": { "timeField": "at", "metaField": "place" } };
    shop.run_command(series).await.expect("created");
    shop.collection::<Document>("users").insert_one(doc! { "_id": 1 }).await.expect("inserted");
    let measured = (0..MEASURED).map(|i| doc! { "_id": i, "at": at(i), "place": i });
    shop.collection::<Document>("weather").insert_many(measured).await.expect("inserted");
    let index = doc! { "createIndexes": "weather", "indexes": [{ "key": { "place": 1, "at": -1 }, "name": "place" }] };
    shop.run_command(index).await.expect("an index");
    scene.take().await;
    shop.collection::<Document>("weather").drop().await.expect("dropped");
    Some(scene)
}

/// Heals, and lets the second batch wait that goes into the place of the time series, then fail. While it waits the application
/// writes, and `meanwhile` happens.
async fn break_off(scene: &Scene, meanwhile: impl Future<Output = ()>) -> Healed {
    let admin = scene.server.client().database("admin");
    let fail = doc! {
        "configureFailPoint": "failCommand", "mode": { "skip": 1 },
        "data": {
            "failCommands": ["insert"], "namespace": "shop.system.buckets.weather", "errorCode": 8, "blockConnection": true,
            "blockTimeMS": 2000,
        },
    };
    admin.run_command(fail).await.expect("a failure");
    let application = async {
        let shop = scene.shop();
        let weather = shop.collection::<Document>("weather");
        // While it is being made the server may refuse to count.
        while weather.count_documents(doc! {}).await.unwrap_or_default() == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // Of places that the backup has, at times near to what it has of them.
        let mine = (0..MINE).map(|i| doc! { "_id": format!("mine {i}"), "at": at(i), "place": i });
        let options = mongodb::options::WriteConcern::builder().journal(true).build();
        weather.insert_many(mine).write_concern(options).await.expect("inserted");
        meanwhile.await;
    };
    let (healed, ()) = tokio::join!(scene.heal(these(&["weather"])), application);
    let healed = healed.expect("told");
    assert_eq!(healed.still_sick(), ["weather"]);
    assert!(matches!(&healed.done["weather"], Done::Failed(error) if error.kind() == Kind::StillSick), "{:?}", healed.done);
    healed
}

/// How many documents it has of the application's and of the backup's.
async fn counts(scene: &Scene) -> (i32, i32) {
    let shop = scene.shop();
    let weather = shop.collection::<Document>("weather");
    let mine = weather.count_documents(doc! { "_id": { "$type": "string" } }).await.expect("counted");
    let others = weather.count_documents(doc! { "_id": { "$type": "number" } }).await.expect("counted");
    (i32::try_from(mine).expect("few"), i32::try_from(others).expect("few"))
}

/// The rest is added, out of the backup that was being restored, and then it is as any other.
async fn goes_on(scene: &Scene) {
    let shop = scene.shop();
    // It is newer, and has the half of it alone.
    scene.take().await;
    let told = scene.heal(backup_mongo::diagnose::Asked::default()).await.expect("told");
    assert!(matches!(told.verdicts["weather"].state, State::Half(..)) && told.done.is_empty(), "{told:?}");
    let healed = scene.heal(these(&["weather"])).await.expect("healed");
    assert!(matches!(healed.done["weather"], Done::Added { .. }), "{:?}", healed.done);
    assert_eq!(counts(scene).await, (MINE, MEASURED));
    assert!(shop.collection::<Document>("weather").list_index_names().await.expect("names").contains(&"place".to_owned()));
    assert_eq!(leftovers(&shop).await, Vec::<String>::new());
    let again = scene.heal(these(&["weather"])).await.expect("healthy");
    assert!(again.done.is_empty() && again.verdicts["weather"].state == State::Healthy, "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_refuses_in_the_middle() {
    let Some(scene) = scene().await else { return };
    break_off(&scene, async {}).await;
    let (mine, others) = counts(&scene).await;
    assert!(mine == MINE && (1..MEASURED).contains(&others), "{mine} {others}");
    assert_eq!(leftovers(&scene.shop()).await.len(), 1, "its mark alone");
    let off = doc! { "configureFailPoint": "failCommand", "mode": "off" };
    scene.server.client().database("admin").run_command(off).await.expect("no failure");
    goes_on(&scene).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_in_the_middle() {
    let Some(scene) = scene().await else { return };
    break_off(&scene, async { scene.server.crash() }).await;
    scene.server.start_again();
    let (mine, others) = counts(&scene).await;
    assert!(mine == MINE && others < MEASURED, "{mine} {others}");
    // The runs before are dead: what they left goes, but for the mark.
    let shop = scene.shop();
    shop.collection::<Document>("users").drop().await.expect("dropped");
    assert_eq!(scene.heal(these(&["users"])).await.expect("healed").done.len(), 1);
    assert!(leftovers(&shop).await.iter().all(|name| name.ends_with(".in-place")));
    goes_on(&scene).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_the_application_made_anew_is_not_added_to() {
    let Some(scene) = scene().await else { return };
    break_off(&scene, async {}).await;
    let off = doc! { "configureFailPoint": "failCommand", "mode": "off" };
    scene.server.client().database("admin").run_command(off).await.expect("no failure");
    let shop = scene.shop();
    shop.collection::<Document>("weather").drop().await.expect("dropped");
    let series = doc! { "create": "weather", "timeseries": { "timeField": "at", "metaField": "place" } };
    shop.run_command(series).await.expect("created");
    let mine = doc! { "_id": "mine", "at": at(1), "place": 1 };
    shop.collection::<Document>("weather").insert_one(mine).await.expect("inserted");
    let healed = scene.heal(these(&["weather", "none"])).await.expect("told");
    assert_eq!((healed.verdicts["weather"].state.clone(), healed.done.len()), (State::Shrunk(1, 3000), 0));
    assert_eq!(counts(&scene).await, (1, 0));
}
