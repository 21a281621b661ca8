//! What another program stopped and did not bring back: `resume` tells it, and nothing but bringing it back changes that.

use std::fs;
use std::path::Path;

use backup_core::Journal;
use backup_tests::kubernetes::StandIn;
use backup_tests::{Major, Server};
use serde_json::json;

use crate::program::{Ran, Sink};
use crate::shop;

/// The folder in which the program has made the lock of its job.
fn locks(below: &Path) -> std::path::PathBuf {
    let mut folders = vec![below.to_owned()];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            if path.extension().is_some_and(|end| end == "lock") {
                return folder;
            }
            folders.extend(Some(path).filter(|path| path.is_dir()));
        }
    }
    panic!("there is no lock below {}", below.display());
}

#[test]
fn what_is_still_paused_is_told_until_it_is_brought_back() {
    let sink = Sink::new();
    assert_eq!(sink.offline(&["resume"]).ok().text(), "nothing is paused\n");
    let folder = locks(&sink.folder().join("state"));
    let journal = || Journal::open(&folder, &"pg".parse().expect("a name")).expect("nobody holds it");
    let entry = json!({"job": "pg", "units": ["api.service", "worker\nqueue"], "on_failure": "resume", "phase": "working",
        "at": "2024-11-21T12:00:00Z", "host": "db-0", "pid": 17});
    let record = || journal().record(&serde_json::from_value(entry.clone()).expect("an entry")).expect("written");
    record();
    for _ in 0..2 {
        sink.offline(&["resume"]).fails_with_hint(5, &["api.service, worker", "the program that stopped them"]);
    }
    assert_eq!(sink.offline(&["--job", "another", "resume"]).ok().text(), "nothing is paused\n");
    journal().strike().expect("struck out");
    sink.offline(&["resume"]).ok();
    // What cannot be read may well say that something is stopped.
    record();
    let file = fs::read_dir(&folder)
        .expect("a folder")
        .flatten()
        .find(|file| file.path().extension().is_some_and(|end| end == "json"));
    fs::write(file.expect("the entry").path(), "{").expect("written");
    sink.offline(&["resume"]).fails_with_hint(5, &["is not known"]);
}

#[test]
fn what_two_programs_stopped_is_told_and_neither_is_started() {
    let Some(server) = Server::start(Major::V17) else { return };
    shop::fill(&server);
    let (sink, api) = (Sink::new(), StandIn::start());
    sink.backup(&server, &["--database", "shop"]);
    server.psql("shop", "CREATE TABLE public.mine (x int)");
    api.world().add("deployment/web", 3);
    api.world().scale("deployment/web", 0);
    let run = |arguments: &[&str]| Ran::of(sink.command(Some(&server), arguments).env("KUBECONFIG", api.kubeconfig()));
    let folder = locks(&sink.folder().join("state"));
    let ours = format!("deployment/web=3 in shop at {}", api.server());
    for on_failure in ["resume", "hold"] {
        let journal = Journal::open(&folder, &"pg".parse().expect("a name")).expect("nobody holds it");
        let entry = json!({"job": "pg", "units": [ours, "api.service"], "on_failure": on_failure, "phase": "working",
            "at": "2024-11-21T12:00:00Z", "host": "db-0", "pid": 17});
        journal.record(&serde_json::from_value(entry).expect("an entry")).expect("written");
        drop(journal);
        run(&["resume"]).fails_with_hint(5, &[&ours, "api.service", "the program that stopped them"]);
        assert_eq!(api.replicas("deployment/web"), 0);
        // Nor is anything restored, which would forget what is to be started.
        let restore = ["restore", "latest", "--database", "shop", "--clean", "--scale-down", "deployment/web"];
        run(&restore).fails_with_hint(5, &["api.service"]);
        assert_eq!(server.psql("shop", "SELECT to_regclass('public.mine') IS NOT NULL"), "t");
        api.world().scale("deployment/web", 0);
        run(&["resume"]).fails_with_hint(5, &[&ours, "api.service"]);
    }
}
