-- Foreign tables whose columns stand in another order than their parents'.
CREATE FOREIGN DATA WRAPPER w;
CREATE SERVER s FOREIGN DATA WRAPPER w;
CREATE TABLE parent (id int NOT NULL, v text, CONSTRAINT c CHECK (id <> 13));
CREATE FOREIGN TABLE child (v text OPTIONS (a 'b'), own int, id int NOT NULL, CONSTRAINT c CHECK (id <> 13)) SERVER s;
ALTER FOREIGN TABLE child INHERIT parent;
CREATE TABLE parts (id int, region text) PARTITION BY LIST (region);
CREATE FOREIGN TABLE part (dropped int, region text OPTIONS ("it's" 'c'), id int DEFAULT 7) SERVER s OPTIONS (of 'the part');
ALTER FOREIGN TABLE part DROP COLUMN dropped;
ALTER TABLE parts ATTACH PARTITION part FOR VALUES IN ('far');
