//! Scripts as psql reads them: nasty cases one by one, and random ones cut at random places.

use backup_core::{Error, Kind, Result};
use bytes::Bytes;
use futures_util::{FutureExt, stream};
use proptest::prelude::*;
use tokio_util::io::StreamReader;

use super::{Item, MetaCommand, Scanner};

/// An item without what depends on how the script was cut into chunks.
#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Sql(String),
    Copy(String, Vec<u8>),
    Connect(Option<String>),
    Meta,
    Blank,
}

/// Scans `script`, read in pieces of the lengths `cuts` in turn; checks that the raw bytes are those of the script.
fn scan_cut(script: &[u8], cuts: &[usize]) -> (Vec<Piece>, Option<Error>) {
    let (mut chunks, mut rest, mut cuts) = (Vec::new(), script, cuts.iter().cycle());
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at((*cuts.next().unwrap()).clamp(1, rest.len()));
        chunks.push(std::io::Result::Ok(Bytes::copy_from_slice(chunk)));
        rest = after;
    }
    let mut scanner = Scanner::new(StreamReader::new(stream::iter(chunks)));
    let (mut pieces, mut raw) = (Vec::new(), Vec::new());
    loop {
        let item = match scanner.next().now_or_never().expect("chunks are always ready") {
            Ok(Some(item)) => item,
            Ok(None) => {
                assert_eq!(raw, script, "the raw bytes are the script");
                return (pieces, None);
            }
            Err(error) => {
                assert!(script.starts_with(&raw));
                let again = scanner.next().now_or_never().unwrap().expect_err("a broken scanner stays broken");
                assert_eq!(again.kind(), error.kind());
                return (pieces, Some(error));
            }
        };
        raw.extend_from_slice(item.raw());
        match &item {
            Item::Statement(statement) => pieces.push(Piece::Sql(String::from_utf8_lossy(statement.sql()).into_owned())),
            Item::Copy(statement) => {
                pieces.push(Piece::Copy(String::from_utf8_lossy(statement.sql()).into_owned(), Vec::new()))
            }
            Item::Data(data) => match pieces.last_mut() {
                Some(Piece::Copy(_, rows)) => rows.extend_from_slice(data),
                other => panic!("rows behind {other:?}"),
            },
            Item::CopyEnd(_) => {}
            Item::Meta(meta) => pieces.push(match meta.command() {
                MetaCommand::Connect { database } => {
                    Piece::Connect(database.as_ref().map(|name| String::from_utf8_lossy(name).into_owned()))
                }
                _ => Piece::Meta,
            }),
            Item::Blank(_) => pieces.push(Piece::Blank),
        }
    }
}

/// Scans `script` in one piece and byte by byte, which must agree.
fn scan(script: impl AsRef<[u8]>) -> Result<Vec<Piece>> {
    let script = script.as_ref();
    let (whole, error) = scan_cut(script, &[usize::MAX]);
    let (bytes, other) = scan_cut(script, &[1]);
    assert_eq!(whole, bytes, "in one piece and byte by byte");
    assert_eq!(error.as_ref().map(Error::chain), other.as_ref().map(Error::chain));
    error.map_or(Ok(whole), Err)
}

fn sql(text: &str) -> Piece {
    Piece::Sql(text.to_owned())
}

fn refused(script: impl AsRef<[u8]>) -> (Kind, String) {
    let error = scan(script).expect_err("it must be refused");
    (error.kind(), error.chain())
}

#[test]
fn one_statement_whatever_is_in_it() {
    for statement in [
        "SELECT ';', '--', '/*', '\\', ''';', \";\"\";\", 'a';",
        "SELECT E'\\';', e'it''s \\\\', E'x'';\\'\\';';",
        "SELECT E'a'\n  -- more\n  'b\\';';",
        "SELECT U&'\\0041;' , u&\"\\0041;\", B'01', x'1F', N'a;', n'\\';",
        "SELECT $$;$$, $a$ $$;$b$;$a $a$, $ä1$;$ä1$, $_$ $a$ ; $_$;",
        "SELECT a$b$c, 1 AS d$$e$f;",
        "SELECT $1, $2$a$;$a$;",
        "SELECT $x$a$b$x$;",
        "SELECT $b$a$b$;",
        "SELECT 1 /* ; /* ' */ ; \" */ + /*/**/*/ 2 -- ; ' $$ \\\n;",
        "SELECT 1 */* ; **/ 2 ; ".trim_end(),
        "SELECT 1 -- a\r;",
        "SELECT @--;\n1;",
        "CREATE RULE r AS ON UPDATE TO t DO ALSO (DELETE FROM a; DELETE FROM b);",
        "SELECT ':a', :a, :'b;', :\"c;\", x::text, a[1:2];",
        "SELECT 'a\nb;\n\\connect c\n\\.\n';",
        "SELECT '';",
        ";",
        "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $_$\n\\connect b\nSELECT ';'\n$_$;",
        "CREATE FUNCTION public.f(a int) RETURNS int\n LANGUAGE sql\n BEGIN ATOMIC\n SELECT CASE WHEN a=1 THEN 2 ELSE 3 END;\n SELECT 1;\nEND;",
        "CREATE OR REPLACE PROCEDURE p() BEGIN ATOMIC\n INSERT INTO t VALUES ((CASE WHEN true THEN 1 END));\n INSERT INTO t VALUES (2);\nEND;",
        "create or replace function f() returns int begin atomic return 1; end;",
        "CREATE FUNCTION begin() RETURNS int LANGUAGE sql AS 'SELECT 1';",
        "CREATE FUNCTION public.\"case\"() RETURNS int LANGUAGE sql\n BEGIN ATOMIC\n SELECT t.begin FROM t;\n SELECT 1;\nEND;",
        "CREATE TABLE begin (atomic int);",
        "SELECT 'é', \"ü\", \u{feff};",
    ] {
        let got = scan(format!("{statement}\nSELECT 2;\n")).unwrap();
        assert_eq!(got, [sql(statement), sql("SELECT 2;"), Piece::Blank]);
    }
}

#[test]
fn many_statements_in_a_line() {
    assert_eq!(scan("SELECT 1;SELECT 2; ;").unwrap(), [sql("SELECT 1;"), sql("SELECT 2;"), sql(";")]);
    assert_eq!(scan("BEGIN; END; BEGIN;").unwrap(), [sql("BEGIN;"), sql("END;"), sql("BEGIN;")]);
    assert_eq!(scan("").unwrap(), []);
    assert_eq!(scan("-- all\n/* of it */").unwrap(), [Piece::Blank]);
    assert_eq!(scan("\u{feff}SELECT 1;").unwrap(), [sql("SELECT 1;")]);
}

#[test]
fn backslashes_in_strings_follow_the_setting() {
    let script = "SET standard_conforming_strings = off;\nSELECT 'a\\';', U&'\\', B'\\';\n\
                  SET SESSION standard_conforming_strings TO 'on';\nSELECT '\\';";
    assert_eq!(scan(script).unwrap()[1], sql("SELECT 'a\\';', U&'\\', B'\\';"));
    assert_eq!(scan(script).unwrap().len(), 4);
    let script = "SET standard_conforming_strings = off;\n\\connect b\nSELECT '\\';";
    assert_eq!(scan(script).unwrap()[2], sql("SELECT '\\';"), "a new session begins with the default");
}

#[test]
fn rows_end_at_the_marker_alone() {
    let rows =
        b"1\t\\N\n\\\\connect x\n\\connect b\n\\.x\n\\..\n \\.\n\\. \nCOPY t FROM stdin;\n;'\"$$/*--\n\xff\xfe\x00\r\n\\.\rx\n"
            .to_vec();
    for end in ["\\.\n", "\\.\r\n"] {
        let script = [b"COPY public.t (a, \"b;c\") FROM stdin;\n", &rows[..], end.as_bytes(), b"SELECT 1;"].concat();
        let copy = Piece::Copy("COPY public.t (a, \"b;c\") FROM stdin;".to_owned(), rows.clone());
        assert_eq!(scan(&script).unwrap(), [copy, sql("SELECT 1;")]);
    }
    assert_eq!(scan("COPY t FROM stdin;\n\\.").unwrap(), [Piece::Copy("COPY t FROM stdin;".to_owned(), vec![])]);
    assert_eq!(
        scan("COPY t FROM stdin; \r\n\n\n\\.\n").unwrap(),
        [Piece::Copy("COPY t FROM stdin;".to_owned(), b"\n\n".to_vec())]
    );
}

#[test]
fn what_is_a_copy_from_stdin_and_what_is_not() {
    for copy in [
        "COPY t FROM stdin;",
        "copy t from STDIN;",
        "COPY \"from\" (\"stdin\", b) FROM /* here */ stdin WITH (FORMAT csv, HEADER);",
        "-- c\nCOPY t FROM stdin DELIMITER ';' NULL '';",
        "COPY public.copy FROM stdin WHERE (a > 1);",
        "COPY t FROM stdout;",
        "COPY \"FROM stdin\".\"it's\" FROM stdin;",
    ] {
        let got = scan(format!("{copy}\na\n\\.\n")).unwrap();
        assert!(matches!(&got[..], [Piece::Copy(_, rows)] if rows == b"a\n"), "{copy}: {got:?}");
    }
    for other in [
        "COPY t TO stdout;",
        "COPY t FROM 'stdin';",
        "COPY t FROM PROGRAM 'stdin';",
        "COPY (SELECT a FROM stdin) TO stdout;",
        "SELECT copy FROM stdin;",
        "COMMENT ON TABLE copy IS 'FROM stdin';",
        "DELETE FROM stdin;",
        "COPY t FROM \"stdin\";",
    ] {
        assert_eq!(scan(other).unwrap(), [sql(other)]);
    }
    for binary in
        ["COPY t FROM stdin (FORMAT binary);\n", "COPY BINARY t FROM stdin;\n", "COPY t FROM stdin WITH (FORMAT 'Binary');\n"]
    {
        assert_eq!(refused(binary).0, Kind::Usage);
    }
    assert_eq!(refused("COPY t FROM stdin; SELECT 1;\n1\n\\.\n").0, Kind::Usage);
}

#[test]
fn connect_in_every_form() {
    for (text, database) in [
        ("\\connect app", Some("app")),
        ("\\c app", Some("app")),
        ("  \\connect   app  ", Some("app")),
        ("\\connect App;", Some("App")),
        ("\\connect \"a;\"", Some("a;")),
        ("\\connect \"my \"\"db\"\"\"", Some("my \"db\"")),
        ("\\connect 'it''s \\142\\x63\\n'", Some("it's bc\n")),
        ("\\connect -reuse-previous=on \"dbname='a \\'b'\"", Some("a 'b")),
        ("\\connect -reuse-previous=on \"dbname='back\\\\slash \"\"q\"\" é'\"", Some("back\\slash \"q\" é")),
        ("\\connect -reuse-previous=on \"dbname='a''b'\"", None),
        ("\\connect \"host = /tmp dbname = x\\ y port=5\"", Some("x y")),
        ("\\connect \"port=1\"", None),
        ("\\connect 'postgresql://u:p@h:1/my%20db?a=b'", Some("my db")),
        ("\\connect \"postgres://h?dbname=x&sslmode=disable\"", Some("x")),
        ("\\connect - user", None),
        ("\\connect \"-\"", Some("-")),
        ("\\connect", None),
        ("\\connect app bob localhost 5432", Some("app")),
    ] {
        if text.contains("''b") {
            // A quote right behind a quoted value is no connection string.
            assert_eq!(refused(format!("{text}\n")).0, Kind::Usage);
            continue;
        }
        assert_eq!(
            scan(format!("{text}\nSELECT 1;")).unwrap(),
            [Piece::Connect(database.map(str::to_owned)), sql("SELECT 1;")],
            "{text}"
        );
        assert_eq!(scan(format!("{text}\r\nSELECT 1;")).unwrap()[0], Piece::Connect(database.map(str::to_owned)), "{text}");
    }
}

#[test]
fn other_commands_are_refused_with_their_line() {
    for text in [
        "\\! rm -rf /",
        "\\i /etc/passwd",
        "\\copy t from program 'id'",
        "\\o |sh",
        "\\set a `id`",
        "\\connect `id`",
        "\\connect a\\! id",
        "\\connect a \\\\ \\! id",
        "\\connect :DBNAME",
        "\\connect :'DBNAME'",
        "\\connect \"a",
        "\\connect 'a",
        "\\connectx a",
        "\\",
        "\\.",
        "\\encoding",
        "\\encoding SJIS",
        "SET client_encoding = 'SJIS';",
        "SET NAMES 'Shift_JIS';",
        "\\gexec",
        "SELECT 1 \\gexec",
        "SELECT 1 \\; SELECT 2;",
        "SELECT (\\! id\n);",
    ] {
        let (kind, line) = refused(format!("SELECT 1;\n\n{text}\n"));
        assert_eq!(kind, Kind::Usage, "{text}");
        assert!(line.starts_with("line 3: "), "{line}");
    }
    assert_eq!(refused("PGDMP\x01\x0e").0, Kind::Usage);
    assert_eq!(refused(b"\xff\xfeS\0E\0").0, Kind::Usage);
}

#[test]
fn restricted_means_that_no_command_is_let_through() {
    assert_eq!(scan("\\restrict k1\nSELECT 1;\n\\unrestrict k1\n\\connect a\n").unwrap().len(), 4);
    for script in
        ["\\restrict a\n\\connect b\n", "\\restrict a\n\\unrestrict b\n", "\\unrestrict a\n", "\\restrict a\n\\restrict a\n"]
    {
        assert_eq!(refused(script).0, Kind::Usage);
    }
}

#[test]
fn an_end_that_comes_too_early_says_what_was_open_and_where() {
    for (open, what) in [
        ("'abc", "string"),
        ("E'abc\\", "string"),
        ("\"abc", "quoted name"),
        ("$a$abc$a", "dollar-quoted string"),
        ("/* /* */", "comment"),
        ("(1", "statement"),
        ("1 -- no semicolon", "statement"),
        ("u&", "statement"),
    ] {
        let (kind, line) = refused(format!("SELECT 1;\n-- x\nSELECT\n {open}"));
        assert_eq!(kind, Kind::Damaged, "{open}");
        let begins = if what == "statement" { 3 } else { 4 };
        assert_eq!(line, format!("the script breaks off inside of the {what} that begins in line {begins}"));
    }
    for cut in [
        "COPY t FROM stdin;",
        "COPY t FROM stdin;\n",
        "COPY t FROM stdin;\n1\t2\n",
        "COPY t FROM stdin;\n1\t2",
        "COPY t FROM stdin;\n\\",
    ] {
        let (kind, line) = refused(format!("\n{cut}"));
        assert_eq!((kind, line.as_str()), (Kind::Damaged, "the script breaks off inside of the COPY that begins in line 2"));
    }
    assert_eq!(refused("/* a").0, Kind::Damaged);
    for cut in ["\\", "\\conn", "\\connect \"a", "\\restrict abc\n\\unrestrict ab"] {
        assert_eq!(refused(cut).0, Kind::Damaged, "{cut}");
    }
    assert_eq!(refused("CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1;").0, Kind::Damaged);
}

#[test]
fn bytes_that_are_not_utf8_pass() {
    let script = b"SELECT '\xe9', \"\xff\";\nCOPY \"t\xe9\" FROM stdin;\n\xe9\xff\n\\.\nSELECT $\xe9$;$\xe9$;";
    assert_eq!(scan(script).unwrap().len(), 3);
}

#[tokio::test]
async fn a_statement_tells_where_it_stands_and_what_it_is() {
    let script = "\n-- c\nGRANT ALL ON\n DATABASE \"a b\" TO x;\nALTER ROLE bob PASSWORD 'se''cret' VALID UNTIL 'x';";
    let mut scanner = Scanner::new(script.as_bytes());
    let Some(Item::Statement(grant)) = scanner.next().await.unwrap() else { panic!("a statement") };
    assert_eq!((grant.line(), grant.head(), grant.leading()), (3, "grant all on database \"\" to x ;", &b"\n-- c\n"[..]));
    assert_eq!(grant.shown(), "GRANT ALL ON");
    let Some(Item::Statement(alter)) = scanner.next().await.unwrap() else { panic!("a statement") };
    assert_eq!((alter.line(), alter.head()), (5, "alter role bob password '' valid until '' ;"));
    assert!(!alter.shown().contains("cret"), "{}", alter.shown());
}

#[tokio::test]
async fn strings_are_not_shown_whatever_stands_before_them() {
    for sql in [
        r#"ALTER SERVER "it's" OPTIONS (SET password 'secret', b 'secret');"#,
        r"ALTER SERVER s OPTIONS (SET password E'a''b\' secret', b 'secret');",
        r"ALTER SERVER s OPTIONS (SET a '\', b 'secret', c '\');",
    ] {
        let mut scanner = Scanner::new(sql.as_bytes());
        let Some(Item::Statement(statement)) = scanner.next().await.unwrap() else { panic!("a statement") };
        let shown = statement.shown();
        assert!(shown.starts_with("ALTER SERVER") && !shown.contains("secret"), "{shown}");
    }
}

#[tokio::test]
async fn a_statement_without_end_is_not_collected_for_ever() {
    let mut scanner = Scanner::new(tokio::io::repeat(b'a')).with_longest(1 << 20);
    assert_eq!(scanner.next().await.unwrap_err().kind(), Kind::Failed);
}

/// Pieces of scripts with the items that they are.
fn piece() -> impl Strategy<Value = (String, Piece)> {
    let token = prop_oneof![
        Just("'a''b;'".to_owned()),
        Just("\"x\"\";\"".to_owned()),
        Just("E'\\';'".to_owned()),
        Just("$q$;'$q$".to_owned()),
        Just("$$--;$$".to_owned()),
        Just("/* ;/*'*/ */".to_owned()),
        Just("-- ; '\n".to_owned()),
        Just("(a;b)".to_owned()),
        Just("U&'\\;'".to_owned()),
        Just("x + 1".to_owned()),
        Just("u & b * / - $1".to_owned()),
        Just("\n".to_owned()),
        "[a-zäé0-9_]{1,9}",
    ];
    let statement = prop::collection::vec(token, 0..8).prop_map(|tokens| {
        let text = format!("SELECT {};", tokens.join(" "));
        (format!("{text}\n"), Piece::Sql(text))
    });
    let rows = prop::collection::vec("[a-z\\\\.\t;' ]{0,12}", 0..9).prop_map(|lines| {
        let rows: String = lines.iter().filter(|line| *line != "\\.").map(|line| format!("{line}\n")).collect();
        (format!("COPY t FROM stdin;\n{rows}\\.\n"), Piece::Copy("COPY t FROM stdin;".to_owned(), rows.into_bytes()))
    });
    let name = "[a-z \"é.=']{1,9}".prop_map(|name| {
        let value = name.replace('\'', "\\'");
        let quoted = format!("dbname='{value}'").replace('"', "\"\"");
        (format!("\\connect -reuse-previous=on \"{quoted}\"\n"), Piece::Connect(Some(name)))
    });
    prop_oneof![4 => statement, 2 => rows, 1 => name]
}

proptest! {
    #[test]
    fn a_script_is_its_pieces_however_it_is_cut(
        pieces in prop::collection::vec(piece(), 0..12),
        cuts in prop::collection::vec(1_usize..40, 1..9),
    ) {
        let script: String = pieces.iter().map(|(text, _)| text.as_str()).collect();
        let (mut got, error) = scan_cut(script.as_bytes(), &cuts);
        prop_assert!(error.is_none(), "{error:?}");
        if got.last() == Some(&Piece::Blank) {
            got.pop();
        }
        prop_assert_eq!(got, pieces.into_iter().map(|(_, piece)| piece).collect::<Vec<_>>());
    }

    #[test]
    fn any_bytes_end_in_items_or_an_error_however_they_are_cut(
        script in prop::collection::vec(prop_oneof![
            prop::sample::select(&b"'\"$\\/*-;:().\n\rEeUu&BbXx a1_\xe9"[..]).prop_map(|byte| vec![byte]),
            prop::sample::select(&["COPY t FROM stdin;\n", "\\.\n", "\\connect a\n", "BEGIN ATOMIC", "END", "CREATE FUNCTION ", "$a$", "''"][..])
                .prop_map(|text| text.as_bytes().to_vec()),
            prop::collection::vec(any::<u8>(), 1..4),
        ], 0..60).prop_map(|pieces| pieces.concat()),
        cuts in prop::collection::vec(1_usize..9, 1..5),
    ) {
        let (whole, error) = scan_cut(&script, &[usize::MAX]);
        let (cut, other) = scan_cut(&script, &cuts);
        prop_assert_eq!(error.map(|error| error.chain()), other.map(|error| error.chain()));
        prop_assert_eq!(coalesced(whole), coalesced(cut));
    }
}

/// Rows before an error can be cut anywhere.
fn coalesced(mut pieces: Vec<Piece>) -> Vec<Piece> {
    if let Some(Piece::Copy(_, rows)) = pieces.last_mut() {
        rows.clear();
    }
    pieces
}

#[tokio::test]
async fn statements_about_roles_are_told_from_privileges_on_things() {
    for (sql, of_roles) in [
        ("CREATE ROLE app;", true),
        ("ALTER ROLE \"on\" WITH LOGIN;", true),
        ("ALTER ROLE app SET search_path TO 'a';", true),
        ("COMMENT ON ROLE app IS 'x';", true),
        ("GRANT \"a b\" TO app WITH ADMIN OPTION GRANTED BY postgres;", true),
        ("REVOKE a FROM b;", true),
        ("DO LANGUAGE plpgsql 'BEGIN EXECUTE ''CREATE ROLE x''; END';", true),
        ("DO 'BEGIN END';", false),
        ("GRANT SELECT ON TABLE public.item TO reader;", false),
        ("GRANT SELECT(a,b,c,d,e,f,g,h) ON TABLE public.item TO reader;", false),
        ("REVOKE ALL ON SCHEMA public FROM PUBLIC;", false),
        ("ALTER DEFAULT PRIVILEGES FOR ROLE app GRANT SELECT ON TABLES TO reader;", false),
        ("CREATE TABLE role (a int);", false),
    ] {
        let Some(Item::Statement(one)) = Scanner::new(sql.as_bytes()).next().await.expect("it can be read") else {
            panic!("{sql}")
        };
        assert_eq!(one.is_of_roles(), of_roles, "{sql}: {}", one.head());
    }
}
