//! What is measured: the commands of each program, what each leaves behind, and whether that is what it should be.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use backup_tests::{Rgw, S3Keys};

use super::super::files::{self, Set};
use super::super::tools::{Sample, bytes, ok};
use super::super::{Result, said};

/// A program, and how it is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tool {
    Ours,
    S5cmd,
    Rclone,
    RcloneTuned,
    S3cmd,
}

/// A piece of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// A folder into an empty bucket.
    Up,
    /// A bucket into an empty folder.
    Down,
    /// A bucket into the folder that the same tool has filled from it.
    Again,
    /// A bucket is listed, and nothing else.
    List,
}

/// What one tool does with one set of files.
pub(super) type Job = (Tool, Work, Set);

/// The gateway, and where the files lie.
pub(super) struct Tools<'a> {
    pub(super) program: PathBuf,
    pub(super) rgw: &'a Rgw,
    pub(super) keys: S3Keys,
    pub(super) work: PathBuf,
}

/// The bucket that files go up into; those that are read have the names of their sets.
const UP: &str = "upload";

impl Tool {
    pub(super) const ALL: [Self; 5] = [Self::Ours, Self::S5cmd, Self::Rclone, Self::RcloneTuned, Self::S3cmd];

    /// For the table.
    fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::S5cmd => "s5cmd",
            Self::Rclone => "rclone",
            Self::RcloneTuned => "rclone tuned",
            Self::S3cmd => "s3cmd",
        }
    }

    /// How its command line begins, up to what it is to do.
    fn program(self) -> &'static str {
        match self {
            Self::Ours => r#""$OURS" -q --s3cfg "$S3CFG" --state "$STATE""#,
            Self::S5cmd => "s5cmd --log error",
            Self::Rclone => "rclone -q",
            Self::RcloneTuned => "rclone -q --transfers 16 --checkers 16 --fast-list --size-only",
            Self::S3cmd => r#""$S3CMD" -q -c "$S3CFG""#,
        }
    }

    /// What it is to do, as it says it itself.
    fn arguments(self, work: Work) -> &'static str {
        match (self, work) {
            (Self::Ours, Work::Up) => r#"sync "$SOURCE/" "s3://$BUCKET""#,
            (Self::Ours, Work::Down | Work::Again) => r#"sync "s3://$BUCKET" "$OUT""#,
            (Self::Rclone | Self::RcloneTuned, Work::Up) => r#"sync "$SOURCE" "c:$BUCKET""#,
            (Self::Rclone | Self::RcloneTuned, Work::Down | Work::Again) => r#"sync "c:$BUCKET" "$OUT""#,
            (Self::Rclone | Self::RcloneTuned, Work::List) => r#"size "c:$BUCKET""#,
            (Self::S5cmd | Self::S3cmd, Work::Up) => r#"sync "$SOURCE/" "s3://$BUCKET/""#,
            (Self::S5cmd, Work::Down | Work::Again) => r#"sync "s3://$BUCKET/*" "$OUT/""#,
            (Self::S5cmd, Work::List) => r#"du "s3://$BUCKET/*""#,
            (Self::S3cmd, Work::Down | Work::Again) => r#"sync "s3://$BUCKET/" "$OUT/""#,
            (Self::Ours | Self::S3cmd, Work::List) => r#"du "s3://$BUCKET""#,
        }
    }

    /// The shell's words for a piece of work. Ours has what it wrote on disk when it ends; behind the others that is done for them.
    fn script(self, work: Work) -> String {
        let sync = if self != Self::Ours && work == Work::Down { r#"; sync -f "$OUT""# } else { "" };
        format!("{} {}{sync}", self.program(), self.arguments(work))
    }
}

impl Tools<'_> {
    /// For the table.
    pub(super) fn name((tool, work, set): Job) -> String {
        let what = match work {
            Work::Up => "up",
            Work::Down => "down",
            Work::Again => "again",
            Work::List => "listed",
        };
        format!("{}: {} {what}", tool.name(), set.name())
    }

    /// What it says of its version; `None` if it is not there.
    pub(super) fn version(&self, tool: Tool) -> Option<String> {
        let script = match tool {
            Tool::Ours => r#""$OURS" --version"#,
            Tool::S5cmd => "s5cmd version",
            Tool::Rclone | Tool::RcloneTuned => "rclone version | sed -n 1p",
            Tool::S3cmd => r#""$S3CMD" --version"#,
        };
        said(self.shell(script, "", Set::Small(0)).stdout(Stdio::piped())).ok()
    }

    /// Makes the files of a set, and the bucket that has them.
    pub(super) fn prepare(&self, set: Set) -> Result<()> {
        set.make(&self.source(set))?;
        self.make_bucket(&set.name())?;
        let up = Tool::Ours.script(Work::Up);
        ok(self.shell(&up, &set.name(), set).status()?, "fill a bucket")
    }

    /// Runs it once.
    pub(super) fn run(&self, job: Job) -> Result<Sample> {
        let (tool, work, set) = job;
        let bucket = if work == Work::Up { UP.to_owned() } else { set.name() };
        match work {
            Work::Up => self.make_bucket(UP)?,
            Work::Down => std::fs::create_dir(self.work.join("out"))?,
            Work::Again => std::fs::rename(self.kept(tool, set), self.work.join("out"))?,
            Work::List => {}
        }
        let mut command = self.shell(&tool.script(work), &bucket, set);
        let sample = Sample::of(&Self::name(job), || Ok(self.rgw.cpu()?), &mut command)?;
        let bytes_out = if work == Work::Down { bytes(&self.work.join("out"))? } else { 0 };
        Ok(Sample { bytes_in: bytes(&self.source(set))?, bytes_out, ..sample })
    }

    /// Fails unless what a run has left is what it should be.
    pub(super) fn check(&self, (_, work, set): Job) -> Result<()> {
        let copy = match work {
            Work::List => return Ok(()),
            Work::Down | Work::Again => self.work.join("out"),
            Work::Up => {
                let back = self.work.join("back");
                let script = Tool::Ours.script(Work::Down).replace("$OUT", "$BACK");
                ok(self.shell(&script, UP, set).env("BACK", &back).status()?, "bring back what went up")?;
                back
            }
        };
        files::compare(&self.source(set), &copy)
    }

    /// Removes what a run has left. What a tool has brought down for the first time is kept for it, to be brought down again.
    pub(super) fn tidy(&self, (tool, work, set): Job) -> Result<()> {
        let (out, kept) = (self.work.join("out"), self.kept(tool, set));
        match work {
            Work::Up => drop(self.rgw.admin(&["bucket", "rm", "--bucket", UP, "--purge-objects", "--bypass-gc"])),
            Work::Down | Work::Again if !kept.exists() => std::fs::rename(out, kept)?,
            Work::Down | Work::Again | Work::List => {}
        }
        for left in ["out", "back", "state"] {
            let _ = std::fs::remove_dir_all(self.work.join(left));
        }
        Ok(())
    }

    fn source(&self, set: Set) -> PathBuf {
        self.work.join(set.name())
    }

    fn kept(&self, tool: Tool, set: Set) -> PathBuf {
        self.work.join(format!("kept-{}-{}", tool.name(), set.name()))
    }

    fn make_bucket(&self, bucket: &str) -> Result<()> {
        let make = format!(r#"{} mb "s3://$BUCKET""#, Tool::Ours.program());
        ok(self.shell(&make, bucket, Set::Small(0)).status()?, "make a bucket")
    }

    fn shell(&self, script: &str, bucket: &str, set: Set) -> Command {
        let S3Keys { access_key, secret_key } = &self.keys;
        let mut shell = Command::new("bash");
        shell.args(["-c", &format!("set -euo pipefail; {script}")]).stdin(Stdio::null()).stdout(Stdio::null());
        // Nobody's own configuration; and rclone of Debian 12 fails with a bundle of certificates.
        for (name, _) in std::env::vars_os() {
            if ["AWS_", "S3_", "RCLONE_", "BACKUP_"].iter().any(|own| name.to_string_lossy().starts_with(own)) {
                shell.env_remove(name);
            }
        }
        shell.env("HOME", &self.work).env("OURS", &self.program).env("S3CFG", self.rgw.s3cfg(&self.keys));
        if let Some(s3cmd) = self.rgw.s3cmd(&self.keys) {
            shell.env("S3CMD", s3cmd.get_program());
        }
        shell.env("SOURCE", self.source(set)).env("BUCKET", bucket);
        shell.env("OUT", self.work.join("out")).env("STATE", self.work.join("state"));
        shell.env("S3_ENDPOINT_URL", self.rgw.url()).env("AWS_REGION", "us-east-1");
        shell.env("AWS_ACCESS_KEY_ID", access_key).env("AWS_SECRET_ACCESS_KEY", secret_key);
        for (name, value) in [("TYPE", "s3"), ("PROVIDER", "Ceph"), ("ENV_AUTH", "true"), ("ENDPOINT", &self.rgw.url())] {
            shell.env(format!("RCLONE_CONFIG_C_{name}"), value);
        }
        shell
    }
}
