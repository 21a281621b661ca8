//! Answers of a `tar` that was not asked for them.

use std::fs;
use std::os::unix::fs::symlink;

use backup_core::{Context, Kind};

use crate::Bench;
use crate::tree::seen;
use crate::wrong::Wrong;

/// A member of a tar: its name, kind, size as it says, target and data.
fn member(name: &str, kind: u8, size: u64, target: &str, data: &[u8]) -> Vec<u8> {
    let mut block = [0; 512];
    block[..name.len()].copy_from_slice(name.as_bytes());
    block[100..107].copy_from_slice(b"0000644");
    block[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
    block[136..147].copy_from_slice(b"00000000001");
    block[156] = kind;
    block[157..157 + target.len()].copy_from_slice(target.as_bytes());
    block[257..265].copy_from_slice(b"ustar\x0000");
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    let mut bytes = block.to_vec();
    bytes.extend(data);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn records(records: &[(&str, &str)]) -> Vec<u8> {
    let mut data = String::new();
    for (key, value) in records {
        let rest = format!(" {key}={value}\n");
        let length = (1..6).map(|digits| rest.len() + digits).find(|length| length.to_string().len() + rest.len() == *length);
        data += &format!("{}{rest}", length.expect("short"));
    }
    member("records", b'x', data.len() as u64, "", data.as_bytes())
}

fn end() -> Vec<u8> {
    vec![0; 1024]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_of_tar_leaves_the_cache_or_passes_for_what_was_asked_for() {
    let bench = Bench::new("");
    fs::create_dir_all(bench.at("tree/folder")).expect("made");
    fs::write(bench.at("tree/folder/file"), "here").expect("written");
    fs::write(bench.at("outside"), "outside").expect("written");
    let outside = bench.at("outside").to_string_lossy().into_owned();
    let root = member("./", b'5', 0, "", b"");
    let folder = [root.clone(), member("./folder/", b'5', 0, "", b"")].concat();
    let file = member("./folder/file", b'0', 4, "", b"here");
    let sparse = |map: &str, size: u64| {
        let head = records(&[
            ("GNU.sparse.major", "1"),
            ("GNU.sparse.minor", "0"),
            ("GNU.sparse.name", "./folder/file"),
            ("GNU.sparse.realsize", "9"),
        ]);
        let mut data = map.as_bytes().to_vec();
        data.resize(512, 0);
        [folder.clone(), head, member("./folder/x", b'0', size, "", &data), end()].concat()
    };
    let mut wrong_sum = file.clone();
    wrong_sum[0] = b'_';
    let answers: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", vec![]),
        ("no end", [folder.clone(), file.clone()].concat()),
        ("half an end", [folder.clone(), file.clone(), vec![0; 512]].concat()),
        ("what was not asked for", [folder.clone(), member("./other", b'0', 4, "", b"evil"), end()].concat()),
        ("a path that leads up", [root.clone(), member("./../outside", b'0', 4, "", b"evil"), end()].concat()),
        (
            "a path from the root",
            [root.clone(), member(&outside[..outside.len().min(99)], b'0', 4, "", b"evil"), end()].concat(),
        ),
        ("what was asked for twice", [folder.clone(), file.clone(), file.clone(), end()].concat()),
        ("another order", [file.clone(), folder.clone(), end()].concat()),
        (
            "a link to a file outside",
            [folder.clone(), member("./folder/file", b'1', 0, &outside[..outside.len().min(99)], b""), end()].concat(),
        ),
        ("an unknown kind", [folder.clone(), member("./folder/file", b'V', 0, "", b""), end()].concat()),
        ("a folder with data", [root.clone(), member("./folder", b'5', 4, "", b"data"), end()].concat()),
        ("a wrong sum", [folder.clone(), wrong_sum, end()].concat()),
        ("no size that there is", [folder.clone(), records(&[("size", "18446744073709551615")]), file.clone(), end()].concat()),
        ("a negative size", [folder.clone(), records(&[("size", "-1")]), file.clone(), end()].concat()),
        ("a zero in its name", [folder.clone(), records(&[("path", "./folder/file\0x")]), file.clone(), end()].concat()),
        (
            "records twice",
            [folder.clone(), records(&[("mtime", "1")]), records(&[("mtime", "1")]), file.clone(), end()].concat(),
        ),
        ("endless records", [folder.clone(), member("x", b'x', 1 << 32, "", b""), end()].concat()),
        ("records of no length", [folder.clone(), member("x", b'x', 4, "", b"0 a="), file.clone(), end()].concat()),
        ("a time that is none", [folder.clone(), records(&[("mtime", "noon")]), file.clone(), end()].concat()),
        ("holes that go back", sparse("2\n4\n2\n0\n2\n", 516)),
        ("holes behind the end", sparse("1\n8\n4\n", 516)),
        ("holes that are no numbers", sparse("one\n", 516)),
        ("holes without end", sparse(&"1".repeat(512), 516)),
        ("more holes than a million", sparse("9999999\n", 516)),
        ("less data than between its holes", sparse("1\n0\n8\n", 516)),
    ];
    for (what, tar) in answers {
        let wrong = Wrong { tar: Some(tar), ..Wrong::default() };
        let error = bench.copy.run(&Context::default(), &wrong).await.expect_err(what);
        assert_eq!(error.kind(), Kind::Damaged, "{what}: {error:?}");
        assert_eq!(fs::read_to_string(bench.at("outside")).expect("there"), "outside", "{what}");
        let cached = seen(&bench.at("cache"));
        assert!(cached.keys().all(|path| ["", "folder", "folder/file"].contains(&path.as_str())), "{what}: {cached:?}");
    }
    let whole = [folder.clone(), file, end()].concat();
    let right = Wrong { tar: Some(whole), ..Wrong::default() };
    bench.copy.run(&Context::default(), &right).await.expect("nothing is wrong with it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_symbolic_link_in_the_cache_leads_nowhere() {
    let bench = Bench::new("");
    fs::create_dir_all(bench.at("tree/folder")).expect("made");
    fs::create_dir_all(bench.at("outside")).expect("made");
    fs::write(bench.at("tree/folder/file"), "here").expect("written");
    fs::create_dir_all(bench.at("cache")).expect("made");
    symlink(bench.at("outside"), bench.at("cache/folder")).expect("linked");
    bench.run().await.expect("copied");
    assert_eq!(fs::read_dir(bench.at("outside")).expect("there").count(), 0);
    crate::same(&bench.at("cache"), &bench.at("tree"));
    // A link that comes in an answer, with a file behind it.
    fs::write(bench.at("tree/folder/file"), "again, and longer").expect("written");
    let target = bench.at("outside").to_string_lossy().into_owned();
    let tar = [member("./folder", b'2', 0, &target, b""), member("./folder/file", b'0', 4, "", b"evil"), end()].concat();
    fs::set_permissions(bench.at("tree/folder"), std::os::unix::fs::PermissionsExt::from_mode(0o700)).expect("set");
    let wrong = Wrong { tar: Some(tar), ..Wrong::default() };
    let _ = bench.copy.run(&Context::default(), &wrong).await;
    assert_eq!(fs::read_dir(bench.at("outside")).expect("there").count(), 0);
}
