-- Large objects: sizes, holes, owners, rights, comments.
CREATE ROLE l_owner;
CREATE ROLE l_reader;
CREATE DATABASE large_objects;
\connect large_objects
SELECT lo_create(1000);
SELECT lo_from_bytea(1001, '\x00010203ff5c27');
SELECT lo_from_bytea(1002, (SELECT string_agg(sha256(i::text::bytea), '' ORDER BY i) FROM generate_series(1, 40000) i));
SELECT lo_from_bytea(1003, decode(repeat('00', 2048), 'hex'));
SELECT lo_from_bytea(1004, 'x');
SELECT lo_put(1004, 100000, 'after a hole');
SELECT lo_from_bytea(4294967295, 'the last number');
SELECT lo_from_bytea(i::oid, ('many ' || i)::bytea) FROM generate_series(20000, 20200) i;
ALTER LARGE OBJECT 1001 OWNER TO l_owner;
GRANT SELECT ON LARGE OBJECT 1001 TO l_reader;
GRANT SELECT, UPDATE ON LARGE OBJECT 1002 TO l_reader WITH GRANT OPTION;
GRANT SELECT ON LARGE OBJECT 1003 TO PUBLIC;
REVOKE ALL ON LARGE OBJECT 1000 FROM postgres;
COMMENT ON LARGE OBJECT 1001 IS 'it''s large';
CREATE TABLE files (name text PRIMARY KEY, content oid);
INSERT INTO files VALUES ('a', 1001), ('b', 1002);
