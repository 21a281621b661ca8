//! The TOML file: what each value means, where it came from, and what is refused with its line.

use std::collections::BTreeMap;
use std::path::Path;

use backup_core::{Error, Kind, Result};
use backup_service::config::{Config, Form, Outside};
use backup_service::tell;
use backup_service::tree::{Layout, Tiers};
use proptest::prelude::*;

const SAMPLE: &str = include_str!("../../../docs/pg-backup.toml");
const RECIPIENT: &str = "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa";

fn read(text: &str) -> Result<Config> {
    let files = BTreeMap::from([
        ("/run/secrets/shop", "hunter2\n".to_owned()),
        ("/run/secrets/two", "one\r\n\n".to_owned()),
        ("/run/secrets/none", "\n".to_owned()),
        ("/run/secrets/token", "0123456789abcdef\n".to_owned()),
        ("/run/secrets/url", "https://example.org/s3cret\n".to_owned()),
        ("/etc/recipients", format!("# ours\n\n{RECIPIENT}\n")),
    ]);
    let variables = BTreeMap::from([("WEBHOOK", "http://127.0.0.1:1/s3cret"), ("EMPTY", "")]);
    let file = |path: &Path| {
        let text = path.to_str().and_then(|path| files.get(path));
        text.cloned().ok_or_else(|| Error::new(Kind::NotFound, format!("failed to read {}", path.display())))
    };
    let server = |text: &str| {
        if text.contains("password") { Err(Error::usage("it holds a password").with_hint("write password")) } else { Ok(()) }
    };
    let sink = |text: &str| {
        if text.starts_with("s3:") { Err(Error::usage("there is no such sink").with_hint("write a path")) } else { Ok(()) }
    };
    let variable = |name: &str| variables.get(name).map(|value| (*value).to_owned());
    Config::read("b.toml", text, &Outside { variable: &variable, file: &file, server: &server, sink: &sink })
}

/// A job that is whole, with `more`.
fn job(more: &str) -> String {
    format!("[[job]]\nname = \"shop\"\nto = \"/b\"\nschedule = \"0 3 * * *\"\n{more}\n")
}

fn from<'c>(config: &'c Config, name: &str) -> Vec<(&'c str, &'c str)> {
    let found = config.found.iter().filter(|one| one.name == name);
    found.map(|one| (one.value.as_str(), one.from.as_str())).collect()
}

#[test]
fn the_sample_means_what_it_says() {
    let config = read(SAMPLE).expect("understood");
    let names: Vec<&str> = config.jobs.iter().map(|plan| plan.name.as_str()).collect();
    assert_eq!((names, config.at_once), (vec!["main", "shop", "blog"], 2));
    let [main, shop, blog] = &config.jobs[..] else { panic!("three jobs") };
    assert_eq!(main.schedule.to_string(), "0 3 * * * (Europe/Berlin)");
    assert_eq!((main.jitter.as_secs(), main.late.as_secs(), main.retries, main.at_start), (300, 7200, 3, false));
    let (Form::Backups(main), Form::Backups(sealed)) = (&main.form, &shop.form) else { panic!("backups") };
    let keep = &main.keep;
    assert_eq!((keep.last, keep.daily, keep.weekly, keep.monthly, keep.yearly, keep.minimum), (3, 7, 4, 12, 0, 2));
    assert_eq!(keep.within.map(|within| within.get_days()), Some(14));
    let proof = main.proof.as_ref().expect("a proof");
    assert_eq!((proof.check_sql.len(), proof.check_database.as_deref()), (1, Some("postgres")));
    assert_eq!(proof.schedule.to_string(), "0 6 * * 0 (Europe/Berlin)");
    assert_eq!((shop.password.as_ref().map(|secret| secret.expose()), sealed.recipients.len()), (Some("hunter2"), 1));
    assert_eq!((shop.schedule.to_string().as_str(), shop.at_start), ("every 6h", true));
    assert_eq!(shop.databases, ["shop"]);
    let Form::Dumps(dumps) = &blog.form else { panic!("dump files") };
    assert_eq!(dumps.layout, Layout::Rolling(Tiers { daily: 6, weekly: 4, monthly: 1 }));
    let proof = dumps.proof.as_ref().expect("a proof");
    assert_eq!((proof.schedule.to_string(), proof.check_sql.len()), ("0 4 * * * (Europe/Berlin)".to_owned(), 1));
    let [hook] = &config.tell.webhooks[..] else { panic!("one webhook") };
    assert_eq!((hook.form, hook.wants), (tell::Form::Json, tell::Wants::Troubles));
    let shown = format!("{config:?}");
    assert!(!shown.contains("hunter2") && !shown.contains("s3cret"), "{shown}");
}

#[test]
fn each_value_tells_where_it_came_from() {
    let config =
        read(&job("password = { file = \"/run/secrets/shop\" }\nkeep = { last = 0x1F }\nlate = \"90m\"")).expect("understood");
    assert_eq!(from(&config, "job.shop.to"), [("/b", "b.toml, line 3")]);
    assert_eq!(from(&config, "job.shop.password"), [("(a secret)", "b.toml, line 5, the file /run/secrets/shop")]);
    assert_eq!(from(&config, "job.shop.keep.last"), [("31", "b.toml, line 6")]);
    assert_eq!(from(&config, "job.shop.late"), [("90m", "b.toml, line 7")]);
    assert_eq!(from(&config, "job.shop.retries"), [("3", "the default")]);
    assert_eq!(from(&config, "service.at_once"), [("2", "the default")]);
    assert_eq!(from(&config, "job.shop.databases"), [("all", "the default")]);
    assert_eq!(config.jobs[0].late.as_mins(), 90);
}

#[test]
fn what_is_left_out_is_the_same_as_with_flags() {
    let config = read(&job("")).expect("understood");
    let plan = &config.jobs[0];
    assert_eq!((plan.jitter.as_secs(), plan.late.as_mins(), plan.retries, plan.at_start), (0, 60, 3, false));
    let Form::Backups(backups) = &plan.form else { panic!("backups") };
    assert!(backups.role_passwords && !backups.external && backups.proof.is_none());
    assert_eq!((backups.connections, backups.keep.last), (4, 0));
    let dumps = read(&job("format = \"sql.gz\"\ndatabases = \"shop\"")).expect("understood");
    let Form::Dumps(dumps) = &dumps.jobs[0].form else { panic!("dump files") };
    assert!(dumps.proof.is_none());
    assert_eq!(dumps.layout, Layout::Rolling(Tiers { daily: 6, weekly: 4, monthly: 1 }));
    let dated = read(&job("format = \"sql.gz\"\ndatabases = \"shop\"\nlayout = \"dated\"\nkeep.last = 5")).expect("understood");
    assert!(matches!(&dated.jobs[0].form, Form::Dumps(dumps) if dumps.layout == Layout::Dated(5)));
}

#[test]
fn secrets_come_whole_from_where_they_are() {
    let config = read(&job(
        "password = { file = \"/run/secrets/two\" }\nping = { file = \"/run/secrets/url\" }\nrecipients_file = \"/etc/recipients\"",
    ));
    let config = config.expect("understood");
    let plan = &config.jobs[0];
    // One line end goes, as an editor puts it there; a second one is of the secret.
    assert_eq!(plan.password.as_ref().map(|secret| secret.expose()), Some("one\r\n"));
    assert_eq!(plan.ping.as_ref().map(ToString::to_string).as_deref(), Some("https://example.org"));
    let Form::Backups(backups) = &plan.form else { panic!("backups") };
    assert_eq!(backups.recipients.len(), 1);
}

/// What is refused: the text, the line that is named, words of the error, words of the hint.
const REFUSED: &[(&str, usize, &str, &str)] = &[
    ("shcedule = \"@daily\"", 5, "\"shcedule\"", "did you mean schedule?"),
    ("frobnicate = 1", 5, "\"frobnicate\"", "there are at_start"),
    ("password_file = \"/x\"", 5, "password_file", "did you mean password?"),
    ("keep = { dayly = 1 }", 5, "job.shop.keep", "did you mean daily?"),
    ("keep = 7", 5, "job.shop.keep: it is a number", "a table"),
    ("keep = { last = -1 }", 5, "cannot be", "from 0 to"),
    ("keep = { last = 99999999999999999999999999999999 }", 5, "cannot be", "from 0 to"),
    ("keep = { last = 1.5 }", 5, "a number", "a whole number"),
    ("keep = { last = \"7\" }", 5, "text", "a whole number"),
    ("keep = { within = \"a while\" }", 5, "a while", "14d"),
    ("keep = { within = \"-1d\" }", 5, "-1d", "14d"),
    ("password = \"hunter2\"", 5, "job.shop.password: it is a secret", "{ file = \"PATH\" }"),
    ("ping = \"https://example.org/hunter2\"", 5, "a secret", "{ file = \"PATH\" }"),
    ("passphrase = [\"hunter2\"]", 5, "a secret", "{ file = \"PATH\" }"),
    ("password = { file = \"/run/secrets/shop\", env = \"WEBHOOK\" }", 5, "one place", "{ file"),
    ("password = {}", 5, "one place", "{ file"),
    ("password = { env = \"EMPTY\" }", 5, "EMPTY is not set", "set it"),
    ("password = { env = \"NOWHERE\" }", 5, "NOWHERE is not set", "set it"),
    ("password = { file = \"/run/secrets/none\" }", 5, "says nothing", "write the secret"),
    ("password = { value = \"hunter2\" }", 5, "\"value\"", "there are env, file"),
    ("ping = { file = \"/run/secrets/shop\" }", 5, "the URL begins with neither", "https://"),
    ("server = \"host=db password=hunter2\"", 5, "job.shop.server: it holds a password", "write password"),
    ("at_start = \"yes\"", 5, "text", "true or false"),
    ("retries = 1979-05-27", 5, "a date", "a whole number"),
    ("retries = 101", 5, "cannot be", "from 0 to 100"),
    ("jitter = \"5\"", 5, "is no time", "30s"),
    ("late = \"1 month\"", 5, "is no time", "30s"),
    ("late = \"-1h\"", 5, "is no time", "30s"),
    ("jitter = \"99999999999999999999h\"", 5, "is no time", "30s"),
    ("every = \"1h\"", 1, "a schedule and an every", "one of them"),
    ("databases = []", 1, "names none", "leave databases out"),
    ("databases = [\"a\", 1]", 5, "a number", "text in quotes"),
    ("databases = [\"a\\u0000\"]", 5, "NUL", "leave that out"),
    ("databases = [\"\"]", 5, "empty", "leave it out"),
    ("databases = [\"a\"]\nexclude_databases = [\"b\"]", 1, "databases and exclude_databases", "one of them"),
    ("format = \"tar\"", 5, "\"tar\"", "backup or sql.gz"),
    ("format = \"sql.gz\"", 1, "of one database", "databases = "),
    (
        "format = \"sql.gz\"\ndatabases = [\"a\"]\ncompress = \"zstd\"",
        7,
        "job.shop.compress: it is not for dump files",
        "leave it out",
    ),
    (
        "format = \"sql.gz\"\ndatabases = [\"a\"]\n[job.prove]\nevery = \"1d\"\nidentities = \"/k\"",
        9,
        "job.shop.prove.identities: it is not for dump files",
        "leave it out",
    ),
    (
        "format = \"sql.gz\"\ndatabases = [\"a\"]\nprove = { every = \"1d\", check_database = \"a\" }",
        7,
        "job.shop.prove.check_database: it is not for dump files",
        "leave it out",
    ),
    ("format = \"sql.gz\"\ndatabases = [\"a\"]\nkeep = { yearly = 1 }", 7, "yearly", "there are daily"),
    (
        "format = \"sql.gz\"\ndatabases = [\"a\"]\nkeep = { daily = 0, weekly = 0, monthly = 0 }",
        7,
        "all tiers are 0",
        "1 or more",
    ),
    ("layout = \"dated\"", 5, "layout", "leave it out"),
    ("compress = \"lzma\"", 5, "lzma", "zstd"),
    ("recipients = [\"AGE-SECRET-KEY-1HUNTER2\"]", 5, "not an age recipient", "secret"),
    ("recipients_file = \"/run/secrets/shop\"", 5, "not an age recipient", "age1"),
    ("recipients_file = \"/run/secrets/none\"", 5, "no recipient", "age1"),
    ("[job.prove]\ncheck_sql = \"SELECT 1\"", 5, "when it is due", "schedule"),
    ("[job.prove]\nschedule = \"@daily\"\nscratchdir = \"/x\"", 7, "scratchdir", "did you mean scratch_dir?"),
    ("[[job]]\nname = \"shop\"\nto = \"/b\"\nevery = \"1h\"", 5, "another job called shop", "a name of its own"),
    ("[[job]]\nname = \"../x\"", 6, "../x", "letters"),
    ("[[job]]\nname = \"a/b\"", 6, "a/b", "letters"),
    ("[[job]]\nto = \"/b\"", 5, "no name", "name ="),
    ("[[job]]\nname = \"b\"\nevery = \"1h\"", 5, "where its backups go", "to ="),
    ("[[job]]\nname = \"b\"\nto = \"/b\"", 5, "when it is due", "schedule ="),
    ("[[job]]\nname = \"b\"\nto = \"s3://b/c\"", 7, "no such sink", "a path"),
    ("[[job]]\nname = \"b\"\nto = \"/b\"\nschedule = [\"0 3 * * *\", \"61 * * * *\"]", 8, "no cron expression", "minute, hour"),
    ("[[job]]\nname = \"b\"\nto = \"/b\"\nschedule = \"0 1 30 2 *\"", 8, "no cron expression", "no such date"),
    ("[[job]]\nname = \"b\"\nto = \"/b\"\nevery = \"0s\"", 8, "shorter than a second", ""),
    ("[[jobs]]\nname = \"x\"", 5, "\"jobs\"", "did you mean job?"),
    ("[service]\nzone = \"Mars/Olympus\"", 6, "Mars/Olympus", "Europe/Berlin"),
    ("[service]\nlisten = \"8080\"", 6, "8080", "127.0.0.1:8080"),
    ("[service]\nat_once = 0", 6, "cannot be", "from 1"),
    ("[service]\ntoken = \"0123456789abcdef\"", 6, "a secret", "{ file"),
    ("[service]\ntoken = { file = \"/run/secrets/shop\" }", 6, "too short", "openssl"),
    ("[tell]\nwebhook = { url = { env = \"WEBHOOK\" } }", 6, "a table", "[[tell.webhook]]"),
    ("[[tell.webhook]]\nform = \"json\"", 5, "no url", "url ="),
    ("[[tell.webhook]]\nurl = { env = \"WEBHOOK\" }\ntells = \"never\"", 7, "never", "troubles or successes or all"),
    ("[tell.pagerduty]\nurl = \"http://h/\"", 5, "no key", "key ="),
    // What is no TOML at all: the line is told, and nothing of what it says.
    ("password = hunter2", 5, "", "toml.io"),
    ("password = \"hunter2", 5, "", "toml.io"),
    ("name = \"hunter2\"", 5, "duplicate key", "toml.io"),
];

#[test]
fn what_cannot_be_meant_is_told_with_its_line_and_without_secrets() {
    let mut wrong = Vec::new();
    for (more, line, what, hint) in REFUSED {
        let error = read(&job(more)).map(|_| ()).expect_err(more);
        let (said, told) = (error.chain(), error.hint().unwrap_or_default());
        let is_told = said.starts_with(&format!("b.toml, line {line}: ")) && said.contains(what) && told.contains(hint);
        let is_secret = !format!("{error:?}").to_lowercase().contains("hunter2");
        if !is_told || !is_secret || error.kind() != Kind::Usage {
            wrong.push(format!("{more}: not line {line}, {what:?}, {hint:?}: {error:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let error = read(&job("password = { file = \"/nowhere\" }")).expect_err("no file");
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(error.chain().starts_with("b.toml, line 5: job.shop.password.file: failed to read /nowhere"), "{}", error.chain());
    for empty in ["", "\n# nothing\n", "[service]\n", "job = []"] {
        assert!(read(empty).expect_err(empty).to_string().contains("b.toml has no job"), "{empty}");
    }
    let deep = format!("{}databases = {}", job(""), "[".repeat(100_000));
    assert!(read(&deep).is_err());
    assert!(read(&format!("{}#{}", job(""), "x".repeat(1 << 20))).expect_err("long").to_string().contains("longer than"));
}

#[test]
fn every_key_stands_in_the_sample() {
    let mut keys = 0;
    for (more, last) in [
        ("frobnicate = 1", ""),
        ("keep = { frobnicate = 1 }", ""),
        ("[job.prove]\n", "frobnicate = 1"),
        ("[service]\n", "frobnicate = 1"),
        ("[tell]\n", "frobnicate = 1"),
        ("[[tell.webhook]]\n", "frobnicate = 1"),
        ("[tell.pagerduty]\n", "frobnicate = 1"),
        ("[frobnicate]", ""),
    ] {
        let error = read(&job(&format!("{more}{last}"))).expect_err(more);
        let hint = error.hint().unwrap_or_default();
        for key in hint.strip_prefix("there are ").expect(hint).split(", ") {
            let is_there =
                [format!("{key} = "), format!("[{key}]"), format!(".{key}]")].iter().any(|text| SAMPLE.contains(text));
            assert!(is_there, "{more}: the sample has no {key}");
            keys += 1;
        }
    }
    assert!(keys > 50, "{keys} are not all");
}

#[test]
fn identities_are_asked_for_where_a_proof_needs_them() {
    let sealed = format!("recipients = [\"{RECIPIENT}\"]\n[job.prove]\nevery = \"1d\"\n");
    let error = read(&job(&sealed)).expect_err("nothing opens them");
    assert!(error.to_string().contains("nothing opens them"), "{error}");
    let config = read(&job(&format!("{sealed}identities = \"/etc/key\""))).expect("understood");
    let Form::Backups(backups) = &config.jobs[0].form else { panic!("backups") };
    assert_eq!(backups.proof.as_ref().map(|proof| proof.identities.len()), Some(1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_text_makes_it_panic(text in "\\PC*", toml in "(\\[{0,2}(job|service|tell|keep)\\]{0,2}\n|[a-z_]{1,9} ?= ?(\"[^\n]{0,9}\"|[0-9.-]{1,30}|\\{[^\n]*\\}|\\[[^\n]*\\]|true)\n){0,9}") {
        let _ = read(&text);
        let _ = read(&toml);
    }

    #[test]
    fn no_change_of_the_sample_makes_it_panic(at in 0..SAMPLE.len(), gone in 0_usize..40, put in "[\\PC\n\"\\[\\]{}=.#\\\\]{0,6}") {
        let (Some(before), Some(after)) = (SAMPLE.get(..at), SAMPLE.get((at + gone).min(SAMPLE.len())..)) else { return Ok(()) };
        if let Err(error) = read(&format!("{before}{put}{after}")) {
            let said = error.to_string();
            prop_assert!(said.starts_with("b.toml"), "{}", said);
            prop_assert!(!said.contains('\n'), "{}", said);
        }
    }
}
