//! Trees of dump files: what counts as a dump of what, where new ones go, and what is culled.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use backup_core::{Kind, body};
use backup_service::tree::{Dump, Layout, Mark, Tier, Tiers, Tree};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

const ROLLING: Layout = Layout::Rolling(Tiers { daily: 6, weekly: 4, monthly: 1 });

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn tree(root: &Path, layout: Layout) -> Tree {
    Tree::new(root, layout, TimeZone::UTC)
}

async fn verified(tree: &Tree, core: &str, now: Timestamp) -> Dump {
    let (key, put) = tree.put(core, now, body::from_bytes("-- a dump\n")).await.expect("stored");
    let mark = Mark { size: Some(put.size), sha256: Some(put.sha256), verified: Some(now), ..Mark::default() };
    tree.mark(&key, &mark).await.expect("marked");
    tree.list(core).await.expect("listed").into_iter().find(|dump| dump.key == key).expect("it is there")
}

fn names(dumps: &[Dump]) -> Vec<&str> {
    dumps.iter().map(|dump| dump.key.as_str()).collect()
}

/// A file as somebody else wrote it.
fn foreign(root: &Path, path: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    std::fs::write(path, "").expect("written");
}

#[tokio::test]
async fn dumps_of_both_generations_are_listed_and_nothing_else() {
    let root = tempfile::tempdir().expect("a folder");
    for path in [
        "2026-11-20/pg-shop2026-11-20-10-15.sql.gz",
        "2026-11-20/pg-shop_2026-11-20_10-15-00.sql.gz",
        "weekly/2026-11-15/pg-shop_2026-11-15_01-00-00.sql.gz",
        "weekly/2026-11-15/pg-shop_2026-11-15_01-00-00.sql.gz.in_progress",
        "weekly/2026-11-15/pg-shop-archive_2026-11-15_01-00-00.sql.gz",
        "yearly/2026-11-15/pg-shop_2026-11-15_01-00-00.sql.gz",
        "weekly/notes/pg-shop_2026-11-15_01-00-00.sql.gz",
        "a/weekly/2026-11-15/pg-shop_2026-11-15_01-00-00.sql.gz",
        "pg-shop_2026-11-15_01-00-00.sql.gz",
    ] {
        foreign(root.path(), path);
    }
    let listed = tree(root.path(), ROLLING).list("pg-shop").await.expect("listed");
    assert_eq!(
        names(&listed),
        [
            "weekly/2026-11-15/pg-shop_2026-11-15_01-00-00.sql.gz",
            "2026-11-20/pg-shop2026-11-20-10-15.sql.gz",
            "2026-11-20/pg-shop_2026-11-20_10-15-00.sql.gz",
        ]
    );
    assert_eq!(listed.iter().map(|dump| dump.tier).collect::<Vec<_>>(), [Some(Tier::Weekly), None, None]);
    assert!(listed[1].id < listed[2].id, "each has an ID of its own");
    assert_eq!(tree(root.path(), ROLLING).list("../pg").await.expect_err("no name").kind(), Kind::Usage);
}

#[tokio::test]
async fn a_dump_is_what_gunzip_reads_and_the_other_way_round() {
    let root = tempfile::tempdir().expect("a folder");
    let tree = tree(root.path(), Layout::Dated(31));
    let text = "SELECT 1;\n".repeat(100_000);
    let (key, put) = tree.put("pg-shop", at("2026-11-20T10:15:00Z"), body::from_bytes(text.clone())).await.expect("stored");
    assert_eq!(key.as_str(), "2026-11-20/pg-shop_2026-11-20_10-15-00.sql.gz");
    let file = root.path().join(key.as_str());
    assert_eq!(std::fs::metadata(&file).expect("there").len(), put.size);
    let gunzip = Command::new("gunzip").arg("-c").arg(&file).output().expect("gunzip runs");
    assert!(gunzip.status.success() && gunzip.stdout == text.as_bytes());
    // As the container appends roles: a second member.
    let mut gzip = Command::new("gzip").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("gzip runs");
    gzip.stdin.take().expect("piped").write_all(b"-- roles\n").expect("written");
    let member = gzip.wait_with_output().expect("it ends").stdout;
    std::fs::OpenOptions::new().append(true).open(&file).expect("opened").write_all(&member).expect("appended");
    let read = body::to_vec(tree.get(&key).await.expect("opened"), 1 << 30).await.expect("whole");
    assert_eq!(read, [text.as_bytes(), b"-- roles\n"].concat());
    // Cut short in any member, it is never whole.
    let whole = std::fs::read(&file).expect("read");
    for cut in [0, 1, 100, whole.len() - member.len() - 1, whole.len() - 1] {
        std::fs::write(&file, &whole[..cut]).expect("written");
        let read = body::to_vec(tree.get(&key).await.expect("opened"), 1 << 30).await;
        let error = read.expect_err("cut");
        assert_eq!(error.kind(), Kind::Damaged, "cut at {cut} of {}: {error}", whole.len());
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_leaves_no_dump() {
    let root = tempfile::tempdir().expect("a folder");
    let tree = tree(root.path(), ROLLING);
    let broken = body::piped(|mut out| async move {
        tokio::io::AsyncWriteExt::write_all(&mut out, &[b'x'; 1 << 20]).await?;
        Err(backup_core::Error::failed("the server went away"))
    });
    let error = tree.put("pg-shop", at("2026-11-20T10:15:00Z"), broken).await.expect_err("it broke off");
    assert!(error.chain().contains("the server went away"), "{}", error.chain());
    assert_eq!(tree.list("pg-shop").await.expect("listed"), []);
}

#[tokio::test]
async fn two_in_the_same_minute_are_two_dumps() {
    let root = tempfile::tempdir().expect("a folder");
    let tree = tree(root.path(), Layout::First(31));
    for _ in 0..2 {
        tree.put("shop", at("2026-11-20T10:15:30Z"), body::from_bytes("x")).await.expect("stored");
    }
    let listed = tree.list("shop").await.expect("listed");
    assert_eq!(names(&listed), ["2026-11-20/shop2026-11-20-10-15.sql.gz", "2026-11-20/shop2026-11-20-10-16.sql.gz"]);
    // A name that somebody takes while the dump is written stays theirs.
    let (file, theirs) = (root.path().to_owned(), "2026-11-20/shop2026-11-20-10-17.sql.gz");
    let slow = body::piped(move |mut out| async move {
        foreign(&file, theirs);
        Ok(tokio::io::AsyncWriteExt::write_all(&mut out, b"x").await?)
    });
    let taken = tree.put("shop", at("2026-11-20T10:15:30Z"), slow).await.expect_err("it is taken");
    assert_eq!((taken.kind(), std::fs::metadata(root.path().join(theirs)).expect("there").len()), (Kind::AlreadyExists, 0));
}

#[tokio::test]
async fn a_cull_takes_the_oldest_of_its_own_tier_and_name() {
    let root = tempfile::tempdir().expect("a folder");
    let tree = tree(root.path(), Layout::Rolling(Tiers { daily: 2, weekly: 4, monthly: 1 }));
    for path in [
        "daily/2026-11-10/pg-shop_2026-11-10_01-00-00.sql.gz",
        "daily/2026-11-10/pg-shop2_2026-11-10_01-00-00.sql.gz",
        "daily/2026-11-10/pg-shop_2026-11-10_01-00-00.sql.gz.in_progress",
        "weekly/2026-11-01/pg-shop_2026-11-01_01-00-00.sql.gz",
        "2026-11-01/pg-shop_2026-11-01_01-00-00.sql.gz",
    ] {
        foreign(root.path(), path);
    }
    verified(&tree, "pg-shop", at("2026-11-11T01:00:00Z")).await;
    let newest = verified(&tree, "pg-shop", at("2026-11-12T01:00:00Z")).await;
    let gone = tree.cull("pg-shop", at("2026-11-12T01:00:10Z")).await.expect("culled");
    assert_eq!(names(&gone), ["daily/2026-11-10/pg-shop_2026-11-10_01-00-00.sql.gz"]);
    assert_eq!(tree.list("pg-shop").await.expect("listed").len(), 4);
    assert!(root.path().join("daily/2026-11-10/pg-shop2_2026-11-10_01-00-00.sql.gz").exists());
    assert!(root.path().join("daily/2026-11-10/pg-shop_2026-11-10_01-00-00.sql.gz.in_progress").exists());
    assert!(root.path().join(newest.key.as_str()).exists());
}

#[tokio::test]
async fn each_has_a_verdict_and_only_what_was_shown_goes() {
    let root = tempfile::tempdir().expect("a folder");
    let tree = tree(root.path(), Layout::Dated(1));
    let good = verified(&tree, "pg-shop", at("2026-11-10T01:00:00Z")).await;
    for day in 11..14 {
        tree.put("pg-shop", at(&format!("2026-11-{day}T01:00:00Z")), body::from_bytes("x")).await.expect("stored");
    }
    let (now, dumps) = (at("2026-11-13T01:00:10Z"), tree.list("pg-shop").await.expect("listed"));
    let verdicts = tree.judge(&dumps, now);
    assert_eq!(verdicts.iter().map(|verdict| verdict.keep).collect::<Vec<_>>(), [true, false, false, true]);
    assert_eq!(verdicts[0].reasons[0].to_string(), "the newest verified one", "{:?}", verdicts[0]);
    // Somebody who looked earlier knows of the second one alone.
    verified(&tree, "pg-shop", at("2026-11-14T01:00:00Z")).await;
    let gone = tree.cull_only("pg-shop", now, |dump| dump.key == dumps[1].key).await.expect("culled");
    assert_eq!(names(&gone), [dumps[1].key.as_str()]);
    assert!(root.path().join(good.key.as_str()).exists());
}

#[tokio::test]
async fn what_is_known_of_a_dump_is_the_newest_is_of_that_file_and_goes_with_it() {
    let root = tempfile::tempdir().expect("a folder");
    let tree = tree(root.path(), Layout::Dated(1));
    let records = || -> Vec<_> {
        let records = root.path().join("records").read_dir().expect("a folder");
        records.map(|record| record.expect("a record").path()).collect()
    };
    let (key, put) = tree.put("pg-shop", at("2026-11-10T01:00:00Z"), body::from_bytes("x")).await.expect("stored");
    tree.mark(&key, &Mark { size: Some(put.size), ..Mark::default() }).await.expect("marked");
    let [first] = &records()[..] else { panic!("{:?}", records()) };
    let text = std::fs::read(first).expect("read");
    let verified_at = Some(at("2026-11-10T01:00:10Z"));
    let newer = Mark { size: Some(put.size), verified: verified_at, proven: verified_at, ..Mark::default() };
    tree.mark(&key, &newer).await.expect("marked");
    assert_eq!(records().len(), 1, "one takes the place of the other");
    // As a run leaves it that is killed in between.
    std::fs::write(first, text).expect("written");
    assert_eq!(records().len(), 2);
    let known = async || tree.list("pg-shop").await.expect("listed").pop().expect("it is there").mark;
    assert_eq!(known().await, newer);
    // Another file of that name is neither.
    std::fs::write(root.path().join(key.as_str()), "another size").expect("written");
    assert_eq!(known().await, Mark { verified: None, proven: None, ..newer });
    verified(&tree, "pg-shop", at("2026-11-11T01:00:00Z")).await;
    assert_eq!(names(&tree.cull("pg-shop", at("2026-11-11T01:00:10Z")).await.expect("culled")), [key.as_str()]);
    assert_eq!(records().len(), 1, "what was known of it is gone too");
}

#[tokio::test]
async fn what_a_killed_run_left_goes_with_the_next_cull_and_the_root_stays() {
    let root = tempfile::tempdir().expect("a folder");
    let tree = tree(root.path(), Layout::Dated(2));
    let hidden = |name: &str, hours: u64| {
        let path = root.path().join("2026-11-10").join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        let file = std::fs::File::create(&path).expect("made");
        file.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(hours * 3600)).expect("dated");
        path
    };
    let (dead, fresh) = (hidden(".0123456789abcdef.partial", 2), hidden(".fedcba9876543210.partial", 0));
    assert_eq!(tree.cull("pg-shop", at("2026-11-11T01:00:00Z")).await.expect("culled"), []);
    assert!(!dead.exists() && fresh.exists());
    std::fs::remove_file(fresh).expect("removed");
    tree.cull("pg-shop", at("2026-11-11T01:00:00Z")).await.expect("culled");
    assert!(root.path().exists());
}

#[tokio::test]
async fn a_tier_of_none_deletes_no_fresh_dump_and_takes_none() {
    let root = tempfile::tempdir().expect("a folder");
    let tree = tree(root.path(), Layout::Rolling(Tiers { daily: 6, weekly: 0, monthly: 1 }));
    // A Sunday: there is no weekly tier, so that it is a day like the others.
    let sunday = verified(&tree, "pg-shop", at("2026-11-15T01:00:00Z")).await;
    assert_eq!(sunday.tier, Some(Tier::Daily));
    assert_eq!(tree.cull("pg-shop", at("2026-11-15T01:00:10Z")).await.expect("culled"), []);
    let none = Tree::new(root.path(), Layout::Rolling(Tiers { daily: 0, weekly: 4, monthly: 1 }), TimeZone::UTC);
    assert!(!none.is_due(at("2026-11-16T01:00:00Z")) && none.is_due(at("2026-11-22T01:00:00Z")));
    let refused = none.put("pg-shop", at("2026-11-16T01:00:00Z"), body::from_bytes("x")).await;
    assert!(refused.is_err());
    let listed = none.list("pg-shop").await.expect("listed");
    assert_eq!((listed.len(), none.judge(&listed, at("2026-11-22T01:00:10Z"))), (1, Vec::new()), "no tier, no verdict");
    assert_eq!(none.cull("pg-shop", at("2026-11-22T01:00:10Z")).await.expect("culled"), [], "what is there is left alone");
}

#[tokio::test]
async fn the_last_good_one_stays_however_many_come_after_it() {
    let root = tempfile::tempdir().expect("a folder");
    let tree = tree(root.path(), Layout::Dated(2));
    let good = verified(&tree, "pg-shop", at("2026-11-10T01:00:00Z")).await;
    for day in 11..15 {
        tree.put("pg-shop", at(&format!("2026-11-{day}T01:00:00Z")), body::from_bytes("x")).await.expect("stored");
    }
    let gone = tree.cull("pg-shop", at("2026-11-14T01:00:10Z")).await.expect("culled");
    assert_eq!(gone.len(), 2, "{gone:?}");
    assert!(!names(&gone).contains(&good.key.as_str()));
    // Damaged since: it is good no more, and nothing that is left is known to be.
    let damaged = Mark { damaged: Some("it is cut short".into()), ..good.mark.clone() };
    tree.mark(&good.key, &damaged).await.expect("marked");
    let error = tree.cull("pg-shop", at("2026-11-14T01:00:10Z")).await;
    let left = tree.list("pg-shop").await.expect("listed");
    assert!(error.as_ref().is_err() || error.as_ref().is_ok_and(Vec::is_empty), "{error:?}");
    assert_eq!(left.len(), 3);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    /// Of whatever histories: the newest dump that is known to be good stays, and no tier ever has fewer than it may.
    #[test]
    fn no_history_loses_its_newest_good_dump(
        days in 1_usize..150,
        daily in 0_u32..8, weekly in 0_u32..5, monthly in 0_u32..3,
        bad in prop::collection::vec(0_u8..4, 150),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let root = tempfile::tempdir().expect("a folder");
        let tree = tree(root.path(), Layout::Rolling(Tiers { daily, weekly, monthly }));
        let mut dumps: Vec<Dump> = Vec::new();
        let mut now = at("2026-01-01T01:00:00Z");
        for kind in bad.iter().take(days) {
            if let Some(tier) = (Tiers { daily, weekly, monthly }).tier(&now.to_zoned(TimeZone::UTC)) {
                let id = backup_core::BackupId::at(now);
                let mark = match kind {
                    0 => Mark { damaged: Some("rot".into()), verified: Some(now), ..Mark::default() },
                    1 => Mark::default(),
                    _ => Mark { verified: Some(now), ..Mark::default() },
                };
                let key = format!("{tier}/x{id}").parse().expect("a key");
                dumps.push(Dump { id, key, tier: Some(tier), size: 1, mark });
                let good = |dump: &&Dump| dump.mark.verified.is_some() && dump.mark.damaged.is_none();
                let newest = dumps.iter().rev().find(good).map(|dump| dump.id);
                let verdicts = tree.judge(&dumps, now);
                dumps.retain(|dump| verdicts.iter().all(|verdict| verdict.id != dump.id || verdict.keep));
                prop_assert_eq!(dumps.iter().rev().find(good).map(|dump| dump.id), newest);
                for tier in Tiers::ALL {
                    let most = (Tiers { daily, weekly, monthly }).of(tier);
                    let sound = dumps.iter().filter(|dump| dump.tier == Some(tier) && good(dump)).count();
                    prop_assert!(sound <= most as usize + 2, "{} of {}", sound, tier);
                }
            }
            now += SignedDuration::from_hours(24);
        }
        drop(runtime);
    }
}
