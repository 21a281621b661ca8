//! The library alone backs a database up: `crates/pg/examples/backup.rs`, in thirty lines.

use std::path::Path;
use std::process::Command;

use backup_tests::{Major, Server};

use crate::{has, load_sample, run, shell, text};

#[test]
fn the_example_is_thirty_lines_and_what_it_leaves_is_a_backup() {
    let lines = text("crates/pg/examples/backup.rs").lines().count();
    assert!(lines <= 30, "README says thirty lines, it has {lines}");
    let (Some(source), Some(target)) = (Server::start(Major::V17), Server::start(Major::V17)) else { return };
    // Where cargo puts it whenever it tests the whole workspace.
    let example = Path::new(env!("CARGO_BIN_EXE_pg-backup")).with_file_name("examples").join("backup");
    if !has(&[&example.to_string_lossy()], "run cargo build --example backup") {
        return;
    }
    load_sample(&source);
    let folder = tempfile::tempdir().expect("a folder");
    let conninfo = format!("host=127.0.0.1 port={} user=postgres dbname=shop", source.port());
    let mut example = Command::new(example);
    example.arg(conninfo).arg(folder.path().join("backups"));
    let id = run(example);
    // Roles are the cluster's: the example takes one database.
    target.psql(
        "postgres",
        &source.psql("postgres", "SELECT format('CREATE ROLE %I;', rolname) FROM pg_roles WHERE oid >= 16384"),
    );
    let restore = format!("pg-backup --to backups --job shop restore {} --database shop --as copy", id.trim());
    run(shell(&restore, folder.path(), &target));
    let orders = "SELECT count(*), sum(id) FROM app.orders";
    assert_eq!(target.psql("copy", orders), source.psql("shop", orders));
}
