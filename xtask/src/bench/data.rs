//! A database of mixed shape: narrow rows as pgbench has them, wide jsonb and text, thousands of small tables, large objects.

use backup_tests::Server;

use super::Result;

/// Makes the database `bench` of about `size` bytes of COPY text, the same each time, and `tables` small tables in it.
pub(super) fn fill(server: &Server, size: u64, tables: u32) -> Result<()> {
    server.try_psql("postgres", "CREATE ROLE bench_owner; CREATE DATABASE bench OWNER bench_owner;")?;
    // Bytes of COPY text for each row, measured.
    let rows = |percent: u64, row: u64| size / 100 * percent / row;
    let script = format!(
        "SELECT setseed(0.5);\n\
         CREATE TABLE accounts (aid int PRIMARY KEY, bid int NOT NULL, abalance int, filler char(84));\n\
         INSERT INTO accounts SELECT n, n / 100000 + 1, (random() * 1e6)::int, '' FROM generate_series(1, {accounts}) n;\n\
         CREATE TABLE history (tid int, bid int, aid int REFERENCES accounts, delta int, mtime timestamp, filler char(22));\n\
         INSERT INTO history SELECT n % 10, n % 100, 1 + (random() * ({accounts} - 1))::int, (random() * 1e4)::int - 5000, \
             timestamp '2024-01-01' + n * interval '1.37 s' FROM generate_series(1, {history}) n;\n\
         CREATE TABLE events (id bigint PRIMARY KEY, at timestamptz NOT NULL, kind text NOT NULL, payload jsonb NOT NULL, tags text[], amount numeric(12,2));\n\
         INSERT INTO events SELECT n, timestamptz '2024-01-01Z' + n * interval '3.1 s', (ARRAY['view', 'click', 'order', 'refund'])[1 + n % 4], \
             jsonb_build_object('user', (random() * 1e6)::int, 'session', md5(random()::text), 'path', '/shop/' || (n % 977) || '/item/' || (random() * 1e5)::int, \
                 'agent', 'Mozilla/5.0 (X11; Linux x86_64) rv:' || n % 120, 'props', jsonb_build_object('a', random(), 'b', n % 2 = 0, 'c', md5(n::text))), \
             ARRAY['t' || n % 13, 'r' || (random() * 100)::int], (random() * 1e5)::numeric(12,2) FROM generate_series(1, {events}) n;\n\
         CREATE INDEX ON events (at);\n\
         CREATE TABLE docs (id int PRIMARY KEY, title text, body text);\n\
         INSERT INTO docs SELECT n, 'document ' || n, (SELECT string_agg(md5(((random() * 3000)::int + (n + m) * 0)::text), ' ') FROM generate_series(1, 248) m) \
             FROM generate_series(1, {docs}) n;\n\
         SELECT count(lo_from_bytea(0, decode(repeat(md5(n::text), 2000 + n * 10), 'hex'))) FROM generate_series(1, 100) n;\n",
        accounts = rows(35, 101),
        history = rows(10, 52),
        events = rows(43, 330),
        docs = rows(12, 8200),
    );
    server.feed("bench", &[], script.as_bytes())?;
    // A session's memory for so many tables would be the source's, not the measured program's: a few at a time.
    for first in (1..=tables).step_by(500) {
        let small: String = (first..=tables.min(first + 499))
            .map(|n| {
                format!(
                    "CREATE TABLE small_{n} (id serial PRIMARY KEY, name text NOT NULL DEFAULT 'none', at date, CHECK (id > 0));\n\
                     CREATE INDEX ON small_{n} (name);\nCOMMENT ON TABLE small_{n} IS 'number {n}';\n\
                     INSERT INTO small_{n} (name, at) SELECT 'row ' || m, date '2024-01-01' + m FROM generate_series(1, 20) m;\n"
                )
            })
            .collect();
        server.feed("bench", &[], format!("BEGIN;\n{small}COMMIT;\n").as_bytes())?;
    }
    server.try_psql("bench", "VACUUM ANALYZE")?;
    server.try_psql("bench", "CHECKPOINT")?;
    Ok(())
}

/// Makes small databases of these names: some tables with keys, an index, a view and a function, and a name of its own in each.
pub(super) fn fill_small(server: &Server, names: &[String]) -> Result<()> {
    server
        .try_psql("postgres", "CREATE ROLE bench_owner; CREATE ROLE bench_reader; CREATE DATABASE small OWNER bench_owner")?;
    let tables: String = (1..=10)
        .map(|n| {
            format!(
                "CREATE TABLE t{n} (id serial PRIMARY KEY, name text NOT NULL DEFAULT 'none', at date, CHECK (id > 0));\n\
                 CREATE INDEX ON t{n} (name);\nCOMMENT ON TABLE t{n} IS 'number {n}';\nGRANT SELECT ON t{n} TO bench_reader;\n\
                 INSERT INTO t{n} (name, at) SELECT md5(m::text), date '2024-01-01' + m FROM generate_series(1, 200) m;\n"
            )
        })
        .collect();
    let script = format!(
        "SET ROLE bench_owner;\n{tables}CREATE VIEW v AS SELECT name FROM t1;\n\
         CREATE FUNCTION f(n int) RETURNS int LANGUAGE sql AS 'SELECT n + 1';\n\
         ALTER TABLE t2 ADD FOREIGN KEY (id) REFERENCES t1;\n"
    );
    server.feed("small", &[], format!("BEGIN;\n{script}COMMIT;\nVACUUM ANALYZE;\n").as_bytes())?;
    for name in names {
        server.try_psql("postgres", &format!("CREATE DATABASE {name} TEMPLATE small OWNER bench_owner"))?;
        server.try_psql(name, &format!("CREATE TABLE me AS SELECT '{name}' AS name"))?;
    }
    server.try_psql("postgres", "DROP DATABASE small; CHECKPOINT")?;
    Ok(())
}
