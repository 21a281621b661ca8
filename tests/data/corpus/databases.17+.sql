-- Databases as 16 and 17 have them: the builtin provider, and rules of ICU.
CREATE DATABASE e_builtin_c TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C' LOCALE 'C';
CREATE DATABASE e_builtin_utf8 TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'
    LC_COLLATE 'C' LC_CTYPE 'C';
CREATE DATABASE e_icu_rules TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'en' ICU_RULES '&a < g'
    LOCALE 'C';
\connect e_builtin_utf8
CREATE TABLE t (s text PRIMARY KEY);
INSERT INTO t VALUES ('a'), ('É'), ('日');
CREATE INDEX ON t (upper(s));
\connect e_icu_rules
CREATE TABLE t (s text PRIMARY KEY);
INSERT INTO t VALUES ('a'), ('g'), ('b');
