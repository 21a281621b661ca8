-- Publications and subscriptions.
CREATE ROLE publisher;
CREATE ROLE "odd 'publisher' ""x""";
CREATE ROLE subscriber SUPERUSER;
CREATE DATABASE replication;
\connect replication
CREATE SCHEMA "odd 'schema' ""x""";
CREATE TABLE t (id int PRIMARY KEY, a int, "odd 'column' ""x""" text, dropped int, g int GENERATED ALWAYS AS (a * 2) STORED);
ALTER TABLE t DROP COLUMN dropped;
CREATE TABLE "odd 'schema' ""x"".t" (id int PRIMARY KEY);
CREATE TABLE "odd 'schema' ""x"""."odd 'table' ""x""" (id int PRIMARY KEY, v text);
CREATE TABLE parts (id int, v text) PARTITION BY RANGE (id);
CREATE TABLE part PARTITION OF parts FOR VALUES FROM (0) TO (10);
CREATE TABLE parent (id int);
CREATE TABLE child (more int) INHERITS (parent);
CREATE UNLOGGED TABLE unlogged (id int);
CREATE PUBLICATION everything FOR ALL TABLES;
CREATE PUBLICATION nothing;
CREATE PUBLICATION no_changes WITH (publish = '');
CREATE PUBLICATION few FOR TABLE t (id, a) WHERE (a > 5 AND "odd 'column' ""x""" <> 'it''s'), "odd 'schema' ""x"""."odd 'table' ""x""" (v, id) WITH (publish = 'insert');
CREATE PUBLICATION "odd 'publication' ""x""" FOR TABLE parts, ONLY parent WITH (publish = 'update, delete, truncate', publish_via_partition_root = true);
CREATE PUBLICATION with_children FOR TABLE parent WHERE (id IS NOT NULL);
CREATE PUBLICATION schemas FOR TABLES IN SCHEMA public, "odd 'schema' ""x""" WITH (publish = 'insert, update');
CREATE PUBLICATION mixed FOR TABLES IN SCHEMA "odd 'schema' ""x""", TABLE t WHERE (id < 9);
ALTER PUBLICATION "odd 'publication' ""x""" OWNER TO "odd 'publisher' ""x""";
ALTER PUBLICATION few OWNER TO publisher;
COMMENT ON PUBLICATION few IS 'a publication''s comment';
COMMENT ON PUBLICATION nothing IS 'nothing';
CREATE SUBSCRIPTION plain CONNECTION 'host=nowhere' PUBLICATION few WITH (connect = false);
CREATE SUBSCRIPTION no_slot CONNECTION 'host=nowhere password=''it\''s a secret''' PUBLICATION few WITH (connect = false, slot_name = NONE);
CREATE SUBSCRIPTION "odd 'subscription' ""x""" CONNECTION 'host=nowhere dbname=''a \\ b'' password=secret' PUBLICATION "odd 'publication' ""x""", few, "x,y" WITH (connect = false, slot_name = 'other_slot', binary = true, streaming = true, synchronous_commit = 'remote_apply', two_phase = true, disable_on_error = true);
CREATE SUBSCRIPTION not_streaming CONNECTION '' PUBLICATION p WITH (connect = false, slot_name = NONE, streaming = false, binary = false, synchronous_commit = local);
ALTER SUBSCRIPTION plain OWNER TO subscriber;
COMMENT ON SUBSCRIPTION plain IS 'a subscription''s comment';
CREATE DATABASE other_subscriber;
\connect other_subscriber
CREATE SUBSCRIPTION plain CONNECTION 'host=elsewhere' PUBLICATION few WITH (connect = false, slot_name = NONE);
