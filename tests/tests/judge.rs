//! The judge is judged: it sees every one of these damages, and nothing where there is none.

use backup_tests::{Major, Server, judge};

const SAMPLE: &str = r#"
CREATE ROLE reader; CREATE ROLE login LOGIN PASSWORD 'first';
CREATE DATABASE shop;
\connect shop
CREATE TABLE items (id int PRIMARY KEY, name text, price numeric);
INSERT INTO items VALUES (1, 'one', 1.50), (2, 'two', 2.50), (3, 'three', 3.50);
CREATE INDEX items_name ON items (name);
COMMENT ON TABLE items IS 'what is sold';
GRANT SELECT (id, name) ON items TO reader;
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO reader;
CREATE SEQUENCE numbers; SELECT setval('numbers', 41);
SELECT lo_from_bytea(4711, 'large object');
"#;

/// What is damaged, how, and how it is undone.
const DAMAGES: [(&str, &str, &str); 13] = [
    ("a column's grant", "REVOKE SELECT (name) ON items FROM reader", "GRANT SELECT (name) ON items TO reader"),
    ("a digit", "UPDATE items SET price = 2.51 WHERE id = 2", "UPDATE items SET price = 2.50 WHERE id = 2"),
    ("a comment", "COMMENT ON TABLE items IS 'what is solt'", "COMMENT ON TABLE items IS 'what is sold'"),
    (
        "a default privilege",
        "ALTER DEFAULT PRIVILEGES REVOKE SELECT ON TABLES FROM reader",
        "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO reader",
    ),
    ("an index", "DROP INDEX items_name", "CREATE INDEX items_name ON items (name)"),
    ("a large object", "SELECT lo_put(4711, 6, 'O')", "SELECT lo_put(4711, 6, 'o')"),
    ("a sequence's state", "SELECT setval('numbers', 41, false)", "SELECT setval('numbers', 41)"),
    ("a storage", "ALTER TABLE items ALTER name SET STORAGE EXTERNAL", "ALTER TABLE items ALTER name SET STORAGE EXTENDED"),
    ("a password", "ALTER ROLE login PASSWORD 'second'", ""),
    ("a setting of postgres", "ALTER DATABASE postgres SET work_mem = '5MB'", "ALTER DATABASE postgres RESET work_mem"),
    ("a role's attribute", "ALTER ROLE reader CREATEDB", "ALTER ROLE reader NOCREATEDB"),
    (
        "two values swapped",
        "UPDATE items SET name = CASE id WHEN 1 THEN 'two' ELSE 'one' END WHERE id IN (1, 2)",
        "UPDATE items SET name = CASE id WHEN 1 THEN 'one' ELSE 'two' END WHERE id IN (1, 2)",
    ),
    (
        "a table without its rows",
        "TRUNCATE items",
        "INSERT INTO items VALUES (3, 'three', 3.50), (1, 'one', 1.50), (2, 'two', 2.50)",
    ),
];

fn every_damage_is_seen(major: Major) {
    let (Some(a), Some(b)) = (Server::start(major), Server::start(major)) else { return };
    for server in [&a, &b] {
        server.psql("postgres", SAMPLE);
    }
    // A hash has a random salt: the copy takes the original's.
    let hash = a.psql("postgres", "SELECT rolpassword FROM pg_authid WHERE rolname = 'login'");
    let same_password = format!("ALTER ROLE login PASSWORD '{hash}'");
    b.psql("postgres", &same_password);
    let original = judge::seen(&a);
    assert_eq!(judge::difference(&a, &b), None, "a true copy");
    for (what, damage, repair) in DAMAGES {
        b.psql("shop", damage);
        let seen = judge::difference_of(&original, &judge::seen(&b));
        assert!(seen.is_some(), "{what}: the damage was not seen");
        b.psql("shop", if repair.is_empty() { &same_password } else { repair });
        assert_eq!(judge::difference_of(&original, &judge::seen(&b)), None, "{what}: repaired");
    }
}

#[test]
fn every_damage_is_seen_on_15() {
    every_damage_is_seen(Major::V15);
}

#[test]
fn every_damage_is_seen_on_17() {
    every_damage_is_seen(Major::V17);
}

#[test]
fn every_damage_is_seen_on_18() {
    every_damage_is_seen(Major::V18);
}

#[test]
fn a_difference_says_where() {
    let a = b"\\connect shop\n-- Name: items; Type: TABLE DATA\nCOPY items FROM stdin;\n1\tone\n2\ttwo\n\\.\n";
    let b = b"\\connect shop\n-- Name: items; Type: TABLE DATA\nCOPY items FROM stdin;\n2\tzwo\n1\tone\n\\.\n";
    let said = judge::difference_of(a, b).expect("a difference");
    for part in ["in \\connect shop", "in -- Name: items", " - 2\ttwo", " + 2\tzwo"] {
        assert!(said.contains(part), "{part:?} is missing in {said}");
    }
}

#[test]
fn rows_in_another_order_and_keys_of_restrict_are_no_difference() {
    let a = b"\\restrict a\nCREATE TABLESPACE t OWNER x LOCATION '/a';\nCOPY items FROM stdin;\n1\n2\n\\.\n";
    let b = b"\\restrict b\nCREATE TABLESPACE t OWNER x LOCATION '/b';\nCOPY items FROM stdin;\n2\n1\n\\.\n";
    assert_eq!(judge::difference_of(a, b), None);
    let lines_of_a_function = b"SELECT 2\nSELECT 1\n";
    assert!(judge::difference_of(b"SELECT 1\nSELECT 2\n", lines_of_a_function).is_some());
}
