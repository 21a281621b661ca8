//! What the source has no longer.

use crate::scene::Scene;

#[test]
fn what_is_removed_goes_to_the_trash_and_the_reverse_way_too() {
    let Some(scene) = Scene::new("removed") else { return };
    scene.ok("home", &["mb", "s3://removed"]);
    scene.ok("home", &["mb", "s3://copy"]);
    for name in ["a", "b", "c"] {
        scene.write(&format!("home/all/{name}"), name);
    }
    scene.ok("home", &["sync", "all/", "s3://removed"]);
    scene.ok("to", &["sync", "s3://removed", "."]);
    scene.ok("to", &["sync", "s3://removed", "s3://copy/in/"]);
    std::fs::remove_file(scene.path("home/all/b")).expect("removed");
    let words = scene.ok("home", &["sync", "--delete-removed", "all/", "s3://removed"]);
    assert!(words.contains("1 deleted"), "{words}");
    assert!(scene.ok("home", &["ls", "-r", "s3://removed/.ceph-backup/trash/"]).contains("/b\n"));
    for arguments in
        [["sync", "--delete-removed", "s3://removed", "."], ["sync", "--delete-removed", "s3://removed", "s3://copy/in/"]]
    {
        let words = scene.ok("to", &arguments);
        assert!(words.contains("1 deleted"), "{words}");
    }
    assert_eq!(scene.files("to").into_keys().collect::<Vec<_>>(), ["a", "c"]);
    let words = scene.ok("to", &["ls", "-r", "s3://copy/in/"]);
    assert!(words.contains("in/a\n") && !words.contains("in/b\n") && words.contains("/b\n"), "{words}");
    // Half is too much without a word.
    std::fs::remove_file(scene.path("home/all/a")).expect("removed");
    std::fs::remove_file(scene.path("home/all/c")).expect("removed");
    let (code, words) = scene.run("home", &["sync", "--delete-removed", "all/", "s3://removed"]);
    assert!(code == 1 && words.contains("nothing was deleted") && words.contains("--yes"), "{words}");
    let words = scene.ok("home", &["sync", "--delete-removed", "--yes", "all/", "s3://removed"]);
    assert!(words.contains("2 deleted"), "{words}");
}
