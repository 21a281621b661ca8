//! A MongoDB server is there when it is asked for, as it was asked for, and gone afterwards.

use backup_tests::{Mongod, MongodSetup};
use mongodb::bson::{Document, doc};

#[tokio::test]
async fn a_server_starts_crashes_comes_back_with_what_it_had_and_is_gone_on_drop() {
    let Some(server) = Mongod::start().await else { return };
    let numbers = server.client().database("app").collection::<Document>("numbers");
    numbers.insert_one(doc! { "_id": 1 }).await.expect("stored");
    server.client().database("admin").run_command(doc! { "fsync": 1 }).await.expect("on disk");
    server.crash();
    assert!(std::net::TcpStream::connect(server.host()).is_err(), "it still answers");
    server.start_again();
    let numbers = server.client().database("app").collection::<Document>("numbers");
    assert_eq!(numbers.count_documents(doc! {}).await.expect("counted"), 1);
    let (dir, host) = (server.dir().to_owned(), server.host());
    drop(server);
    assert!(!dir.exists(), "{} is still there", dir.display());
    assert!(std::net::TcpStream::connect(&host).is_err(), "something still listens on {host}");
}

#[tokio::test]
async fn a_replica_set_with_a_password_has_an_oplog_and_lets_nobody_else_in() {
    let setup = MongodSetup { replica_set: true, password: Some("it's secret".to_owned()), ..MongodSetup::default() };
    let Some(server) = Mongod::start_with(&setup).await else { return };
    let oplog = server.client().database("local").collection::<Document>("oplog.rs");
    assert!(oplog.find_one(doc! {}).await.expect("it may be read").is_some());
    let stranger = mongodb::Client::with_uri_str(format!("mongodb://{}/?directConnection=true", server.host())).await;
    let refused = stranger.expect("a client").database("app").list_collection_names().await;
    assert!(refused.expect_err("no password").to_string().contains("requires authentication"));
}
