//! A snapshot whose readers break off.

use std::time::Duration;

use backup_core::{Context, Source, body};
use backup_pg::{Config, Database, Options};
use backup_tests::{Major, Server};

#[tokio::test(flavor = "multi_thread")]
async fn one_reader_that_breaks_off_takes_nothing_from_the_others() {
    let Some(server) = Server::start(Major::V17) else { return };
    server.psql("postgres", "CREATE TABLE wide AS SELECT repeat('x', 1000) AS x FROM generate_series(1, 20000)");
    let config = Config::parse(&server.url()).expect("a URL");
    let options = Options { jobs: 2, range: 4 << 20, ..Options::default() };
    let source = Database { config, options, record: None, folder: None };
    let snapshot = source.snapshot(&Context::default(), None).await.expect("a snapshot");
    let ranges: Vec<_> = snapshot.parts().iter().filter(|part| part.name.to_string().contains("range")).collect();
    assert!(ranges.len() >= 3 && snapshot.width() == 2, "{ranges:?}");
    let read = async |at: usize| snapshot.read(&ranges[at].name).await;
    let size = async |body| body::to_vec(body, 1 << 30).await.expect("read").len();
    let first = read(0).await.expect("a reader");
    drop(read(1).await.expect("a reader"));
    // The first one is halfway: whoever comes now waits for it.
    let (third, first) = tokio::join!(read(2), size(first.body));
    assert!(first > 3 << 20);
    assert!(size(third.expect("a reader, once there is a connection").body).await > 3 << 20);
    drop(read(2).await.expect("a reader"));
    let lost = tokio::time::timeout(Duration::from_secs(60), read(2)).await.expect("nobody waits for what cannot come");
    assert!(lost.is_err_and(|error| error.to_string().contains("no connection of the snapshot is left")));
    snapshot.close().await.expect("the instant was kept");
}
