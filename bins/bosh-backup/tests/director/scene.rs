//! A director, and a person who backs it up with a configuration of microbosh-simple-backup.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use backup_tests::{Director, hearing};
use serde_json::Value;
use tempfile::TempDir;

/// How long what must come is waited for, at most.
const SOON: Duration = Duration::from_secs(240);

pub(crate) struct Scene {
    pub(crate) director: Director,
    folder: TempDir,
}

impl Scene {
    /// A director with a database and some files in its store. `None` where there can be none.
    pub(crate) fn start() -> Option<Self> {
        let director = Director::start()?;
        let scene = Self { director, folder: tempfile::tempdir().expect("a folder") };
        scene.psql("postgres", "CREATE DATABASE bosh");
        scene.psql("bosh", "CREATE TABLE instances AS SELECT n AS id, 'vm-' || n AS vm_cid FROM generate_series(1, 1000) n");
        scene
            .director
            .sh("mkdir -p /var/vcap/store/blobstore/a /var/vcap/store/lost+found /var/vcap/data /var/vcap/packages/x");
        scene
            .director
            .sh("head -c 300000 /dev/urandom >/var/vcap/store/blobstore/a/blob; chown -R vcap:vcap /var/vcap/store/blobstore");
        scene.director.sh(
            "echo '{}' >/var/vcap/bosh/settings.json; echo lost >/var/vcap/store/lost+found/x; echo x >/var/vcap/packages/x/x",
        );
        fs::create_dir(scene.at("out")).expect("made");
        fs::write(scene.at("recover.txt"), "call somebody\n").expect("written");
        scene.configure("_all_");
        Some(scene)
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a configuration in the shape of the one that comes with microbosh-simple-backup.
    pub(crate) fn configure(&self, databases: &str) {
        let (director, folder) = (&self.director, self.folder.path().display());
        let (port, key, known_hosts) = (director.ssh_port(), director.key(), director.known_hosts());
        let (key, known_hosts) = (key.display(), known_hosts.display());
        let text = format!(
            r#"USER=vcap
HOST=127.0.0.1:{port}
SSH_PUBLIC_KEY={key}.pub
SSH_PRIVATE_KEY={key}
SSH_OPTIONS="ConnectTimeout=30 BatchMode=yes UserKnownHostsFile={known_hosts}"
MODE="offline"
CACHE={folder}/cache
# its extension counts
OUTPUT={folder}/out/bosh_test_$(date '+%Y%m%d%H%M%S').tar.gz
DBS="{databases}"
LOG_PATH={folder}/log
PROCESS_TIME_LIMIT=60

ADD_LIST() {{
cat <<EOF
# what else goes into the archive
{folder}/recover.txt
EOF
}}

RSYNC_LIST() {{
cat <<EOF
- micro/
- monit/
- packages/
- sys
+ bosh
+ bosh/settings.json
- bosh/**
+ store
- store/lost+found
+ store/**
EOF
}}
"#
        );
        fs::write(self.at("director.conf"), text).expect("written");
    }

    /// The program with this director's configuration.
    pub(crate) fn program(&self, arguments: &[&str]) -> Command {
        let mut program = hearing(env!("CARGO_BIN_EXE_bosh-backup"));
        let client = self.director.client();
        let path = format!("{}:{}", client.parent().expect("a folder").display(), std::env::var("PATH").expect("a PATH"));
        program.env_clear().env("PATH", path).env("HOME", self.folder.path()).env("TZ", "UTC");
        program.env("STATE_DIRECTORY", self.at("state"));
        program.env("BACKUP_PG_HOST", "127.0.0.1").env("BACKUP_PG_PORT", self.director.postgres_port().to_string());
        program.arg("-c").arg(self.at("director.conf")).args(arguments).stdin(Stdio::null());
        program
    }

    /// Runs it, and expects that exit code.
    pub(crate) fn run(&self, arguments: &[&str], code: i32) -> Said {
        Said::of(self.program(arguments).output().expect("it runs"), code)
    }

    pub(crate) fn psql(&self, database: &str, query: &str) -> String {
        let port = self.director.postgres_port().to_string();
        let mut psql = self.director.root("/var/vcap/packages/postgres/bin/psql");
        psql.args(["-h", "127.0.0.1", "-p", &port, "-U", "vcap", "-v", "ON_ERROR_STOP=1", "-d", database, "-Atc", query]);
        let output = psql.output().expect("psql runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// What monit and runit find running.
    pub(crate) fn up(&self) -> Vec<String> {
        let summary = self.director.sh("monit summary; sv status agent");
        let job = |line: &str| -> Option<String> {
            if line.starts_with("run: agent: ") {
                return Some("agent".into());
            }
            let words: Vec<_> = line.split_whitespace().collect();
            matches!(words.as_slice(), [_, "OK", "Process"]).then(|| words[0].to_owned())
        };
        let mut up: Vec<String> = summary.lines().filter_map(job).collect();
        up.sort();
        up
    }

    /// Waits until just these run.
    pub(crate) fn wait_until_up(&self, names: &[&str]) {
        let since = Instant::now();
        while self.up() != names {
            assert!(since.elapsed() < SOON, "{names:?} should run, and not {:?}", self.up());
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Stops a job as its user would, and waits until that is so.
    pub(crate) fn stopped_before(&self, job: &str) {
        let until = format!("until monit summary | grep ' {job} ' | grep -q 'Not monitored  '; do sleep 0.1; done");
        self.director.sh(&format!("monit stop {job}; {until}"));
    }

    /// The names in the folder of the archives, hidden ones too.
    pub(crate) fn out(&self) -> Vec<String> {
        let entries = self.at("out").read_dir().expect("a folder");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// What a backup has left on the director: files of its guard, of dumps.
    pub(crate) fn traces(&self) -> String {
        self.director.sh("ls -d /home/vcap/.bosh-backup /var/vcap/store/postgres_* 2>/dev/null || :\n\
             ps axo user,args | grep '^vcap .*[.]/guard' || :")
    }
}

/// What a run said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    pub(crate) fn of(output: Output, code: i32) -> Self {
        let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        assert_eq!(output.status.code(), Some(code), "{out}\n{err}");
        Self { out, err }
    }

    /// The last line of its results.
    pub(crate) fn result(&self) -> Value {
        serde_json::from_str(self.out.lines().last().expect("a result")).expect("JSON")
    }

    /// What of its stages is a step.
    pub(crate) fn steps(&self, all: &[String]) -> Vec<String> {
        let event = |line: &str| serde_json::from_str::<Value>(line).ok();
        let stage = |event: Value| event["what"].as_str().filter(|_| event["event"] == "stage").map(str::to_owned);
        self.err.lines().filter_map(event).filter_map(stage).filter(|stage| all.contains(stage)).collect()
    }
}
