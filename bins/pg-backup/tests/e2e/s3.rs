//! Backups in a bucket of a real gateway: every command, nothing staged on this machine, no more read than is wanted.

use std::net::SocketAddr;
use std::path::Path;

use backup_tests::faults::{Asked, Fault, Proxy, Seen};
use backup_tests::{Major, Rgw, S3Keys, Server, judge};

use crate::program::{Ran, Sink};
use crate::shop;

/// A bucket behind a proxy that counts, and who may use it.
struct Bucket {
    proxy: Proxy,
    keys: S3Keys,
    sink: Sink,
    rgw: &'static Rgw,
    url: String,
}

impl Bucket {
    /// Made with s3cmd: the program makes none.
    fn new(name: &str) -> Option<Self> {
        let rgw = Rgw::shared()?;
        let keys = rgw.user(name);
        let url = format!("s3://{name}");
        let made = rgw.s3cmd(&keys)?.args(["mb", &url]).output().expect("s3cmd runs");
        assert!(made.status.success(), "{made:?}");
        let address: SocketAddr = rgw.url().trim_start_matches("http://").parse().expect("an address");
        let sink = Sink::at(Path::new(&format!("{url}/some/where")));
        Some(Self { proxy: Proxy::start(address), keys, sink, rgw, url })
    }

    fn run(&self, server: Option<&Server>, arguments: &[&str]) -> Ran {
        let mut command = self.sink.command(server, arguments);
        let S3Keys { access_key, secret_key } = &self.keys;
        command.env("AWS_ENDPOINT_URL", self.proxy.url());
        Ran::of(command.env("AWS_ACCESS_KEY_ID", access_key).env("AWS_SECRET_ACCESS_KEY", secret_key))
    }

    /// Keys and sizes of all that lies in the bucket.
    fn objects(&self) -> Vec<(String, u64)> {
        let listed = self.rgw.s3cmd(&self.keys).expect("s3cmd").args(["ls", "-r", &self.url]).output().expect("s3cmd runs");
        let text = String::from_utf8_lossy(&listed.stdout).into_owned();
        let line = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            Some(((*words.get(3)?).to_owned(), words.get(2)?.parse().ok()?))
        };
        text.lines().filter_map(line).collect()
    }
}

fn bytes(seen: &[Seen], asked: Asked) -> u64 {
    seen.iter().filter(|seen| seen.asked == asked).map(|seen| seen.bytes).sum()
}

#[test]
fn every_command_works_on_a_bucket() {
    let Some(source) = shop::server() else { return };
    let Some(bucket) = Bucket::new("every") else { return };
    let server = Some(source);
    let ids: Vec<String> =
        (0..2).map(|_| bucket.run(server, &["backup"]).ok().text().lines().last().expect("an ID").to_owned()).collect();
    let listed = bucket.run(None, &["list"]).ok().text();
    assert!(ids.iter().all(|id| listed.contains(id.as_str())), "{listed}");
    assert!(bucket.run(None, &["show", "latest"]).ok().text().contains("shop"));
    bucket.run(None, &["verify", "latest"]).ok();
    bucket.run(server, &["prove", "latest"]).ok();
    bucket.run(None, &["pin", &ids[0]]).ok();
    bucket.run(None, &["unpin", &ids[0]]).ok();
    let Some(target) = Server::start(Major::V17) else { return };
    bucket.run(Some(&target), &["restore", "latest"]).ok();
    assert_eq!(judge::difference_of(&source.pg_dumpall(&[]), &target.pg_dumpall(&[])), None);
    bucket.run(None, &["prune", "--keep-last", "1"]).ok();
    let left = bucket.objects();
    assert!(left.iter().all(|(key, _)| !key.contains(&ids[0])), "{left:?}");
    assert!(left.iter().any(|(key, _)| key.contains(&ids[1])), "{left:?}");
    // Nothing was staged: the only files are locks and journals.
    let mut files = Vec::new();
    let mut folders = vec![bucket.sink.folder().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().expect("a folder").map(|entry| entry.expect("an entry").path()) {
            if entry.is_dir() { folders.push(entry) } else { files.push(entry) }
        }
    }
    assert!(files.iter().all(|file| file.starts_with(bucket.sink.folder().join("state"))), "{files:?}");
}

#[test]
fn one_table_is_read_alone() {
    let Some(bucket) = Bucket::new("one") else { return };
    let Some(server) = Server::start(Major::V17) else { return };
    server.psql("postgres", "CREATE DATABASE one");
    let big = "CREATE TABLE big AS SELECT i, md5(i::text) || md5((-i)::text) AS text FROM generate_series(1, 100000) i";
    server.psql("one", &format!("{big}; CREATE TABLE small AS SELECT 1 AS it"));
    bucket.run(Some(&server), &["backup", "--compress", "none"]).ok();
    let stored: u64 = bucket.objects().iter().map(|(_, size)| size).sum();
    assert!(stored > 7_000_000, "{stored} bytes in the bucket");
    bucket.proxy.seen();
    bucket.run(Some(&server), &["restore", "latest", "--database", "one", "--as", "two", "--table", "public.small"]).ok();
    assert_eq!(server.psql("two", "SELECT it FROM small").trim(), "1");
    let read = bytes(&bucket.proxy.seen(), Asked::Get);
    assert!(read < 100_000, "{read} of {stored} bytes were read for one small table");
}

#[test]
fn what_fails_on_the_way_is_no_backup_and_says_why() {
    let Some(source) = shop::server() else { return };
    let Some(bucket) = Bucket::new("fails") else { return };
    bucket.proxy.spoil(Asked::Put, 6, usize::MAX, Fault::Answer(413, ""));
    let ran = bucket.run(Some(source), &["backup"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("413") && ran.err.contains("--part-size"), "{}", ran.err);
    assert!(!ran.err.contains(&bucket.keys.secret_key), "{}", ran.err);
    bucket.proxy.heal();
    assert!(!bucket.run(None, &["list"]).text().contains("  backup "), "a backup is listed");
    bucket.run(Some(source), &["backup"]).ok();

    // s3cmd's configuration, and another server than it says.
    let cfg = bucket.rgw.s3cfg(&bucket.keys);
    let cfg = cfg.to_str().expect("text");
    let ran = Ran::of(&mut bucket.sink.command(None, &["--s3cfg", cfg, "list"])).ok();
    assert!(ran.text().contains("  backup "), "{ran:?}");
    let ran = Ran::of(&mut bucket.sink.command(None, &["--s3cfg", cfg, "--s3-endpoint", "http://127.0.0.1:1", "list"]));
    assert!(ran.code == 1 && ran.err.contains("does not answer"), "{ran:?}");
    let ran = Ran::of(&mut bucket.sink.command(None, &["list"]));
    assert!(ran.code == 2 && ran.err.contains("--s3-endpoint"), "{ran:?}");
}
