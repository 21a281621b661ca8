//! Tables and what hangs on them come back as they were, told by pg_dump and by what the catalogs say beyond that.
#![expect(clippy::panic, reason = "a test fails with the words of the programs it runs")]

use std::path::{Path, PathBuf};

use backup_core::Result;
use backup_tests::{Major, Server, judge};

/// What pg_dump does not tell: the order of columns, and what is inherited, attached, valid.
const BEYOND_PG_DUMP: &str = r"
SELECT 'column', c.oid::regclass::text, row_number() OVER (PARTITION BY c.oid ORDER BY attnum), attname, attnotnull, attislocal,
       attinhcount, attstorage, attcompression, attidentity, attgenerated, atttypid::regtype
  FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
 WHERE attnum > 0 AND NOT attisdropped AND c.oid >= 16384 AND relkind IN ('r', 'p', 'f') ORDER BY 2, 3;
SELECT 'constraint', conrelid::regclass::text, conname, contype, conislocal, coninhcount, connoinherit, convalidated, conparentid <> 0
  FROM pg_constraint c JOIN pg_class t ON t.oid = conrelid
 WHERE t.oid >= 16384 AND (contype = 'c' OR contype = 'n' AND NOT relispartition) ORDER BY 2, 3;
SELECT 'index', indexrelid::regclass::text, indisvalid, indisreplident, indisclustered
  FROM pg_index WHERE indexrelid >= 16384 AND indexrelid::regclass::text !~ 'pg_toast' ORDER BY 2;
SELECT 'relation', oid::regclass::text, relpersistence, reltablespace, relreplident, relhassubclass
  FROM pg_class WHERE relkind IN ('r', 'p', 'f', 'S') AND oid >= 16384 AND relname !~ '^pg_toast' ORDER BY 2;
";

/// The SQL files for servers of this version: `later.17+.sql` is for 17 and later.
fn files(major: Major) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/tables");
    let is_for = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let since = name.split_once('.').and_then(|(_, rest)| rest.strip_suffix("+.sql")?.parse::<u32>().ok());
        name.ends_with(".sql") && since.is_none_or(|since| since <= major.number())
    };
    let entries = std::fs::read_dir(folder).expect("the files are beside the test");
    let mut files: Vec<PathBuf> =
        entries.map(|entry| entry.expect("a folder that can be read").path()).filter(is_for).collect();
    files.sort();
    files
}

async fn definition(server: &Server, database: &str) -> Result<String> {
    let conninfo = format!("host=127.0.0.1 port={} user=postgres dbname={database}", server.port());
    let (mut client, connection) = tokio_postgres::connect(&conninfo, tokio_postgres::NoTls).await.expect("the server listens");
    tokio::spawn(connection);
    let definition = backup_pg::definition(&mut client).await?;
    let header = backup_pg::header(backup_pg::Version(server.major().number() * 10_000), "UTF8");
    Ok(format!("{header}{}{}", definition.pre, definition.post))
}

fn pg_dump(server: &Server, database: &str) -> Vec<u8> {
    let output = server.command("pg_dump").args(["-s", database]).output().expect("pg_dump starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

async fn come_back(major: Major) {
    let Some(server) = Server::start(major) else { return };
    server.psql("postgres", "CREATE ROLE reader");
    server.psql("postgres", "SET allow_in_place_tablespaces = on; CREATE TABLESPACE place LOCATION ''");
    for (number, file) in files(major).into_iter().enumerate() {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (here, there) = (format!("here_{number}"), format!("there_{number}"));
        for database in [&here, &there] {
            server.psql("postgres", &format!("CREATE DATABASE {database} TEMPLATE template0"));
        }
        let script = std::fs::read(&file).expect("a file that can be read");
        server.feed(&here, &[], &script).unwrap_or_else(|error| panic!("{major} {name}: {error}"));
        let sql = definition(&server, &here).await.unwrap_or_else(|error| panic!("{major} {name}: {error:?}"));
        server.feed(&there, &[], sql.as_bytes()).unwrap_or_else(|error| panic!("{major} {name} does not restore: {error}"));
        if let Some(difference) = judge::difference_of(&pg_dump(&server, &here), &pg_dump(&server, &there)) {
            panic!("{major} {name}: {difference}");
        }
        let (here, there) = (server.psql(&here, BEYOND_PG_DUMP), server.psql(&there, BEYOND_PG_DUMP));
        let differing: Vec<_> = here.lines().zip(there.lines()).filter(|(here, there)| here != there).collect();
        assert!(here == there, "{major} {name}: {differing:#?}");
    }
}

#[tokio::test]
async fn tables_of_15_come_back() {
    come_back(Major::V15).await;
}

#[tokio::test]
async fn tables_of_17_come_back() {
    come_back(Major::V17).await;
}

#[tokio::test]
async fn tables_of_18_come_back() {
    come_back(Major::V18).await;
}
