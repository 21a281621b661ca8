-- Subscriptions since 16 and 17.
CREATE DATABASE replication_17;
\connect replication_17
CREATE SUBSCRIPTION all_new CONNECTION 'host=nowhere' PUBLICATION p WITH (connect = false, slot_name = 's17', streaming = parallel, password_required = false, run_as_owner = true, origin = none, failover = true);
CREATE SUBSCRIPTION any_origin CONNECTION 'host=nowhere password=x' PUBLICATION p WITH (connect = false, slot_name = NONE, origin = any, failover = false, password_required = true);
