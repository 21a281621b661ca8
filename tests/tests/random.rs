//! Databases from random seeds, dumped by us, go through psql and come out the same.

use backup_core::{Context, Result};
use backup_pg::{Cluster, ClusterOptions, Config};
use backup_tests::{Major, Server, corpus, judge, random};

/// What we dump of a whole server.
fn dumped(server: &Server) -> Result<Vec<u8>> {
    let (cx, mut out) = (Context::default(), Vec::new());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let cluster = Cluster { config: Config::parse(&server.url())?, options: ClusterOptions::default() };
        backup_pg::dump(&cx, &cluster.sources(&cx).await?, &mut out).await
    })?;
    Ok(out)
}

fn seeds_come_back(major: Major, seeds: std::ops::Range<u64>) {
    let Some(source) = Server::start(major) else { return };
    for seed in seeds.clone() {
        random::fill(&source, &format!("seed_{seed}"), seed);
    }
    let Some(target) = Server::start(major) else { return };
    let dump = dumped(&source).expect("it is dumped");
    let restored = corpus::restore(&dump, &source, &target);
    assert_eq!(restored, Ok(()), "seeds {seeds:?} on PostgreSQL {major}");
    judge::assert_same(&source, &target);
}

#[test]
fn a_seed_gives_the_same_script_always() {
    assert_eq!(random::script(7), random::script(7));
    assert_ne!(random::script(7), random::script(8));
}

#[test]
fn a_few_seeds_come_back_on_15() {
    seeds_come_back(Major::V15, 1..4);
}

#[test]
fn a_few_seeds_come_back_on_17() {
    seeds_come_back(Major::V17, 4..7);
}

#[test]
fn a_few_seeds_come_back_on_18() {
    seeds_come_back(Major::V18, 7..10);
}

#[test]
#[ignore = "long: ./test --soak"]
fn many_seeds_come_back() {
    for major in Major::ALL {
        for first in (100..200).step_by(10) {
            seeds_come_back(major, first..first + 10);
        }
    }
}
