//! Servers that go, applications that come, runs that die, two runs at once: nothing half is seen, nothing that is there is lost.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backup_core::{Body, Context, Result, body};
use backup_mongo::Described;
use backup_mongo::dump::{Dump, Listed};
use backup_mongo::heal::{Backup, Backups, Done, examine, heal};
use backup_mongo::restore::{PREFIX, Run};
use mongodb::Database;
use mongodb::bson::{Document, doc};

use crate::scene::{ALL, Scene, healer, listed, these};

/// A dump that does something when the documents of a collection have all been read.
#[derive(Debug)]
struct Then<D> {
    dump: D,
    then: tokio::sync::mpsc::Sender<tokio::sync::oneshot::Sender<()>>,
}

#[async_trait]
impl<D: Dump> Dump for Then<D> {
    async fn collections(&self) -> Result<Vec<Listed>> {
        self.dump.collections().await
    }

    async fn describe(&self, listed: &Listed) -> Result<Described> {
        self.dump.describe(listed).await
    }

    async fn documents(&self, listed: &Listed) -> Result<Body> {
        let mut documents = self.dump.documents(listed).await?;
        let then = self.then.clone();
        Ok(body::piped(move |mut writer| async move {
            tokio::io::copy(&mut documents, &mut writer).await?;
            let (done, wait) = tokio::sync::oneshot::channel();
            let _ = then.send(done).await;
            let _ = wait.await;
            Ok(())
        }))
    }
}

#[derive(Debug)]
pub(crate) struct One(pub(crate) Option<Backup>);

#[async_trait]
impl Backups for One {
    async fn older(&mut self, _cx: &Context) -> Result<Option<Backup>> {
        Ok(self.0.take())
    }
}

/// Heals `names`, and awaits `meanwhile` when all documents of the first were read and none was renamed.
pub(crate) async fn heal_and(
    scene: &Scene,
    names: &[&str],
    meanwhile: impl Future<Output = ()>,
) -> Result<backup_mongo::heal::Healed> {
    let (then, mut asked) = tokio::sync::mpsc::channel(1);
    let dump = Then { dump: scene.dump().await, then };
    let run = Run::new();
    let client = scene.client(&run);
    let healer = healer(&client, &run, these(names));
    let mut backups = One(Some(Backup { id: "one".into(), dump: Arc::new(dump) }));
    let diagnosis = examine(&scene.cx, &healer, &mut backups).await?;
    drop(backups);
    let meanwhile = async {
        let done = asked.recv().await.expect("read to its end");
        meanwhile.await;
        let _ = done.send(());
        while let Some(done) = asked.recv().await {
            let _ = done.send(());
        }
    };
    tokio::select! {
        healed = heal(&scene.cx, &healer, diagnosis) => healed,
        () = async { meanwhile.await; std::future::pending::<()>().await } => unreachable!(),
    }
}

pub(crate) async fn leftovers(shop: &Database) -> Vec<String> {
    let mut names = shop.list_collection_names().await.expect("names");
    names.retain(|name| name.starts_with(PREFIX));
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_makes_the_collection_meanwhile_keeps_it() {
    let Some(scene) = Scene::filled().await else { return };
    let shop = scene.shop();
    let users = shop.collection::<Document>("users");
    users.drop().await.expect("dropped");
    let meanwhile = async {
        assert_eq!(leftovers(&shop).await.len(), 1);
        assert!(!shop.list_collection_names().await.expect("names").contains(&"users".to_owned()), "half of it is seen");
        users.insert_one(doc! { "_id": "mine" }).await.expect("inserted");
    };
    let healed = heal_and(&scene, &["users"], meanwhile).await.expect("healed");
    assert!(matches!(healed.done["users"], Done::Appeared), "{:?}", healed.done);
    assert_eq!(healed.still_sick(), Vec::<&str>::new());
    assert_eq!(users.count_documents(doc! {}).await.expect("counted"), 1);
    assert_eq!(leftovers(&shop).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_in_the_middle_and_comes_back() {
    let Some(scene) = Scene::filled().await else { return };
    let (shop, before) = (scene.shop(), scene.hash().await);
    for name in ALL {
        shop.collection::<Document>(name).drop().await.expect("dropped");
    }
    scene.server.client().database("admin").run_command(doc! { "fsync": 1 }).await.expect("on disk");
    let healed = heal_and(&scene, &["users", "orders"], async { scene.server.crash() }).await.expect("told");
    assert!(!healed.still_sick().is_empty(), "{healed:?}");
    scene.server.start_again();
    let shop = scene.shop();
    let names = shop.list_collection_names().await.expect("names");
    assert!(names.iter().all(|name| name.starts_with(PREFIX) || name.starts_with("system.")), "{names:?}");
    // The next run finds the rest of the one before and heals.
    let healed = scene.heal(listed()).await.expect("healed");
    assert_eq!(healed.still_sick(), Vec::<&str>::new());
    assert_eq!(scene.hash().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_died_leaves_what_the_next_removes_and_a_living_one_is_left_alone() {
    let Some(scene) = Scene::filled().await else { return };
    let (shop, before) = (scene.shop(), scene.hash().await);
    shop.collection::<Document>("users").drop().await.expect("dropped");
    // Names that only look like ours.
    shop.collection::<Document>("backup.restoring.mine").insert_one(doc! { "_id": 1 }).await.expect("inserted");
    let run = Run::new();
    let client = scene.client(&run);
    let broken = async {
        let (then, mut asked) = tokio::sync::mpsc::channel(1);
        let dump = Then { dump: scene.dump().await, then };
        let healer = healer(&client, &run, these(&["users"]));
        let mut backups = One(Some(Backup { id: "one".into(), dump: Arc::new(dump) }));
        let diagnosis = examine(&scene.cx, &healer, &mut backups).await.expect("examined");
        // Dropped where a process would be killed.
        tokio::select! {
            _ = heal(&scene.cx, &healer, diagnosis) => panic!("it ended"),
            _ = asked.recv() => {}
        }
    };
    broken.await;
    assert_eq!(leftovers(&shop).await.len(), 2);
    // What is being filled is in no backup.
    scene.take().await;
    let taken = scene.dump().await.collections().await.expect("collections");
    let taken: Vec<_> = taken.into_iter().map(|one| one.collection).filter(|name| name.starts_with(PREFIX)).collect();
    assert_eq!(taken, ["backup.restoring.mine"]);
    shop.collection::<Document>("orders").drop().await.expect("dropped");
    // Its connections still live: it may be at work.
    scene.heal(these(&["orders"])).await.expect("healed");
    assert_eq!(leftovers(&shop).await.len(), 2, "what a living run fills was dropped");
    client.shutdown().immediate(true).await;
    shop.collection::<Document>("orders").drop().await.expect("dropped");
    for _ in 0..50 {
        scene.heal(these(&["orders", "users"])).await.expect("healed");
        if leftovers(&shop).await.len() == 1 {
            break;
        }
        shop.collection::<Document>("orders").drop().await.expect("dropped");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(leftovers(&shop).await, ["backup.restoring.mine"]);
    shop.collection::<Document>("backup.restoring.mine").drop().await.expect("dropped");
    assert_eq!(scene.hash().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_runs_at_once_heal_once() {
    let Some(scene) = Scene::filled().await else { return };
    let (shop, before) = (scene.shop(), scene.hash().await);
    for _ in 0..5 {
        for name in ALL {
            shop.collection::<Document>(name).drop().await.expect("dropped");
        }
        let (one, other) = tokio::join!(scene.heal(listed()), scene.heal(listed()));
        for healed in [one.expect("healed"), other.expect("healed")] {
            assert_eq!(healed.still_sick(), Vec::<&str>::new(), "{:?}", healed.done);
        }
        assert_eq!(scene.hash().await, before);
    }
}
