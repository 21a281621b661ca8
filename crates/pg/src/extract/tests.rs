//! Dumps of clusters as the versions of pg_dumpall write them, taken apart, cut and packed.

use async_compression::tokio::write::{GzipEncoder, ZstdEncoder};
use backup_core::body::{from_bytes, to_vec};
use proptest::prelude::*;

use super::*;

/// What pg_dumpall 11 and later write, with the `\restrict` of the minor versions since August 2025.
const CLUSTER_15: &str = "--
-- PostgreSQL database cluster dump
--

\\restrict k0

SET default_transaction_read_only = off;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;

CREATE ROLE postgres;
ALTER ROLE postgres WITH SUPERUSER PASSWORD 'a\\';

\\unrestrict k0

--
-- Databases
--

--
-- Database \"template1\" dump
--

\\connect template1

--
-- PostgreSQL database dump
--

\\restrict k1

SET statement_timeout = 0;
COMMENT ON SCHEMA public IS '-- PostgreSQL database dump complete
--
';
--
-- PostgreSQL database dump complete
--

\\unrestrict k1

--
-- Database \"my 'db'\" dump
--

--
-- PostgreSQL database dump
--

\\restrict k2

SET statement_timeout = 0;

--
-- Name: my 'db'; Type: DATABASE; Schema: -; Owner: postgres
--

CREATE DATABASE \"my 'db'\" WITH TEMPLATE = template0 ENCODING = 'UTF8';


ALTER DATABASE \"my 'db'\" OWNER TO postgres;

\\unrestrict k2
\\connect -reuse-previous=on \"dbname='my \\'db\\''\"
\\restrict k2

SET statement_timeout = 0;

COMMENT ON DATABASE \"my 'db'\" IS 'x';

ALTER DATABASE \"my 'db'\" SET work_mem TO '1MB';
ALTER ROLE postgres IN DATABASE \"my 'db'\" SET work_mem TO '2MB';

\\unrestrict k2
\\connect -reuse-previous=on \"dbname='my \\'db\\''\"
\\restrict k2

SET search_path = '';

CREATE FUNCTION public.f() RETURNS text LANGUAGE sql AS $_$
\\connect template1
-- PostgreSQL database dump complete
$_$;

COPY public.t (a) FROM stdin;
\\\\connect x
\\connect template1
-- PostgreSQL database dump complete
\\N
\\.

GRANT ALL ON TABLE public.t TO x;
REVOKE ALL ON DATABASE \"my 'db'\" FROM PUBLIC;
GRANT CONNECT,TEMPORARY ON DATABASE \"my 'db'\" TO x;

--
-- PostgreSQL database dump complete
--

\\unrestrict k2

--
-- Database \"z\" dump
--

--
-- PostgreSQL database dump
--

SET statement_timeout = 0;
CREATE DATABASE z;
\\connect z
SELECT 1;
--
-- PostgreSQL database dump complete
--

--
-- PostgreSQL database cluster dump complete
--

";

const MY_DB: &str = "
SET statement_timeout = 0;


SET search_path = '';

CREATE FUNCTION public.f() RETURNS text LANGUAGE sql AS $_$
\\connect template1
-- PostgreSQL database dump complete
$_$;

COPY public.t (a) FROM stdin;
\\\\connect x
\\connect template1
-- PostgreSQL database dump complete
\\N
\\.

GRANT ALL ON TABLE public.t TO x;

--
-- PostgreSQL database dump complete
--
";

/// What pg_dumpall 9.6 and 10 write: databases are created first, and connected to before pg_dump begins.
const CLUSTER_96: &str = "--
-- PostgreSQL database cluster dump
--

SET default_transaction_read_only = off;

CREATE DATABASE \"App\" WITH TEMPLATE = template0 OWNER = postgres;
REVOKE CONNECT,TEMPORARY ON DATABASE template1 FROM PUBLIC;

\\connect \"App\"

SET default_transaction_read_only = off;

--
-- PostgreSQL database dump
--

SET statement_timeout = 0;

--
-- PostgreSQL database dump complete
--

\\connect postgres

SELECT 2;

--
-- PostgreSQL database dump complete
--

--
-- PostgreSQL database cluster dump complete
--

";

async fn extracted(dump: impl Into<bytes::Bytes>, database: &str) -> Result<(String, Extracted)> {
    let mut out = Vec::new();
    let extracted = extract(open(from_bytes(dump.into())).await?, database.as_bytes(), &mut out).await?;
    assert_eq!(extracted.bytes, out.len() as u64);
    Ok((String::from_utf8(out).unwrap(), extracted))
}

async fn refused(dump: impl Into<bytes::Bytes>, database: &str) -> Error {
    extracted(dump, database).await.expect_err("it must be refused")
}

#[tokio::test]
async fn a_database_of_any_name_comes_out_without_its_name() {
    let (sql, extracted) = extracted(CLUSTER_15, "my 'db'").await.unwrap();
    assert_eq!(sql, MY_DB);
    assert_eq!(extracted.left_out, 5);
    assert!(extracted.rest.is_none());
}

#[tokio::test]
async fn the_first_and_the_last_database() {
    let (sql, _) = extracted(CLUSTER_15, "template1").await.unwrap();
    assert!(sql.starts_with("\n--\n-- PostgreSQL database dump\n--\n\n\nSET"), "{sql}");
    assert!(sql.ends_with("';\n--\n-- PostgreSQL database dump complete\n--\n"), "{sql}");
    let (sql, _) = extracted(CLUSTER_15, "z").await.unwrap();
    assert_eq!(sql, "SELECT 1;\n--\n-- PostgreSQL database dump complete\n--\n");
}

#[tokio::test]
async fn a_dump_of_an_old_version() {
    let (sql, _) = extracted(CLUSTER_96, "App").await.unwrap();
    assert!(sql.contains("SET statement_timeout = 0;") && !sql.contains("connect"), "{sql}");
    let (sql, _) = extracted(CLUSTER_96, "postgres").await.unwrap();
    assert_eq!(sql, "\nSELECT 2;\n\n--\n-- PostgreSQL database dump complete\n--\n");
}

#[tokio::test]
async fn a_database_that_stands_there_twice_comes_out_whole() {
    let twice = format!("{CLUSTER_96}\\connect \"App\"\nSELECT 3;\n-- PostgreSQL database dump complete\n");
    let (sql, _) = extracted(twice.clone(), "App").await.unwrap();
    assert!(sql.contains("SELECT 3;\n-- PostgreSQL database dump complete\n"), "{sql}");
    assert_eq!(refused(twice.replace("3;\n-- Post", "3;\n-- "), "App").await.kind(), Kind::Damaged);
}

#[tokio::test]
async fn the_dump_may_have_windows_line_ends() {
    let (sql, _) = extracted(CLUSTER_96.replace('\n', "\r\n"), "postgres").await.unwrap();
    assert_eq!(sql, "\r\nSELECT 2;\r\n\r\n--\r\n-- PostgreSQL database dump complete\r\n--\r\n");
}

#[tokio::test]
async fn what_is_not_there_is_told_with_what_is() {
    let error = refused(CLUSTER_15, "App").await;
    assert_eq!((error.kind(), error.chain().as_str()), (Kind::NotFound, "database App is not in the dump"));
    assert_eq!(error.hint(), Some("the dump has my 'db', template1, z"));
    let globals = "--\n-- PostgreSQL database cluster dump\n--\n\nCREATE ROLE x;\n";
    assert_eq!(refused(globals, "App").await.kind(), Kind::NotFound);
    let one = "--\n-- PostgreSQL database dump\n--\nSELECT 1;\n--\n-- PostgreSQL database dump complete\n--\n";
    let error = refused(one, "App").await;
    assert_eq!(error.kind(), Kind::Usage);
    assert!(error.hint().unwrap().contains("psql"), "{error:?}");
    assert_eq!(refused("PGDMP\u{1}\u{e}", "App").await.kind(), Kind::Usage);
    assert_eq!(refused("BZh91AY", "App").await.hint(), Some("unpack it first: bunzip2 -c FILE"));
    assert_eq!(refused("", "App").await.kind(), Kind::Usage);
}

#[tokio::test]
async fn a_cut_anywhere_before_the_end_of_the_database_is_damage() {
    let begins = CLUSTER_15.find("\\connect -reuse").unwrap() + "\\connect -reuse-previous=on \"dbname='my \\'db\\''\"".len();
    let last = "GRANT CONNECT,TEMPORARY ON DATABASE \"my 'db'\" TO x;\n\n--\n-- PostgreSQL database dump complete";
    let ends = CLUSTER_15.find(last).unwrap() + last.len();
    for cut in begins..ends {
        let error = refused(&CLUSTER_15.as_bytes()[..cut], "my 'db'").await;
        assert_eq!(error.kind(), Kind::Damaged, "cut at {cut}: {error:?}");
    }
    let behind = ends + CLUSTER_15[ends..].find("-- Database").unwrap();
    for cut in behind..CLUSTER_15.len() {
        assert_eq!(extracted(&CLUSTER_15.as_bytes()[..cut], "my 'db'").await.unwrap().0, MY_DB, "cut at {cut}");
    }
}

#[tokio::test]
async fn damage_behind_the_database_is_told_but_it_comes_out() {
    let cut = CLUSTER_15.find("CREATE DATABASE z").unwrap() + 9;
    let (sql, extracted) = extracted(&CLUSTER_15.as_bytes()[..cut], "my 'db'").await.unwrap();
    assert_eq!(sql, MY_DB);
    assert_eq!(extracted.rest.map(|error| error.kind()), Some(Kind::Damaged));
}

async fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzipEncoder::new(Vec::new());
    encoder.write_all(bytes).await.unwrap();
    encoder.shutdown().await.unwrap();
    encoder.into_inner()
}

async fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZstdEncoder::new(Vec::new());
    encoder.write_all(bytes).await.unwrap();
    encoder.shutdown().await.unwrap();
    encoder.into_inner()
}

#[tokio::test]
async fn packed_dumps_of_several_members_are_read_and_cut_ones_are_damage() {
    let (one, other) = CLUSTER_15.as_bytes().split_at(1000);
    for packed in [[gzip(one).await, gzip(other).await], [zstd(one).await, zstd(other).await]] {
        let (sql, _) = extracted(packed.concat(), "my 'db'").await.unwrap();
        assert_eq!(sql, MY_DB);
        let error = refused(packed[0].clone(), "my 'db'").await;
        assert_eq!(error.kind(), Kind::Damaged);
        for cut in [7, 100, packed[0].len() - 1] {
            let body = open(from_bytes(packed[0][..cut].to_vec())).await.unwrap();
            assert_eq!(to_vec(body, u64::MAX).await.expect_err("cut").kind(), Kind::Damaged, "cut at {cut}");
        }
        let mut flipped = packed[0].clone();
        flipped[200] ^= 4;
        assert_eq!(refused(flipped, "my 'db'").await.kind(), Kind::Damaged);
    }
}

proptest! {
    #[test]
    fn any_data_and_any_function_body_pass_byte_by_byte(
        rows in prop::collection::vec("(\\\\connect z|\\\\\\.x|-- PostgreSQL database dump complete|[a-z;'\"$\\\\]{0,9})", 0..9),
        body in "(\\\\connect z\n|-- PostgreSQL database dump complete\n|[a-z;'\"\\\\\n]{0,9}){0,5}",
    ) {
        let rows: String = rows.iter().filter(|row| *row != "\\.").map(|row| format!("{row}\n")).collect();
        let inside = format!("DO $x${body}$x$;\nCOPY t FROM stdin;\n{rows}\\.\n-- PostgreSQL database dump complete\n");
        let dump = format!("\\connect a\n{inside}\n\\connect z\n{inside}");
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for database in ["a", "z"] {
            prop_assert_eq!(&runtime.block_on(extracted(dump.clone(), database)).unwrap().0, &inside);
        }
    }
}
