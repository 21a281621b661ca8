-- Databases: encodings, providers, owners, rights, settings, limits, templates, and names that need care.
CREATE ROLE d_owner;
CREATE ROLE d_user;
CREATE DATABASE d_plain;
CREATE DATABASE d_owned OWNER d_owner;
CREATE DATABASE d_latin1 TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C';
CREATE DATABASE c_western TEMPLATE template0 ENCODING 'LATIN9' LC_COLLATE 'C' LC_CTYPE 'POSIX';
CREATE DATABASE d_ascii TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C';
CREATE DATABASE d_euc_jp TEMPLATE template0 ENCODING 'EUC_JP' LOCALE 'C';
CREATE DATABASE d_utf8_locale TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C.UTF-8';
CREATE DATABASE d_icu TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'de-AT' LOCALE 'C.UTF-8';
CREATE DATABASE d_limit CONNECTION LIMIT 7;
CREATE DATABASE d_template IS_TEMPLATE true;
CREATE DATABASE d_closed;
CREATE DATABASE "D ""double"" 'single' \back";
CREATE DATABASE "d=equal?&%20/$(echo)`true`;|<>*";
CREATE DATABASE "d_ümläut_日本";
CREATE DATABASE "-d";
CREATE DATABASE "dbname=postgres";
CREATE DATABASE "select";

-- Rights.
REVOKE ALL ON DATABASE d_owned FROM PUBLIC;
GRANT CONNECT ON DATABASE d_owned TO d_user WITH GRANT OPTION;
GRANT CREATE, TEMPORARY ON DATABASE d_plain TO d_user;
REVOKE TEMPORARY ON DATABASE d_plain FROM PUBLIC;
REVOKE ALL ON DATABASE d_limit FROM postgres;
GRANT ALL ON DATABASE "D ""double"" 'single' \back" TO d_user;

-- Settings.
ALTER DATABASE d_plain SET search_path = "$user", public, "odd, name";
ALTER DATABASE d_plain SET work_mem = '9MB';
ALTER DATABASE d_plain SET datestyle = 'SQL, DMY';
ALTER DATABASE d_plain SET intervalstyle = 'iso_8601';
ALTER DATABASE d_plain SET standard_conforming_strings = off;
ALTER DATABASE d_plain SET bytea_output = 'escape';
ALTER DATABASE d_plain SET extra_float_digits = -10;
ALTER DATABASE d_plain SET timezone = 'Asia/Kathmandu';
ALTER DATABASE d_plain SET default_table_access_method = 'heap';
ALTER DATABASE d_plain SET row_security = off;
ALTER DATABASE d_plain SET quote_all_identifiers = on;
ALTER DATABASE d_plain SET statement_timeout = '1h';
ALTER DATABASE d_latin1 SET client_encoding = 'LATIN1';
ALTER DATABASE d_owned SET my.setting = E'two\nlines';
ALTER ROLE d_user IN DATABASE d_plain SET enable_seqscan = off;
ALTER ROLE d_user IN DATABASE "D ""double"" 'single' \back" SET application_name = 'a ''b'' "c"';

COMMENT ON DATABASE d_plain IS 'a database';
COMMENT ON DATABASE "D ""double"" 'single' \back" IS E'it''s\nhere';
COMMENT ON DATABASE postgres IS NULL;
ALTER DATABASE postgres SET work_mem = '5MB';
REVOKE TEMPORARY ON DATABASE postgres FROM PUBLIC;
COMMENT ON DATABASE template1 IS 'what new databases are made of, here';

\connect d_plain
SET standard_conforming_strings = on;
CREATE TABLE t (i interval, ts timestamptz, d date, f float8, b bytea, s text DEFAULT E'back\\slash');
INSERT INTO t VALUES ('1 year 2 mons 3 days 04:05:06.789', '2024-02-29 12:34:56.789+00', '2024-02-29', 0.1::float8 + 0.2,
    '\x00ff5c27', E'back\\slash ''quote''');
CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$SELECT E'a\\b'::text$$;

\connect d_latin1
SET client_encoding = 'UTF8';
CREATE TABLE "täble" ("cölumn" text DEFAULT 'ÄÖÜ');
INSERT INTO "täble" VALUES ('ÄÖÜ äöü ß ÿ ¥'), (DEFAULT);
COMMENT ON TABLE "täble" IS 'Größe';

\connect c_western
SET client_encoding = 'UTF8';
CREATE TABLE t (s text);
INSERT INTO t VALUES ('€ Š š Ž ž Œ œ Ÿ');

\connect d_euc_jp
SET client_encoding = 'UTF8';
CREATE TABLE t (s text);
INSERT INTO t VALUES ('日本語テキスト');

\connect d_ascii
CREATE TABLE t (s text);
INSERT INTO t VALUES (convert_from('\xe9ff80fe', 'SQL_ASCII')), ('plain');
COMMENT ON TABLE t IS E'bytes \xe9\xff that are no text';

\connect d_icu
CREATE TABLE t (s text PRIMARY KEY, c text COLLATE "C", n text COLLATE "und-x-icu");
INSERT INTO t VALUES ('Ä', 'Ä', 'Ä'), ('a', 'a', 'a'), ('Z', 'Z', 'Z');
CREATE INDEX ON t (c COLLATE "de-x-icu");

\connect "d_ümläut_日本"
CREATE TABLE t (x int);
INSERT INTO t VALUES (1);

\connect template1
CREATE TABLE template_t (x int);
INSERT INTO template_t VALUES (42);
DROP TABLE template_t;
CREATE FUNCTION in_template() RETURNS int LANGUAGE sql AS 'SELECT 1';

\connect d_template
CREATE TABLE t (x int);
INSERT INTO t SELECT generate_series(1, 10);

\connect postgres
CREATE DATABASE d_read_only;
\connect d_read_only
CREATE TABLE t (x int PRIMARY KEY);
INSERT INTO t VALUES (1), (2);
ALTER DATABASE d_read_only SET default_transaction_read_only = on;
ALTER DATABASE d_read_only SET default_transaction_isolation = 'serializable';
\connect postgres
ALTER DATABASE d_closed ALLOW_CONNECTIONS false;
