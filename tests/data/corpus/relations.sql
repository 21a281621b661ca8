-- Views, rules, triggers, row security, default privileges, event triggers, and privileges on what is the system's.
CREATE DATABASE relations;
\connect relations
CREATE ROLE "Big ""x"""; CREATE ROLE "V owner"; CREATE ROLE v_b; CREATE ROLE v_c;
CREATE SCHEMA app; CREATE SCHEMA "Odd ""s'chema";
GRANT USAGE ON SCHEMA app, "Odd ""s'chema" TO PUBLIC;
CREATE TABLE app.t (id int PRIMARY KEY, "na""me" text COLLATE "C", n numeric(10,2), tags text[], j jsonb);
CREATE TABLE app.u (id int, t_id int REFERENCES app.t, at timestamptz);
CREATE VIEW app.plain AS SELECT * FROM app.t;
CREATE VIEW app.renamed (a, "B c", "d""e") AS SELECT id, "na""me", n FROM app.t;
ALTER VIEW app.renamed RENAME COLUMN a TO "ä";
CREATE VIEW app.empty AS SELECT;
CREATE VIEW app.barrier WITH (security_barrier, check_option = local) AS SELECT id, n FROM app.t WHERE id > 0;
CREATE VIEW app.cascaded AS SELECT id, n FROM app.barrier WHERE n > 0 WITH CASCADED CHECK OPTION;
CREATE VIEW app.invoker WITH (security_invoker = true, security_barrier = false) AS SELECT 1 AS one;
CREATE VIEW app.grouped AS SELECT t.*, count(u.id) FROM app.t LEFT JOIN app.u ON u.t_id = t.id GROUP BY t.id;
CREATE VIEW app.over_grouped AS SELECT id, count FROM app.grouped;
CREATE VIEW app.vals (x, y) AS SELECT * FROM (VALUES (1, 'a'), (2, 'b')) v (a, b);
CREATE VIEW app.rec AS WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT * FROM r;
CREATE RECURSIVE VIEW app.rec2 (n) AS SELECT 1 UNION ALL SELECT n + 1 FROM rec2 WHERE n < 5;
CREATE VIEW app.collated AS SELECT 'x' COLLATE "POSIX" AS c, id::varchar(7) AS v FROM app.t;
CREATE VIEW app.windowed AS SELECT id, row_number() OVER w, lag(n, 2) OVER (w ROWS 2 PRECEDING) FROM app.t WINDOW w AS (PARTITION BY n ORDER BY id DESC);
-- A loop of a view and a function over its rows.
CREATE VIEW app.looped AS SELECT id, "na""me" FROM app.t;
CREATE FUNCTION app.looped_rows() RETURNS integer LANGUAGE sql AS $$ SELECT max(l.id) FROM app.looped l $$;
CREATE FUNCTION app.looped_row(app.looped) RETURNS integer LANGUAGE sql AS $$ SELECT $1.id $$;
CREATE OR REPLACE VIEW app.looped AS SELECT l.id, l."na""me", app.looped_row(NULL::app.looped) AS again FROM app.t l;
COMMENT ON VIEW app.looped IS 'it''s in a loop';
ALTER VIEW app.plain ALTER COLUMN id SET DEFAULT 7;
ALTER VIEW app.plain ALTER COLUMN "na""me" SET DEFAULT 'x';
COMMENT ON COLUMN app.plain."na""me" IS 'a column''s';
CREATE VIEW "Odd ""s'chema"."View
1" AS SELECT 1 AS "col
""x";
COMMENT ON VIEW "Odd ""s'chema"."View
1" IS 'two
lines \';
ALTER VIEW app.renamed OWNER TO "V owner";
GRANT SELECT, INSERT ON app.renamed TO v_b WITH GRANT OPTION;
GRANT SELECT ("B c"), UPDATE ("ä") ON app.renamed TO v_c;
SET SESSION AUTHORIZATION v_b; GRANT SELECT ON app.renamed TO "Big ""x"""; GRANT SELECT ("ä") ON app.renamed TO PUBLIC; RESET SESSION AUTHORIZATION;
REVOKE DELETE, TRUNCATE ON app.renamed FROM "V owner";

-- Materialized views that need each other, one through a view.
INSERT INTO app.t VALUES (1, 'one', 1.5), (2, 'two', 2.5);
CREATE MATERIALIZED VIEW app.z_first AS SELECT id, "na""me", tags FROM app.t;
CREATE VIEW app.between AS SELECT * FROM app.z_first;
CREATE MATERIALIZED VIEW app.a_second WITH (fillfactor = 70, autovacuum_enabled = off, toast.autovacuum_enabled = off) AS SELECT *, id * 2 AS twice FROM app.between;
CREATE MATERIALIZED VIEW app.unfilled AS SELECT 1 AS one WITH NO DATA;
CREATE MATERIALIZED VIEW app.emptied AS SELECT id FROM app.t;
CREATE MATERIALIZED VIEW app.reads_emptied AS SELECT id FROM app.emptied;
REFRESH MATERIALIZED VIEW app.emptied WITH NO DATA;
CREATE MATERIALIZED VIEW app.keyed AS SELECT t.id, t.n, count(*) FROM app.t GROUP BY t.id;
ALTER MATERIALIZED VIEW app.a_second ALTER COLUMN "na""me" SET STORAGE EXTERNAL;
ALTER MATERIALIZED VIEW app.a_second ALTER COLUMN "na""me" SET COMPRESSION pglz;
ALTER MATERIALIZED VIEW app.a_second ALTER COLUMN twice SET STATISTICS 77;
ALTER MATERIALIZED VIEW app.a_second ALTER COLUMN twice SET (n_distinct = -0.5);
ALTER TABLE app.z_first REPLICA IDENTITY FULL;
COMMENT ON MATERIALIZED VIEW app.a_second IS 'second';
COMMENT ON COLUMN app.a_second.twice IS 'twice';
GRANT SELECT (twice) ON app.a_second TO v_c;
-- Filled with rights that its owner was given.
CREATE TABLE app.given (x int); ALTER TABLE app.given OWNER TO v_c;
GRANT SELECT ON app.given TO v_b;
CREATE MATERIALIZED VIEW app.by_grant AS SELECT x FROM app.given; ALTER MATERIALIZED VIEW app.by_grant OWNER TO v_b;

-- Rules.
CREATE TABLE app.log (what text);
CREATE RULE "on ins""ert" AS ON INSERT TO app.plain DO INSTEAD INSERT INTO app.t (id, "na""me") VALUES (new.id, new."na""me");
CREATE RULE upd AS ON UPDATE TO app.t DO ALSO (INSERT INTO app.log VALUES ('u''pd'); NOTIFY "some thing");
CREATE RULE off AS ON DELETE TO app.t DO INSTEAD NOTHING;
CREATE RULE replica AS ON DELETE TO app.u DO ALSO INSERT INTO app.log VALUES ('del');
CREATE RULE always AS ON INSERT TO app.u DO ALSO INSERT INTO app.log SELECT l.what FROM app.log l;
ALTER TABLE app.t DISABLE RULE off; ALTER TABLE app.u ENABLE REPLICA RULE replica; ALTER TABLE app.u ENABLE ALWAYS RULE always;
COMMENT ON RULE "on ins""ert" ON app.plain IS 'rule';

-- Triggers.
CREATE FUNCTION app.tf() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN new; END $$;
CREATE TRIGGER "before ""x" BEFORE INSERT OR UPDATE OF n, "na""me" ON app.t FOR EACH ROW WHEN (new.id > 3) EXECUTE FUNCTION app.tf('a''b', 2);
CREATE TRIGGER stmt AFTER UPDATE ON app.t REFERENCING OLD TABLE AS o NEW TABLE AS "N" FOR EACH STATEMENT EXECUTE FUNCTION app.tf();
CREATE TRIGGER trunc BEFORE TRUNCATE ON app.t EXECUTE FUNCTION app.tf();
CREATE CONSTRAINT TRIGGER con AFTER INSERT ON app.u FROM app.t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION app.tf();
CREATE TRIGGER instead INSTEAD OF INSERT ON app.renamed FOR EACH ROW EXECUTE FUNCTION app.tf();
ALTER TABLE app.t DISABLE TRIGGER stmt; ALTER TABLE app.t ENABLE ALWAYS TRIGGER trunc; ALTER TABLE app.u ENABLE REPLICA TRIGGER con;
COMMENT ON TRIGGER stmt ON app.t IS 'a trigger';
ALTER TRIGGER trunc ON app.t DEPENDS ON EXTENSION plpgsql;
CREATE TABLE app.part (id int, k int) PARTITION BY LIST (k);
CREATE TABLE app.part1 PARTITION OF app.part FOR VALUES IN (1);
CREATE TABLE app.part2 PARTITION OF app.part FOR VALUES IN (2) PARTITION BY LIST (id);
CREATE TABLE app.part21 PARTITION OF app.part2 FOR VALUES IN (1);
CREATE TABLE app.part22 PARTITION OF app.part2 FOR VALUES IN (2);
CREATE TRIGGER p1 AFTER INSERT ON app.part FOR EACH ROW EXECUTE FUNCTION app.tf();
CREATE TRIGGER p2 AFTER INSERT ON app.part FOR EACH ROW EXECUTE FUNCTION app.tf();
CREATE TRIGGER p3 AFTER INSERT ON app.part FOR EACH ROW EXECUTE FUNCTION app.tf();
CREATE TRIGGER own AFTER INSERT ON app.part21 FOR EACH ROW EXECUTE FUNCTION app.tf();
ALTER TABLE app.part1 DISABLE TRIGGER p1; ALTER TABLE app.part21 ENABLE ALWAYS TRIGGER p1;
ALTER TABLE app.part DISABLE TRIGGER p2; ALTER TABLE app.part22 ENABLE TRIGGER p2;
ALTER TABLE app.part2 ENABLE REPLICA TRIGGER p3;

-- Row security.
CREATE TABLE app.rls (id int, who name);
ALTER TABLE app.rls ENABLE ROW LEVEL SECURITY; ALTER TABLE app.rls FORCE ROW LEVEL SECURITY;
ALTER TABLE app.u FORCE ROW LEVEL SECURITY;
CREATE POLICY "all ""x" ON app.rls USING (true);
CREATE POLICY sel ON app.rls AS RESTRICTIVE FOR SELECT TO v_c, "Big ""x""", v_b USING (who = current_user AND EXISTS (SELECT FROM app.log WHERE what = 'a'));
CREATE POLICY ins ON app.rls FOR INSERT TO v_b WITH CHECK (id > 0);
CREATE POLICY upd ON app.rls FOR UPDATE USING (id > 1) WITH CHECK (id > 2);
CREATE POLICY del ON app.rls FOR DELETE TO PUBLIC USING (id IN (SELECT id FROM app.t));
CREATE POLICY unused ON app.t TO v_b USING (id > 0);
COMMENT ON POLICY sel ON app.rls IS 'policy';

-- Privileges that an extension gave, changed.
CREATE EXTENSION pg_buffercache SCHEMA app;
REVOKE SELECT ON app.pg_buffercache FROM pg_monitor; GRANT SELECT ON app.pg_buffercache TO v_b WITH GRANT OPTION;
GRANT SELECT (bufferid) ON app.pg_buffercache TO v_c; GRANT EXECUTE ON FUNCTION app.pg_buffercache_pages() TO v_c;

-- Default privileges.
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO v_b;
ALTER DEFAULT PRIVILEGES FOR ROLE "V owner" REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE "V owner" REVOKE ALL ON TABLES FROM "V owner";
ALTER DEFAULT PRIVILEGES FOR ROLE v_b IN SCHEMA app GRANT ALL ON SEQUENCES TO v_c WITH GRANT OPTION;
ALTER DEFAULT PRIVILEGES IN SCHEMA "Odd ""s'chema" GRANT EXECUTE ON FUNCTIONS TO "Big ""x""";
ALTER DEFAULT PRIVILEGES GRANT USAGE ON SCHEMAS TO v_b;
ALTER DEFAULT PRIVILEGES GRANT USAGE ON TYPES TO v_c;

-- Event triggers.
CREATE FUNCTION app.ef() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$;
CREATE EVENT TRIGGER "ev ""x" ON ddl_command_end WHEN TAG IN ('CREATE TABLE', 'DROP TABLE') EXECUTE FUNCTION app.ef();
CREATE EVENT TRIGGER ev2 ON sql_drop EXECUTE FUNCTION app.ef();
ALTER EVENT TRIGGER ev2 DISABLE;
CREATE EVENT TRIGGER ev3 ON table_rewrite EXECUTE FUNCTION app.ef(); ALTER EVENT TRIGGER ev3 ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER ev2 IS 'event';

-- Privileges on what is the system's.
GRANT SELECT ON pg_catalog.pg_authid TO v_b; GRANT SELECT (rolname, rolpassword) ON pg_catalog.pg_authid TO v_c WITH GRANT OPTION;
REVOKE SELECT ON pg_catalog.pg_settings FROM PUBLIC; REVOKE SELECT ON information_schema.tables FROM PUBLIC;
GRANT CREATE ON SCHEMA information_schema TO v_b; GRANT USAGE ON SCHEMA pg_catalog TO v_c;
GRANT EXECUTE ON FUNCTION pg_catalog.pg_ls_dir(text) TO v_b; REVOKE EXECUTE ON FUNCTION pg_catalog.now() FROM PUBLIC;
REVOKE USAGE ON TYPE pg_catalog.int4 FROM PUBLIC; REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC; GRANT USAGE ON LANGUAGE sql TO v_c;
