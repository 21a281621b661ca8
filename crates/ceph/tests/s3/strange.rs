//! Servers that answer as Ceph does not, each answer written by hand, or not at all.

use std::io::Read;
use std::net::TcpListener;
use std::thread::JoinHandle;
use std::time::Duration;

use backup_ceph::{Access, Credentials, Listing, New, Pages, Place, S3Sink, SharedGateway, Transfer, connect};
use backup_core::{Depth, Error, Key, Kind, Sink};
use backup_tests::answers;
use bytes::Bytes;
use futures_util::TryStreamExt;
use tokio::io::AsyncReadExt;

/// A server that gives these answers, one a connection, and the first lines of what it was asked.
fn server(written: &[(&str, &str)]) -> (SharedGateway, JoinHandle<Vec<String>>) {
    let (address, asked) = answers(written);
    let mut access = Access::new(format!("http://{address}"), Some(Credentials::new("access", "secret")));
    (access.attempts, access.timeout) = (1, Duration::from_secs(20));
    (connect(&access).expect("an address"), asked)
}

#[tokio::test]
async fn of_a_server_that_knows_no_ranges_a_part_is_had_all_the_same() {
    for (range, part) in [(3..7, "3456"), (0..1, "0"), (8..99, "89")] {
        let (gateway, _) = server(&[("200 OK\r\nETag: \"e\"\r\nContent-Length: 10", "0123456789")]);
        let (head, mut body) = gateway.get("b", "k", Some(range), None).await.expect("there");
        let mut read = String::new();
        body.read_to_string(&mut read).await.expect("read");
        assert_eq!((head.size, read.as_str()), (10, part));
    }
}

#[tokio::test]
async fn where_nothing_lies_behind_the_end_it_is_still_the_object_that_was_meant() {
    let answers = [("416 Range Not Satisfiable", ""), ("200 OK\r\nETag: \"now\"\r\nContent-Length: 10", "")];
    let (gateway, _) = server(&answers);
    let error = gateway.get("b", "k", Some(10..20), Some("before")).await.err().expect("another object");
    assert!(error.chain().contains("was replaced"), "{error:?}");
    let (gateway, _) = server(&answers);
    let (_, mut body) = gateway.get("b", "k", Some(10..20), Some("now")).await.expect("the same");
    assert_eq!(body.read(&mut [0; 1]).await.expect("its end"), 0);
}

#[tokio::test]
async fn parts_that_become_other_bytes_are_no_object_unless_the_server_has_encrypted_them() {
    let done =
        "<CompleteMultipartUploadResult><ETag>\"00000000000000000000000000000000-1\"</ETag></CompleteMultipartUploadResult>";
    let parts = [(1, "900150983cd24fb0d6963f7d28e17f72".to_owned())];
    let (gateway, _) = server(&[("200 OK", done)]);
    let error = gateway.complete("b", "k", "u", &parts).await.expect_err("other bytes");
    assert_eq!(error.kind(), Kind::Damaged, "{error:?}");
    let (gateway, _) = server(&[("200 OK\r\nx-amz-server-side-encryption: aws:kms", done)]);
    let etag = gateway.complete("b", "k", "u", &parts).await.expect("no MD5");
    assert_eq!(etag, "00000000000000000000000000000000-1");
}

#[tokio::test]
async fn what_is_stored_as_other_bytes_is_damaged_unless_the_server_has_encrypted_it() {
    let (abc, new) = (Bytes::from_static(b"abc"), New::default());
    let store = async |head: &str, is_part: bool| {
        let (gateway, _) = server(&[(&format!("200 OK\r\nContent-Length: 0\r\n{head}"), "")]);
        match is_part {
            true => gateway.part("b", "k", "u", 1, abc.clone()).await,
            false => gateway.put("b", "k", abc.clone(), &new).await,
        }
    };
    for is_part in [false, true] {
        let stored = store("ETag: \"900150983cd24fb0d6963f7d28e17f72\"", is_part).await;
        assert_eq!(stored.expect("the MD5 of abc"), "900150983cd24fb0d6963f7d28e17f72");
        let other = "ETag: \"00000000000000000000000000000000\"";
        assert_eq!(store(other, is_part).await.expect_err("other bytes").kind(), Kind::Damaged);
        assert_eq!(store("X-Nothing: of it", is_part).await.expect_err("no ETag").kind(), Kind::Damaged);
        let encrypted = format!("{other}\r\nx-amz-server-side-encryption: aws:kms");
        assert_eq!(store(&encrypted, is_part).await.expect("no MD5"), "00000000000000000000000000000000");
    }
}

#[tokio::test]
async fn uploads_are_listed_to_the_last_page() {
    let page = |key: &str, next: &str| {
        format!(
            "<ListMultipartUploadsResult>{next}<Upload><Key>{key}</Key><UploadId>1</UploadId></Upload></ListMultipartUploadsResult>"
        )
    };
    let leads = |key: &str| {
        format!("<IsTruncated>true</IsTruncated><NextKeyMarker>{key}</NextKeyMarker><NextUploadIdMarker>1</NextUploadIdMarker>")
    };
    let first = page("a", &leads("a"));
    for second in [page("b", "<IsTruncated>false</IsTruncated>"), page("b", &leads("a"))] {
        // A page that leads to itself is the last, too.
        let (gateway, serving) = server(&[("200 OK", first.as_str()), ("200 OK", second.as_str())]);
        let uploads = gateway.uploads("b", "").await.expect("listed");
        assert_eq!(uploads.into_iter().map(|upload| upload.key).collect::<Vec<_>>(), ["a", "b"]);
        let asked = serving.join().expect("two pages");
        assert!(asked[1].contains("key-marker=a") && asked[1].contains("upload-id-marker=1"), "{asked:?}");
    }
}

/// A page of a listing: keys, or prefixes where they end in a slash, and what leads to the next one.
fn page(lines: &[&str], next: &str) -> String {
    let line = |line: &&str| match line.ends_with('/') {
        true => format!("<CommonPrefixes><Prefix>{line}</Prefix></CommonPrefixes>"),
        false => format!("<Contents><Key>{line}</Key><Size>1</Size></Contents>"),
    };
    let lines: String = lines.iter().map(line).collect();
    let (more, next) = (!next.is_empty(), format!("<NextContinuationToken>{next}</NextContinuationToken>"));
    format!("<ListBucketResult>{lines}<IsTruncated>{more}</IsTruncated>{next}</ListBucketResult>")
}

/// All keys and prefixes of a listing under `p/` that has these pages and no others.
async fn listed(pages: &[String]) -> Result<Vec<String>, Error> {
    let answers: Vec<_> = pages.iter().map(|page| ("200 OK", page.as_str())).collect();
    let (gateway, _) = server(&answers);
    let mut pages = Pages::new(&gateway, "b", Listing { prefix: "p/".to_owned(), ..Listing::default() });
    let mut lines = Vec::new();
    while let Some(page) = pages.next().await? {
        lines.extend(page.objects.into_iter().map(|object| object.key).chain(page.prefixes));
    }
    Ok(lines)
}

#[tokio::test]
async fn a_listing_whose_pages_do_not_lead_on_is_damaged() {
    let before = page(&["p/c", "p/b/"], "1");
    for (second, told) in [
        (page(&["p/c"], "2"), "comes after"),
        (page(&["p/a", "p/d"], "2"), "comes after"),
        (page(&["p/b/"], "2"), "comes after"),
        (page(&["p/d", "p/a/"], ""), "comes after"),
        (page(&["p/d"], "1"), "the same"),
        (page(&[], "1"), "the same"),
        (page(&["q"], ""), "not asked for"),
        (page(&["q/"], ""), "not asked for"),
    ] {
        let error = listed(&[before.clone(), second.clone()]).await.expect_err(&second);
        assert!(error.kind() == Kind::Damaged && error.chain().contains(told), "{second}: {error:?}");
        assert!(error.chain().contains("the listing of s3://b/p/ does not lead on") && error.hint().is_some(), "{error:?}");
    }
    // Of the lines of one page each is behind those of the page before, whichever comes first.
    assert_eq!(listed(&[before, page(&["p/e", "p/d/"], "")]).await.expect("it leads on"), ["p/c", "p/b/", "p/e", "p/d/"]);
}

#[tokio::test]
async fn a_thousand_pages_may_have_nothing_in_them_and_no_more() {
    let hollow = |from: u32, count: u32| (from..from + count).map(|nth| page(&[], &nth.to_string()));
    let mut pages: Vec<String> = hollow(0, 1000).chain([page(&["p/a"], "more")]).chain(hollow(2000, 1000)).collect();
    pages.push(page(&["p/b"], ""));
    assert_eq!(listed(&pages).await.expect("it leads on"), ["p/a", "p/b"]);
    let error = listed(&hollow(0, 1001).collect::<Vec<_>>()).await.expect_err("for ever");
    assert!(error.kind() == Kind::Damaged && error.chain().contains("1000 pages in a row"), "{error:?}");
}

#[tokio::test]
async fn a_sink_whose_listing_goes_round_is_damaged() {
    let pages = [page(&["p/a"], "1"), page(&["p/b"], "2"), page(&["p/a"], "1")];
    let answers: Vec<_> = pages.iter().map(|page| ("200 OK", page.as_str())).collect();
    let (gateway, _) = server(&answers);
    let sink = S3Sink::new(gateway, Place::parse("//bucket/p").expect("a place"), Transfer::default(), Default::default());
    let error = sink.list(&Key::root(), Depth::All).try_collect::<Vec<_>>().await.expect_err("it goes round");
    assert!(error.kind() == Kind::Damaged && error.chain().contains("comes after"), "{error:?}");
}

#[tokio::test]
async fn uploads_whose_listing_goes_round_are_damaged() {
    let page = |key: &str, id: usize| {
        format!(
            "<ListMultipartUploadsResult><IsTruncated>true</IsTruncated><NextKeyMarker>{key}</NextKeyMarker>\
             <NextUploadIdMarker>{id}</NextUploadIdMarker></ListMultipartUploadsResult>"
        )
    };
    let round = vec![page("a", 1), page("b", 1), page("a", 1)];
    let of_one_key = (0..1002).map(|id| page("a", id)).collect();
    for pages in [round, of_one_key] {
        let answers: Vec<_> = pages.iter().map(|page| ("200 OK", page.as_str())).collect();
        let (gateway, serving) = server(&answers);
        let error = gateway.uploads("b", "").await.expect_err("for ever");
        assert!(error.kind() == Kind::Damaged && error.chain().contains("does not lead on"), "{error:?}");
        assert_eq!(serving.join().expect("each was asked for").len(), pages.len());
    }
}

#[tokio::test]
async fn a_server_that_takes_a_connection_and_says_nothing_of_its_certificate_is_given_up_soon() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let endpoint = format!("https://{}", listener.local_addr().expect("its address"));
    // It hears whoever comes to the end.
    let hearing = std::thread::spawn(move || {
        let mut heard = Vec::new();
        listener.accept().expect("a client").0.read_to_end(&mut heard).expect("heard");
        heard
    });
    let mut access = Access::new(endpoint.clone(), Some(Credentials::new("access", "secret")));
    access.ca = Some(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/s3/stranger.pem").into());
    (access.attempts, access.connect_timeout, access.timeout) = (1, Duration::from_secs(1), Duration::from_secs(15));
    let error = connect(&access).expect("an address").buckets().await.expect_err("nobody speaks");
    let told =
        format!("failed to list the buckets of {endpoint}: {endpoint} does not answer: no connection could be made in 1 s");
    assert_eq!(error.chain(), told);
    assert!(error.hint().is_some_and(|hint| hint.contains("is up")), "{error:?}");
    // What was heard is a greeting of TLS, so it was TLS that was waited for.
    assert_eq!(hearing.join().expect("heard").first(), Some(&0x16));
}
