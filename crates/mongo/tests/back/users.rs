//! Users and roles come back when they are asked for; those that are there stay as they are.

use std::sync::Arc;

use backup_core::{Context, Kind, Memory, Name, Plain, Recorder, Repository, Restored, Result, Target, backup};
use backup_mongo::restore::Selection;
use backup_mongo::{Config, Deployment, Options, Restore, Secret, connect};
use backup_tests::{Mongod, MongodSetup};
use futures_util::TryStreamExt;
use mongodb::bson::{Document, doc};

async fn server(password: &str) -> Option<Mongod> {
    Mongod::start_with(&MongodSetup { password: Some(password.to_owned()), ..MongodSetup::default() }).await
}

fn config(server: &Mongod, user: &str, password: &str, source: &str) -> Config {
    Config {
        username: Some(user.to_owned()),
        password: Some(Secret::from(password)),
        auth_source: Some(source.to_owned()),
        ..Config::new(format!("mongodb://{}/?directConnection=true&serverSelectionTimeoutMS=2000", server.host()))
    }
}

async fn run(server: &Mongod, database: &str, command: Document) {
    server.client().database(database).run_command(command).await.expect("done");
}

async fn logs_in(server: &Mongod, user: &str, password: &str, source: &str) -> bool {
    connect(&config(server, user, password, source)).await.is_ok()
}

async fn stored(server: &Mongod) -> Vec<Document> {
    let admin = server.client().database("admin");
    let mut all = Vec::new();
    for name in ["system.users", "system.roles"] {
        let found = admin.collection::<Document>(name).find(doc! {}).sort(doc! { "_id": 1 }).await.expect("found");
        all.extend(found.try_collect::<Vec<Document>>().await.expect("found"));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn users_and_roles_come_back_and_those_that_are_there_stay() {
    let (Some(source), Some(target)) = (server("s0urce").await, server("t4rget").await) else { return };
    let role = doc! { "createRole": "keeper", "privileges": [], "roles": ["read"] };
    run(&source, "app", role).await;
    for (database, user) in [("app", "ann"), ("app", "ben"), ("admin", "cid")] {
        let user = doc! { "createUser": user, "pwd": "0ld", "roles": [{ "role": "keeper", "db": "app" }] };
        run(&source, database, user).await;
    }
    source.client().database("app").collection::<Document>("things").insert_one(doc! { "_id": 1 }).await.expect("stored");
    run(&target, "app", doc! { "createUser": "ann", "pwd": "her own", "roles": [] }).await;
    let before = stored(&target).await;

    let (repo, job, told) = (
        Plain::new(Arc::new(Memory::default()), "tests"),
        "all".parse::<Name>().expect("a name"),
        Arc::new(Recorder::default()),
    );
    let cx = Context { monitor: told.clone(), ..Context::default() };
    let of = Deployment { config: config(&source, "root", "s0urce", "admin"), options: Options::default() };
    backup(&cx, &repo, &job, async { Ok([Box::new(of)]) }, backup_core::Options::default()).await.expect("a backup");
    let id = repo.records(&job).await.expect("records").last().expect("a backup").id;
    let restore = async |selection: Selection| -> Result<Restored> {
        let stored = repo.open(&job, id).await?;
        let config = config(&target, "root", "t4rget", "admin");
        Restore { config, selection, ..Restore::default() }.restore(&cx, &*stored).await
    };

    // Unasked none comes.
    restore(Selection::default()).await.expect("restored");
    assert_eq!(stored(&target).await, before);
    let named =
        Selection { users: true, database: Some("app".into()), as_database: Some("new".into()), ..Selection::default() };
    assert_eq!(restore(named).await.expect_err("whose database").kind(), Kind::Usage);

    target.client().database("app").drop().await.expect("dropped");
    let of_app = Selection { users: true, database: Some("app".into()), ..Selection::default() };
    let restored = restore(of_app).await.expect("restored");
    assert_eq!((restored.counts["users"], restored.counts["roles"]), (1, 1), "{restored:?}");
    assert!(logs_in(&target, "ben", "0ld", "app").await && logs_in(&target, "ann", "her own", "app").await);
    assert!(!logs_in(&target, "ann", "0ld", "app").await && !logs_in(&target, "cid", "0ld", "admin").await);

    target.client().database("app").drop().await.expect("dropped");
    let restored = restore(Selection { users: true, ..Selection::default() }).await.expect("restored");
    assert_eq!((restored.counts["users"], restored.counts["roles"]), (1, 0), "{restored:?}");
    assert!(logs_in(&target, "cid", "0ld", "admin").await && logs_in(&target, "root", "t4rget", "admin").await);
    let after = stored(&target).await;
    assert!(before.iter().all(|one| after.contains(one)), "one that was there is another");
    let story = told.story().join("\n");
    for there in ["the user app.ann is there", "the user admin.root is there", "the role app.keeper is there"] {
        assert!(story.contains(there), "{there}: {story}");
    }
    assert!(!story.contains("SCRAM") && !story.contains("storedKey"), "{story}");
    let names = target.client().database("admin").list_collection_names().await.expect("names");
    assert!(!names.iter().any(|name| name.starts_with("backup.restoring.")), "{names:?}");
}
