//! Folders of servers to throw away: for their owner alone, gone with their run, and swept where that was killed.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use backup_core::Kind;
use backup_core::scratch::Folder;

/// What is locked in a folder as long as its run lives.
const LOCK: &str = "backup-scratch.lock";

fn make(parent: &Path) -> Folder {
    Folder::make(parent, "test-", "socket", None).expect("made")
}

#[test]
fn it_is_entered_by_its_owner_alone_and_goes_with_all_that_is_in_it() {
    let parent = tempfile::tempdir().expect("a folder");
    let folder = make(parent.path());
    assert_eq!(folder.path().metadata().expect("it is there").permissions().mode() & 0o777, 0o700);
    std::fs::create_dir_all(folder.path().join("a/b")).expect("a folder");
    let path = folder.path().to_owned();
    folder.close().expect("removed");
    assert!(!path.exists());
}

#[test]
fn what_a_killed_run_has_left_goes_and_what_is_in_use_or_anothers_stays() {
    let parent = tempfile::tempdir().expect("a folder");
    let at = |name: &str| parent.path().join(name);
    let living = make(parent.path());
    assert!(living.path().join(LOCK).exists());
    for name in ["test-dead", "test-theirs", "test-linked", "other"] {
        std::fs::create_dir_all(at(name).join("data/deep")).expect("a folder");
    }
    // A lock that nobody holds; none; one that is elsewhere; one of another kind of folder.
    for name in ["test-dead", "other"] {
        std::fs::write(at(name).join(LOCK), "").expect("written");
    }
    symlink(at("other").join(LOCK), at("test-linked").join(LOCK)).expect("a link");
    symlink(at("other"), at("test-link")).expect("a link");
    drop(make(parent.path()));
    let mut names: Vec<_> = parent.path().read_dir().expect("a folder").map(|entry| entry.expect("one").path()).collect();
    names.sort_unstable();
    let mut stay = vec![at("other"), at("test-link"), at("test-linked"), at("test-theirs"), living.path().to_owned()];
    stay.sort_unstable();
    assert_eq!(names, stay);
}

#[test]
fn a_path_that_is_too_long_for_a_socket_is_refused_and_nothing_is_left() {
    let parent = tempfile::tempdir().expect("a folder");
    let refused = Folder::make(parent.path(), "test-", &"s".repeat(100), None).expect_err("too long");
    assert!(refused.kind() == Kind::Usage && refused.hint().is_some(), "{refused:?}");
    assert_eq!(parent.path().read_dir().expect("a folder").count(), 0);
}
