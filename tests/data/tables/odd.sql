-- Hostile names, row types, deep inheritance and partitions, limits of sequences.
CREATE SCHEMA "we""ird s\chema
x";
CREATE SCHEMA "Größe";
CREATE DOMAIN posint AS int CHECK (VALUE > 0) DEFAULT 3;
CREATE TABLE "we""ird s\chema
x"."t'a""b\l
e" ("c ""o'l\
u" int DEFAULT 7 CHECK ("c ""o'l\
u" > 1), "select" text COLLATE "POSIX", "Ünï" posint NOT NULL, PRIMARY KEY ("c ""o'l\
u", "select"));
COMMENT ON COLUMN "we""ird s\chema
x"."t'a""b\l
e"."c ""o'l\
u" IS 'quo''te \ 
"x"';
CREATE INDEX "i ""x' \" ON "we""ird s\chema
x"."t'a""b\l
e" ("select", ("Ünï" + 1)) WHERE "select" <> 'it''s \ x';
CREATE SEQUENCE "we""ird s\chema
x"."se ""q'" OWNED BY "we""ird s\chema
x"."t'a""b\l
e"."Ünï";
ALTER TABLE "we""ird s\chema
x"."t'a""b\l
e" ADD CONSTRAINT "f ""k'" FOREIGN KEY ("c ""o'l\
u", "select") REFERENCES "we""ird s\chema
x"."t'a""b\l
e", ADD COLUMN "id ""x" int GENERATED ALWAYS AS IDENTITY;
CREATE TABLE "Größe"."kind" () INHERITS ("we""ird s\chema
x"."t'a""b\l
e");
CREATE STATISTICS "Größe"."st ""1" ON "select", "Ünï" FROM "we""ird s\chema
x"."t'a""b\l
e";
ALTER TABLE "we""ird s\chema
x"."t'a""b\l
e" CLUSTER ON "t'a""b\l
e_pkey";
-- inheritance
CREATE TABLE g1 (a int, b text DEFAULT 'b', CONSTRAINT ck CHECK (a > 0));
CREATE TABLE g2 (c int) INHERITS (g1);
CREATE TABLE g3 (d int) INHERITS (g2);
CREATE TABLE g4 (e int) INHERITS (g3, g1);
ALTER TABLE g1 ADD x int DEFAULT 9 NOT NULL;
ALTER TABLE ONLY g3 ALTER x DROP DEFAULT;
ALTER TABLE g2 ADD y int;
ALTER TABLE g2 DROP COLUMN c;
ALTER TABLE g4 ALTER b SET DEFAULT 'over';
CREATE TABLE m1 (a text, b text);
CREATE TABLE m2 (a text);
CREATE TABLE mm (a text, z int) INHERITS (m1, m2);
ALTER TABLE ONLY m1 ALTER a SET STORAGE EXTERNAL;
ALTER TABLE ONLY m2 ALTER a SET COMPRESSION pglz;
ALTER TABLE ONLY m1 ALTER b SET COMPRESSION pglz;
ALTER TABLE mm ALTER z SET STATISTICS 0;
CREATE TABLE nn1 (a int);
CREATE TABLE nn2 (a int NOT NULL);
CREATE TABLE nn3 () INHERITS (nn1, nn2);
CREATE TABLE nn4 (a int NOT NULL) INHERITS (nn1);
CREATE TABLE ni (a int, CONSTRAINT same CHECK (a > 1) NO INHERIT);
CREATE TABLE nic (CONSTRAINT same CHECK (a > 2)) INHERITS (ni);
CREATE TABLE inh_late (a int, CONSTRAINT q CHECK (a > 5));
CREATE TABLE inh_latec (b int, a int, CONSTRAINT q CHECK (a > 5), CONSTRAINT own CHECK (b > 5));
ALTER TABLE inh_latec INHERIT inh_late;
CREATE TABLE inh_latecc (zz int) INHERITS (inh_latec);
CREATE TABLE gg (a int, s int GENERATED ALWAYS AS (a * 3) STORED);
CREATE TABLE ggc (b int, a int, s int) INHERITS (gg);
CREATE TABLE gge (b int, s int GENERATED ALWAYS AS (a * 3) STORED, a int);
ALTER TABLE gge INHERIT gg;
CREATE TABLE ggd (b int) INHERITS (gg);
ALTER TABLE gg ADD s2 int GENERATED ALWAYS AS (a + 3) STORED;
-- row types
CREATE TABLE zz_row (a int, b text);
CREATE TABLE aa_uses (r zz_row, rs zz_row[]);
CREATE FUNCTION fr(zz_row) RETURNS bool LANGUAGE sql IMMUTABLE AS 'select true';
ALTER TABLE zz_row ADD CONSTRAINT whole CHECK (fr(zz_row)), ADD CONSTRAINT wholenn CHECK (zz_row IS NOT NULL);
CREATE INDEX zz_ix ON zz_row (fr(zz_row));
CREATE INDEX zz_ix2 ON zz_row ((zz_row IS NULL));
CREATE FUNCTION dz() RETURNS zz_row LANGUAGE sql AS 'select null::zz_row';
ALTER TABLE zz_row ALTER b SET DEFAULT (dz())::text;
CREATE TYPE empty AS ();
CREATE TABLE typ_empty OF empty;
CREATE TYPE three AS (a int, b int, c text);
CREATE TABLE typ3 OF three (PRIMARY KEY (b), c WITH OPTIONS UNIQUE NOT NULL DEFAULT 'x');
COMMENT ON COLUMN typ3.b IS 'b of typ3';
-- partitions
CREATE COLLATION "Größe".coll (locale='C');
CREATE TABLE pp (a int, b text, c int DEFAULT 1, dropme int, id serial) PARTITION BY RANGE (b COLLATE "Größe".coll text_pattern_ops, (lower(b)) );
CREATE TABLE "Größe".ppa PARTITION OF pp (c DEFAULT 2 NOT NULL) FOR VALUES FROM ('a''\', MINVALUE) TO ('m', 'm') TABLESPACE place;
ALTER TABLE pp DROP COLUMN dropme;
CREATE TABLE ppd PARTITION OF pp DEFAULT;
CREATE TABLE ppz (x int, id int NOT NULL, c int, b text, a int);
ALTER TABLE ppz DROP COLUMN x;
ALTER TABLE pp ATTACH PARTITION ppz FOR VALUES FROM ('n', MINVALUE) TO ('z', 'm');
ALTER TABLE ppz ADD CONSTRAINT only_here CHECK (a > 4), ADD CONSTRAINT uo UNIQUE (a) INCLUDE (c);
ALTER TABLE pp ADD CONSTRAINT for_all CHECK (a < 1000);
COMMENT ON CONSTRAINT for_all ON ppz IS 'inherited comment';
ALTER TABLE pp ALTER b SET STORAGE EXTERNAL;
ALTER TABLE ONLY pp ALTER b SET STATISTICS 44;
CREATE TABLE mlt (a int, b int, c int, UNIQUE (a, b, c)) PARTITION BY LIST (a);
CREATE TABLE mlt1 PARTITION OF mlt FOR VALUES IN (1) PARTITION BY LIST (b);
CREATE TABLE mlt11 PARTITION OF mlt1 FOR VALUES IN (1) PARTITION BY HASH (c);
CREATE TABLE mlt110 PARTITION OF mlt11 FOR VALUES WITH (MODULUS 3, REMAINDER 1);
CREATE INDEX ON mlt (c);
CREATE INDEX half ON ONLY mlt1 (b);
CREATE INDEX half11 ON mlt11 (b);
ALTER INDEX half ATTACH PARTITION half11;
ALTER TABLE mlt ADD CONSTRAINT selfp FOREIGN KEY (a, b, c) REFERENCES mlt (a, b, c);
CREATE TABLE circ1 (id int PRIMARY KEY, o int);
CREATE TABLE circ2 (id int PRIMARY KEY, o int REFERENCES circ1);
ALTER TABLE circ1 ADD FOREIGN KEY (o) REFERENCES circ2;
CREATE UNIQUE INDEX circ_u ON circ1 (o) INCLUDE (id);
ALTER TABLE circ2 ADD FOREIGN KEY (o) REFERENCES circ1 (o);
CREATE ACCESS METHOD heap2 TYPE TABLE HANDLER heap_tableam_handler;
CREATE TABLE am2 (a int) USING heap2 WITH (fillfactor=20);
CREATE SEQUENCE ext1 MINVALUE -9223372036854775808 MAXVALUE 9223372036854775807 START -9223372036854775808;
CREATE SEQUENCE ext2 AS bigint INCREMENT -1 MINVALUE -9223372036854775808 MAXVALUE -1;
CREATE TABLE ts (v tsvector, p point);
CREATE INDEX ON ts USING gist (v tsvector_ops (siglen='100'));
CREATE INDEX ON ts USING spgist (p kd_point_ops) WITH (fillfactor=77);
CREATE TABLE repl (a int PRIMARY KEY, b int NOT NULL UNIQUE);
ALTER TABLE repl REPLICA IDENTITY USING INDEX repl_pkey;
ALTER TABLE repl CLUSTER ON repl_b_key;
ALTER TABLE repl SET WITHOUT CLUSTER;
CREATE TABLE repl2 (a int PRIMARY KEY);
ALTER TABLE repl2 REPLICA IDENTITY FULL;
CREATE TABLE idu (a int NOT NULL, b int GENERATED BY DEFAULT AS IDENTITY (START 5));
INSERT INTO idu VALUES (1);
ALTER TABLE idu OWNER TO reader;
CREATE TABLE hp (a int[], m text) PARTITION BY HASH (a);
CREATE TABLE hp0 PARTITION OF hp FOR VALUES WITH (MODULUS 1, REMAINDER 0);
