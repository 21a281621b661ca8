//! What a second copy reads, and what it deletes, when all goes well and when it does not.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use backup_core::{Context, Kind};
use backup_host::Local;
use backup_tests::SmallDisk;

use crate::tree::{differences, every_kind, seen, step};
use crate::wrong::Wrong;
use crate::{Bench, same};

/// Waits until nothing of the tree changed in the second in which the next copy begins.
async fn a_second_later() {
    tokio::time::sleep(Duration::from_millis(1_100)).await;
}

/// 40 files of 10,000 bytes.
fn files(bench: &Bench) {
    for nth in 0..40 {
        fs::create_dir_all(bench.at(&format!("tree/{}", nth % 4))).expect("made");
        fs::write(bench.at(&format!("tree/{}/{nth}", nth % 4)), vec![nth; 10_000]).expect("written");
    }
}

/// Other bytes, as many of them, at the same time: nothing that rsync looks at tells.
fn rewrite(path: &Path) {
    let is = path.metadata().expect("there");
    fs::write(path, vec![99; usize::try_from(is.size()).expect("small")]).expect("written");
    let file = fs::File::open(path).expect("there");
    file.set_modified(is.modified().expect("a time")).expect("set");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_phase_reads_what_changed_and_little_else() {
    let bench = Bench::new("");
    files(&bench);
    a_second_later().await;
    let first = bench.run().await.expect("copied");
    assert_eq!((first.files, first.read_files, first.read_bytes), (40, 40, 400_000));
    rewrite(&bench.at("tree/1/5"));
    fs::write(bench.at("tree/2/6"), vec![1; 20_000]).expect("written");
    fs::remove_file(bench.at("tree/3/7")).expect("removed");
    let second = bench.copy.settle(&Context::default(), &Local).await.expect("copied");
    same(&bench.at("cache"), &bench.at("tree"));
    let changed = 30_000;
    assert!(second.read_bytes >= changed && second.read_bytes * 10 <= changed * 12, "{second:?}");
    assert_eq!((second.files, second.bytes, second.deleted), (39, 400_000, 1));
    a_second_later().await;
    let third = bench.run().await.expect("copied");
    let fourth = bench.run().await.expect("copied");
    assert!(third.read_bytes <= 30_000 && fourth.read_bytes == 0, "{third:?} {fourth:?}");
}

fn is_folder(told: &str) -> bool {
    told.starts_with("FileType { is_file: false, is_dir: true")
}

/// What is told of a file, without its other names.
fn alone(told: &str) -> &str {
    told.split(" same as ").next().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_is_cut_anywhere_leaves_whole_files_and_deletes_nothing() {
    let bench = Bench::new("");
    every_kind(&bench.at("tree"));
    bench.run().await.expect("copied");
    let mut cuts = 0;
    for (program, pieces) in [("find", 8), ("tar", 8)] {
        for piece in 0..pieces {
            for number in 0..40 {
                step(&bench.at("tree"), (number % 20, u16::from(number) * 771 + piece, 7 * piece + u16::from(number)));
            }
            let before = seen(&bench.at("cache"));
            let now = seen(&bench.at("tree"));
            let most = if program == "find" { u64::from(piece) * 597 } else { u64::from(piece).pow(2) * 46_731 };
            let wrong = Wrong { cut: Some((program, most)), ..Wrong::default() };
            let error = bench.copy.run(&Context::default(), &wrong).await;
            if !wrong.was_cut.load(Ordering::SeqCst) {
                continue;
            }
            cuts += 1;
            error.expect_err("it was cut");
            let after = seen(&bench.at("cache"));
            for (path, was) in &before {
                let above = path.match_indices('/').filter_map(|(slash, _)| after.get(&path[..slash]));
                match after.get(path) {
                    None => assert!(program == "tar" && above.into_iter().any(|above| !is_folder(above)), "{path} was deleted"),
                    Some(is) if program == "find" => assert_eq!(is, was, "{path} changed before all was listed"),
                    // A folder has its time at the end alone, and a file its further names.
                    Some(is) if is_folder(is) => {}
                    Some(is) => assert!(
                        [Some(was), now.get(path)].into_iter().flatten().any(|told| alone(told) == alone(is)),
                        "{path} is\n{is} and was\n{was}"
                    ),
                }
            }
        }
    }
    assert!(cuts > 8, "only {cuts} were cut");
    bench.copy.settle(&Context::default(), &Local).await.expect("copied");
    same(&bench.at("cache"), &bench.at("tree"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_go_and_change_while_they_are_copied() {
    let bench = Bench::new("");
    files(&bench);
    fs::hard_link(bench.at("tree/0/0"), bench.at("tree/9 another name")).expect("linked");
    let tree = bench.at("tree");
    let meanwhile = move || {
        fs::remove_file(tree.join("0/0")).expect("removed");
        fs::remove_dir_all(tree.join("1")).expect("removed");
        fs::remove_dir_all(tree.join("2")).expect("removed");
        symlink("3", tree.join("2")).expect("linked");
        rewrite(&tree.join("3/3"));
        fs::write(tree.join("new"), "new").expect("written");
    };
    let wrong = Wrong::default();
    *wrong.meanwhile.lock().expect("free") = Some(Box::new(meanwhile));
    let first = bench.copy.run(&Context::default(), &wrong).await.expect("no failure");
    assert!(first.missed > 0 && !differences(&bench.at("cache"), &bench.at("tree")).is_empty(), "{first:?}");
    bench.copy.settle(&Context::default(), &Local).await.expect("copied");
    same(&bench.at("cache"), &bench.at("tree"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tree_that_is_empty_or_gone_empties_no_cache() {
    let mut bench = Bench::new("");
    bench.copy.emptied = false;
    files(&bench);
    bench.run().await.expect("copied");
    let whole = seen(&bench.at("cache"));
    fs::rename(bench.at("tree"), bench.at("away")).expect("moved");
    let error = bench.run().await.expect_err("it is not there");
    assert!(error.hint().is_some_and(|hint| hint.contains("mounted")), "{error:?}");
    fs::create_dir_all(bench.at("tree/lost+found")).expect("made");
    let error = bench.run().await.expect_err("it is empty");
    assert!(error.chain().contains("is empty or not mounted"), "{error:?}");
    // Without what is written down, as with a cache of rsync, each folder of it counts.
    fs::remove_file(bench.at("record")).expect("removed");
    for nth in 0..4 {
        fs::create_dir_all(bench.at(&format!("tree/{nth}"))).expect("made");
    }
    let error = bench.run().await.expect_err("its folders are empty");
    assert!(error.chain().contains("is empty or not mounted"), "{error:?}");
    assert_eq!(seen(&bench.at("cache")), whole);
    bench.copy.emptied = true;
    let report = bench.run().await.expect("it is meant to be");
    assert_eq!(report.deleted, 40);
    same(&bench.at("cache"), &bench.at("tree"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_not_mounted_any_more_empties_no_cache() {
    let Some(mut disk) = SmallDisk::of("3m") else { return };
    for below in [false, true] {
        let mut bench = Bench::new("");
        let root = disk.path().to_owned();
        bench.copy.emptied = false;
        bench.copy.root = if below { root.parent().expect("a folder above").to_owned() } else { root.clone() };
        if below {
            // Of all that is in the folder above, only the disk.
            let name = root.file_name().expect("a name").to_string_lossy().into_owned();
            bench.copy.filter = backup_bosh::Filter::parse(format!("+ /{name}/\n- /*\n").as_bytes()).expect("a list");
        }
        fs::write(root.join("file"), "on the disk").expect("written");
        bench.run().await.expect("copied");
        let whole = seen(&bench.at("cache"));
        disk.take_away();
        // Something lies in the folder that it was mounted at.
        fs::write(root.join("other"), "below the disk").expect("written");
        let error = bench.run().await.expect_err("it is not mounted");
        assert!(error.chain().contains("is empty or not mounted"), "{error:?}");
        fs::remove_file(root.join("other")).expect("removed");
        disk.put_back();
        let error = bench.run().await.expect_err("another one, and empty");
        assert!(error.chain().contains("is empty or not mounted"), "{error:?}");
        assert_eq!(seen(&bench.at("cache")), whole);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_full_is_told_and_what_is_there_is_kept() {
    let Some(disk) = SmallDisk::of("2m") else { return };
    let mut bench = Bench::new("");
    bench.copy.cache = disk.path().join("cache");
    files(&bench);
    bench.run().await.expect("copied");
    fs::write(bench.at("tree/0/0"), vec![7; 3_000_000]).expect("written");
    fs::remove_file(bench.at("tree/1/1")).expect("removed");
    let before = seen(&bench.copy.cache);
    let error = bench.run().await.expect_err("it is full");
    assert!(error.hint().is_some_and(|hint| hint.contains("free some space")), "{error:?}");
    let files = |seen: std::collections::BTreeMap<String, String>| {
        seen.into_iter().filter(|(_, told)| told.contains("is_file: true")).collect::<Vec<_>>()
    };
    let kept = files(seen(&bench.copy.cache));
    assert_eq!((kept.len(), kept), (40, files(before)));
    fs::write(bench.at("tree/0/0"), "small").expect("written");
    bench.run().await.expect("copied");
    same(&bench.copy.cache, &bench.at("tree"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_list_leaves_out_stays_in_the_cache() {
    let bench = Bench::new("- keep/\n- /secret\n");
    files(&bench);
    bench.run().await.expect("copied");
    fs::create_dir_all(bench.at("cache/1/keep")).expect("made");
    fs::write(bench.at("cache/1/keep/it"), "mine").expect("written");
    fs::write(bench.at("cache/secret"), "mine").expect("written");
    fs::write(bench.at("cache/gone"), "goes").expect("written");
    fs::write(bench.at("tree/secret"), "not copied").expect("written");
    fs::remove_dir_all(bench.at("tree/1")).expect("removed");
    let report = bench.run().await.expect("copied");
    assert_eq!(report.deleted, 11);
    assert_eq!(fs::read_to_string(bench.at("cache/1/keep/it")).expect("there"), "mine");
    assert_eq!(fs::read_to_string(bench.at("cache/secret")).expect("there"), "mine");
    // A file where the folder with it is.
    fs::write(bench.at("tree/1"), "a file").expect("written");
    let error = bench.run().await.expect_err("it would be lost");
    assert!(error.hint().is_some_and(|hint| hint.contains("move that of the cache away")), "{error:?}");
    assert_eq!(fs::read_to_string(bench.at("cache/1/keep/it")).expect("there"), "mine");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_copies_into_one_cache_and_roots_that_cannot_be_meant() {
    let mut bench = Bench::new("");
    files(&bench);
    fs::create_dir(bench.at("cache")).expect("made");
    let held = fs::File::open(bench.at("cache")).expect("there");
    held.lock().expect("free");
    assert_eq!(bench.run().await.expect_err("it is held").kind(), Kind::Busy);
    drop(held);
    bench.copy.record = bench.at("cache/record");
    assert_eq!(bench.run().await.expect_err("it lies inside").kind(), Kind::Usage);
    bench.copy.root = "tree".into();
    assert_eq!(bench.run().await.expect_err("it is not whole").kind(), Kind::Usage);
}
