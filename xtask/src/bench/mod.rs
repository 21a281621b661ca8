//! Programs against their peers: the same data in the same run, pairs in turn, every output restored and compared first.

mod bosh;
mod contents;
mod data;
mod files;
mod frame;
mod mongo;
mod random;
mod rows;
mod s3;
mod serve;
mod stats;
mod tools;

use std::path::{Path, PathBuf};
use std::process::Command;

use backup_tests::{Major, Server, Setup};
use clap::Args;
use serde_json::{Value, json};

pub(crate) use bosh::{Options as BoshOptions, run as bosh};
use frame::{Common, Line, Work};
pub(crate) use mongo::{Options as MongoOptions, Peer, peer, run as mongo};
use rows::Row;
pub(crate) use s3::{Options as S3Options, run as s3};
pub(crate) use serve::{Options as ServeOptions, run as serve};
use tools::{Sample, Tool, Tools};

/// Anything that ends the run, in words.
pub(crate) type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How much there is to back up, as COPY text: a number with MiB or GiB
    #[arg(long, default_value = "1GiB", value_parser = size)]
    size: u64,
    /// How many tables of 20 rows there are among it
    #[arg(long, default_value_t = 3000)]
    tables: u32,
    /// The program that is measured
    #[arg(long, default_value = "target/release/pg-backup")]
    program: PathBuf,
    #[command(flatten)]
    common: Common,
}

/// What is measured against what, and how much of the peer's time it may take at most, where that is promised.
const ROWS: [Line<Tool>; 10] = [
    (Tool::DumpallNull, Tool::DumpallNull, None),
    (Tool::Backup, Tool::DumpallGzip, Some(0.25)),
    (Tool::Backup, Tool::DumpallZstd, None),
    (Tool::Backup, Tool::DumpCustom, None),
    (Tool::Backup, Tool::DumpDirectory, None),
    (Tool::DumpNull, Tool::DumpallNull, Some(1.0)),
    (Tool::DumpFile, Tool::DumpallFile, Some(1.0)),
    (Tool::Restore, Tool::Psql, None),
    (Tool::Restore, Tool::PgRestore, None),
    (Tool::Verify, Tool::GzipTest, None),
];

pub(crate) fn run(options: &Options) -> Result<()> {
    let (source, target) = (start()?, start()?);
    eprintln!("filling a database of about {} MiB", options.size >> 20);
    data::fill(&source, options.size, options.tables)?;
    let work = options.common.folder()?;
    let tools = Tools {
        program: program(&options.program, "pg-backup")?,
        source: &source,
        target: &target,
        work: work.path().canonicalize()?,
    };
    let whole = Whole { expected: contents::of(&source, &["bench"])?, tools: &tools };
    tools.prepare()?;
    let measured = options.common.measure(&whole, options.common.wanted(&ROWS, |_| true))?;
    let data = json!({"size": options.size, "tables": options.tables, "rounds": options.common.rounds,
        "database_bytes": source.psql("bench", "SELECT pg_database_size('bench')")});
    let taken = Taken { data, program: &tools.program, server: version(&source), sync: SYNC, cache: WARM };
    report(&taken, &measured, options.common.json.as_deref())
}

/// Tools, and what the source holds.
struct Whole<'a> {
    tools: &'a Tools<'a>,
    expected: String,
}

impl Work for Whole<'_> {
    type Way = Tool;

    fn name(&self, tool: Tool) -> &'static str {
        tool.name()
    }

    fn run(&self, tool: Tool) -> Result<Sample> {
        self.tools.run(tool)
    }

    fn check(&self, tool: Tool) -> Result<()> {
        self.tools.bring_back(tool)?;
        if tool.makes_a_copy() && contents::of(self.tools.target, &["bench"])? != self.expected {
            return Err("what it made is not what the source holds".into());
        }
        Ok(())
    }

    fn tidy(&self, tool: Tool) -> Result<()> {
        self.tools.tidy(tool)
    }
}

fn start() -> Result<Server> {
    let conf = ["max_locks_per_transaction = 512", "shared_buffers = 256MB", "max_wal_size = 8GB", "autovacuum = off"];
    let setup = Setup { conf: conf.map(str::to_owned).to_vec(), ..Setup::default() };
    Ok(Server::start_with(Major::V15, &setup).ok_or("there is no PostgreSQL 15: run ci/install")?)
}

fn program(path: &Path, package: &str) -> Result<PathBuf> {
    let none = |error| format!("{}: {error}; cargo build --release -p {package}", path.display());
    Ok(path.canonicalize().map_err(none)?)
}

/// What samples were taken of.
struct Taken<'a> {
    data: Value,
    program: &'a Path,
    /// The version of the server.
    server: String,
    /// What is on disk when a tool has ended.
    sync: &'static str,
    /// What was read or run before.
    cache: &'static str,
}

const WARM: &str = "warm: every tool has run once before";

const SYNC: &str = "servers: fsync off; files: pg-backup and pg_dump sync theirs, after a pipe or a redirection sync(1) does";

fn version(server: &Server) -> String {
    server.psql("postgres", "SELECT version()")
}

/// Keeps every sample, and prints the table.
fn report(taken: &Taken<'_>, measured: &[Row], json: Option<&Path>) -> Result<()> {
    let conditions = conditions(taken)?;
    if let Some(path) = json {
        let samples: Vec<Value> = measured.iter().flat_map(Row::json).collect();
        let report = json!({"conditions": conditions, "samples": samples});
        std::fs::write(path, serde_json::to_vec_pretty(&report)?)?;
    }
    println!("{conditions}\n");
    rows::print(measured);
    Ok(())
}

fn conditions(Taken { data, program, server, sync, cache }: &Taken<'_>) -> Result<Value> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    Ok(json!({
        "program": said(Command::new(program).arg("--version"))?,
        "commit": said(Command::new("git").args(["describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=, changed"]))?,
        "server": server,
        "data": data,
        "cpu": model.trim_start_matches(['\t', ' ', ':']),
        "cpus": std::thread::available_parallelism().map_or(0, usize::from),
        "load": read("/proc/loadavg").trim(),
        "cache": cache,
        "sync": sync,
    }))
}

/// What a program says, if it succeeds.
fn said(command: &mut Command) -> Result<String> {
    let output = command.current_dir(env!("CARGO_MANIFEST_DIR")).output()?;
    if !output.status.success() {
        return Err(format!("{command:?}: {}", output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn size(text: &str) -> Result<u64, String> {
    let units = [("GiB", 1 << 30), ("MiB", 1 << 20)];
    let parsed = units.iter().find_map(|(unit, bytes)| Some(text.strip_suffix(unit)?.parse::<u64>().ok()? * bytes));
    parsed.filter(|size| *size >= 16 << 20).ok_or_else(|| "a size is at least 16MiB, such as 512MiB or 1GiB".to_owned())
}
