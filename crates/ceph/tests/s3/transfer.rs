//! Objects on their way, whole or not there.

use std::ops::Range;
use std::time::Duration;

use backup_ceph::{Destination, Listing, New, SharedGateway, Transfer, download};
use backup_core::testing::{body_contract, breaking};
use backup_core::{Error, Kind, Put, Result, Sha256, body};
use backup_tests::bytes;
use backup_tests::faults::{Asked, Fault};
use tokio::io::AsyncReadExt;
use tokio_util::task::TaskTracker;

use crate::Lab;

const MIB: usize = 1 << 20;

/// To `key`, in parts of the smallest size.
fn to(gateway: &SharedGateway, bucket: &str, key: &str) -> Destination {
    Destination {
        gateway: gateway.clone(),
        bucket: bucket.to_owned(),
        key: key.to_owned(),
        new: New { only_if_absent: true, ..New::default() },
        transfer: Transfer { part_size: 5 << 20, width: 2 },
        tasks: TaskTracker::new(),
    }
}

async fn read(gateway: &SharedGateway, bucket: &str, key: &str, range: Option<Range<u64>>) -> Result<Vec<u8>> {
    body_contract(download(gateway, bucket, key, range, 2).await?).await
}

/// No object, and no upload that could still become one.
async fn nothing_is_left(lab: &Lab, key: &str) {
    assert_eq!(lab.gateway.head(&lab.bucket, key).await.expect_err("no object").kind(), Kind::NotFound);
    assert_eq!(lab.gateway.uploads(&lab.bucket, "").await.expect("listed"), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_bigger_than_a_part_goes_in_parts_and_comes_back() {
    let Some(lab) = Lab::new("parts").await else { return };
    let bytes = bytes(21 * MIB + 7, 0);
    for (size, parts) in [(5 * MIB - 1, None), (5 * MIB, Some("-1")), (21 * MIB + 7, Some("-5"))] {
        let (key, bytes) = (format!("of-{size}"), &bytes[..size]);
        let put = to(&lab.gateway, &lab.bucket, &key).put(body::from_bytes(bytes.to_vec())).await.expect("stored");
        assert_eq!(put, Put { size: size as u64, sha256: Sha256::of(bytes) });
        let etag = lab.gateway.head(&lab.bucket, &key).await.expect("there").etag;
        assert_eq!(parts.is_some(), etag.contains('-'), "{etag}");
        assert!(parts.is_none_or(|parts| etag.ends_with(parts)), "{etag}");
        assert!(read(&lab.gateway, &lab.bucket, &key, None).await.expect("read") == bytes, "{size}");
        let again = to(&lab.gateway, &lab.bucket, &key).put(body::from_bytes(vec![1; 6 * MIB])).await;
        assert_eq!(again.expect_err("nothing is replaced").kind(), Kind::AlreadyExists);
    }
    let (proxy, gateway) = lab.proxy();
    let key = format!("of-{}", 21 * MIB + 7);
    for (start, end) in [(0, 1), (3 * MIB, 4 * MIB), (8 * MIB - 1, 8 * MIB + 1), (MIB, 20 * MIB), (21 * MIB, 99 * MIB)] {
        let part = read(&gateway, &lab.bucket, &key, Some(start as u64..end as u64)).await.expect("read");
        let end = end.min(bytes.len());
        assert!(part == bytes[start..end], "{start} to {end}");
        let passed: u64 = proxy.seen().iter().map(|seen| seen.bytes).sum();
        assert_eq!(passed, (end - start) as u64, "no more is asked for than is wanted");
    }
    assert_eq!(read(&lab.gateway, &lab.bucket, &key, Some(99..99)).await.expect("nothing"), b"");
    assert_eq!(read(&lab.gateway, &lab.bucket, &key, Some(1 << 40..2 << 40)).await.expect("nothing lies there"), b"");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_off_or_is_dropped_leaves_nothing() {
    let Some(lab) = Lab::new("broken").await else { return };
    for at in [5 * MIB, 11 * MIB] {
        let error = to(&lab.gateway, &lab.bucket, "key").put(breaking(vec![7; 12 * MIB], at)).await.expect_err("it broke");
        assert!(error.chain().contains("on purpose"), "{error:?}");
        nothing_is_left(&lab, "key").await;
    }
    let (proxy, gateway) = lab.proxy();
    proxy.spoil(Asked::Part, 1, usize::MAX, Fault::Answer(403, "QuotaExceeded"));
    let error = to(&gateway, &lab.bucket, "key").put(body::from_bytes(vec![7; 20 * MIB])).await.expect_err("no room");
    assert!(error.hint().is_some_and(|hint| hint.contains("quota")), "{error:?}");
    nothing_is_left(&lab, "key").await;

    let (mut writer, reader) = tokio::io::duplex(MIB);
    let destination = to(&lab.gateway, &lab.bucket, "key");
    let tasks = destination.tasks.clone();
    let putting = tokio::spawn(async move { destination.put(body::sound(reader)).await });
    tokio::io::AsyncWriteExt::write_all(&mut writer, &vec![7; 7 * MIB]).await.expect("taken");
    while lab.gateway.uploads(&lab.bucket, "").await.expect("listed").is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    putting.abort();
    assert!(putting.await.is_err());
    tasks.close();
    tasks.wait().await;
    nothing_is_left(&lab, "key").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_no_failure_and_no_lie() {
    let Some(lab) = Lab::new("lost").await else { return };
    let (proxy, gateway) = lab.proxy();
    proxy.spoil(Asked::Put, 0, 1, Fault::Lose);
    to(&gateway, &lab.bucket, "small").put(body::from_bytes("small")).await.expect("it is there, and ours");
    assert_eq!(proxy.seen().iter().filter(|seen| seen.asked == Asked::Put).count(), 2);
    proxy.spoil(Asked::Complete, 0, 1, Fault::Lose);
    to(&gateway, &lab.bucket, "big").put(body::from_bytes(vec![7; 6 * MIB])).await.expect("it is there, and ours");
    // An upload that somebody gave up has become no object, whatever is there.
    proxy.spoil(Asked::Complete, 0, 1, Fault::Answer(404, "NoSuchUpload"));
    let mut other = to(&gateway, &lab.bucket, "big");
    other.new.only_if_absent = false;
    let error = other.put(body::from_bytes(vec![8; 6 * MIB])).await.expect_err("it was given up");
    assert_eq!(error.kind(), Kind::NotFound, "{error:?}");
    // The same bytes of someone else are someone else's.
    proxy.spoil(Asked::Put, 0, 1, Fault::Reset);
    let error = to(&gateway, &lab.bucket, "small").put(body::from_bytes("small")).await.expect_err("not ours");
    assert_eq!(error.kind(), Kind::AlreadyExists);
    assert_eq!(lab.gateway.list(&lab.bucket, &Listing::default(), None).await.expect("listed").objects.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_breaks_off_is_asked_for_again_where_it_broke() {
    let Some(lab) = Lab::new("resumed").await else { return };
    let bytes = bytes(20 * MIB, 0);
    to(&lab.gateway, &lab.bucket, "big").put(body::from_bytes(bytes.clone())).await.expect("stored");
    let (proxy, gateway) = lab.proxy();
    for fault in [Fault::Cut(MIB), Fault::Short(MIB), Fault::Reset, Fault::Answer(503, "SlowDown")] {
        proxy.spoil(Asked::Get, 0, 2, fault.clone());
        assert!(read(&gateway, &lab.bucket, "big", None).await.expect("whole") == bytes, "{fault:?}");
        proxy.heal();
    }
    let passed: u64 = proxy.seen().iter().map(|seen| seen.bytes).sum();
    assert!(passed < 4 * 21 * MIB as u64, "{passed} bytes came: more than what was missing");
    // However often, as long as each brings much.
    proxy.spoil(Asked::Get, 0, usize::MAX, Fault::Short(MIB));
    assert!(read(&gateway, &lab.bucket, "big", None).await.expect("whole") == bytes);
    proxy.heal();
    for fault in [Fault::Cut(0), Fault::Short(0), Fault::Cut(100), Fault::Short(100)] {
        proxy.spoil(Asked::Get, 1, usize::MAX, fault.clone());
        let reading = tokio::time::timeout(Duration::from_secs(60), read(&gateway, &lab.bucket, "big", None)).await;
        let error = reading.expect("it is not asked for again and again").expect_err("it never comes");
        assert!(error.chain().contains("breaks off after"), "{fault:?}: {error:?}");
        proxy.heal();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_bytes_than_were_stored_are_no_quiet_end() {
    let Some(lab) = Lab::new("flipped").await else { return };
    to(&lab.gateway, &lab.bucket, "small").put(body::from_bytes(bytes(MIB, 0))).await.expect("stored");
    let (proxy, gateway) = lab.proxy();
    proxy.spoil(Asked::Get, 0, 1, Fault::Flip(1000));
    let error = read(&gateway, &lab.bucket, "small", None).await.expect_err("flipped");
    assert_eq!(error.kind(), Kind::Damaged, "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_bytes_than_were_sent_are_refused_and_leave_nothing() {
    let Some(lab) = Lab::new("sent").await else { return };
    let (proxy, gateway) = lab.proxy();
    for (asked, size) in [(Asked::Put, MIB), (Asked::Part, 11 * MIB)] {
        proxy.spoil(asked, 0, 1, Fault::FlipSent(1000));
        let put = to(&gateway, &lab.bucket, "key").put(body::from_bytes(bytes(size, 0))).await;
        assert!(put.is_err(), "{asked:?}: {put:?}");
        nothing_is_left(&lab, "key").await;
        assert!(proxy.seen().iter().any(|seen| seen.asked == asked && seen.fault.is_some() && seen.status == 400), "{asked:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_replaced_while_it_is_read_is_no_mixture() {
    let Some(lab) = Lab::new("mixed").await else { return };
    to(&lab.gateway, &lab.bucket, "big").put(body::from_bytes(vec![1; 20 * MIB])).await.expect("stored");
    let mut body = download(&lab.gateway, &lab.bucket, "big", None, 1).await.expect("opened");
    assert_eq!(body.read_u8().await.expect("the first piece"), 1);
    lab.gateway.delete(&lab.bucket, "big").await.expect("deleted");
    to(&lab.gateway, &lab.bucket, "big").put(body::from_bytes(vec![2; 20 * MIB])).await.expect("stored");
    let error = body.read_to_end(&mut Vec::new()).await.map_err(Error::from).expect_err("another object");
    assert!(error.chain().contains("was replaced while it was read"), "{error:?}");
}
