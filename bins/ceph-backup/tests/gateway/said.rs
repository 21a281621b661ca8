//! What a `.s3cfg` and the options say of a sync, and what comes of it.

use std::time::{Duration, Instant};

use crate::scene::Scene;

#[test]
fn each_key_of_an_s3cfg_that_says_how_a_sync_is_done_is_heeded() {
    let Some(mut scene) = Scene::new("said") else { return };
    scene.ok("home", &["mb", "s3://said"]);
    scene.write("home/all/a", "aaa");
    scene.write("home/all/b", &"b".repeat(20_000));

    scene.says("dry_run = True\n");
    assert!(scene.ok("home", &["sync", "all/", "s3://said"]).contains("2 would have been copied"));
    assert_eq!(scene.ok("home", &["ls", "-r", "s3://said"]), "");

    scene.says("limitrate = 10k\npreserve_attrs = False\n");
    let begun = Instant::now();
    scene.ok("home", &["sync", "all/", "s3://said"]);
    assert!(begun.elapsed() > Duration::from_millis(1500), "{:?}", begun.elapsed());
    let noted = |scene: &Scene| scene.head("said", "a").metadata.into_iter().find(|(name, _)| name == "s3cmd-attrs");
    let attrs = noted(&scene).expect("s3cmd's header").1;
    assert!(attrs.contains("md5:") && !attrs.contains("mode:"), "{attrs}");

    scene.says("skip_existing = True\n");
    scene.write("home/all/a", "other");
    assert!(scene.ok("home", &["sync", "all/", "s3://said"]).contains("2 were there"));
    scene.says("");
    assert!(scene.ok("home", &["sync", "all/", "s3://said"]).contains("1 copied"));
    assert!(noted(&scene).is_some_and(|(_, attrs)| attrs.contains("mode:")));

    std::fs::remove_file(scene.path("home/all/a")).expect("removed");
    scene.says("delete_removed = True\nmax_delete = 0\n");
    let sync = ["sync", "all/", "s3://said"];
    scene.fails(1, &sync, "0 are the most that may be");
    let words = scene.ok("home", &["sync", "--max-delete", "1", "all/", "s3://said"]);
    assert!(words.contains("1 deleted"), "{words}");
}

#[test]
fn each_option_that_says_how_a_sync_is_done_is_heeded() {
    let Some(scene) = Scene::new("options") else { return };
    scene.ok("home", &["mb", "s3://options"]);
    scene.write("home/all/a", "aaa");
    scene.write("home/all/large", &"0123456789abcdef".repeat(400_000));
    scene.ok("home", &["--part-size", "5M", "sync", "--no-preserve", "all/", "s3://options"]);
    let large = scene.head("options", "large");
    assert!(large.etag.ends_with("-2"), "{large:?}");
    assert!(large.metadata.iter().all(|(_, value)| !value.contains("mode:")), "{large:?}");

    // The same size, and no record that tells: only the content would.
    std::fs::remove_dir_all(scene.path("state")).expect("removed");
    scene.write("home/all/a", "bbb");
    assert!(scene.ok("home", &["sync", "--no-check-md5", "all/", "s3://options"]).contains("2 were there"));
    assert!(scene.ok("home", &["sync", "--skip-existing", "all/", "s3://options"]).contains("2 were there"));
    assert!(scene.ok("home", &["sync", "all/", "s3://options"]).contains("1 copied"));

    let begun = Instant::now();
    scene.write("home/more/b", &"b".repeat(20_000));
    scene.ok("home", &["sync", "--limit-rate", "10k", "more/", "s3://options/more/"]);
    assert!(begun.elapsed() > Duration::from_millis(1500), "{:?}", begun.elapsed());
    scene.fails(1, &["sync", "--storage-class", "NO_SUCH_CLASS", "more/", "s3://options/class/"], "failed");

    // Who reads JSON is not asked, and without a word nothing goes.
    std::fs::remove_file(scene.path("home/more/b")).expect("removed");
    let sync = ["--json", "sync", "--delete-removed", "more/", "s3://options/more/"];
    let (code, words) = scene.run("home", &sync);
    assert!(code == 1 && words.contains("nothing was deleted"), "{words}");
    scene.ok("home", &[&sync[..], &["--yes", "--no-trash"]].concat());
    assert_eq!(scene.ok("home", &["ls", "-r", "s3://options/more/"]), "");
    // What failed in part ends with 1, and for s3cmd's scripts with 2.
    scene.write("home/bad/ok", "ok");
    scene.write(&format!("home/bad/{}/{}", "x".repeat(250), "y".repeat(250)), "long");
    let long = format!("s3://options/{}/", "z".repeat(600));
    scene.fails(1, &["sync", "bad/", &long], "objects failed");
    let (code, words) = scene.run("home", &["--s3cmd-exit-codes", "sync", "bad/", &long]);
    assert_eq!(code, 2, "{words}");
    let words = scene.fails(2, &["mb", "s3://options/x"], "more than a bucket");
    assert!(!words.contains("made"), "{words}");
    assert!(scene.ok("home", &["du", "s3://options/large"]).contains("6400000  1 objects"));
}
