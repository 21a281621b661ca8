//! The library alone syncs a bucket: `examples/sync.rs`, in thirty lines.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use backup_ceph::New;
use backup_tests::bytes;

use crate::Lab;

/// The files in a folder and in those below it, without what a sync keeps for itself.
fn files(folder: &Path, below: &str, found: &mut BTreeMap<String, Vec<u8>>) {
    for entry in folder.read_dir().expect("a folder") {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).expect("an entry");
        let name = format!("{below}{}", name.to_string_lossy());
        match path.is_dir() {
            true if name == ".ceph-backup" => {}
            true => files(&path, &format!("{name}/"), found),
            false => drop(found.insert(name, std::fs::read(path).expect("a file"))),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_is_thirty_lines_and_syncs_a_bucket_out_and_back() {
    let lines = include_str!("../../examples/sync.rs").lines().count();
    assert!(lines <= 30, "it has {lines} lines");
    let Some(lab) = Lab::new("example").await else { return };
    // Where cargo puts it whenever it tests the whole crate.
    let this = std::env::current_exe().expect("a program");
    let example = this.ancestors().nth(2).expect("a folder").join("examples/sync");
    if !example.exists() {
        assert!(std::env::var_os("REQUIRE_SERVICES").is_none(), "there is no {}: cargo build --examples", example.display());
        println!("skipped: there is no {}", example.display());
        return;
    }
    let size = |nth: usize| if nth == 0 { 16 << 20 } else { nth };
    let objects: BTreeMap<String, Vec<u8>> =
        (0..30).map(|nth| (format!("wal_005/{}/{nth} +.lzo", nth % 3), bytes(size(nth), 0))).collect();
    for (key, content) in &objects {
        lab.gateway.put("example", key, content.clone().into(), &New::default()).await.expect("stored");
    }
    lab.gateway.make_bucket("example-back").await.expect("made");
    let folder = tempfile::tempdir().expect("a folder");
    let config = lab.rgw.s3cfg(&lab.keys);
    let run = |source: &str, destination: &str| {
        let mut command = Command::new(&example);
        command.arg(&config).args(["state", source, destination]).current_dir(&folder);
        let output = command.output().expect("it runs");
        assert!(output.status.success(), "{source} {destination}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    assert_eq!(run("s3://example", "out"), "30 copied, 0 were there\n");
    let mut found = BTreeMap::new();
    files(&folder.path().join("out"), "", &mut found);
    assert!(found == objects, "{:?}", found.keys());
    assert_eq!(run("s3://example", "out"), "0 copied, 30 were there\n");
    assert_eq!(run("out/", "s3://example-back"), "30 copied, 0 were there\n");
    for (key, content) in &objects {
        let (_, mut body) = lab.gateway.get("example-back", key, None, None).await.expect(key);
        let mut back = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut body, &mut back).await.expect(key);
        assert!(back == *content, "{key}");
    }
}
