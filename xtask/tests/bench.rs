//! The bench runs, measures, checks what it measured, and keeps every sample with what it was taken of.

use std::path::Path;
use std::process::Command;

use backup_tests::Major;
use serde_json::Value;

const NULL: &str = "`pg_dumpall > /dev/null`";
const FILE: &str = "`dump > file`";

#[test]
fn a_small_run_keeps_every_sample() {
    let xtask = Path::new(env!("CARGO_BIN_EXE_xtask"));
    // Where cargo puts it whenever it tests the whole workspace.
    let program = xtask.with_file_name("pg-backup");
    if Major::V15.bin_dir().is_none() {
        return;
    }
    if !program.exists() {
        assert!(std::env::var_os("REQUIRE_SERVICES").is_none(), "there is no {}: cargo build -p pg-backup", program.display());
        println!("skipped: there is no {}", program.display());
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let samples = folder.path().join("samples.json");
    let output = Command::new(xtask)
        .args(["bench", "pg", "--size", "16MiB", "--tables", "20", "--rounds", "1", "--only", "DumpallFile", "--json"])
        .arg(&samples)
        .args(["--work".as_ref(), folder.path().as_os_str(), "--program".as_ref(), program.as_os_str()])
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("| `dump > file` : `pg_dumpall > file` |"), "{said}");

    let report: Value = serde_json::from_slice(&std::fs::read(&samples).expect("the samples")).expect("JSON");
    let conditions =
        |name: &str| report["conditions"][name].as_str().unwrap_or_else(|| panic!("no {name}: {report}")).to_owned();
    assert_eq!(conditions("program"), concat!("pg-backup ", env!("CARGO_PKG_VERSION")));
    let commit = conditions("commit");
    let hash = commit.split(',').next().unwrap_or_default();
    assert!(hash.len() == 40 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{commit}");
    assert!(conditions("server").starts_with("PostgreSQL 15."));
    let pairs = report["samples"].as_array().expect("pairs");
    let tools: Vec<_> = pairs.iter().map(|pair| (pair["ours"].as_str(), pair["peer"].as_str())).collect();
    assert_eq!(tools, [(Some(NULL), Some(NULL)), (Some(FILE), Some("`pg_dumpall > file`"))]);
    for pair in pairs {
        let [ours, peer] = pair["samples"].as_array().expect("two samples").as_slice() else { panic!("no pair: {pair}") };
        for sample in [ours, peer] {
            // Processor time is counted in ticks, and the client may take less than one.
            for (time, least) in [("wall_s", 0.001), ("client_cpu_s", 0.0), ("server_cpu_s", 0.01)] {
                assert!(sample[time].as_f64().is_some_and(|time| time >= least), "{time}: {pair}");
            }
            let bytes = |name: &str| sample[name].as_u64().unwrap_or_else(|| panic!("no {name}: {pair}"));
            assert!(bytes("peak_bytes") > 1 << 20, "{pair}");
            assert!((10 << 20..40 << 20).contains(&bytes("bytes_in")), "{pair}");
            let out = if pair["ours"] == FILE { 10 << 20..40 << 20 } else { 0..1 };
            assert!(out.contains(&bytes("bytes_out")), "{pair}");
        }
    }
}
