//! Databases that subscribe to others: a restore takes their place, and takes no changes until it is told to.

use backup_tests::{Major, Server};

use crate::program::Sink;

#[test]
fn a_database_with_subscriptions_is_replaced() {
    for server in Major::ALL.into_iter().filter_map(Server::start) {
        let sink = Sink::new();
        server.psql("postgres", "CREATE DATABASE subscriber");
        server.psql(
            "subscriber",
            "CREATE TABLE t (id int); \
             CREATE SUBSCRIPTION \"with 'slot'\" CONNECTION 'host=nowhere.invalid password=hush' PUBLICATION p \
             WITH (connect = false, slot_name = 'its_slot'); ALTER SUBSCRIPTION \"with 'slot'\" ENABLE; \
             CREATE SUBSCRIPTION without CONNECTION 'password=hush' PUBLICATION p WITH (connect = false, slot_name = NONE); \
             CREATE EXTENSION postgres_fdw; CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw; \
             CREATE USER MAPPING FOR PUBLIC SERVER far OPTIONS (password 'hush')",
        );
        let mut said = vec![sink.on(&server, &["-v", "backup", "--database", "subscriber"]).ok()];
        // Twice: what is replaced the second time is what came back the first time.
        for _ in 0..2 {
            said.push(sink.on(&server, &["-v", "restore", "latest", "--database", "subscriber", "--clean"]).ok());
        }
        said.push(sink.offline(&["show", "latest"]).ok());
        for ran in said {
            assert!(!ran.text().contains("hush") && !ran.err.contains("hush"), "{ran:?}");
        }
        let sql = "SELECT datname, subname, subenabled, subslotname, subconninfo FROM pg_subscription \
                   LEFT JOIN pg_database d ON d.oid = subdbid ORDER BY 2";
        let wanted =
            "subscriber|with 'slot'|f|its_slot|host=nowhere.invalid password=hush\nsubscriber|without|f||password=hush";
        assert_eq!(server.psql("postgres", sql), wanted, "PostgreSQL {}", server.major());
        assert_eq!(server.psql("subscriber", "SELECT umoptions FROM pg_user_mapping"), "{password=hush}");
        let old = "SELECT count(*) FROM pg_database WHERE datname LIKE 'subscriber_%'";
        assert_eq!(server.psql("postgres", old), "0");
    }
}
