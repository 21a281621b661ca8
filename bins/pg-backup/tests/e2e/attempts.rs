//! Backups that fail before a byte is read, and what a prune makes of that.

use backup_tests::{Major, Server, Setup};

use crate::program::Sink;
use crate::shop;

#[test]
fn nothing_is_pruned_after_a_server_that_does_not_answer_or_let_us_in() {
    let setup = Setup { password: Some("a password".to_owned()), ..Setup::default() };
    let Some(source) = Server::start_with(Major::V17, &setup) else { return };
    shop::fill(&source);
    source.psql("postgres", "CREATE ROLE weak LOGIN PASSWORD 'weak'");
    let sink = Sink::new();
    sink.backup(&source, &["--database", "shop"]);
    sink.backup(&source, &["--database", "shop"]);
    let at = |user: &str, port: u16| format!("postgres://{user}@127.0.0.1:{port}/postgres");
    for (url, why) in [
        (at("postgres", 1), "nothing listens there"),
        (at("postgres:wrong", source.port()), "password"),
        (at("weak:weak", source.port()), "password hashes"),
    ] {
        sink.offline(&["backup", "--server", &url]).fails(1, &[why]);
        let list = sink.offline(&["list"]).ok().text();
        let last = list.lines().last().unwrap_or_default();
        assert!(last.contains("  failed ") && last.contains(why), "{list}");
        let ran = sink.offline(&["prune", "--keep-last", "1"]).ok();
        assert!(ran.text().contains("failed"), "{}", ran.text());
        assert_eq!(sink.listed().len(), 2, "{}", ran.text());
    }
    let other = Server::start_with(Major::V17, &setup).expect("the programs are there");
    let before = sink.offline(&["list"]).ok().text();
    sink.on(&other, &["backup"]).fails(2, &["another source"]);
    assert_eq!(sink.offline(&["list"]).ok().text(), before, "what cannot be meant is no attempt");
    // In peace again, the prune does its work.
    sink.backup(&source, &["--database", "shop"]);
    sink.offline(&["prune", "--keep-last", "1"]).ok();
    assert_eq!(sink.listed().len(), 1);
}
