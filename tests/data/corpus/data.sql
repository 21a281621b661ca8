-- Data: every value that text formats stumble over.
CREATE DATABASE data;
\connect data
CREATE TABLE texts (id serial PRIMARY KEY, t text);
INSERT INTO texts (t) VALUES (''), (NULL), (' '), ('\N'), ('\\N'), ('NULL'), ('null'), ('\.'), (E'\\.\n'), (E'\n\\.\n'), (E'a\tb'), (E'a\nb'), (E'a\rb'), (E'a\r\nb'), (E'\b\f\v\x01\x7f'), ('\'), ('\\'), ('\t'), (E'\\\t\\\n'),
    ('"'), (''''), ('$$'), ('$body$'), (';'), ('--'), ('/*'), ('\connect postgres'), (E'\n\\connect postgres\n'), (E'\n--\n-- Database "x" dump\n--\n'), ('COPY texts FROM stdin;'), (E'\\restrict x'), (E'\\unrestrict x'),
    ('ünïcödé 日本語 🐘 עברית'), (E'\u0301combining'), (E'\uFEFFbom'), (E'\u200Bzero width'), (E'\u2028line'), (E'\U0010FFFF'), (' leading'), ('trailing '), (E'trailing\t'), (repeat('x', 10000)), (repeat(E'\\', 1001)), (repeat(E'\n', 1000));
CREATE TABLE bytes (id int, b bytea);
INSERT INTO bytes SELECT i, decode(lpad(to_hex(i), 2, '0'), 'hex') FROM generate_series(0, 255) i;
INSERT INTO bytes VALUES (1000, ''), (1001, NULL), (1002, (SELECT string_agg(sha512(i::text::bytea), '' ORDER BY i) FROM generate_series(1, 5000) i));
CREATE TABLE floats (f4 float4, f8 float8);
INSERT INTO floats VALUES ('NaN', 'NaN'), ('Infinity', 'Infinity'), ('-Infinity', '-Infinity'), ('-0', '-0'), (0, 0), (1.17549435e-38, 2.2250738585072014e-308), (1e-45, 4.9406564584124654e-324), (3.4028235e38, 1.7976931348623157e308),
    (0.1, 0.1), (0.3, 0.1::float8 + 0.2::float8), (16777216, 9007199254740993), (1.0000001, 1.0000000000000002), (-1e-7, 1e23), (NULL, NULL);
CREATE TABLE numerics (n numeric, m numeric(20, 5));
INSERT INTO numerics VALUES ('NaN', 'NaN'), ('Infinity', NULL), ('-Infinity', NULL), (0.000, 0), (-0.0, 1), (1e100, 2), (1e-100, 3), ('1.10', 1.1), (repeat('9', 500)::numeric, 4), (('0.' || repeat('1', 1000))::numeric, 5);
CREATE TABLE times (d date, t timestamp, tz timestamptz, i interval, ti time, tt timetz);
INSERT INTO times VALUES ('infinity', 'infinity', 'infinity', '0', '00:00', '00:00+00'), ('-infinity', '-infinity', '-infinity', '-1 days +02:03:04.000005', '24:00', '24:00-15:59'),
    ('4713-01-01 BC', '4713-01-01 00:00 BC', '4713-01-01 00:00+00 BC', '178000000 years', '23:59:59.999999', '12:00+05:45'), ('5874897-12-31', '294276-12-31 23:59:59.999999', '294276-12-31 23:59:59.999999+00', '-178000000 years', NULL, '00:00:00.000001+14'),
    ('0001-01-01', '0001-12-31 23:59 BC', '1883-11-18 12:00-05', '1 mon -1 day 00:00:00.000001', '12:34:56.7', '12:00:00-03:30:30'), ('2024-02-29', '2024-03-31 02:30', '2024-10-27 02:30+01', '1 year 2 mons -3 days -04:05:06.789', NULL, NULL), ('1900-02-28', '1582-10-10', '1752-09-03 00:00+00', NULL, NULL, NULL);
CREATE TABLE arrays (a int[], b text[], c text[][], d timestamptz[], e bytea[], f box[]);
INSERT INTO arrays VALUES ('{}', '{}', '{}', '{}', '{}', '{}'), ('{1,NULL,3}', '{"",NULL,"NULL","a,b","{c}","d\"e","f\\g"," h ","\\."}', '{{a,b},{c,d}}', '{infinity,2024-01-01 00:00+00}', ARRAY['\x00'::bytea, '\x5c'], '{(1,1),(0,0);(2,2),(1,1)}'),
    ('[5:7]={1,2,3}', E'{"line\nbreak","tab\there"}', '[-1:0][2:3]={{1,2},{3,4}}', NULL, NULL, NULL), ('[0:1][0:1]={{1,2},{3,4}}', NULL, NULL, NULL, NULL, NULL);
CREATE TABLE documents (j json, b jsonb, x xml, p jsonpath);
INSERT INTO documents VALUES ('{"a" :  1, "a": 2, "n": 1.0e2, "s": "\u00e9\\ \" \n"}', '{"a" :  1, "a": 2, "n": 1.0e2, "s": "\u00e9\\ \" \n"}', '<?xml version="1.0" encoding="UTF-8"?><a>&lt;é</a>', '$.a[*] ? (@ > 1)'),
    ('null', 'null', 'just text', 'strict $'), ('[]', '[]', '<a/><b/>', NULL), (E'[1,\n2]', '"x"', E'<!-- c -->\n<a\n/>', NULL), (NULL, NULL, NULL, NULL);
CREATE TABLE others (m money, b bit(8), v varbit, u uuid, i inet, c cidr, mac macaddr, mac8 macaddr8, q tsquery, tv tsvector, o oid, ch "char", n name, c5 char(5), lsn pg_lsn, s pg_snapshot);
INSERT INTO others VALUES ('-92233720368547758.08', B'00000000', B'', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '::1/64', '10.0.0.0/8', '08:00:2b:01:02:03', '08:00:2b:ff:fe:01:02:03', '''a b'' & !c:*AB <-> d', '''a b'':1A,2 ''it''''s'':3', 4294967295, 'x', 'a "name"', 'ab', 'FFFFFFFF/FFFFFFFF', '10:20:10,14,15'),
    ('12.34', B'11111111', B'101', NULL, '192.168.1.5/24', NULL, NULL, NULL, '', '', 0, '', '', '', '0/0', NULL), (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, E'\\377', NULL, NULL, NULL, NULL);
CREATE TABLE geometry (p point, l line, s lseg, b box, pa path, po polygon, c circle);
INSERT INTO geometry VALUES ('(1.5,-2.5)', '{1,2,3}', '[(0,0),(1,1)]', '(1,1),(0,0)', '[(0,0),(1,1),(2,0)]', '((0,0),(1,1),(2,0))', '<(0,0),1.5>'), ('(NaN,Infinity)', '{-1,0,0.1}', NULL, '(Infinity,1),(-Infinity,0)', '((0,0),(0.1,0.2))', NULL, '<(0.1,0.2),0>');
CREATE TABLE ranges (i int4range, n numrange, t tstzrange, d daterange, im int8multirange);
INSERT INTO ranges VALUES ('empty', 'empty', 'empty', 'empty', '{}'), ('(,)', '(,)', '[,]', '(,)', '{(,)}'), ('[1,5]', '(1.5,2.5]', '[2024-01-01 00:00+00,infinity)', '[2024-01-01,infinity]', '{[1,2],[5,6),(10,)}'), ('[1,)', '[NaN,NaN]', '(-infinity,infinity)', '(,2024-01-01]', NULL);
-- Wide: a row of some megabytes, a table of many columns.
CREATE TABLE wide (id int, t text, b bytea);
INSERT INTO wide SELECT i, (SELECT string_agg(md5((i * 1000000 + j)::text), E'\t\\') FROM generate_series(1, 60000) j), (SELECT string_agg(sha256((i * j)::text::bytea), '') FROM generate_series(1, 30000) j) FROM generate_series(1, 3) i;
-- Of the many columns few have a default: the server compares the names of all, pair by pair, for each default that it prints.
SELECT 'CREATE TABLE columns (' || string_agg(format('c%s int', i) || CASE WHEN i % 200 = 0 THEN format(' DEFAULT %s', i) ELSE '' END, ', ') || ')' FROM generate_series(1, 1600) i \gexec
SELECT 'INSERT INTO columns VALUES (' || string_agg(i::text, ', ') || ')' FROM generate_series(1, 1600) i \gexec
INSERT INTO columns DEFAULT VALUES;
CREATE TABLE many AS SELECT i AS id, md5(i::text) AS h, i % 97 AS n, CASE WHEN i % 5 = 0 THEN NULL ELSE 'text ' || i END AS t FROM generate_series(1, 20000) i;
CREATE TABLE duplicates AS SELECT i % 3 AS v FROM generate_series(1, 30) i;
CREATE TABLE empty (id int, t text);
CREATE TABLE one_null (x int);
INSERT INTO one_null VALUES (NULL), (NULL);
CREATE TABLE one_empty (x text);
INSERT INTO one_empty VALUES (''), ('');
