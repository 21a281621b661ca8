//! Peak memory: at most 64 MiB, however many objects there are, and on top of it what is under way of large ones.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use backup_tests::usage::measure;
use backup_tests::{ListingServer, Rgw, bytes};

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
            File::create(tree.join(ListingServer::key(nth))).expect("a file");
        }
        self
    }

    fn run(&self, arguments: &[&str]) -> String {
        run(self.folder.path(), arguments, 64)
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
        assert!(stored(&self.folder.path().join("state/sync")) > all * 80, "there is no record of what went up");
        self.sync("s3://full", "copy", 0, all);
        self.sync("s3://full", "copy", all, 0);
    }

    fn sync(&self, from: &str, to: &str, same: u64, copied: u64) {
        let said = self.run(&["sync", from, to]);
        assert!(said.contains(&format!("{same} were there, {copied} copied")), "{said}");
    }
}

/// Runs it in a folder within a bound in MiB; what it said.
#[expect(clippy::print_stdout, reason = "a measurement is shown with --nocapture")]
fn run(folder: &Path, arguments: &[&str], most: u64) -> String {
    let said = folder.join("said");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ceph-backup"));
    command.args(["--s3cfg", "s3cfg", "--state", "state"]).args(arguments).current_dir(folder);
    command.env_clear().stdin(Stdio::null()).stdout(File::create(&said).expect("a file"));
    let usage = measure(&mut command).expect("measured");
    let said = std::fs::read_to_string(said).expect("text");
    assert!(usage.status.success(), "{arguments:?}: {}", usage.status);
    let last = said.lines().last().unwrap_or_default();
    println!("{arguments:?}: {} KiB, {:?} of processor: {last}", usage.own >> 10, usage.cpu);
    assert!(usage.own > MIB, "{arguments:?}: nobody looked");
    assert!(usage.own <= most * MIB, "{arguments:?} took {} MiB of memory", usage.own / MIB);
    said
}

fn stored(folder: &Path) -> u64 {
    let files = folder.read_dir().expect("a folder").map(|entry| entry.expect("an entry").metadata().expect("a file").len());
    files.sum()
}

#[test]
fn many_objects_take_no_more() {
    let case = Case::new(20_000).with_files();
    case.is_listed_below_its_bound();
    case.is_copied_below_its_bound();
}

/// So many files of so many KiB go up to a gateway and come down again with the usual options, each way within its bound in MiB.
fn files_take_no_more_than(count: u64, kib: u64, up: u64, down: u64) {
    let Some(rgw) = Rgw::start() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    std::fs::copy(rgw.s3cfg(&rgw.user("files")), path("s3cfg")).expect("written");
    std::fs::create_dir(path("up")).expect("a folder");
    let mut block = bytes(kib.min(1024) as usize * 1024, 0);
    let blocks = kib.div_ceil(1024);
    for nth in 0..count {
        let mut file = File::create(path("up").join(nth.to_string())).expect("a file");
        for at in 0..blocks {
            block[..8].copy_from_slice(&(nth * blocks + at).to_le_bytes());
            file.write_all(&block).expect("written");
        }
    }
    run(folder.path(), &["mb", "s3://files"], 64);
    let copied = format!("{count} copied");
    assert!(run(folder.path(), &["sync", "up/", "s3://files"], up).contains(&copied));
    assert!(run(folder.path(), &["sync", "s3://files", "down"], down).contains(&copied));
    let (mut sent, mut come) = (block.clone(), block);
    for nth in 0..count {
        let open = |folder: &str| File::open(path(folder).join(nth.to_string())).expect("a file");
        let (mut up, mut down) = (open("up"), open("down"));
        for at in 0..blocks {
            up.read_exact(&mut sent).and_then(|()| down.read_exact(&mut come)).expect("as much");
            assert!(sent == come, "file {nth}, MiB {at}");
        }
        assert_eq!(down.read(&mut [0]).expect("read"), 0);
    }
}

#[test]
#[ignore = "moves 7 GiB: run by ./test --soak"]
fn files_take_what_is_promised() {
    // Parts have 15 MiB, and of the eight jobs that there are one large object takes up to four.
    files_take_no_more_than(1, 2 << 20, 64 + 4 * 2 * 15, 64 + 4 * 16);
    files_take_no_more_than(8, 128 << 10, 64 + 8 * 2 * 15, 64 + 8 * 16);
    for (count, kib) in [(1000, 256), (1500, 64), (3000, 4)] {
        files_take_no_more_than(count, kib, 64, 64);
    }
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
