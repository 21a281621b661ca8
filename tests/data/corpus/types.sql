-- Enums, domains, composites, ranges: alone, of each other, and in tables.
CREATE ROLE ty_owner;
CREATE DATABASE types;
\connect types
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy', 'it''s "odd" \', 'ünï');
ALTER TYPE mood ADD VALUE 'between' BEFORE 'ok';
ALTER TYPE mood ADD VALUE 'also between' AFTER 'sad';
ALTER TYPE mood RENAME VALUE 'happy' TO 'glad';
CREATE TYPE empty_enum AS ENUM ();
CREATE TYPE "Odd ""type"" 'name'" AS ENUM ('a');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN named AS text COLLATE "C" DEFAULT 'it''s' NOT NULL CONSTRAINT short CHECK (length(VALUE) < 20) CONSTRAINT "odd ""check""" CHECK (VALUE !~ '^\s');
CREATE DOMAIN over_domain AS positive DEFAULT 5 CHECK (VALUE < 1000);
CREATE DOMAIN with_modifier AS numeric(10, 3);
CREATE DOMAIN of_array AS int[] CHECK (array_length(VALUE, 1) < 10);
CREATE DOMAIN of_enum AS mood DEFAULT 'ok' CHECK (VALUE <> 'sad');
CREATE FUNCTION is_even(int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 % 2 = 0';
CREATE DOMAIN even AS int CHECK (is_even(VALUE));
CREATE FUNCTION takes_domain(even) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
CREATE TYPE pair AS (a int, b text COLLATE "C", "Odd ""attribute""" numeric(5, 2), e mood, d named, gone int, arr int[]);
ALTER TYPE pair DROP ATTRIBUTE gone;
CREATE TYPE nested AS (p pair, ps pair[], r int4range);
CREATE TYPE empty_composite AS ();
CREATE DOMAIN of_composite AS pair CHECK ((VALUE).a > 0);
CREATE TYPE float_range AS RANGE (SUBTYPE = float8, SUBTYPE_DIFF = float8mi);
CREATE TYPE text_range AS RANGE (SUBTYPE = text, COLLATION = "C", SUBTYPE_OPCLASS = text_pattern_ops, MULTIRANGE_TYPE_NAME = many_text_ranges);
CREATE FUNCTION time_diff(time, time) RETURNS float8 LANGUAGE sql IMMUTABLE STRICT AS 'SELECT EXTRACT(EPOCH FROM ($1 - $2))::float8';
CREATE TYPE time_range AS RANGE (SUBTYPE = time, SUBTYPE_DIFF = time_diff);
CREATE TYPE enum_range AS RANGE (SUBTYPE = mood);
CREATE DOMAIN of_range AS float_range CHECK (NOT isempty(VALUE));
CREATE TABLE t (m mood, ms mood[], o "Odd ""type"" 'name'", p positive, n named, od over_domain, w with_modifier, oa of_array, oe of_enum, ev even, pr pair, ne nested, oc of_composite,
    fr float_range, fm float_multirange, tr text_range, tm many_text_ranges, ti time_range, er enum_range, og of_range, prs pair[], ods over_domain[]);
INSERT INTO t VALUES ('also between', '{sad,glad,NULL}', 'a', 1, 'name', 999, 1.2345, '{1,2,3}', 'glad', 4, ROW(1, 'b', 3.14, 'ok', 'd', '{1,NULL}'),
    ROW(ROW(1, 'x,"y', 2, NULL, 'd', NULL), ARRAY[ROW(2, '(\)', 3, 'sad', 'd', '{}')::pair], '[1,5)'), ROW(5, 'c', 1, 'ok', 'd', '{}'), '[1.5,2.5]', '{[1,2),(3,4]}', '["a","b,c")',
    '{["a","b"),["x",)}', '[10:00,11:00)', '[sad,ok]', '[0,1)', ARRAY[ROW(9, NULL, NULL, NULL, 'd', NULL)::pair], '{5,6}');
INSERT INTO t (n) VALUES (E'tab\there');
CREATE TABLE typed OF pair (a WITH OPTIONS PRIMARY KEY);
INSERT INTO typed VALUES (1, 'b', 2.5, 'ok', 'd', '{7}');
ALTER DOMAIN positive ADD CONSTRAINT not_yet CHECK (VALUE < 5) NOT VALID;
CREATE TABLE whole_row (t t, p typed);
CREATE SCHEMA other;
CREATE TYPE other.mood AS ENUM ('other');
CREATE TABLE other.t (m other.mood DEFAULT 'other', pm public.mood DEFAULT 'ok');
INSERT INTO other.t DEFAULT VALUES;
COMMENT ON TYPE mood IS 'an enum';
COMMENT ON TYPE pair IS 'a composite';
COMMENT ON COLUMN pair.a IS 'of a composite';
COMMENT ON DOMAIN positive IS 'a domain';
COMMENT ON CONSTRAINT short ON DOMAIN named IS 'a domain''s constraint';
COMMENT ON TYPE float_range IS 'a range';
ALTER TYPE mood OWNER TO ty_owner;
ALTER TYPE pair OWNER TO ty_owner;
ALTER DOMAIN positive OWNER TO ty_owner;
ALTER TYPE time_range OWNER TO ty_owner;
REVOKE USAGE ON TYPE mood FROM PUBLIC;
GRANT USAGE ON TYPE mood TO ty_owner WITH GRANT OPTION;
GRANT USAGE ON DOMAIN positive TO ty_owner;
REVOKE ALL ON TYPE float_range FROM PUBLIC;
