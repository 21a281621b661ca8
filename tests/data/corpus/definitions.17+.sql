-- Definitions as 16 and 17 have them: rules and builtin collations, named NOT NULL of domains, SQL/JSON in bodies.
CREATE DATABASE definitions17;
\connect definitions17
CREATE SCHEMA app;
CREATE COLLATION app.b1 (provider = builtin, locale = 'C.UTF-8');
CREATE COLLATION app.ir (provider = icu, locale = 'und', rules = '&a < ''b''');
CREATE DOMAIN app.nn AS int CONSTRAINT "my nn" NOT NULL CHECK (VALUE > 0);
COMMENT ON CONSTRAINT "my nn" ON DOMAIN app.nn IS 'named';
CREATE DOMAIN app.nn2 AS int NOT NULL;
CREATE FUNCTION app.j(text) RETURNS text LANGUAGE sql RETURN json_value($1::jsonb, '$.a' RETURNING text DEFAULT 'x' ON EMPTY);
