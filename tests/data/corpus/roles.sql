-- Roles: every attribute, memberships, settings, password hashes, comments, and names that need care.
CREATE ROLE r_plain;
CREATE ROLE r_all SUPERUSER CREATEDB CREATEROLE INHERIT LOGIN REPLICATION BYPASSRLS CONNECTION LIMIT 17
    VALID UNTIL '2039-12-31 23:59:59+00';
CREATE ROLE r_none NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT NOLOGIN NOREPLICATION NOBYPASSRLS CONNECTION LIMIT 0;
CREATE ROLE r_forever LOGIN VALID UNTIL 'infinity';
CREATE ROLE r_expired LOGIN VALID UNTIL '1999-01-01 00:00:00+00' CONNECTION LIMIT -1;

SET password_encryption = 'scram-sha-256';
CREATE ROLE r_scram LOGIN PASSWORD 'scram: it''s \ secret';
SET client_min_messages = error;
SET password_encryption = 'md5';
CREATE ROLE r_md5 LOGIN PASSWORD 'md5 password';
RESET password_encryption;
RESET client_min_messages;
CREATE ROLE r_given_hash LOGIN PASSWORD
    'SCRAM-SHA-256$4096:c2FsdHNhbHRzYWx0c2FsdA==$6dsnZIzLHX3r7zVpsqIlVCyYUgGcGLpIQSN5ApXpbs4=:4bVzHgMDjYYlcHdE5fCdOhvSBF8F+CoFM3e4UZRGzxI=';
CREATE ROLE r_no_password LOGIN PASSWORD NULL;

-- Names.
CREATE ROLE "r Blank Name";
CREATE ROLE "r""double""quote";
CREATE ROLE "r'single'quote" LOGIN PASSWORD 'x';
CREATE ROLE "r\backslash\n";
CREATE ROLE "r_ümläut_日本_🐘";
CREATE ROLE "r;DROP TABLE x;--";
CREATE ROLE "r$dollar$$";
CREATE ROLE "select";
CREATE ROLE "R_UPPER";
CREATE ROLE "r.dot,comma=equal";
CREATE ROLE "r_63_bytes_long_name_that_is_as_long_as_a_name_can_be_in_this_s";

-- Memberships, with chains.
CREATE ROLE r_group;
CREATE ROLE r_subgroup IN ROLE r_group;
CREATE ROLE r_admin ADMIN r_plain;
GRANT r_group TO r_plain WITH ADMIN OPTION;
GRANT r_group TO "r""double""quote", "r'single'quote", "r Blank Name";
GRANT "r_ümläut_日本_🐘" TO r_plain;
GRANT r_subgroup TO r_none;
GRANT pg_read_all_data TO r_plain;
GRANT pg_monitor TO r_group WITH ADMIN OPTION;

-- Settings: of a role, of all roles, lists and words that need quotes.
ALTER ROLE r_plain SET work_mem = '12345kB';
ALTER ROLE r_plain SET search_path = "$user", public, "Schema, with comma", "sch""quote";
ALTER ROLE r_plain SET application_name = E'it''s \\ "quoted"';
ALTER ROLE r_plain SET datestyle = 'German, DMY';
ALTER ROLE r_plain SET temp_tablespaces = '';
ALTER ROLE r_all SET session_preload_libraries = 'auto_explain', 'pg_stat_statements';
ALTER ROLE r_none SET my.custom = 'any thing';
ALTER ROLE "r""double""quote" SET statement_timeout = '1h';
ALTER ROLE "r'single'quote" SET timezone = 'Europe/Berlin';
ALTER ROLE ALL SET lock_timeout = '2h';
ALTER ROLE r_forever IN DATABASE template1 SET geqo = off;

COMMENT ON ROLE r_plain IS 'a role';
COMMENT ON ROLE "r""double""quote" IS E'it''s a role\nwith two lines, a \\ and a " in its comment';
COMMENT ON ROLE "r_ümläut_日本_🐘" IS 'комментарий';
CREATE ROLE "r_new
line" LOGIN;
GRANT r_group TO "r_new
line";
COMMENT ON ROLE "r_new
line" IS 'a name of two lines';
