-- Inheritance and partitions of every kind.
CREATE DATABASE inheritance;
\connect inheritance
CREATE TABLE base (id int NOT NULL DEFAULT 1, name text DEFAULT 'base' CHECK (name <> ''), extra int, CONSTRAINT id_positive CHECK (id > 0));
CREATE TABLE other (flag boolean DEFAULT true, name text);
CREATE TABLE child (more text) INHERITS (base);
CREATE TABLE child_overrides (id int DEFAULT 2, name text NOT NULL DEFAULT 'child', CHECK (extra < 100)) INHERITS (base);
CREATE TABLE grandchild (CONSTRAINT id_positive CHECK (id > 0), own int) INHERITS (child);
CREATE TABLE two_parents (own int) INHERITS (base, other);
CREATE TABLE adopted (id int NOT NULL, name text CHECK (name <> ''), extra int, CONSTRAINT base_name_check CHECK (name <> ''), CONSTRAINT id_positive CHECK (id > 0), own_column text);
ALTER TABLE adopted INHERIT base;
ALTER TABLE child ALTER name DROP DEFAULT;
ALTER TABLE grandchild ALTER name SET DEFAULT 'grand', ALTER extra SET NOT NULL;
ALTER TABLE two_parents ALTER name SET STORAGE EXTERNAL, ALTER extra SET STATISTICS 77;
INSERT INTO base VALUES (1, 'one', 1), (2, 'two', NULL);
INSERT INTO child VALUES (3, 'three', 3, 'more');
INSERT INTO child_overrides (extra) VALUES (4);
INSERT INTO grandchild (extra, more, own) VALUES (5, 'm', 5);
INSERT INTO two_parents (id, name, flag) VALUES (6, 'six', false);
INSERT INTO adopted VALUES (7, 'seven', 7, 'own');
CREATE TABLE generated_base (a int, b int GENERATED ALWAYS AS (a * 2) STORED);
CREATE TABLE generated_child (c int) INHERITS (generated_base);
INSERT INTO generated_child (a, c) VALUES (1, 2);

-- Range partitions over two columns, of three levels, with their own indexes, defaults, constraints, options and columns' order.
CREATE TABLE events (at timestamptz NOT NULL, kind text NOT NULL DEFAULT 'none', n int, note text DEFAULT 'events') PARTITION BY RANGE (at, n);
COMMENT ON TABLE events IS 'partitioned';
CREATE TABLE events_2023 PARTITION OF events FOR VALUES FROM (MINVALUE, MINVALUE) TO ('2024-01-01 00:00:00+00', MINVALUE);
CREATE TABLE events_2024 PARTITION OF events (note DEFAULT 'in 2024', CONSTRAINT n_small CHECK (n < 1000), PRIMARY KEY (at, kind, n))
    FOR VALUES FROM ('2024-01-01 00:00:00+00', MINVALUE) TO ('2025-01-01 00:00:00+00', MINVALUE) PARTITION BY LIST (kind);
CREATE TABLE events_2024_ab PARTITION OF events_2024 FOR VALUES IN ('a', 'b''s', 'c"d');
CREATE TABLE events_2024_rest PARTITION OF events_2024 DEFAULT PARTITION BY HASH (n);
CREATE TABLE events_2024_rest_0 PARTITION OF events_2024_rest FOR VALUES WITH (MODULUS 2, REMAINDER 0) WITH (fillfactor = 60);
CREATE TABLE events_2024_rest_1 PARTITION OF events_2024_rest FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE events_later (note text, n int, dropped int, kind text NOT NULL, at timestamptz NOT NULL);
ALTER TABLE events_later DROP dropped;
ALTER TABLE events ATTACH PARTITION events_later FOR VALUES FROM ('2025-01-01 00:00:00+00', MINVALUE) TO (MAXVALUE, MAXVALUE);
CREATE TABLE events_default PARTITION OF events DEFAULT;
INSERT INTO events SELECT '2023-06-01 00:00:00+00'::timestamptz + i * interval '13 days', (ARRAY['a', 'b''s', 'c"d', 'x', 'y'])[i % 5 + 1], i FROM generate_series(1, 100) i;
INSERT INTO events VALUES ('2023-01-01 00:00:00+00', 'a', 0);

-- Indexes of the whole, of one level, of one partition; attached by hand; one that lacks a partition's is invalid.
CREATE INDEX events_n ON events (n);
CREATE INDEX events_2024_note ON events_2024 (note) WHERE n > 5;
CREATE INDEX events_later_own ON events_later USING hash (kind);
CREATE INDEX "odd ""index""" ON ONLY events (kind);
CREATE INDEX events_2023_kind ON events_2023 (kind);
ALTER INDEX "odd ""index""" ATTACH PARTITION events_2023_kind;
COMMENT ON INDEX events_n IS 'of the whole';
COMMENT ON INDEX events_2023_kind IS 'of a partition';
ALTER INDEX events_later_own SET (fillfactor = 55);

-- Keys over partitions, keys to partitions.
CREATE TABLE orders (id int, region text, PRIMARY KEY (id, region), UNIQUE (region, id)) PARTITION BY LIST (region);
CREATE TABLE orders_eu PARTITION OF orders FOR VALUES IN ('de', 'fr');
CREATE TABLE orders_us PARTITION OF orders FOR VALUES IN ('us', NULL);
CREATE TABLE lines (order_id int, region text, n int, FOREIGN KEY (order_id, region) REFERENCES orders ON DELETE CASCADE) PARTITION BY RANGE (order_id);
CREATE TABLE lines_1 PARTITION OF lines FOR VALUES FROM (1) TO (100);
CREATE TABLE lines_2 PARTITION OF lines FOR VALUES FROM (100) TO (200);
CREATE TABLE notes (order_id int, region text, CONSTRAINT to_orders FOREIGN KEY (order_id, region) REFERENCES orders, CONSTRAINT to_one FOREIGN KEY (order_id, region) REFERENCES orders_eu);
INSERT INTO orders VALUES (1, 'de'), (2, 'us'), (150, 'fr');
INSERT INTO lines VALUES (1, 'de', 1), (1, 'de', 2), (150, 'fr', 1);
INSERT INTO notes VALUES (1, 'de');
ALTER TABLE orders ADD CONSTRAINT id_small CHECK (id < 10000);
ALTER TABLE orders_us ADD CONSTRAINT only_here CHECK (id <> 13);

-- Keys of every kind: expressions, opclasses, collations, enums by hash, booleans.
CREATE TYPE colour AS ENUM ('red', 'green', 'blue');
CREATE TABLE by_enum (c colour, n int) PARTITION BY HASH (c);
CREATE TABLE by_enum_0 PARTITION OF by_enum FOR VALUES WITH (MODULUS 3, REMAINDER 0);
CREATE TABLE by_enum_1 PARTITION OF by_enum FOR VALUES WITH (MODULUS 3, REMAINDER 1);
CREATE TABLE by_enum_2 PARTITION OF by_enum FOR VALUES WITH (MODULUS 3, REMAINDER 2);
INSERT INTO by_enum SELECT (ARRAY['red', 'green', 'blue']::colour[])[i % 3 + 1], i FROM generate_series(1, 30) i;
CREATE TABLE by_expression (a int, b text) PARTITION BY RANGE ((a % 10), lower(b) COLLATE "C" text_pattern_ops);
CREATE TABLE by_expression_low PARTITION OF by_expression FOR VALUES FROM (0, MINVALUE) TO (5, MINVALUE);
CREATE TABLE by_expression_high PARTITION OF by_expression FOR VALUES FROM (5, MINVALUE) TO (10, MAXVALUE);
INSERT INTO by_expression SELECT i, 'B' || i FROM generate_series(1, 30) i;
CREATE TABLE by_boolean (b boolean) PARTITION BY LIST (b);
CREATE TABLE by_boolean_true PARTITION OF by_boolean FOR VALUES IN (true);
CREATE TABLE by_boolean_rest PARTITION OF by_boolean DEFAULT;
INSERT INTO by_boolean VALUES (true), (false), (NULL);
CREATE TABLE no_partitions (id int) PARTITION BY HASH (id);
CREATE TABLE generated_parts (id int, v int GENERATED ALWAYS AS (id * 2) STORED) PARTITION BY LIST (id);
CREATE TABLE generated_parts_1 PARTITION OF generated_parts FOR VALUES IN (1);
INSERT INTO generated_parts VALUES (1);
CREATE SCHEMA elsewhere;
CREATE TABLE elsewhere.part PARTITION OF no_partitions FOR VALUES WITH (MODULUS 4, REMAINDER 3);
CREATE TABLE unlogged_parts (id serial) PARTITION BY LIST (id);
CREATE UNLOGGED TABLE unlogged_parts_1 PARTITION OF unlogged_parts FOR VALUES IN (1);
INSERT INTO unlogged_parts DEFAULT VALUES;
CREATE TABLE replica_parts (id int PRIMARY KEY) PARTITION BY LIST (id);
CREATE TABLE replica_parts_1 PARTITION OF replica_parts FOR VALUES IN (1);
ALTER TABLE replica_parts_1 REPLICA IDENTITY USING INDEX replica_parts_1_pkey;
