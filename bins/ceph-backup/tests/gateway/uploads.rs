//! Uploads that were begun and not finished.

use backup_ceph::New;

use crate::scene::Scene;

#[test]
fn uploads_that_nobody_finished_are_told_and_given_up() {
    let Some(scene) = Scene::new("uploads") else { return };
    scene.ok("home", &["mb", "s3://uploads"]);
    let gateway = scene.gateway(&scene.keys);
    for key in ["in/one", "in/two", "out"] {
        scene.block(gateway.begin("uploads", key, &New::default())).expect("begun");
    }
    let left = || scene.block(gateway.uploads("uploads", "")).expect("listed").len();
    // What was begun just now may be under way.
    for arguments in [
        &["check", "s3://uploads"][..],
        &["check", "--read-only", "s3://uploads"],
        &["check", "--abort-uploads", "1", "s3://uploads"],
    ] {
        assert!(scene.ok("home", arguments).contains("ok  uploads"), "{arguments:?}");
        assert_eq!(left(), 3, "{arguments:?}");
    }
    let words = scene.ok("home", &["check", "--abort-uploads", "0", "s3://uploads/in/"]);
    assert!(words.contains("given up: 2 begun 0 h ago or earlier") && words.contains("in/one"), "{words}");
    assert_eq!(left(), 1);
    scene.ok("home", &["check", "--abort-uploads", "4294967295", "s3://uploads"]);
    assert_eq!(left(), 1);
    scene.fails(2, &["check", "--abort-uploads", "0"], "PLACE");
}
