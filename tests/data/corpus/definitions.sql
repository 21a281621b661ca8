-- Types, functions, aggregates, languages and schemas with every option, and what depends on each other in odd ways.
CREATE ROLE td_owner;
CREATE ROLE td_user;
CREATE ROLE "td ""odd"" role";
CREATE DATABASE definitions;
\connect definitions
CREATE SCHEMA app AUTHORIZATION td_owner;
CREATE SCHEMA "Wei""rd
sch ä\";
COMMENT ON SCHEMA "Wei""rd
sch ä\" IS 'it''s \ one
two';
CREATE SCHEMA ext;
-- enums
CREATE TYPE app.mood AS ENUM ('sad', 'it''s', 'ok', '');
ALTER TYPE app.mood ADD VALUE 'early' BEFORE 'sad';
CREATE TYPE app.empty AS ENUM ();
ALTER TYPE app.mood OWNER TO "td ""odd"" role";
COMMENT ON TYPE app.mood IS 'moods';
CREATE TYPE "Wei""rd
sch ä\"."en""um" AS ENUM ('\', 'b"');
-- composites
CREATE TYPE app.comp AS (a int, "B b" text COLLATE "C", c app.mood[], d numeric(10,2), e varchar(7));
ALTER TYPE app.comp DROP ATTRIBUTE d;
ALTER TYPE app.comp ADD ATTRIBUTE z timestamptz(3);
COMMENT ON COLUMN app.comp."B b" IS 'col';
COMMENT ON TYPE app.comp IS 'comp';
CREATE TYPE app.nothing AS ();
CREATE TYPE app.nested AS (x app.comp, y app.comp[]);
-- domains
CREATE DOMAIN app.d1 AS int DEFAULT 5 CONSTRAINT pos CHECK (VALUE > 0) CONSTRAINT "not big" CHECK (VALUE < 100) NOT NULL;
COMMENT ON DOMAIN app.d1 IS 'dom';
COMMENT ON CONSTRAINT "not big" ON DOMAIN app.d1 IS 'cons';
CREATE DOMAIN app.d2 AS text COLLATE "C" DEFAULT 'a''\b';
CREATE DOMAIN app.d3 AS app.d1 CONSTRAINT foo NOT NULL;
CREATE DOMAIN app.d4 AS varchar(10);
ALTER DOMAIN app.d4 ADD CONSTRAINT nv CHECK (VALUE <> 'x') NOT VALID;
COMMENT ON CONSTRAINT nv ON DOMAIN app.d4 IS 'notvalid';
CREATE DOMAIN app.cd AS int;
CREATE FUNCTION app.isok2(app.cd) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'select true';
ALTER DOMAIN app.cd ADD CONSTRAINT calls CHECK (app.isok2(VALUE));
CREATE TYPE app.contains AS (x app.cd);
CREATE DOMAIN app.arr AS app.mood[] CHECK (array_length(VALUE,1) > 1);
ALTER DOMAIN app.arr OWNER TO td_owner;
CREATE DOMAIN app.overcomp AS app.comp;
-- ranges
CREATE TYPE app.frange AS RANGE (subtype = float8, subtype_diff = float8mi);
CREATE TYPE app.trange AS RANGE (subtype = text, collation = "C", subtype_opclass = text_pattern_ops, multirange_type_name = app."multi text");
CREATE TYPE app.canr;
CREATE FUNCTION app.canon(app.canr) RETURNS app.canr LANGUAGE internal IMMUTABLE STRICT AS 'int4range_canonical';
CREATE FUNCTION app.diff(int,int) RETURNS float8 LANGUAGE sql IMMUTABLE AS 'select ($1-$2)::float8';
CREATE TYPE app.canr AS RANGE (subtype = int4, canonical = app.canon, subtype_diff = app.diff);
COMMENT ON TYPE app.canr IS 'range';
CREATE DOMAIN app.rd AS app.frange DEFAULT app.frange(1,2);
CREATE FUNCTION app.usesmulti(app.canr_multirange, app.canr[]) RETURNS int LANGUAGE sql AS 'select 1';
-- base
CREATE TYPE app.base;
CREATE FUNCTION app.base_in(cstring) RETURNS app.base LANGUAGE internal IMMUTABLE STRICT AS 'varcharin';
CREATE FUNCTION app.base_out(app.base) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'varcharout';
CREATE FUNCTION app.base_recv(internal) RETURNS app.base LANGUAGE internal IMMUTABLE STRICT AS 'varcharrecv';
CREATE FUNCTION app.base_send(app.base) RETURNS bytea LANGUAGE internal IMMUTABLE STRICT AS 'varcharsend';
CREATE FUNCTION app.tmin(cstring[]) RETURNS int LANGUAGE internal IMMUTABLE STRICT AS 'varchartypmodin';
CREATE FUNCTION app.tmout(int) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'varchartypmodout';
CREATE TYPE app.base (INPUT = app.base_in, OUTPUT = app.base_out, RECEIVE = app.base_recv, SEND = app.base_send, TYPMOD_IN = app.tmin, TYPMOD_OUT = app.tmout,
 INTERNALLENGTH = VARIABLE, ALIGNMENT = int4, STORAGE = external, CATEGORY = 'S', PREFERRED = false, DEFAULT = 'it''s', DELIMITER = ';', COLLATABLE = true);
COMMENT ON TYPE app.base IS 'base';
CREATE TYPE app.fixed;
CREATE FUNCTION app.fixed_in(cstring) RETURNS app.fixed LANGUAGE internal IMMUTABLE STRICT AS 'int4in';
CREATE FUNCTION app.fixed_out(app.fixed) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'int4out';
CREATE TYPE app.fixed (INPUT = app.fixed_in, OUTPUT = app.fixed_out, LIKE = int4, ELEMENT = int2, CATEGORY = 'x', PREFERRED = true, SUBSCRIPT = raw_array_subscript_handler, ANALYZE = array_typanalyze);
CREATE TYPE app.shell;
ALTER TYPE app.shell OWNER TO td_owner;
COMMENT ON TYPE app.shell IS 'shell';
-- functions
CREATE FUNCTION app.f(a int, b text DEFAULT 'x''y', VARIADIC c int[] DEFAULT '{}') RETURNS TABLE (x int, "Y y" text)
 LANGUAGE plpgsql STABLE STRICT SECURITY DEFINER LEAKPROOF PARALLEL RESTRICTED COST 7 ROWS 33
 SET search_path TO app, "weird, one", pg_temp SET work_mem = '4MB' SET "app.x_y" = 'it''s' SET datestyle TO 'ISO, DMY'
AS $x$ BEGIN RETURN QUERY SELECT 1, $function$a$function$; END $x$;
CREATE FUNCTION app.f() RETURNS int LANGUAGE sql RETURN 1;
CREATE FUNCTION app.f2(a int) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT a + 1; SELECT a + 2; END;
CREATE FUNCTION app.slices(a int[], lo int, hi int) RETURNS int[] LANGUAGE sql RETURN a[lo:hi];
CREATE FUNCTION app."F ""x
\"("A a" int, OUT b int, INOUT c int) LANGUAGE sql SET search_path = '' AS 'select 1, 2';
COMMENT ON FUNCTION app."F ""x
\" IS 'hostile';
CREATE PROCEDURE app.p(INOUT a int, b text, OUT c int) LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN a := 1; c := 2; COMMIT; END $$;
COMMENT ON PROCEDURE app.p IS 'proc';
ALTER PROCEDURE app.p OWNER TO td_owner;
CREATE FUNCTION app.win() RETURNS bigint LANGUAGE internal WINDOW AS 'window_row_number';
CREATE FUNCTION app.trg() RETURNS trigger LANGUAGE plpgsql AS $$ begin return new; end $$;
CREATE FUNCTION app.setof_() RETURNS SETOF app.comp LANGUAGE sql SET search_path = app AS 'select null::app.comp';
CREATE FUNCTION app.sup(int) RETURNS int LANGUAGE sql SUPPORT generate_series_int4_support AS 'select 1';
CREATE FUNCTION "Wei""rd
sch ä\".user(user_ text) RETURNS text LANGUAGE sql AS 'select 1::text';
ALTER FUNCTION "Wei""rd
sch ä\".user(text) OWNER TO "td ""odd"" role";
-- aggregates
CREATE FUNCTION app.sf(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'select $1+$2';
CREATE FUNCTION app.isf(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'select $1-$2';
CREATE FUNCTION app.ff(int) RETURNS int LANGUAGE sql AS 'select $1';
CREATE FUNCTION app.ff2(int, int) RETURNS int LANGUAGE sql AS 'select $1';
CREATE AGGREGATE app.agg1(int) (SFUNC = app.sf, STYPE = int, INITCOND = '0', FINALFUNC = app.ff2, FINALFUNC_EXTRA, FINALFUNC_MODIFY = READ_WRITE, SSPACE = 16, COMBINEFUNC = app.sf, PARALLEL = SAFE,
 MSFUNC = app.sf, MINVFUNC = app.isf, MSTYPE = int, MSSPACE = 12, MFINALFUNC = app.ff, MFINALFUNC_MODIFY = SHAREABLE, MINITCOND = '3', SORTOP = <);
CREATE AGGREGATE app.aggstar(*) (SFUNC = int8inc, STYPE = int8, INITCOND = '0');
CREATE AGGREGATE app.aggv(VARIADIC a int[]) (SFUNC = array_cat, STYPE = int[]);
CREATE AGGREGATE app.ser(internal_arg numeric) (SFUNC = numeric_avg_accum, STYPE = internal, FINALFUNC = numeric_avg, COMBINEFUNC = numeric_avg_combine, SERIALFUNC = numeric_avg_serialize, DESERIALFUNC = numeric_avg_deserialize, PARALLEL = RESTRICTED);
CREATE AGGREGATE app.pct(float8 ORDER BY float8) (SFUNC = ordered_set_transition, STYPE = internal, FINALFUNC = percentile_cont_float8_final, FINALFUNC_MODIFY = SHAREABLE);
CREATE AGGREGATE app.hyp(VARIADIC "any" ORDER BY VARIADIC "any") (SFUNC = ordered_set_transition_multi, STYPE = internal, FINALFUNC = rank_final, FINALFUNC_EXTRA, HYPOTHETICAL);
COMMENT ON AGGREGATE app.pct(float8 ORDER BY float8) IS 'pct';
COMMENT ON AGGREGATE app.aggstar(*) IS 'star';
ALTER AGGREGATE app.hyp(VARIADIC "any" ORDER BY VARIADIC "any") OWNER TO td_owner;
-- language
CREATE FUNCTION app.handler() RETURNS language_handler LANGUAGE c AS '$libdir/plpgsql', 'plpgsql_call_handler';
CREATE FUNCTION app."in line"(internal) RETURNS void LANGUAGE c STRICT AS '$libdir/plpgsql', 'plpgsql_inline_handler';
CREATE FUNCTION app.validator(oid) RETURNS void LANGUAGE c STRICT AS '$libdir/plpgsql', 'plpgsql_validator';
CREATE LANGUAGE mylang HANDLER app.handler INLINE app."in line" VALIDATOR app.validator;
CREATE TRUSTED LANGUAGE "My ""l" HANDLER app.handler;
COMMENT ON LANGUAGE mylang IS 'lang';
ALTER LANGUAGE mylang OWNER TO td_owner;
CREATE FUNCTION app.inmylang() RETURNS int LANGUAGE mylang AS 'begin return 1; end';
-- extensions
CREATE EXTENSION citext SCHEMA ext;
CREATE EXTENSION hstore;
COMMENT ON EXTENSION citext IS 'changed';
CREATE DOMAIN app.ci AS ext.citext;
CREATE DOMAIN app.cia AS ext.citext[];
COMMENT ON SCHEMA public IS 'mine';
ALTER SCHEMA public OWNER TO td_owner;
GRANT CREATE ON SCHEMA public TO td_user;
REVOKE USAGE ON SCHEMA public FROM PUBLIC;
-- privileges
GRANT USAGE ON TYPE app.mood TO td_user; REVOKE ALL ON TYPE app.mood FROM PUBLIC;
REVOKE ALL ON TYPE app.d1 FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.f2 TO td_user WITH GRANT OPTION; REVOKE ALL ON FUNCTION app.f2 FROM PUBLIC;
REVOKE ALL ON PROCEDURE app.p FROM PUBLIC;
REVOKE ALL ON FUNCTION app.pct(float8, float8) FROM PUBLIC;
GRANT ALL ON FUNCTION app.aggstar() TO td_user;
GRANT EXECUTE ON FUNCTION pg_ls_dir(text) TO td_user;
REVOKE EXECUTE ON FUNCTION pg_sleep(float8) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION ext.citext_cmp(ext.citext, ext.citext) FROM PUBLIC;
REVOKE USAGE ON TYPE ext.citext FROM PUBLIC;
REVOKE USAGE ON TYPE int8 FROM PUBLIC;
REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC; GRANT USAGE ON LANGUAGE plpgsql TO td_user;
GRANT USAGE ON LANGUAGE "My ""l" TO td_user;
GRANT CREATE ON SCHEMA pg_catalog TO td_user;
GRANT USAGE ON SCHEMA app TO td_user; GRANT CREATE ON SCHEMA app TO td_user WITH GRANT OPTION;
\connect postgres
CREATE DATABASE odd_definitions;
\connect odd_definitions
CREATE SCHEMA more;
CREATE EXTENSION pg_stat_statements SCHEMA more; 
GRANT EXECUTE ON FUNCTION more.pg_stat_statements_reset TO td_owner;
CREATE EXTENSION cube; CREATE EXTENSION earthdistance; CREATE EXTENSION "uuid-ossp" SCHEMA more; CREATE EXTENSION btree_gist; CREATE EXTENSION pg_trgm; CREATE EXTENSION ltree; CREATE EXTENSION intarray; CREATE EXTENSION dict_int; CREATE EXTENSION unaccent;
CREATE TYPE more.usescube AS (a cube, b cube[], c gbtreekey4);
CREATE DOMAIN more.dom AS cube CHECK (cube_dim(VALUE) > 1);
CREATE DOMAIN more.dseq AS bigint;
CREATE DOMAIN more.d_arr AS more.dom[];
CREATE FUNCTION more.chk(int) RETURNS bool LANGUAGE plpgsql AS $$begin return true; end$$;
CREATE DOMAIN more.dnv AS int; ALTER DOMAIN more.dnv ADD CONSTRAINT nv CHECK (VALUE > 10) NOT VALID;
CREATE DOMAIN more.base AS int CONSTRAINT cc CHECK (more.chk(VALUE));
COMMENT ON CONSTRAINT cc ON DOMAIN more.base IS 'calls';
CREATE DOMAIN more.over AS more.base CONSTRAINT c2 CHECK (VALUE < 100);
CREATE TYPE more.comp AS (v more.over);
CREATE TABLE more.t (a more.dnv, b more.comp, c more.base);
-- a range over a user type with user opclass, and functions over it
CREATE TYPE more.k AS (i int);
CREATE FUNCTION more.kcmp(more.k, more.k) RETURNS int LANGUAGE sql IMMUTABLE AS 'select ($1.i - $2.i)';
CREATE FUNCTION more.klt(more.k, more.k) RETURNS bool LANGUAGE sql IMMUTABLE AS 'select $1.i < $2.i';
CREATE OPERATOR more.<<< (FUNCTION = more.klt, LEFTARG = more.k, RIGHTARG = more.k);
CREATE OPERATOR CLASS more.kops FOR TYPE more.k USING btree AS OPERATOR 1 more.<<<, FUNCTION 1 more.kcmp(more.k, more.k);
CREATE TYPE more.kr AS RANGE (subtype = more.k, subtype_opclass = more.kops);
CREATE FUNCTION more.krf(more.kr) RETURNS more.kr[] LANGUAGE sql AS 'select array[$1]';
CREATE FUNCTION more.mkkr() RETURNS more.kr LANGUAGE sql BEGIN ATOMIC SELECT more.kr(ROW(1)::more.k, ROW(2)::more.k); END;
CREATE AGGREGATE more.a2(more.kr) (SFUNC = array_append, STYPE = more.kr[], INITCOND = '{}');
CREATE FUNCTION more.useagg() RETURNS more.kr[] LANGUAGE sql BEGIN ATOMIC SELECT more.a2(NULL::more.kr); END;
CREATE FUNCTION more.dflt(x more.kr DEFAULT more.mkkr()) RETURNS int LANGUAGE sql AS 'select 1';
-- aggregate with sortop of a user operator
CREATE FUNCTION more.kmin(more.k, more.k) RETURNS more.k LANGUAGE sql AS 'select $1';
CREATE AGGREGATE more.kminagg(more.k) (SFUNC = more.kmin, STYPE = more.k, SORTOP = OPERATOR(more.<<<));
-- functions over tables and views, and tables over them
CREATE FUNCTION more.rowf(more.t) RETURNS text LANGUAGE sql RETURN ($1).a::text;
CREATE FUNCTION more.trows() RETURNS SETOF more.t LANGUAGE sql BEGIN ATOMIC SELECT * FROM more.t; END;
DROP DOMAIN more.dseq;
CREATE TYPE more.tcomp AS (x more.t, y more.t[]);
CREATE FUNCTION more."$1"() RETURNS text LANGUAGE sql AS $q$ select '$function$ $functionx$' || $a$b$a$ $q$;
CREATE FUNCTION more.bs() RETURNS text LANGUAGE sql AS E'select E\'\\\\n\' ';
