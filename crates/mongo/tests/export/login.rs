//! Who may read what, which deployment it is, and what is told of a login that fails.

use backup_mongo::{Config, Secret, Shape, connect};
use backup_tests::{Mongod, MongodSetup};
use bson::{Document, doc};

use crate::{deployment, files, snapshot};

const PASSWORD: &str = "p@ss/w:rd ä";

async fn with_password(replica_set: bool) -> Option<Mongod> {
    let setup = MongodSetup { password: Some(PASSWORD.to_owned()), replica_set, ..MongodSetup::default() };
    let server = Mongod::start_with(&setup).await?;
    let client = server.client();
    client.database("app").collection::<Document>("users").insert_one(doc! { "_id": 1 }).await.expect("stored");
    client.database("other").collection::<Document>("users").insert_one(doc! { "_id": 2 }).await.expect("stored");
    let reader = doc! { "createUser": "reader", "pwd": PASSWORD, "roles": ["read"] };
    client.database("app").run_command(reader).await.expect("made");
    let backup = doc! { "createUser": "backup", "pwd": PASSWORD, "roles": ["backup"] };
    client.database("admin").run_command(backup).await.expect("made");
    let role = doc! { "createRole": "shopkeeper", "privileges": [], "roles": ["read"] };
    client.database("app").run_command(role).await.expect("made");
    Some(server)
}

fn config(server: &Mongod, user: &str, password: &str, source: Option<&str>) -> Config {
    Config {
        username: Some(user.to_owned()),
        password: Some(Secret::from(password)),
        auth_source: source.map(str::to_owned),
        ..Config::new(format!("mongodb://{}/?directConnection=true&serverSelectionTimeoutMS=3000", server.host()))
    }
}

#[tokio::test]
async fn the_role_backup_takes_all_with_users_and_a_reader_its_own_database() {
    let Some(server) = with_password(true).await else { return };
    let mut all = deployment(&server, None);
    all.config = config(&server, "backup", PASSWORD, None);
    let files = files(&*snapshot(&all).await.expect("a snapshot")).await.expect("all is read");
    assert_eq!(files["admin/system.users.bson"].facts[0].documents.expect("counted").documents, 3);
    assert_eq!(files["admin/system.roles.bson"].facts[0].documents.expect("counted").documents, 1);
    assert!(files.contains_key("other/users.bson") && files.contains_key("admin/system.version.bson"));

    let mut own = deployment(&server, Some("app"));
    own.config = config(&server, "reader", PASSWORD, Some("app"));
    let files = crate::files(&*snapshot(&own).await.expect("a snapshot")).await.expect("all is read");
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(names, ["app/prelude.json", "app/users.bson", "app/users.metadata.json"], "a reader may not see the oplog");
    own.config = config(&server, "backup", PASSWORD, None);
    let taken = snapshot(&own).await.expect("a snapshot");
    assert_eq!(taken.origin().facts["instant"], "end of the oplog");
    assert!(taken.parts().iter().any(|part| part.name.as_str() == "oplog.bson"));
    own.options.oplog = false;
    let taken = snapshot(&own).await.expect("a snapshot");
    assert_eq!((&taken.origin().facts["instant"], taken.parts().len()), (&"none".into(), 3));
    own.options.oplog = true;
    own.config = config(&server, "reader", PASSWORD, Some("app"));
    for database in [None, Some("other")] {
        own.options.database = database.map(str::to_owned);
        let error = snapshot(&own).await.expect_err("no right");
        assert!(
            error.chain().contains("[13 Unauthorized]") && error.hint().is_some_and(|hint| hint.contains("role")),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_wrong_password_is_one_line_without_it() {
    let Some(server) = with_password(false).await else { return };
    for (user, password, source) in
        [("backup", "wr0ng/s3cret", None), ("reader", PASSWORD, None), ("nobody", "wr0ng", Some("app"))]
    {
        let error = connect(&config(&server, user, password, source)).await.expect_err("refused");
        let line = format!("{error:?}");
        assert!(line.contains("uthentication failed") || line.contains("refused the login"), "{line}");
        assert!(line.contains(&server.host()) && error.hint().is_some_and(|hint| hint.contains("password")), "{line}");
        assert!(!line.contains(password) && !line.contains('\n') && line.len() < 300, "{line}");
    }
}

#[tokio::test]
async fn nobody_who_answers_is_one_line_with_the_reason() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address");
    let config = Config::new(format!("mongodb://{free}/?directConnection=true&serverSelectionTimeoutMS=300"));
    let error = connect(&config).await.expect_err("nobody");
    let line = format!("{error:?}");
    assert!(line.contains("Connection refused") && line.contains(&free.to_string()) && line.len() < 300, "{line}");
}

#[tokio::test]
async fn a_deployment_stays_the_same_through_a_restart_and_another_is_another() {
    let (Some(one), Some(other)) = (Mongod::start().await, Mongod::replica_set().await) else { return };
    let first = connect(&Config::new(one.host())).await.expect("connected");
    assert_eq!((first.shape, first.version.split('.').next()), (Shape::Standalone, Some("6")));
    one.client().database("admin").run_command(doc! { "fsync": 1 }).await.expect("on disk");
    one.crash();
    one.start_again();
    let again = connect(&Config::new(one.host())).await.expect("connected");
    assert_eq!((first.identity.len(), &first.identity), (32, &again.identity));
    for server in [other.host(), format!("rs0/{}", other.host())] {
        let set = connect(&Config::new(server)).await.expect("connected");
        assert_eq!(set.shape, Shape::ReplicaSet("rs0".to_owned()));
        assert_ne!(set.identity, first.identity);
    }
}
