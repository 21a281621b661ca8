//! `serve --once` of many small databases against the loops of the container that it stands in for.

use std::path::PathBuf;
use std::process::Command;

use backup_tests::Server;
use clap::Args;
use serde_json::json;

use super::rows::Row;
use super::tools::{Sample, Tools, bytes, ok, server_cpu};
use super::{Result, Taken, contents, data};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How many small databases there are
    #[arg(long, default_value_t = 200)]
    databases: usize,
    /// How many pairs are measured for each row, after one run of each that warms up and is checked
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Only rows against a loop whose name has this in it. The peer against itself is always there
    #[arg(long)]
    only: Option<String>,
    /// Where every single measurement goes
    #[arg(long)]
    json: Option<PathBuf>,
    /// Where the outputs lie meanwhile
    #[arg(long, default_value = "target/bench")]
    work: PathBuf,
    /// The program that is measured
    #[arg(long, default_value = "target/release/pg-backup")]
    program: PathBuf,
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
const ROWS: [(Way, Way, Option<f64>); 3] =
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
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let (source, target) = (super::start()?, super::start()?);
    let names: Vec<String> = (1..=options.databases).map(|n| format!("small_{n:04}")).collect();
    eprintln!("filling {} databases", names.len());
    data::fill_small(&source, &names)?;
    target.try_psql("postgres", "CREATE ROLE bench_owner; CREATE ROLE bench_reader")?;
    let work = super::work(&options.work)?;
    let (program, path) = (super::program(&options.program, "pg-backup")?, work.path().canonicalize()?);
    std::fs::create_dir_all(path.join("kept"))?;
    let lines: String = names.iter().map(|name| format!("postgres=127.0.0.1:{}/{name}\n", source.port())).collect();
    std::fs::write(path.join("kept/backup.conf"), lines)?;
    let loops = Loops { tools: Tools { program, source: &source, target: &target, work: path }, names: &names };
    let wanted = |peer: Way| options.only.as_ref().is_none_or(|only| format!("{peer:?}").contains(only.as_str()));
    let rows: Vec<_> = ROWS.into_iter().filter(|(ours, peer, _)| ours == peer || wanted(*peer)).collect();

    // Warms up what is read, and is what says that a figure counts at all.
    let expected = contents::of(&source, &names)?;
    for way in
        [Way::Serve, Way::Later, Way::First].into_iter().filter(|way| rows.iter().any(|row| row.0 == *way || row.1 == *way))
    {
        let sample = loops.run(way)?;
        eprintln!("{way:?}: {sample}; is it whole?");
        loops.shell(&target, "bring back what was dumped", BACK)?;
        if contents::of(&target, &names)? != expected {
            return Err(format!("what {way:?} made is not what the source holds: no figure counts").into());
        }
        loops.tidy()?;
    }
    let measure = |(ours, peer, most): (Way, Way, _)| {
        Row::measure([ours.name(), peer.name()], most, options.rounds, |side| {
            let sample = loops.run([ours, peer][side])?;
            std::fs::remove_dir_all(loops.tools.work.join("out"))?;
            Ok(sample)
        })
    };
    let measured = rows.into_iter().map(measure).collect::<Result<Vec<Row>>>()?;
    let data = json!({"databases": names.len(), "rounds": options.rounds,
        "database_bytes": source.psql(&names[0], "SELECT pg_database_size(current_database())")});
    let taken =
        Taken { data, program: &loops.tools.program, server: super::version(&source), sync: super::SYNC, cache: super::WARM };
    super::report(&taken, &measured, options.json.as_deref())
}

impl Loops<'_> {
    /// Runs it once.
    fn run(&self, way: Way) -> Result<Sample> {
        let mut command = self.command(self.tools.source, way.script());
        let sample = Sample::of(way.name(), || server_cpu(self.tools.source), &mut command)?;
        Ok(Sample { bytes_out: bytes(&self.tools.work.join("out"))?, ..sample })
    }

    fn command(&self, server: &Server, script: &str) -> Command {
        let mut command = self.tools.shell(server, script);
        command.env("DATABASES", self.names.join(" ")).env("DATABASE_USER", "postgres").env("BACKUP_EPHEMERAL", "true");
        command
    }

    fn shell(&self, server: &Server, what: &str, script: &str) -> Result<()> {
        ok(self.command(server, script).status()?, what)
    }

    /// Removes the dumps, and what was brought back of them.
    fn tidy(&self) -> Result<()> {
        std::fs::remove_dir_all(self.tools.work.join("out"))?;
        self.shell(self.tools.target, "remove what was brought back", DROP)
    }
}
