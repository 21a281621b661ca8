//! Peak memory: at most 64 MiB, however many objects there are.

use std::path::Path;
use std::process::{Command, Stdio};

use backup_tests::ListingServer;
use backup_tests::usage::measure;

const MIB: u64 = 1 << 20;

/// A bucket of so many objects, played by a server that only lists, and a folder.
struct Case {
    server: ListingServer,
    folder: tempfile::TempDir,
    objects: u64,
}

impl Case {
    fn new(objects: u64) -> Self {
        let case = Self { server: ListingServer::start(objects), folder: tempfile::tempdir().expect("a folder"), objects };
        let host = case.server.url().replace("http://", "");
        let config = format!("access_key = a\nsecret_key = s\nhost_base = {host}\nhost_bucket = {host}\nuse_https = False\n");
        std::fs::write(case.folder.path().join("s3cfg"), config).expect("written");
        case
    }

    /// Makes a file for each of them.
    fn with_files(self) -> Self {
        let tree = self.folder.path().join("tree");
        std::fs::create_dir_all(tree.join("wal_005")).expect("folders");
        for nth in 0..self.objects {
            std::fs::File::create(tree.join(ListingServer::key(nth))).expect("a file");
        }
        self
    }

    /// Runs it within the bound; what it said.
    #[expect(clippy::print_stdout, reason = "a measurement is shown with --nocapture")]
    fn run(&self, arguments: &[&str]) -> String {
        let said = self.folder.path().join("said");
        let mut command = Command::new(env!("CARGO_BIN_EXE_ceph-backup"));
        command.args(["--s3cfg", "s3cfg", "--state", "state"]).args(arguments).current_dir(&self.folder);
        command.env_clear().stdin(Stdio::null()).stdout(std::fs::File::create(&said).expect("a file"));
        let usage = measure(&mut command).expect("measured");
        assert!(usage.status.success(), "{arguments:?}: {}", usage.status);
        println!("{arguments:?} of {} objects: {} KiB, {:?}", self.objects, usage.own >> 10, usage.wall);
        assert!(usage.own > MIB, "{arguments:?}: nobody looked");
        assert!(usage.own <= 64 * MIB, "{arguments:?} took {} MiB of memory", usage.own / MIB);
        std::fs::read_to_string(said).expect("text")
    }

    /// Lists, and finds nothing to copy to another bucket, each within the bound.
    fn is_listed_below_its_bound(&self) {
        assert!(self.run(&["du", "s3://full"]).contains(&format!("{} objects", self.objects)));
        self.run(&["ls", "--recursive", "s3://full"]);
        self.sync("s3://full", "s3://other", self.objects, 0);
    }

    /// Finds nothing to copy in each direction, and copies all of it up and down, each within the bound.
    fn is_copied_below_its_bound(&self) {
        let all = self.objects;
        self.sync("s3://full", "tree", all, 0);
        self.sync("tree/", "s3://full", all, 0);
        self.sync("tree/", "s3://empty", 0, all);
        assert!(bytes(&self.folder.path().join("state/sync")) > all * 80, "there is no record of what went up");
        self.sync("s3://full", "copy", 0, all);
        self.sync("s3://full", "copy", all, 0);
    }

    fn sync(&self, from: &str, to: &str, same: u64, copied: u64) {
        let said = self.run(&["sync", from, to]);
        assert!(said.contains(&format!("{same} were there, {copied} copied")), "{said}");
    }
}

fn bytes(folder: &Path) -> u64 {
    let files = folder.read_dir().expect("a folder").map(|entry| entry.expect("an entry").metadata().expect("a file").len());
    files.sum()
}

#[test]
fn many_objects_take_no_more() {
    let case = Case::new(20_000).with_files();
    case.is_listed_below_its_bound();
    case.is_copied_below_its_bound();
}

#[test]
#[ignore = "makes millions of files: run by ./test --soak"]
fn a_million_objects_take_no_more() {
    let case = Case::new(1_000_000).with_files();
    case.is_listed_below_its_bound();
    case.is_copied_below_its_bound();
}

#[test]
#[ignore = "reads forty thousand pages: run by ./test --soak"]
fn ten_million_objects_take_no_more() {
    Case::new(10_000_000).is_listed_below_its_bound();
}
