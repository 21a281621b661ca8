//! What `prune` says of each backup and what is there afterwards; each rule by its option and by its variable.

use std::fs;

use backup_tests::{Major, Server};

use crate::forge;
use crate::program::{Ran, Sink};

/// 21 November 2024 is a Thursday; two are Sundays, each the last day of a week.
const IDS: [&str; 10] = [
    "20221231T120000Z",
    "20231231T120000Z",
    "20240930T120000Z",
    "20241031T120000Z",
    "20241110T120000Z",
    "20241117T120000Z",
    "20241120T120000Z",
    "20241121T110000Z",
    "20241121T120000Z",
    "20241121T121500Z",
];
const NEWEST: &str = IDS[9];

/// A rule, its value, and what stays beside the newest, with the reason that it shares with the newest.
type Rule = (&'static str, &'static str, &'static [&'static str], &'static str);

const RULES: [Rule; 7] = [
    ("last", "2", &["20241121T120000Z"], "one of the newest 2"),
    ("within", "1d", &["20241121T110000Z", "20241121T120000Z"], "at most 1d older than the newest"),
    ("hourly", "2", &["20241121T110000Z"], "the newest of its hour"),
    ("daily", "2", &["20241120T120000Z"], "the newest of its day"),
    ("weekly", "2", &["20241117T120000Z"], "the newest of its week"),
    ("monthly", "2", &["20241031T120000Z"], "the newest of its month"),
    ("yearly", "2", &["20231231T120000Z"], "the newest of its year"),
];

/// The lines for `ids` of which those in `kept` stay, each with its reasons.
fn verdicts(ids: &[&str], kept: &[(&str, &str)]) -> String {
    let line = |id: &&str| match kept.iter().find(|(kept, _)| kept == id) {
        Some((_, why)) => format!("{id}  keep   {why}\n"),
        None => format!("{id}  prune  no rule keeps it\n"),
    };
    ids.iter().map(line).collect()
}

/// The lines that follow the verdicts, newest first: which of `ids` are gone, those in `kept` being there.
fn deleted(ids: &[&str], kept: &[&str]) -> String {
    ids.iter().rev().filter(|id| !kept.contains(id)).map(|id| format!("deleted {id}\n")).collect()
}

/// Ten backups of a server, with the IDs above.
fn ten(server: &Server) -> Sink {
    let sink = Sink::new();
    let backup = sink.backup(server, &["--database", "postgres"]);
    for id in IDS {
        forge::copy_as(&backup, id);
    }
    fs::remove_dir_all(&backup).expect("removed");
    assert_eq!(sink.listed(), IDS);
    sink
}

#[test]
fn each_verdict_is_what_its_rule_says_and_nothing_else_goes() {
    let Some(server) = Server::start(Major::V17) else { return };
    let sink = ten(&server);
    let prune = |arguments: &[&str], variables: &[(String, &str)]| {
        let mut command = sink.command(None, &[&["prune"], arguments].concat());
        Ran::of(command.env("TZ", "UTC").envs(variables.iter().map(|(name, value)| (name, value)))).ok().text()
    };

    for (rule, value, beside, why) in RULES {
        let newest = format!("{why}, the newest, while none is verified");
        let mut kept = vec![(NEWEST, newest.as_str())];
        kept.extend(beside.iter().map(|id| (*id, why)));
        let expected = verdicts(&IDS, &kept);
        assert_eq!(prune(&[&format!("--keep-{rule}"), value, "--dry-run"], &[]), expected, "--keep-{rule}");
        let variable = format!("BACKUP_KEEP_{}", rule.to_uppercase());
        assert_eq!(prune(&["--dry-run"], &[(variable.clone(), value)]), expected, "{variable}");
    }
    let none = "no rule lets anything go".to_owned();
    let all = |newest: &str, older: &str| {
        let why: Vec<String> = IDS.map(|id| if id == NEWEST { newest } else { older }.to_owned()).into();
        verdicts(&IDS, &IDS.into_iter().zip(why.iter().map(String::as_str)).collect::<Vec<_>>())
    };
    assert_eq!(prune(&[], &[]), all(&format!("{none}, the newest, while none is verified"), &none));
    assert_eq!(sink.listed(), IDS, "nothing was to be deleted so far");

    // A pin, a verified one, a minimum; what is said to go goes.
    sink.offline(&["pin", "20240930T120000Z", "--why", "before the move"]).ok();
    sink.offline(&["verify", "20241110T120000Z"]).ok();
    let text = prune(&["--keep-daily", "1", "--keep-minimum", "2"], &[]);
    let kept = [
        ("20240930T120000Z", "pinned"),
        ("20241110T120000Z", "the newest verified one"),
        ("20241121T120000Z", "at least 2 stay"),
        (NEWEST, "the newest of its day, at least 2 stay"),
    ];
    let verdicts_then = verdicts(&IDS, &kept);
    let kept = kept.map(|(id, _)| id);
    assert_eq!(text, verdicts_then + &deleted(&IDS, &kept));
    assert_eq!(sink.listed(), kept);

    // Nothing goes after a failure, but if it is asked for.
    server.psql("postgres", "CREATE ROLE weak LOGIN; CREATE TABLE t (x int)");
    let weak = format!("postgres://weak@127.0.0.1:{}/postgres", server.port());
    sink.offline(&["--server", &weak, "backup", "--no-role-passwords", "--database", "postgres"])
        .fails(1, &["permission denied"]);
    let listed = sink.offline(&["list"]).ok().text();
    let failed = listed.lines().find(|line| line.contains("  failed ")).expect("the attempt is listed");
    let failed = failed.split(' ').next().expect("its ID");
    let stays = format!("nothing goes while the newest attempt, {failed}, failed");
    let mut ids = kept.to_vec();
    ids.push(failed);
    let unverified = "a failed attempt that none followed yet";
    let expected = [
        (kept[0], "pinned"),
        (kept[1], "the newest verified one"),
        (kept[2], stays.as_str()),
        (NEWEST, "the newest"),
        (failed, unverified),
    ];
    assert_eq!(prune(&["--keep-last", "1"], &[]), verdicts(&ids, &expected));
    assert_eq!(sink.listed(), kept);
    sink.offline(&["unpin", kept[0]]).ok();
    let expected = [(kept[1], "the newest verified one"), (NEWEST, "the newest"), (failed, unverified)];
    let told = verdicts(&ids, &expected) + &deleted(&ids, &[kept[1], NEWEST, failed]);
    assert_eq!(prune(&["--keep-last", "1", "--after-failure"], &[]), told);
    assert_eq!(sink.listed(), [kept[1], NEWEST]);
}
