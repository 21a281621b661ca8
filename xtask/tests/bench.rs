//! The bench runs, measures, checks what it measured, and keeps every sample with what it was taken of.

use std::path::Path;
use std::process::Command;

use backup_tests::{Major, Mongod, Rgw};
use serde_json::Value;

const NULL: &str = "`pg_dumpall > /dev/null`";
const FILE: &str = "`dump > file`";

/// Runs it with these arguments; what it said, and the samples. `None` where the program that is measured was not built.
#[expect(clippy::print_stdout, reason = "a skipped test says so")]
fn bench(program: &str, arguments: &[&str]) -> Option<(String, Value)> {
    let xtask = Path::new(env!("CARGO_BIN_EXE_xtask"));
    // Where cargo puts it whenever it tests the whole workspace.
    let built = xtask.with_file_name(program);
    if !built.exists() {
        assert!(std::env::var_os("REQUIRE_SERVICES").is_none(), "there is no {}: cargo build -p {program}", built.display());
        println!("skipped: there is no {}", built.display());
        return None;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let samples = folder.path().join("samples.json");
    let mut command = Command::new(xtask);
    command.arg("bench").args(arguments).arg("--json").arg(&samples);
    command.args(["--work".as_ref(), folder.path().as_os_str(), "--program".as_ref(), built.as_os_str()]);
    let output = command.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let report = serde_json::from_slice(&std::fs::read(&samples).expect("the samples")).expect("JSON");
    Some((said, report))
}

#[test]
fn a_small_run_keeps_every_sample() {
    if Major::V15.bin_dir().is_none() {
        return;
    }
    let pg = ["pg", "--size", "16MiB", "--tables", "20", "--rounds", "1", "--only", "DumpallFile"];
    let Some((said, report)) = bench("pg-backup", &pg) else { return };
    assert!(said.contains("| `dump > file` : `pg_dumpall > file` |"), "{said}");

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

#[test]
fn a_small_run_of_buckets_measures_every_piece_of_work() {
    // Where there is no Ceph, this says so.
    if Rgw::shared().is_none() {
        return;
    }
    let s3 = ["s3", "--mixed", "2", "--small", "20", "--rounds", "1", "--only", "s3cmd"];
    let Some((said, report)) = bench("ceph-backup", &s3) else { return };
    let server = report["conditions"]["server"].as_str().unwrap_or_default();
    assert!(server.starts_with("ceph version 16."), "{server}");
    let pairs = report["samples"].as_array().expect("pairs");
    for set in ["mixed-2", "small-20"] {
        for work in ["down", "up", "again"] {
            let names = ["ours", "s3cmd"].map(|tool| format!("{tool}: {set} {work}"));
            let pair = pairs.iter().find(|pair| pair["ours"] == names[0] && pair["peer"] == names[1]);
            let pair = pair.unwrap_or_else(|| panic!("no pair {names:?}: {said}"));
            for sample in pair["samples"].as_array().expect("two samples") {
                assert!(sample["wall_s"].as_f64().is_some_and(|wall| wall > 0.001), "{pair}");
                let least = if set == "mixed-2" { 28 << 20 } else { 20 << 10 };
                let out = sample["bytes_out"].as_u64().expect("bytes");
                assert!(if work == "down" { out >= least } else { out == 0 }, "{pair}");
                assert!(sample["bytes_in"].as_u64().is_some_and(|bytes| bytes >= least), "{pair}");
            }
        }
    }
}

#[tokio::test]
async fn a_small_run_of_documents_compares_every_way_to_read_them() {
    // Where there is no MongoDB, this says so.
    if Mongod::start().await.is_none() {
        return;
    }
    let Some((said, report)) = bench("mongo-healer", &["mongo", "--size", "16MiB", "--rounds", "1"]) else { return };
    let server = report["conditions"]["server"].as_str().unwrap_or_default();
    assert!(server.starts_with("MongoDB 6."), "{server}");
    let pairs = report["samples"].as_array().expect("pairs");
    let peers: Vec<&str> = pairs.iter().filter_map(|pair| pair["peer"].as_str()).collect();
    for (peer, most) in [("typed cursor", 17), ("raw cursor, default batches", 17), ("gzip -6", 14), ("restore, 1", 0)] {
        let pair = pairs.iter().find(|pair| pair["peer"].as_str().is_some_and(|name| name.contains(peer)));
        let pair = pair.unwrap_or_else(|| panic!("nothing against {peer}: {peers:?}: {said}"));
        for sample in pair["samples"].as_array().expect("two samples") {
            assert!(sample["wall_s"].as_f64().is_some_and(|wall| wall > 0.001), "{pair}");
            let bytes = |name: &str| sample[name].as_u64().unwrap_or_else(|| panic!("no {name}: {pair}"));
            assert!((15 << 20..18 << 20).contains(&bytes("bytes_in")) && bytes("peak_bytes") > 1 << 20, "{pair}");
            // What is not compressed is as large as it is, and a little of our own beside it.
            let least = if most == 17 { 15 << 20 } else { most << 17 };
            assert!((least..=most << 20).contains(&bytes("bytes_out")), "{pair}");
        }
    }
}
