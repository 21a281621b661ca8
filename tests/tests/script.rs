//! Scripts against real servers: what pg_dumpall prints is taken apart and played, whatever the names in it are.

use backup_core::body::{from_bytes, to_vec};
use backup_core::{Error, Kind, Result};
use backup_pg::external::Program;
use backup_pg::extract;
use backup_pg::script::{Played, Player, Scanner};
use backup_tests::{Major, Server, judge};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls};

/// Databases as people should not call them.
const NAMES: [&str; 7] =
    ["app", "My \"quoted\" 'db'", "a = b", "back\\slash \\connect app", "-reuse-previous=on", "blank ünïcødé ;--", "user"];

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

async fn client(server: &Server, database: &str) -> Client {
    let config = format!(
        "host=127.0.0.1 port={} user=postgres dbname='{}'",
        server.port(),
        database.replace('\\', "\\\\").replace('\'', "\\'")
    );
    let (client, connection) = tokio_postgres::connect(&config, NoTls).await.expect("the server lets us in");
    tokio::spawn(connection);
    client
}

async fn play(server: &Server, database: &str, script: &[u8]) -> Result<Played> {
    let client = client(server, database).await;
    Player::new(&client).play(&mut Scanner::new(script)).await
}

/// A database as pg_dump sees it, without what is random or names it.
fn dump(server: &Server, database: &str) -> Vec<u8> {
    let output = server.command("pg_dump").arg("-d").arg(conninfo(database)).output().expect("pg_dump runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn conninfo(database: &str) -> String {
    format!("dbname='{}'", database.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// Fills a database with what tempts a reader of scripts.
fn tempt(server: &Server, database: &str) {
    let name = quoted(database);
    server.psql("postgres", &format!("CREATE DATABASE {name}"));
    let literal = database.replace('\'', "''");
    server.psql(
        &conninfo(database),
        &format!(
            "CREATE TABLE \"odd \"\"t;'\" (\"from\" text, \"stdin\" text);
             INSERT INTO \"odd \"\"t;'\" VALUES ('{literal}', E'\\\\connect app\\n\\\\.\\n;'), (E'\\\\.', NULL), ('\\connect app', '\\.'), ('', E'\\r\\n');
             INSERT INTO \"odd \"\"t;'\" SELECT n::text, repeat(md5(n::text), 20) FROM generate_series(1, 3000) AS n;
             CREATE TABLE \"copy\" ();
             INSERT INTO \"copy\" DEFAULT VALUES;
             CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $x$ SELECT $$\n\\connect app\n$$ || ';' $x$;
             CREATE FUNCTION g(a int) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT CASE WHEN a = 1 THEN 2 ELSE 3 END; SELECT 1; END;
             CREATE RULE r AS ON DELETE TO \"copy\" DO ALSO (SELECT 1; SELECT 2);
             CREATE VIEW v AS SELECT E'it''s \\\\ -- /* ' AS c;
             CREATE TYPE e AS ENUM ('a;', 'b''');
             COMMENT ON TABLE \"copy\" IS E'x\\n-- PostgreSQL database dump complete\\n--\\n\\\\connect app';
             COMMENT ON DATABASE {name} IS 'one of many';
             ALTER DATABASE {name} SET work_mem TO '1MB';
             ALTER ROLE postgres IN DATABASE {name} SET work_mem TO '2MB';
             REVOKE ALL ON DATABASE {name} FROM PUBLIC;
             SELECT lo_from_bytea(0, 'large;'::bytea);"
        ),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_database_of_a_real_dump_comes_out_and_loads_under_another_name() {
    for major in Major::ALL {
        let Some(server) = Server::start(major) else { return };
        for name in NAMES {
            tempt(&server, name);
        }
        let (plain, clean) = (server.pg_dumpall(&[]), server.pg_dumpall(&["--clean", "--if-exists"]));
        for (n, name) in NAMES.into_iter().enumerate() {
            let wanted = dump(&server, name);
            // Each by the player, and one also by psql and out of the other form of a dump.
            let ways = [("plain", &plain, "player"), ("psql", &plain, "psql"), ("clean", &clean, "player")];
            for (way, all, loader) in ways.into_iter().take(if n == 1 { 3 } else { 1 }) {
                let mut script = Vec::new();
                let input = from_bytes(all.clone());
                let extracted = extract::extract(input, name.as_bytes(), &mut script).await.expect("it is in the dump");
                assert_eq!((extracted.left_out, extracted.rest.is_none()), (4, true), "{name}");
                let other = format!("other {n} {way}");
                server.psql("postgres", &format!("CREATE DATABASE {}", quoted(&other)));
                match loader {
                    "psql" => drop(server.feed(&conninfo(&other), &[], &script).expect("psql takes it")),
                    _ => assert_eq!(play(&server, &other, &script).await.expect("the player takes it").rows, 3005),
                }
                let difference = judge::difference_of(&wanted, &dump(&server, &other));
                assert_eq!(difference, None, "{name} by {loader} on {major}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_statement_that_fails_is_named_and_those_before_it_stay() {
    let Some(server) = Server::start(Major::V15) else { return };
    let script = "CREATE TABLE a ();\nCREATE TABLE b ();\n\n-- this\nCREATE TABLE\n a ();\nCREATE TABLE c ();";
    let error = play(&server, "postgres", script.as_bytes()).await.expect_err("a is there");
    assert!(
        error.chain().starts_with("failed to play the statement in line 5, CREATE TABLE: relation \"a\" already exists"),
        "{error:?}"
    );
    assert_eq!(server.psql("postgres", "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_fail_is_passed_over_and_what_is_left_out_is_not_played() {
    let Some(server) = Server::start(Major::V15) else { return };
    let client = client(&server, "postgres").await;
    let script = "CREATE ROLE postgres;\nCREATE ROLE x;\nCREATE DATABASE d;\nCREATE TABLE t (a int);\nALTER SYSTEM SET work_mem = '5MB';\n\
                  CREATE TYPE e AS ENUM ('a');\nALTER TYPE e ADD VALUE 'b';\nSELECT 'b'::e;\nBEGIN;\nINSERT INTO t VALUES (7);\nROLLBACK;\n\
                  SET standard_conforming_strings = off;\nSELECT 'a\\';';\nCOPY t FROM stdin;\n1\n2\n\\.\nCOPY u FROM stdin;\n1\n\\.\n\\restrict k\n\\unrestrict k\n";
    let mut player = Player::new(&client)
        .filter(|item| !matches!(item, backup_pg::script::Item::Copy(copy) if copy.head().starts_with("copy u ")))
        .tolerate(|statement, code| statement.head().starts_with("create role ") && *code == SqlState::DUPLICATE_OBJECT);
    let played = player.play(&mut Scanner::new(script.as_bytes())).await.expect("it plays");
    assert_eq!(played, Played { statements: 13, rows: 2, tolerated: 1, skipped: 1 });
    assert_eq!(server.psql("postgres", "SELECT string_agg(a::text, ',') FROM t"), "1,2");
    let error = player.play(&mut Scanner::new(&b"\\connect d\n"[..])).await.expect_err("another database");
    assert_eq!(error.kind(), Kind::Usage);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_break_off_are_never_taken() {
    let Some(server) = Server::start(Major::V15) else { return };
    server.psql("postgres", "CREATE TABLE t (a int, b text)");
    let rows: String = (0..100_000).map(|n| format!("{n}\tsome text\n")).collect();
    for cut in
        [format!("COPY t FROM stdin;\n{rows}"), "COPY t FROM stdin;\n".to_owned(), format!("COPY t FROM stdin;\n{rows}100000")]
    {
        let client = client(&server, "postgres").await;
        let error = Player::new(&client).play(&mut Scanner::new(cut.as_bytes())).await.expect_err("it breaks off");
        assert_eq!(error.kind(), Kind::Damaged);
        // The same connection: its next answer comes when the COPY is over.
        let row = client.query_one("SELECT count(*) FROM t", &[]).await.expect("the connection is in order");
        assert_eq!(row.get::<_, i64>(0), 0);
    }
    let bad = format!("COPY t FROM stdin;\n{rows}x\tsecret\n{rows}\\.\n");
    let error = play(&server, "postgres", bad.as_bytes()).await.expect_err("x is no number");
    let line = error.chain();
    assert!(
        line.contains("invalid input syntax for type integer") && line.contains("(COPY t, line 100001, column a)"),
        "{line}"
    );
    assert!(!line.contains("secret"), "{line}");
    let error = play(&server, "postgres", b"COPY missing FROM stdin;\n1\n\\.\n").await.expect_err("no such table");
    assert!(error.chain().contains("relation \"missing\" does not exist"), "{error:?}");
    assert_eq!(server.psql("postgres", "SELECT count(*) FROM t"), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_not_utf8_reach_the_server_as_they_are_meant() {
    let Some(server) = Server::start(Major::V15) else { return };
    let script = b"SET client_encoding = 'LATIN1';\nCREATE TABLE t (a text DEFAULT '\xe9$$;');\nCOPY t FROM stdin;\ncaf\xe9\n\\.\nINSERT INTO t DEFAULT VALUES;";
    assert_eq!(
        play(&server, "postgres", script).await.expect("it plays"),
        Played { statements: 4, rows: 1, tolerated: 0, skipped: 0 }
    );
    assert_eq!(server.psql("postgres", "SELECT string_agg(a, ' ') FROM t"), "café é$$;");
    let script =
        b"SET client_encoding = 'LATIN1';\nCREATE TABLE \"\xe9\" (a text);\nCOPY \"\xe9\" FROM stdin;\n\xe8\n\\.\nSELECT 1;\n";
    assert_eq!(play(&server, "postgres", script).await.expect("it plays").rows, 1);
    assert_eq!(server.psql("postgres", "SELECT a FROM \"é\""), "è");
    let script = b"SET client_encoding = 'SQL_ASCII';\nCOPY \"\xe9\" FROM stdin;\n\\.\n";
    let error = play(&server, "postgres", script).await.expect_err("not UTF-8");
    assert_eq!(error.kind(), Kind::Usage);
    assert!(error.hint().expect("a hint").contains("UTF8"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_away_in_the_middle_of_pg_dump_breaks_the_body() {
    use tokio::io::AsyncReadExt;
    let Some(server) = Server::start(Major::V15) else { return };
    server.psql("postgres", "CREATE TABLE t AS SELECT repeat(md5(n::text), 100) FROM generate_series(1, 20000) AS n");
    let program = |name: &str, arguments: &[&str]| {
        let mut program = Program::new(server.bin_dir().join(name), arguments);
        program.environment = server.env().into_iter().map(|(name, value)| (name.into(), Some(value.into()))).collect();
        program
    };
    let whole = to_vec(program("pg_dumpall", &[]).read().expect("it starts"), u64::MAX).await.expect("it ends well");
    assert!(whole.ends_with(b"-- PostgreSQL database cluster dump complete\n--\n\n"));
    assert!(program("pg_dump", &[]).version().await.expect("it says").starts_with("pg_dump (PostgreSQL) 15."));
    let mut body = program("pg_dump", &["-d", "postgres"]).read().expect("it starts");
    let mut start = vec![0; 100_000];
    body.read_exact(&mut start).await.expect("the first rows");
    server.crash();
    let error = Error::from(tokio::io::copy(&mut body, &mut tokio::io::sink()).await.expect_err("the server is gone"));
    assert!(error.chain().contains("pg_dump ended with exit status: 1: pg_dump: error: "), "{error:?}");
}
