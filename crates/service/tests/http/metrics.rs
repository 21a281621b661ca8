//! The metrics that a running service gives, read strictly.

use std::collections::BTreeSet;

use super::*;

/// A strict reader of Prometheus' text format: each metric has one HELP, one TYPE and then its samples, each for another label.
fn read(text: &str) -> BTreeMap<String, BTreeMap<String, f64>> {
    let mut metrics: BTreeMap<String, BTreeMap<String, f64>> = BTreeMap::new();
    let mut types = BTreeSet::new();
    let mut current: Option<(String, bool)> = None;
    assert!(text.ends_with('\n'), "the last line ends");
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a name and what it says");
            assert!(
                name.starts_with("backup_") && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'),
                "{name}"
            );
            assert!(help.ends_with('.') && !help.contains('\\'), "{help}");
            current = Some((name.to_owned(), false));
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a name and its type");
            let (named, is_typed) = current.as_mut().expect("HELP comes first");
            assert!(named == name && !*is_typed && types.insert(name.to_owned()), "{line}");
            assert_eq!(if name.ends_with("_total") { "counter" } else { "gauge" }, kind, "{name}");
            *is_typed = true;
            metrics.insert(name.to_owned(), BTreeMap::new());
        } else {
            let (name, is_typed) = current.clone().expect("HELP comes first");
            let rest = line
                .strip_prefix(&format!("{name}{{backup_job=\""))
                .unwrap_or_else(|| panic!("{line:?} is no sample of {name}"));
            let mut label = String::new();
            let mut letters = rest.chars();
            loop {
                match letters.next().expect("the label ends") {
                    '"' => break,
                    '\\' => label.push(match letters.next() {
                        Some('n') => '\n',
                        Some(c @ ('\\' | '"')) => c,
                        other => panic!("{other:?} is escaped in {line:?}"),
                    }),
                    c => label.push(c),
                }
            }
            let value = letters.as_str().strip_prefix("} ").expect("a value");
            let value: f64 = value.parse().unwrap_or_else(|_| panic!("{value:?} is no value"));
            assert!(
                is_typed && value.is_finite() && metrics.get_mut(&name).expect("typed").insert(label, value).is_none(),
                "{line}"
            );
        }
    }
    metrics
}

#[tokio::test]
async fn metrics_say_how_each_job_stands() {
    let bench = Bench::start(|server| server).await;
    let first = read(&bench.ask("GET /metrics", "").await.1);
    assert!(first["backup_last_success_timestamp_seconds"].is_empty(), "nothing has succeeded yet");
    assert_eq!(first["backup_next_run_timestamp_seconds"]["shop"], 1_793_581_200.0);
    let outcomes =
        [Err(Error::failed("x")), Err(Error::failed("x")), Ok(Outcome::Done { line: "equal".into(), bytes: Some(1 << 40) })];
    bench.works["shop"].outcomes.lock().expect("outcomes").extend(outcomes);
    for day in ["2026-11-02T01:00:00.5Z", "2026-11-03T01:00:00Z", "2026-11-06T01:00:00Z"] {
        bench.clock.set(day.parse().expect("a time"));
        bench.ran("shop").await;
    }
    let (status, text) = bench.ask("GET /metrics", "").await;
    assert_eq!(status, 200);
    let metrics = read(&text);
    let shop: BTreeMap<_, _> = metrics.iter().filter_map(|(name, jobs)| Some((name.as_str(), *jobs.get("shop")?))).collect();
    assert_eq!(metrics.len(), 9);
    assert_eq!(shop["backup_last_success_timestamp_seconds"], 1_793_581_200.5);
    assert_eq!(shop["backup_last_proof_timestamp_seconds"], 1_793_581_200.5);
    assert_eq!(shop["backup_last_size_bytes"], 1_099_511_627_776.0);
    assert!((0.0..10.0).contains(&shop["backup_last_duration_seconds"]));
    assert_eq!(
        (shop["backup_consecutive_failures"], shop["backup_missed_runs_total"], shop["backup_running"]),
        (2.0, 2.0, 0.0)
    );
    assert_eq!(shop["backup_next_run_timestamp_seconds"], 1_794_013_200.0);
    let about = rustix::fs::statvfs(bench.state.path()).expect("a file system");
    let free = about.f_bavail as f64 * about.f_frsize as f64;
    // Others write there too.
    assert!((shop["backup_free_bytes"] - free).abs() < 5e7, "{free} {shop:?}");
    // The odd one, by its own name; what is not known is left out.
    assert_eq!(metrics["backup_consecutive_failures"][ODD], 0.0);
    assert!(
        !metrics["backup_free_bytes"].contains_key(ODD) && !metrics["backup_last_proof_timestamp_seconds"].contains_key(ODD)
    );
    let head = bench.send(b"GET /metrics HTTP/1.0\r\n\r\n").await;
    assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{head}");
}

#[tokio::test]
async fn a_run_that_is_under_way_is_shown_and_nothing_is_planned_meanwhile() {
    let bench = Bench::start(|server| server).await;
    let gate = Arc::new(Notify::new());
    *bench.works["shop"].gate.lock().expect("a gate") = Some(gate.clone());
    bench.desk.ask(&name("shop")).expect("a job");
    bench.ran("shop").await;
    let running = read(&bench.ask("GET /metrics", "").await.1);
    assert_eq!((running["backup_running"]["shop"], running["backup_running"][ODD]), (1.0, 0.0));
    let planned = &running["backup_next_run_timestamp_seconds"];
    assert!(!planned.contains_key("shop") && planned.contains_key(ODD), "{planned:?}");
    gate.notify_one();
    let ended = async {
        while read(&bench.ask("GET /metrics", "").await.1)["backup_running"]["shop"] != 0.0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), ended).await.expect("it ends");
}

#[tokio::test]
async fn a_state_that_cannot_be_read_is_no_metrics() {
    let bench = Bench::start(|server| server).await;
    bench.desk.ask(&name("shop")).expect("a job");
    bench.ran("shop").await;
    for entry in std::fs::read_dir(bench.state.path()).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if entry.to_string_lossy().ends_with(".status.json") {
            std::fs::remove_file(&entry).expect("removed");
            std::fs::create_dir(&entry).expect("made");
        }
    }
    // Rather than that nothing ever failed.
    let (status, body) = bench.ask("GET /metrics", "").await;
    assert_eq!((status, body.as_str()), (503, "not ready: the log says why\n"));
}

#[tokio::test]
async fn files_that_do_not_answer_keep_nobody_waiting() {
    let bench = Bench::start(|server| server).await;
    bench.desk.ask(&name("shop")).expect("a job");
    bench.ran("shop").await;
    let mut files = std::fs::read_dir(bench.state.path()).expect("a folder").map(|entry| entry.expect("an entry").path());
    let status = files.find(|file| file.to_string_lossy().ends_with(".status.json")).expect("that of the shop");
    std::fs::remove_file(&status).expect("removed");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &status, rustix::fs::FileType::Fifo, mode, 0).expect("a pipe that nobody writes");
    let before = Instant::now();
    assert_eq!(bench.status("GET /metrics").await, 503);
    assert!(before.elapsed() < Duration::from_secs(9), "a client waits 10 s at most");
    assert_eq!(bench.status("GET /healthz").await, 200);
    // Lets the reader go.
    drop(std::fs::OpenOptions::new().write(true).open(&status).expect("somebody reads"));
}

#[tokio::test]
async fn metrics_lie_in_a_file_for_the_textfile_collector() {
    use std::os::unix::fs::PermissionsExt as _;
    let bench = Bench::start(|server| server).await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("backup.prom");
    std::fs::write(&file, "what was there before, and is longer than what comes: ".repeat(1000)).expect("written");
    let mut before = std::fs::File::open(&file).expect("opened");
    bench.metrics.store(&file).expect("stored");
    let mut text = String::new();
    std::io::Read::read_to_string(&mut before, &mut text).expect("text");
    assert!(text.starts_with("what was there") && text.len() > 50_000, "who reads it meanwhile has the whole of one of them");
    assert_eq!(read(&std::fs::read_to_string(&file).expect("text")).len(), 9);
    assert_eq!(std::fs::metadata(&file).expect("there").permissions().mode() & 0o444, 0o444, "the collector is somebody else");
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing else is left");
    assert_eq!(bench.metrics.store(&folder.path().join("backup.txt")).expect_err("not read").kind(), Kind::Usage);
    let gone = bench.metrics.store(&folder.path().join("no/backup.prom")).expect_err("no folder");
    assert!(gone.chain().contains("write metrics to"), "{gone:?}");

    // Kept until the end, when it is written once more.
    std::fs::remove_file(&file).expect("removed");
    let cx = Context::default();
    let keeping = tokio::spawn({
        let (metrics, file, cx) = (bench.metrics.clone(), file.clone(), cx.clone());
        async move { metrics.keep(&file, &cx).await }
    });
    while !file.exists() {
        tokio::task::yield_now().await;
    }
    bench.desk.ask(&name("shop")).expect("a job");
    bench.ran("shop").await;
    cx.cancel.cancel();
    keeping.await.expect("no panic");
    let kept = read(&std::fs::read_to_string(&file).expect("text"));
    assert_eq!(kept["backup_last_size_bytes"]["shop"], 17.0);
}

#[tokio::test(start_paused = true)]
async fn the_file_is_written_each_minute() {
    let bench = Bench::start(|server| server).await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("backup.prom");
    let cx = Context::default();
    let keeping = tokio::spawn({
        let (metrics, file, cx) = (bench.metrics.clone(), file.clone(), cx.clone());
        async move { metrics.keep(&file, &cx).await }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    for minute in 0..3 {
        std::fs::remove_file(&file).unwrap_or_else(|error| panic!("minute {minute}: {error}"));
        tokio::time::sleep(Duration::from_secs(58)).await;
        assert!(!file.exists(), "minute {minute}");
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    cx.cancel.cancel();
    keeping.await.expect("no panic");
}
