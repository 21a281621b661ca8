//! A whole run on a real director, and what it leaves here and there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::scene::Scene;

/// The names in an archive.
fn names(archive: &Path) -> BTreeSet<String> {
    let tar = Command::new("tar").args(["--list", "--gzip", "--file"]).arg(archive).output().expect("tar runs");
    assert!(tar.status.success(), "{}", String::from_utf8_lossy(&tar.stderr));
    String::from_utf8_lossy(&tar.stdout).lines().map(str::to_owned).collect()
}

fn content(archive: &Path, name: &str) -> String {
    let tar = Command::new("tar")
        .args(["--extract", "--gzip", "--to-stdout", "--file"])
        .arg(archive)
        .arg(name)
        .output()
        .expect("tar");
    assert!(tar.status.success(), "{name}: {}", String::from_utf8_lossy(&tar.stderr));
    String::from_utf8_lossy(&tar.stdout).into_owned()
}

fn steps(scene: &Scene, arguments: &[&str]) -> Vec<String> {
    let said = scene.run(&[arguments, &["backup", "--dry-run"]].concat(), 0);
    said.out.lines().map(str::to_owned).collect()
}

#[test]
fn a_director_is_stopped_dumped_copied_started_and_archived() {
    let Some(scene) = Scene::start() else { return };
    scene.stopped_before("nats");
    let all = steps(&scene, &[]);
    assert_eq!(all.len(), 9, "{all:?}");
    assert!(!scene.at("cache").exists() && scene.up().len() == 3, "nothing was done");
    // What a restore of files has kept is none of a backup's business.
    scene.director.sh("mkdir /var/vcap/store/.bosh-backup-before-1; echo x >/var/vcap/store/.bosh-backup-before-1/x");

    let said = scene.run(&["--json", "backup"], 0);
    assert_eq!(scene.up(), ["agent", "director", "postgres"], "what was stopped before stays so");
    assert_eq!(scene.traces(), "");
    assert_eq!(said.steps(&all), all, "each step, in that order");
    let result = said.result();
    assert!(result["downtime_ms"].as_u64().is_some_and(|millis| millis > 0) && result["dump_ms"].is_u64(), "{result}");
    let mut stopped: Vec<&str> = result["stopped"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    assert_eq!(stopped.last(), Some(&"sv/agent"), "the agent is started last");
    stopped.sort_unstable();
    assert_eq!(stopped, ["monit/director", "monit/microbosh", "monit/postgres", "sv/agent"]);

    // The archive is as microbosh-simple-backup lays it out.
    let archive = result["archive"].as_str().expect("a path").to_owned();
    let archive = Path::new(&archive);
    let names = names(archive);
    for name in [
        "_date.control",
        "recover.txt",
        "vcap/bosh/settings.json",
        "vcap/store/blobstore/a/blob",
        "vcap/store/postgres/PG_VERSION",
    ] {
        assert!(names.contains(name), "{name} is not in {names:?}");
    }
    for name in [
        "vcap/store/lost+found/x",
        "vcap/packages/x/x",
        "vcap/bosh/bin/monit",
        "vcap/store/.bosh-backup-before-1/x",
        ".vcap.record",
    ] {
        assert!(!names.contains(name), "{name} is in it");
    }
    let dump = result["dumps"][0]["path"].as_str().expect("a dump");
    assert!(dump.starts_with("dbs/postgres_20") && dump.ends_with(".dump.all"), "{dump}");
    let sql = content(archive, dump);
    assert!(sql.contains("CREATE DATABASE bosh") && sql.contains("vm-1000") && sql.contains("database cluster dump complete"));
    let date = content(archive, "_date.control");
    assert!(date.lines().count() == 2 && date.lines().all(|line| line.len() == 14 && line.starts_with("20")), "{date}");
    // The log is this run's, and goes on beside it.
    let log = names.iter().find(|name| name.ends_with(".log")).expect("a log");
    let (inside, beside) = (content(archive, log), fs::read_to_string(scene.at("log").join(log)).expect("the log"));
    assert!(beside.starts_with(&inside) && beside.contains("the backup is whole"), "{inside}\n{beside}");
    for step in &all {
        assert!(beside.contains(step.as_str()), "{step} is not in {beside}");
    }
    let key = fs::read_to_string(scene.director.key()).expect("a key");
    let secret = key.lines().nth(1).expect("a line of the key");
    assert!(!beside.contains(secret) && !said.err.contains(secret));
    // The files of the database are those of a server that was stopped.
    let programs = backup_tests::Major::V15.bin_dir().expect("PostgreSQL 15");
    let state =
        Command::new(programs.join("pg_controldata")).arg(scene.at("cache/vcap/store/postgres")).output().expect("it runs");
    let state = String::from_utf8_lossy(&state.stdout).into_owned();
    assert!(state.lines().any(|line| line.starts_with("Database cluster state:") && line.ends_with(" shut down")), "{state}");

    // It is found again, and found whole; damage is found too.
    let listed = scene.run(&["list"], 0).out;
    assert!(listed.lines().count() == 1 && listed.contains("dump.all") && listed.contains("down for"), "{listed}");
    let verified = scene.run(&["verify"], 0).out;
    assert!(verified.contains("it is what its manifest tells"), "{verified}");
    let whole = fs::read(archive).expect("read");
    fs::write(archive, &whole[..whole.len() - 1]).expect("cut");
    scene.run(&["verify", &archive.display().to_string()], 4);
    fs::write(archive, &whole).expect("as it was");

    // The next one reads what changed, and dumps the one database that it is told.
    scene.configure("bosh");
    scene.director.sh("echo new >/var/vcap/store/blobstore/a/new; rm /var/vcap/store/blobstore/a/blob");
    let said = scene.run(&["--json", "backup"], 0);
    let next = said.result();
    let [first, read] = ["bytes", "read_bytes"].map(|key| next[key].as_u64().expect("a number"));
    assert!(read * 2 < first, "{read} of {first} bytes were read again");
    let archive = next["archive"].as_str().expect("a path").to_owned();
    let archive = Path::new(&archive);
    let names = self::names(archive);
    assert!(names.contains("vcap/store/blobstore/a/new") && !names.contains("vcap/store/blobstore/a/blob"));
    let dumps: Vec<&String> = names.iter().filter(|name| name.starts_with("dbs/p")).collect();
    assert!(matches!(dumps.as_slice(), [dump] if dump.ends_with(".dump.bosh")), "{dumps:?}");
    let sql = content(archive, dumps[0]);
    assert!(sql.contains("DROP DATABASE bosh") && sql.contains("CREATE DATABASE bosh") && sql.contains("vm-1000"));
    assert_eq!(scene.out().len(), 4, "two archives and two manifests: {:?}", scene.out());
    assert_eq!(scene.up(), ["agent", "director", "postgres"]);
    assert_eq!(scene.traces(), "");

    // The older one goes once a rule lets it, and not because the newer one is there though it is damaged.
    let whole = fs::read(archive).expect("read");
    fs::write(archive, [&whole[..whole.len() - 1], b"?"].concat()).expect("changed");
    let kept = scene.run(&["prune", "--keep-last", "1"], 0).out;
    assert!(scene.out().len() == 4 && kept.contains("the newest verified one"), "{kept}");
    fs::write(archive, &whole).expect("as it was");
    assert_eq!(scene.run(&["prune"], 0).out.matches("no rule lets anything go").count(), 2);
    let dry = scene.run(&["--json", "prune", "--keep-last", "1", "--dry-run"], 0);
    assert!(scene.out().len() == 4 && dry.result()["keep"] == true, "{dry:?}");
    let said = scene.run(&["prune", "--keep-last", "1"], 0).out;
    assert!(said.contains("  prune  ") && said.contains("no rule keeps it"), "{said}");
    let name = archive.file_name().expect("a name").to_string_lossy().into_owned();
    assert_eq!(scene.out(), [name.clone(), format!("{name}.manifest.json")]);
    scene.run(&["verify"], 0);
}

#[test]
fn a_backup_that_stops_nothing_says_what_it_cannot_promise() {
    let Some(scene) = Scene::start() else { return };
    let processes = || scene.director.sh("cat /var/vcap/sys/run/*/*.pid");
    let before = processes();
    assert_eq!(steps(&scene, &["--online"]).len(), 4);
    let said = scene.run(&["--online", "--json", "backup"], 0);
    assert_eq!(processes(), before, "nothing was stopped");
    assert!(said.err.contains("need not fit together"), "{}", said.err);
    let result = said.result();
    assert!(result["downtime_ms"].is_null() && result["stopped"].as_array().is_some_and(Vec::is_empty), "{result}");
    let archive = result["archive"].as_str().expect("a path").to_owned();
    assert!(names(Path::new(&archive)).iter().any(|name| name.ends_with(".dump.all")));
    scene.run(&["verify"], 0);
    assert_eq!(scene.traces(), "");

    // Without databases there is an archive all the same.
    scene.configure("");
    assert_eq!(steps(&scene, &["--online"]).len(), 3);
    let said = scene.run(&["--online", "--json", "backup"], 0);
    assert_eq!(said.result()["dumps"].as_array().map(Vec::len), Some(0));

    // By the name that the program is called by, as microbosh-simple-backup has it.
    let named = scene.at("nightly.sh");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_bosh-backup"), &named).expect("linked");
    fs::copy(scene.at("director.conf"), scene.at("nightly.conf")).expect("copied");
    let output = Command::new(&named).args(["--online", "backup", "--dry-run"]).output().expect("it runs");
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 3, "{}", String::from_utf8_lossy(&output.stderr));

    let status = scene.run(&["status"], 0).out;
    // monit has its jobs in the order in which it found their files.
    let mut runs: Vec<&str> = status.trim().strip_prefix("runs: ").expect(&status).split(", ").collect();
    runs.sort_unstable();
    assert_eq!(runs, ["monit/director", "monit/microbosh", "monit/nats", "monit/postgres", "sv/agent"]);
    assert_eq!(scene.run(&["resume"], 0).out.trim(), "nothing was left stopped");
}
