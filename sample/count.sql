-- What a database holds, as "what|how many": input for `psql -XAtq`. What belongs to the system or to extensions is not counted.
CREATE TEMPORARY VIEW own AS SELECT c.oid, relkind FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
WHERE c.oid >= 16384 AND nspname !~ '^pg_' AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e');
SELECT 'tables', count(*) FROM own WHERE relkind = 'r';
SELECT 'rows', 0;
SELECT format('SELECT ''rows'', count(*) FROM ONLY %s', oid::regclass) FROM own WHERE relkind = 'r' \gexec
SELECT 'views', count(*) FROM own WHERE relkind IN ('v', 'm');
SELECT 'indexes', count(*) FROM own WHERE relkind IN ('i', 'I');
SELECT 'sequences', count(*) FROM own WHERE relkind = 'S';
SELECT 'functions', count(*) FROM pg_proc p
WHERE oid >= 16384 AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e');
SELECT 'triggers, rules, policies', (SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal)
    + (SELECT count(*) FROM pg_rewrite WHERE oid >= 16384 AND rulename <> '_RETURN') + (SELECT count(*) FROM pg_policy);
SELECT 'large objects', count(*) FROM pg_largeobject_metadata;
