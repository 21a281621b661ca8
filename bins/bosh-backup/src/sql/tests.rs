//! Dumps as pg_dump and pg_dumpall write them, and as somebody may send them.

use backup_core::Kind;

use super::*;
use crate::replace::ordered;

/// As `pg_dumpall --clean` of PostgreSQL 15 has it, shortened.
const ALL: &str = r#"--
-- PostgreSQL database cluster dump
--

\restrict abc
SET client_encoding = 'UTF8';
DROP DATABASE bosh;
DROP DATABASE "we ird";
DROP ROLE director;
CREATE ROLE director;
ALTER ROLE director WITH LOGIN PASSWORD 'SCRAM-SHA-256$secret';
CREATE ROLE vcap;
ALTER ROLE vcap WITH SUPERUSER;
GRANT vcap TO director GRANTED BY vcap;

\unrestrict abc
\connect template1

--
-- PostgreSQL database dump
--

-- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)

SET statement_timeout = 0;

--
-- PostgreSQL database dump complete
--

--
-- Database "bosh" dump
--

CREATE DATABASE bosh WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE = 'C';
ALTER DATABASE bosh OWNER TO director;
\connect bosh
COMMENT ON DATABASE bosh IS 'of the DATABASE bosh';
ALTER DATABASE bosh SET work_mem TO '8MB';
ALTER ROLE director IN DATABASE bosh SET work_mem TO '9MB';
\connect bosh
SET standard_conforming_strings = on;
CREATE SCHEMA public;
CREATE TABLE public.instances (id integer, vm_cid text);
COPY public.instances (id, vm_cid) FROM stdin;
1	vm-1
2	DROP DATABASE bosh;
\.
GRANT ALL ON DATABASE bosh TO director;

--
-- PostgreSQL database dump complete
--

CREATE DATABASE "we ird" WITH TEMPLATE = template0;
\connect -reuse-previous=on "dbname='we ird'"
CREATE TABLE public.other (id integer);

--
-- PostgreSQL database dump complete
--

--
-- PostgreSQL database cluster dump complete
--

"#;

fn dump(text: &str) -> Body {
    body::from_bytes(text.to_owned())
}

async fn script(text: &str, database: &str, roles: &[&str]) -> Result<String> {
    let roles = roles.iter().map(|role| (*role).to_owned()).collect();
    let wanted = Wanted { database: database.into(), working: "w_1".into(), roles };
    let script = body::to_vec(Sql([].into()).script(dump(text), &wanted), 1 << 20).await?;
    Ok(String::from_utf8(script).expect("text"))
}

#[tokio::test]
async fn what_a_dump_has_is_told() {
    let inspected = Sql([].into()).inspect(dump(ALL)).await.expect("whole");
    let databases: Vec<_> = inspected.databases.iter().map(|found| (found.name.as_str(), found.rows)).collect();
    assert_eq!(databases, [("template1", 0), ("bosh", 2), ("we ird", 0)]);
    assert_eq!(inspected.roles, ["director", "vcap"]);
    assert_eq!(inspected.version.as_deref(), Some("15.18"));
}

#[tokio::test]
async fn ids_in_the_rows_of_the_database_become_others() {
    let pairs = ["vm-1=vm-2", "bosh=x", "nosuch=y"].map(|pair| pair.parse().expect("a pair"));
    let sql = Sql(ordered(pairs.into()).expect("pairs"));
    let inspected = sql.inspect(dump(ALL)).await.expect("whole");
    let counts = |nth: usize| inspected.databases[nth].replaced.values().copied().collect::<Vec<_>>();
    assert_eq!((counts(1), counts(2)), (vec![1, 0, 1], vec![0, 0, 0]), "bosh, nosuch, vm-1");
    let wanted = Wanted { database: "bosh".into(), working: "w_1".into(), roles: vec![] };
    let script = body::to_vec(sql.script(dump(ALL), &wanted), 1 << 20).await.expect("whole");
    let script = String::from_utf8(script).expect("text");
    assert!(script.contains("\n1\tvm-2\n2\tDROP DATABASE x;\n\\.\n"), "{script}");
    assert!(script.contains("IS 'of the DATABASE bosh'"), "nothing but rows: {script}");
}

#[tokio::test]
async fn a_dump_that_breaks_off_anywhere_is_damaged() {
    let end = ALL.len() - "\n--\n\n".len();
    for cut in 0..end {
        let error = Sql([].into()).inspect(dump(&ALL[..cut])).await.expect_err("cut");
        assert_eq!(error.kind(), Kind::Damaged, "cut at {cut}: {error}");
    }
    // What follows the end shows that it was none.
    let more = format!("{ALL}CREATE ROLE x;\n");
    assert_eq!(Sql([].into()).inspect(dump(&more)).await.expect_err("it goes on").kind(), Kind::Damaged);
    // The words of the end among rows are none either.
    let (start, _) = ALL.split_once("\\.").expect("rows");
    let rows = format!("{start}-- PostgreSQL database cluster dump complete\n\\.\n");
    assert_eq!(Sql([].into()).inspect(dump(&rows)).await.expect_err("cut").kind(), Kind::Damaged);
}

#[tokio::test]
async fn one_database_comes_out_under_another_name_and_nothing_touches_what_is_there() {
    let script = script(ALL, "bosh", &["director"]).await.expect("whole");
    let expected = "SET client_encoding = 'UTF8';\n\
            BEGIN;\nCREATE ROLE director;\nALTER ROLE director WITH LOGIN PASSWORD 'SCRAM-SHA-256$secret';\nGRANT vcap TO director GRANTED BY vcap;\nCOMMIT;\n\
            CREATE DATABASE w_1 WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE = 'C';\nALTER DATABASE w_1 OWNER TO director;\n\
            \\connect w_1\nCOMMENT ON DATABASE w_1 IS 'of the DATABASE bosh';\nALTER DATABASE w_1 SET work_mem TO '8MB';\n\
            ALTER ROLE director IN DATABASE w_1 SET work_mem TO '9MB';\n\
            \\connect w_1\nSET standard_conforming_strings = on;\n\
            CREATE TABLE public.instances (id integer, vm_cid text);\nCOPY public.instances (id, vm_cid) FROM stdin;\n\
            1\tvm-1\n2\tDROP DATABASE bosh;\n\\.\nGRANT ALL ON DATABASE w_1 TO director;\n";
    assert_eq!(script, expected);
}

#[tokio::test]
async fn a_database_of_any_name_comes_out_and_none_that_is_not_there() {
    let other = script(ALL, "we ird", &[]).await.expect("whole");
    assert!(
        other.ends_with(
            "CREATE DATABASE w_1 WITH TEMPLATE = template0;\n\\connect w_1\nCREATE TABLE public.other (id integer);\n"
        ),
        "{other}"
    );
    assert!(!other.contains("ROLE") && !other.contains("instances"), "{other}");
    // As PostgreSQL 9.0 begins with, and of what nobody makes.
    let template = script(ALL, "template1", &[]).await.expect("whole");
    assert!(template.contains("CREATE DATABASE w_1 TEMPLATE template0;\n\\connect w_1\n"), "{template}");
    for (text, database) in [(ALL, "nosuch"), (ALL.split_once("\nGRANT ALL").expect("a part").0, "bosh")] {
        assert_eq!(script(text, database, &[]).await.expect_err("not all of it").kind(), Kind::Damaged);
    }
}

#[tokio::test]
async fn what_would_run_a_program_is_no_dump() {
    for bad in ["\\! touch /tmp/x", "\\copy t from program 'x'", "SELECT 1 \\g |sh", "\\connect `id`"] {
        let text = ALL.replacen("CREATE SCHEMA public;", bad, 1);
        Sql([].into()).inspect(dump(&text)).await.expect_err(bad);
        script(&text, "bosh", &[]).await.expect_err(bad);
    }
}
