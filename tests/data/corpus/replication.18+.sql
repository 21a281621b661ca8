-- Publications since 18.
CREATE DATABASE replication_18;
\connect replication_18
CREATE TABLE t (id int PRIMARY KEY, g int GENERATED ALWAYS AS (id * 2) STORED);
CREATE PUBLICATION with_generated FOR TABLE t WITH (publish_generated_columns = stored);
CREATE PUBLICATION without_generated FOR TABLE t WITH (publish_generated_columns = none);
CREATE PUBLICATION named_generated FOR TABLE t (id, g);
