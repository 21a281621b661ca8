//! What the filter copies, compared with what rsync copies of the same tree by the same list.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use backup_bosh::Filter;
use backup_tests::rsync;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tempfile::TempDir;

/// Paths of a tree; those that end in `/` are folders.
type Tree = BTreeSet<String>;

const NAMES: [&str; 6] = ["a", "ab", "b-", "]", "*", "bosh"];

/// 240 names that are much alike, up to four deep; each of them is a folder in some places and a file in others.
fn tree() -> Tree {
    let mut tree = Tree::new();
    let mut folders = vec![String::new()];
    for depth in 0..4 {
        let above = std::mem::take(&mut folders);
        for (nth, folder) in above.iter().enumerate() {
            for (at, name) in NAMES.iter().enumerate() {
                if depth < 3 && (nth + at) % 2 == 0 {
                    folders.push(format!("{folder}{name}/"));
                } else {
                    tree.insert(format!("{folder}{name}"));
                }
            }
        }
        tree.extend(folders.iter().cloned());
    }
    tree
}

/// A list of up to 6 lines: names of the tree with wildcards in every place.
fn list() -> impl Strategy<Value = String> {
    let pieces =
        "a b ab ab b- b- ] bosh a bosh * * ** ** *** ? [ab] [!a] [^b] [a-c] []x] [b-] [ [[:alpha:]] [[:punct:] \\* \\ .";
    let piece = prop::sample::select(pieces.split(' ').collect::<Vec<_>>());
    let name = prop_oneof![3 => piece.clone().prop_map(str::to_owned), 1 => (piece.clone(), piece).prop_map(|(a, b)| format!("{a}{b}"))];
    let path = prop::collection::vec(name, 1..4).prop_map(|names| names.join("/"));
    let (start, end) =
        (prop::sample::select(vec!["", "", "", "/", "**/"]), prop::sample::select(vec!["", "", "", "/", "/**", "/***", "//"]));
    let sign = prop::sample::select(vec!["- ", "- ", "- ", "- ", "+ ", "+ ", "", "#"]);
    let line = (sign, start, path, end).prop_map(|(sign, start, path, end)| format!("{sign}{start}{path}{end}\n"));
    let clear = prop_oneof![30 => line, 1 => Just("!\n".to_owned()), 1 => Just("\n".to_owned())];
    prop::collection::vec(clear, 1..6).prop_map(|lines| lines.concat())
}

/// What rsync would copy of `from`.
fn by_rsync(mut rsync: Command, from: &Path, list: &Path, to: &Path) -> Tree {
    let rsync = rsync.args(["-n", "-r", "-8", "--out-format=%n", "--include-from"]).arg(list);
    let output = rsync.arg(format!("{}/", from.display())).arg(to).env("LC_ALL", "C").output().expect("rsync runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).expect("names");
    said.lines().filter(|line| *line != "./").map(str::to_owned).collect()
}

fn by_us(filter: &Filter, tree: &Tree) -> Tree {
    let reaches = |path: &&String| {
        let folder = path.strip_suffix('/');
        filter.reaches(folder.unwrap_or(path).as_bytes(), folder.is_some())
    };
    tree.iter().filter(reaches).cloned().collect()
}

/// A folder `from` with the tree in it, and an empty one.
fn made(tree: &Tree) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for path in tree {
        let whole = folder.path().join("from").join(path);
        fs::create_dir_all(whole.parent().expect("a folder above")).expect("made");
        if path.ends_with('/') {
            fs::create_dir_all(&whole).expect("made");
        } else {
            fs::write(&whole, "").expect("written");
        }
    }
    fs::create_dir_all(folder.path().join("to")).expect("made");
    folder
}

/// Both copy the same of `tree`; how much that is. `None` where there is no rsync.
fn agree(folder: &TempDir, tree: &Tree, list: &str) -> Option<usize> {
    let at = |name| folder.path().join(name);
    fs::write(at("list"), list).expect("written");
    let theirs = by_rsync(rsync()?, &at("from"), &at("list"), &at("to"));
    let ours = by_us(&Filter::parse(list.as_bytes()).expect(list), tree);
    let difference: Vec<_> = ours.symmetric_difference(&theirs).collect();
    assert!(difference.is_empty(), "the list is\n{list}and they differ in {difference:?}");
    Some(theirs.len())
}

#[test]
fn random_lists_copy_what_rsync_copies() {
    let tree = tree();
    let folder = made(&tree);
    let mut runner = TestRunner::new(Config { failure_persistence: None, max_shrink_iters: 100, ..Config::with_cases(100) });
    let telling = Cell::new(0);
    let run = runner.run(&list(), |list| {
        let copied = agree(&folder, &tree, &list);
        telling.set(telling.get() + usize::from(copied.is_none_or(|copied| 0 < copied && copied < tree.len())));
        Ok(())
    });
    run.unwrap_or_else(|error| panic!("{error}"));
    assert!(telling.get() > 20, "only {} of the lists tell files from each other", telling.get());
}

#[test]
fn the_lists_of_the_seed_copy_what_rsync_copies() {
    let tree = "bosh/settings.json bosh/bin/monit bosh/agent.key data/x micro/ micro/a jobs/b monit/job sys/log/x packages/p/q \
        store/a/lost+found/1 store/lost+found/1 store/director/micro/a store/director/sys store/postgres_1.dump.all \
        store/postgres_1.dump.bosh store/blobs/0a/1 lost+found/1 top";
    let mut whole = Tree::new();
    for path in tree.split_whitespace() {
        whole.extend(path.match_indices('/').map(|(slash, _)| path[..=slash].to_owned()));
        whole.insert(path.to_owned());
    }
    let below_vcap = "- micro/\n- monit/\n- packages/\n- data/\n- jobs/\n- micro_bosh/\n- sys\n+ bosh\n+ bosh/settings.json\n\
        + bosh/agent.key\n- bosh/**\n+ store\n- store/lost+found\n+ store/**\n+ store/postgres_1.dump*\n";
    let below_store = "+ */\n- **/lost+found/\n- lost+found/\n";
    let of_cf = "- **/lost+found/\n- lost+found\n+ */\n";
    let folder = made(&whole);
    // Folders that are copied first are never left out.
    for (list, left_out) in [(below_vcap, 21), (below_store, 0), (of_cf, 6)] {
        if let Some(copied) = agree(&folder, &whole, list) {
            assert_eq!(whole.len() - copied, left_out, "{list}");
        }
    }
}
