//! A restored database that is changed afterwards is not what was backed up: whatever was changed is told, and nothing else.

use std::sync::Arc;

use backup_core::{BackupId, Checked, Context, Directory, Name, Options, Plain, Repository, Target, backup};
use backup_pg::restore::{Restore, RestoreOptions};
use backup_pg::{Cluster, ClusterOptions, Config};
use backup_tests::{Major, Server};

const DEFINED: &str = "
CREATE ROLE owner; CREATE ROLE reader;
CREATE SCHEMA app;
CREATE DOMAIN app.amount AS numeric(12, 2) CHECK (VALUE >= 0);
CREATE TABLE app.one (id int PRIMARY KEY, state varchar(9) NOT NULL DEFAULT 'new' CHECK (state IN ('new', 'paid')),
    n app.amount CHECK (n BETWEEN 1 AND 5 AND n <> 3), note text NOT NULL DEFAULT '(::text)');
CREATE TABLE app.two (id int PRIMARY KEY, one int CONSTRAINT refers REFERENCES app.one);
CREATE INDEX by_note ON app.one (lower(note)) WHERE state IN ('new', 'old');
CREATE VIEW app.seen AS SELECT * FROM app.one WHERE state IN ('q', 'r') AND (n BETWEEN 1 AND 2) AND note LIKE '%a%';
CREATE FUNCTION app.f(int) RETURNS int LANGUAGE sql AS 'SELECT (1)';
CREATE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER touch BEFORE UPDATE ON app.one FOR EACH ROW EXECUTE FUNCTION app.touch();
CREATE POLICY only_some ON app.one USING (id > 0);
CREATE STATISTICS app.together ON id, note FROM app.one;
CREATE PUBLICATION told FOR TABLE app.one;
GRANT SELECT ON app.one TO reader; GRANT USAGE ON SCHEMA app TO reader;
REVOKE SELECT ON information_schema.tables FROM PUBLIC;
COMMENT ON TABLE app.two IS 'the second';
INSERT INTO app.one VALUES (1, 'paid', 2);";

/// What is done to the restored database, what undoes it, and words of the one difference.
const CHANGES: &[(&str, &str, &str)] = &[
    ("REVOKE SELECT ON app.one FROM reader", "GRANT SELECT ON app.one TO reader", "GRANT SELECT ON TABLE app.one TO reader"),
    (
        "GRANT SELECT ON information_schema.tables TO PUBLIC",
        "REVOKE SELECT ON information_schema.tables FROM PUBLIC",
        "privileges on information_schema.tables",
    ),
    ("GRANT INSERT ON app.one TO reader", "REVOKE INSERT ON app.one FROM reader", "privileges on app.one"),
    ("REVOKE ALL ON SCHEMA app FROM reader", "GRANT USAGE ON SCHEMA app TO reader", "privileges on app"),
    ("ALTER TABLE app.two OWNER TO owner", "ALTER TABLE app.two OWNER TO postgres", "definition of relation app.two"),
    (
        "ALTER TABLE app.one ALTER note DROP NOT NULL",
        "ALTER TABLE app.one ALTER note SET NOT NULL",
        "definition of relation app.one",
    ),
    ("COMMENT ON TABLE app.two IS NULL", "COMMENT ON TABLE app.two IS 'the second'", "definition of relation app.two"),
    (
        "CREATE OR REPLACE FUNCTION app.f(int) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE OR REPLACE FUNCTION app.f(int) RETURNS int LANGUAGE sql AS 'SELECT (1)'",
        "definition of function app.f",
    ),
    (
        "CREATE OR REPLACE VIEW app.seen AS SELECT * FROM app.one WHERE state IN ('q', 's') AND (n BETWEEN 1 AND 2) AND note LIKE '%a%'",
        "CREATE OR REPLACE VIEW app.seen AS SELECT * FROM app.one WHERE state IN ('q', 'r') AND (n BETWEEN 1 AND 2) AND note LIKE '%a%'",
        "definition of relation app.seen",
    ),
    ("ALTER TABLE app.one DISABLE TRIGGER touch", "ALTER TABLE app.one ENABLE TRIGGER touch", "definition of trigger app.one"),
    (
        "ALTER TABLE app.two DROP CONSTRAINT refers, ADD CONSTRAINT refers FOREIGN KEY (one) REFERENCES app.one ON DELETE CASCADE",
        "ALTER TABLE app.two DROP CONSTRAINT refers, ADD CONSTRAINT refers FOREIGN KEY (one) REFERENCES app.one",
        "definition of foreign-key app.two",
    ),
    (
        "DROP INDEX app.by_note; CREATE INDEX by_note ON app.one (upper(note)) WHERE state IN ('new', 'old')",
        "DROP INDEX app.by_note; CREATE INDEX by_note ON app.one (lower(note)) WHERE state IN ('new', 'old')",
        "CREATE INDEX by_note",
    ),
    (
        "ALTER POLICY only_some ON app.one USING (id > 1)",
        "ALTER POLICY only_some ON app.one USING (id > 0)",
        "definition of policy",
    ),
    (
        "ALTER STATISTICS app.together SET STATISTICS 5",
        "ALTER STATISTICS app.together SET STATISTICS -1",
        "definition of statistics",
    ),
    (
        "ALTER PUBLICATION told SET (publish = 'insert')",
        "ALTER PUBLICATION told SET (publish = 'insert, update, delete, truncate')",
        "definition of publication told",
    ),
    ("UPDATE app.one SET n = 1", "UPDATE app.one SET n = 2", "table app.one"),
];

fn config(server: &Server) -> Config {
    Config::parse(&server.url()).expect("a URL")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_change_is_told() {
    for major in Major::ALL {
        let (Some(source), Some(target)) = (Server::start(major), Server::start(major)) else { return };
        source.psql("postgres", "CREATE DATABASE shop");
        source.psql("shop", DEFINED);
        let folder = tempfile::tempdir().expect("a folder");
        let (cx, repo, job) =
            (Context::default(), Plain::new(Arc::new(Directory::new(folder.path())), "test"), "pg".parse::<Name>());
        let job = job.expect("a name");
        let cluster = Cluster { config: config(&source), options: ClusterOptions::default() };
        let taken = Box::pin(backup(&cx, &repo, &job, cluster.sources(&cx), Options::default()));
        let id: BackupId = taken.await.expect("a backup").id;
        let stored = repo.open(&job, id).await.expect("it is there");
        let restore = Restore { config: config(&target), options: RestoreOptions::default() };
        restore.restore(&cx, &*stored).await.expect("restored");
        let told = async || -> Vec<String> {
            let checked: Checked = restore.compare(&cx, &*stored).await.expect("compared");
            assert!(checked.counts.get("definitions").is_some_and(|count| *count > 15), "{checked:?}");
            checked.differences.iter().map(|difference| format!("{difference:?}")).collect()
        };
        assert_eq!(told().await, [""; 0], "PostgreSQL {major}");
        for (change, undo, words) in CHANGES {
            target.psql("shop", change);
            let told = told().await;
            assert!(matches!(told.as_slice(), [one] if one.contains(words)), "PostgreSQL {major}, {change}: {told:#?}");
            target.psql("shop", undo);
        }
        assert_eq!(told().await, [""; 0], "PostgreSQL {major}, undone");
    }
}
