-- Tables of configuration: one wholly the user's, one with a condition, a sequence, and members with rights.
CREATE TABLE settings (name text PRIMARY KEY, value text);
CREATE TABLE rules (id serial PRIMARY KEY, name text REFERENCES settings, builtin boolean NOT NULL DEFAULT false);
INSERT INTO rules (id, name, builtin) VALUES (1, NULL, true), (2, NULL, true);
SELECT pg_catalog.setval('rules_id_seq', 100);
CREATE TABLE not_configuration (id int);
CREATE FUNCTION answer() RETURNS int LANGUAGE sql IMMUTABLE RETURN 42;
CREATE VIEW effective AS SELECT s.name, s.value, r.builtin FROM settings s LEFT JOIN rules r USING (name);
GRANT SELECT ON effective TO PUBLIC;
REVOKE EXECUTE ON FUNCTION answer() FROM PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('settings', '');
SELECT pg_catalog.pg_extension_config_dump('rules', 'WHERE NOT builtin');
SELECT pg_catalog.pg_extension_config_dump('rules_id_seq', '');
