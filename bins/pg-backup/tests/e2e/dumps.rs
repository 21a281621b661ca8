//! `dumps list`, `verify` and `cull` on trees that the backup container wrote, in both of its generations.

use backup_tests::Major;
use serde_json::Value;

use crate::shelf::{Generation, Shelf, gzip, name_of};

const BOTH: [Generation; 2] = [Generation::First, Generation::Later];

#[test]
fn dumps_of_both_generations_are_listed_and_verified_alike() {
    for (major, generation) in [(Major::V15, Generation::First), (Major::V18, Generation::Later)] {
        let Some(shelf) = Shelf::new(major, generation) else { return };
        shelf.dumps(&["list"]).fails_with_hint(3, &["no dump"]);
        shelf.dumps(&["verify"]).fails_with_hint(3, &["no dump"]);
        let (old, new) = (shelf.take(3), shelf.take(4));
        let listed = shelf.dumps(&["list"]).ok().text();
        assert!(listed.find(&old) < listed.find(&new) && listed.contains("\n2 dumps, "), "{listed}");
        assert!(!listed.contains("verified"), "{listed}");
        // The newest, unless another is named.
        let told = shelf.dumps(&["verify"]).ok().text();
        assert!(told.contains(&new) && told.contains("2 tables, 3002 rows"), "{told}");
        for named in [&*old, name_of(&old), "20201003T101500Z", "20201003"] {
            let told = shelf.dumps(&["verify", "shop", "-f", named]).ok().text();
            assert!(told.contains(&old), "{named}: {told}");
        }
        let absolute = shelf.root().join(&old);
        shelf.dumps(&["verify", "-f", absolute.to_str().expect("text")]).ok();
        let listed = shelf.dumps(&["list", "127.0.0.1/shop", "--json"]).ok().text();
        let lines: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(lines.len(), 3, "{listed}");
        for (line, path) in lines.iter().zip([&old, &new]) {
            assert_eq!((&line["file"], &line["facts"]["rows"]), (&Value::from(path.as_str()), &Value::from(3002)), "{line}");
            assert!(line["verified"].is_string() && line["damaged"].is_null() && line["bytes"].as_u64() > Some(100), "{line}");
            assert_eq!(line["tier"], if generation == Generation::Later { Value::from("daily") } else { Value::Null });
        }
        shelf.dumps(&["verify", "other"]).fails_with_hint(3, &["\"other\""]);
    }
}

#[test]
fn first_dumps_are_found_after_the_strategy_has_changed() {
    let Some(shelf) = Shelf::new(Major::V15, Generation::First) else { return };
    let old = shelf.take(3);
    let rolling = [("BACKUP_STRATEGY", "rolling")];
    assert!(shelf.dumps_with(&["list"], &rolling).ok().text().contains(&old));
    // What others have written there is none of it: in a tier, and of a job that is called as the database is.
    let strangers = ["daily/2020-10-04/shop2020-10-04-10-15.sql.gz", "2020-10-05/shop_2020-10-05_10-15-00.sql.gz"];
    for path in strangers {
        shelf.put(path, &shelf.pg_dump());
    }
    // Of the same minute, with an ID of its own.
    let new = shelf.put("daily/2020-10-03/127.0.0.1-shop_2020-10-03_10-15-00.sql.gz", &shelf.pg_dump());
    let listed = shelf.dumps_with(&["list"], &rolling).ok().text();
    assert!(listed.contains("\n2 dumps, ") && strangers.iter().all(|path| !listed.contains(path)), "{listed}");
    for (id, path) in [("20201003T101500Z", &old), ("20201003T101501Z", &new)] {
        let told = shelf.dumps_with(&["verify", "-f", id], &rolling).ok().text();
        assert!(told.contains(path), "{id}: {told}");
    }
    // Two databases of that name: it is not known whose they are.
    std::fs::write(shelf.beside("backup.conf"), "127.0.0.1/shop\n127.0.0.2/shop\n").expect("written");
    let listed = shelf.dumps(&["list"]).ok().text();
    assert!(listed.contains(&new) && !listed.contains(&old), "{listed}");
}

/// A dump that was kept although pg_dump died, as the container does, and other damage: each is told, exit code 4.
#[test]
fn a_partial_dump_in_a_whole_gzip_file_is_damaged() {
    for generation in BOTH {
        let Some(shelf) = Shelf::new(Major::V15, generation) else { return };
        let (sql, path) = (shelf.pg_dump(), shelf.path(5));
        let whole = gzip(&sql);
        let mut flipped = whole.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 1;
        let text = String::from_utf8(sql.clone()).expect("text");
        let end = text.find("--\n-- PostgreSQL database dump complete").expect("its last words");
        let rows = text.find("\n\\.\n").expect("the end of some rows") + "\n\\.\n".len();
        // What nobody understands, in a file that is damaged behind it.
        let mut strange = gzip(format!("\\! true\n{text}").as_bytes());
        let checksum = strange.len() - 8;
        strange[checksum] ^= 1;
        for (what, file) in [
            ("pg_dump died", gzip(&sql[..sql.len() / 2])),
            ("pg_dump died between two tables", gzip(&sql[..rows])),
            ("pg_dump died before its last words", gzip(&sql[..end])),
            ("strange", strange),
            ("nothing at all", gzip(b"")),
            ("roles alone", gzip(b"CREATE ROLE x;\n")),
            ("no table", gzip(b"SELECT 1;\n--\n-- PostgreSQL database dump complete\n--\n")),
            ("cut", whole[..whole.len() - 9].to_vec()),
            ("one bit", flipped),
            ("no gzip", sql.clone()),
            ("empty", Vec::new()),
            ("behind it", [&whole[..], b"garbage"].concat()),
        ] {
            shelf.write(&path, &file);
            let ran = shelf.dumps(&["verify"]);
            assert_eq!(ran.code, 4, "{what}: {ran:?}");
            ran.fails_with_hint(4, &[&path]);
            let listed = shelf.dumps(&["list"]).ok().text();
            assert!(listed.contains("damaged"), "{what}: {listed}");
        }
        // What a dump does not have is no damage.
        shelf.write(&path, &gzip(format!("\\! true\n{text}").as_bytes()));
        shelf.dumps(&["verify"]).fails_with_hint(2, &["\\!"]);
        // Found whole again, it counts again.
        shelf.write(&path, &whole);
        shelf.dumps(&["verify"]).ok();
        assert!(!shelf.dumps(&["list"]).ok().text().contains("damaged"));
        // Another whole dump of the same size is not the one that was verified.
        let others = (2..3000).map(|n| gzip(text.replacen(&format!("\n{n}\trow"), "\n1\trow", 1).as_bytes()));
        let other = others.filter(|other| *other != whole).find(|other| other.len() == whole.len()).expect("one of that size");
        shelf.write(&path, &other);
        shelf.dumps(&["verify"]).fails_with_hint(4, &[&path, "digest"]);
    }
}

#[test]
fn a_cull_takes_no_neighbour_and_nothing_in_progress() {
    for generation in BOTH {
        let Some(shelf) = Shelf::new(Major::V15, generation) else { return };
        let taken: Vec<String> = (1..=4).map(|day| shelf.take(day)).collect();
        let neighbours = [
            shelf.path(1).replace("shop", "shop2"),
            shelf.path(1).replace("shop", "shop-archive"),
            shelf.path(9) + ".in_progress",
        ];
        for path in &neighbours {
            shelf.write(path, b"x");
        }
        let few = [(if generation == Generation::First { "NUM_BACKUPS" } else { "DAILY_BACKUPS" }, "2")];
        let shown = shelf.dumps_with(&["cull", "--dry-run"], &few).ok().text();
        let verdict = |path: &str| shown.lines().find(|line| line.contains(path)).expect("a verdict").to_owned();
        assert!(verdict(&taken[0]).contains("  cull  ") && verdict(&taken[3]).contains("  keep  "), "{shown}");
        assert_eq!(shelf.files().len(), 7, "a dry run");
        shelf.dumps_with(&["cull", "--yes"], &few).ok();
        let mut left: Vec<String> = [&taken[2..], &neighbours].concat();
        left.sort();
        assert_eq!(shelf.files(), left);
    }
}

#[test]
fn a_cull_without_a_terminal_deletes_nothing_unless_told_to() {
    let Some(shelf) = Shelf::new(Major::V15, Generation::First) else { return };
    for day in 1..=3 {
        shelf.take(day);
    }
    let one = [("NUM_BACKUPS", "1")];
    shelf.dumps_with(&["cull"], &one).fails_with_hint(2, &["no terminal"]);
    assert_eq!(shelf.files().len(), 3);
    shelf.dumps_with(&["cull", "--yes"], &one).ok();
    assert_eq!(shelf.files(), [shelf.path(3)]);
}

#[test]
fn a_cull_never_takes_the_last_good_one() {
    let Some(shelf) = Shelf::new(Major::V15, Generation::First) else { return };
    let good = [shelf.take(1), shelf.take(2)];
    // As they come when pg_dump dies every night.
    let sql = shelf.pg_dump();
    for day in 3..=6 {
        shelf.write(&shelf.path(day), &gzip(&sql[..sql.len() / 2]));
    }
    let one = [("NUM_BACKUPS", "1")];
    shelf.dumps_with(&["cull", "--yes"], &one).ok();
    assert!(shelf.files().contains(&good[1]), "{:?}", shelf.files());
    assert!(!shelf.files().contains(&good[0]), "{:?}", shelf.files());
    // Damaged as well now: nothing that is left is good, and nothing goes.
    shelf.write(&good[1], &gzip(&sql[..sql.len() / 3]));
    let before = shelf.files();
    shelf.dumps_with(&["cull", "--yes"], &one);
    assert_eq!(shelf.files(), before);
}

#[test]
fn a_tier_of_none_loses_nothing_to_a_cull() {
    let Some(shelf) = Shelf::new(Major::V15, Generation::Later) else { return };
    let taken = [shelf.take(1), shelf.take(2)];
    shelf.dumps_with(&["cull", "--yes"], &[("DAILY_BACKUPS", "0"), ("WEEKLY_BACKUPS", "4")]).ok();
    assert_eq!(shelf.files(), taken);
}
