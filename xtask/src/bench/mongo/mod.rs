//! `mongo-healer backup` and restores against other ways to read the same documents, on throw-away servers.

mod data;
mod peers;
mod tools;

use std::path::PathBuf;

use backup_tests::{Mongod, pymongo};
use clap::Args;
use serde_json::json;
use tokio::runtime::Runtime;

use super::rows::Row;
use super::{Result, Taken};
pub(crate) use peers::{Peer, run as peer};
use tools::{Tool, Tools};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How much there is to back up, as BSON: a number with MiB or GiB
    #[arg(long, default_value = "1GiB", value_parser = super::size)]
    size: u64,
    /// How many pairs are measured for each row, after one run of each that warms up and is checked
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Only rows that have a tool whose name has this in it; may be given several times. The peer against itself is always there
    #[arg(long)]
    only: Vec<String>,
    /// Where every single measurement goes
    #[arg(long)]
    json: Option<PathBuf>,
    /// Where the outputs lie meanwhile
    #[arg(long, default_value = "target/bench")]
    work: PathBuf,
    /// The program that is measured
    #[arg(long, default_value = "target/release/mongo-healer")]
    program: PathBuf,
}

/// What is measured against what, and how much of the peer's time it may take at most, where that is promised.
const ROWS: [(Tool, Tool, Option<f64>); 7] = [
    (Tool::RawCursor, Tool::RawCursor, None),
    (Tool::Export, Tool::TypedCursor, Some(0.71)),
    (Tool::Export, Tool::RawCursor, None),
    (Tool::ExportOne, Tool::RawCursor, None),
    (Tool::Export, Tool::PyMongo, None),
    (Tool::Backup, Tool::RawGzip, Some(0.33)),
    (Tool::Restore, Tool::RestoreOne, None),
];

const SYNC: &str = "servers: journal as by default; files: mongo-healer syncs its own, `sync -f` follows the others";

/// A server that has the whole database in memory.
fn start(runtime: &Runtime, size: u64) -> Result<Mongod> {
    let server = runtime.block_on(Mongod::start()).ok_or("there is no MongoDB: run ci/install")?;
    runtime.block_on(data::keep_in_memory(&server, size))?;
    Ok(server)
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let runtime = Runtime::new()?;
    let (source, target) = (start(&runtime, options.size)?, start(&runtime, options.size)?);
    eprintln!("filling a database of about {} MiB", options.size >> 20);
    let expected = runtime.block_on(data::fill(&source, options.size))?;
    let work = super::work(&options.work)?;
    let python = pymongo().map(|python| PathBuf::from(python.get_program()));
    let tools = Tools {
        program: super::program(&options.program, "mongo-healer")?,
        python,
        runtime: &runtime,
        source: &source,
        target: &target,
        expected,
        work: work.path().canonicalize()?,
    };
    let wanted = |ours: Tool, peer: Tool| {
        let name = format!("{ours:?} {peer:?}");
        let is_named = options.only.is_empty() || options.only.iter().any(|only| name.contains(only.as_str()));
        ours == peer || is_named && (peer != Tool::PyMongo || tools.python.is_some())
    };
    let rows: Vec<_> = ROWS.into_iter().filter(|(ours, peer, _)| wanted(*ours, *peer)).collect();

    // Warms up what is read, and is what says that a figure counts at all.
    tools.prepare()?;
    for tool in Tool::ALL.into_iter().filter(|tool| rows.iter().any(|(ours, peer, _)| tool == ours || tool == peer)) {
        let sample = tools.run(tool)?;
        eprintln!("{tool:?}: {sample}; is it whole?");
        tools.check(tool).map_err(|error| format!("{tool:?}: {error}: no figure counts"))?;
        tools.tidy()?;
    }

    let measure = |(ours, peer, most): (Tool, Tool, _)| {
        Row::measure([ours.name(), peer.name()], most, options.rounds, |side| tools.once([ours, peer][side]))
    };
    let measured = rows.into_iter().map(measure).collect::<Result<Vec<Row>>>()?;
    let collections: Vec<_> = tools.expected.iter().map(|(name, held)| (name, held.documents, held.bytes)).collect();
    let data = json!({"size": options.size, "rounds": options.rounds, "collections": collections, "pymongo": tools.pymongo_version()?});
    let server = format!("MongoDB {}", runtime.block_on(data::version(&source))?);
    let taken = Taken { data, program: &tools.program, server, sync: SYNC, cache: super::WARM };
    super::report(&taken, &measured, options.json.as_deref())
}
