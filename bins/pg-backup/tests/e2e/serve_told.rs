//! `serve` tells people: what a real receiver of webhooks, pages and pings hears, and what it may do without harm.

use std::io::Write;
use std::time::{Duration, Instant};

use backup_tests::SmallDisk;

use crate::program::{Ran, until};
use crate::serve::Container;
use crate::serve_receiver::{Answer, Receiver};

const KEY: &str = "pagerkey";

fn field(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[test]
fn a_webhook_hears_of_each_dump_and_each_failure_and_a_pager_of_failures() {
    let Some(container) = Container::new() else { return };
    let (hook, pager) = (Receiver::start(&[]), Receiver::start(&[]));
    let (url, page) = (hook.url("/hooks/t0ken?x=1"), pager.url("/page"));
    let more = [
        ("WEBHOOK_URL", url.as_str()),
        ("ENVIRONMENT_NAME", "shop-prod"),
        ("ENVIRONMENT_FRIENDLY_NAME", "The shop & more"),
        ("PGDUTY_URL", page.as_str()),
        ("PGDUTY_SVC_KEY", KEY),
    ];
    tells_once(&container, &hook, &pager, |form, tells| {
        let other = [("BACKUP_WEBHOOK_FORM", form), ("BACKUP_WEBHOOK_TELLS", tells)];
        container.run(&["serve", "--once"], &[&more[..], &other].concat())
    });
}

#[test]
fn the_receivers_of_a_file_of_ours_hear_the_same() {
    let Some(container) = Container::new().map(Container::by_toml) else { return };
    let (hook, pager) = (Receiver::start(&[]), Receiver::start(&[]));
    std::fs::write(container.sink.folder().join("key"), KEY).expect("written");
    let (url, page) = (hook.url("/hooks/t0ken?x=1"), pager.url("/page"));
    tells_once(&container, &hook, &pager, |form, tells| {
        let tell = format!(
            "schedule = []\n[tell]\nname = \"shop-prod\"\nfriendly_name = \"The shop & more\"\n\
             [[tell.webhook]]\nurl = {{ env = \"HOOK\" }}\nform = \"{form}\"\ntells = \"{tells}\"\n\
             [tell.pagerduty]\nurl = \"{page}\"\nkey = {{ file = \"key\" }}"
        );
        container.write("", "shop", &tell);
        container.run(&["serve", "--once"], &[("HOOK", &url)])
    });
}

/// What both hear of runs of `once`, each with a form and a choice for the webhook.
fn tells_once(container: &Container, hook: &Receiver, pager: &Receiver, once: impl Fn(&str, &str) -> Ran) {
    let ran = once("form", "successes").ok();
    let [told] = &hook.take()[..] else { panic!("one message for a dump") };
    let fields = told.fields();
    assert_eq!(told.line, "POST /hooks/t0ken?x=1");
    let names =
        [field("projectFriendlyName", "The shop & more"), field("projectName", "shop-prod"), field("statusCode", "INFO")];
    assert_eq!(fields[..3], names);
    let (name, message) = &fields[3];
    assert_eq!((fields.len(), name.as_str()), (4, "message"));
    assert!(message.starts_with("shop: ") && message.contains(&container.dumps()[0]), "{message}");
    assert!(message.contains("20000 rows"), "{message}");
    assert!(pager.take().is_empty(), "nobody is woken for a dump");

    container.server.psql("postgres", "ALTER ROLE app NOLOGIN");
    let failed = once("form", "successes").fails(1, &["not permitted to log in"]);
    let (level, message) = hook.take().pop().expect("a message").told();
    assert_eq!(level, "ERROR");
    assert!(message.starts_with("shop: failed: ") && message.contains("not permitted to log in"), "{message}");
    let [page] = &pager.take()[..] else { panic!("one page") };
    for words in [KEY, "trigger", "not permitted to log in"] {
        assert!(page.body.contains(words), "{}", page.body);
    }
    // As JSON, and only what is wrong.
    once("json", "troubles").fails(1, &[]);
    let body = hook.take().pop().expect("a message").body;
    for words in [r#""statusCode":"ERROR""#, r#""what":"failed""#, r#""job":"shop""#] {
        assert!(body.contains(words), "{body}");
    }
    container.server.psql("postgres", "ALTER ROLE app LOGIN");
    once("json", "troubles").ok();
    assert!(hook.take().is_empty(), "a success is no trouble");
    assert_eq!(pager.take().len(), 1, "the second failure");
    for ran in [ran, failed] {
        let log = format!("{}{}", ran.text(), ran.err);
        for secret in ["t0ken", KEY, "hunter2"] {
            assert!(!log.contains(secret), "{secret} is in {log}");
        }
    }
}

#[test]
fn one_cycle_tells_that_it_begins_too_and_goes_by_a_proxy() {
    let Some(container) = Container::new() else { return };
    let (hook, watcher) = (Receiver::start(&[]), Receiver::start(&[]));
    // All of it, also that it begins; a watcher hears when.
    let check = watcher.url("/check/{job}");
    let all = [
        ("WEBHOOK_URL", hook.url("/hook")),
        ("BACKUP_WEBHOOK_TELLS", "all".to_owned()),
        ("BACKUP_PING_URL", check),
        ("BACKUP_STRATEGY", "daily".to_owned()),
    ];
    let all: Vec<(&str, &str)> = all.iter().map(|(name, value)| (*name, value.as_str())).collect();
    container.run(&["serve", "--once"], &all).ok();
    let told: Vec<_> = hook.take().iter().map(|asked| asked.told().1).collect();
    assert!(told.len() == 2 && told[0] == "127.0.0.1-shop: begun" && told[1].contains("20000 rows"), "{told:?}");
    let pings: Vec<_> = watcher.take().into_iter().map(|asked| asked.line).collect();
    assert_eq!(pings, ["POST /check/127-0-0-1-shop/start", "POST /check/127-0-0-1-shop"]);
    // By way of a proxy, where the environment names one.
    let proxy = hook.url("");
    let proxied = [("WEBHOOK_URL", "http://hooks.test/t0ken"), ("HTTP_PROXY", &proxy), ("http_proxy", &proxy)];
    container.run(&["serve", "--once"], &proxied).ok();
    let lines: Vec<_> = hook.take().into_iter().map(|asked| asked.line).collect();
    assert_eq!(lines, ["POST http://hooks.test/t0ken"]);
}

#[test]
fn a_receiver_that_fails_hangs_or_is_not_there_changes_nothing_of_a_dump() {
    let Some(container) = Container::new() else { return };
    let run = |hook: &str, code: i32| {
        let begun = Instant::now();
        let ran = container.run(&["serve", "--once"], &[("WEBHOOK_URL", hook)]);
        assert_eq!(ran.code, code, "{ran:?}");
        assert!(begun.elapsed() < Duration::from_secs(30), "it hangs with its receiver");
        assert!(!ran.err.contains("t0ken"), "{ran:?}");
        ran
    };
    // Tried again until it hears.
    let hook = Receiver::start(&[Answer::Status(500), Answer::Status(503)]);
    run(&hook.url("/t0ken"), 0);
    let told: Vec<_> = hook.take().iter().map(|asked| asked.told().0).collect();
    assert_eq!(told, ["INFO"; 3]);
    let hook = Receiver::start(&[Answer::Hang; 100]);
    assert!(run(&hook.url("/t0ken"), 0).err.contains("not told"));
    assert!(run("http://127.0.0.1:1/t0ken", 0).err.contains("not told"));
    assert_eq!(container.dumps().len(), 3);
    container.server.psql("postgres", "ALTER ROLE app NOLOGIN");
    run("http://127.0.0.1:1/t0ken", 1);
    // What is no URL is known before anything is done.
    for command in [&["serve", "--once"][..], &["serve"], &["config", "check"]] {
        let ran = container.run(command, &[("WEBHOOK_URL", "hooks.example.org/t0ken")]).fails(2, &["WEBHOOK_URL"]);
        assert!(!ran.err.contains("t0ken"), "{ran:?}");
        let pager = [("PGDUTY_URL", "pager.example.org/t0ken"), ("PGDUTY_SVC_KEY", KEY)];
        let ran = container.run(command, &pager).fails(2, &["PGDUTY_URL"]);
        assert!(!ran.err.contains("t0ken") && !ran.err.contains(KEY), "{ran:?}");
    }
}

#[test]
fn a_service_tells_its_start_a_failure_and_the_recovery_and_pings() {
    let Some(container) = Container::new() else { return };
    let (hook, ping) = (Receiver::start(&[]), Receiver::start(&[]));
    let (url, check) = (hook.url("/hook"), ping.url("/t0ken/{job}"));
    tells_and_pings(&container, &hook, &ping, &[("WEBHOOK_URL", &url), ("BACKUP_PING_URL", &check)], "serving 1 databases");
}

#[test]
fn a_service_by_a_file_of_ours_tells_and_pings_the_same() {
    let Some(container) = Container::new().map(Container::by_toml) else { return };
    let (hook, ping) = (Receiver::start(&[]), Receiver::start(&[]));
    std::fs::write(container.sink.folder().join("ping"), ping.url("/t0ken/shop")).expect("written");
    let tell = "schedule = []\nat_start = true\nping = { file = \"ping\" }\n\
                [[tell.webhook]]\nurl = { env = \"HOOK\" }\nform = \"form\"\ntells = \"successes\"";
    container.write("", "shop", tell);
    tells_and_pings(&container, &hook, &ping, &[("HOOK", &hook.url("/hook"))], "serving 1 jobs");
}

/// The start of a service, a failure, the recovery, and the pings at `/t0ken/shop` meanwhile.
fn tells_and_pings(container: &Container, hook: &Receiver, ping: &Receiver, more: &[(&str, &str)], start: &str) {
    container.server.psql("postgres", "ALTER ROLE app NOLOGIN");
    let child = container.start(more);
    let [started, failed] = &hook.wait(2)[..] else { panic!("two messages") };
    assert_eq!(started.told().0, "INFO");
    assert!(started.told().1.contains(start), "{started:?}");
    assert_eq!(failed.told().0, "ERROR");
    container.server.psql("postgres", "ALTER ROLE app LOGIN");
    container.run(&["ask", "--wait"], more).ok();
    let (level, message) = hook.wait(1).pop().expect("a message").told();
    assert_eq!(level, "INFO");
    assert!(message.ends_with(", after 1 failed"), "{message}");
    let pings: Vec<_> = ping.wait(4).into_iter().map(|asked| asked.line).collect();
    assert_eq!(pings, ["/start", "/fail", "/start", ""].map(|end| format!("POST /t0ken/shop{end}")));
    let (code, log) = child.stop();
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains("t0ken") && !log.contains("hunter2"), "{log}");
}

#[test]
fn one_ping_does_not_speak_for_two_databases() {
    let Some(container) = Container::new() else { return };
    let conf = "127.0.0.1/shop\n127.0.0.1/store\n0 1 * * * default ./backup.sh -s\n";
    std::fs::write(container.sink.folder().join("backup.conf"), conf).expect("written");
    let more = [("BACKUP_PING_URL", "http://127.0.0.1:1/t0ken")];
    let ran = container.run(&["serve"], &more).fails_with_hint(2, &["--ping-url", "{job}"]);
    assert!(!ran.err.contains("t0ken"), "{ran:?}");
}

/// Waits until a message of such a level has these words.
fn hears(hook: &Receiver, level: &str, words: &str) {
    until(words, || {
        hook.take().iter().any(|asked| {
            let (told, message) = asked.told();
            told == level && message.contains(words)
        })
    });
}

#[test]
fn a_full_volume_is_told_and_the_service_goes_on_once_there_is_space() {
    let Some(container) = Container::new() else { return };
    let Some(disk) = SmallDisk::of("3m") else { return };
    let hook = Receiver::start(&[]);
    let (url, root) = (hook.url("/hook"), disk.path().join("backups"));
    let root_is = root.display().to_string();
    let more = [("WEBHOOK_URL", url.as_str()), ("BACKUP_DIR", &root_is), ("BACKUP_PERIOD", "1")];
    let fill = || {
        let mut file = std::fs::File::create(disk.path().join("filler")).expect("a file");
        let full = (0..1 << 20).find_map(|_| file.write_all(&[1; 512]).err()).expect("it ends");
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    };
    let empty = || std::fs::remove_file(disk.path().join("filler")).expect("removed");
    // Where nothing was kept yet, and where there is a dump.
    fill();
    let child = container.start(&more);
    hears(&hook, "ERROR", "No space left on device");
    empty();
    hears(&hook, "INFO", "20000 rows");
    fill();
    hears(&hook, "ERROR", "No space left on device");
    empty();
    hears(&hook, "INFO", "20000 rows");
    let (code, log) = child.stop();
    assert!(code == Some(0) && log.contains(" ERROR shop: failed"), "{code:?} {log}");
    container.run(&["dumps", "verify", "shop"], &more).ok();
}

#[test]
fn a_volume_that_is_away_is_told_and_the_service_goes_on_once_it_is_back() {
    let Some(container) = Container::new() else { return };
    let hook = Receiver::start(&[]);
    let url = hook.url("/hook");
    let child = container.start(&[("WEBHOOK_URL", &url), ("BACKUP_PERIOD", "1")]);
    hears(&hook, "INFO", "20000 rows");
    let (root, away) = (container.root(), container.sink.folder().join("away"));
    std::fs::rename(&root, &away).expect("renamed");
    // What is there meanwhile is no folder.
    std::fs::write(&root, "").expect("a file");
    hears(&hook, "ERROR", "Not a directory");
    std::fs::remove_file(&root).expect("removed");
    std::fs::rename(&away, &root).expect("renamed");
    hears(&hook, "INFO", "20000 rows");
    let (code, log) = child.stop();
    assert_eq!(code, Some(0), "{log}");
    container.run(&["dumps", "verify", "shop"], &[]).ok();
}

#[test]
fn a_volume_that_is_unmounted_is_told_and_nothing_is_written_beneath_it() {
    let Some(container) = Container::new() else { return };
    let Some(mut disk) = SmallDisk::of("3m") else { return };
    let hook = Receiver::start(&[]);
    let (url, root) = (hook.url("/hook"), disk.path().join("backups").display().to_string());
    let state = container.sink.folder().join("state").display().to_string();
    let more = [("WEBHOOK_URL", url.as_str()), ("BACKUP_DIR", &root), ("BACKUP_STATE", &state), ("BACKUP_PERIOD", "1")];
    let child = container.start(&more);
    hears(&hook, "INFO", "20000 rows");
    disk.take_away();
    hears(&hook, "ERROR", "nothing is mounted at ");
    assert_eq!(disk.path().read_dir().expect("the folder beneath").count(), 0);
    // Another device is as good: a volume may get another number each time.
    disk.put_back();
    hears(&hook, "INFO", "20000 rows");
    let (code, log) = child.stop();
    assert_eq!(code, Some(0), "{log}");
    container.run(&["dumps", "verify", "shop"], &more).ok();
}
