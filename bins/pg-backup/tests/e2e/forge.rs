//! Backups that somebody changed: the manifest says something else, and every digest in it is right again.

use std::fs;
use std::path::{Path, PathBuf};

use backup_core::{Manifest, Sha256};

/// Changes the text of a manifest and makes its digest right again.
#[track_caller]
pub(crate) fn text(backup: &Path, change: impl FnOnce(String) -> String) {
    let path = backup.join("manifest.json");
    let text = fs::read_to_string(&path).expect("the manifest");
    let at = text.rfind("\n,\"own_sha256\"").expect("its digest");
    let changed = change(text[..at].to_owned());
    assert_ne!(changed, text[..at], "nothing was changed");
    let digest = Sha256::of(changed.as_bytes());
    fs::write(&path, format!("{changed}\n,\"own_sha256\": \"{digest}\"\n}}\n")).expect("written");
}

/// Changes what a manifest says, and writes it as the program would.
#[track_caller]
pub(crate) fn manifest(backup: &Path, change: impl FnOnce(&mut Manifest)) {
    let path = backup.join("manifest.json");
    let original = Manifest::from_bytes(&fs::read(&path).expect("the manifest")).expect("it is read");
    let mut manifest = original.clone();
    change(&mut manifest);
    assert_ne!(manifest, original, "nothing was changed");
    fs::write(&path, manifest.to_bytes().expect("it is written")).expect("written");
}

/// Copies a folder with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    let done = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status().expect("cp runs");
    assert!(done.success());
}

/// Makes a backup that is the same but for its ID, beside it.
pub(crate) fn copy_as(backup: &Path, id: &str) -> PathBuf {
    let path = backup.with_file_name(id);
    copy(backup, &path);
    manifest(&path, |manifest| manifest.id = id.parse().expect("an ID"));
    path
}
