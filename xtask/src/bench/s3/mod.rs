//! `ceph-backup sync` against s5cmd, rclone and s3cmd, on a gateway of Ceph.

mod tools;

use std::path::PathBuf;

use backup_tests::Rgw;
use clap::Args;
use serde_json::json;

use super::files::Set;
use super::frame::Common;
use super::rows::Row;
use super::tools::Sample;
use super::{Result, Taken};
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
    /// How often rclone is [default: as the others]
    #[arg(long)]
    rclone_rounds: Option<usize>,
    /// How often s3cmd is, which takes minutes and is not warmed up
    #[arg(long, default_value_t = 1)]
    slow_rounds: usize,
    /// How many files of all sizes there are for s3cmd, and for ours beside it [default: as for the others]
    #[arg(long)]
    slow_mixed: Option<usize>,
    /// How many small files there are for s3cmd, and for ours beside it [default: as for the others]
    #[arg(long)]
    slow_small: Option<usize>,
    /// Measure the first run of each tool too, which else warms up. What it left is checked all the same
    #[arg(long)]
    no_warm_up: bool,
    /// The program that is measured
    #[arg(long, default_value = "target/release/ceph-backup")]
    program: PathBuf,
    #[command(flatten)]
    common: Common,
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

const COLD: &str = "the files were made just before; the first run of each tool counts";

/// A job of ours, that of a peer, and how much of the peer's time it may take at most.
type Line = ([Job; 2], Option<f64>);

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

    /// Runs ours, which is the same in all of `rows`, and each of the peers once a round, forwards and backwards in turn.
    fn in_turn(&mut self, options: &Options, rows: &[Line]) -> Result<Vec<Row>> {
        let mut jobs: Vec<(Job, usize, Vec<Sample>)> =
            rows.iter().map(|([_, peer], _)| (*peer, options.rounds_of(peer.0), Vec::new())).collect();
        let most = jobs.iter().map(|(_, rounds, _)| *rounds).max().unwrap_or_default();
        jobs.splice(0..0, rows.first().map(|([ours, _], _)| (*ours, most, Vec::new())));
        for round in 0..most {
            let mut now: Vec<_> = jobs.iter_mut().filter(|(_, rounds, _)| round < *rounds).collect();
            if round % 2 == 1 {
                now.reverse();
            }
            for (job, _, samples) in now {
                let sample = self.once(*job)?;
                eprintln!("{} {sample}", Tools::name(*job));
                samples.push(sample);
            }
        }
        let [(ours, _, own), peers @ ..] = jobs.as_slice() else { return Ok(Vec::new()) };
        let row = |((peer, _, samples), (_, most)): (&(Job, usize, Vec<Sample>), &Line)| {
            let pairs = own.iter().copied().zip(samples.iter().copied()).collect();
            Row::of([&Tools::name(*ours), &Tools::name(*peer)], *most, pairs)
        };
        Ok(peers.iter().zip(rows).map(row).collect())
    }
}

impl Options {
    fn rounds_of(&self, tool: Tool) -> usize {
        match tool {
            Tool::S3cmd => self.slow_rounds,
            Tool::Rclone | Tool::RcloneTuned => self.rclone_rounds.unwrap_or(self.common.rounds),
            Tool::Ours | Tool::S5cmd => self.common.rounds,
        }
    }
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let rgw = Rgw::start().ok_or("there is no Ceph: run ci/install")?;
    let work = options.common.folder()?;
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
    let mut filled = Vec::new();
    for set in rows.iter().map(|(sides, _)| sides[0].2) {
        if !filled.contains(&set) {
            eprintln!("filling a bucket: {}", set.name());
            tools.prepare(set)?;
            filled.push(set);
        }
    }
    let mut bench = Bench { tools: &tools, checked: Vec::new() };
    for job in rows.iter().flat_map(|(sides, _)| sides).filter(|job| job.0 != Tool::S3cmd && !options.no_warm_up) {
        if !bench.checked.contains(job) {
            bench.once(*job)?;
        }
    }
    let mut measured = Vec::new();
    for rows in rows.chunk_by(|one, other| one.0[0] == other.0[0]) {
        measured.extend(bench.in_turn(options, rows)?);
    }
    let data = json!({"mixed": options.mixed, "small": options.small, "large_mib": options.large, "rounds": options.common.rounds,
        "rclone_rounds": options.rclone_rounds, "slow_rounds": options.slow_rounds, "tools": versions});
    let server = rgw.admin(&["--version"]).trim().to_owned();
    let cache = if options.no_warm_up { COLD } else { super::WARM };
    let taken = Taken { data, program: &tools.program, server, sync: SYNC, cache };
    super::report(&taken, &measured, options.common.json.as_deref())
}

/// The rows that are wanted, of tools that are there; first the peer against itself.
fn rows(options: &Options, has: &[Tool]) -> Vec<Line> {
    let is_wanted = |(sides, _): &Line| {
        let name = sides.map(Tools::name).join(" ");
        options.common.wants(&name) && sides.iter().all(|job| has.contains(&job.0)) && options.rounds_of(sides[1].0) > 0
    };
    let Options { mixed, small, large, slow_mixed, slow_small, .. } = *options;
    let sets = [Set::Mixed(mixed), Set::Small(small), Set::Large(large)];
    let slow = [Set::Mixed(slow_mixed.unwrap_or(mixed)), Set::Small(slow_small.unwrap_or(small))];
    let of = |set: Set, is_slow: bool| {
        let is_measured = move |sides: &Sides| match set {
            // Nothing is promised of a large file but memory, and there is nothing in it to list.
            Set::Large(_) => LARGE.contains(sides),
            _ => is_slow == (sides[1].0 == Tool::S3cmd),
        };
        let rows = ROWS.iter().filter(move |(sides, _)| is_measured(sides));
        rows.map(move |(sides, most)| (sides.map(|(tool, work)| (tool, work, set)), most.filter(|_| !set.is_large())))
    };
    let all = sets.into_iter().flat_map(|set| of(set, false)).chain(slow.into_iter().flat_map(|set| of(set, true)));
    let peer = if has.contains(&Tool::S5cmd) { Tool::S5cmd } else { Tool::Ours };
    let control = ([(peer, Work::Down, sets[0]); 2], None);
    std::iter::once(control).chain(all.filter(is_wanted)).collect()
}
