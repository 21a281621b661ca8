//! A backup of a real cluster opens with the commands of `docs/format.md` alone.

use backup_tests::{Major, Server, judge};

use crate::{blocks, has, load_sample, run, shell};

fn block(fence: &str) -> String {
    blocks("docs/format.md", fence).remove(0)
}

#[test]
fn a_cluster_comes_back_by_hand_and_so_does_one_table() {
    let (Some(source), Some(target)) = (Server::start(Major::V15), Server::start(Major::V15)) else { return };
    if !has(&["zstd", "jq", "sha256sum"], "run ci/install") {
        return;
    }
    load_sample(&source);
    let folder = tempfile::tempdir().expect("a folder");
    let id = run(shell("pg-backup --to backups backup", folder.path(), &source));
    let backup = folder.path().join("backups/pg").join(id.trim());

    let by_hand = |commands: &str, database: &str| {
        let mut shell = shell(commands, &backup, &target);
        shell.env("PGDATABASE", database);
        run(shell)
    };
    by_hand(&block("sh sums"), "postgres");
    by_hand(&block("sh manifest"), "postgres");
    by_hand(&block("sh zstd"), "postgres");
    judge::assert_same(&source, &target);

    let customers = "SELECT count(*), md5(string_agg(c::text, '' ORDER BY id)) FROM app.customer c";
    let before = target.psql("shop", customers);
    target.psql("shop", "TRUNCATE app.customer CASCADE");
    by_hand(&block("sh table"), "shop");
    assert_eq!(target.psql("shop", customers), before);

    let definition = by_hand(&block("sh definition"), "shop");
    assert!(definition.trim_start().starts_with("CREATE TABLE app.customer ("), "{definition}");
}
