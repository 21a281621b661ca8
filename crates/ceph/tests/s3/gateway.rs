//! The calls, and what is told of those that fail.

use std::time::Duration;

use backup_ceph::testing::gateway_contract;
use backup_ceph::{Access, Credentials, Listing, New, connect};
use backup_core::{Error, Kind};
use backup_tests::faults::{Asked, Fault};
use bytes::Bytes;

use crate::Lab;

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_holds() {
    let Some(lab) = Lab::new("contract").await else { return };
    gateway_contract(&*lab.gateway, "contract-plain").await;
    let mut access = Access { endpoint: lab.rgw.tls_url(), ca: Some(lab.rgw.ca()), ..lab.access.clone() };
    access.region = Some("eu-central-1".to_owned());
    gateway_contract(&*connect(&access).expect("an address"), "contract-tls").await;
}

async fn refused(access: &Access, bucket: &str) -> Error {
    let gateway = connect(access).expect("an address");
    gateway.list(bucket, &Listing::default(), None).await.expect_err("refused")
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_refused_is_told_why() {
    let Some(lab) = Lab::new("refused").await else { return };
    let told = |error: Error, word: &str| {
        let (line, hint) = (error.chain(), error.hint().unwrap_or_default().to_owned());
        assert!(hint.contains(word), "{line} ({hint})");
        assert!(!line.contains('\n') && !line.contains(&lab.keys.secret_key), "{line}");
        (error.kind(), line)
    };
    let with = |access_key: &str, secret: &str| Access {
        credentials: Some(Credentials::new(access_key, secret)),
        ..lab.access.clone()
    };
    told(refused(&with(&lab.keys.access_key, "wrong"), &lab.bucket).await, "secret key");
    told(refused(&with("nobody", &lab.keys.secret_key), &lab.bucket).await, "access key");
    told(refused(&Access { credentials: None, ..lab.access.clone() }, &lab.bucket).await, "right");
    assert_eq!(told(refused(&lab.access, "no-such-bucket").await, "make it").0, Kind::NotFound);

    let nobody = Access { endpoint: "http://127.0.0.1:1".to_owned(), attempts: 1, ..lab.access.clone() };
    let (_, line) = told(refused(&nobody, &lab.bucket).await, "address");
    assert!(line.contains("http://127.0.0.1:1 does not answer: Connection refused"), "{line}");
    // Any certificate that is not the authority's.
    let other = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(other.path(), STRANGER).expect("written");
    let tls = Access { endpoint: lab.rgw.tls_url(), ca: Some(other.path().to_owned()), ..lab.access.clone() };
    let (_, line) = told(refused(&tls, &lab.bucket).await, "--s3-ca");
    assert!(line.contains("certificate"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_pass_is_tried_again_and_nothing_else() {
    let Some(lab) = Lab::new("again").await else { return };
    let (proxy, gateway) = lab.proxy();
    let new = New::default();
    let put = || gateway.put(&lab.bucket, "key", Bytes::from_static(b"bytes"), &new);
    for fault in
        [Fault::Answer(503, "SlowDown"), Fault::Answer(500, "InternalError"), Fault::Answer(429, "TooMany"), Fault::Reset]
    {
        proxy.spoil(Asked::Put, 0, 2, fault.clone());
        put().await.expect("the third time");
        assert_eq!(proxy.seen().len(), 3, "{fault:?}");
        proxy.heal();
    }
    for (status, code) in [(400, "BadDigest"), (403, "AccessDenied"), (409, "Conflict"), (501, "NotImplemented")] {
        proxy.spoil(Asked::Put, 0, 1, Fault::Answer(status, code));
        let error = put().await.expect_err("refused");
        assert!(error.chain().contains(code), "{error:?}");
        assert_eq!(proxy.seen().len(), 1, "{code} is tried again");
        proxy.heal();
    }
    proxy.spoil(Asked::Put, 0, usize::MAX, Fault::Answer(503, "SlowDown"));
    assert!(put().await.expect_err("for ever").chain().contains("SlowDown"));
    assert_eq!(proxy.seen().len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_does_not_come_is_not_waited_for_long() {
    let Some(lab) = Lab::new("late").await else { return };
    let (proxy, _) = lab.proxy();
    let access = Access { endpoint: proxy.url(), timeout: Duration::from_millis(300), attempts: 2, ..lab.access.clone() };
    proxy.spoil(Asked::Listing, 0, usize::MAX, Fault::Hang);
    let error = refused(&access, &lab.bucket).await;
    assert!(error.chain().contains("no answer came"), "{error:?}");
}

const STRANGER: &str = include_str!("stranger.pem");
