//! `bosh-backup backup` against OpenSSH, rsync and `tar -z` as microbosh-simple-backup has them, on a director of its own.

mod tools;

use std::path::PathBuf;

use backup_tests::Director;
use clap::Args;
use serde_json::json;

use super::files::Set;
use super::frame::{Common, Line};
use super::{Result, Taken, said};
use tools::{Job, Side, Tools};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How many files the director's blobstore has, of 52 KiB in the mean
    #[arg(long, default_value_t = 20_000)]
    files: usize,
    /// The program that is measured
    #[arg(long, default_value = "target/release/bosh-backup")]
    program: PathBuf,
    #[command(flatten)]
    common: Common,
}

/// What is measured against what, and how much of the peer's time it may take at most, where that is promised.
const ROWS: [Line<(Side, Job)>; 8] = [
    ((Side::Seed, Job::Unchanged), (Side::Seed, Job::Unchanged), None),
    ((Side::Ours, Job::First), (Side::Seed, Job::First), None),
    ((Side::Ours, Job::Unchanged), (Side::Seed, Job::Unchanged), Some(1.0)),
    ((Side::Ours, Job::Changed), (Side::Seed, Job::Changed), None),
    ((Side::Ours, Job::Archived), (Side::Seed, Job::Archived), Some(0.15)),
    ((Side::Ours, Job::DownFirst), (Side::Seed, Job::DownFirst), None),
    ((Side::Ours, Job::DownUnchanged), (Side::Seed, Job::DownUnchanged), None),
    ((Side::Ours, Job::DownChanged), (Side::Seed, Job::DownChanged), Some(0.1)),
];

const SYNC: &str =
    "bosh-backup syncs its cache and its archive, `sync -f` follows rsync and tar but where downtime is measured";

pub(crate) fn run(options: &Options) -> Result<()> {
    let director = Director::start().ok_or("there is no director: run ci/install, and be root")?;
    let work = options.common.folder()?;
    let program = super::program(&options.program, "bosh-backup")?;
    let tools = Tools::new(program, &director, work.path().canonicalize()?)?;
    eprintln!("filling a blobstore with {} files", options.files);
    Set::Blobs(options.files).make(&tools.blobs)?;
    tools.prepare()?;
    let measured = options.common.measure(&tools, options.common.wanted(&ROWS, |_| true))?;
    let tar = said(std::process::Command::new("tar").arg("--version"))?;
    let versions = [director.sh("rsync --version"), director.sh("ssh -V 2>&1"), tar];
    let versions = versions.map(|text| text.lines().next().unwrap_or_default().to_owned());
    let data = json!({"files": options.files, "bytes": super::tools::bytes(&tools.blobs)?, "rounds": options.common.rounds, "tools": versions});
    let server = "a director of the tests, on the same machine".to_owned();
    let taken = Taken { data, program: &tools.program, server, sync: SYNC, cache: super::WARM };
    super::report(&taken, &measured, options.common.json.as_deref())
}
