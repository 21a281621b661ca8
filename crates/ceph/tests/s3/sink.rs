//! The contract of sinks, and what a bucket must hold beside it.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region, RequestChecksumCalculation};
use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
use backup_ceph::{New, Place, S3Sink, SharedGateway, Transfer};
use backup_core::testing::sink_contract;
use backup_core::{Depth, Key, Sink, body};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use tokio_util::task::TaskTracker;

use crate::Lab;

fn sink(gateway: &SharedGateway, url: &str) -> S3Sink {
    S3Sink::new(gateway.clone(), Place::parse(url).expect(url), Transfer::default(), TaskTracker::new())
}

fn key(text: &str) -> Key {
    text.parse().expect("a key")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_holds_in_a_bucket_and_under_a_prefix() {
    let Some(lab) = Lab::new("sinks").await else { return };
    // What lies beside the prefix is not the sink's.
    for stranger in ["a", "a/bc", "a/b", "a/b/no key", "a/b/.hidden", "a/b//x"] {
        lab.gateway.put(&lab.bucket, stranger, Bytes::new(), &New::default()).await.expect(stranger);
    }
    sink_contract(&sink(&lab.gateway, &format!("//{}/a/b/", lab.bucket))).await;
    lab.gateway.make_bucket("sinks-whole").await.expect("made");
    sink_contract(&sink(&lab.gateway, "//sinks-whole")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_of_many_pages_is_one_listing() {
    let Some(lab) = Lab::new("pages").await else { return };
    let sink = Arc::new(sink(&lab.gateway, "//pages/p"));
    let mut names: Vec<String> = (0..1050).map(|nth| format!("{}{nth}", if nth % 2 == 0 { "x" } else { "dir" })).collect();
    names = names.into_iter().map(|name| if name.starts_with('d') { format!("{name}/x") } else { name }).collect();
    let puts = futures_util::stream::iter(names.clone()).map(|name| {
        let sink = sink.clone();
        async move { sink.put(&key(&name), body::from_bytes("x")).await.map(drop) }
    });
    puts.buffer_unordered(16).try_collect::<()>().await.expect("stored");
    names.sort_unstable();
    for depth in [Depth::All, Depth::One] {
        let listed: Vec<_> = sink.list(&Key::root(), depth).try_collect().await.expect("listed");
        let text: Vec<String> = listed
            .iter()
            .map(|entry| match depth {
                Depth::One if entry.key().as_str().starts_with('d') => format!("{}/x", entry.key()),
                _ => entry.key().to_string(),
            })
            .collect();
        assert!(text == names, "{depth:?}");
    }
}

/// Turns the versions of the bucket on, which no program of ours does.
async fn keep_versions(lab: &Lab) {
    let keys = Credentials::new(&lab.keys.access_key, &lab.keys.secret_key, None, None, "test");
    let config = aws_sdk_s3::Config::builder().behavior_version(BehaviorVersion::latest()).region(Region::new("us-east-1"));
    let config = config.endpoint_url(lab.rgw.url()).force_path_style(true).credentials_provider(keys);
    let config = config.request_checksum_calculation(RequestChecksumCalculation::WhenRequired);
    let client = Client::from_conf(config.http_client(aws_smithy_http_client::Builder::new().build_http()).build());
    let on = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
    client.put_bucket_versioning().bucket(&lab.bucket).versioning_configuration(on).send().await.expect("turned on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_replaces_what_shall_stay_is_refused() {
    let Some(lab) = Lab::new("versioned").await else { return };
    keep_versions(&lab).await;
    let error = sink(&lab.gateway, "//versioned/p").put(&key("x"), body::from_bytes("x")).await.expect_err("refused");
    assert!(error.chain().contains("If-None-Match is not heeded"), "{error:?}");
    assert!(error.hint().is_some_and(|hint| hint.contains("20.2")), "{error:?}");
    assert!(lab.gateway.head("versioned", "p/x").await.is_err(), "it was stored all the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_gives_up_what_is_old_and_lies_under_the_prefix() {
    let Some(lab) = Lab::new("swept").await else { return };
    let begin = async |at: &str| lab.gateway.begin(&lab.bucket, at, &New::default()).await.expect("begun");
    for at in ["p/job/x", "p/job2/x", "other/job/x"] {
        begin(at).await;
    }
    let sink = sink(&lab.gateway, "//swept/p");
    let left = async || {
        let uploads = lab.gateway.uploads(&lab.bucket, "").await.expect("listed");
        uploads.into_iter().map(|upload| upload.key).collect::<Vec<_>>()
    };
    sink.sweep(&key("job"), Duration::from_secs(3600)).await.expect("swept");
    assert_eq!(left().await, ["other/job/x", "p/job/x", "p/job2/x"], "one that may be alive");
    sink.sweep(&key("job"), Duration::ZERO).await.expect("swept");
    assert_eq!(left().await, ["other/job/x", "p/job2/x"]);
}
