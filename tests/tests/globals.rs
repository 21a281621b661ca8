//! Roles, tablespaces, databases and all that is set on them: rendered from one cluster, played into a fresh one.

use backup_core::Result;
use backup_pg::globals::{self, DatabaseRecord, Globals, GlobalsOptions};
use backup_tests::{Major, Server, judge};

const EVERYWHERE: &str = r#"
SET allow_in_place_tablespaces = on;
CREATE ROLE "owner ""of
all"" \things" SUPERUSER LOGIN PASSWORD 'p''w' VALID UNTIL '2031-02-03 04:05:06+07' CONNECTION LIMIT 7;
CREATE ROLE "select" NOINHERIT CREATEROLE CREATEDB REPLICATION BYPASSRLS VALID UNTIL 'infinity';
CREATE ROLE Größe; CREATE ROLE a; CREATE ROLE b; CREATE ROLE c; CREATE ROLE d;
COMMENT ON ROLE "select" IS 'it''s
a \ role';
COMMENT ON ROLE postgres IS 'the first';
ALTER ROLE postgres SET work_mem = '5MB';
ALTER ROLE a SET search_path = "$user", public, "a,b", 'it''s';
ALTER ROLE a SET search_path = '';
ALTER ROLE b SET search_path = "$user", "A ""b""", pg_catalog;
ALTER ROLE b SET "my.own" = 'a=b, \c''d';
ALTER ROLE b SET DateStyle = 'ISO, DMY';
ALTER ROLE b SET local_preload_libraries = '';
ALTER ROLE ALL SET statement_timeout = '3h';
GRANT a TO b WITH ADMIN OPTION; GRANT a TO c; GRANT pg_monitor TO d WITH ADMIN OPTION; GRANT a TO Größe;
CREATE TABLESPACE "In Place" OWNER a LOCATION '';
ALTER TABLESPACE "In Place" SET (random_page_cost = 1.5, seq_page_cost = 2);
COMMENT ON TABLESPACE "In Place" IS 'here';
ALTER TABLESPACE pg_default SET (random_page_cost = 3);
GRANT CREATE ON TABLESPACE "In Place" TO b WITH GRANT OPTION;
SET SESSION AUTHORIZATION b; GRANT CREATE ON TABLESPACE "In Place" TO PUBLIC; RESET SESSION AUTHORIZATION;
REVOKE CREATE ON TABLESPACE "In Place" FROM a;
GRANT SET, ALTER SYSTEM ON PARAMETER work_mem TO a WITH GRANT OPTION;
GRANT SET ON PARAMETER my.own TO PUBLIC;
SET SESSION AUTHORIZATION a; GRANT SET ON PARAMETER work_mem TO c; RESET SESSION AUTHORIZATION;

CREATE DATABASE "plain, ""but"" \hostile" OWNER a TABLESPACE "In Place";
COMMENT ON DATABASE "plain, ""but"" \hostile" IS 'it''s';
REVOKE ALL ON DATABASE "plain, ""but"" \hostile" FROM PUBLIC;
GRANT CONNECT ON DATABASE "plain, ""but"" \hostile" TO b WITH GRANT OPTION;
ALTER DATABASE "plain, ""but"" \hostile" SET search_path = app, public;
ALTER DATABASE "plain, ""but"" \hostile" SET default_transaction_read_only = on;
ALTER ROLE a IN DATABASE "plain, ""but"" \hostile" SET search_path = 'x y';
CREATE DATABASE latin TEMPLATE template0 ENCODING LATIN1 LC_COLLATE 'C' LC_CTYPE 'POSIX' CONNECTION LIMIT 3 IS_TEMPLATE true;
CREATE DATABASE icu TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'de-DE' LOCALE 'C';
COMMENT ON DATABASE postgres IS NULL;
REVOKE CONNECT ON DATABASE postgres FROM PUBLIC;
GRANT TEMPORARY ON DATABASE template1 TO PUBLIC;
ALTER DATABASE postgres SET work_mem = '9MB';
"#;

const SINCE_17: &str = r#"
GRANT b TO c WITH ADMIN TRUE, INHERIT FALSE, SET FALSE;
GRANT a TO d WITH ADMIN TRUE, INHERIT TRUE GRANTED BY b; GRANT a TO c WITH INHERIT FALSE GRANTED BY d;
GRANT b TO d WITH ADMIN TRUE GRANTED BY c; GRANT b TO "select" WITH SET FALSE GRANTED BY d; GRANT b TO Größe GRANTED BY postgres;
CREATE DATABASE built TEMPLATE template0 LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LC_COLLATE 'C' LC_CTYPE 'C';
CREATE DATABASE ruled TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'und' ICU_RULES '&a < g' LOCALE 'C';
"#;

const SINCE_15: &str = "GRANT c TO d WITH ADMIN OPTION GRANTED BY a; GRANT d TO \"select\" GRANTED BY b;";

/// What a cluster holds beside objects and rows.
fn read(server: &Server, options: GlobalsOptions) -> Result<(Globals, Vec<DatabaseRecord>, Vec<String>)> {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(&server.url(), tokio_postgres::NoTls).await.expect("a connection");
        tokio::spawn(connection);
        let version: String = client.query_one("SHOW server_version_num", &[]).await.expect("a version").get(0);
        let version = backup_pg::Version(version.parse().expect("a number"));
        let globals = globals::read(&client, version, &options).await?;
        let (databases, warnings) = globals::databases(&client, version).await?;
        Ok((globals, databases, warnings))
    })
}

/// The whole script, as `restorer` runs it, with a new folder for the tablespace `elsewhere`.
fn script(globals: &Globals, databases: &[DatabaseRecord], restorer: &str, folder: &str) -> String {
    let mut sql = globals.roles_sql(restorer);
    sql.extend(globals.tablespaces.iter().map(|tablespace| {
        let elsewhere = tablespace.name == "elsewhere";
        tablespace.sql(if elsewhere { folder } else { &tablespace.location })
    }));
    for database in databases.iter().filter(|database| database.allows_connections) {
        if !database.predefined() {
            sql += &database.create_sql(globals.version(), &database.name);
        }
        sql += &database.properties_sql(&database.name).expect("its properties");
    }
    sql + &globals.last_sql(restorer)
}

fn a_cluster_comes_back(major: Major) {
    let (Some(a), Some(b)) = (Server::start(major), Server::start(major)) else { return };
    a.psql("postgres", EVERYWHERE);
    a.psql("postgres", if major == Major::V15 { SINCE_15 } else { SINCE_17 });
    let folders = [&a, &b].map(|server| server.tablespace("else where").display().to_string());
    a.psql("postgres", &format!("CREATE TABLESPACE elsewhere LOCATION '{}'", folders[0]));
    let (globals, databases, warnings) = read(&a, GlobalsOptions::default()).expect("the globals");
    assert_eq!(warnings, [""; 0]);
    let text = serde_json::to_string(&(&globals, &databases)).expect("as JSON");
    let (globals, databases): (Globals, Vec<DatabaseRecord>) = serde_json::from_str(&text).expect("from JSON");
    assert!(!format!("{globals:?}").contains("SCRAM"), "a password hash shows");
    b.psql("postgres", &script(&globals, &databases, "postgres", &folders[1]));
    judge::assert_same(&a, &b);
    // The real pg_dumpall does not look at everything.
    for catalog in [
        "SELECT datname, (SELECT array_agg(item::text ORDER BY item::text) FROM unnest(datacl) item), datconnlimit, datistemplate, shobj_description(oid, 'pg_database') \
         FROM pg_database ORDER BY 1",
        "SELECT setdatabase = 0, setrole = 0, setconfig FROM pg_db_role_setting ORDER BY 1, 2, 3",
        "SELECT spcname, spcacl, spcoptions FROM pg_tablespace ORDER BY 1",
    ] {
        assert_eq!(a.psql("postgres", catalog), b.psql("postgres", catalog), "PostgreSQL {major}: {catalog}");
    }
    // Dropped and played again.
    let drops: String = databases.iter().map(|database| database.drop_sql(&database.name)).collect();
    let parameters = "REVOKE ALL ON PARAMETER work_mem FROM a CASCADE;";
    b.psql("template1", &format!("REVOKE ALL ON PARAMETER my.own FROM PUBLIC; {parameters}"));
    b.psql("template1", &(drops + &globals.drop_sql("postgres")));
    b.psql("template1", &script(&globals, &databases, "postgres", &folders[1]));
    let dumps = [&a, &b].map(|server| without_oids(&server.pg_dumpall(&[])));
    assert_eq!(judge::difference_of(&dumps[0], &dumps[1]), None);
}

/// A tablespace in place is called by its OID, which is another one the second time.
fn without_oids(dump: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(dump);
    let lines = text.lines().map(|line| line.split("LOCATION 'pg_tblspc/").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n").into_bytes()
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

#[test]
fn a_database_that_allows_no_connections_is_told() {
    let Some(server) = Server::start(Major::V15) else { return };
    server.psql("postgres", "CREATE DATABASE shut ALLOW_CONNECTIONS false");
    server.psql("postgres", "CREATE DATABASE broken; UPDATE pg_database SET datconnlimit = -2 WHERE datname = 'broken'");
    let (_, databases, warnings) = read(&server, GlobalsOptions::default()).expect("the globals");
    let shut = databases.iter().find(|database| database.name == "shut").expect("its record");
    assert!(!shut.allows_connections);
    assert!(warnings.len() == 2 && warnings[0].contains("broken") && warnings[1].contains("shut"), "{warnings:?}");
    assert!(databases.iter().all(|database| database.name != "broken"));
}

#[test]
fn without_passwords_and_into_a_cluster_of_another_superuser() {
    let admin = backup_tests::Setup::default();
    let (Some(a), Some(b)) = (Server::start(Major::V17), Server::start_with(Major::V17, &admin)) else { return };
    a.psql("postgres", "CREATE ROLE r LOGIN PASSWORD 'secret'; CREATE ROLE s; GRANT r TO s");
    let (globals, _, _) = read(&a, GlobalsOptions { passwords: false }).expect("the globals");
    b.psql("postgres", "CREATE ROLE other SUPERUSER LOGIN");
    let sql = globals.roles_sql("other") + &globals.last_sql("other");
    assert!(!sql.contains("PASSWORD"));
    b.psql("postgres", &format!("SET SESSION AUTHORIZATION other; {sql}"));
    assert_eq!(b.psql("postgres", "SELECT pg_has_role('s', 'r', 'MEMBER')"), "t");
}
