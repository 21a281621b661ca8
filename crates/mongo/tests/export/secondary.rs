//! A secondary is read where it is asked for, and the primary is left alone.

use backup_mongo::{Config, Deployment, Options, connect};
use backup_tests::{Mongod, MongodSet};
use bson::{Document, doc};
use mongodb::options::WriteConcern;

use crate::{files, snapshot};

const DOCUMENTS: i64 = 5000;

/// How many documents a member has returned since it started.
async fn returned(member: &Mongod) -> i64 {
    let status = member.client().database("admin").run_command(doc! { "serverStatus": 1 }).await.expect("its status");
    let documents = status.get_document("metrics").and_then(|metrics| metrics.get_document("document"));
    documents.and_then(|documents| documents.get_i64("returned")).expect("a number")
}

async fn set() -> Option<MongodSet> {
    let set = MongodSet::start(2).await?;
    let users = set.primary().client().database("app").collection::<Document>("users");
    let everywhere = WriteConcern::builder().w(mongodb::options::Acknowledgment::Nodes(2)).build();
    users.insert_many((0..DOCUMENTS).map(|n| doc! { "_id": n })).write_concern(everywhere).await.expect("stored");
    Some(set)
}

#[tokio::test]
async fn documents_come_from_the_secondary_if_it_is_asked_for_and_from_the_primary_if_not() {
    let Some(set) = set().await else { return };
    let [secondary] = set.secondaries() else { panic!("{set:?}") };
    let url = |more: &str| format!("mongodb://{}/?replicaSet=rs0{more}", set.primary().host());
    for (server, asked, from_secondary) in [
        (set.hosts(), true, true),
        (set.hosts(), false, false),
        (url(""), true, true),
        (url("&readPreference=secondary"), false, true),
        (secondary.host(), false, true),
    ] {
        let config = Config { secondary: asked, ..Config::new(server.clone()) };
        // With the database alone, and with the oplog's window.
        for database in [Some("app"), None] {
            let (mine, other) = if from_secondary { (secondary, set.primary()) } else { (set.primary(), secondary) };
            let before = (returned(mine).await, returned(other).await);
            let options = Options { database: database.map(str::to_owned), ..Options::default() };
            let taken = snapshot(&Deployment { config: config.clone(), options }).await.expect("a snapshot");
            let files = files(&*taken).await.expect("all is read");
            let read = files["app/users.bson"].facts[0].documents.expect("counted").documents;
            let (mine, other) = (returned(mine).await - before.0, returned(other).await - before.1);
            assert_eq!(i64::try_from(read).ok(), Some(DOCUMENTS), "{server} {asked}");
            assert!(mine >= DOCUMENTS && other < DOCUMENTS / 10, "{server} {asked}: {mine} and {other}");
        }
    }
}

#[tokio::test]
async fn every_member_is_the_same_deployment_and_a_set_without_a_secondary_gives_its_primary() {
    let Some(set) = set().await else { return };
    let mut identities = Vec::new();
    for server in [set.hosts(), set.primary().host(), set.secondaries()[0].host()] {
        for secondary in [true, false] {
            identities.push(connect(&Config { secondary, ..Config::new(server.clone()) }).await.expect("connected").identity);
        }
    }
    identities.dedup();
    assert_eq!(identities.len(), 1, "{identities:?}");
    set.secondaries()[0].crash();
    let alone = connect(&Config { secondary: true, ..Config::new(set.hosts()) }).await.expect("connected");
    assert_eq!(alone.identity, identities[0]);
}
