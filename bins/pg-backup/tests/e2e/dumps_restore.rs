//! `dumps restore`: what comes back, what stays, and that nothing is touched where it fails.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use backup_tests::{Major, Server};
use serde_json::Value;

use crate::program::until;
use crate::shelf::{Generation, Shelf, gzip, name_of};

const ALL: [(Major, Generation); 4] = [
    (Major::V15, Generation::First),
    (Major::V15, Generation::Later),
    (Major::V18, Generation::First),
    (Major::V18, Generation::Later),
];

/// A dump with `sql` put in before its first rows.
pub(crate) fn with(dump: &[u8], sql: &str) -> Vec<u8> {
    let text = String::from_utf8(dump.to_vec()).expect("text");
    let at = text.find("\nCOPY ").expect("it has rows");
    format!("{}\n{sql}\n{}", &text[..at], &text[at..]).into_bytes()
}

/// The last line of its JSON.
fn last(text: &str) -> Value {
    serde_json::from_str(text.lines().last().expect("a line")).expect("JSON")
}

#[test]
fn a_dump_takes_the_place_of_the_database_and_the_old_one_is_kept() {
    for (major, generation) in ALL {
        let Some(shelf) = Shelf::new(major, generation) else { return };
        shelf.server.psql(
            "postgres",
            "ALTER DATABASE shop SET work_mem = '5MB'; ALTER ROLE dba IN DATABASE shop SET jit = off; \
             ALTER DATABASE shop CONNECTION LIMIT 17; COMMENT ON DATABASE shop IS 'it''s'; \
             REVOKE ALL ON DATABASE shop FROM PUBLIC; GRANT CONNECT ON DATABASE shop TO dba",
        );
        shelf.server.psql("shop", "ALTER DATABASE shop SET search_path = 'x', public");
        let before = shelf.state("shop");
        let path = shelf.take(3);
        shelf.server.psql("shop", "DROP VIEW public.v; DELETE FROM public.item; CREATE TABLE public.later (id int)");
        let broken = shelf.state("shop");
        let told = shelf.restore(&["-f", &path, "--json"]).ok();
        let text = told.text();
        let done = last(&text);
        assert_eq!((&done["tables"], &done["rows"]), (&Value::from(2), &Value::from(3002)), "{text}");
        assert_eq!(done["top"][0], serde_json::json!(["public.item", 3000]));
        assert!(!text.contains("sesame") && !text.contains("hunter2") && !told.err.contains("sesame"), "{told:?}");
        assert_eq!(shelf.state("shop"), before, "PostgreSQL {major}, {generation:?}");
        let kept = done["kept"].as_str().expect("it is named");
        assert_eq!(shelf.databases(), ["shop", kept]);
        let renamed = |state: &str| state.replace(kept, "shop");
        assert_eq!(renamed(&shelf.state(kept)), broken);
        // Again: the one that was kept stays, and the next one has a name of its own; what removes them is told.
        let again = shelf.restore(&[]).ok().text();
        assert!(
            again.contains(&format!("DROP DATABASE \"{kept}\"")) || again.contains(&format!("DROP DATABASE {kept}")),
            "{again}"
        );
        assert_eq!(shelf.databases().len(), 3);
        shelf.restore(&["--drop-old"]).ok();
        assert_eq!((shelf.databases().len(), shelf.state("shop")), (3, before));
    }
}

/// Nothing in the server is what it was not: the databases, what is in them, and which one has the name.
struct Untouched<'a>(&'a Shelf, Vec<String>, String, String);

impl<'a> Untouched<'a> {
    fn of(shelf: &'a Shelf) -> Self {
        Self(shelf, shelf.databases(), shelf.state("shop"), Self::oid(shelf))
    }

    fn oid(shelf: &Shelf) -> String {
        shelf.server.psql("postgres", "SELECT oid, datallowconn FROM pg_database WHERE datname = 'shop'")
    }

    #[track_caller]
    fn check(&self, when: &str) {
        let Self(shelf, databases, state, oid) = self;
        assert_eq!(&shelf.databases(), databases, "{when}");
        assert_eq!(&Self::oid(shelf), oid, "{when}");
        assert_eq!(&shelf.state("shop"), state, "{when}");
    }
}

#[test]
fn no_dump_means_nothing_is_dropped() {
    for generation in [Generation::First, Generation::Later] {
        let Some(shelf) = Shelf::new(Major::V15, generation) else { return };
        let untouched = Untouched::of(&shelf);
        shelf.restore(&[]).fails_with_hint(3, &["no dump"]);
        untouched.check("an empty tree");
        let path = shelf.take(3);
        for named in [&*shelf.path(4), "20201004", "shop-nothing.sql.gz", "latest-verified"] {
            shelf.restore(&["-f", named]).fails_with_hint(3, &[]);
        }
        // Half a name is no name, and no pattern is one.
        for named in ["shop", ".*", name_of(&path).trim_end_matches(".sql.gz"), "sql.gz"] {
            let ran = shelf.restore(&["-f", named]);
            assert!([2, 3].contains(&ran.code), "{named}: {ran:?}");
        }
        untouched.check("no such dump");
    }
}

#[test]
fn a_neighbours_dump_is_never_restored_into_this_database() {
    for generation in [Generation::First, Generation::Later] {
        let Some(shelf) = Shelf::new(Major::V15, generation) else { return };
        let untouched = Untouched::of(&shelf);
        let own = shelf.take(3);
        let state = shelf.state("shop");
        // Newer ones of others, whose names begin or end alike, and one in progress.
        let other = with(&shelf.pg_dump(), "CREATE TABLE public.of_another (id int);");
        let neighbours = ["shop2", "shop-archive", "old-shop", "shop2020"].map(|name| shelf.path(9).replace("shop", name));
        for path in neighbours.iter().chain([&(shelf.path(9) + ".in_progress")]) {
            shelf.put(path, &other);
        }
        for path in &neighbours {
            shelf.restore(&["-f", path]).fails_with_hint(3, &[]);
            shelf.restore(&["-f", name_of(path)]).fails_with_hint(3, &[]);
        }
        untouched.check("dumps of others");
        shelf.server.psql("shop", "DROP TABLE tag");
        let told = shelf.restore(&["--drop-old"]).ok().text();
        assert!(told.contains(&own), "{told}");
        assert_eq!(shelf.state("shop"), state);
    }
}

#[test]
fn a_damaged_dump_is_refused_before_anything_is_touched() {
    for (major, generation) in ALL {
        let Some(shelf) = Shelf::new(major, generation) else { return };
        let untouched = Untouched::of(&shelf);
        let sql = shelf.pg_dump();
        let (path, whole) = (shelf.path(3), gzip(&sql));
        for (what, file) in [
            ("pg_dump died", gzip(&sql[..sql.len() * 2 / 3])),
            ("pg_dump died before its last words", gzip(sql.split_last_chunk::<60>().expect("it is longer").0)),
            ("cut", whole[..whole.len() / 2].to_vec()),
            ("empty", Vec::new()),
        ] {
            shelf.write(&path, &file);
            for more in [&[][..], &["--in-place", "--yes-in-place"], &["--drop-old"]] {
                shelf.restore(more).fails_with_hint(4, &[&path]);
                untouched.check(what);
            }
        }
    }
}

#[test]
fn without_a_terminal_nothing_is_restored_unless_told_to() {
    let Some(shelf) = Shelf::new(Major::V15, Generation::First) else { return };
    shelf.take(3);
    shelf.server.psql("shop", "DROP TABLE tag");
    let untouched = Untouched::of(&shelf);
    let admin = shelf.admin();
    shelf.dumps(&[&["restore"], &admin[..]].concat()).fails_with_hint(2, &["no terminal"]);
    shelf.restore(&["--in-place"]).fails_with_hint(2, &["no terminal"]);
    untouched.check("not asked");
}

/// Runs it on a terminal of its own, where `answers` are typed; what it showed.
fn on_a_terminal(shelf: &Shelf, arguments: &[&str], answers: &str) -> (Option<i32>, String) {
    on_a_terminal_while(shelf, arguments, answers, || {})
}

/// The same; `thinking` happens between the last question and its answer.
fn on_a_terminal_while(shelf: &Shelf, arguments: &[&str], answers: &str, thinking: impl Fn()) -> (Option<i32>, String) {
    let program = shelf.command(&[&["dumps", "restore"], arguments].concat(), &[]);
    let words: Vec<String> = std::iter::once(program.get_program())
        .chain(program.get_args())
        .map(|word| format!("'{}'", word.to_string_lossy()))
        .collect();
    let mut script = Command::new("script");
    script.args(["-qefc", &words.join(" "), "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => script.env(name, value),
            None => script.env_remove(name),
        };
    }
    script.current_dir(program.get_current_dir().expect("a folder"));
    let mut child = script.spawn().expect("script runs");
    let mut input = child.stdin.take().expect("piped");
    let mut shown = child.stdout.take().expect("piped");
    let mut text = Vec::new();
    let mut answers = answers.split_inclusive('\n');
    let mut byte = [0];
    // An answer for each question, once it is there.
    while shown.read(&mut byte).is_ok_and(|read| read > 0) {
        text.push(byte[0]);
        if text.ends_with(b"to go on: ") || text.ends_with(b"just Enter): ") {
            // Whatever is typed before the prompt would show.
            std::thread::sleep(Duration::from_millis(100));
            let Some(answer) = answers.next() else { break };
            if text.ends_with(b"to go on: ") {
                thinking();
            }
            input.write_all(answer.as_bytes()).expect("typed");
        }
    }
    drop(input);
    (child.wait().expect("it ends").code(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn on_a_terminal_only_yes_is_yes_and_the_password_does_not_show() {
    let Some(shelf) = Shelf::new(Major::V15, Generation::First) else { return };
    shelf.take(3);
    shelf.server.psql("shop", "DROP TABLE tag");
    let untouched = Untouched::of(&shelf);
    for no in ["no\n", "\n", "y\n", "yes please\n"] {
        let (code, shown) = on_a_terminal(&shelf, &["-a"], &format!("sesame\n{no}"));
        assert_eq!(code, Some(130), "{shown}");
        assert!(shown.contains("1. ") && shown.contains("shop_restoring_") && !shown.contains("sesame"), "{shown}");
        untouched.check(no);
    }
    // The second question of a restore in place.
    let (code, shown) = on_a_terminal(&shelf, &["-a", "--in-place"], "sesame\nyes\nno\n");
    assert_eq!(code, Some(130), "{shown}");
    untouched.check("the second question");
    let (code, shown) = on_a_terminal(&shelf, &["-a"], "sesame\nyes\n");
    assert_eq!(code, Some(0), "{shown}");
    assert_eq!(shelf.server.psql("shop", "SELECT count(*) FROM tag"), "2");
}

#[test]
fn what_was_decided_on_another_database_is_not_done() {
    let Some(shelf) = Shelf::new(Major::V15, Generation::First) else { return };
    shelf.take(3);
    let sql = |sql: &str| shelf.server.psql("postgres", sql);
    // Another restore meanwhile; a person who drops it, and one who makes it anew.
    let cases: [(&dyn Fn(), &str); 3] = [
        (&|| drop(shelf.restore(&["--drop-old"]).ok()), "is another one now"),
        (&|| drop(sql("DROP DATABASE shop")), "is gone"),
        (&|| drop(sql("CREATE DATABASE shop OWNER app")), "and there was none"),
    ];
    for (meanwhile, words) in cases {
        let (code, shown) = on_a_terminal_while(&shelf, &["-a"], "sesame\nyes\n", || {
            meanwhile();
            assert!(shelf.databases().len() < 2);
        });
        assert!(code == Some(1) && shown.contains(words) && shown.contains("hint: "), "{words}: {shown}");
        // Nothing was made, renamed or dropped beside what that other one did.
        assert!(shelf.databases().iter().all(|name| name == "shop"), "{words}: {:?}", shelf.databases());
    }
    assert_eq!(shelf.server.psql("shop", "SELECT to_regclass('item') IS NULL"), "t", "the last of them is empty");
    shelf.restore(&[]).ok();
}

/// A session in `shop` that lasts until its input ends.
pub(crate) fn session_of(shelf: &Shelf, user: &str) -> std::process::Child {
    let mut psql = shelf.server.command("psql");
    psql.args(["-qAtX", "-U", user, "shop"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let psql = psql.spawn().expect("psql runs");
    let there = format!("SELECT count(*) FROM pg_stat_activity WHERE datname = 'shop' AND usename = '{user}'");
    until("the session is there", || shelf.server.psql("postgres", &there) == "1");
    psql
}

#[test]
fn sessions_that_may_not_be_ended_are_told_before_anything_is_restored() {
    for major in [Major::V15, Major::V18] {
        let Some(shelf) = Shelf::new(major, Generation::First) else { return };
        shelf.take(3);
        shelf.server.psql("postgres", "ALTER ROLE app CREATEDB");
        shelf.server.psql("shop", "DROP TABLE tag");
        let mut session = session_of(&shelf, "dba");
        let untouched = Untouched::of(&shelf);
        let words = ["may not end the sessions in the database shop: 1 of dba"];
        let refused = shelf.dumps(&["restore", "--yes"]).fails_with_hint(1, &words);
        assert!(refused.err.contains("pg_signal_backend") && !refused.text().contains("1. "), "{refused:?}");
        untouched.check("somebody else's session");
        // Who may end those of others may not end those of a superuser.
        shelf.server.psql("postgres", "GRANT pg_signal_backend TO app; ALTER ROLE dba SUPERUSER");
        shelf.dumps(&["restore", "--yes"]).fails_with_hint(1, &words);
        shelf.server.psql("postgres", "ALTER ROLE dba NOSUPERUSER");
        shelf.dumps(&["restore", "--yes", "--drop-old"]).ok();
        assert_eq!(shelf.server.psql("shop", "SELECT count(*) FROM tag"), "2");
        drop(session.stdin.take());
        let _ = session.wait();
    }
}

#[test]
fn a_restore_that_fails_halfway_leaves_the_database_as_it_was() {
    for (major, generation) in ALL {
        let Some(shelf) = Shelf::new(major, generation) else { return };
        let sql = shelf.pg_dump();
        shelf.server.psql("shop", "CREATE TABLE later (id int)");
        let untouched = Untouched::of(&shelf);
        let swallow = "CREATE FUNCTION public.swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; \
                       CREATE TRIGGER t BEFORE INSERT ON public.item FOR EACH ROW EXECUTE FUNCTION public.swallow();";
        let cases = [
            (1, "SELECT 1/0;"),
            (1, "ALTER TABLE public.item OWNER TO nobody_knows;"),
            (1, "\\connect postgres"),
            // Rows that go nowhere, and tables that are gone: what is there is not what the dump holds.
            (6, swallow),
            (6, "DROP VIEW public.v; CREATE TABLE public.x (); DROP TABLE public.x;"),
        ];
        // Each is a file of its own: another one in the place of a file that was read is refused for that.
        for (day, (code, what)) in (3..).zip(cases) {
            shelf.put(&shelf.path(day), &with(&sql, what));
            let ran = shelf.restore(&[]);
            assert!(ran.code == code || what.starts_with('\\') && ran.code == 2, "{what}: {ran:?}");
            untouched.check(what);
        }
    }
}

#[test]
fn a_restore_that_is_killed_leaves_the_database_as_it_was_and_the_next_one_cleans_up() {
    for in_place in [false, true] {
        let Some(shelf) = Shelf::new(Major::V15, Generation::Later) else { return };
        shelf.server.psql("postgres", "ALTER DATABASE shop SET work_mem = '5MB'; GRANT CONNECT ON DATABASE shop TO dba");
        let before = shelf.state("shop");
        let sql = shelf.pg_dump();
        shelf.put(&shelf.path(3), &sql);
        shelf.put(&shelf.path(4), &with(&sql, "SELECT pg_sleep(600);"));
        let untouched = Untouched::of(&shelf);
        let more: &[&str] = if in_place { &["--in-place", "--yes-in-place"] } else { &[] };
        let arguments = [&["dumps", "restore", "--yes"], &shelf.admin()[..], more].concat();
        let mut child = shelf.command(&arguments, &[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        let sleeps = "SELECT count(*) FROM pg_stat_activity WHERE datname ~ '^shop_restoring_' AND query ~ 'pg_sleep'";
        until("it plays the dump", || shelf.server.psql("postgres", sleeps) == "1");
        if !in_place {
            // Another one meanwhile is refused.
            shelf.restore(&["-f", "20201003"]).fails_with_hint(75, &["another restore"]);
        }
        child.kill().expect("killed");
        child.wait().expect("it ended");
        let left = shelf.databases();
        assert!(left.iter().any(|name| name.starts_with("shop_restoring_")), "{left:?}");
        if in_place {
            assert!(!left.contains(&"shop".to_owned()), "{left:?}");
        } else {
            assert_eq!(shelf.state("shop"), untouched.2);
        }
        shelf
            .server
            .psql("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query ~ '^SELECT pg_sleep'");
        shelf.restore(&["-f", "20201003", "--drop-old"]).ok();
        assert_eq!((shelf.databases(), shelf.state("shop")), (vec!["shop".to_owned()], before), "in place: {in_place}");
    }
}

#[test]
fn an_application_that_is_connected_is_told_to_go_and_finds_the_new_one() {
    let Some(shelf) = Shelf::new(Major::V15, Generation::First) else { return };
    shelf.take(3);
    shelf.server.psql("shop", "DROP TABLE tag");
    // A session that is idle in a transaction, and applications that connect again as soon as they can.
    let mut idle = shelf.server.command("psql");
    idle.args(["-qAtX", "-U", "app", "shop"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut idle = idle.spawn().expect("psql runs");
    let mut input = idle.stdin.take().expect("piped");
    input.write_all(b"BEGIN; SELECT count(*) FROM item;\n").expect("written");
    let inside = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'shop' AND state = 'idle in transaction'";
    until("the session is there", || shelf.server.psql("postgres", inside) == "1");
    let (over, asked) = (AtomicBool::new(false), AtomicU64::new(0));
    let told = std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let mut psql = shelf.server.command("psql");
                    psql.args(["-qAtX", "-U", "app", "shop", "-c", "SELECT count(*) FROM item; SELECT pg_sleep(0.05)"]);
                    // Whatever is there under the name is whole.
                    if psql.output().is_ok_and(|output| output.stdout.starts_with(b"3000\n")) {
                        asked.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        until("they work", || asked.load(Ordering::Relaxed) > 20);
        let ran = shelf.restore(&["--json"]);
        let at = asked.load(Ordering::Relaxed);
        let begun = Instant::now();
        while asked.load(Ordering::Relaxed) < at + 20 && begun.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(10));
        }
        over.store(true, Ordering::Relaxed);
        assert!(asked.load(Ordering::Relaxed) >= at + 20, "they do not come back");
        ran
    });
    let done = last(&told.ok().text());
    assert_eq!(shelf.server.psql("shop", "SELECT count(*) FROM tag"), "2");
    assert!(done["switched_ms"].as_u64().is_some_and(|ms| ms < 5000), "{done}");
    let kept = done["kept"].as_str().expect("kept");
    assert_eq!(shelf.server.psql("postgres", &format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{kept}'")), "0");
    drop(input);
    let _ = idle.wait();
}

/// A session of `app` that is there until it is ended, as a pool has it: without any library in between.
fn pooled(shelf: &Shelf, over: &AtomicBool) -> std::io::Result<()> {
    let mut socket = UnixStream::connect(shelf.server.dir().join(format!(".s.PGSQL.{}", shelf.server.port())))?;
    socket.set_read_timeout(Some(Duration::from_millis(100)))?;
    // Protocol 3.0.
    let packet = b"\0\x03\0\0user\0app\0database\0shop\0\0";
    let length = u32::try_from(packet.len() + 4).expect("short");
    socket.write_all(&[&length.to_be_bytes()[..], packet].concat())?;
    let mut bytes = [0; 512];
    while !over.load(Ordering::Relaxed) {
        match socket.read(&mut bytes) {
            Ok(0) => break,
            Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

#[test]
fn a_pool_that_connects_again_at_once_does_not_hold_the_swap_up() {
    for (major, more) in [(Major::V15, &[][..]), (Major::V18, &["--drop-old"])] {
        let Some(shelf) = Shelf::new(major, Generation::First) else { return };
        shelf.take(3);
        shelf.server.psql("shop", "DROP TABLE tag");
        let over = AtomicBool::new(false);
        let ran = std::thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        let _ = pooled(&shelf, &over);
                    }
                });
            }
            let there = "SELECT count(*) >= 20 FROM pg_stat_activity WHERE datname = 'shop'";
            until("the pool is there", || shelf.server.psql("postgres", there) == "t");
            let ran = shelf.restore(&[&["--json"], more].concat());
            over.store(true, Ordering::Relaxed);
            ran
        });
        let done = last(&ran.ok().text());
        assert!(done["switched_ms"].as_u64().is_some_and(|ms| ms < 10_000), "{done}");
        assert_eq!(shelf.server.psql("shop", "SELECT count(*) FROM tag"), "2");
    }
}

#[test]
fn a_user_who_may_not_create_databases_needs_the_administrator() {
    for (major, generation) in ALL {
        let Some(shelf) = Shelf::new(major, generation) else { return };
        let before = shelf.state("shop");
        shelf.take(3);
        let untouched = Untouched::of(&shelf);
        shelf.dumps(&["restore", "--yes"]).fails_with_hint(1, &["app", "--admin-password-file"]);
        std::fs::write(shelf.beside("wrong"), "simsim").expect("written");
        let wrong = shelf.dumps(&["restore", "--yes", "--admin-password-file", "wrong"]).fails(1, &["postgres"]);
        assert!(!wrong.err.contains("simsim"), "{}", wrong.err);
        untouched.check("not permitted");
        shelf.server.psql("shop", "DROP TABLE tag");
        shelf.restore(&["--drop-old"]).ok();
        assert_eq!(shelf.state("shop"), before, "the tables are the application's again");
        // Who may create databases needs nobody.
        shelf.server.psql("postgres", "ALTER ROLE app CREATEDB");
        shelf.server.psql("shop", "DROP TABLE tag");
        shelf.dumps(&["restore", "--yes", "--drop-old"]).ok();
        assert_eq!(shelf.state("shop"), before, "PostgreSQL {major}, {generation:?}");
    }
}

#[test]
fn other_users_have_the_privileges_that_they_had() {
    for (major, in_place) in [(Major::V15, false), (Major::V18, true)] {
        let Some(shelf) = Shelf::new(major, Generation::First) else { return };
        shelf.take(3);
        // As the container's manual has it, after the dump was taken; and more.
        shelf.server.psql(
            "shop",
            "GRANT SELECT ON ALL TABLES IN SCHEMA public TO dba; GRANT USAGE ON SEQUENCE ticket TO dba; \
             GRANT UPDATE (name) ON item TO dba WITH GRANT OPTION; GRANT SELECT ON tag TO PUBLIC; \
             GRANT CREATE ON SCHEMA public TO dba; CREATE TABLE gone (id int); GRANT SELECT ON gone TO dba",
        );
        shelf
            .server
            .psql("postgres", "GRANT TEMPORARY, CREATE ON DATABASE shop TO dba; REVOKE CONNECT ON DATABASE shop FROM PUBLIC");
        shelf.server.psql("shop", "DROP TABLE gone");
        let before = shelf.state("shop");
        let more: &[&str] = if in_place { &["--in-place", "--yes-in-place"] } else { &[] };
        let told = shelf.restore(more).ok().text();
        assert!(told.contains("as before: GRANT SELECT ON TABLE public.tag TO PUBLIC"), "{told}");
        // Who gave what is the administrator now where it was before; the order in which they stand is no matter.
        let sorted = |state: &str| {
            let mut lines: Vec<&str> = state.lines().collect();
            lines.sort_unstable();
            lines.join("\n")
        };
        assert_eq!(sorted(&shelf.state("shop")), sorted(&before));
    }
}

#[test]
fn in_place_drops_first_and_brings_back_what_belongs_to_the_database() {
    for (major, generation) in ALL {
        let Some(shelf) = Shelf::new(major, generation) else { return };
        shelf.server.psql("postgres", "ALTER DATABASE shop SET work_mem = '5MB'; GRANT CONNECT ON DATABASE shop TO dba");
        let before = shelf.state("shop");
        let sql = shelf.pg_dump();
        shelf.put(&shelf.path(3), &sql);
        shelf.server.psql("shop", "DROP TABLE tag");
        shelf.restore(&["--in-place", "--yes-in-place"]).ok();
        assert_eq!((shelf.databases(), shelf.state("shop")), (vec!["shop".to_owned()], before.clone()));
        // What fails then leaves nothing under the name, and says so; the next run has all it needs.
        shelf.put(&shelf.path(4), &with(&sql, "SELECT 1/0;"));
        shelf.restore(&["--in-place", "--yes-in-place"]).fails_with_hint(1, &["division by zero", "is gone"]);
        assert!(!shelf.databases().contains(&"shop".to_owned()), "{:?}", shelf.databases());
        shelf.restore(&["--in-place", "--yes-in-place", "-f", "20201003"]).ok();
        assert_eq!((shelf.databases(), shelf.state("shop")), (vec!["shop".to_owned()], before), "PostgreSQL {major}");
    }
}

#[test]
fn roles_that_the_other_server_lacks_come_with_the_dump() {
    let Some(shelf) = Shelf::new(Major::V15, Generation::Later) else { return };
    shelf.server.psql("postgres", "CREATE ROLE team; GRANT team TO reader; ALTER ROLE reader CONNECTION LIMIT 3");
    let path = shelf.take(3);
    let other = Server::start(Major::V15).expect("a server");
    let into = format!("127.0.0.1:{}/shop", other.port());
    let restore = ["restore", "--yes", "-a", "--into", &into, "-f", &path];
    // The role of the backups is in no dump of the container's.
    shelf.dumps(&restore).fails_with_hint(3, &["app"]);
    other.psql("postgres", "CREATE ROLE app; CREATE ROLE dba CONNECTION LIMIT 5");
    shelf.dumps(&restore).ok();
    let facts = "SELECT has_table_privilege('reader', 'item', 'SELECT'), pg_has_role('reader', 'team', 'MEMBER'), \
                 (SELECT string_agg(rolname || rolconnlimit, ' ' ORDER BY rolname) FROM pg_roles WHERE rolname IN ('dba', 'reader')), \
                 (SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'shop')";
    assert_eq!(other.psql("shop", facts), "t|t|dba5 reader3|app");
    assert_eq!(other.psql("shop", "SELECT count(*) FROM item"), "3000");
    assert_eq!(shelf.databases(), ["shop"]);
}

#[test]
fn our_own_dumps_come_back_as_the_containers_do() {
    for (major, generation) in ALL {
        let Some(shelf) = Shelf::new(major, generation) else { return };
        let before = shelf.state("shop");
        let taken = crate::program::Ran::of(&mut shelf.command(&["serve", "--once"], &[]));
        taken.ok();
        shelf.server.psql("shop", "DROP TABLE tag");
        shelf.restore(&["-f", "latest-verified", "--drop-old"]).ok();
        assert_eq!(shelf.state("shop"), before, "PostgreSQL {major}, {generation:?}");
    }
}

#[test]
fn what_another_pg_dump_sets_and_this_server_has_not_is_passed_over() {
    let Some(shelf) = Shelf::new(Major::V15, Generation::First) else { return };
    let before = shelf.state("shop");
    shelf.put(&shelf.path(3), &with(&shelf.pg_dump(), "SET transaction_timeout = 0;"));
    let ran = shelf.restore(&["--drop-old"]).ok();
    assert!(ran.err.contains("transaction_timeout"), "{}", ran.err);
    assert_eq!(shelf.state("shop"), before);
}
