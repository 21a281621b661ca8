//! Two healings of the same collections at the same time, and an application that makes one of them anew meanwhile.

use std::process::Stdio;

use backup_tests::{Mongod, mongo_corpus};
use bson::{Document, doc};

use crate::healing::hash;
use crate::{mongo_healer, run, told};

#[tokio::test(flavor = "multi_thread")]
async fn two_at_once_heal_once_and_what_an_application_made_meanwhile_stays() {
    let Some(server) = Mongod::start().await else { return };
    mongo_corpus::load(&server.client()).await;
    let scratch = tempfile::tempdir().expect("a folder");
    let sink = scratch.path().join("sink").to_string_lossy().into_owned();
    assert_eq!(run(scratch.path(), &["backup", &sink, &server.host(), "corpus"]).0, 0);
    let corpus = server.client().database("corpus");
    let before = hash(&server, "corpus").await;
    let names = ["types", "big", "capped", "weather", "view"];
    // One state folder, as on one machine, and one each, as on two.
    for (number, states) in [["one", "one"], ["one", "other"], ["one", "other"]].into_iter().enumerate() {
        for name in names {
            corpus.collection::<Document>(name).drop().await.expect("dropped");
        }
        let both = states.map(|state| {
            let mut command = mongo_healer(&scratch.path().join(state));
            command.args(["heal", &sink, &server.host(), "corpus"]).args(names);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs")
        });
        // In the last round somebody else writes to one of them as soon as it can be written to.
        let theirs = number == 2;
        if theirs {
            let types = corpus.collection::<Document>("types");
            types.insert_one(doc! { "_id": "theirs" }).await.expect("inserted");
        }
        let mut restored = 0;
        for running in both {
            let (code, out, err) = told(&running.wait_with_output().expect("it ends"));
            assert_eq!(code, 0, "{out}{err}");
            assert_eq!(out.lines().count(), names.len(), "{out}{err}");
            restored += out.matches(": gone; restored").count();
        }
        let left = corpus.list_collection_names().await.expect("names");
        assert!(!left.iter().any(|name| name.starts_with("backup.restoring.")), "{left:?}");
        if theirs {
            let types = corpus.collection::<Document>("types");
            // Theirs came before the backup's or behind them.
            assert!([1, 33].contains(&types.count_documents(doc! {}).await.expect("counted")));
            assert!(types.find_one(doc! { "_id": "theirs" }).await.expect("looked").is_some());
            continue;
        }
        assert_eq!(hash(&server, "corpus").await, before);
        // What one restored the other found there, or had to leave.
        assert_eq!(restored, names.len());
    }
}
