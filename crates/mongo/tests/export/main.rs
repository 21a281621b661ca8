//! A deployment as files of mongodump, against a real server.

mod breaks;
mod extremes;
mod files;
mod login;
mod oplog;
mod secondary;
mod tls;

use std::collections::BTreeMap;
use std::sync::Arc;

use backup_core::{Context, Result, Snapshot, Source, body};
use backup_mongo::{Config, Deployment, Options, PartFacts};
use backup_tests::{Mongod, MongodSetup};

/// More than any part of the corpus has, in bytes.
const MOST: u64 = 256 << 20;

/// A file of mongodump: its bytes, and the facts of the parts that it is made of.
#[derive(Debug, Default)]
struct File {
    bytes: Vec<u8>,
    facts: Vec<PartFacts>,
}

/// A server, or a set of one, that takes commands which only tests give.
async fn with_test_commands(replica_set: bool) -> Option<Mongod> {
    let arguments = ["--setParameter", "enableTestCommands=1"].map(str::to_owned).to_vec();
    Mongod::start_with(&MongodSetup { replica_set, arguments, ..MongodSetup::default() }).await
}

fn deployment(server: &Mongod, database: Option<&str>) -> Deployment {
    let options = Options { database: database.map(str::to_owned), ..Options::default() };
    Deployment { config: Config::new(server.host()), options }
}

async fn snapshot(deployment: &Deployment) -> Result<Arc<dyn Snapshot>> {
    deployment.snapshot(&Context::default(), None).await.map(Arc::from)
}

/// All parts, read one after the other, by the files that they make.
async fn files(snapshot: &dyn Snapshot) -> Result<BTreeMap<String, File>> {
    let mut files: BTreeMap<String, File> = BTreeMap::new();
    for part in snapshot.parts() {
        let reading = snapshot.read(&part.name).await?;
        let bytes = body::to_vec(reading.body, MOST).await?;
        let facts = PartFacts::from_facts(&part.name, reading.facts.get().expect("facts at the end"))?;
        let file = files.entry(facts.file.clone()).or_default();
        file.bytes.extend(bytes);
        file.facts.push(facts);
    }
    Ok(files)
}
