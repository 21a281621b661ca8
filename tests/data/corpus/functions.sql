-- Functions, procedures, aggregates: every language, option and kind of argument.
CREATE ROLE f_owner;
CREATE ROLE f_caller;
CREATE DATABASE functions;
\connect functions
CREATE TABLE t (id int PRIMARY KEY, v text);
INSERT INTO t VALUES (1, 'one'), (2, 'two');
CREATE FUNCTION plain() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION arguments(a int, IN b text DEFAULT 'it''s', VARIADIC c numeric[] DEFAULT '{}') RETURNS text LANGUAGE sql AS $$SELECT $2$$;
CREATE FUNCTION unnamed(int, text, "Odd ""type"" arg" int) RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION outs(OUT a int, INOUT b text, OUT "C c" int[]) LANGUAGE sql AS $$SELECT 1, $1, ARRAY[1]$$;
CREATE FUNCTION rows_of_t() RETURNS SETOF t LANGUAGE sql ROWS 7 COST 33 STABLE AS 'SELECT * FROM t';
CREATE FUNCTION a_table(lim int) RETURNS TABLE (id int, "V v" text) LANGUAGE sql AS $$SELECT id, v FROM t LIMIT $1$$;
CREATE FUNCTION polymorphic(anycompatible, anycompatiblearray) RETURNS anycompatible LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION options(int) RETURNS int LANGUAGE sql IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE SECURITY DEFINER COST 5
    SET search_path = public, "Odd ""schema""", pg_temp SET work_mem = '5MB' SET "my.setting" TO 'it''s' SET datestyle TO iso, mdy AS 'SELECT $1';
CREATE FUNCTION restricted() RETURNS int LANGUAGE plpgsql STABLE PARALLEL RESTRICTED CALLED ON NULL INPUT SECURITY INVOKER AS $body$
BEGIN
    RETURN 1; -- a comment with $$ and $function$ and 'quotes' and \backslashes
END
$body$;
CREATE FUNCTION quoted() RETURNS text LANGUAGE plpgsql AS $outer$BEGIN RETURN $_$ $$ $function$ $body$ $_$ || E'\\' || '
COPY t FROM stdin;
\.
'; END$outer$;
CREATE FUNCTION atomic(a int DEFAULT 3) RETURNS SETOF text LANGUAGE sql BEGIN ATOMIC
    SELECT v FROM t WHERE id = a;
    SELECT 'last ' || v FROM t ORDER BY id;
END;
CREATE FUNCTION returns_expression(a int) RETURNS int LANGUAGE sql IMMUTABLE RETURN a + (SELECT count(*) FROM t)::int;
CREATE FUNCTION calls_atomic() RETURNS bigint LANGUAGE sql RETURN (SELECT count(*) FROM atomic(1));
CREATE FUNCTION windowed() RETURNS bigint LANGUAGE internal WINDOW IMMUTABLE AS 'window_row_number';
CREATE FUNCTION in_c(text) RETURNS text LANGUAGE c IMMUTABLE STRICT AS '$libdir/citext', 'citext_eq';
CREATE FUNCTION support_int(internal) RETURNS internal LANGUAGE internal IMMUTABLE STRICT AS 'generate_series_int4_support';
CREATE FUNCTION supported(int, int) RETURNS SETOF int LANGUAGE internal IMMUTABLE STRICT ROWS 1000 SUPPORT support_int AS 'generate_series_int4';
CREATE FUNCTION "Odd ""function"" 'name'"("Select" int) RETURNS int LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION overloaded(int) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION overloaded(text) RETURNS int LANGUAGE sql AS 'SELECT 2';
CREATE FUNCTION overloaded(int, text) RETURNS int LANGUAGE sql AS 'SELECT 3';
CREATE FUNCTION "ünï"() RETURNS text LANGUAGE sql AS $$SELECT 'ö日本'$$;
CREATE FUNCTION in_trigger() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE FUNCTION body_is_not_checked() RETURNS int LANGUAGE plpgsql AS $$BEGIN RETURN (SELECT count(*) FROM not_there_yet); END$$;
CREATE FUNCTION default_of_default(a int DEFAULT plain(), b timestamptz DEFAULT now(), c text DEFAULT NULL::text) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE PROCEDURE proc(INOUT a int, b text DEFAULT 'x') LANGUAGE plpgsql AS $$BEGIN a := a + 1; COMMIT; END$$;
CREATE PROCEDURE proc_out(OUT a int, b int) LANGUAGE sql AS 'SELECT $1';
CREATE PROCEDURE proc_atomic(n int) LANGUAGE sql BEGIN ATOMIC
    INSERT INTO t VALUES (n, 'inserted') ON CONFLICT (id) DO UPDATE SET v = excluded.v;
    DELETE FROM t WHERE id = n;
END;
CREATE PROCEDURE proc_definer() LANGUAGE sql SECURITY DEFINER SET search_path TO '' AS 'SELECT 1';
-- Functions in a table's default, check and index, and on its row type.
CREATE FUNCTION of_row(t) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1.v';
ALTER FUNCTION "Odd ""function"" 'name'"(int) IMMUTABLE;
CREATE FUNCTION positive(int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 > 0';
CREATE TABLE uses (a int DEFAULT plain(), b int CHECK (positive(b)), c text GENERATED ALWAYS AS ("Odd ""function"" 'name'"(b)::text) STORED);
INSERT INTO uses (b) VALUES (1), (2);
-- Aggregates.
CREATE FUNCTION add_to(bigint, int) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS 'SELECT $1 + $2';
CREATE FUNCTION take_from(bigint, int) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS 'SELECT $1 - $2';
CREATE FUNCTION sum_of(bigint, bigint) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS 'SELECT $1 + $2';
--bigint, bigint) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS 'SELECT $1 + $2';
CREATE FUNCTION finish(bigint) RETURNS text LANGUAGE sql IMMUTABLE AS $$SELECT 'sum ' || $1$$;
CREATE AGGREGATE simple(int) (SFUNC = add_to, STYPE = bigint, INITCOND = '0');
CREATE AGGREGATE full_options(int) (SFUNC = add_to, STYPE = bigint, SSPACE = 100, FINALFUNC = finish, FINALFUNC_MODIFY = SHAREABLE, COMBINEFUNC = sum_of, INITCOND = '0',
    MSFUNC = add_to, MINVFUNC = take_from, MSTYPE = bigint, MSSPACE = 200, MFINALFUNC = finish, MFINALFUNC_MODIFY = READ_WRITE, MINITCOND = '0', PARALLEL = SAFE);
CREATE FUNCTION finish_extra(bigint, int) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE AGGREGATE final_extra(a int) (SFUNC = add_to, STYPE = bigint, FINALFUNC = finish_extra, FINALFUNC_EXTRA, INITCOND = '5', PARALLEL = RESTRICTED);
CREATE AGGREGATE largest(int) (SFUNC = int4larger, STYPE = int, SORTOP = >);
CREATE AGGREGATE no_arguments(*) (SFUNC = int8inc, STYPE = int8, INITCOND = '0');
CREATE AGGREGATE my_percentile(float8 ORDER BY anyelement) (SFUNC = ordered_set_transition, STYPE = internal, FINALFUNC = percentile_disc_final, FINALFUNC_EXTRA, FINALFUNC_MODIFY = SHAREABLE);
CREATE AGGREGATE my_rank(VARIADIC "any" ORDER BY VARIADIC "any") (SFUNC = ordered_set_transition_multi, STYPE = internal, FINALFUNC = rank_final, FINALFUNC_EXTRA, HYPOTHETICAL);
CREATE AGGREGATE serialised(numeric) (SFUNC = numeric_avg_accum, STYPE = internal, FINALFUNC = numeric_avg, COMBINEFUNC = numeric_avg_combine, SERIALFUNC = numeric_avg_serialize, DESERIALFUNC = numeric_avg_deserialize, PARALLEL = SAFE);
CREATE FUNCTION odd_step(text, text, VARIADIC text[]) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $2';
CREATE AGGREGATE "Odd ""agg"""("Arg" text, VARIADIC text[]) (SFUNC = odd_step, STYPE = text);
CREATE VIEW uses_aggregate AS SELECT simple(id) AS s, full_options(id) OVER (ORDER BY id) AS f FROM t GROUP BY id;
COMMENT ON FUNCTION plain() IS 'a function';
COMMENT ON FUNCTION overloaded(int, text) IS 'one of three';
COMMENT ON PROCEDURE proc(int, text) IS 'a procedure';
COMMENT ON AGGREGATE simple(int) IS 'an aggregate';
COMMENT ON AGGREGATE my_percentile(float8 ORDER BY anyelement) IS 'ordered';
COMMENT ON AGGREGATE no_arguments(*) IS 'of rows';
ALTER FUNCTION plain() OWNER TO f_owner;
ALTER PROCEDURE proc(int, text) OWNER TO f_owner;
ALTER AGGREGATE simple(int) OWNER TO f_owner;
REVOKE EXECUTE ON FUNCTION options(int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION options(int), arguments(int, text, numeric[]) TO f_caller WITH GRANT OPTION;
GRANT EXECUTE ON PROCEDURE proc(int, text) TO f_caller;
GRANT EXECUTE ON FUNCTION full_options(int) TO f_caller;
