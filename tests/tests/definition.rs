//! The definition of a database, played into another, makes the same: also where the real pg_dump does not.

use std::fmt::Debug;

use backup_tests::{Major, Server, judge};

/// Reads the definition of `database`.
fn definition(server: &Server, database: &str) -> backup_core::Result<backup_pg::Definition> {
    definition_as(server, "postgres", database)
}

/// The same as another role.
fn definition_as(server: &Server, role: &str, database: &str) -> backup_core::Result<backup_pg::Definition> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let url = format!("postgres://{role}@127.0.0.1:{}/{database}", server.port());
        let (mut client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.expect("the server answers");
        tokio::spawn(connection);
        backup_pg::definition(&mut client).await
    })
}

/// Fills a database with `sql`, recreates it elsewhere from its definition, and returns what the real pg_dump finds different
/// and what `query` answers in the copy.
fn copied(server: &Server, sql: &str, query: &str) -> (Option<String>, String) {
    for database in ["source", "copy"] {
        server.psql("postgres", &format!("DROP DATABASE IF EXISTS {database}"));
        server.psql("postgres", &format!("CREATE DATABASE {database} TEMPLATE template0"));
    }
    server.psql("source", sql);
    let definition = definition(server, "source").expect("a definition");
    let header = backup_pg::header(backup_pg::Version(server.major().number() * 10_000), "UTF8");
    server.psql("copy", &format!("{header}{}{}", definition.pre, definition.post));
    let dump = |database: &str| server.command("pg_dump").args(["-s", database]).output().expect("pg_dump runs").stdout;
    (judge::difference_of(&dump("source"), &dump("copy")), server.psql("copy", query))
}

fn same<T: Debug + PartialEq>(server: &Server, sql: &str, found: T, wanted: T) {
    assert_eq!(found, wanted, "PostgreSQL {}: {sql}", server.major());
}

fn on_every_version(test: impl Fn(&Server)) {
    Major::ALL.into_iter().filter_map(Server::start).for_each(|server| test(&server));
}

#[test]
fn the_schema_public_in_all_its_states() {
    let state =
        "SELECT nspowner::regrole, nspacl, obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = 'public'";
    on_every_version(|server| {
        server.psql("postgres", "CREATE ROLE \"an owner\"");
        for (sql, wanted) in [
            ("", "pg_database_owner|{pg_database_owner=UC/pg_database_owner,=U/pg_database_owner}|standard public schema"),
            ("DROP SCHEMA public", ""),
            ("DROP SCHEMA public; CREATE SCHEMA public", "postgres||"),
            (
                "DROP SCHEMA public; CREATE SCHEMA public; GRANT USAGE ON SCHEMA public TO PUBLIC",
                "postgres|{postgres=UC/postgres,=U/postgres}|",
            ),
            (
                "COMMENT ON SCHEMA public IS NULL",
                "pg_database_owner|{pg_database_owner=UC/pg_database_owner,=U/pg_database_owner}|",
            ),
            (
                "COMMENT ON SCHEMA public IS 'mine'; REVOKE ALL ON SCHEMA public FROM PUBLIC",
                "pg_database_owner|{pg_database_owner=UC/pg_database_owner}|mine",
            ),
            (
                "ALTER SCHEMA public OWNER TO \"an owner\"; GRANT CREATE ON SCHEMA public TO PUBLIC",
                "\"an owner\"|{\"\\\"an owner\\\"=UC/\\\"an owner\\\"\",\"=UC/\\\"an owner\\\"\"}|standard public schema",
            ),
        ] {
            same(server, sql, copied(server, sql, state), (None, wanted.to_owned()));
        }
    });
}

#[test]
fn comments_of_extensions_that_were_changed_or_removed() {
    let state = "SELECT extname, obj_description(oid, 'pg_extension') FROM pg_extension ORDER BY 1";
    on_every_version(|server| {
        for (sql, wanted) in [
            ("DROP EXTENSION plpgsql", ""),
            ("DROP EXTENSION plpgsql; CREATE EXTENSION plpgsql", "plpgsql|PL/pgSQL procedural language"),
            ("COMMENT ON EXTENSION plpgsql IS NULL", "plpgsql|"),
            (
                "CREATE EXTENSION hstore; COMMENT ON EXTENSION hstore IS NULL; CREATE EXTENSION citext; COMMENT ON EXTENSION citext IS 'it''s'",
                "citext|it's\nhstore|\nplpgsql|PL/pgSQL procedural language",
            ),
        ] {
            same(server, sql, copied(server, sql, state), (None, wanted.to_owned()));
        }
    });
}

#[test]
fn the_number_that_a_server_gives_a_column_stays_there() {
    on_every_version(|server| {
        // As servers from 15.20 on have it, also of those that are older.
        let sql = "CREATE TABLE t (a int, b int); CREATE MATERIALIZED VIEW m AS SELECT a, b FROM t; \
                   ALTER TABLE t ALTER a SET (n_distinct = 5, n_distinct_inherited = 6); SET allow_system_table_mods = on; \
                   UPDATE pg_attribute SET attoptions = array_prepend('pg_attver=7', COALESCE(attoptions, '{}')) \
                   WHERE attrelid IN ('t'::regclass, 'm'::regclass) AND attnum > 0";
        let (_, found) =
            copied(server, sql, "SELECT attoptions FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'a'");
        let own = server.psql("source", "SELECT count(*) FROM pg_attribute WHERE 'pg_attver=7' = ANY (attoptions)");
        same(server, sql, own.as_str(), "4");
        same(server, sql, found.ends_with("n_distinct=5,n_distinct_inherited=6}"), true);
        same(server, sql, found.contains("pg_attver=7"), false);
        let definition = definition(server, "source").expect("a definition");
        same(server, sql, definition.pre.contains("pg_attver") || definition.post.contains("pg_attver"), false);
    });
}

#[test]
fn domains_that_need_themselves() {
    let sql = "CREATE DOMAIN d AS int; \
               CREATE FUNCTION fine(d) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true'; \
               CREATE FUNCTION first(d) RETURNS int LANGUAGE sql AS 'SELECT 1'; \
               ALTER DOMAIN d ADD CONSTRAINT checked CHECK (fine(VALUE)); ALTER DOMAIN d SET DEFAULT first(NULL); \
               CREATE DOMAIN inner_d AS int; \
               CREATE FUNCTION also_fine(inner_d) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true'; \
               ALTER DOMAIN inner_d ADD CONSTRAINT checked CHECK (also_fine(VALUE)); \
               CREATE TABLE rows (a inner_d); CREATE TABLE whole_rows (r rows[], d d);";
    let state = "SELECT typname, typdefault IS NOT NULL, conname FROM pg_type t JOIN pg_constraint c ON c.contypid = t.oid \
                 WHERE conname = 'checked' ORDER BY 1";
    on_every_version(|server| {
        let wanted = "d|t|checked\ninner_d|f|checked";
        same(server, sql, copied(server, sql, state), (None, wanted.to_owned()));
    });
}

#[test]
fn a_language_with_the_handler_of_another() {
    let sql =
        "CREATE TRUSTED LANGUAGE \"mine \"\"l\" HANDLER plpgsql_call_handler; GRANT USAGE ON LANGUAGE \"mine \"\"l\" TO PUBLIC";
    let state = "SELECT lanname, lanpltrusted, lanplcallfoid::regproc, laninline FROM pg_language WHERE oid >= 16384";
    on_every_version(|server| {
        let wanted = "mine \"l|t|plpgsql_call_handler|0";
        same(server, sql, copied(server, sql, state), (None, wanted.to_owned()));
    });
}

#[test]
fn an_operator_whose_negator_does_not_know_it() {
    let sql = "CREATE TYPE p AS (x int); \
               CREATE FUNCTION f(p, p) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true'; \
               CREATE OPERATOR ># (FUNCTION = f, LEFTARG = p, RIGHTARG = p, NEGATOR = <#); \
               CREATE OPERATOR <# (FUNCTION = f, LEFTARG = p, RIGHTARG = p)";
    let state = "SELECT oprname, oprnegate <> 0 FROM pg_operator WHERE oid >= 16384 ORDER BY 1";
    on_every_version(|server| same(server, sql, copied(server, sql, state), (None, "<#|f\n>#|t".to_owned())));
}

#[test]
fn subscriptions_are_read_by_those_who_may_and_never_shown() {
    let sql = "CREATE ROLE nobody_special LOGIN; \
               CREATE SUBSCRIPTION \"far 'off'\" CONNECTION 'host=nowhere password=hush' PUBLICATION p WITH (connect = false, slot_name = NONE)";
    on_every_version(|server| {
        server.psql("postgres", sql);
        let text = definition(server, "postgres").expect("a definition").post;
        assert!(text.contains("CONNECTION 'host=nowhere password=hush'"), "{text}");
        let error = definition_as(server, "nobody_special", "postgres").expect_err("no right to read it");
        let text = format!("{error} {error:?}");
        assert!(text.contains("the subscription \"far 'off'\"") && text.contains("superuser"), "{text}");
        assert!(!text.contains("hush"), "{text}");
        // Of another database it is no matter.
        server.psql("postgres", "CREATE DATABASE other");
        definition_as(server, "nobody_special", "other").expect("a definition");
    });
}

#[test]
fn user_mappings_are_read_by_those_who_may() {
    let sql = "CREATE ROLE nobody_special LOGIN; CREATE ROLE \"it's\"; CREATE EXTENSION postgres_fdw; \
               CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw; \
               CREATE USER MAPPING FOR \"it's\" SERVER far OPTIONS (password 'hush')";
    on_every_version(|server| {
        server.psql("postgres", sql);
        let text = definition(server, "postgres").expect("a definition").pre;
        assert!(text.contains("OPTIONS (password 'hush')"), "{text}");
        let error = definition_as(server, "nobody_special", "postgres").expect_err("no right to read it");
        let text = format!("{error} {error:?}");
        assert!(text.contains("the user mapping of \"it's\" on far") && !text.contains("hush"), "{text}");
    });
}

#[test]
fn what_no_reader_knows_is_named() {
    on_every_version(|server| {
        // As a later version could have it: relations of a kind that is none of today's.
        server.psql("postgres", "CREATE TABLE \"odd one\" (id int); CREATE TABLE other (id int)");
        definition(server, "postgres").expect("a definition");
        let sql = "SET allow_system_table_mods = on; UPDATE pg_class SET relkind = 'x' WHERE relname IN ('odd one', 'other')";
        server.psql("postgres", sql);
        let error = definition(server, "postgres").expect_err("what is not covered");
        let text = format!("{error} {error:?}");
        for named in ["\"odd one\", ", "other", "--source pg_dumpall"] {
            assert!(text.contains(named), "{named} in {text}");
        }
        assert!(!text.contains("type"), "named with their tables: {text}");
    });
}

#[test]
fn what_was_dropped_while_it_was_read_is_named() {
    let sql = "CREATE TABLE t (id int PRIMARY KEY, a int, b int REFERENCES t); CREATE INDEX by_a ON t (a); CREATE VIEW seen AS SELECT 1; \
               CREATE STATISTICS known ON a, b FROM t; CREATE RULE ruled AS ON DELETE TO t DO NOTHING; \
               CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; \
               CREATE TRIGGER fired AFTER INSERT ON t EXECUTE FUNCTION f()";
    on_every_version(|server| {
        for (function, named) in [
            ("pg_get_statisticsobjdef(oid)", "statistics public.known"),
            ("pg_get_triggerdef(oid, boolean)", "trigger fired"),
            ("pg_get_ruledef(oid)", "rule ruled on public.t"),
            ("pg_get_viewdef(oid)", "view seen"),
            ("pg_get_indexdef(oid)", "index public.by_a"),
            ("pg_get_functiondef(oid)", "function public.f()"),
            ("pg_get_constraintdef(oid)", "constraint "),
        ] {
            server.psql("postgres", "DROP DATABASE IF EXISTS d");
            server.psql("postgres", "CREATE DATABASE d TEMPLATE template0");
            server.psql("d", sql);
            definition(server, "d").expect("a definition");
            // As the server's functions answer for what is no longer there.
            server.psql(
                "d",
                &format!(
                    "SET allow_system_table_mods = on; ALTER FUNCTION pg_catalog.{function} RENAME TO as_it_was; \
                     CREATE FUNCTION pg_catalog.{function} RETURNS text LANGUAGE plpgsql STABLE AS 'BEGIN RETURN NULL; END'"
                ),
            );
            let error = definition(server, "d").expect_err("half a definition");
            let text = format!("{error} {error:?}");
            assert!(text.contains(named) && text.contains("dropped meanwhile"), "{named}: {text}");
        }
    });
}

#[test]
fn settings_of_the_session_do_not_show() {
    let sql = "CREATE TABLE t (d date) PARTITION BY RANGE (d); \
               CREATE TABLE t_1 PARTITION OF t FOR VALUES FROM ('2026-02-03') TO ('2026-02-04'); \
               CREATE FUNCTION f(interval DEFAULT '1 day 2:00') RETURNS int LANGUAGE sql AS 'SELECT 1'";
    on_every_version(|server| {
        server.psql("postgres", sql);
        let plain = definition(server, "postgres").expect("a definition");
        assert!(plain.pre.contains("'2026-02-03'"), "{}", plain.pre);
        for setting in ["datestyle TO 'SQL, DMY'", "intervalstyle TO 'iso_8601'", "quote_all_identifiers TO on"] {
            server.psql("postgres", &format!("ALTER DATABASE postgres SET {setting}"));
        }
        assert_eq!(definition(server, "postgres").expect("a definition"), plain);
    });
}
