//! Copies of trees of this machine and of a director, compared with those that rsync makes.

mod hostile;
mod phases;
mod remote;
mod tree;
mod wrong;

use std::path::{Path, PathBuf};

use backup_bosh::Filter;
use backup_bosh::copy::{Copy, Report};
use backup_core::{Context, Result};
use backup_host::Local;
use backup_tests::rsync;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use tempfile::TempDir;

use self::tree::{differences, every_kind, step, steps};

/// A folder with a tree and what is copied of it.
struct Bench {
    folder: TempDir,
    copy: Copy,
}

impl Bench {
    fn new(list: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("tree")).expect("made");
        let copy = Copy {
            name: "vcap".parse().expect("a name"),
            root: at("tree"),
            filter: Filter::parse(list.as_bytes()).expect(list),
            cache: at("cache"),
            record: at("record"),
            sudo: false,
            emptied: true,
        };
        std::fs::write(at("list"), list).expect("written");
        Self { folder, copy }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn run(&self) -> Result<Report> {
        self.copy.run(&Context::default(), &Local).await
    }

    /// Lets rsync copy the tree to `to`, by content, so that it misses nothing. `None` where there is no rsync.
    fn rsync(&self, to: &str) -> Option<()> {
        let mut command = rsync()?;
        command
            .args(["-aHAX", "--delete", "--checksum", "--modify-window=-1", "--numeric-ids", "--include-from"])
            .arg(self.at("list"));
        command.arg(self.at("tree/")).arg(self.at(to)).env("LC_ALL", "C");
        let mut output = command.output().expect("rsync runs");
        // Of a file whose place a directory takes it wants the default ACL, and fails: into an empty folder then.
        if String::from_utf8_lossy(&output.stderr).contains("ACL_TYPE_DEFAULT): Permission denied") {
            std::fs::remove_dir_all(self.at(to)).expect("removed");
            output = command.output().expect("rsync runs");
        }
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Some(())
    }
}

fn same(ours: &Path, theirs: &Path) {
    let differences = differences(ours, theirs);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_file_is_copied_as_it_is() {
    let bench = Bench::new("");
    every_kind(&bench.at("tree"));
    let report = bench.run().await.expect("copied");
    same(&bench.at("cache"), &bench.at("tree"));
    assert_eq!((report.missed, report.deleted, report.linked), (0, 0, 2));
    if bench.rsync("other").is_some() {
        same(&bench.at("cache"), &bench.at("other"));
    }
    let again = bench.run().await.expect("copied");
    same(&bench.at("cache"), &bench.at("tree"));
    assert_eq!((again.files, again.bytes), (report.files, report.bytes));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cache_of_rsync_is_continued() {
    let bench = Bench::new("");
    every_kind(&bench.at("tree"));
    if bench.rsync("cache").is_none() {
        return;
    }
    let report = bench.run().await.expect("copied");
    same(&bench.at("cache"), &bench.at("tree"));
    assert_eq!((report.read_bytes, report.linked), (0, 0), "nothing is read again");
}

#[test]
fn random_trees_and_changes_become_what_rsync_makes_of_them() {
    let lists = ["", "- b\n", "+ a\n- a/**\n", "- *\n", "- a/b/\n- c\n", "- /b/***\n+ */\n- c\n"];
    // With more of them it is one of the long tests.
    let cases = std::env::var("COPY_TREES").map_or(12, |cases| cases.parse().expect("a number"));
    let mut runner = TestRunner::new(Config { failure_persistence: None, max_shrink_iters: 200, ..Config::with_cases(cases) });
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let trees = (prop::sample::select(lists.to_vec()), steps(60), prop::collection::vec(steps(12), 1..4));
    let run = runner.run(&trees, |(list, first, changes)| {
        let bench = Bench::new(list);
        for steps in std::iter::once(first).chain(changes) {
            steps.into_iter().for_each(|one| step(&bench.at("tree"), one));
            let Some(()) = bench.rsync("other") else { return Ok(()) };
            let copied = runtime.block_on(bench.run());
            let report = copied.map_err(|error| TestCaseError::fail(format!("{error:?}")))?;
            prop_assert_eq!(report.missed, 0);
            let differences = differences(&bench.at("cache"), &bench.at("other"));
            prop_assert!(differences.is_empty(), "{}", differences.join("\n"));
        }
        Ok(())
    });
    run.unwrap_or_else(|error| panic!("{error}"));
}
