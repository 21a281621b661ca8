//! What is measured: the commands, what each leaves behind, and how that is brought back.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use backup_tests::Server;
use backup_tests::usage::{Usage, cpu, measure};
use serde_json::{Value, json};

use super::Result;

/// One way to do a piece of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tool {
    Backup,
    DumpNull,
    DumpFile,
    Restore,
    Verify,
    DumpallNull,
    DumpallFile,
    DumpallGzip,
    DumpallZstd,
    DumpCustom,
    DumpDirectory,
    Psql,
    PgRestore,
    GzipTest,
}

/// What one run took.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    /// Seconds.
    pub(super) wall: f64,
    /// Seconds of the program and all that it started.
    pub(super) cpu: f64,
    /// Seconds of the servers.
    pub(super) server_cpu: f64,
    /// Bytes of the largest process.
    pub(super) peak: u64,
    /// Bytes of what it read: as SQL where it read a server, else of the files.
    pub(super) bytes_in: u64,
    /// Bytes of the files that it left.
    pub(super) bytes_out: u64,
}

/// The commands and where they work.
pub(super) struct Tools<'a> {
    pub(super) program: PathBuf,
    pub(super) source: &'a Server,
    pub(super) target: &'a Server,
    pub(super) work: PathBuf,
}

impl Tool {
    /// For the table.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Backup => "`backup`",
            Self::DumpNull => "`dump > /dev/null`",
            Self::DumpFile => "`dump > file`",
            Self::Restore => "`restore`",
            Self::Verify => "`verify`",
            Self::DumpallNull => "`pg_dumpall > /dev/null`",
            Self::DumpallFile => "`pg_dumpall > file`",
            Self::DumpallGzip => "`pg_dumpall \\| gzip`",
            Self::DumpallZstd => "`pg_dumpall \\| zstd -T2`",
            Self::DumpCustom => "`pg_dump -Fc`",
            Self::DumpDirectory => "`pg_dump -Fd -j2`",
            Self::Psql => "`psql -f`",
            Self::PgRestore => "`pg_restore -j2`",
            Self::GzipTest => "`gzip -t`",
        }
    }

    /// Whether there is a copy of the source in the end, on disk or in the other server.
    pub(super) fn makes_a_copy(self) -> bool {
        !matches!(self, Self::DumpNull | Self::DumpallNull | Self::Verify | Self::GzipTest)
    }

    /// The shell's words for it. `$PG_BACKUP` is the program, `$OUT` what it leaves, `$KEPT` what was prepared.
    fn script(self) -> &'static str {
        match self {
            Self::Backup => r#""$PG_BACKUP" -q --to "$OUT" --state "$OUT.state" backup"#,
            Self::DumpNull => r#""$PG_BACKUP" -q dump >/dev/null"#,
            Self::DumpFile => r#""$PG_BACKUP" -q dump >"$OUT"; sync "$OUT""#,
            Self::Restore => r#""$PG_BACKUP" -q --to "$KEPT/backup" --state "$OUT.state" restore latest"#,
            Self::Verify => r#""$PG_BACKUP" -q --to "$KEPT/backup" --state "$OUT.state" verify latest"#,
            Self::DumpallNull => "pg_dumpall >/dev/null",
            Self::DumpallFile => r#"pg_dumpall >"$OUT"; sync "$OUT""#,
            Self::DumpallGzip => r#"pg_dumpall | gzip >"$OUT"; sync "$OUT""#,
            Self::DumpallZstd => r#"pg_dumpall | zstd -q -T2 >"$OUT"; sync "$OUT""#,
            Self::DumpCustom => r#"pg_dump -Fc -C -f "$OUT" bench"#,
            Self::DumpDirectory => r#"pg_dump -Fd -j2 -C -f "$OUT" bench"#,
            Self::Psql => r#"psql -qXo /dev/null -f "$KEPT/plain.sql""#,
            Self::PgRestore => r#"pg_restore -j2 -C -d postgres "$KEPT/directory""#,
            Self::GzipTest => r#"gzip -t "$KEPT/plain.sql.gz""#,
        }
    }

    /// How what it left is brought into the other server.
    fn back(self) -> &'static str {
        match self {
            Self::Backup => r#""$PG_BACKUP" -q --to "$OUT" --state "$OUT.state" restore latest"#,
            Self::DumpFile | Self::DumpallFile => r#"psql -qXo /dev/null -f "$OUT""#,
            Self::DumpallGzip => r#"gzip -dc "$OUT" | psql -qXo /dev/null"#,
            Self::DumpallZstd => r#"zstd -dc "$OUT" | psql -qXo /dev/null"#,
            Self::DumpCustom | Self::DumpDirectory => r#"pg_restore -j2 -C -d postgres "$OUT""#,
            _ => "true",
        }
    }

    /// What it reads of what was prepared, or what stands there for the server that it reads.
    fn input(self) -> &'static str {
        match self {
            Self::Restore | Self::Verify => "kept/backup",
            Self::PgRestore => "kept/directory",
            Self::GzipTest => "kept/plain.sql.gz",
            _ => "kept/plain.sql",
        }
    }

    fn restores(self) -> bool {
        matches!(self, Self::Restore | Self::Psql | Self::PgRestore)
    }
}

impl Tools<'_> {
    /// Makes what restores and checks are measured with.
    pub(super) fn prepare(&self) -> Result<()> {
        let script = r#"mkdir -p "$KEPT"
            "$PG_BACKUP" -q --to "$KEPT/backup" --state "$OUT.state" backup >/dev/null
            pg_dumpall >"$KEPT/plain.sql"; gzip <"$KEPT/plain.sql" >"$KEPT/plain.sql.gz"
            pg_dump -Fd -j2 -C -f "$KEPT/directory" bench"#;
        self.shell(self.source, script).status().map_err(Into::into).and_then(|status| ok(status, "prepare"))
    }

    /// Runs it once.
    pub(super) fn run(&self, tool: Tool) -> Result<Sample> {
        if tool.restores() {
            self.empty_target()?;
        }
        let server = if tool.restores() { self.target } else { self.source };
        let sample = Sample::of(tool.name(), || server_cpu(server), &mut self.shell(server, tool.script()))?;
        let (bytes_in, bytes_out) = (bytes(&self.work.join(tool.input()))?, bytes(&self.work.join("out"))?);
        Ok(Sample { bytes_in, bytes_out, ..sample })
    }

    /// Brings what it left into the other server, if it did not do that itself.
    pub(super) fn bring_back(&self, tool: Tool) -> Result<()> {
        if !tool.makes_a_copy() || tool.restores() {
            return Ok(());
        }
        self.empty_target()?;
        let status = self.shell(self.target, tool.back()).status()?;
        ok(status, &format!("bring back what {} left", tool.name()))
    }

    /// Removes what it left.
    pub(super) fn tidy(&self, tool: Tool) -> Result<()> {
        let status = self.shell(self.target, r#"rm -rf "$OUT" "$OUT.state""#).status()?;
        ok(status, &format!("remove what {} left", tool.name()))
    }

    /// Roles stay: a role that is there again is what every one of them meets.
    fn empty_target(&self) -> Result<()> {
        self.target.try_psql("postgres", "DROP DATABASE IF EXISTS bench")?;
        let role = "SELECT 'CREATE ROLE bench_owner' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'bench_owner')\n\\gexec\nCHECKPOINT";
        self.target.try_psql("postgres", role)?;
        Ok(())
    }

    pub(super) fn shell(&self, server: &Server, script: &str) -> Command {
        // Programs of this server, its environment, and nobody's own.
        let mut command = server.command("psql");
        let mut shell = Command::new("bash");
        for (name, value) in command.env("PATH", path(server)).get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        shell.args(["-c", &format!("set -euo pipefail; {script}")]).stdin(Stdio::null()).stdout(Stdio::null());
        if !cfg!(debug_assertions) {
            shell.stderr(Stdio::null());
        }
        shell.env("PG_BACKUP", &self.program).env("OUT", self.work.join("out")).env("KEPT", self.work.join("kept"));
        shell
    }
}

impl Sample {
    /// What `command` takes, of itself and of a server whose processor time `server_cpu` tells.
    pub(super) fn of(name: &str, server_cpu: impl Fn() -> Result<Duration>, command: &mut Command) -> Result<Self> {
        let before = server_cpu()?;
        let Usage { status, wall, cpu, peak, .. } = measure(command)?;
        ok(status, name)?;
        let server_cpu = (server_cpu()? - before).as_secs_f64();
        Ok(Self { wall: wall.as_secs_f64(), cpu: cpu.as_secs_f64(), server_cpu, peak, bytes_in: 0, bytes_out: 0 })
    }

    /// As it is kept.
    pub(super) fn json(&self) -> Value {
        let Self { wall, cpu, server_cpu, peak, bytes_in, bytes_out } = self;
        json!({"wall_s": wall, "client_cpu_s": cpu, "server_cpu_s": server_cpu, "peak_bytes": peak,
            "bytes_in": bytes_in, "bytes_out": bytes_out})
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { wall, cpu, server_cpu, .. } = self;
        write!(
            f,
            "{wall:.2} s, CPU {cpu:.2} + {server_cpu:.2} s, {} MiB of memory, {} MiB stored",
            self.peak >> 20,
            self.bytes_out >> 20
        )
    }
}

/// Processor time of a server of PostgreSQL.
pub(super) fn server_cpu(server: &Server) -> Result<Duration> {
    // Its children are counted once they have ended, which is a moment after their clients.
    std::thread::sleep(Duration::from_millis(300));
    let file = std::fs::read_to_string(server.dir().join("data/postmaster.pid"))?;
    Ok(cpu(file.lines().next().unwrap_or_default().parse()?)?)
}

fn path(server: &Server) -> String {
    format!("{}:{}", server.bin_dir().display(), std::env::var("PATH").unwrap_or_default())
}

pub(super) fn ok(status: std::process::ExitStatus, what: &str) -> Result<()> {
    if status.success() { Ok(()) } else { Err(format!("{what}: {status}").into()) }
}

/// How many bytes the files at or under `path` have.
pub(super) fn bytes(path: &Path) -> Result<u64> {
    let Ok(meta) = std::fs::symlink_metadata(path) else { return Ok(0) };
    if !meta.is_dir() {
        return Ok(meta.len());
    }
    std::fs::read_dir(path)?.map(|entry| bytes(&entry?.path())).sum()
}
