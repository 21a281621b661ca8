//! One program behind a proxy of its own, and the folder that it fills.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::faults::Proxy;
use crate::{Rgw, S3Keys, hearing};

/// How long a program may take, in seconds.
const PATIENCE: &str = "60";

/// A program that syncs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// This `ceph-backup`.
    Ours(PathBuf),
    /// The s3cmd that `ci/install` has put.
    S3cmd,
    /// This `s5cmd`.
    S5cmd(PathBuf),
}

/// A proxy, and the folder that a program has filled through it.
pub(super) struct Lane<'a> {
    program: &'a Program,
    rgw: &'a Rgw,
    keys: &'a S3Keys,
    pub(super) proxy: Proxy,
    folder: tempfile::TempDir,
    /// What a configuration says of the gateway itself.
    config: String,
}

impl<'a> Lane<'a> {
    pub(super) fn new(program: &'a Program, rgw: &'a Rgw, keys: &'a S3Keys) -> Self {
        let address = rgw.url().trim_start_matches("http://").parse().expect("an address");
        let config = std::fs::read_to_string(rgw.s3cfg(keys)).expect("a file");
        let folder = tempfile::tempdir().expect("a folder");
        let lane = Self { program, rgw, keys, proxy: Proxy::start(address), folder, config };
        lane.waits_for(1);
        std::fs::write(lane.path("behind"), &lane.config).expect("written");
        lane
    }

    /// Programs ask twice again, and wait for each answer so many seconds; s5cmd cannot be told.
    pub(super) fn waits_for(&self, seconds: u32) {
        let host = |url: &str| url.trim_start_matches("http://").to_owned();
        let text = self.config.replace(&host(&self.rgw.url()), &host(&self.proxy.url()));
        std::fs::write(self.path("s3cfg"), format!("{text}socket_timeout = {seconds}\nmax_retries = 2\n")).expect("written");
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn ours(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut ours = hearing(program);
        for (name, _) in std::env::vars_os() {
            if ["BACKUP_", "AWS_"].iter().any(|heeded| name.to_string_lossy().starts_with(heeded)) {
                ours.env_remove(name);
            }
        }
        ours.arg("-q").arg("--s3cfg").arg(self.path("s3cfg")).arg("--state").arg(self.path("state")).args(arguments);
        ours
    }

    pub(super) fn s3cmd(&self) -> Command {
        self.s3cmd_by("s3cfg")
    }

    /// s3cmd that asks the gateway itself.
    pub(super) fn behind(&self) -> Command {
        self.s3cmd_by("behind")
    }

    fn s3cmd_by(&self, config: &str) -> Command {
        let mut s3cmd = self.rgw.s3cmd(self.keys).expect("s3cmd is where Ceph is");
        s3cmd.arg("-q").arg("--config").arg(self.path(config)).stdin(Stdio::null());
        s3cmd
    }

    pub(super) fn run(&self, mut command: Command) {
        let output = command.stdin(Stdio::null()).output().expect("it runs");
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Makes `to` what the bucket is, and deletes what is not in it. The exit code; none if it did not end.
    pub(super) fn sync(&self, bucket: &str, to: &Path) -> Option<i32> {
        let (from, to) = (format!("s3://{bucket}/"), format!("{}/", to.display()));
        let command = match self.program {
            Program::Ours(program) => self.ours(program, &["sync", "--delete-removed", "--yes", &from, &to]),
            Program::S3cmd => {
                let mut s3cmd = self.s3cmd();
                s3cmd.args(["--delete-removed", "sync", &from, &to]);
                s3cmd
            }
            Program::S5cmd(program) => {
                let mut s5cmd = Command::new(program);
                s5cmd.args(["--retry-count", "1", "--endpoint-url", &self.proxy.url(), "sync", "--delete"]);
                s5cmd.args([format!("{from}*"), to]).env("AWS_REGION", "us-east-1");
                let S3Keys { access_key, secret_key } = self.keys;
                s5cmd.env("AWS_ACCESS_KEY_ID", access_key).env("AWS_SECRET_ACCESS_KEY", secret_key);
                s5cmd
            }
        };
        let mut patient = Command::new("timeout");
        patient.arg(PATIENCE).arg(command.get_program()).args(command.get_args()).stdin(Stdio::null());
        patient.stdout(Stdio::null()).stderr(Stdio::null());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => patient.env(name, value),
                None => patient.env_remove(name),
            };
        }
        patient.status().expect("timeout of coreutils runs").code().filter(|code| *code != 124)
    }
}
