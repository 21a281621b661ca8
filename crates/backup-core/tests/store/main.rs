//! Bytes at rest: sinks, and backups in them.

mod damage;
mod format;
mod keeping;
mod proving;
mod records;
mod sinks;
mod taking;

use std::sync::Arc;

use backup_core::testing::FakeSource;
use backup_core::*;

fn job() -> Name {
    "pg-app".parse().expect("a name")
}

fn plain(sink: impl Sink + 'static) -> Plain {
    Plain::new(Arc::new(sink), "test 1.0")
}

async fn take_one(repo: &Plain, source: &FakeSource) -> Result<Manifest> {
    backup(&Context::default(), repo, &job(), async { Ok([source]) }, Options::default()).await
}

/// Checks that all that is listed is whole, and returns how many there are.
async fn listed_and_whole(repo: &Plain) -> usize {
    let records = repo.records(&job()).await.expect("records");
    let listed: Vec<_> = records.iter().filter(|record| record.state == State::Listed).collect();
    for record in &listed {
        assert_eq!(record.why, None);
        let stored = repo.open(&job(), record.id).await.expect("opened");
        stored.verify(&Context::default(), true).await.expect("whole");
    }
    listed.len()
}

/// A stored manifest with this text, whose digest is right.
fn resealed(text: &str) -> Vec<u8> {
    let body = text.rsplit_once("\n,\"own_sha256\"").expect("its end").0;
    format!("{body}\n,\"own_sha256\": \"{}\"\n}}\n", Sha256::of(body)).into_bytes()
}

async fn newest(repo: &Plain) -> Records {
    repo.records(&job()).await.expect("records").pop().expect("one")
}

async fn state_of_newest(repo: &Plain) -> (State, Option<String>) {
    let records = repo.records(&job()).await.expect("records").pop().expect("one");
    (records.state, records.why)
}
