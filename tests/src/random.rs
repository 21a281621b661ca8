//! A random database from a seed: objects that lean on each other in ways that nobody thought of.
//!
//! What the server refuses is left out, so that the generator need not know every rule; the same seed on the same version
//! always gives the same database.

use crate::Server;

/// Fills a new database of `server` from `seed` and says how many relations it has.
///
/// # Panics
/// When so much was refused that the database is of no use.
pub fn fill(server: &Server, database: &str, seed: u64) -> usize {
    server.psql("postgres", &format!("CREATE DATABASE {database}"));
    let script = script(seed);
    let path = server.dir().join(format!("{database}.sql"));
    std::fs::write(&path, script).expect("a script in the server's folder");
    let mut psql = server.command("psql");
    let output = psql.args(["-XAtq", "-d", database, "-f"]).arg(&path).output().expect("psql runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let count = server.psql(
        database,
        "SELECT count(*) FROM pg_class WHERE relnamespace >= 2200 AND relkind IN ('r', 'p', 'v', 'm', 'i', 'S')",
    );
    let count = count.parse().expect("a number");
    assert!(count >= 20, "seed {seed}: the server refused too much: {}", String::from_utf8_lossy(&output.stderr));
    count
}

/// A script for psql without `ON_ERROR_STOP`.
pub fn script(seed: u64) -> String {
    let mut made = Made { random: Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1), ..Made::default() };
    let roles = (0..3).map(|n| format!("{:?}", format!("role {n} of seed"))).collect::<Vec<_>>();
    for role in &roles {
        made.say(format!("CREATE ROLE {role};"));
    }
    for n in 0..3 {
        let name = made.random.name("s", n);
        made.say(format!("CREATE SCHEMA {name};"));
        made.schemas.push(name);
    }
    for n in 0..60 {
        match made.random.below(14) {
            0 => made.make_type(n),
            1 => made.function(n),
            2 => made.sequence(n),
            3..=6 => made.table(n),
            7 => made.partitioned(n),
            8 => made.index(n),
            9 | 10 => made.view(n),
            11 => made.foreign_key(n),
            12 => made.trigger(n),
            _ => made.right_or_comment(&roles),
        }
    }
    made.script
}

/// What there is so far; every name whole, with its schema and quoted.
#[derive(Default)]
struct Made {
    script: String,
    random: Random,
    schemas: Vec<String>,
    types: Vec<String>,
    tables: Vec<Table>,
    views: Vec<String>,
    functions: Vec<String>,
}

#[derive(Clone, Default)]
struct Table {
    name: String,
    columns: Vec<String>,
}

const TYPES: [&str; 18] = [
    "int",
    "bigint",
    "smallint",
    "text",
    "varchar(50)",
    "numeric(12,3)",
    "boolean",
    "date",
    "timestamptz(3)",
    "uuid",
    "jsonb",
    "bytea",
    "int[]",
    "text[]",
    "int4range",
    "float8",
    "inet",
    "char(4)",
];

impl Made {
    fn say(&mut self, statement: String) {
        self.script.push_str(&statement);
        self.script.push('\n');
    }

    fn name(&mut self, prefix: &str, n: usize) -> String {
        let schema = self.random.pick(&self.schemas).unwrap_or_else(|| "public".into());
        format!("{schema}.{}", self.random.name(prefix, n))
    }

    fn type_of_column(&mut self) -> String {
        let own = if self.random.below(4) == 0 { self.random.pick(&self.types) } else { None };
        own.unwrap_or_else(|| self.random.pick(&TYPES.map(String::from)).unwrap_or_default())
    }

    fn make_type(&mut self, n: usize) {
        let name = self.name("ty", n);
        let statement = match self.random.below(4) {
            0 => format!("CREATE TYPE {name} AS ENUM ('a', 'B b', 'it''s', '{n}');"),
            1 => {
                let base = self.type_of_column();
                format!("CREATE DOMAIN {name} AS {base} CHECK (VALUE IS NOT NULL OR {n} > 0);")
            }
            2 => {
                let (a, b) = (self.type_of_column(), self.type_of_column());
                format!("CREATE TYPE {name} AS (a {a}, \"b \"\"b\"\"\" {b});")
            }
            _ => format!("CREATE TYPE {name} AS RANGE (SUBTYPE = int8);"),
        };
        self.say(statement);
        self.types.push(name);
    }

    fn function(&mut self, n: usize) {
        let name = self.name("f", n);
        let table = self.random.pick(&self.tables).map(|table| table.name);
        let statement = match (self.random.below(5), table) {
            (0, Some(table)) => {
                format!("CREATE FUNCTION {name}(a {table}) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT {n}';")
            }
            (1, Some(table)) => format!(
                "CREATE FUNCTION {name}(a int DEFAULT {n}) RETURNS bigint LANGUAGE sql RETURN (SELECT count(*) + a FROM {table});"
            ),
            (2, Some(table)) => format!(
                "CREATE FUNCTION {name}() RETURNS SETOF {table} LANGUAGE sql STABLE ROWS {} BEGIN ATOMIC SELECT * FROM {table}; END;",
                n + 1
            ),
            (3, _) => format!(
                "CREATE PROCEDURE {name}(INOUT a text, VARIADIC b int[]) LANGUAGE plpgsql AS $x$BEGIN a := '$$' || E'\\\\'; END$x$;"
            ),
            _ => format!(
                "CREATE FUNCTION {name}(a int) RETURNS int LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$SELECT a + {n}$$;"
            ),
        };
        if statement.contains("PARALLEL SAFE") {
            self.functions.push(name);
        }
        self.say(statement);
    }

    fn sequence(&mut self, n: usize) {
        let name = self.name("q", n);
        let (step, cache) = (self.random.below(9) + 1, self.random.below(5) + 1);
        self.say(format!("CREATE SEQUENCE {name} INCREMENT {step} CACHE {cache} START {} CYCLE;", n + 1));
        if self.random.below(2) == 0 {
            self.say(format!("SELECT pg_catalog.nextval('{}');", name.replace('\'', "''")));
        }
    }

    fn columns(&mut self, many: usize) -> (Vec<String>, Vec<String>) {
        let (mut names, mut columns) = (vec!["id".to_owned()], vec!["id int".to_owned()]);
        for n in 0..many {
            let (name, kind) = (self.random.name("c", n), self.type_of_column());
            let further = match self.random.below(9) {
                0 if kind == "text" => " COLLATE \"C\" DEFAULT 'it''s \\'",
                1 if kind == "int" => " GENERATED ALWAYS AS (id * 2) STORED",
                2 if kind == "int" => " DEFAULT 3 CHECK (id < 1000000)",
                3 if kind == "bigint" => " GENERATED BY DEFAULT AS IDENTITY",
                4 if kind.starts_with("timestamp") => " DEFAULT '2024-01-01 00:00:00+00'",
                _ => "",
            };
            columns.push(format!("{name} {kind}{further}"));
            names.push(name);
        }
        (names, columns)
    }

    fn table(&mut self, n: usize) {
        let name = self.name("t", n);
        let many = self.random.below(7);
        let (names, mut columns) = self.columns(many);
        let parent = self.random.pick(&self.tables).filter(|_| self.random.below(6) == 0);
        let function = self.random.pick(&self.functions);
        if let (Some(function), 0) = (&function, self.random.below(2)) {
            columns.push(format!("CONSTRAINT {} CHECK ({function}(id) <> 0)", self.random.name("k", n)));
        }
        if self.random.below(3) > 0 {
            columns.push("PRIMARY KEY (id)".into());
        }
        let inherits = parent.map(|parent| format!(" INHERITS ({})", parent.name)).unwrap_or_default();
        let unlogged = if self.random.below(10) == 0 { "UNLOGGED " } else { "" };
        let options = if self.random.below(5) == 0 { " WITH (fillfactor = 61, toast.autovacuum_enabled = off)" } else { "" };
        self.say(format!("CREATE {unlogged}TABLE {name} ({}){inherits}{options};", columns.join(", ")));
        let rows = self.random.below(40);
        self.say(format!("INSERT INTO {name} (id) SELECT i FROM generate_series(1, {rows}) i;"));
        if let Some(text) = columns.iter().position(|column| column.ends_with(" text")).and_then(|at| names.get(at)) {
            self.say(format!("UPDATE {name} SET {text} = repeat(E'\\\\N\\t\\n' || id, id % 5) WHERE id % 3 > 0;"));
        }
        if let Some(column) = names.last().filter(|column| *column != "id" && self.random.below(5) == 0) {
            self.say(format!("ALTER TABLE {name} DROP COLUMN {column};"));
        } else if let Some(column) = names.last() {
            self.say(format!("ALTER TABLE {name} ALTER {column} SET STATISTICS {};", 10 + n));
        }
        self.tables.push(Table { name, columns: names });
    }

    fn partitioned(&mut self, n: usize) {
        let name = self.name("p", n);
        let many = self.random.below(4);
        let (names, columns) = self.columns(many);
        let (how, bounds): (&str, [&str; 3]) = match self.random.below(3) {
            0 => ("RANGE (id)", ["FOR VALUES FROM (MINVALUE) TO (10)", "FOR VALUES FROM (10) TO (20)", "DEFAULT"]),
            1 => ("LIST ((id % 3))", ["FOR VALUES IN (0)", "FOR VALUES IN (1, 2)", "FOR VALUES IN (NULL)"]),
            _ => (
                "HASH (id)",
                [
                    "FOR VALUES WITH (MODULUS 3, REMAINDER 0)",
                    "FOR VALUES WITH (MODULUS 3, REMAINDER 1)",
                    "FOR VALUES WITH (MODULUS 3, REMAINDER 2)",
                ],
            ),
        };
        self.say(format!("CREATE TABLE {name} ({}) PARTITION BY {how};", columns.join(", ")));
        for (at, bound) in bounds.iter().enumerate() {
            let part = self.name("pp", n * 10 + at);
            self.say(format!("CREATE TABLE {part} PARTITION OF {name} {bound};"));
            if self.random.below(3) == 0 {
                self.say(format!("CREATE INDEX ON {part} (id) WHERE id > {n};"));
            }
        }
        self.say(format!("INSERT INTO {name} (id) SELECT i FROM generate_series(1, 30) i;"));
        self.say(format!("CREATE INDEX ON {name} (id);"));
        self.tables.push(Table { name, columns: names });
    }

    fn index(&mut self, n: usize) {
        let Some(table) = self.random.pick(&self.tables) else { return };
        let (column, other) =
            (self.random.pick(&table.columns).unwrap_or_default(), self.random.pick(&table.columns).unwrap_or_default());
        let name = self.random.name("i", n);
        let table = table.name;
        let function = self.random.pick(&self.functions);
        let statement = match (self.random.below(5), function) {
            (0, _) => format!("CREATE INDEX {name} ON {table} USING hash ({column});"),
            (1, _) => format!("CREATE INDEX {name} ON {table} USING gin ({column});"),
            (2, Some(function)) => format!("CREATE INDEX {name} ON {table} ({function}(id)) WHERE {function}(id) > {n};"),
            (3, _) => format!("CREATE INDEX {name} ON {table} USING brin ({column}) WITH (pages_per_range = 7);"),
            _ => format!("CREATE INDEX {name} ON {table} ({column} DESC NULLS LAST) INCLUDE ({other});"),
        };
        self.say(statement);
    }

    fn view(&mut self, n: usize) {
        let name = self.name("v", n);
        let below = if self.random.below(2) == 0 { self.random.pick(&self.views) } else { None };
        let Some(from) = below.or_else(|| self.random.pick(&self.tables).map(|table| table.name)) else { return };
        let table = self.random.pick(&self.tables).unwrap_or_default();
        let statement = match self.random.below(5) {
            0 => format!("CREATE MATERIALIZED VIEW {name} AS SELECT id, id + {n} AS more FROM {from};"),
            1 => format!("CREATE VIEW {name} AS SELECT * FROM {} GROUP BY id;", table.name),
            2 => format!(
                "CREATE VIEW {name} WITH (security_barrier) AS SELECT a.id, count(*) AS many FROM {from} a LEFT JOIN {} b ON a.id = b.id GROUP BY a.id;",
                table.name
            ),
            3 => format!("CREATE VIEW {name} AS SELECT id FROM {from} UNION SELECT id FROM {};", table.name),
            _ => format!("CREATE VIEW {name} AS SELECT * FROM {from} WHERE id > {n};"),
        };
        self.say(statement);
        self.views.push(name);
    }

    fn foreign_key(&mut self, n: usize) {
        let (Some(a), Some(b)) = (self.random.pick(&self.tables), self.random.pick(&self.tables)) else { return };
        let how = ["", " ON DELETE CASCADE", " DEFERRABLE INITIALLY DEFERRED", " NOT VALID"].map(String::from);
        let (name, how) = (self.random.name("k", n), self.random.pick(&how).unwrap_or_default());
        self.say(format!("ALTER TABLE {} ADD CONSTRAINT {name} FOREIGN KEY (id) REFERENCES {} (id){how};", a.name, b.name));
    }

    fn trigger(&mut self, n: usize) {
        let Some(table) = self.random.pick(&self.tables) else { return };
        let (name, function, trigger) = (table.name, self.name("tf", n), self.random.name("tr", n));
        self.say(format!("CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"));
        self.say(format!(
            "CREATE TRIGGER {trigger} AFTER INSERT OR UPDATE ON {name} FOR EACH ROW EXECUTE FUNCTION {function}('{n}');"
        ));
        if self.random.below(3) == 0 {
            self.say(format!("ALTER TABLE {name} DISABLE TRIGGER {trigger};"));
        } else if self.random.below(3) == 0 {
            self.say(format!(
                "ALTER TABLE {name} ENABLE ROW LEVEL SECURITY; CREATE POLICY {trigger} ON {name} USING (id > {n});"
            ));
        }
    }

    fn right_or_comment(&mut self, roles: &[String]) {
        let Some(table) = self.random.pick(&self.tables) else { return };
        let role = self.random.pick(roles).unwrap_or_default();
        let column = self.random.pick(&table.columns).unwrap_or_default();
        let name = table.name;
        let statement = match self.random.below(6) {
            0 => format!("GRANT SELECT, UPDATE ON {name} TO {role} WITH GRANT OPTION;"),
            1 => format!("GRANT INSERT ({column}) ON {name} TO {role};"),
            2 => format!("ALTER TABLE {name} OWNER TO {role};"),
            3 => format!("ALTER DEFAULT PRIVILEGES FOR ROLE {role} GRANT SELECT ON TABLES TO PUBLIC;"),
            4 => format!("COMMENT ON COLUMN {name}.{column} IS 'it''s a \\ column';"),
            _ => format!("COMMENT ON TABLE {name} IS E'two\\nlines';"),
        };
        self.say(statement);
    }
}

/// Numbers that follow from the seed alone.
#[derive(Default)]
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        // xorshift64*, by Vigna.
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bound = u64::try_from(bound.max(1)).unwrap_or(1);
        usize::try_from((self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound).unwrap_or(0)
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> Option<T> {
        let at = self.below(of.len());
        of.get(at).cloned()
    }

    /// A quoted name; the number makes it one of its kind.
    fn name(&mut self, prefix: &str, n: usize) -> String {
        let odd = ["", "", "", " blank", "\"\"quote", "'", "\\", "ünï", "日本", ".", "$1", "\n", "UPPER", "%s", ";--"];
        format!("\"{prefix}{}{n}\"", odd.get(self.below(odd.len())).unwrap_or(&""))
    }
}
