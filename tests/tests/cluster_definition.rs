//! Everything but rows: the definitions of a cluster's databases and its globals, played into a fresh cluster.

use std::fmt::Write;

use backup_pg::globals::{self, GlobalsOptions};
use backup_pg::{Definition, Version, definition, header};
use backup_tests::{Major, Server, corpus, judge};
use tokio_postgres::{Client, Config, NoTls};

/// What the real pg_dumpall alters or cannot restore.
const BEYOND: &str = r#"
CREATE ROLE z_first; CREATE ROLE a_second; ALTER ROLE z_first NOINHERIT;
CREATE DATABASE beyond;
\connect beyond
CREATE TABLE t (id int);
CREATE POLICY p ON t TO z_first, CURRENT_USER, a_second USING (true);
CREATE MATERIALIZED VIEW m AS SELECT * FROM t;
CREATE FUNCTION never() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'nothing is refreshed here'; END $$;
CREATE EVENT TRIGGER strict ON ddl_command_start WHEN TAG IN ('REFRESH MATERIALIZED VIEW') EXECUTE FUNCTION never();
"#;

async fn connected(server: &Server, database: &str) -> Client {
    let mut config: Config = server.url().parse().expect("a URL");
    let (client, connection) = config.dbname(database).connect(NoTls).await.expect("a connection");
    tokio::spawn(connection);
    backup_pg::pin(&client, backup_pg::Purpose::Dump).await.expect("settings of its own");
    client
}

/// The script that makes a cluster like `server`, but for rows; folders of tablespaces are made for `target`.
async fn script(server: &Server, target: &Server) -> String {
    let client = connected(server, "postgres").await;
    let version: String = client.query_one("SHOW server_version_num", &[]).await.expect("a version").get(0);
    let version = Version(version.parse().expect("a number"));
    let globals = globals::read(&client, version, &GlobalsOptions::default()).await.expect("the globals");
    let (databases, _) = globals::databases(&client, version).await.expect("the databases");
    let mut sql = globals.roles_sql("postgres");
    for (place, tablespace) in globals.tablespaces.iter().enumerate() {
        let in_place = tablespace.location.is_empty();
        let folder = if in_place { String::new() } else { target.tablespace(&format!("t{place}")).display().to_string() };
        sql += &tablespace.sql(&folder);
    }
    for database in databases.iter().filter(|database| database.allows_connections) {
        if !database.predefined() {
            sql += &database.create_sql(version, &database.name);
        }
        let conninfo = format!("dbname='{}'", database.name.replace('\\', "\\\\").replace('\'', "\\'"));
        let _ = writeln!(sql, "\\connect -reuse-previous=on \"{}\"", conninfo.replace('"', "\"\""));
        let mut client = connected(server, &database.name).await;
        let Definition { pre, post } = definition(&mut client).await.expect(&database.name);
        sql += &(header(version, "UTF8") + &pre + &post);
        sql += "RESET ALL;\nSET client_encoding = 'UTF8';\n";
        sql += &database.properties_sql(&database.name).expect("its properties");
    }
    sql + "\\connect postgres\n" + &globals.last_sql("postgres")
}

fn a_cluster_comes_back(major: Major) {
    let (Some(source), Some(target)) = (Server::start(major), Server::start(major)) else { return };
    corpus::load_all(&source);
    source.psql("postgres", BEYOND);
    // Its comments are no text, and this test reads definitions as text; tests of the whole program have it.
    source.psql("postgres", "DROP DATABASE IF EXISTS d_ascii");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let sql = runtime.block_on(script(&source, &target));
    target.feed("postgres", &[], sql.as_bytes()).expect("the script plays");
    let [a, b] = [&source, &target].map(|server| server.pg_dumpall(&["-s"]));
    assert_eq!(judge::difference_of(&a, &b), None, "PostgreSQL {major}");
}

#[test]
fn a_cluster_comes_back_on_15() {
    a_cluster_comes_back(Major::V15);
}

#[test]
fn a_cluster_comes_back_on_17() {
    a_cluster_comes_back(Major::V17);
}

#[test]
fn a_cluster_comes_back_on_18() {
    a_cluster_comes_back(Major::V18);
}
