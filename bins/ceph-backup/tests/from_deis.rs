//! `docs/from/deis.md`: its commands take the buckets of a Deis from one gateway to another, and s3cmd goes on from there.
#![expect(clippy::panic, reason = "a test fails with what it saw")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use backup_tests::{Rgw, S3Keys};
use serde_json::Value;

const PAGE: &str = include_str!("../../../docs/from/deis.md");

/// The blocks of the page whose fence is exactly this one, in order.
fn blocks(fence: &str) -> Vec<&'static str> {
    let fence = format!("\n```{fence}\n");
    let blocks = PAGE.split(&fence).skip(1);
    blocks.map(|block| block.split_once("\n```").expect("a block ends").0).collect()
}

/// A person with a home, a folder for the backup, and the keys of a gateway.
struct Person {
    home: tempfile::TempDir,
    path: String,
}

impl Person {
    /// `None` where there is no s3cmd.
    fn new(rgw: &Rgw, keys: &S3Keys) -> Option<Self> {
        let s3cmd = rgw.s3cmd(keys)?.get_program().to_owned();
        let folder = |program: &Path| program.parent().expect("a folder").display().to_string();
        let ours = folder(Path::new(env!("CARGO_BIN_EXE_ceph-backup")));
        let path = format!("{ours}:{}:{}", folder(Path::new(&s3cmd)), std::env::var("PATH").expect("a PATH"));
        let home = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(home.path().join("backup")).expect("a folder");
        Some(Self { home, path })
    }

    /// Writes `~/.s3cfg` as the page has it, for this gateway.
    fn configure(&self, rgw: &Rgw, keys: &S3Keys) {
        let [text] = blocks("ini")[..] else { panic!("the page has one configuration") };
        let host = rgw.url().replace("http://", "");
        let text = text.replace("ACCESSKEY", &keys.access_key).replace("SECRETKEY", &keys.secret_key);
        std::fs::write(self.home.path().join(".s3cfg"), text.replace("deis-store.example.com", &host)).expect("written");
    }

    /// Runs a block in the folder of the backup; what it printed.
    fn run(&self, script: &str) -> String {
        let mut shell = Command::new("sh");
        shell.args(["-e", "-c", script]).current_dir(self.home.path().join("backup")).stdin(Stdio::null());
        shell
            .env_clear()
            .env("PATH", &self.path)
            .env("HOME", self.home.path())
            .env("STATE_DIRECTORY", self.home.path().join("state"));
        let output = shell.output().expect("sh runs");
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{script}: {}\n{out}\n{err}", output.status);
        out.into_owned()
    }
}

/// What WAL-E and the registry leave, of which one object is stored in parts; a second base backup has begun.
fn objects() -> BTreeMap<String, Vec<u8>> {
    let bytes = |seed: u32, size: usize| (0..size as u32).map(|n| (n.wrapping_mul(seed | 1) >> 7) as u8).collect();
    let sentinel = br#"{"wal_segment_backup_stop": "000000010000000000000003", "wal_segment_offset_backup_stop": "00000120"}"#;
    let base = "basebackups_005/base_00000001000000000000000";
    let mut objects = BTreeMap::from([
        (format!("{base}2_00000040/tar_partitions/part_00000000.tar.lzo"), bytes(3, 17 << 20)),
        (format!("{base}2_00000040/tar_partitions/part_00000001.tar.lzo"), bytes(5, 70_001)),
        (format!("{base}2_00000040_backup_stop_sentinel.json"), sentinel.to_vec()),
        (format!("{base}5_00000040/tar_partitions/part_00000000.tar.lzo"), bytes(7, 100)),
        ("registry/repositories/library/ann's app+1/tag_latest".to_owned(), bytes(9, 64)),
        ("registry/repositories/library/ann's app+1/_index_images".to_owned(), Vec::new()),
    ]);
    for nth in 1..40u32 {
        objects.insert(format!("wal_005/0000000100000000000000{nth:02X}.lzo"), bytes(nth, 1000 * nth as usize));
        objects.insert(
            format!("registry/images/{:064x}/layer", u64::from(nth) * 0x9e37_79b9),
            bytes(nth + 77, 3000 * nth as usize),
        );
    }
    objects
}

/// The keys and sizes of a bucket, told by the gateway itself.
fn listed(rgw: &Rgw, bucket: &str) -> BTreeMap<String, u64> {
    let said = rgw.admin(&["bucket", "list", "--bucket", bucket, "--max-entries", "1000"]);
    let said: Vec<Value> = serde_json::from_str(&said).expect("JSON");
    let object = |object: &Value| (object["name"].as_str().expect("a key").to_owned(), object["meta"]["size"].as_u64());
    said.iter().map(object).map(|(key, size)| (key, size.expect("a size"))).collect()
}

#[test]
fn every_command_of_the_page_and_every_object_arrives_and_s3cmd_goes_on() {
    let (Some(old), Some(new)) = (Rgw::start(), Rgw::start()) else { return };
    let (keys, new_keys) = (old.user("deis"), new.user("deis"));
    let Some(person) = Person::new(&old, &keys) else { return };
    person.configure(&old, &keys);

    // A Deis has filled its store.
    let objects = objects();
    for (key, content) in &objects {
        let path = person.home.path().join("deis").join(key);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, content).expect("a file");
    }
    person.run("cd ../deis; s3cmd -q mb s3://db_wal s3://registry; s3cmd -q sync basebackups_005 wal_005 s3://db_wal/; s3cmd -q sync registry s3://registry/");

    let [ls, enough, sync, counted, mb, back, again, s3cmd] = blocks("sh")[..] else { panic!("the page has other blocks") };
    let said = person.run(ls);
    assert!(said.contains("s3://db_wal") && said.contains("s3://registry"), "{said}");
    let said = person.run(enough);
    assert!(said.contains("000000010000000000000027"), "{said}");
    person.run(sync);
    for (key, content) in &objects {
        let found = std::fs::read(person.home.path().join("backup").join(key)).expect(key);
        assert!(found == *content, "{key} is not what it was");
    }
    let before = person.run(counted);
    let is_in_registry = |key: &str| key.starts_with("registry/");
    let count = objects.keys().filter(|key| is_in_registry(key)).count();
    assert!(before.contains(&format!("{count} objects")), "{before}");

    // The old cluster is gone, the new one has other keys.
    person.configure(&new, &new_keys);
    drop(old);
    person.run(mb);
    person.run(back);
    let after = person.run(again);
    assert!(after.starts_with(&before) && after.contains("000000010000000000000027"), "{after}");
    for bucket in ["db_wal", "registry"] {
        let expected = objects.iter().filter(|(key, _)| is_in_registry(key) == (bucket == "registry"));
        let expected: BTreeMap<String, u64> = expected.map(|(key, content)| (key.clone(), content.len() as u64)).collect();
        assert_eq!(listed(&new, bucket), expected);
    }
    person.run(
        "mkdir ../seen; s3cmd -q sync s3://db_wal/ ../seen/; s3cmd -q sync s3://registry/ ../seen/; diff -r ../seen ../deis",
    );

    // s3cmd has nothing to do in either direction.
    let said = person.run(s3cmd);
    assert!(!said.contains("download") && !said.contains("upload"), "{said}");
    assert!(!person.home.path().join("backup/.ceph-backup").exists());
}

#[test]
fn what_s3cmd_has_brought_is_not_brought_again() {
    let Some(rgw) = Rgw::shared() else { return };
    let keys = rgw.user("deis");
    let Some(person) = Person::new(rgw, &keys) else { return };
    person.configure(rgw, &keys);
    person.run("mkdir ../deis; cd ../deis; mkdir wal_005; echo 1 > wal_005/1.lzo; echo 2 > wal_005/2.lzo; s3cmd -q mb s3://db_wal; s3cmd -q sync wal_005 s3://db_wal/");
    person.run("s3cmd -q sync s3://db_wal .");
    let [_, _, sync, ..] = blocks("sh")[..] else { panic!("the page has other blocks") };
    let (first, _) = sync.split_once('\n').expect("two commands");
    let said = person.run(&format!("{first} 2>&1"));
    assert!(said.contains("2 were there, 0 copied"), "{said}");
    person.run("echo 3 > ../deis/wal_005/3.lzo; s3cmd -q sync ../deis/wal_005 s3://db_wal/");
    let said = person.run(&format!("{first} 2>&1"));
    assert!(said.contains("2 were there, 1 copied"), "{said}");
}
