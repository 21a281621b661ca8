-- Views, materialized views, and the order they need.
CREATE ROLE v_owner;
CREATE DATABASE views;
\connect views
CREATE TABLE t (id int PRIMARY KEY, v text, n int, parent int);
INSERT INTO t SELECT i, 'v' || i, i * 10, nullif(i / 2, 0) FROM generate_series(1, 20) i;
CREATE VIEW z_first AS SELECT * FROM t;
CREATE VIEW a_second AS SELECT id, v FROM z_first WHERE n > 50;
CREATE VIEW renamed (one, "Two ""odd""", three) AS SELECT id, v, n FROM a_second JOIN t USING (id, v);
CREATE VIEW barrier WITH (security_barrier) AS SELECT * FROM t WHERE n < 100;
CREATE VIEW invoker WITH (security_invoker = true, security_barrier = false) AS SELECT * FROM t;
CREATE VIEW checked_local AS SELECT * FROM t WHERE id > 0 WITH LOCAL CHECK OPTION;
CREATE VIEW checked_cascaded WITH (security_barrier) AS SELECT * FROM checked_local WHERE n > 0 WITH CASCADED CHECK OPTION;
CREATE VIEW with_default AS SELECT id, v FROM t;
ALTER VIEW with_default ALTER v SET DEFAULT 'of the view';
CREATE RECURSIVE VIEW tree (id, depth) AS SELECT id, 0 FROM t WHERE parent IS NULL UNION ALL SELECT t.id, tree.depth + 1 FROM t JOIN tree ON t.parent = tree.id;
-- Grouped by a primary key: the view needs the key before it is there.
CREATE VIEW by_key AS SELECT id, v, count(*) AS many, sum(n) OVER w AS running FROM t GROUP BY id WINDOW w AS (PARTITION BY v ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW);
CREATE VIEW on_by_key AS SELECT id, many FROM by_key;
CREATE VIEW lots AS WITH c AS MATERIALIZED (SELECT id FROM t LIMIT 3 OFFSET 1) SELECT t.id, CASE WHEN t.n > 5 THEN 'big' ELSE E'it''s \\ small' END AS size,
    ARRAY(SELECT id FROM c) AS ids, (SELECT max(id) FROM c) AS top, t.v COLLATE "C" AS coll, row_to_json(t.*) AS j, EXISTS (SELECT 1 FROM c WHERE c.id = t.id) AS there,
    grouping_sets.* FROM t, LATERAL (SELECT count(*) FILTER (WHERE x > 2) AS f FROM generate_series(1, t.id) WITH ORDINALITY AS g (x, ord)) AS grouping_sets
    WHERE t.v ~~ 'v%' AND t.id = ANY (ARRAY[1, 2, 3]) ORDER BY t.n DESC NULLS LAST FETCH FIRST 5 ROWS WITH TIES;
CREATE VIEW rollups AS SELECT n % 3 AS a, id % 2 AS b, count(*) FROM t GROUP BY GROUPING SETS ((n % 3), (id % 2), ()), ROLLUP (n % 3);
CREATE VIEW unions AS SELECT id FROM t EXCEPT SELECT parent FROM t UNION (SELECT 1 INTERSECT ALL SELECT 2) ORDER BY 1;
CREATE VIEW no_columns AS SELECT FROM t;
CREATE VIEW of_values AS SELECT a, b FROM (VALUES (1, 'x'::text), (2, NULL)) AS v (a, b);
CREATE VIEW with_collation AS SELECT v COLLATE "POSIX" AS v FROM t;
-- A view that needs a function that needs the view's row type.
CREATE VIEW loop_view AS SELECT 1 AS x, 'a'::text AS y;
CREATE FUNCTION loop_function(loop_view) RETURNS text LANGUAGE sql STABLE AS 'SELECT $1.y';
CREATE OR REPLACE VIEW loop_view AS SELECT 1 AS x, 'a'::text AS y WHERE loop_function(ROW(1, 'b')::loop_view) = 'b';
-- Functions before views before functions.
CREATE FUNCTION set_of_view() RETURNS SETOF a_second LANGUAGE sql STABLE AS 'SELECT * FROM a_second';
CREATE VIEW of_function AS SELECT * FROM set_of_view();
-- Two views that name each other by way of a rule.
CREATE VIEW mutual_a AS SELECT 1 AS i;
CREATE VIEW mutual_b AS SELECT i + 1 AS i FROM mutual_a;
CREATE OR REPLACE VIEW mutual_a AS SELECT id AS i FROM t;
CREATE RULE mutual_insert AS ON INSERT TO mutual_a DO INSTEAD INSERT INTO t (id) SELECT new.i FROM mutual_b LIMIT 1;
-- Materialized views on each other, against the alphabet; one that was never filled; with options.
CREATE MATERIALIZED VIEW z_mat AS SELECT id, n FROM t WHERE id < 15;
CREATE MATERIALIZED VIEW m_mat AS SELECT id, n FROM z_mat WHERE id < 10;
CREATE VIEW between_mats AS SELECT id FROM m_mat;
CREATE MATERIALIZED VIEW a_mat (renamed) AS SELECT id FROM between_mats WITH DATA;
CREATE MATERIALIZED VIEW never_filled AS SELECT * FROM t WITH NO DATA;
CREATE MATERIALIZED VIEW with_options WITH (fillfactor = 33, autovacuum_enabled = false) AS SELECT v, repeat(v, 3) AS w FROM t;
ALTER MATERIALIZED VIEW with_options ALTER w SET STORAGE EXTERNAL, ALTER v SET STATISTICS 50;
CREATE MATERIALIZED VIEW mat_by_key AS SELECT id, v, count(*) FROM t GROUP BY id;
CREATE UNIQUE INDEX ON z_mat (id);
CREATE INDEX ON a_mat (renamed) WHERE renamed > 2;
CREATE INDEX ON never_filled (n);
COMMENT ON VIEW a_second IS 'a view';
COMMENT ON COLUMN a_second.v IS 'of a view';
COMMENT ON MATERIALIZED VIEW z_mat IS 'materialized';
COMMENT ON COLUMN z_mat.n IS 'of a materialized view';
ALTER VIEW barrier OWNER TO v_owner;
ALTER MATERIALIZED VIEW never_filled OWNER TO v_owner;
GRANT SELECT (id), UPDATE (v) ON a_second TO v_owner;
GRANT SELECT ON z_mat TO PUBLIC;
