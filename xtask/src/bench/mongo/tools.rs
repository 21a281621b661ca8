//! What is measured: the commands, what each leaves behind, and whether that is what the server holds.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use backup_tests::Mongod;
use backup_tests::usage::cpu;
use tokio::runtime::Runtime;

use super::super::frame::Work;
use super::super::tools::{Sample, bytes, ok};
use super::super::{Result, said};
use super::data::{self, Contents, Held};

/// One way to do a piece of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tool {
    Export,
    ExportOne,
    Backup,
    TypedCursor,
    RawCursor,
    PyMongo,
    RawGzip,
    Restore,
    RestoreOne,
}

/// The commands and where they work.
pub(super) struct Tools<'a> {
    pub(super) program: PathBuf,
    /// A Python that has PyMongo.
    pub(super) python: Option<PathBuf>,
    pub(super) runtime: &'a Runtime,
    pub(super) source: &'a Mongod,
    pub(super) target: &'a Mongod,
    /// What the source holds.
    pub(super) expected: Contents,
    pub(super) work: PathBuf,
}

/// As `mongodump.py` of the tests connects; replies as they come, one behind the other.
const PYMONGO: &str = "
import os, pathlib, pymongo
folder = pathlib.Path(os.environ['OUT'])
folder.mkdir()
database = pymongo.MongoClient(os.environ['MONGO'], directConnection=True)[os.environ['DATABASE']]
for name in database.list_collection_names():
    with open(folder / (name + '.bson'), 'wb') as file:
        for batch in database[name].find_raw_batches():
            file.write(batch)
";

/// The folder of mongodump out of a backup, with stock tools, as docs/format.md has it.
const MAKE_FOLDER: &str = r#"cd "$OUT/$DATABASE"/*/; sha256sum --check --strict --quiet SHA256SUMS
    jq -r '.parts[] | .facts.file as $file | .files[] | [$file, .] | @tsv' manifest.json | while IFS=$'\t' read -r file stored; do
        mkdir -p "$BACK/$(dirname "$file")"
        case $stored in *.zst) zstd -dcq "$stored" ;; *) cat "$stored" ;; esac >>"$BACK/$file"
    done"#;

impl Tool {
    /// For the table.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Export => "`backup --compress none`",
            Self::ExportOne => "`backup --compress none --jobs 1`",
            Self::Backup => "`backup`",
            Self::TypedCursor => "typed cursor (a program of ours)",
            Self::RawCursor => "raw cursor, default batches (a program of ours)",
            Self::PyMongo => "PyMongo's `find_raw_batches` (stand-in)",
            Self::RawGzip => "raw cursor (a program of ours) `\\| gzip -6`",
            Self::Restore => "restore, 4 insertion workers (our library)",
            Self::RestoreOne => "restore, 1 insertion worker (our library)",
        }
    }

    /// The shell's words for it. `$OURS` is the program, `$OUT` what it leaves, `$KEPT` the backup that is restored.
    fn script(self) -> &'static str {
        match self {
            Self::Export => r#""$OURS" -q --state "$STATE" backup --compress none "$OUT" "$MONGO" "$DATABASE""#,
            Self::ExportOne => r#""$OURS" -q --state "$STATE" backup --compress none --jobs 1 "$OUT" "$MONGO" "$DATABASE""#,
            Self::Backup => r#""$OURS" -q --state "$STATE" backup "$OUT" "$MONGO" "$DATABASE""#,
            Self::TypedCursor => r#""$XTASK" peer dump typed "$MONGO" "$DATABASE" "$OUT"; sync -f "$OUT""#,
            Self::RawCursor => r#""$XTASK" peer dump raw "$MONGO" "$DATABASE" "$OUT"; sync -f "$OUT""#,
            Self::PyMongo => r#""$PYTHON" -c "$SCRIPT"; sync -f "$OUT""#,
            Self::RawGzip => r#""$XTASK" peer dump raw "$MONGO" "$DATABASE" - | gzip -6 >"$OUT"; sync "$OUT""#,
            Self::Restore => r#""$XTASK" peer restore "$KEPT" "$DATABASE" "$MONGO" 4"#,
            Self::RestoreOne => r#""$XTASK" peer restore "$KEPT" "$DATABASE" "$MONGO" 1"#,
        }
    }

    /// How the files of the collections are made of what it left, in `$BACK/$DATABASE`.
    fn back(self) -> &'static str {
        match self {
            Self::Export | Self::ExportOne | Self::Backup => MAKE_FOLDER,
            Self::RawGzip => r#"mkdir -p "$BACK/$DATABASE"; gzip -dc "$OUT" >"$BACK/$DATABASE/all.bson""#,
            _ => r#"mkdir -p "$BACK"; mv "$OUT" "$BACK/$DATABASE""#,
        }
    }

    fn restores(self) -> bool {
        matches!(self, Self::Restore | Self::RestoreOne)
    }
}

impl Work for Tools<'_> {
    type Way = Tool;

    fn name(&self, tool: Tool) -> &'static str {
        tool.name()
    }

    fn run(&self, tool: Tool) -> Result<Sample> {
        let server = if tool.restores() { self.target } else { self.source };
        if tool.restores() {
            self.runtime.block_on(data::drop(server))?;
        }
        let sample = Sample::of(tool.name(), || server_cpu(server), &mut self.shell(server, tool.script()))?;
        let bytes_in = Held::together(self.expected.values()).bytes;
        Ok(Sample { bytes_in, bytes_out: bytes(&self.work.join("out"))?, ..sample })
    }

    fn check(&self, tool: Tool) -> Result<()> {
        if tool.restores() {
            let [there, expected] = [self.target, self.source].map(|server| self.runtime.block_on(data::hash(server)));
            return same(&there?, &expected?);
        }
        ok(self.shell(self.source, tool.back()).status()?, "bring it back")?;
        let found = data::of(&self.work.join("back").join(data::DATABASE))?;
        match tool {
            Tool::RawGzip => same(&Held::together(found.values()), &Held::together(self.expected.values())),
            _ => same(&found, &self.expected),
        }
    }

    fn tidy(&self, _: Tool) -> Result<()> {
        ok(self.shell(self.source, r#"rm -rf "$OUT" "$BACK" "$STATE""#).status()?, "remove what a run has left")
    }
}

impl Tools<'_> {
    /// Makes the backup that restores are measured with.
    pub(super) fn prepare(&self) -> Result<()> {
        let script = Tool::Backup.script().replace("$OUT", "$KEPT");
        ok(self.shell(self.source, &script).status()?, "prepare")
    }

    /// Which PyMongo there is.
    pub(super) fn pymongo_version(&self) -> Result<Option<String>> {
        let version = "import pymongo; print(pymongo.version)";
        self.python.as_ref().map(|python| said(Command::new(python).args(["-c", version]))).transpose()
    }

    fn shell(&self, server: &Mongod, script: &str) -> Command {
        let mut shell = Command::new("bash");
        shell.args(["-c", &format!("set -euo pipefail; {script}")]).stdin(Stdio::null()).stdout(Stdio::null());
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("BACKUP_")) {
            shell.env_remove(name);
        }
        shell.env("OURS", &self.program).env("MONGO", server.host()).env("DATABASE", data::DATABASE).env("SCRIPT", PYMONGO);
        for (name, file) in [("OUT", "out"), ("BACK", "back"), ("KEPT", "kept"), ("STATE", "state")] {
            shell.env(name, self.work.join(file));
        }
        if let Some(python) = &self.python {
            shell.env("PYTHON", python);
        }
        if let Ok(xtask) = std::env::current_exe() {
            shell.env("XTASK", xtask);
        }
        shell
    }
}

fn same<T: PartialEq + std::fmt::Debug>(there: &T, expected: &T) -> Result<()> {
    if there == expected { Ok(()) } else { Err(format!("there is {there:?}, not {expected:?}").into()) }
}

/// Processor time of a server of MongoDB.
fn server_cpu(server: &Mongod) -> Result<Duration> {
    let file = std::fs::read_to_string(server.dir().join("data/mongod.lock"))?;
    Ok(cpu(file.trim().parse()?)?)
}
