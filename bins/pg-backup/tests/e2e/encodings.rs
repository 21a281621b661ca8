//! Text that is not UTF-8 comes back byte for byte.

use backup_tests::{Major, Server, judge};

use crate::program::Sink;

/// Backs the cluster up, restores and proves it, and feeds its dump to psql: the real pg_dumpall sees no difference.
#[track_caller]
fn comes_back(source: &Server) {
    let sink = Sink::new();
    sink.backup(source, &[]);
    let dump = sink.on(source, &["dump"]).ok().out;
    let held = source.pg_dumpall(&[]);
    let same = |how: &str, fill: &dyn Fn(&Server)| {
        let target = Server::start(source.major()).expect("the programs are there");
        fill(&target);
        if let Some(difference) = judge::difference_of(&held, &target.pg_dumpall(&[])) {
            panic!("PostgreSQL {}, {how}: {difference}", source.major());
        }
    };
    same("restored", &|target| drop(sink.on(target, &["restore", "latest"]).ok()));
    same("fed to psql", &|target| drop(target.feed("postgres", &[], &dump).expect("psql takes it")));
    let bin = source.bin_dir().to_string_lossy().into_owned();
    sink.offline(&["prove", "latest", "--pg-bin", &bin]).ok();
}

/// What `sql`, which is UTF-8, prints.
fn utf8(server: &Server, database: &str, sql: &str) -> Result<String, String> {
    server.try_psql(database, &format!("SET client_encoding = 'UTF8'; {sql}"))
}

#[test]
fn characters_that_utf8_does_not_have() {
    for server in Major::ALL.into_iter().filter_map(Server::start) {
        server.psql("postgres", "CREATE DATABASE windows ENCODING 'WIN1252' TEMPLATE template0");
        utf8(&server, "windows", "CREATE TABLE \"größe\" AS SELECT E'a\\x81b\\\\' AS \"für\", '€'::text AS euro")
            .expect("made");
        server.psql("postgres", "CREATE DATABASE japan ENCODING 'EUC_JP' TEMPLATE template0");
        utf8(&server, "japan", "CREATE TABLE \"表\" AS SELECT E'\\xa9\\xa1' AS t FROM generate_series(1, 3)").expect("made");
        let refused = utf8(&server, "windows", "SELECT * FROM \"größe\"").expect_err("no such character");
        assert!(refused.contains("has no equivalent"), "{refused}");
        comes_back(&server);
        // A table is found by its name, whatever its rows are in.
        let sink = Sink::new();
        sink.backup(&server, &["--database", "windows"]);
        sink.on(&server, &["restore", "latest", "--database", "windows", "--as", "other", "--table", "größe"]).ok();
        let sql = "SELECT encode(convert_to(\"für\", 'WIN1252'), 'hex'), euro FROM \"größe\"";
        assert_eq!(utf8(&server, "other", sql).expect("read"), "6181625c|€");
    }
}

#[test]
fn bytes_that_are_no_text() {
    for server in Major::ALL.into_iter().filter_map(Server::start) {
        server.psql("postgres", "CREATE DATABASE bytes ENCODING 'SQL_ASCII' TEMPLATE template0");
        server.psql(
            "bytes",
            r"CREATE TABLE t AS SELECT E'\xff\xfe'::text AS a; COMMENT ON TABLE t IS E'a\xe4o';
              SELECT lo_from_bytea(5, 'x'); COMMENT ON LARGE OBJECT 5 IS E'\xe4\xf6\'';",
        );
        comes_back(&server);
        // What all databases share is read through one that is UTF-8, and is refused there.
        server.psql("bytes", r"COMMENT ON ROLE postgres IS E'\xff'");
        Sink::new().on(&server, &["backup"]).fails_with_hint(1, &["comments of the cluster"]);
    }
}
