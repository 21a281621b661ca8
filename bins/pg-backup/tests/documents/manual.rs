//! The commands of the manual, run in order; tables that stand in several documents, compared.

use backup_tests::{Major, Server, judge};

use crate::{blocks, has, load_sample, run, shell, text};

#[test]
fn every_command_of_the_manual_does_what_it_says() {
    let (Some(server), Some(empty)) = (Server::start(Major::V17), Server::start(Major::V17)) else { return };
    if !has(&["age-keygen", "age", "gzip"], "run ci/install") {
        return;
    }
    load_sample(&server);
    let folder = tempfile::tempdir().expect("a folder");
    let empty_url = format!("host={} port={} user=postgres", empty.dir().display(), empty.port());
    let mut script = String::from("set -x\n");
    for block in blocks("docs/pg-backup.md", "sh") {
        script.push_str(&block);
        script.push('\n');
        if block.contains("$EMPTY") {
            // Later blocks change the source.
            script.push_str("pg_dumpall > source.sql\npg_dumpall -h \"$EMPTY_HOST\" -p \"$EMPTY_PORT\" > restored.sql\n");
        }
    }
    let mut shell = shell(&script, folder.path(), &server);
    shell.env("EMPTY", empty_url).env("EMPTY_HOST", empty.dir()).env("EMPTY_PORT", empty.port().to_string());
    let said = run(shell);
    assert!(said.contains("equal in "), "{said}");
    let read = |name: &str| std::fs::read(folder.path().join(name)).expect(name);
    assert_eq!(judge::difference_of(&read("source.sql"), &read("restored.sql")), None);
    let orders = "SELECT count(*) FROM app.orders";
    for database in ["shop", "shop of yesterday", "orders_only", "shop_from_dump"] {
        assert_eq!(server.psql(database, orders), "110000", "{database}");
    }
    assert_eq!(server.psql("orders_only", "SELECT to_regclass('app.product') IS NULL"), "t");
}

#[test]
fn the_exit_codes_are_the_same_everywhere() {
    let manual = std::process::Command::new(env!("CARGO_BIN_EXE_pg-backup")).arg("man").output().expect("it runs").stdout;
    let manual = String::from_utf8(manual).expect("text");
    let rows = |page: &str| -> Vec<(String, String)> {
        let text = text(page);
        let rows = text.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | "));
        let rows = rows.filter(|(code, _)| code.parse::<u8>().is_ok());
        rows.map(|(code, means)| (code.to_owned(), means.to_owned())).collect()
    };
    let told = rows("README.md");
    assert_eq!(told.len(), 11);
    assert_eq!(told, rows("docs/pg-backup.md"));
    for (code, means) in told {
        assert!(manual.contains(&format!("{code:<4} {means}")), "the manual page does not say {code}: {means}");
    }
}
