//! What bad input gets: a clear line, its exit code, nothing listed that is not whole, nothing changed of what was there.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use backup_tests::{Major, Server, Setup, SmallDisk, judge};

use crate::program::{Ran, Sink, until};
use crate::{forge, shop};

/// A database of about 24 MB that compresses badly.
fn large(server: &Server) {
    server.psql("postgres", "CREATE DATABASE large");
    server.psql(
        "large",
        "CREATE TABLE big AS SELECT i AS id, sha512(i::text::bytea) AS a, sha512((-i)::text::bytea) AS b, \
         sha512((i * 7)::text::bytea) AS c FROM generate_series(1, 60000) i; CREATE TABLE other AS SELECT 1 AS x",
    );
}

fn wait(child: Child) -> Ran {
    let output = child.wait_with_output().expect("it ends");
    Ran::ended(&output, "a run".to_owned())
}

/// Whether a connection of the program is doing this.
fn doing(server: &Server, condition: &str) -> bool {
    let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pg-backup' AND {condition}");
    server.try_psql("postgres", &sql).is_ok_and(|count| count != "0")
}

/// Every file of a backup but for signs of life, relative to its folder.
fn files(backup: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![backup.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the backup").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if !["lease", "attempt", "verified", "proof"]
                .iter()
                .any(|mark| entry.file_name().to_string_lossy().starts_with(mark))
            {
                found.push(path.strip_prefix(backup).expect("below it").to_owned());
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_server_that_goes_away_while_rows_are_read() {
    let Some(source) = Server::start(Major::V17) else { return };
    large(&source);
    let sink = Sink::new();
    let copying = "query LIKE 'COPY %' AND state = 'active'";
    // Each connection alone and all of them: the one that holds the instant, those that read rows.
    let victims = ["query LIKE 'COPY %'", "query NOT LIKE 'COPY %' AND datname = 'large'", "true"];
    for victim in victims {
        let run = sink.start(&source, &["backup"]);
        until("rows are read", || doing(&source, copying));
        let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'pg-backup' AND";
        source.psql("postgres", &format!("{sql} {victim}"));
        wait(run).fails(1, &[]);
        assert_eq!(sink.listed(), [""; 0], "{victim}");
    }
    let run = sink.start(&source, &["backup"]);
    until("rows are read", || doing(&source, copying));
    source.crash();
    wait(run).fails_with_hint(1, &["the server"]);
    assert_eq!(sink.listed(), [""; 0]);
    source.start_again();
    // A dump whose reader waits in the midst of the rows.
    let mut run = sink.start(&source, &["dump"]);
    until("rows are read", || doing(&source, copying));
    source.crash();
    let mut rest = Vec::new();
    run.stdout.take().expect("piped").read_to_end(&mut rest).expect("read");
    wait(run).fails_with_hint(1, &["the server"]);
    assert!(!String::from_utf8_lossy(&rest).contains("End of the dump"), "it is not whole and says so");
    source.start_again();
    sink.backup(&source, &["--verify"]);
    assert_eq!(sink.listed().len(), 1);
}

#[test]
fn a_disk_that_fills() {
    let Some(source) = Server::start(Major::V17) else { return };
    let Some(disk) = SmallDisk::of("3m") else { return };
    let sink = Sink::at(&disk.path().join("sink"));
    let first = sink.backup(&source, &[]);
    large(&source);
    sink.on(&source, &["backup"]).fails_with_hint(1, &["No space left on device"]);
    assert_eq!(sink.listed(), [first.file_name().expect("an ID").to_string_lossy()]);
    sink.offline(&["verify", "latest"]).ok();
    // What it had written is gone: a small one fits again.
    sink.on(&source, &["backup", "--exclude-database", "large"]).ok();
    assert_eq!(sink.listed().len(), 2);
}

#[test]
fn damage_in_any_file_is_found_and_nothing_is_restored_from_it() {
    let (Some(source), Some(target)) = (shop::server(), Server::start(Major::V17)) else { return };
    let sink = Sink::new();
    let backup = sink.backup(source, &["--database", "shop"]);
    let untouched = judge::seen(&target);
    let pristine = sink.folder().join("pristine");
    forge::copy(&backup, &pristine);
    for file in files(&pristine) {
        let path = backup.join(&file);
        let bytes = fs::read(pristine.join(&file)).expect("read");
        let at = bytes.len() / 2;
        let flipped: Vec<u8> = bytes.iter().enumerate().map(|(i, byte)| if i == at { byte ^ 4 } else { *byte }).collect();
        for (how, bytes) in [("flipped", Some(flipped)), ("cut", Some(bytes[..at].to_vec())), ("gone", None)] {
            let what = format!("{} {how}", file.display());
            match bytes {
                Some(bytes) => fs::write(&path, bytes).expect("written"),
                None => fs::remove_file(&path).expect("removed"),
            }
            let id = backup.file_name().expect("an ID").to_string_lossy().into_owned();
            let ran = sink.offline(&["verify", &id]);
            if (file.as_os_str(), how) == ("manifest.json".as_ref(), "gone") {
                ran.fails(3, &[]);
            } else {
                assert!(ran.code == 4, "{what}: {ran:?}");
                ran.fails(4, &[]);
                let ran = sink.on(&target, &["restore", &id, "--clean"]);
                assert!(ran.code == 4, "{what}: {ran:?}");
            }
            fs::remove_dir_all(&backup).expect("removed");
            forge::copy(&pristine, &backup);
        }
    }
    // Without --clean nothing is read ahead, and still no half database is left.
    let data = files(&pristine)
        .into_iter()
        .filter(|file| file.to_string_lossy().contains("/data/"))
        .max_by_key(|file| fs::metadata(pristine.join(file)).map(|meta| meta.len()).unwrap_or_default());
    let data = backup.join(data.expect("rows"));
    let mut bytes = fs::read(&data).expect("read");
    let at = bytes.len() * 3 / 4;
    bytes[at] ^= 1;
    fs::write(&data, bytes).expect("written");
    sink.on(&target, &["restore", "latest", "--database", "shop"]).fails(4, &[]);
    assert_eq!(shop::databases(&target), "");
    // The backup's roles are there, which no database holds; nothing else is.
    let roles = sink.on(source, &["dump", "--globals-only"]).ok().out;
    let expected = Server::start(Major::V17).expect("the programs are there");
    expected.feed("postgres", &[], &roles).expect("psql takes it");
    let left = judge::seen(&target);
    assert_eq!(judge::difference_of(&judge::seen(&expected), &left), None, "more than roles is left");
    assert_ne!(judge::difference_of(&untouched, &left), None, "the roles came first");
}

#[test]
fn a_manifest_of_a_newer_format_or_with_a_hostile_path() {
    let (Some(source), Some(target)) = (shop::server(), Server::start(Major::V17)) else { return };
    let sink = Sink::new();
    let backup = sink.backup(source, &["--database", "shop"]);
    let original = fs::read(backup.join("manifest.json")).expect("the manifest");
    forge::text(&backup, |text| text.replace(" 1,", " 2,").replace(":1,", ":2,"));
    let id = backup.file_name().expect("an ID").to_string_lossy().into_owned();
    for arguments in [["show", &id], ["verify", &id], ["restore", &id]] {
        let ran = sink.on(&target, &arguments);
        assert!(ran.code != 0, "{ran:?}");
        let code = ran.code;
        ran.fails_with_hint(code, &["format"]);
    }
    for path in ["../../../../etc/passwd", "/etc/passwd", "parts/.hidden", "parts/../../x"] {
        fs::write(backup.join("manifest.json"), &original).expect("written");
        let part = files(&backup).into_iter().find(|file| file.extension().is_some_and(|end| end == "zst")).expect("a part");
        forge::text(&backup, |text| text.replace(&*part.to_string_lossy(), path));
        for arguments in [["show", &id], ["verify", &id], ["restore", &id]] {
            sink.on(&target, &arguments).fails(4, &[]);
        }
    }
    assert_eq!(shop::databases(&target), "");
}

#[test]
fn a_wrong_key() {
    let (Some(source), Some(target)) = (shop::server(), Server::start(Major::V17)) else { return };
    let sink = Sink::new();
    let file = |name: &str, text: &str| {
        let path = sink.folder().join(name);
        fs::write(&path, text).expect("written");
        path.to_string_lossy().into_owned()
    };
    let (right, wrong) = (file("right", "correct horse\n"), file("wrong", "battery staple\n"));
    let (mine, other) = (sink.folder().join("mine"), sink.folder().join("other"));
    let mut recipient = String::new();
    for path in [&other, &mine] {
        let made = Command::new("age-keygen").arg("-o").arg(path).output().expect("age-keygen: run ci/install");
        assert!(made.status.success());
        let text = fs::read_to_string(path).expect("the identity");
        recipient = text.lines().find_map(|line| line.strip_prefix("# public key: ")).expect("it is said").to_owned();
    }
    let other = other.to_string_lossy().into_owned();
    let by_passphrase = sink.backup(source, &["--database", "shop", "--seal-passphrase-file", &right]);
    let by_recipient = sink.backup(source, &["--database", "shop", "--recipient", &recipient]);
    let id = |backup: &Path| backup.file_name().expect("an ID").to_string_lossy().into_owned();
    let (by_passphrase, by_recipient) = (id(&by_passphrase), id(&by_recipient));
    let tries: [&[&str]; 4] = [
        &[&by_passphrase, "--passphrase-file", &wrong],
        &[&by_passphrase],
        &[&by_recipient, "--identity", &other],
        &[&by_recipient],
    ];
    for arguments in tries {
        let ran = sink.on(&target, &[&["restore"], arguments].concat());
        assert!([1, 2].contains(&ran.code), "it is no damage: {ran:?}");
        let code = ran.code;
        let ran = ran.fails_with_hint(code, &[]);
        assert!(!ran.err.contains("battery") && !ran.err.contains("correct horse"), "{}", ran.err);
    }
    assert_eq!(shop::databases(&target), "");
    // No key is needed to see that it is whole.
    sink.offline(&["verify", &by_recipient]).ok();
    sink.on(&target, &["restore", &by_passphrase, "--database", "shop", "--passphrase-file", &right]).ok();
    sink.offline(&["verify", &by_recipient, "--unseal-too", "--identity", &mine.to_string_lossy()]).ok();
}

#[test]
fn a_role_without_rights() {
    let Some(source) = Server::start(Major::V17) else { return };
    shop::fill(&source);
    source.psql("postgres", "CREATE ROLE weak LOGIN");
    let sink = Sink::new();
    let url = format!("postgres://weak@127.0.0.1:{}/postgres", source.port());
    sink.offline(&["backup", "--server", &url]).fails_with_hint(1, &["password hashes"]);
    let ran = sink.offline(&["backup", "--server", &url, "--no-role-passwords"]).fails_with_hint(1, &["permission denied"]);
    assert!(ran.err.contains("app"), "it is not said of what: {}", ran.err);
    assert_eq!(sink.listed(), [""; 0]);
    source.psql("postgres", "GRANT pg_read_all_data TO weak");
    sink.offline(&["backup", "--server", &url, "--no-role-passwords"]).ok();
}

#[test]
fn two_runs_at_once_and_a_lock_that_others_hold() {
    let Some(source) = Server::start(Major::V17) else { return };
    shop::fill(&source);
    let sink = Sink::new();
    // The first run waits for the table.
    let mut holder = source.command("psql");
    let holder = holder.args(["-XAtq", "-d", "shop", "-c", "BEGIN; LOCK TABLE app.log; SELECT pg_sleep(600)"]).spawn();
    let mut holder = holder.expect("psql runs");
    let held =
        "SELECT count(*) FROM pg_locks WHERE relation = 'app.log'::regclass AND mode = 'AccessExclusiveLock' AND granted";
    until("the table is locked", || source.psql("shop", held) == "1");
    let first = sink.start(&source, &["backup"]);
    until("the run waits", || doing(&source, "wait_event_type = 'Lock'"));
    sink.on(&source, &["backup"]).fails_with_hint(75, &[]);
    sink.on(&source, &["prune", "--keep-last", "1"]).fails_with_hint(75, &[]);
    // Another job is another matter.
    sink.on(&source, &["backup", "--job", "another", "--exclude-database", "shop"]).ok();
    source.psql(
        "postgres",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)' AND pid <> pg_backend_pid()",
    );
    let _ = holder.wait();
    wait(first).ok();
    assert_eq!(sink.listed().len(), 1);
}

#[test]
fn whoever_waits_to_change_a_table_does_not_hang_the_run() {
    let Some(source) = Server::start(Major::V17) else { return };
    large(&source);
    let sink = Sink::new();
    let mut run = sink.start(&source, &["dump", "--database", "large", "--jobs", "1"]);
    until("rows are read", || doing(&source, "query LIKE 'COPY %'"));
    let alter = source.command("psql").args(["-XAtq", "-d", "large", "-c", "ALTER TABLE other ADD y int"]).spawn();
    let mut alter = alter.expect("psql runs");
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'ALTER TABLE other%' AND wait_event_type = 'Lock'";
    until("the change waits", || source.psql("postgres", waits) == "1");
    let mut out = Vec::new();
    run.stdout.take().expect("piped").read_to_end(&mut out).expect("read");
    // Either it had the table already or it gives way; it never waits for who waits for it.
    let ran = wait(run);
    if ran.code != 0 {
        ran.fails_with_hint(1, &["another session waits to change"]);
    }
    assert!(alter.wait().expect("it ends").success(), "the change went through");
}

#[test]
fn two_clusters_do_not_go_into_one_job() {
    let (Some(source), Some(other)) = (shop::server(), Server::start(Major::V17)) else { return };
    let sink = Sink::new();
    let first = sink.backup(source, &["--database", "shop"]);
    sink.on(&other, &["backup"]).fails_with_hint(2, &["another source"]);
    assert_eq!(sink.listed(), [first.file_name().expect("an ID").to_string_lossy()]);
    sink.on(&other, &["backup", "--new-source"]).ok();
    assert_eq!(sink.listed().len(), 2);
    sink.on(source, &["backup", "--database", "shop"]).fails_with_hint(2, &["another source"]);
}

#[test]
fn secrets_are_nowhere_to_be_read() {
    let setup = Setup { password: Some("pw-S3cret-4711".to_owned()), ..Setup::default() };
    let (Some(source), Some(target)) = (Server::start_with(Major::V17, &setup), Server::start(Major::V17)) else { return };
    shop::fill(&source);
    let hash = source.psql("postgres", "SELECT rolpassword FROM pg_authid WHERE rolname = 'shop_owner'");
    let secrets = ["pw-S3cret-4711", "the-password-of-the-owner", &hash];
    let sink = Sink::new();
    let look = |ran: Ran, what: &str| {
        for secret in secrets {
            assert!(!ran.err.contains(secret), "{what} tells {secret}: {}", ran.err);
        }
        ran
    };
    for arguments in [&["backup", "-v"][..], &["backup", "-v", "--json", "--source", "pg_dumpall"]] {
        let mut command = sink.command(Some(&source), arguments);
        let mut run =
            command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().expect("it runs");
        while run.try_wait().expect("it is there").is_none() {
            for entry in fs::read_dir("/proc").expect("/proc").flatten() {
                let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
                let line = String::from_utf8_lossy(&line).into_owned();
                assert!(!secrets.iter().any(|secret| line.contains(secret)), "{line}");
            }
        }
        look(wait(run).ok(), "a backup");
    }
    for backup in fs::read_dir(sink.job()).expect("the job").flatten() {
        let manifest = fs::read_to_string(backup.path().join("manifest.json")).expect("the manifest");
        assert!(!secrets.iter().any(|secret| manifest.contains(secret)), "the manifest tells");
    }
    look(sink.on(&target, &["restore", "latest", "-v"]).ok(), "a restore");
    let url = format!("postgres://postgres:wrong-pw-S3cret-4711@127.0.0.1:{}/postgres", source.port());
    let ran = look(sink.offline(&["backup", "--server", &url]), "a refusal").fails_with_hint(1, &["password"]);
    assert!(!ran.err.contains("wrong-pw"), "{}", ran.err);
    // Nobody is asked: there is a terminal or there is none.
    let url = format!("postgres://postgres@127.0.0.1:{}/postgres", source.port());
    sink.offline(&["backup", "--server", &url]).fails_with_hint(1, &["password"]);
    // A role that cannot be made: the statement has the hash, the error has not.
    let clash = Server::start(Major::V17).expect("the programs are there");
    clash.psql("postgres", "CREATE ROLE stand_in SUPERUSER LOGIN");
    let url = format!("postgres://stand_in@127.0.0.1:{}/postgres", clash.port());
    clash.psql("postgres", "ALTER SYSTEM SET default_transaction_read_only = on; SELECT pg_reload_conf()");
    let ran = sink.offline(&["restore", "latest", "--server", &url]);
    look(ran, "a failed restore");
}

#[test]
fn what_programs_read_is_json_line_by_line() {
    let (Some(source), Some(target)) = (shop::server(), Server::start(Major::V17)) else { return };
    let sink = Sink::new();
    let whole = |ran: &Ran| {
        for line in ran.err.lines().chain(ran.text().lines()) {
            serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        }
    };
    for arguments in
        [&["backup", "--json"][..], &["list", "--json"], &["show", "latest", "--json"], &["verify", "latest", "--json"]]
    {
        let ran = sink.on(source, arguments).ok();
        assert!(!ran.out.is_empty(), "{arguments:?}");
        whole(&ran);
    }
    whole(&sink.on(&target, &["restore", "latest", "--json"]).ok());
    for arguments in [&["restore", "latest", "--json"][..], &["show", "20200101T000000Z", "--json"]] {
        let ran = sink.on(&target, arguments);
        whole(&ran);
        let last: serde_json::Value = serde_json::from_str(ran.err.lines().last().expect("a line")).expect("JSON");
        assert_eq!((&last["event"], &last["exit"]), (&"error".into(), &ran.code.into()), "{last}");
        assert!(last["hint"].is_string(), "{last}");
    }
    sink.offline(&["show", "20200101T000000Z"]).fails(3, &[]);
    Sink::new().offline(&["restore", "latest"]).fails_with_hint(3, &[]);
}
