//! A user of the gateway that all tests share, a folder, and the program in it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use backup_ceph::{Access, Credentials, Head, SharedGateway, connect};
use backup_tests::{Rgw, S3Keys, hearing};

/// The program, with nothing of the caller's environment that it heeds.
pub(crate) fn ceph_backup() -> Command {
    let mut command = hearing(env!("CARGO_BIN_EXE_ceph-backup"));
    for (name, _) in std::env::vars_os() {
        if ["BACKUP_", "AWS_"].iter().any(|ours| name.to_string_lossy().starts_with(ours)) {
            command.env_remove(name);
        }
    }
    command.env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
    command
}

/// A user of the gateway, and a folder.
pub(crate) struct Scene {
    pub(crate) rgw: &'static Rgw,
    pub(crate) keys: S3Keys,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) config: PathBuf,
}

impl Scene {
    pub(crate) fn new(user: &str) -> Option<Self> {
        Rgw::shared().map(|rgw| Self::of(rgw, user))
    }

    /// The same of another gateway.
    pub(crate) fn of(rgw: &'static Rgw, user: &str) -> Self {
        let keys = rgw.user(user);
        let config = rgw.s3cfg(&keys);
        Self { rgw, keys, folder: tempfile::tempdir().expect("a folder"), config }
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    pub(crate) fn write(&self, path: &str, content: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        std::fs::write(path, content).expect("a file");
    }

    /// The program in a folder of the scene, which is its home too.
    pub(crate) fn command(&self, folder: &str, arguments: &[&str]) -> Command {
        std::fs::create_dir_all(self.path(folder)).expect("a folder");
        let mut command = ceph_backup();
        command.env("BACKUP_S3CFG", &self.config).env("BACKUP_STATE", self.path("state")).env("HOME", self.folder.path());
        command.args(arguments).current_dir(self.path(folder));
        command
    }

    /// A configuration that says `lines` beside server and keys.
    pub(crate) fn says(&mut self, lines: &str) {
        let text = std::fs::read_to_string(self.rgw.s3cfg(&self.keys)).expect("a file");
        self.config = self.path("s3cfg");
        std::fs::write(&self.config, text + lines).expect("written");
    }

    /// The server as somebody asks it.
    pub(crate) fn gateway(&self, keys: &S3Keys) -> SharedGateway {
        let credentials = Credentials::new(&keys.access_key, &keys.secret_key);
        connect(&Access::new(self.rgw.url(), Some(credentials))).expect("an address")
    }

    /// Waits for an answer.
    pub(crate) fn block<T>(&self, answer: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(answer)
    }

    /// What is known of an object.
    pub(crate) fn head(&self, bucket: &str, key: &str) -> Head {
        self.block(self.gateway(&self.keys).head(bucket, key)).expect(key)
    }

    /// The exit code and the words.
    pub(crate) fn run(&self, folder: &str, arguments: &[&str]) -> (i32, String) {
        told(&self.command(folder, arguments).output().expect("it runs"))
    }

    #[track_caller]
    pub(crate) fn ok(&self, folder: &str, arguments: &[&str]) -> String {
        let (code, words) = self.run(folder, arguments);
        assert_eq!(code, 0, "{arguments:?}: {words}");
        words
    }

    /// It ends with `code` and one error line that has `word`.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, arguments: &[&str], word: &str) -> String {
        let (found, words) = self.run("home", arguments);
        let errors = words.lines().filter(|line| line.starts_with("error: ")).count();
        assert!(found == code && errors == 1 && words.contains(word), "{arguments:?}: {found}: {words}");
        words
    }

    /// s3cmd; `None` where it is not.
    pub(crate) fn s3cmd(&self, folder: &str, arguments: &[&str]) -> Option<String> {
        let mut s3cmd = self.rgw.s3cmd(&self.keys)?;
        let (code, words) = told(&s3cmd.args(arguments).current_dir(self.path(folder)).output().expect("it runs"));
        assert_eq!(code, 0, "s3cmd {arguments:?}: {words}");
        Some(words)
    }

    /// The files of a folder with what is in them; those of ours are none.
    pub(crate) fn files(&self, folder: &str) -> BTreeMap<String, String> {
        let root = self.path(folder);
        let mut all = BTreeMap::new();
        collect(&root, &root, &mut all);
        all
    }
}

/// The exit code, and standard output and error.
pub(crate) fn told(output: &Output) -> (i32, String) {
    let words = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code().expect("it ended by itself"), words)
}

fn collect(root: &Path, folder: &Path, all: &mut BTreeMap<String, String>) {
    for entry in folder.read_dir().expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.strip_prefix(root).expect("inside").to_string_lossy().into_owned();
        if name == ".ceph-backup" {
            continue;
        }
        if path.is_dir() {
            collect(root, &path, all);
        } else {
            all.insert(name, std::fs::read_to_string(&path).expect("text"));
        }
    }
}
