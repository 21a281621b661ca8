//! What the documents and `./demo` show is what happens.
#![expect(clippy::panic, reason = "a test fails with what it saw")]

mod demo;
mod format;
mod from_backup_container;
mod library;
mod manual;
mod readme;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use backup_tests::Server;

/// A file of the repository.
fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn text(path: &str) -> String {
    std::fs::read_to_string(file(path)).expect(path)
}

/// The blocks of a page whose fence is exactly this one, in order.
fn blocks(page: &str, fence: &str) -> Vec<String> {
    let text = text(page);
    let (start, mut blocks, mut rest) = (format!("\n```{fence}\n"), Vec::new(), text.as_str());
    while let Some((_, behind)) = rest.split_once(&start) {
        let (block, behind) = behind.split_once("\n```").expect("a block ends");
        blocks.push(block.to_owned());
        rest = behind;
    }
    assert!(!blocks.is_empty(), "{page} has no block {fence}");
    blocks
}

/// A shell in `folder` with `server`'s programs, this program, and the server as libpq's variables have it.
fn shell(script: &str, folder: &Path, server: &Server) -> Command {
    let program = Path::new(env!("CARGO_BIN_EXE_pg-backup")).parent().expect("a folder");
    let path = std::env::var("PATH").expect("a PATH");
    let mut shell = Command::new("sh");
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("PG") || name.starts_with("BACKUP_") {
            shell.env_remove(name);
        }
    }
    shell.args(["-e", "-c", script]).current_dir(folder).stdin(Stdio::null());
    shell.env("PATH", format!("{}:{}:{path}", program.display(), server.bin_dir().display()));
    shell.env("PGHOST", server.dir()).env("PGPORT", server.port().to_string()).env("PGUSER", "postgres");
    shell.env("BACKUP_PG_BIN", server.bin_dir()).env("STATE_DIRECTORY", folder.join("state"));
    shell.env("PGOPTIONS", "").env("LC_ALL", "C.UTF-8");
    shell
}

/// Runs it; what it printed.
fn run(mut shell: Command) -> String {
    let output = shell.output().expect("sh runs");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{out}\n{err}", output.status);
    out.into_owned()
}

/// Whether the programs are there that a page uses beside ours; `how` they get there.
#[expect(clippy::print_stdout, reason = "a skipped test says so")]
fn has(programs: &[&str], how: &str) -> bool {
    let missing = programs.iter().find(|program| Command::new(program).arg("--version").output().is_err());
    if let Some(program) = missing {
        assert!(std::env::var_os("REQUIRE_SERVICES").is_none(), "{program} is not there: {how}");
        println!("skipped: {program} is not there: {how}");
    }
    missing.is_none()
}

/// Fills a server with the sample.
fn load_sample(server: &Server) {
    let script = std::fs::read(file("sample/shop.sql")).expect("the sample");
    server.feed("postgres", &[], &script).expect("the sample loads");
}
