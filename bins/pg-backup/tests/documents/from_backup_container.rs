//! `docs/from/backup-container.md`: its commands are run on the container's own tree, its tables leave nothing out, and there
//! is a way back.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use backup_tests::{Major, Server};

use crate::{blocks, has, run, shell, text};

const PAGE: &str = "docs/from/backup-container.md";

/// A shell with the container's five variables, and what differs in a test: the port, and a folder that need not last.
fn container(script: &str, folder: &Path, server: &Server) -> Command {
    let mut shell = shell(script, folder, server);
    shell.env("DATABASE_SERVICE_NAME", "127.0.0.1").env("DEFAULT_PORT", server.port().to_string());
    shell.env("POSTGRESQL_USER", "app").env("POSTGRESQL_PASSWORD", "hunter2").env("POSTGRESQL_DATABASE", "shop");
    shell.env("BACKUP_DIR", format!("{}/backups/", folder.display())).env("BACKUP_EPHEMERAL", "1").env("TZ", "PST8PDT");
    shell.env("PGPASSWORD", "hunter2").env_remove("STATE_DIRECTORY");
    shell
}

/// What the container did at the end of each round: of all paths with `gz` in them the newest so many by name, and no others.
const ROUND: &str = r#"find "$BACKUP_DIR" -type f | grep gz | sort -r | tail -n +3 | while read -r old; do rm "$old"; done"#;

#[test]
fn every_command_of_the_page_works_on_the_trees_of_the_container_and_there_is_a_way_back() {
    let Some(server) = Server::start(Major::V15) else { return };
    if !has(&["gzip"], "run ci/install") {
        return;
    }
    server.psql("postgres", "CREATE ROLE app LOGIN PASSWORD 'hunter2'");
    server.psql("postgres", "CREATE DATABASE shop OWNER app");
    server.psql("shop", "SET ROLE app; CREATE TABLE item AS SELECT n, md5(n::text) FROM generate_series(1, 5000) n");
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("admin-password"), "not asked for here\n").expect("a file");
    // One of the first generation, one of the later ones, and what a container that was killed has left.
    let seed = r#"for day in 2018-09-20 2018-09-21; do
        mkdir -p "$BACKUP_DIR/$day"
        pg_dump -Fp -h "$DATABASE_SERVICE_NAME" -p "$DEFAULT_PORT" -U app shop | gzip > "$BACKUP_DIR/$day/shop$day-10-15.sql.gz"
    done
    gunzip -c "$BACKUP_DIR/2018-09-21/shop2018-09-21-10-15.sql.gz" | head -c 500 > "$BACKUP_DIR/2018-09-21/shop2018-09-21-11-15.sql.gz.in_progress""#;
    run(container(seed, folder.path(), &server));
    let said: Vec<String> = blocks(PAGE, "sh").iter().map(|block| run(container(block, folder.path(), &server))).collect();
    let [checked, seen, taken, tried, back] = said.as_slice() else { panic!("the page has other blocks: {said:#?}") };
    assert!(checked.contains("NUM_BACKUPS"), "{checked}");
    assert!(seen.contains("2018-09-20/shop2018-09-20-10-15.sql.gz") && !seen.contains("in_progress"), "{seen}");
    assert!(taken.contains("5000 rows") && taken.contains("verified"), "{taken}");
    assert!(tried.contains("5000"), "{tried}");
    assert_eq!(back, "");
    let sum = "SELECT count(*), md5(string_agg(i::text, '' ORDER BY n)) FROM item i";
    assert_eq!(server.psql("shop_tried", sum), server.psql("shop", sum));

    // The container's own commands find nothing but dumps in what is left, its round keeps the newest, and it is played by hand.
    run(container(ROUND, folder.path(), &server));
    let left = run(container(r#"cd "$BACKUP_DIR" && find . -type f | sort"#, folder.path(), &server));
    let left: Vec<&str> = left.lines().collect();
    let [.., newest] = left.as_slice() else { panic!("nothing is left") };
    assert!(left.len() == 2 && newest.ends_with(".sql.gz") && !newest.contains("2018"), "{left:?}");
    let play = format!(r#"gunzip -c "$BACKUP_DIR/{newest}" | psql -X -q -v ON_ERROR_STOP=1 again"#);
    server.psql("postgres", "CREATE DATABASE again OWNER app");
    run(container(&play, folder.path(), &server));
    assert_eq!(server.psql("again", sum), server.psql("shop", sum));
}

#[test]
fn the_page_names_every_variable_and_only_options_that_exist() {
    let page = text(PAGE);
    let mut variables = BTreeSet::new();
    for source in ["settings.rs", "environment.rs"] {
        let source = text(&format!("crates/service/src/container/{source}"));
        for word in source.split('"').skip(1).step_by(2) {
            if word.len() > 1 && word.chars().all(|c| c.is_ascii_uppercase() || c == '_' || c.is_ascii_digit()) {
                variables.insert(word.to_owned());
            }
        }
    }
    assert!(variables.len() > 30, "{variables:?}");
    for variable in variables {
        assert!(page.contains(&format!("`{variable}`")), "the page says nothing of {variable}");
    }
    let manual = Command::new(env!("CARGO_BIN_EXE_pg-backup")).arg("man").output().expect("it runs").stdout;
    let manual = String::from_utf8(manual).expect("text").replace('\\', "");
    let options = page.split(|c: char| !c.is_ascii_lowercase() && c != '-').filter(|word| word.starts_with("--"));
    let ours: Vec<&str> = options.filter(|word| word.contains(char::is_alphabetic)).collect();
    assert!(ours.len() > 8, "{ours:?}");
    for option in ours {
        assert!(manual.contains(option), "the page has {option}, which the program does not");
    }
    for command in ["config check", "dumps list", "dumps verify", "dumps restore", "dumps cull", "serve --once", "ask"] {
        assert!(page.contains(command), "the page says nothing of {command}");
    }
}
