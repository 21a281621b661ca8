//! A standby is backed up: all of it but what only its primary can read.

use backup_tests::{Major, Server, judge};

use crate::program::Sink;
use crate::shop;

#[test]
fn what_only_the_primary_can_read_is_left_out_and_told() {
    for primary in Major::ALL.into_iter().filter_map(Server::start) {
        shop::fill(&primary);
        let unlogged = "CREATE UNLOGGED TABLE app.cache (id int GENERATED ALWAYS AS IDENTITY, t text); \
                        INSERT INTO app.cache (t) VALUES ('kept by the primary'); CREATE TABLE app.part (id int) PARTITION BY LIST (id); \
                        CREATE UNLOGGED TABLE app.part_1 PARTITION OF app.part FOR VALUES IN (1); INSERT INTO app.part VALUES (1)";
        primary.psql("shop", unlogged);
        if primary.major() > Major::V15 {
            primary.psql("shop", "CREATE UNLOGGED SEQUENCE app.numbers; SELECT nextval('app.numbers')");
        }
        let standby = primary.standby();
        let sink = Sink::new();
        let ran = sink.on(&standby, &["backup"]).ok();
        for word in ["app.cache", "app.part_1", "unlogged", "primary"] {
            assert!(ran.err.contains(word), "nothing of {word}: {}", ran.err);
        }
        let bin = primary.bin_dir().to_string_lossy().into_owned();
        sink.offline(&["prove", "latest", "--pg-bin", &bin]).ok();
        let target = Server::start(primary.major()).expect("the programs are there");
        sink.on(&target, &["restore", "latest"]).ok();
        let definitions = |server: &Server| shop::pg_dump(server, "shop", &["-s"]);
        assert_eq!(judge::difference_of(&definitions(&primary), &definitions(&target)), None);
        assert_eq!(target.psql("shop", "SELECT (SELECT count(*) FROM app.orders), (SELECT count(*) FROM app.cache)"), "2000|0");
        // The primary has them, and so has its backup.
        let sink = Sink::new();
        assert!(!sink.on(&primary, &["backup"]).ok().err.contains("unlogged"));
        sink.on(&target, &["restore", "latest", "--clean"]).ok();
        assert_eq!(target.psql("shop", "SELECT t FROM app.cache"), "kept by the primary");
    }
}
