//! What is not what it should be: dumps that break off or lie, stored bytes that were changed, a server that answers half.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use backup_core::{Body, Context, Kind, Recorder, Repository, Result, body, verify};
use backup_mongo::Described;
use backup_mongo::diagnose::Asked;
use backup_mongo::dump::{Dump, Listed};
use backup_mongo::heal::{Backup, Backups, Done, Healed, Verified, examine, heal};
use backup_mongo::restore::{RestoreOptions, Run, Selection, restore};
use backup_tests::MongodSetup;
use mongodb::bson::{Document, doc};

use crate::breaks::{One, heal_and, leftovers};
use crate::scene::{Scene, fill, healer, listed, these};

/// What is wrong with a dump.
#[derive(Debug, Clone, Copy)]
enum Wrong {
    /// Its documents break off.
    Cut,
    /// It says that there is one document more.
    Count,
    /// It says another digest.
    Digest,
    /// More than one batch comes, and then half a document.
    Half,
    /// That of users, and others' documents break off while it is on its way.
    Both,
}

#[derive(Debug)]
struct Damaged<D>(D, Wrong);

#[async_trait]
impl<D: Dump> Dump for Damaged<D> {
    async fn collections(&self) -> Result<Vec<Listed>> {
        let mut all = self.0.collections().await?;
        for counted in all.iter_mut().filter_map(|listed| listed.counted.as_mut()) {
            match self.1 {
                Wrong::Cut | Wrong::Half | Wrong::Both => {}
                Wrong::Count => counted.documents += 1,
                Wrong::Digest => counted.digest = "0123".parse()?,
            }
        }
        Ok(all)
    }

    async fn describe(&self, listed: &Listed) -> Result<Described> {
        self.0.describe(listed).await
    }

    async fn documents(&self, listed: &Listed) -> Result<Body> {
        let wrong = match self.1 {
            Wrong::Both if listed.collection == "users" => Wrong::Half,
            Wrong::Both => {
                // The batch of users is on its way by then.
                tokio::time::sleep(std::time::Duration::from_millis(700)).await;
                Wrong::Cut
            }
            wrong => wrong,
        };
        let all = match wrong {
            Wrong::Cut => body::to_vec(self.0.documents(listed).await?, 1 << 30).await?,
            Wrong::Half => (0..1500).flat_map(|n| doc! { "_id": n }.to_vec().expect("bytes")).collect(),
            Wrong::Count | Wrong::Digest | Wrong::Both => return self.0.documents(listed).await,
        };
        Ok(body::from_bytes(all[..all.len() - 1].to_vec()))
    }
}

async fn has(scene: &Scene, name: &str) -> bool {
    scene.shop().list_collection_names().await.expect("names").contains(&name.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_that_breaks_off_or_lies_restores_nothing() {
    let Some(scene) = Scene::filled().await else { return };
    let shop = scene.shop();
    for name in ["users", "weather"] {
        shop.collection::<Document>(name).drop().await.expect("dropped");
    }
    let run = Run::new();
    let client = scene.client(&run);
    let healer = healer(&client, &run, these(&["users", "weather"]));
    for wrong in [Wrong::Cut, Wrong::Count, Wrong::Digest] {
        let dump = Arc::new(Damaged(scene.dump().await, wrong));
        let mut backups = One(Some(Backup { id: "wrong".into(), dump }));
        let diagnosis = examine(&scene.cx, &healer, &mut backups).await.expect("examined");
        let healed = heal(&scene.cx, &healer, diagnosis).await.expect("told");
        for name in ["users", "weather"] {
            let done = &healed.done[name];
            assert!(matches!(done, Done::Failed(error) if error.kind() == Kind::Damaged), "{wrong:?} {name}: {done:?}");
            assert!(!has(&scene, name).await, "{wrong:?} {name}");
        }
        assert_eq!(leftovers(&shop).await, Vec::<String>::new(), "{wrong:?}");
    }
}

/// Backups, the newest first.
#[derive(Debug)]
struct Several(VecDeque<Backup>);

#[async_trait]
impl Backups for Several {
    async fn older(&mut self, _cx: &Context) -> Result<Option<Backup>> {
        Ok(self.0.pop_front())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_off_or_lies_while_it_is_restored_comes_out_of_the_next_older_backup() {
    let Some(scene) = Scene::filled().await else { return };
    let (shop, before) = (scene.shop(), scene.hash().await);
    for wrong in [Wrong::Cut, Wrong::Count, Wrong::Digest] {
        shop.collection::<Document>("users").drop().await.expect("dropped");
        let newer = Backup { id: "newer".into(), dump: Arc::new(Damaged(scene.dump().await, wrong)) };
        let older = Backup { id: "older".into(), dump: Arc::new(scene.dump().await) };
        let (run, told) = (Run::new(), Arc::new(Recorder::default()));
        let cx = Context { monitor: told.clone(), ..Context::default() };
        let client = scene.client(&run);
        // What no backup has is looked for in all of them.
        let healer = healer(&client, &run, these(&["users", "never"]));
        let mut backups = Several([newer, older].into());
        let diagnosis = examine(&cx, &healer, &mut backups).await.expect("examined");
        let healed = heal(&cx, &healer, diagnosis).await.expect("healed");
        let done = &healed.done["users"];
        assert!(matches!(done, Done::Restored { backup, documents: 60 } if backup == "older"), "{wrong:?}: {done:?}");
        assert!(told.story().iter().any(|line| line.contains("backup newer is passed over")), "{wrong:?}: {:?}", told.story());
        assert_eq!((scene.hash().await, leftovers(&shop).await), (before.clone(), vec![]), "{wrong:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_spoilt_after_it_was_verified_heals_once_a_verification_has_found_it() {
    let Some(scene) = Scene::filled().await else { return };
    let (shop, before) = (scene.shop(), scene.hash().await);
    let newest = scene.repo.records(&scene.job).await.expect("records").len();
    scene.take().await;
    let newest = scene.repo.records(&scene.job).await.expect("records")[newest].id;
    verify(&scene.cx, &scene.repo, &scene.job, newest, true).await.expect("sound");
    let is_part = |key: &str| key.contains(&newest.to_string()) && key.ends_with(".bson.zst");
    for (key, bytes) in scene.memory.objects().into_iter().filter(|(key, _)| is_part(key.as_str())) {
        let mut bytes = bytes.to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        scene.memory.tamper(&key, Some(bytes));
    }
    shop.collection::<Document>("users").drop().await.expect("dropped");
    let lost = scene.hash().await;
    let healed = scene.heal(these(&["users"])).await.expect("told");
    assert_eq!((healed.still_sick(), scene.hash().await), (vec!["users"], lost));
    let error = verify(&scene.cx, &scene.repo, &scene.job, newest, true).await.expect_err("spoilt");
    assert_eq!(error.kind(), Kind::Damaged);
    let healed = scene.heal(these(&["users"])).await.expect("healed");
    assert!(matches!(healed.done["users"], Done::Restored { documents: 60, .. }), "{:?}", healed.done);
    assert_eq!(scene.hash().await, before);
}

/// A scene that is filled, on a server that fails as it is told.
async fn obedient() -> Option<Scene> {
    let arguments = ["--setParameter", "enableTestCommands=1"].map(str::to_owned).into();
    let scene = Scene::start_with(&MongodSetup { arguments, ..MongodSetup::default() }).await?;
    fill(&scene.shop()).await;
    scene.take().await;
    Some(scene)
}

/// A batch that the server takes up only after the collection was dropped would make it anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_late_leaves_nothing_of_what_broke_off() {
    let Some(scene) = obedient().await else { return };
    let shop = scene.shop();
    shop.collection::<Document>("users").drop().await.expect("dropped");
    let run = Run::new();
    let client = scene.client(&run);
    let late = doc! {
        "configureFailPoint": "failCommand", "mode": "alwaysOn",
        "data": { "failCommands": ["insert"], "blockConnection": true, "blockTimeMS": 1500, "appName": run.app_name() },
    };
    scene.server.client().database("admin").run_command(late).await.expect("waits");
    let dump = Arc::new(Damaged(scene.dump().await, Wrong::Half));
    let mut backups = One(Some(Backup { id: "half".into(), dump }));
    let healer = healer(&client, &run, these(&["users"]));
    let diagnosis = examine(&scene.cx, &healer, &mut backups).await.expect("examined");
    let healed = heal(&scene.cx, &healer, diagnosis).await.expect("told");
    assert!(matches!(&healed.done["users"], Done::Failed(error) if error.kind() == Kind::Damaged), "{:?}", healed.done);
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert_eq!(leftovers(&shop).await, Vec::<String>::new());

    let dump = Damaged(scene.dump().await, Wrong::Both);
    let selection = Selection {
        database: Some("shop".into()),
        collections: vec!["strict".into(), "users".into()],
        as_database: Some("shop2".into()),
        ..Selection::default()
    };
    let (options, elsewhere) = (RestoreOptions::default(), scene.server.client().database("shop2"));
    let error = restore(&scene.cx, &client, &run, &dump, &selection, &options).await.expect_err("both break off");
    assert_eq!(error.kind(), Kind::Damaged, "{error:?}");
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert_eq!(elsewhere.list_collection_names().await.expect("names"), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_has_otherwise_than_it_was_sent_is_not_put_into_place() {
    let Some(scene) = Scene::filled().await else { return };
    let shop = scene.shop();
    shop.collection::<Document>("users").drop().await.expect("dropped");
    let meanwhile = async {
        let beside = leftovers(&shop).await.remove(0);
        shop.collection::<Document>(&beside).insert_one(doc! { "_id": "another's" }).await.expect("inserted");
    };
    let healed = heal_and(&scene, &["users"], meanwhile).await.expect("told");
    let done = &healed.done["users"];
    assert!(matches!(done, Done::Failed(error) if error.kind() == Kind::Differs), "{done:?}");
    assert!(!has(&scene, "users").await && leftovers(&shop).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_backup_that_is_damaged_anywhere_is_passed_over_for_an_older_one() {
    let Some(scene) = Scene::filled().await else { return };
    let (shop, before) = (scene.shop(), scene.hash().await);
    let newest = scene.take().await;
    shop.collection::<Document>("users").drop().await.expect("dropped");
    // A part of it that is another collection's: that of users is sound.
    let is_it = |key: &str| key.contains(&newest) && key.ends_with("/00002.bson.zst");
    let (key, bytes) = scene.memory.objects().into_iter().find(|(key, _)| is_it(key.as_str())).expect("a part");
    let mut bytes = bytes.to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    scene.memory.tamper(&key, Some(bytes));
    let healed = scene.heal(these(&["users"])).await.expect("healed");
    let done = &healed.done["users"];
    assert!(matches!(done, Done::Restored { backup, documents: 60 } if *backup != newest), "{done:?}");
    assert_eq!(scene.hash().await, before);
}

/// Heals while the server refuses a command of the healer's once it has answered so many of them.
async fn refused(scene: &Scene, asked: Asked, command: &str, skip: i32) -> Result<Healed> {
    let run = Run::new();
    let client = scene.client(&run);
    let fail = doc! {
        "configureFailPoint": "failCommand", "mode": { "skip": skip },
        "data": { "failCommands": [command], "errorCode": 8, "appName": run.app_name() },
    };
    let admin = scene.server.client().database("admin");
    admin.run_command(fail).await.expect("a failure");
    let healer = healer(&client, &run, asked);
    let mut backups = Verified::new(&scene.repo, scene.job.clone());
    let healed = async {
        let diagnosis = examine(&scene.cx, &healer, &mut backups).await?;
        heal(&scene.cx, &healer, diagnosis).await
    };
    let healed = healed.await;
    admin.run_command(doc! { "configureFailPoint": "failCommand", "mode": "off" }).await.expect("no failure");
    healed
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_answers_half_is_no_server_that_has_lost_something() {
    let Some(scene) = obedient().await else { return };
    let shop = scene.shop();
    shop.collection::<Document>("users").drop().await.expect("dropped");
    let before = scene.hash().await;
    let all = || Asked { all: true, ..Asked::default() };
    // It lists collections to look, again to look for what is half there, and without a list once more.
    for (asked, command, skip) in [
        (listed(), "listCollections", 0),
        (listed(), "listCollections", 1),
        (all(), "listCollections", 2),
        (listed(), "listIndexes", 0),
        (listed(), "listIndexes", 3),
        (listed(), "count", 0),
        (listed(), "count", 3),
    ] {
        let error = refused(&scene, asked, command, skip).await.expect_err(command);
        assert_eq!(error.kind(), Kind::Unproven, "{command} {skip}: {error:?}");
        assert_eq!(scene.hash().await, before, "{command} {skip}");
    }
    // What refuses later fails what is being done, and leaves nothing of it.
    for command in ["create", "insert", "find", "createIndexes", "renameCollection"] {
        let healed = refused(&scene, listed(), command, 0).await.expect("told");
        assert_eq!(healed.still_sick(), ["users"], "{command}");
        assert_eq!(scene.hash().await, before, "{command}");
    }
    assert_eq!(scene.heal(listed()).await.expect("healed").done.len(), 1);
}
