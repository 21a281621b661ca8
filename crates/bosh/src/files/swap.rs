//! The folders and the script on the director by which files are put in place, kept, and removed.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use backup_core::{Doing, Error, Result, body};
use backup_host::Command;

use super::Files;
use super::places::{Place, What};
use super::plan::Plan;
use super::there::as_path;
use crate::director::ROOT;
use crate::lifecycle::WORK;

/// Puts files in place, or back.
const SWAP: &str = include_str!("swap.sh");

/// Makes the folders "$@", of which the first has the script; what a restore that died has left in the folders is settled and goes.
/// Says `left` if there was such.
const PREPARE: &str = r#"umask 077
if [ -e "$1/swap" ]; then sh "$1/swap" settle || exit 1; fi
for work; do
    if [ -e "$work" ]; then echo left; rm -rf --one-file-system -- "$work" || exit 1; fi
    mkdir -- "$work" "$work/new" "$work/old" || exit 1
done"#;

/// Writes standard input to the file "$0", whole or not.
const WRITE: &str = r#"umask 077; cat >"$0.part" && mv -- "$0.part" "$0""#;

/// Removes the folders "$@", of which the first has the script: what is not settled stays. The first goes last.
const CLEAR: &str = r#"first=$1; shift
if [ -e "$first/swap" ]; then sh "$first/swap" settle || exit 1; fi
rm -rf --one-file-system -- "$@" "$first""#;

/// Keeps what was replaced, of the folders "$@", as "$0" beside each of them.
const KEEP: &str = r#"for work; do
    rmdir -- "$work/old" 2>/dev/null || mv -T -- "$work/old" "${work%/*}/$0" || exit 1
done"#;

/// The folder on the file system that is mounted at `mount` in which files are unpacked.
pub(super) fn work(mount: &[u8]) -> PathBuf {
    let name = Path::new(WORK).file_name().unwrap_or_default();
    Path::new(ROOT).join(as_path(mount)).join(name)
}

/// Where the file systems are mounted that have places; the one that has the script is the first.
pub(super) fn mounts(plan: &Plan) -> Vec<Vec<u8>> {
    // The empty one is the least.
    std::iter::once(Vec::new()).chain(of(plan, |_| true)).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Where the file systems are mounted that something comes to.
pub(super) fn comes_to(plan: &Plan) -> BTreeSet<Vec<u8>> {
    of(plan, |what| what != What::Removed)
}

/// Where the file systems are mounted that have such places.
fn of(plan: &Plan, is: impl Fn(What) -> bool) -> BTreeSet<Vec<u8>> {
    let places = plan.places.iter().filter(|place| is(place.what));
    places.map(|place| plan.opened.mount_of(place.path.as_os_str().as_bytes()).to_owned()).collect()
}

impl Files {
    /// Makes the folders. Whether a restore that died had left some.
    pub(super) async fn prepare(&self, plan: &Plan) -> Result<bool> {
        let said = self.by_root(PREPARE, "prepare", mounts(plan).iter().map(|mount| work(mount))).await;
        Ok(said.doing(|| "make room for files on the director")?.contains("left"))
    }

    /// Leaves the script there, and the list of the places before it.
    pub(super) async fn hand_over(&self, plan: &Plan) -> Result<()> {
        for (name, text) in [("places", listed(plan)), ("swap", SWAP.as_bytes().to_vec())] {
            let command = Command::new("sh").args(["-c", WRITE]).arg(format!("{WORK}/{name}")).sudo();
            let said = self.director.host.run(&command, Some(body::from_bytes(text))).await?;
            body::to_vec(said, 64 * 1024).await.doing(|| "tell the director what is to be put in place")?;
        }
        // What was unpacked is on disk before anything is renamed.
        self.by_root("sync", "sync", std::iter::empty()).await.map(drop)
    }

    /// Runs the script that was left: `forward`, `undo`.
    pub(super) async fn swap(&self, what: &str) -> Result<()> {
        self.by_root(r#"exec sh "$1" "$0""#, what, [Path::new(WORK).join("swap")].into_iter()).await.map(drop)
    }

    /// Gives what was replaced a name by which it stays. Returns where it is.
    pub(super) async fn keep_replaced(&self, plan: &Plan, stamp: &str) -> Result<Vec<PathBuf>> {
        let name = format!(".bosh-backup-before-{stamp}");
        let works = mounts(plan);
        let said = self.by_root(KEEP, &name, works.iter().map(|mount| work(mount))).await;
        said.doing(|| "keep what was replaced")?;
        let had = of(plan, |what| what != What::Added);
        let has = |mount: &&Vec<u8>| had.contains(*mount);
        Ok(works.iter().filter(has).map(|mount| Path::new(ROOT).join(as_path(mount)).join(&name)).collect())
    }

    /// Removes every trace, and what was replaced with it.
    pub(super) async fn clear(&self, plan: &Plan) -> Result<()> {
        let said = self.by_root(CLEAR, "clear", mounts(plan).iter().map(|mount| work(mount))).await;
        said.doing(|| "remove what is not needed any more on the director").map(drop)
    }

    /// What a script of sh says that root runs there.
    async fn by_root(&self, script: &str, name: &str, arguments: impl Iterator<Item = PathBuf>) -> Result<String> {
        let command = Command::new("sh").args(["-c", script, name]).args(arguments).sudo();
        let answer = self.director.host.answer(&command).await?;
        match answer.status {
            0 => Ok(String::from_utf8_lossy(&answer.stdout).into_owned()),
            _ => {
                let said = answer.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
                Err(Error::failed(format!("a script on {} failed", self.director.host.name())).with_source(said))
            }
        }
    }
}

/// The places, a line of sh each.
fn listed(plan: &Plan) -> Vec<u8> {
    let of = |place: &Place| {
        let path = place.path.as_os_str().as_bytes();
        line(place.what, plan.opened.mount_of(path), path)
    };
    plan.places.iter().flat_map(of).collect()
}

/// A place on the file system that is mounted at `mount`.
fn line(what: What, mount: &[u8], path: &[u8]) -> Vec<u8> {
    let verb: &[u8] = if what == What::Removed { b"drop" } else { b"put" };
    let slash: &[u8] = if mount.is_empty() { b"" } else { b"/" };
    [verb, b" ", &word(&[mount, slash].concat()), b" ", &word(path), b"\n"].concat()
}

/// One word of sh, whatever is in it.
fn word(bytes: &[u8]) -> Vec<u8> {
    let inner = bytes.split(|byte| *byte == b'\'').collect::<Vec<_>>().join(&br"'\''"[..]);
    [b"'", inner.as_slice(), b"'"].concat()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    /// Names that a shell would trip over.
    const ODD: &str = "it's \"odd\" $(id)\n\\";

    /// A tree with what is there and what comes, and an `mv` that breaks off.
    struct Tree(tempfile::TempDir);

    impl Tree {
        fn new() -> Self {
            let tree = Self(tempfile::tempdir().expect("a folder"));
            let old = [("store/a", "old"), (ODD, "old"), ("store/gone", "old"), ("store/kept", "kept")];
            let new = [("new/vcap/store/a/in", "new"), (&format!("new/vcap/{ODD}"), "new"), ("new/vcap/store/added/in", "new")];
            let new = new.map(|(path, text)| (format!("vcap/.bosh-backup-restore/{path}"), text));
            let old = old.map(|(path, text)| (format!("vcap/{path}"), text));
            for (path, text) in old.into_iter().chain(new) {
                let path = tree.at(&path);
                fs::create_dir_all(path.parent().expect("a folder")).expect("made");
                fs::write(path, text).expect("written");
            }
            symlink("/nowhere", tree.at("vcap/store/link")).expect("linked");
            symlink("/new", tree.at("vcap/.bosh-backup-restore/new/vcap/store/link")).expect("linked");
            let puts = ["store/a", ODD, "store/added", "store/link"].map(|path| (What::Replaced, path));
            let places = puts.into_iter().chain([(What::Removed, "store/gone")]);
            let places = places.map(|(what, path)| line(what, b"", path.as_bytes())).collect::<Vec<_>>().concat();
            fs::write(tree.at("vcap/.bosh-backup-restore/places"), places).expect("written");
            fs::write(tree.at("vcap/.bosh-backup-restore/swap"), SWAP).expect("written");
            // Breaks off at one of its calls: before the rename, or after it.
            let mv = "#!/bin/sh\nread -r left <\"$LEFT\"; echo $((left - 1)) >\"$LEFT\"\n[ $left = 1 ] || exec /bin/mv \"$@\"\n\
                [ $HOW != after ] || /bin/mv \"$@\"\n[ $HOW = fails ] || kill -KILL $PPID\nexit 1\n";
            fs::create_dir(tree.at("bin")).expect("made");
            for (name, script) in [("mv", mv), ("sync", "#!/bin/sh\n")] {
                fs::write(tree.at("bin").join(name), script).expect("written");
                fs::set_permissions(tree.at("bin").join(name), fs::Permissions::from_mode(0o755)).expect("set");
            }
            tree
        }

        fn at(&self, path: &str) -> PathBuf {
            self.0.path().join(path)
        }

        /// Runs the script, which breaks off at its rename of that number; whether it said that all is well.
        fn run(&self, what: &str, how: &str, number: u32) -> bool {
            fs::write(self.at("left"), format!("{number}\n")).expect("written");
            let mut sh = std::process::Command::new("sh");
            sh.arg(self.at("vcap/.bosh-backup-restore/swap")).arg(what).env("HOW", how).env("LEFT", self.at("left"));
            let path = std::env::var("PATH").expect("a PATH");
            let output = sh.env("PATH", format!("{}:{path}", self.at("bin").display())).output().expect("sh runs");
            output.status.success()
        }

        fn is(&self) -> &'static str {
            let read = |path: &str| fs::read_to_string(self.at("vcap").join(path)).unwrap_or_default();
            let link = fs::read_link(self.at("vcap/store/link")).expect("a link");
            let seen = ["store/a", "store/a/in", ODD, "store/gone", "store/added/in", "store/kept"].map(read);
            match (seen.each_ref().map(String::as_str), link.to_str()) {
                (["old", "", "old", "old", "", "kept"], Some("/nowhere")) => "old",
                (["", "new", "new", "", "new", "kept"], Some("/new")) => "new",
                _ => "half",
            }
        }
    }

    #[test]
    fn whoever_is_killed_at_any_rename_has_all_as_it_was_once_it_is_settled() {
        for how in ["before", "after", "fails"] {
            let mut number = 1;
            loop {
                let tree = Tree::new();
                if tree.run("forward", how, number) {
                    break;
                }
                // Whoever settles it may be killed too.
                assert!(how != "fails" || tree.is() == "old", "what fails is put back at once");
                tree.run("settle", how, number);
                assert!(tree.run("settle", "", 0), "{how} {number}");
                assert_eq!(tree.is(), "old", "{how} {number}");
                assert!(!tree.run("forward", "", 0) && tree.is() == "old", "services may run by now");
                number += 1;
                assert!(number < 50, "it never comes to its end");
            }
            assert_eq!(number, 9, "renames: two for each of three names, one for what is added, one for what goes");
        }
    }

    #[test]
    fn what_is_done_stays_until_it_is_undone() {
        let tree = Tree::new();
        assert!(tree.run("settle", "", 0) && tree.is() == "old");
        let tree = Tree::new();
        assert!(tree.run("forward", "", 0) && tree.is() == "new");
        assert!(tree.run("settle", "", 0) && tree.run("forward", "", 0) && tree.is() == "new");
        assert!(tree.run("undo", "", 0) && tree.is() == "old");
        assert!(!tree.run("forward", "", 0) && tree.is() == "old");
    }

    #[test]
    fn what_appeared_meanwhile_goes_aside_and_comes_back() {
        let tree = Tree::new();
        fs::write(tree.at("vcap/store/added"), "by somebody else").expect("written");
        assert!(tree.run("forward", "", 0) && tree.is() == "new");
        assert!(tree.run("undo", "", 0));
        assert_eq!(fs::read_to_string(tree.at("vcap/store/added")).expect("read"), "by somebody else");
    }
}
