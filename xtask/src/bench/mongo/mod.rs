//! `mongo-healer backup` and restores against other ways to read the same documents, on throw-away servers.

mod data;
mod peers;
mod tools;

use std::path::PathBuf;

use backup_tests::{Mongod, pymongo};
use clap::Args;
use serde_json::json;
use tokio::runtime::Runtime;

use super::frame::{Common, Line};
use super::{Result, Taken};
pub(crate) use peers::{Peer, run as peer};
use tools::{Tool, Tools};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How much there is to back up, as BSON: a number with MiB or GiB
    #[arg(long, default_value = "1GiB", value_parser = super::size)]
    size: u64,
    /// The program that is measured
    #[arg(long, default_value = "target/release/mongo-healer")]
    program: PathBuf,
    #[command(flatten)]
    common: Common,
}

/// What is measured against what, and how much of the peer's time it may take at most, where that is promised.
const ROWS: [Line<Tool>; 7] = [
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
    let work = options.common.folder()?;
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
    tools.prepare()?;
    let rows = options.common.wanted(&ROWS, |peer| peer != Tool::PyMongo || tools.python.is_some());
    let measured = options.common.measure(&tools, rows)?;
    let collections: Vec<_> = tools.expected.iter().map(|(name, held)| (name, held.documents, held.bytes)).collect();
    let data = json!({"size": options.size, "rounds": options.common.rounds, "collections": collections, "pymongo": tools.pymongo_version()?});
    let server = format!("MongoDB {}", runtime.block_on(data::version(&source))?);
    let taken = Taken { data, program: &tools.program, server, sync: SYNC, cache: super::WARM };
    super::report(&taken, &measured, options.common.json.as_deref())
}
