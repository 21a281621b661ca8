//! Peak memory: at most 64 MiB, however much there is and whatever is done with it; documents of more than 1 MiB take more, but not
//! more than 64 MiB beside the program.

use std::path::Path;
use std::process::Stdio;

use backup_tests::Mongod;
use backup_tests::usage::measure;
use bson::{Document, doc};

use crate::mongo_healer;

const MIB: u64 = 1 << 20;

/// The peak of a run that ends well, in bytes.
#[expect(clippy::print_stdout, reason = "a measurement is shown with --nocapture")]
fn peak(state: &Path, words: &[&str], input: Stdio, output: Stdio) -> u64 {
    let mut command = mongo_healer(state);
    let usage = measure(command.args(words).stdin(input).stdout(output)).expect("measured");
    assert!(usage.status.success(), "{words:?}: {}", usage.status);
    assert!(usage.own > MIB, "nobody looked");
    println!("{} MiB: {}", usage.own / MIB, words.join(" "));
    usage.own
}

#[tokio::test(flavor = "multi_thread")]
async fn much_is_backed_up_restored_and_healed_within_the_bound() {
    let Some(server) = Mongod::start().await else { return };
    let app = server.client().database("app");
    let kinds = [("small", 1 << 10, 60_000), ("text", 12 << 10, 6000), ("middle", 64 << 10, 1200), ("large", 900 << 10, 80)];
    for (name, size, count) in kinds.into_iter().chain([("huge", 1020 << 10, 80), ("more", 1020 << 10, 80)]) {
        let documents = (0..count).map(|n: i32| doc! { "_id": n, "bytes": "x".repeat(size) });
        app.collection::<Document>(name).insert_many(documents).await.expect("stored");
    }
    let scratch = tempfile::tempdir().expect("a folder");
    let (sink, host, archive) = (scratch.path().join("sink"), server.host(), scratch.path().join("archive"));
    let sink = sink.to_string_lossy();
    let of = |command: &[&str], rest: &[&str]| {
        let words = [command, rest].concat();
        let (input, output) = match words.as_slice() {
            [.., "archive", _] => (Stdio::null(), std::fs::File::create(&archive).expect("a file").into()),
            ["load", "-", ..] => (std::fs::File::open(&archive).expect("a file").into(), Stdio::null()),
            _ => (Stdio::null(), Stdio::null()),
        };
        let peak = peak(scratch.path(), &words, input, output);
        assert!(peak <= 64 * MIB, "{words:?}: it took {} MiB of memory", peak / MIB);
    };
    let stored: &[&str] = &["--to", &sink, "--job", "app"];
    of(&["backup", &sink, &host, "app"], &[]);
    of(stored, &["restore", "latest", &host, "--database", "app", "--as", "again"]);
    server.client().database("again").drop().await.expect("dropped");
    of(stored, &["archive", "latest"]);
    of(&["load", "-", &host], &["--database", "app", "--as", "piped"]);
    server.client().database("piped").drop().await.expect("dropped");
    let large = app.collection::<Document>("large");
    large.delete_many(doc! { "_id": { "$gte": 10 } }).await.expect("shrunk");
    for name in ["text", "middle", "huge"] {
        app.collection::<Document>(name).drop().await.expect("dropped");
    }
    of(&["heal", &sink, &host, "app"], &["--all", "--merge"]);
    assert_eq!(large.count_documents(doc! {}).await.expect("counted"), 80);
}

/// The driver holds a reply twice and a command three times: 48 MiB are one document. What goes to the system again as soon as it is
/// freed is not added up.
#[tokio::test(flavor = "multi_thread")]
async fn documents_of_16_mib_come_one_at_a_time_and_take_64_mib_beside_the_program() {
    let Some(server) = Mongod::start().await else { return };
    let app = server.client().database("app");
    for name in 0..8 {
        for n in 0..3 {
            let document = doc! { "_id": n, "bytes": "x".repeat((16 << 20) - 100) };
            app.collection::<Document>(&format!("c{name}")).insert_one(document).await.expect("stored");
        }
    }
    let scratch = tempfile::tempdir().expect("a folder");
    let (sink, host) = (scratch.path().join("sink"), server.host());
    let sink = sink.to_string_lossy();
    let backup: &[&str] = &["backup", &sink, &host, "app", "--jobs", "8"];
    let restore = ["--to", &sink, "--job", "app", "restore", "latest", &host, "--database", "app", "--as", "again"];
    let restore = [&restore[..], &["--jobs", "4"]].concat();
    // Mostly the pages of its file, of which a program that is not optimised has many.
    let nothing = ["backup", &sink, &host, "nothing"];
    server.client().database("nothing").create_collection("nothing").await.expect("created");
    let alone = peak(scratch.path(), &nothing, Stdio::null(), Stdio::null());
    for words in [backup, &restore] {
        let more = peak(scratch.path(), words, Stdio::null(), Stdio::null()).saturating_sub(alone);
        assert!(more <= 64 * MIB, "{words:?}: it took {} MiB of memory beside {}", more / MIB, alone / MIB);
    }
}
