//! What a proof finds where a restore is not what was backed up, and what is recorded of it.

use std::fs;

use backup_tests::{Major, Server, Setup};
use serde_json::{Value, json};

use crate::program::Sink;
use crate::{forge, shop};

/// The first value under `name` in `facts` for which `which` holds, to be changed.
fn find<'a>(facts: &'a mut Value, name: &str, which: impl Fn(&Value) -> bool) -> Option<&'a mut Value> {
    match facts.get_mut(name)? {
        Value::Array(all) => all.iter_mut().find(|one| which(one)),
        one => Some(one).filter(|one| which(one)),
    }
}

/// What is changed, a path in a part's facts and the value it gets, and words of the difference that must be told.
type Change = (&'static str, fn(&mut Value) -> Option<()>, &'static [&'static str]);

/// Another digest than the one that is there.
fn other(digest: &mut Value) -> Option<()> {
    let text = digest.as_str()?;
    let last = if text.ends_with('0') { "1" } else { "0" };
    *digest = json!(format!("{}{last}", text.get(..text.len() - 1)?));
    Some(())
}

const CHANGES: [Change; 8] = [
    (
        "the digest of a table",
        |facts| other(find(facts, "tables", |table| table["name"] == "orders")?.get_mut("digest")?),
        &["table app.orders", "2000 rows, digest "],
    ),
    (
        "the value of a sequence",
        |facts| {
            *find(facts, "sequences", |sequence| sequence["name"] == "tickets")?.get_mut("last")? = json!(8);
            Some(())
        },
        &["sequence app.tickets", "8, called: true", "7, called: true"],
    ),
    (
        "the digest of the large objects",
        |facts| other(find(facts, "large_objects", |_| true)?.get_mut("digest")?),
        &["large objects", "2 rows"],
    ),
    (
        "a table that does not come back",
        |facts| {
            let gone = json!({"schema": "app", "name": "gone", "columns": ["id"], "rows": 0, "digest": "0".repeat(32)});
            facts.get_mut("tables")?.as_array_mut()?.push(gone);
            Some(())
        },
        &["table app.gone", "0 rows, digest 0", "none restored"],
    ),
    (
        "a column that does not come back",
        |facts| {
            let columns = find(facts, "tables", |table| table["name"] == "orders")?.get_mut("columns")?;
            columns.as_array_mut()?.push(json!("gone"));
            Some(())
        },
        &["table app.orders", "2000 rows, digest ", "none restored"],
    ),
    (
        "a sequence that does not come back",
        |facts| {
            let gone = json!({"schema": "app", "name": "gone", "last": 1, "called": false});
            facts.get_mut("sequences")?.as_array_mut()?.push(gone);
            Some(())
        },
        &["sequence app.gone", "1, called: false in the backup, none restored"],
    ),
    (
        "the number of roles",
        |facts| {
            *find(facts, "counts", |counts| counts["roles"] == 2)?.get_mut("roles")? = json!(3);
            Some(())
        },
        &["number of roles", "3 in the backup, 2 restored"],
    ),
    (
        "the number of triggers",
        |facts| {
            *find(facts, "counts", |counts| counts["triggers"] == 1)?.get_mut("triggers")? = json!(2);
            Some(())
        },
        &["number of triggers", "2 in the backup, 1 restored"],
    ),
];

#[test]
fn whatever_differs_is_told_and_is_no_proof() {
    let Some(source) = Server::start(Major::V17) else { return };
    shop::fill(&source);
    source.psql("shop", "SELECT lo_from_bytea(0, 'one'), lo_from_bytea(0, 'two')");
    let sink = Sink::new();
    let backup = sink.backup(&source, &[]);
    let bin = source.bin_dir().to_string_lossy().into_owned();
    let prove = ["prove", "latest", "--pg-bin", &bin];
    sink.offline(&prove).ok();
    assert!(sink.offline(&["list"]).ok().text().contains("proven"));
    let original = fs::read(backup.join("manifest.json")).expect("the manifest");
    for (what, change, words) in CHANGES {
        fs::write(backup.join("manifest.json"), &original).expect("written");
        forge::manifest(&backup, |manifest| {
            let changed = manifest.parts.iter_mut().find_map(|part| {
                let mut facts = Value::Object(part.facts.clone());
                change(&mut facts)?;
                part.facts = facts.as_object()?.clone();
                Some(())
            });
            changed.unwrap_or_else(|| panic!("{what} is in no part"));
        });
        let ran = sink.offline(&prove).fails(6, words);
        assert!(ran.err.contains("with 1 difference"), "{what}: {}", ran.err);
        let listed = sink.offline(&["list"]).ok().text();
        // Nor is it any more what an earlier proof said.
        assert!(listed.contains("  backup ") && !listed.contains("proven"), "{what}: {listed}");
        sink.offline(&["verify", "latest-proven"]).fails(3, &[]);
    }
    // A query that fails on top of it hides nothing.
    let query = ["--check-sql", "SELECT * FROM app.nothing"];
    let ran = sink.offline(&[&prove[..], &query].concat()).fails(6, &["1 difference"]);
    assert!(ran.err.contains("app.nothing"), "{}", ran.err);
    fs::write(backup.join("manifest.json"), &original).expect("written");
    sink.offline(&prove).ok();
    assert!(sink.offline(&["list"]).ok().text().contains("proven"));
}

#[test]
fn a_server_of_ones_own_has_the_roles_that_it_needs() {
    let Some(source) = Server::start(Major::V17) else { return };
    shop::fill(&source);
    source.psql(
        "postgres",
        "GRANT shop_reader TO postgres; ALTER ROLE postgres SET work_mem = '5MB'; ALTER ROLE shop_reader SET work_mem = '6MB'; \
         CREATE ROLE keeper SUPERUSER LOGIN; GRANT shop_reader TO keeper; ALTER ROLE keeper SET work_mem = '7MB'",
    );
    let sink = Sink::new();
    let as_keeper = sink.command(Some(&source), &["backup"]).env("PGUSER", "keeper").output().expect("it runs");
    assert!(as_keeper.status.success(), "{as_keeper:?}");
    for user in ["postgres", "keeper", "stranger"] {
        let setup = Setup { initdb: vec!["--username=first".to_owned()], ..Setup::default() };
        let scratch = Server::start_with(Major::V17, &setup).expect("the programs are there");
        let make = format!("CREATE ROLE {user} SUPERUSER LOGIN");
        let made = scratch.command("psql").args(["-Xqc", &make, "-U", "first"]).status().expect("psql runs");
        assert!(made.success());
        let conninfo = format!("host=127.0.0.1 port={} user={user} dbname=postgres", scratch.port());
        sink.offline(&["prove", "latest", "--scratch", &conninfo]).ok();
    }
}

#[test]
fn what_hangs_on_the_tables_of_an_extension_is_not_the_users() {
    for source in Major::ALL.into_iter().filter_map(Server::start) {
        // As another version of the extension could have it.
        source.psql(
            "postgres",
            "CREATE EXTENSION backup_probe; \
             ALTER TABLE probe.not_configuration ADD CHECK (id > 0), ADD d int DEFAULT 1, ADD PRIMARY KEY (id); \
             CREATE RULE nothing AS ON DELETE TO probe.not_configuration DO INSTEAD NOTHING; \
             CREATE POLICY few ON probe.not_configuration USING (id > 0)",
        );
        let sink = Sink::new();
        sink.backup(&source, &[]);
        let bin = source.bin_dir().to_string_lossy().into_owned();
        sink.offline(&["prove", "latest", "--pg-bin", &bin]).ok();
    }
}
