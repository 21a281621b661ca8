//! The corpus goes through the real pg_dumpall and psql and comes out the same: it is good to judge others with.

use backup_tests::{Major, Server, corpus, judge};

/// Fills a server, feeds its dump to another, and compares.
fn comes_back(major: Major) {
    let (Some(source), Some(target)) = (Server::start(major), Server::start(major)) else { return };
    corpus::load_all(&source);
    let dump = source.pg_dumpall(&[]);
    corpus::restore(&dump, &source, &target).expect("the real dump restores");
    // As it dumps, it compares: of the databases that every cluster has neither takes settings and rights along.
    assert_eq!(judge::difference_of(&dump, &target.pg_dumpall(&[])), None, "PostgreSQL {major}");
}

#[test]
fn every_file_comes_back_on_15() {
    comes_back(Major::V15);
}

#[test]
fn every_file_comes_back_on_17() {
    comes_back(Major::V17);
}

#[test]
fn every_file_comes_back_on_18() {
    comes_back(Major::V18);
}
