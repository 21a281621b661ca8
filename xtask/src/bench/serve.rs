//! `serve --once` of many small databases against the loops of the container that it stands in for.

use std::path::PathBuf;
use std::process::Command;

use backup_tests::Server;
use clap::Args;
use serde_json::json;

use super::frame::{Common, Line, Work};
use super::tools::{Sample, Tools, bytes, ok, server_cpu};
use super::{Result, Taken, contents, data};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How many small databases there are
    #[arg(long, default_value_t = 200)]
    databases: usize,
    /// The program that is measured
    #[arg(long, default_value = "target/release/pg-backup")]
    program: PathBuf,
    #[command(flatten)]
    common: Common,
}

/// One way to do the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// `serve --once`.
    Serve,
    /// The container's loop: a dump of each database, and the roles behind it.
    Later,
    /// The loop of its first generation: without the roles.
    First,
}

/// What is measured against what, and how much of the peer's time it may take.
const ROWS: [Line<Way>; 3] =
    [(Way::First, Way::First, None), (Way::Serve, Way::Later, Some(0.4)), (Way::Serve, Way::First, Some(0.4))];

impl Way {
    /// For the table.
    fn name(self) -> &'static str {
        match self {
            Self::Serve => "`serve --once`",
            Self::Later => "each `pg_dump \\| gzip`, roles `\\| gzip`",
            Self::First => "each `pg_dump \\| gzip`",
        }
    }

    /// The shell's words for it.
    fn script(self) -> &'static str {
        match self {
            Self::Serve => {
                r#"BACKUP_DIR="$OUT" BACKUP_CONF="$KEPT/backup.conf" BACKUP_STRATEGY=rolling "$PG_BACKUP" serve --once"#
            }
            Self::Later => {
                r#"dir="$OUT/daily/$(date +%Y-%m-%d)"; mkdir -p "$dir"
                for db in $DATABASES; do
                    file="$dir/127.0.0.1-${db}_$(date +%Y-%m-%d_%H-%M-%S).sql.gz"
                    pg_dump -Fp "$db" | gzip >"$file.in_progress"
                    pg_dumpall --roles-only --no-role-passwords | sed -E '/^(CREATE|ALTER) ROLE postgres[ ;]/d' | gzip >>"$file.in_progress"
                    mv "$file.in_progress" "$file"
                done; sync "$dir"/*"#
            }
            Self::First => {
                r#"dir="$OUT/$(date +%Y-%m-%d)"; mkdir -p "$dir"
                for db in $DATABASES; do
                    file="$dir/$db$(date +%Y-%m-%d-%H-%M).sql.gz"
                    pg_dump -Fp "$db" | gzip >"$file.in_progress"
                    mv "$file.in_progress" "$file"
                done; sync "$dir"/*"#
            }
        }
    }
}

/// How the dumps of each are brought into the other server, whose roles are there.
const BACK: &str = r#"for db in $DATABASES; do echo "CREATE DATABASE $db OWNER bench_owner;"; done | psql -qX
    for db in $DATABASES; do gzip -dc "$(find "$OUT" -name "*$db*.sql.gz")" | psql -qXo /dev/null -d "$db"; done"#;

const DROP: &str = r#"for db in $DATABASES; do echo "DROP DATABASE IF EXISTS $db;"; done | psql -qX"#;

struct Loops<'a> {
    tools: Tools<'a>,
    names: &'a [String],
    expected: String,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let (source, target) = (super::start()?, super::start()?);
    let names: Vec<String> = (1..=options.databases).map(|n| format!("small_{n:04}")).collect();
    eprintln!("filling {} databases", names.len());
    data::fill_small(&source, &names)?;
    target.try_psql("postgres", "CREATE ROLE bench_owner; CREATE ROLE bench_reader")?;
    let work = options.common.folder()?;
    let (program, path) = (super::program(&options.program, "pg-backup")?, work.path().canonicalize()?);
    std::fs::create_dir_all(path.join("kept"))?;
    let lines: String = names.iter().map(|name| format!("postgres=127.0.0.1:{}/{name}\n", source.port())).collect();
    std::fs::write(path.join("kept/backup.conf"), lines)?;
    let expected = contents::of(&source, &names)?;
    let loops = Loops { tools: Tools { program, source: &source, target: &target, work: path }, names: &names, expected };
    let measured = options.common.measure(&loops, options.common.wanted(&ROWS, |_| true))?;
    let data = json!({"databases": names.len(), "rounds": options.common.rounds,
        "database_bytes": source.psql(&names[0], "SELECT pg_database_size(current_database())")});
    let taken =
        Taken { data, program: &loops.tools.program, server: super::version(&source), sync: super::SYNC, cache: super::WARM };
    super::report(&taken, &measured, options.common.json.as_deref())
}

impl Work for Loops<'_> {
    type Way = Way;

    fn name(&self, way: Way) -> &'static str {
        way.name()
    }

    fn run(&self, way: Way) -> Result<Sample> {
        let mut command = self.command(self.tools.source, way.script());
        let sample = Sample::of(way.name(), || server_cpu(self.tools.source), &mut command)?;
        Ok(Sample { bytes_out: bytes(&self.tools.work.join("out"))?, ..sample })
    }

    fn check(&self, _: Way) -> Result<()> {
        self.shell(self.tools.target, "bring back what was dumped", BACK)?;
        let is_whole = contents::of(self.tools.target, self.names)? == self.expected;
        self.shell(self.tools.target, "remove what was brought back", DROP)?;
        if is_whole { Ok(()) } else { Err("what it made is not what the source holds".into()) }
    }

    fn tidy(&self, _: Way) -> Result<()> {
        Ok(std::fs::remove_dir_all(self.tools.work.join("out"))?)
    }
}

impl Loops<'_> {
    fn command(&self, server: &Server, script: &str) -> Command {
        let mut command = self.tools.shell(server, script);
        command.env("DATABASES", self.names.join(" ")).env("DATABASE_USER", "postgres").env("BACKUP_EPHEMERAL", "true");
        command
    }

    fn shell(&self, server: &Server, what: &str, script: &str) -> Result<()> {
        ok(self.command(server, script).status()?, what)
    }
}
