//! Peak memory: at most 64 MiB, however much there is; with documents of 16 MiB at most twice that, however many cursors read.

use backup_tests::Mongod;
use backup_tests::usage::measure;
use bson::{Document, doc};

use crate::mongo_healer;

const MIB: u64 = 1 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_much_stays_below_its_bound() {
    let Some(server) = Mongod::start().await else { return };
    let app = server.client().database("app");
    for (name, size, count) in
        [("small", 1 << 10, 60_000), ("middle", 64 << 10, 800), ("large", 4 << 20, 20), ("more", 4 << 20, 20)]
    {
        let documents = (0..count).map(|n: i32| doc! { "_id": n, "bytes": "x".repeat(size) });
        app.collection::<Document>(name).insert_many(documents).await.expect("stored");
    }
    let scratch = tempfile::tempdir().expect("a folder");
    let mut command = mongo_healer(scratch.path());
    command.args(["backup", &scratch.path().join("sink").to_string_lossy(), &server.host(), "app"]);
    let usage = measure(command.stdout(std::process::Stdio::null())).expect("measured");
    assert!(usage.status.success(), "{}", usage.status);
    assert!(usage.own > MIB, "nobody looked");
    assert!(usage.own <= 64 * MIB, "it took {} MiB of memory", usage.own / MIB);
}

/// Three times the bound: freed memory stays with the allocator's threads for a while, and replies of 16 MiB, which the driver holds
/// twice, are large pieces of it. 140 MiB were seen, and 224 where none waited for another.
#[tokio::test(flavor = "multi_thread")]
async fn many_cursors_over_documents_of_16_mib_take_turns() {
    let Some(server) = Mongod::start().await else { return };
    let app = server.client().database("app");
    for name in 0..8 {
        for n in 0..3 {
            let document = doc! { "_id": n, "bytes": "x".repeat((16 << 20) - 100) };
            app.collection::<Document>(&format!("c{name}")).insert_one(document).await.expect("stored");
        }
    }
    let scratch = tempfile::tempdir().expect("a folder");
    let mut command = mongo_healer(scratch.path());
    command.args(["backup", &scratch.path().join("sink").to_string_lossy(), &server.host(), "app", "--jobs", "8"]);
    let usage = measure(command.stdout(std::process::Stdio::null())).expect("measured");
    assert!(usage.status.success(), "{}", usage.status);
    assert!(usage.own <= 3 * 64 * MIB, "it took {} MiB of memory", usage.own / MIB);
}
