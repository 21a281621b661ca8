//! Roles and tablespaces that are there before a restore: brought to what they were with the whole cluster, else left alone.

use backup_tests::{Major, Server, Setup, judge};

use crate::program::Sink;
use crate::shop;

/// Flags, limit, end and hash of each role.
const ROLES: &str = "SELECT string_agg(concat_ws(' ', rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, \
    rolconnlimit, NULLIF(rolvaliduntil, 'infinity'), COALESCE(rolpassword, 'none')), E'\\n' ORDER BY rolname) \
    FROM pg_authid WHERE rolname !~ '^pg_'";

/// What clients of these servers know.
fn with_password(password: &str) -> Setup {
    Setup { password: Some(password.to_owned()), ..Setup::default() }
}

#[test]
fn roles_that_are_there_become_what_they_were() {
    let (Some(source), Some(target)) = (Server::start(Major::V17), Server::start(Major::V17)) else { return };
    source.psql(
        "postgres",
        "CREATE ROLE plain; CREATE ROLE \"CREATE ROLE x WITH '\" LOGIN PASSWORD 'old' CONNECTION LIMIT 5 VALID UNTIL '2040-01-01';
         CREATE ROLE pair CREATEDB NOINHERIT; CREATE ROLE new; GRANT plain TO pair",
    );
    target.psql(
        "postgres",
        "CREATE ROLE plain LOGIN SUPERUSER PASSWORD 'kept?' CONNECTION LIMIT 3 VALID UNTIL '2030-01-01';
         CREATE ROLE \"CREATE ROLE x WITH '\" CREATEROLE PASSWORD 'another'; CREATE ROLE pair BYPASSRLS; CREATE ROLE mine LOGIN",
    );
    let there = |server: &Server| server.psql("postgres", ROLES);
    for kind in ["native", "pg_dumpall"] {
        let before = there(&target);
        let sink = Sink::new();
        sink.backup(&source, &["--source", kind]);
        sink.on(&target, &["restore", "latest", "--database", "postgres"]).ok();
        let one = there(&target);
        let untouched: Vec<&str> = one.lines().filter(|line| !line.starts_with("new ")).collect();
        assert_eq!(untouched.join("\n"), before, "with one database, {kind}");
        sink.on(&target, &["restore", "latest"]).ok();
        let all = there(&target);
        let ours: Vec<&str> = all.lines().filter(|line| !line.starts_with("mine ")).collect();
        let expected = there(&source);
        match kind {
            "native" => assert_eq!(ours.join("\n"), expected),
            // It does not say that a role has no password.
            _ => assert_eq!(ours[1..].join("\n"), expected.lines().skip(1).collect::<Vec<_>>().join("\n")),
        }
        assert_eq!(all.lines().count(), expected.lines().count() + 1, "{all}");
        target.psql(
            "postgres",
            "DROP ROLE new; REVOKE plain FROM pair; ALTER ROLE pair CREATEROLE;
             ALTER ROLE \"CREATE ROLE x WITH '\" CREATEDB CONNECTION LIMIT -1 PASSWORD 'a third one'",
        );
    }
    // Hashes that were not asked for are not taken away.
    let sink = Sink::new();
    sink.backup(&source, &["--no-role-passwords"]);
    sink.on(&target, &["restore", "latest"]).ok();
    let has = "SELECT rolpassword IS NOT NULL FROM pg_authid WHERE rolname LIKE 'CREATE%'";
    assert_eq!(target.psql("postgres", has), "t");
}

#[test]
fn whoever_restores_keeps_their_password_until_the_end() {
    for kind in ["native", "pg_dumpall"] {
        let Some(source) = Server::start_with(Major::V17, &with_password("there")) else { return };
        let target = Server::start_with(Major::V17, &with_password("here")).expect("the programs are there");
        shop::fill(&source);
        source.psql("postgres", "CREATE ROLE dba LOGIN CREATEDB PASSWORD 'old' CONNECTION LIMIT 0");
        target.psql("postgres", "CREATE ROLE dba SUPERUSER LOGIN PASSWORD 'new'");
        let sink = Sink::new();
        sink.backup(&source, &["--source", kind]);
        let url = format!("postgres://dba:new@127.0.0.1:{}/postgres", target.port());
        sink.offline(&["--server", &url, "restore", "latest"]).ok();
        judge::assert_same(&source, &target);
        sink.offline(&["--server", &url, "restore", "latest", "--clean"]).fails(1, &["password"]);
    }
}

#[test]
fn one_database_changes_no_membership_of_roles_that_are_there() {
    let (Some(source), Some(target)) = (Server::start(Major::V17), Server::start(Major::V17)) else { return };
    source.psql(
        "postgres",
        "CREATE ROLE admins; CREATE ROLE \"x TO y\"; CREATE ROLE bob; CREATE ROLE new; GRANT \"x TO y\" TO bob, new;
         CREATE ROLE \"it's FROM\"; GRANT admins TO \"it's FROM\"",
    );
    target.psql("postgres", "CREATE ROLE admins; CREATE ROLE bob; CREATE ROLE \"x TO y\"; CREATE ROLE \"it's FROM\"");
    let sink = Sink::new();
    sink.backup(&source, &[]);
    sink.on(&target, &["restore", "latest", "--database", "postgres"]).ok();
    let members =
        "SELECT string_agg(roleid::regrole || ' of ' || member::regrole, ',') FROM pg_auth_members WHERE roleid >= 16384";
    assert_eq!(target.psql("postgres", members), "\"x TO y\" of new");
}

#[test]
fn tablespaces_that_are_there_are_used() {
    let (Some(source), Some(target)) = (Server::start(Major::V17), Server::start(Major::V17)) else { return };
    source.psql("postgres", "CREATE TABLESPACE room LOCATION ''; COMMENT ON TABLESPACE room IS 'for more'");
    target.psql("postgres", "CREATE TABLESPACE room LOCATION ''");
    for kind in ["native", "pg_dumpall"] {
        let sink = Sink::new();
        sink.backup(&source, &["--source", kind]);
        sink.on(&target, &["restore", "latest", "--database", "postgres"]).ok();
        sink.on(&target, &["restore", "latest"]).ok();
    }
}

#[test]
fn a_proof_is_made_only_in_a_server_that_holds_nothing() {
    let (Some(source), Some(target)) = (shop::server(), Server::start(Major::V17)) else { return };
    let sink = Sink::new();
    sink.backup(source, &[]);
    let url = target.url();
    let prove = ["prove", "latest", "--scratch", &url];
    for (what, sql, undo) in [
        ("database precious", "CREATE DATABASE precious", "DROP DATABASE precious"),
        ("role \"Some one\"", "CREATE ROLE \"Some one\"", "DROP ROLE \"Some one\""),
        ("tablespace room", "SET allow_in_place_tablespaces = on; CREATE TABLESPACE room LOCATION ''", "DROP TABLESPACE room"),
        ("postgres is not empty", "CREATE TABLE t ()", "DROP TABLE t"),
    ] {
        // Each statement by itself.
        target.feed("postgres", &[], format!("{};", sql.replace("; ", ";\n")).as_bytes()).expect(what);
        let before = target.pg_dumpall(&["--clean"]);
        sink.offline(&prove).fails_with_hint(8, &[what]);
        assert_eq!(judge::difference_of(&before, &target.pg_dumpall(&["--clean"])), None, "{what}");
        target.psql("postgres", undo);
    }
    sink.offline(&prove).ok();
}
