//! A director's databases come back, and what cannot be meant stops and replaces nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::scene::Scene;

impl Scene {
    /// The archive of a backup that stops nothing, without the files of the database: it is read again and again.
    pub(crate) fn backed_up(&self) -> PathBuf {
        let conf = fs::read_to_string(self.at("director.conf")).expect("read");
        fs::write(self.at("director.conf"), conf.replace("+ store\n", "- store/postgres\n+ store\n")).expect("written");
        let said = self.run(&["--online", "--json", "backup"], 0);
        said.result()["archive"].as_str().expect("an archive").into()
    }

    /// All rows of the table that tells of machines, in a number.
    fn instances(&self, database: &str) -> String {
        self.psql(database, "SELECT md5(string_agg(i::text, ',' ORDER BY id)), count(*) FROM instances i")
    }

    fn databases(&self) -> String {
        self.psql("postgres", "SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database WHERE NOT datistemplate")
    }

    fn processes(&self) -> String {
        self.director.sh("cat /var/vcap/sys/run/*/*.pid")
    }
}

#[test]
fn restore_brings_a_destroyed_director_database_back() {
    let Some(scene) = Scene::start() else { return };
    scene.stopped_before("nats");
    scene.psql("postgres", "CREATE ROLE director LOGIN PASSWORD 'it''s secret'; GRANT pg_read_all_data TO director");
    scene.psql("postgres", "ALTER DATABASE bosh OWNER TO director; ALTER DATABASE bosh SET work_mem = '8MB'");
    scene.psql("bosh", "CREATE INDEX by_cid ON instances (vm_cid); ALTER TABLE instances OWNER TO director");
    scene.psql("postgres", r#"CREATE DATABASE "we ird""#);
    scene.psql("we ird", r"CREATE TABLE other AS SELECT 'a\b' || chr(10) || n AS t FROM generate_series(1, 3) n");
    scene.backed_up();
    let before = scene.instances("bosh");
    let password = "SELECT rolpassword FROM pg_authid WHERE rolname = 'director'";
    let secret = scene.psql("postgres", password);

    let steps: Vec<String> = scene.run(&["restore", "--dry-run"], 0).out.lines().map(str::to_owned).collect();
    assert!(steps.iter().any(|line| line.starts_with("    bosh becomes bosh_before_")), "{steps:?}");
    let steps: Vec<String> = steps.into_iter().filter(|line| !line.starts_with(' ')).collect();
    assert_eq!(steps.len(), 8, "{steps:?}");

    // Who could answer is not there.
    scene.psql("we ird", "DELETE FROM other");
    let said = scene.run(&["restore"], 2);
    assert!(said.err.contains("nobody is there to be asked"), "{}", said.err);
    assert_eq!(scene.psql("we ird", "SELECT count(*) FROM other"), "0");

    scene.psql("postgres", "DROP DATABASE bosh");
    scene.psql("postgres", "DROP ROLE director");
    let said = scene.run(&["--json", "restore", "--yes"], 0);
    assert_eq!(said.steps(&steps), steps, "each step, in that order");
    let result = said.result();
    assert!(result["downtime_ms"].as_u64().is_some_and(|millis| millis > 0), "{result}");
    assert_eq!(result["databases"][0]["roles"][0].as_str(), Some("director"), "{result}");
    assert_eq!(scene.instances("bosh"), before);
    assert_eq!(scene.psql("postgres", password), secret, "the role is what it was");
    assert_eq!(scene.psql("bosh", "SHOW work_mem"), "8MB");
    let owners = "SELECT pg_get_userbyid(datdba), pg_get_userbyid(relowner), relhasindex FROM pg_database, pg_class \
        WHERE datname = 'bosh' AND relname = 'instances'";
    assert_eq!(scene.psql("bosh", owners), "director|director|t");
    assert_eq!(scene.psql("we ird", "SELECT string_agg(t, ' ' ORDER BY t) FROM other").lines().count(), 4);
    assert_eq!(scene.databases(), "bosh postgres we ird", "what was replaced is gone");
    assert_eq!(scene.up(), ["agent", "director", "postgres"], "what was stopped before stays so");
    assert_eq!(scene.traces(), "");
    assert!(!said.err.contains("SCRAM-SHA"), "{}", said.err);
    let log = result["log"].as_str().expect("a log");
    let log = fs::read_to_string(log).expect("read");
    assert!(log.contains("the restore is done") && !log.contains("SCRAM-SHA"), "{log}");

    // One of them, and what is replaced is kept.
    scene.psql("bosh", "DELETE FROM instances");
    let said = scene.run(&["--json", "restore", "--yes", "--database", "bosh", "--keep"], 0);
    let kept = said.result()["databases"][0]["kept"].as_str().expect("a name").to_owned();
    assert_eq!(scene.instances("bosh"), before);
    assert_eq!(scene.psql(&kept, "SELECT count(*) FROM instances"), "0");

    // One beside the one that runs.
    let processes = scene.processes();
    scene.psql("bosh", "DELETE FROM instances");
    scene.run(&["restore", "--database", "bosh", "--as", "bosh-backup"], 0);
    assert_eq!(scene.instances("bosh-backup"), before);
    assert_eq!(scene.psql("bosh", "SELECT count(*) FROM instances"), "0");
    let said = scene.run(&["restore", "--database", "bosh", "--as", "bosh-backup"], 1);
    assert!(said.err.contains("there is a database bosh-backup"), "{}", said.err);
    assert_eq!(scene.processes(), processes, "nothing was stopped");
    assert_eq!(scene.databases(), format!("bosh bosh-backup {kept} postgres we ird"));

    // Of machines that were made anew. Which they are, the dump, the deployment and the director tell.
    scene.director.sh(
        r#"echo '{"agent_id":"bm-1","vm":{"name":"vm-7"},"disks":{"persistent":{"vol-1":"/dev/sdf"}}}' >/var/vcap/bosh/settings.json"#,
    );
    let deployments = scene.at("bosh-deployments.yml");
    fs::write(&deployments, "---\ninstances:\n- :id: 1\n  :vm_cid: vm-7000\n  :disk_cid: vol-1\n").expect("written");
    let told = scene.run(&["ids", "--deployments", &deployments.display().to_string()], 0).out;
    let told: Vec<String> = told.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for line in [
        "agent bm-1 - - host",
        "machine vm-1000 dump - -",
        "machine vm-7 dump - host",
        "machine vm-7000 - file -",
        "disk vol-1 - file host /dev/sdf",
    ] {
        assert!(told.iter().any(|told| told == line), "{line} is not in {told:?}");
    }
    assert_eq!(told.len(), 1003, "each id once");
    let ids = ["--replace", "vm-7=vm-9000", "--replace", "vm-70=vm-7"];
    let dry = scene.run(&[&["restore", "--dry-run"], &ids[..]].concat(), 0).out;
    assert!(dry.contains("\n    the id vm-7, which becomes another: 1\n"), "{dry}");
    scene.run(&[&["restore", "--database", "bosh", "--as", "moved"], &ids[..]].concat(), 0);
    let cids =
        "SELECT string_agg(vm_cid, ' ' ORDER BY id), count(*) FROM instances WHERE id IN (7, 70, 71, 700) OR vm_cid = 'vm-7'";
    assert_eq!(scene.psql("moved", cids), "vm-9000 vm-7 vm-71 vm-700|4");
}

/// An archive as microbosh-simple-backup makes one, with that dump in it.
fn seed_written(scene: &Scene, dump: &[u8]) -> String {
    let made = scene.at("seed");
    fs::create_dir_all(made.join("dbs")).expect("made");
    fs::write(made.join("dbs/postgres_20150101000000.dump.all"), dump).expect("written");
    fs::write(made.join("_date.control"), "20150101000000\n20150101000100\n").expect("written");
    let archive = scene.at("seed.tgz");
    let mut tar = Command::new("tar");
    tar.args(["-acv", "--acls", "--atime-preserve", "-f"]).arg(&archive).arg("-C").arg(made);
    assert!(tar.args(["_date.control", "dbs"]).output().expect("tar runs").status.success());
    archive.display().to_string()
}

#[test]
fn what_is_damaged_or_not_meant_stops_and_replaces_nothing() {
    let Some(scene) = Scene::start() else { return };
    let archive = scene.backed_up();
    let whole = fs::read(&archive).expect("read");
    let manifest = PathBuf::from(format!("{}.manifest.json", archive.display()));
    let told = fs::read_to_string(&manifest).expect("read");
    let (processes, before) = (scene.processes(), scene.instances("bosh"));
    let fails = |arguments: &[&str], code: i32, words: &str| {
        let said = scene.run(&[&["restore", "--yes"], arguments].concat(), code);
        assert!(said.err.contains(words), "{words:?} is not in {}", said.err);
        assert!(said.err.contains("\nhint: "), "{}", said.err);
    };

    // The archive.
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    fs::write(&archive, flipped).expect("written");
    fails(&[], 4, "the archive");
    fs::write(&archive, &whole[..whole.len() / 2]).expect("written");
    fails(&[], 4, "the archive");
    fs::write(&archive, &whole).expect("as it was");

    // Whom it is of, and what is in it.
    fs::write(&manifest, told.replace("vcap@", "vcap@other-")).expect("written");
    fails(&[], 2, "--other-director");
    scene.run(&["restore", "--dry-run", "--other-director"], 0);
    fs::write(&manifest, &told).expect("as it was");
    fails(&["--database", "nosuch"], 3, "it has");
    fails(&["--database", "postgres"], 2, "cannot be replaced");
    fails(&["--replace", "vm-0=vm-1"], 3, "has the id vm-0");
    fails(&[&scene.at("nosuch.tgz").display().to_string()], 3, "there is no archive");

    // The dump in it, which nothing but its own end tells of.
    let mut tar = Command::new("tar");
    tar.args(["--extract", "--gzip", "--to-stdout", "--wildcards", "--file"]).arg(&archive).arg("dbs/*.dump.all");
    let text = String::from_utf8(tar.output().expect("tar runs").stdout).expect("text");
    fails(&[&seed_written(&scene, &text.as_bytes()[..text.len() / 2])], 4, "dump");
    fails(&[&seed_written(&scene, text.replace(" 15.1", " 9.1").as_bytes())], 2, "the dump is of PostgreSQL 9.1");
    fails(&[&seed_written(&scene, text.replace("CREATE TABLE", "\\! id\nCREATE TABLE").as_bytes())], 2, "\\!");
    // What only the server finds out.
    let bad = text.replace("CREATE TABLE public.instances", "SELECT 1 / 0;\nCREATE TABLE public.instances");
    fails(&[&seed_written(&scene, bad.as_bytes())], 1, "division by zero");
    // What nobody complains of: a trigger that lets no row in.
    let lost = "CREATE FUNCTION public.none() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';\n\
        CREATE TRIGGER none BEFORE INSERT ON public.instances FOR EACH ROW EXECUTE FUNCTION public.none();\n\
        COPY public.instances";
    fails(&[&seed_written(&scene, text.replace("COPY public.instances", lost).as_bytes())], 6, "0 rows were loaded");

    // A disk that is full.
    let stat = "/usr/local/bin/stat";
    scene.director.sh(&format!("mkdir -p /usr/local/bin; printf '#!/bin/sh\\necho 1 4096\\n' >{stat}; chmod 755 {stat}"));
    fails(&[], 1, "has 4096 bytes of disk left");
    scene.director.sh(&format!("rm {stat}"));

    assert_eq!(scene.processes(), processes, "nothing was stopped");
    assert_eq!((scene.instances("bosh"), scene.databases()), (before.clone(), "bosh postgres".into()));
    assert_eq!(scene.traces(), "");

    // One of the seed that is whole.
    scene.psql("bosh", "DELETE FROM instances");
    let said = scene.run(&["restore", "--yes", &seed_written(&scene, text.as_bytes())], 0);
    assert!(said.err.contains("no manifest"), "{}", said.err);
    assert_eq!((scene.instances("bosh"), scene.databases()), (before, "bosh postgres".into()));

    // Without the server there is nothing that could load it.
    scene.stopped_before("postgres");
    fails(&[], 1, "postgres does not run");
    assert!(Path::new(&archive).exists());
}
