//! A bucket that fails in the middle of a backup or a healing: nothing half is seen, nothing is left behind, and the next run succeeds.

use backup_tests::faults::{Asked, Fault, Proxy, Seen};
use backup_tests::{Mongod, Rgw, S3Keys, mongo_corpus};
use bson::Document;

use crate::healing::hash;
use crate::{mongo_healer, told};

/// More than any client asks again.
const ALWAYS: usize = 1000;

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_fails_in_the_middle_of_a_backup_and_of_a_healing() {
    let Some(rgw) = Rgw::shared() else { return };
    let Some(server) = Mongod::start().await else { return };
    mongo_corpus::load(&server.client()).await;
    let keys = rgw.user("faults");
    let Some(mut s3cmd) = rgw.s3cmd(&keys) else { return };
    assert!(s3cmd.args(["mb", "s3://faults"]).status().expect("s3cmd runs").success());
    let address = rgw.url().trim_start_matches("http://").parse().expect("an address");
    let proxy = std::thread::spawn(move || Proxy::start(address)).join().expect("a proxy");
    let scratch = tempfile::tempdir().expect("a folder");
    let S3Keys { access_key, secret_key } = &keys;
    let ours = |words: &[&str]| {
        let mut command = mongo_healer(scratch.path());
        command
            .env("AWS_ENDPOINT_URL", proxy.url())
            .env("AWS_ACCESS_KEY_ID", access_key)
            .env("AWS_SECRET_ACCESS_KEY", secret_key);
        told(&command.args([words[0], "s3://faults", &server.host(), "corpus"]).args(&words[1..]).output().expect("it runs"))
    };
    let unwell = Fault::Answer(500, "InternalError");
    proxy.spoil(Asked::Put, 3, ALWAYS, unwell.clone());
    let (code, out, err) = ours(&["backup"]);
    assert!(code == 1 && out.is_empty(), "{code} {out}{err}");
    proxy.heal();
    // What it has left is no backup.
    assert_eq!(ours(&["heal", "never"]).0, 3);
    let (code, _, err) = ours(&["backup", "--verify", "--compress", "none"]);
    assert_eq!(code, 0, "{err}");
    let corpus = server.client().database("corpus");
    let before = hash(&server, "corpus").await;
    for name in ["large", "big"] {
        corpus.collection::<Document>(name).drop().await.expect("dropped");
    }
    let lost = hash(&server, "corpus").await;
    // So many objects are read before the documents are.
    proxy.seen();
    assert_eq!(ours(&["heal", "--dry-run", "large", "big"]).0, 7);
    let gets = proxy.seen().iter().filter(|Seen { asked, .. }| *asked == Asked::Get).count();
    assert!(gets > 0);

    for (skip, fault, expected) in [(0, unwell, 1), (gets + 2, Fault::Cut(0), 7), (gets + 1, Fault::Flip(70_000), 7)] {
        if fault == Fault::Cut(0) {
            // In the middle of the documents, and then each time that it is asked for the rest.
            proxy.spoil(Asked::Get, gets + 1, 1, Fault::Cut(60_000));
        }
        proxy.spoil(Asked::Get, skip, ALWAYS, fault.clone());
        let (code, out, err) = ours(&["heal", "large", "big"]);
        assert_eq!(code, expected, "{fault:?} after {skip}: {out}{err}");
        proxy.heal();
        let names = corpus.list_collection_names().await.expect("names");
        assert!(!names.iter().any(|name| name.starts_with("backup.restoring.")), "{fault:?} after {skip}: {names:?}");
        // One of the two may be whole already.
        for name in ["large", "big"].map(str::to_owned).iter().filter(|name| names.contains(name)) {
            let whole = hash(&server, "corpus").await.into_iter().find(|(of, _)| of == name);
            assert_eq!(whole, before.iter().find(|(of, _)| of == name).cloned(), "{fault:?} after {skip}: half of {name}");
            corpus.collection::<Document>(name).drop().await.expect("dropped");
        }
        assert_eq!(hash(&server, "corpus").await, lost);
    }
    let (code, out, err) = ours(&["heal", "large", "big"]);
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(hash(&server, "corpus").await, before);
}
