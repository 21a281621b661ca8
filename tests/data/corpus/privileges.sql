-- Owners, rights, default privileges, row security.
CREATE ROLE p_owner;
CREATE ROLE p_a;
CREATE ROLE p_b;
CREATE ROLE p_c;
CREATE ROLE "p ""odd"", role=x/y";
CREATE DATABASE privileges OWNER p_owner;
\connect privileges
CREATE SCHEMA owned AUTHORIZATION p_owner;
CREATE TABLE owned.t (id int PRIMARY KEY, secret text, "Odd ""col""" int);
ALTER TABLE owned.t OWNER TO p_owner;
CREATE TABLE mine (id int, v text);
CREATE TABLE none (id int);
CREATE TABLE public_only (id int);
GRANT USAGE ON SCHEMA owned TO p_a WITH GRANT OPTION;
GRANT CREATE ON SCHEMA owned TO p_b;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
REVOKE USAGE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO p_a, p_b, p_c;
-- Chains: who was given may give; the same right by two grantors.
SET SESSION AUTHORIZATION p_owner;
GRANT SELECT, INSERT ON owned.t TO p_a WITH GRANT OPTION;
GRANT SELECT ON owned.t TO p_c;
SET SESSION AUTHORIZATION p_a;
GRANT SELECT ON owned.t TO p_b WITH GRANT OPTION;
GRANT INSERT ON owned.t TO p_c;
GRANT USAGE ON SCHEMA owned TO p_b WITH GRANT OPTION;
SET SESSION AUTHORIZATION p_b;
GRANT SELECT ON owned.t TO p_c, "p ""odd"", role=x/y";
GRANT USAGE ON SCHEMA owned TO p_c;
RESET SESSION AUTHORIZATION;
-- Columns.
GRANT SELECT (id), UPDATE (secret), INSERT ("Odd ""col"""), REFERENCES (id) ON owned.t TO p_c;
GRANT SELECT (secret) ON owned.t TO p_b WITH GRANT OPTION;
SET SESSION AUTHORIZATION p_b;
GRANT SELECT (secret) ON owned.t TO p_c;
RESET SESSION AUTHORIZATION;
GRANT ALL (v) ON mine TO p_a;
GRANT SELECT (id) ON mine TO PUBLIC;
-- All, nothing, the owner's own rights taken.
GRANT ALL ON mine TO p_a;
GRANT TRUNCATE, TRIGGER, REFERENCES, DELETE, UPDATE ON mine TO p_b;
REVOKE ALL ON none FROM postgres;
GRANT SELECT ON public_only TO PUBLIC;
REVOKE INSERT, DELETE ON public_only FROM postgres;
CREATE TABLE owned.less (id int);
ALTER TABLE owned.less OWNER TO p_owner;
REVOKE UPDATE, TRUNCATE ON owned.less FROM p_owner;
GRANT "p ""odd"", role=x/y" TO p_a;
GRANT SELECT ON mine TO "p ""odd"", role=x/y";
-- Other kinds.
CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';
REVOKE ALL ON FUNCTION f() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION f() TO p_a WITH GRANT OPTION;
CREATE TYPE e AS ENUM ('x');
REVOKE USAGE ON TYPE e FROM PUBLIC;
CREATE SEQUENCE s;
GRANT UPDATE ON SEQUENCE s TO p_a;
GRANT USAGE ON LANGUAGE plpgsql TO p_a;
-- Default privileges: of all schemas, of one, more and less than the standard ones, by other roles.
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO p_a;
ALTER DEFAULT PRIVILEGES FOR ROLE p_owner GRANT ALL ON TABLES TO p_b WITH GRANT OPTION;
ALTER DEFAULT PRIVILEGES FOR ROLE p_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE p_owner IN SCHEMA owned GRANT EXECUTE ON FUNCTIONS TO p_c;
ALTER DEFAULT PRIVILEGES FOR ROLE p_owner IN SCHEMA owned GRANT USAGE ON SEQUENCES TO p_c;
ALTER DEFAULT PRIVILEGES FOR ROLE p_owner REVOKE USAGE ON TYPES FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE p_owner GRANT USAGE ON SCHEMAS TO p_a;
ALTER DEFAULT PRIVILEGES FOR ROLE "p ""odd"", role=x/y" REVOKE INSERT ON TABLES FROM "p ""odd"", role=x/y";
-- Made after the defaults: they must not be applied twice.
CREATE TABLE after_defaults (id int);
SET SESSION AUTHORIZATION p_owner;
CREATE TABLE owned.after_defaults (id serial);
CREATE FUNCTION owned.after_defaults() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE TYPE owned.after_type AS ENUM ('x');
CREATE SCHEMA after_schema;
RESET SESSION AUTHORIZATION;
REVOKE ALL ON after_defaults FROM p_a;
-- Row security.
CREATE TABLE rows (id int, owner name DEFAULT current_user, v text);
INSERT INTO rows VALUES (1, 'p_a', 'a'), (2, 'p_b', 'b'), (3, 'postgres', 'c');
ALTER TABLE rows ENABLE ROW LEVEL SECURITY;
ALTER TABLE rows FORCE ROW LEVEL SECURITY;
CREATE POLICY everybody ON rows USING (owner = current_user);
CREATE POLICY select_only ON rows FOR SELECT TO p_a, p_b USING (v <> 'c');
CREATE POLICY insert_only ON rows FOR INSERT TO PUBLIC WITH CHECK (id > 0);
CREATE POLICY "odd ""policy""" ON rows AS RESTRICTIVE FOR UPDATE TO "p ""odd"", role=x/y" USING (id < 10) WITH CHECK (id < 5);
CREATE POLICY delete_subquery ON rows FOR DELETE USING (EXISTS (SELECT 1 FROM mine WHERE mine.id = rows.id));
COMMENT ON POLICY everybody ON rows IS 'a policy';
CREATE TABLE enabled_without_policy (id int);
INSERT INTO enabled_without_policy VALUES (1);
ALTER TABLE enabled_without_policy ENABLE ROW LEVEL SECURITY;
CREATE TABLE policy_not_enabled (id int);
CREATE POLICY asleep ON policy_not_enabled USING (true);
CREATE TABLE forced_only (id int);
ALTER TABLE forced_only FORCE ROW LEVEL SECURITY;
ALTER TABLE rows OWNER TO p_owner;
REVOKE USAGE ON LANGUAGE sql FROM PUBLIC;
