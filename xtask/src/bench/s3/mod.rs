//! `ceph-backup sync` against s5cmd, rclone and s3cmd, on a gateway of Ceph.

mod files;
mod tools;

use std::path::PathBuf;

use backup_tests::Rgw;
use clap::Args;
use serde_json::json;

use super::rows::Row;
use super::tools::Sample;
use super::{Result, Taken};
use files::Set;
use tools::{Job, Tool, Tools, Work};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How many files of all sizes there are
    #[arg(long, default_value_t = 3000)]
    mixed: usize,
    /// How many small files there are
    #[arg(long, default_value_t = 20_000)]
    small: usize,
    /// How many MiB the one large file has
    #[arg(long, default_value_t = 1024)]
    large: usize,
    /// How many pairs are measured for each row, after one run of each that warms up and is checked
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How many pairs with s3cmd, which takes minutes and is not warmed up
    #[arg(long, default_value_t = 1)]
    slow_rounds: usize,
    /// Only rows with this in one of their names; may be given several times. The peer against itself is always there
    #[arg(long)]
    only: Vec<String>,
    /// Where every single measurement goes
    #[arg(long)]
    json: Option<PathBuf>,
    /// Where the files lie meanwhile
    #[arg(long, default_value = "target/bench")]
    work: PathBuf,
    /// The program that is measured
    #[arg(long, default_value = "target/release/ceph-backup")]
    program: PathBuf,
}

/// Ours and the peer.
type Sides = [(Tool, Work); 2];

/// What is measured against what with each set of files, and how much of the peer's time it may take at most, where that is promised.
const ROWS: [(Sides, Option<f64>); 13] = [
    ([(Tool::Ours, Work::Down), (Tool::S5cmd, Work::Down)], Some(0.9)),
    ([(Tool::Ours, Work::Down), (Tool::Rclone, Work::Down)], None),
    ([(Tool::Ours, Work::Down), (Tool::RcloneTuned, Work::Down)], None),
    ([(Tool::Ours, Work::Up), (Tool::S5cmd, Work::Up)], None),
    ([(Tool::Ours, Work::Up), (Tool::Rclone, Work::Up)], None),
    ([(Tool::Ours, Work::Up), (Tool::RcloneTuned, Work::Up)], None),
    ([(Tool::Ours, Work::Again), (Tool::Ours, Work::List)], Some(1.2)),
    ([(Tool::Ours, Work::Again), (Tool::S5cmd, Work::List)], None),
    ([(Tool::Ours, Work::Again), (Tool::S5cmd, Work::Again)], None),
    ([(Tool::Ours, Work::Again), (Tool::RcloneTuned, Work::Again)], None),
    ([(Tool::Ours, Work::Down), (Tool::S3cmd, Work::Down)], Some(0.15)),
    ([(Tool::Ours, Work::Up), (Tool::S3cmd, Work::Up)], None),
    ([(Tool::Ours, Work::Again), (Tool::S3cmd, Work::Again)], None),
];

/// Which of them are measured with a large file.
const LARGE: [Sides; 2] = [ROWS[0].0, ROWS[3].0];

const SYNC: &str = "server: in memory; files: ceph-backup syncs what it downloads, `sync -f` follows the others";

/// Which jobs were seen to do what they should.
struct Bench<'a> {
    tools: &'a Tools<'a>,
    checked: Vec<Job>,
}

impl Bench<'_> {
    /// Runs it once. The first run of each is what says that a figure counts at all.
    fn once(&mut self, job: Job) -> Result<Sample> {
        let (tool, work, set) = job;
        if work == Work::Again && !self.checked.contains(&(tool, Work::Down, set)) {
            self.once((tool, Work::Down, set))?;
        }
        let sample = self.tools.run(job)?;
        if !self.checked.contains(&job) {
            eprintln!("{}: {sample}; is it whole?", Tools::name(job));
            self.tools.check(job).map_err(|error| format!("{}: {error}: no figure counts", Tools::name(job)))?;
            self.checked.push(job);
        }
        self.tools.tidy(job)?;
        Ok(sample)
    }
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let rgw = Rgw::start().ok_or("there is no Ceph: run ci/install")?;
    let work = super::work(&options.work)?;
    let program = super::program(&options.program, "ceph-backup")?;
    let tools = Tools { program, rgw: &rgw, keys: rgw.user("bench"), work: work.path().canonicalize()? };
    let (mut has, mut versions) = (Vec::new(), Vec::new());
    for tool in Tool::ALL {
        match tools.version(tool) {
            Some(version) => {
                has.push(tool);
                versions.push(version);
            }
            None => eprintln!("{tool:?} is not there: its rows are left out"),
        }
    }
    let rows = rows(options, &has);
    for set in sets(options) {
        if rows.iter().any(|(sides, _)| sides[0].2 == set) {
            eprintln!("filling a bucket: {}", set.name());
            tools.prepare(set)?;
        }
    }
    let mut bench = Bench { tools: &tools, checked: Vec::new() };
    for job in rows.iter().flat_map(|(sides, _)| sides).filter(|job| job.0 != Tool::S3cmd) {
        if !bench.checked.contains(job) {
            bench.once(*job)?;
        }
    }
    let mut measured = Vec::new();
    for (sides, most) in rows {
        let rounds = if sides[1].0 == Tool::S3cmd { options.slow_rounds } else { options.rounds };
        let names = sides.map(Tools::name);
        measured.push(Row::measure([&names[0], &names[1]], most, rounds, |side| bench.once(sides[side]))?);
    }
    let data = json!({"mixed": options.mixed, "small": options.small, "large_mib": options.large, "rounds": options.rounds,
        "slow_rounds": options.slow_rounds, "tools": versions});
    let server = rgw.admin(&["--version"]).trim().to_owned();
    let taken = Taken { data, program: &tools.program, server, sync: SYNC };
    super::report(&taken, &measured, options.json.as_deref())
}

/// The rows that are wanted, of tools that are there; first the peer against itself.
fn rows(options: &Options, has: &[Tool]) -> Vec<([Job; 2], Option<f64>)> {
    let is_wanted = |sides: &[Job; 2]| {
        let name = sides.map(Tools::name).join(" ");
        let is_named = options.only.is_empty() || options.only.iter().any(|only| name.contains(only.as_str()));
        is_named && sides.iter().all(|job| has.contains(&job.0))
    };
    let sets = sets(options);
    let of = |set: Set| {
        // Nothing is promised of a large file but memory, and there is nothing in it to list.
        let rows = ROWS.iter().filter(move |(sides, _)| !set.is_large() || LARGE.contains(sides));
        rows.map(move |(sides, most)| (sides.map(|(tool, work)| (tool, work, set)), most.filter(|_| !set.is_large())))
    };
    let all = sets.into_iter().flat_map(of);
    let peer = if has.contains(&Tool::S5cmd) { Tool::S5cmd } else { Tool::Ours };
    let control = ([(peer, Work::Down, sets[0]); 2], None);
    std::iter::once(control).chain(all.filter(|(sides, _)| is_wanted(sides))).collect()
}

fn sets(options: &Options) -> [Set; 3] {
    [Set::Mixed(options.mixed), Set::Small(options.small), Set::Large(options.large)]
}
