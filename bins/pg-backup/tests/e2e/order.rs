//! What cannot be put in an order is refused before anything is stored.

use backup_tests::{Major, Server};

use crate::program::Sink;

#[test]
fn a_table_that_can_be_made_only_after_the_rows_is_named() {
    for server in Major::ALL.into_iter().filter_map(Server::start) {
        server.psql(
            "postgres",
            "CREATE TABLE t (id int PRIMARY KEY, a text); \
             CREATE MATERIALIZED VIEW grouped AS SELECT id, a FROM t GROUP BY id; \
             CREATE TABLE \"its rows\" (x grouped); INSERT INTO \"its rows\" VALUES (ROW(1, 'x'))",
        );
        let sink = Sink::new();
        sink.on(&server, &["backup"]).fails_with_hint(1, &["the table public.\"its rows\" needs", "types of their own"]);
        // Without rows there is no such order to keep.
        let dump = sink.on(&server, &["dump", "--schema-only", "--database", "postgres"]).ok().out;
        let target = Server::start(server.major()).expect("the programs are there");
        target.feed("postgres", &[], &dump).expect("psql takes it");
        server.psql("postgres", "DROP TABLE \"its rows\"");
        sink.backup(&server, &[]);
        sink.on(&target, &["restore", "latest", "--clean"]).ok();
        assert_eq!(target.psql("postgres", "SELECT count(*) FROM pg_class WHERE relname = 'grouped'"), "1");
    }
}
