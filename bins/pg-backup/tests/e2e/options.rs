//! What each option takes, leaves out, or puts elsewhere; judged by what the real programs do with the same option.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use backup_tests::{Major, Server, judge};

use crate::program::Sink;
use crate::shop;

#[track_caller]
fn assert_equal(expected: &[u8], found: &[u8], what: &str) {
    if let Some(difference) = judge::difference_of(expected, found) {
        panic!("{what}: {difference}");
    }
}

#[track_caller]
fn assert_shop(source: &Server, target: &Server, database: &str, what: &str) {
    assert_equal(&shop::pg_dump(source, "shop", &[]), &shop::pg_dump(target, database, &[]), what);
}

#[test]
fn a_dump_of_roles_alone_with_and_without_hashes() {
    let (Some(source), Some(target)) = (shop::server(), Server::start(Major::V17)) else { return };
    let sink = Sink::new();
    let bare = sink.on(source, &["dump", "--globals-only", "--no-role-passwords"]).ok().out;
    assert!(!String::from_utf8_lossy(&bare).contains("SCRAM-SHA-256"), "a hash is in it");
    target.feed("postgres", &[], &bare).expect("psql takes it");
    let arguments = ["--globals-only", "--no-role-passwords"];
    assert_equal(&source.pg_dumpall(&arguments), &target.pg_dumpall(&arguments), "without hashes");
    let with = sink.on(source, &["dump", "--globals-only", "--clean"]).ok().out;
    target.feed("postgres", &[], &with).expect("psql takes it, over what is there");
    assert_equal(&source.pg_dumpall(&["--globals-only"]), &target.pg_dumpall(&["--globals-only"]), "with hashes");
    assert_eq!(shop::databases(&target), "", "no database was made");
}

#[test]
fn a_dump_of_one_database_goes_where_psql_is() {
    let (Some(source), Some(target)) = (shop::server(), Server::start(Major::V17)) else { return };
    let sink = Sink::new();
    target.feed("postgres", &[], &sink.on(source, &["dump", "--globals-only"]).ok().out).expect("roles");
    target.psql("postgres", "CREATE DATABASE elsewhere TEMPLATE template0; CREATE DATABASE empty TEMPLATE template0");
    let dump = sink.on(source, &["dump", "--database", "shop"]).ok().out;
    assert!(!String::from_utf8_lossy(&dump).contains("\\connect"), "it leads elsewhere");
    target.feed("elsewhere", &[], &dump).expect("psql takes it");
    assert_shop(source, &target, "elsewhere", "--database");
    // Over what is there, changed.
    let clean = sink.on(source, &["dump", "--database", "shop", "--clean"]).ok().out;
    target.psql("elsewhere", "DELETE FROM app.orders; DROP TABLE app.log");
    target.feed("elsewhere", &[], &clean).expect("psql takes it, over what is there");
    assert_shop(source, &target, "elsewhere", "--clean");
    target.feed("empty", &[], &clean).expect("psql takes it, where nothing is");
    assert_shop(source, &target, "empty", "--clean into an empty database");
    let create = sink.on(source, &["dump", "--database", "shop", "--create"]).ok().out;
    target.feed("postgres", &[], &create).expect("psql takes it");
    assert_equal(&shop::pg_dump(source, "shop", &["-C"]), &shop::pg_dump(&target, "shop", &["-C"]), "--create");
    let anew = sink.on(source, &["dump", "--database", "shop", "--create", "--clean"]).ok().out;
    target.psql("shop", "CREATE TABLE mine (id int)");
    target.feed("postgres", &[], &anew).expect("psql takes it, over what is there");
    assert_equal(&shop::pg_dump(source, "shop", &["-C"]), &shop::pg_dump(&target, "shop", &["-C"]), "--create --clean");
}

#[test]
fn a_dump_of_definitions_has_no_rows() {
    let (Some(source), Some(target)) = (shop::server(), Server::start(Major::V17)) else { return };
    let sink = Sink::new();
    let dump = sink.on(source, &["dump", "--schema-only"]).ok().out;
    target.feed("postgres", &[], &dump).expect("psql takes it");
    assert_equal(&source.pg_dumpall(&["--schema-only"]), &target.pg_dumpall(&["--schema-only"]), "--schema-only");
    assert_eq!(target.psql("shop", "SELECT count(*) FROM app.orders"), "0");
    assert_eq!(target.psql("shop", "SELECT is_called FROM app.tickets"), "f");
    // A whole dump that drops first goes over it.
    let whole = sink.on(source, &["dump", "--clean"]).ok().out;
    target.feed("postgres", &[], &whole).expect("psql takes it, over what is there");
    judge::assert_same(source, &target);
}

#[test]
fn a_database_is_restored_beside_others_under_another_name() {
    let (Some(source), Some(target)) = (shop::server(), Server::start(Major::V17)) else { return };
    let sink = Sink::new();
    sink.backup(source, &[]);
    let name = "Shop \"copy\" 'ä'\n2";
    let restore = ["restore", "latest", "--database", "shop", "--as", name];
    sink.on(&target, &restore).ok();
    assert_shop(source, &target, name, "--as");
    assert_eq!(shop::databases(&target), name);

    // What is not empty is not touched.
    target.psql(name, "CREATE TABLE mine (id int)");
    sink.on(&target, &restore).fails_with_hint(1, &["is not empty", "copy"]);
    target.psql(name, "SELECT * FROM mine");
    sink.on(&target, &["restore", "latest", "--database", "nowhere"]).fails_with_hint(3, &["nowhere", "shop"]);
    sink.on(&target, &["restore", "latest", "--as", "x"]).fails(2, &["--database"]);

    // Nor is it replaced by a backup that is damaged.
    let damaged = Sink::new();
    let backup = damaged.backup(source, &[]);
    let part = largest(&backup.join("parts")).or_else(|| largest(&backup)).expect("a part");
    let mut bytes = fs::read(&part).expect("read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(&part, bytes).expect("written");
    let clean = [&restore[..], &["--clean"]].concat();
    damaged.on(&target, &clean).fails(4, &[]);
    target.psql(name, "SELECT * FROM mine");
    assert_eq!(shop::databases(&target), name);

    sink.on(&target, &clean).ok();
    assert_shop(source, &target, name, "--clean");
    assert_eq!(shop::databases(&target), name);
}

/// The largest file below `folder`.
fn largest(folder: &Path) -> Option<std::path::PathBuf> {
    let mut found: Vec<(u64, std::path::PathBuf)> = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let meta = entry.metadata().expect("its size");
            if meta.is_dir() {
                folders.push(entry.path());
            } else if entry.file_name() != "manifest.json" {
                found.push((meta.len(), entry.path()));
            }
        }
    }
    found.into_iter().max().map(|(_, path)| path)
}

#[test]
fn a_table_comes_alone_with_what_it_needs() {
    let (Some(source), Some(target)) = (shop::server(), Server::start(Major::V17)) else { return };
    let sink = Sink::new();
    sink.backup(source, &[]);
    sink.on(&target, &["restore", "latest", "--database", "shop", "--table", "app.orders", "--as", "one"]).ok();
    let print = "SELECT count(*), sum(amount), md5(string_agg(note, '' ORDER BY id)) FROM app.orders";
    assert_eq!(target.psql("one", print), source.psql("shop", print));
    let indexes = "SELECT string_agg(indexdef, ';' ORDER BY indexdef) FROM pg_indexes WHERE tablename = 'orders'";
    assert_eq!(target.psql("one", indexes), source.psql("shop", indexes));
    let triggers = "SELECT string_agg(tgname, ',') FROM pg_trigger WHERE NOT tgisinternal";
    assert_eq!(target.psql("one", triggers), "touch");
    assert_eq!(target.psql("one", "SELECT nextval('app.orders_id_seq')"), "2001");
    let grants = "SELECT relacl FROM pg_class WHERE relname = 'orders'";
    assert_eq!(target.psql("one", grants), source.psql("shop", grants));
    let relations =
        "SELECT string_agg(relname, ',' ORDER BY relname) FROM pg_class WHERE relkind IN ('r', 'S', 'v') AND oid >= 16384";
    assert_eq!(target.psql("one", relations), "orders,orders_id_seq");
    assert_eq!(
        target.psql("one", "SELECT count(*) FROM pg_constraint WHERE contype = 'f'"),
        "0",
        "what it refers to is not there"
    );
    // With it, the foreign key comes too.
    let both = ["restore", "latest", "--database", "shop", "--table", "app.orders", "--table", "customers", "--as", "two"];
    sink.on(&target, &both).ok();
    assert_eq!(target.psql("two", "SELECT count(*) FROM pg_constraint WHERE contype = 'f'"), "1");
    assert_eq!(target.psql("two", "SELECT count(*) FROM app.customers"), "50");
    sink.on(&target, &["restore", "latest", "--database", "shop", "--table", "app.nothing", "--as", "three"])
        .fails(3, &["app.nothing"]);
    assert_eq!(shop::databases(&target), "one,two");
}

#[test]
fn a_partition_comes_with_its_own_rows_alone() {
    let (Some(source), Some(target)) = (Server::start(Major::V17), Server::start(Major::V17)) else { return };
    source.psql("postgres", "CREATE DATABASE parts");
    // By the hash of an enum rows can come to lie in another partition: they go through the parent.
    source.psql(
        "parts",
        "CREATE TYPE colour AS ENUM ('red', 'green', 'blue', 'grey', 'pink');
         CREATE TABLE by_enum (c colour, n int) PARTITION BY HASH (c);
         CREATE TABLE by_enum_0 PARTITION OF by_enum FOR VALUES WITH (MODULUS 2, REMAINDER 0);
         CREATE TABLE by_enum_1 PARTITION OF by_enum FOR VALUES WITH (MODULUS 2, REMAINDER 1);
         INSERT INTO by_enum SELECT c, n FROM unnest(enum_range(NULL::colour)) c, generate_series(1, 10) n;
         CREATE TABLE by_year (y int) PARTITION BY LIST (y);
         CREATE TABLE y1 PARTITION OF by_year FOR VALUES IN (1);
         CREATE TABLE y2 PARTITION OF by_year FOR VALUES IN (2);
         INSERT INTO by_year VALUES (1), (2), (2)",
    );
    let sink = Sink::new();
    sink.backup(&source, &[]);
    sink.on(&target, &["restore", "latest", "--database", "parts", "--table", "by_enum_1", "--table", "y2", "--as", "some"])
        .ok();
    let rows = |server: &Server, database: &str, of: &str| {
        server.psql(database, &format!("SELECT coalesce(string_agg(r::text, ' ' ORDER BY r::text), '') FROM {of} r"))
    };
    assert_ne!(rows(&source, "parts", "by_enum_1"), "");
    assert_eq!(rows(&target, "some", "by_enum"), rows(&source, "parts", "by_enum_1"));
    assert_eq!(rows(&target, "some", "by_year"), "(2) (2)");
    sink.on(&target, &["restore", "latest", "--database", "parts", "--table", "by_year", "--as", "all"]).ok();
    assert_eq!(rows(&target, "all", "by_year"), "(1) (2) (2)");
}

#[test]
fn what_fails_after_the_rows_leaves_them_under_another_name() {
    // Since 17 such an index cannot be made at all.
    let (Some(source), Some(target)) = (Server::start(Major::V15), Server::start(Major::V15)) else { return };
    source.psql("postgres", "CREATE DATABASE tricky");
    // The function finds its table through the search path, which is empty when indexes are built.
    source.psql(
        "tricky",
        "CREATE TABLE factor (f int); INSERT INTO factor VALUES (3);
         CREATE FUNCTION times(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1 * (SELECT f FROM factor); END';
         CREATE TABLE t (x int); INSERT INTO t SELECT generate_series(1, 10); CREATE INDEX by_times ON t (times(x))",
    );
    let sink = Sink::new();
    sink.backup(&source, &[]);
    let ran = sink.on(&target, &["restore", "latest", "--database", "tricky"]);
    let ran = ran.fails_with_hint(1, &["tricky", "by_times", "rows are there"]);
    let name = shop::databases(&target);
    assert!(name.starts_with("tricky_unfinished_"), "{name}: {}", ran.err);
    assert!(ran.err.contains(&name), "it is not said where: {}", ran.err);
    // No other run takes it away, whatever it replaces.
    for arguments in [&["--database", "tricky"][..], &["--database", "tricky", "--clean"], &["--clean"]] {
        sink.on(&target, &[&["restore", "latest"], arguments].concat()).fails_with_hint(1, &[&name, "to be mended"]);
    }
    assert_eq!(shop::databases(&target), name);
    assert_eq!(target.psql(&name, "SELECT sum(x) FROM t"), "55");
    target.psql("postgres", &format!("ALTER DATABASE \"{name}\" RENAME TO mended"));
    sink.on(&target, &["restore", "latest", "--database", "tricky"]).fails(1, &["by_times"]);
}

#[test]
fn a_database_is_taken_out_of_a_dump_made_by_hand() {
    let (Some(source), Some(target)) = (shop::server(), Server::start(Major::V17)) else { return };
    let sink = Sink::new();
    let dump = source.pg_dumpall(&[]);
    let file = sink.folder().join("all.sql");
    fs::write(&file, &dump).expect("written");
    let file = file.to_string_lossy().into_owned();
    let globals = source.pg_dumpall(&["--globals-only"]);
    let globals = String::from_utf8(globals).expect("text").replace("CREATE ROLE postgres;", "");
    target.feed("postgres", &[], globals.as_bytes()).expect("roles");
    for tool in ["gzip", "zstd"] {
        let made = Command::new(tool).args(["-q", "-k", &file]).status().expect("it runs");
        assert!(made.success(), "{tool}");
    }
    for (name, file) in [("plain", file.clone()), ("gz", format!("{file}.gz")), ("zst", format!("{file}.zst"))] {
        let sql = sink.offline(&["extract", "--database", "shop", &file]).ok().out;
        assert!(!String::from_utf8_lossy(&sql).contains("CREATE DATABASE"), "{name}");
        target.psql("postgres", &format!("CREATE DATABASE {name} TEMPLATE template0"));
        target.feed(name, &[], &sql).expect("psql takes it");
        assert_shop(source, &target, name, "extract");
    }
    sink.offline(&["extract", "--database", "nowhere", &file]).fails(3, &["nowhere"]);
    sink.offline(&["extract", "--database", "shop", "/nowhere.sql"]).fails(3, &["/nowhere.sql"]);
    fs::write(sink.folder().join("short.sql"), &dump[..dump.len() * 2 / 3]).expect("written");
    let short = sink.folder().join("short.sql").to_string_lossy().into_owned();
    let ran = sink.offline(&["extract", "--database", "shop", &short]);
    assert!(ran.code != 0, "a dump that was cut short is not whole: {ran:?}");
    // From standard input.
    let mut command = sink.command(None, &["extract", "--database", "shop", "-"]);
    let output = command.stdin(Stdio::from(fs::File::open(&file).expect("opened"))).output().expect("it runs");
    assert!(output.status.success() && !output.stdout.is_empty());
}

#[test]
fn queries_of_the_user_show_what_came_back() {
    let (Some(source), Some(target)) = (shop::server(), Server::start(Major::V17)) else { return };
    let sink = Sink::new();
    sink.backup(source, &[]);
    let sum = "SELECT count(*) AS orders, sum(amount) AS total FROM app.orders";
    let ran = sink.on(&target, &["restore", "latest", "--database", "shop", "--check-sql", sum]).ok();
    assert!(ran.text().contains("orders | total\n2000 | 2001000.00"), "{}", ran.text());
    // It shows, and does nothing else.
    for sql in ["COMMIT; DROP TABLE app.orders", "SELECT 1; SELECT 2", "DROP TABLE app.orders", "SELECT nextval('app.tickets')"]
    {
        let ran = sink.on(&target, &["restore", "latest", "--database", "shop", "--clean", "--check-sql", sql]);
        ran.fails(8, &["run the check", sql]);
        assert_eq!(target.psql("shop", "SELECT count(*) FROM app.orders"), "2000", "{sql}");
    }
    let bin = source.bin_dir().to_string_lossy().into_owned();
    let prove = ["prove", "latest", "--pg-bin", &bin, "--check-sql"];
    let ran = sink.offline(&[&prove[..], &[sum]].concat()).ok();
    assert!(ran.text().contains("2000 | 2001000.00") && ran.text().contains("proven"), "{}", ran.text());
    let other = Sink::new();
    other.backup(source, &[]);
    other.offline(&[&prove[..], &["SELECT * FROM app.nothing"]].concat()).fails(8, &["app.nothing"]);
    assert!(!other.offline(&["list"]).ok().text().contains("proven"), "a query that fails proves nothing");
    other.offline(&["prove", "latest", "--pg-bin", &bin, "--database", "shop"]).ok();
    assert!(!other.offline(&["list"]).ok().text().contains("proven"), "nor does one database prove the others");
    other.offline(&["prove", "latest", "--pg-bin", &bin, "--scratch-dir", "/nonexistent/folder"]).fails(8, &["nonexistent"]);
}

#[test]
fn the_servers_own_programs_take_it_too() {
    let (Some(source), Some(target)) = (shop::server(), Server::start(Major::V17)) else { return };
    let sink = Sink::new();
    sink.backup(source, &["--source", "pg_dumpall"]);
    sink.offline(&["verify", "latest"]).ok();
    sink.on(&target, &["restore", "latest"]).ok();
    judge::assert_same(source, &target);
    let bin = source.bin_dir().to_string_lossy().into_owned();
    sink.offline(&["prove", "latest", "--pg-bin", &bin]).fails_with_hint(8, &["nothing was counted"]);
    assert!(!sink.offline(&["list"]).ok().text().contains("proven"));
}

#[test]
fn databases_are_left_out_by_name_or_said_to_be() {
    let (Some(source), Some(target)) = (Server::start(Major::V17), Server::start(Major::V17)) else { return };
    shop::fill(&source);
    source.psql("postgres", "CREATE DATABASE closed");
    source.psql("postgres", "ALTER DATABASE closed ALLOW_CONNECTIONS false");
    source.psql("postgres", "CREATE DATABASE \"New\nline \\ 'ü'\"");
    source.psql("New\nline \\ 'ü'", "CREATE TABLE t (x int); INSERT INTO t VALUES (1)");
    let sink = Sink::new();
    let ran = sink.on(&source, &["backup", "--exclude-database", "shop"]).ok();
    assert!(ran.err.contains("warning: ") && ran.err.contains("closed"), "it is not said: {}", ran.err);
    sink.on(&target, &["restore", "latest"]).ok();
    assert_eq!(shop::databases(&target), "New\nline \\ 'ü'");
    assert_eq!(target.psql("New\nline \\ 'ü'", "SELECT x FROM t"), "1");
    sink.on(&source, &["backup", "--database", "closed"]).fails_with_hint(1, &["closed", "allows no connections"]);
    sink.on(&source, &["backup", "--database", "nowhere"]).fails_with_hint(3, &["nowhere"]);
    sink.on(&source, &["backup", "--exclude-database", "nowhere"]).fails_with_hint(3, &["nowhere"]);
}
