-- Tablespaces: in a folder and in place, with rights, options and what lies in them.
CREATE ROLE ts_owner;
CREATE TABLESPACE ts_folder OWNER ts_owner LOCATION :'folder' WITH (random_page_cost = 1.1, seq_page_cost = 0.9);
SET allow_in_place_tablespaces = on;
CREATE TABLESPACE ts_in_place LOCATION '';
CREATE TABLESPACE "ts ""odd"" näme" OWNER ts_owner LOCATION '';
GRANT CREATE ON TABLESPACE ts_folder TO PUBLIC;
GRANT CREATE ON TABLESPACE ts_in_place TO ts_owner WITH GRANT OPTION;
ALTER TABLESPACE ts_in_place SET (effective_io_concurrency = 3, maintenance_io_concurrency = 4);
COMMENT ON TABLESPACE ts_folder IS 'a folder''s tablespace';
CREATE DATABASE ts_db TABLESPACE ts_in_place;
\connect ts_db
CREATE TABLE here (id int PRIMARY KEY, v text);
CREATE TABLE there (id int PRIMARY KEY USING INDEX TABLESPACE "ts ""odd"" näme", v text, UNIQUE (v) USING INDEX TABLESPACE ts_folder)
    TABLESPACE ts_folder;
CREATE TABLE back (id int) TABLESPACE pg_default;
INSERT INTO here SELECT i, 'here ' || i FROM generate_series(1, 10) i;
INSERT INTO there SELECT i, 'there ' || i FROM generate_series(1, 10) i;
CREATE INDEX here_there ON here (v) TABLESPACE ts_folder;
CREATE MATERIALIZED VIEW mat TABLESPACE ts_folder AS SELECT * FROM there;
CREATE TABLE parts (id int) PARTITION BY LIST (id) TABLESPACE ts_folder;
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES IN (2) TABLESPACE "ts ""odd"" näme";
INSERT INTO parts VALUES (1), (2), (2);
CREATE INDEX parts_index ON parts (id) TABLESPACE "ts ""odd"" näme";
