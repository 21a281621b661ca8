//! What every [`Gateway`] holds, as a function that each implementation runs against a real server.
//!
//! The contract panics where it is broken, as an assertion does.

use backup_core::Kind;
use backup_core::body::Body;
use bytes::Bytes;
use tokio::io::AsyncReadExt;

use crate::{Gateway, Headers, Listing, New};

/// Keys that some library, somewhere, has changed on their way.
const KEYS: [&str; 19] = [
    "plain",
    "a/b/c.txt",
    "dir/",
    "//two",
    "/leading",
    "a//b",
    "../up",
    "a/../b",
    "./here",
    "a/./b",
    "white space +plus%20%2F%percent",
    "?query=1&more#fragment",
    "quote'\"<&>;\\back",
    "tab\tand\nline",
    "bell\u{7}end",
    "umlaut-äöü-漢字-😀",
    "decomposed-a\u{308}",
    "*~!@$^()=[]{}|`:,",
    "trailing.",
];

/// What every gateway holds. `bucket` must not exist, and does afterwards, empty.
pub async fn gateway_contract(gateway: &dyn Gateway, bucket: &str) {
    buckets(gateway, bucket).await;
    what_is_not_there(gateway, bucket).await;
    what_is_put_comes_back(gateway, bucket).await;
    keys_are_exact(gateway, bucket).await;
    listings(gateway, bucket).await;
    conditions(gateway, bucket).await;
    many_parts(gateway, bucket).await;
    copies(gateway, bucket).await;
    assert!(keys(gateway, bucket, &Listing::default()).await.is_empty(), "each leaves the bucket empty");
}

async fn buckets(gateway: &dyn Gateway, bucket: &str) {
    let kind = |error: backup_core::Error| error.kind();
    let listing = Listing::default();
    assert_eq!(gateway.list(bucket, &listing, None).await.map_err(kind).err(), Some(Kind::NotFound));
    let put = gateway.put(bucket, "key", Bytes::from_static(b"bytes"), &New::default()).await;
    assert_eq!(put.map_err(kind).err(), Some(Kind::NotFound));
    gateway.make_bucket(bucket).await.expect("made");
    assert_eq!(gateway.make_bucket(bucket).await.map_err(kind).err(), Some(Kind::AlreadyExists), "made twice");
    assert!(gateway.buckets().await.expect("listed").iter().any(|one| one.name == bucket));
}

async fn what_is_not_there(gateway: &dyn Gateway, bucket: &str) {
    let kind = |error: backup_core::Error| Some(error.kind());
    assert_eq!(gateway.head(bucket, "nothing").await.err().and_then(kind), Some(Kind::NotFound));
    assert_eq!(gateway.get(bucket, "nothing", None, None).await.err().and_then(kind), Some(Kind::NotFound));
    assert_eq!(gateway.copy((bucket, "nothing"), (bucket, "copy"), None).await.err().and_then(kind), Some(Kind::NotFound));
    gateway.delete(bucket, "nothing").await.expect("no error");
    gateway.abort(bucket, "nothing", "2~nosuchupload").await.expect("no error");
}

async fn what_is_put_comes_back(gateway: &dyn Gateway, bucket: &str) {
    let new = New {
        content_type: Some("text/x-test".into()),
        headers: headers("1"),
        metadata: vec![("s3cmd-attrs".into(), "md5:0/mode:33188".into())],
        ..New::default()
    };
    let etag = gateway.put(bucket, "key", Bytes::from_static(b"0123456789"), &new).await.expect("put");
    // The MD5 of the ten digits.
    assert_eq!(etag, "781e5e245d69b566979b86e28d23f2c7");
    let head = gateway.head(bucket, "key").await.expect("there");
    assert_eq!((head.size, head.etag.as_str(), head.content_type.as_deref()), (10, etag.as_str(), Some("text/x-test")));
    assert_eq!((&head.metadata, &head.headers), (&new.metadata, &new.headers));
    assert!(head.modified.is_some());
    let (got, body) = gateway.get(bucket, "key", None, None).await.expect("there");
    assert_eq!(got, head);
    assert_eq!(all(body).await, b"0123456789");
    for (range, bytes) in [(0..1, "0"), (3..7, "3456"), (9..10, "9"), (8..99, "89")] {
        let (head, body) = gateway.get(bucket, "key", Some(range), None).await.expect("there");
        assert_eq!((head.size, all(body).await.as_slice()), (10, bytes.as_bytes()));
    }
    let known = |bytes: &[u8]| New { md5: Some(crate::s3::etag::md5(bytes)), ..New::default() };
    gateway.put(bucket, "known", Bytes::from_static(b"abc"), &known(b"abc")).await.expect("put");
    assert!(gateway.put(bucket, "known", Bytes::from_static(b"abd"), &known(b"abc")).await.is_err(), "another MD5");
    assert_eq!(gateway.head(bucket, "known").await.expect("there").etag, "900150983cd24fb0d6963f7d28e17f72");
    gateway.delete(bucket, "known").await.expect("deleted");
    let etag = gateway.put(bucket, "key", Bytes::new(), &New::default()).await.expect("replaced");
    let (head, body) = gateway.get(bucket, "key", None, None).await.expect("there");
    assert_eq!((head.size, head.etag, head.metadata.len()), (0, etag, 0));
    assert!(all(body).await.is_empty());
    gateway.delete(bucket, "key").await.expect("deleted");
    assert_eq!(gateway.head(bucket, "key").await.err().map(|error| error.kind()), Some(Kind::NotFound));
}

async fn keys_are_exact(gateway: &dyn Gateway, bucket: &str) {
    let longest = "k".repeat(1024);
    let mut all_keys: Vec<&str> = KEYS.into_iter().chain([longest.as_str()]).collect();
    for key in &all_keys {
        gateway.put(bucket, key, Bytes::copy_from_slice(key.as_bytes()), &New::default()).await.expect(key);
    }
    all_keys.sort_unstable();
    assert_eq!(keys(gateway, bucket, &Listing::default()).await, all_keys);
    for key in &all_keys {
        let (_, body) = gateway.get(bucket, key, None, None).await.expect(key);
        assert_eq!(all(body).await, key.as_bytes(), "{key:?}");
    }
    let head = gateway.head(bucket, "a/../b").await.expect("as it is");
    assert_eq!(head.size, 6);
    for key in &all_keys {
        gateway.delete(bucket, key).await.expect(key);
    }
    assert!(keys(gateway, bucket, &Listing::default()).await.is_empty());
}

async fn listings(gateway: &dyn Gateway, bucket: &str) {
    // Byte order puts what comes before the slash in between.
    let names = ["a", "a!", "a/1", "a/2/x", "a/2/y", "a0", "b/", "b/1", "ä"];
    for name in names {
        gateway.put(bucket, name, Bytes::from_static(b"."), &New::default()).await.expect(name);
    }
    for most in [None, Some(1), Some(2), Some(9)] {
        let listing = Listing { most, ..Listing::default() };
        assert_eq!(keys(gateway, bucket, &listing).await, names, "{most:?} a page");
    }
    let listing = Listing { prefix: "a/".into(), ..Listing::default() };
    assert_eq!(keys(gateway, bucket, &listing).await, ["a/1", "a/2/x", "a/2/y"]);
    let listing = Listing { after: Some("a/2/x".into()), most: Some(2), ..Listing::default() };
    assert_eq!(keys(gateway, bucket, &listing).await, ["a/2/y", "a0", "b/", "b/1", "ä"]);
    for most in [None, Some(1), Some(3)] {
        let listing = Listing { delimiter: Some("/".into()), most, ..Listing::default() };
        let mut level = keys(gateway, bucket, &listing).await;
        level.sort_unstable();
        assert_eq!(level, ["a", "a!", "a/", "a0", "b/", "ä"], "{most:?} a page");
    }
    let page = gateway.list(bucket, &Listing { prefix: "a0".into(), ..Listing::default() }, None).await.expect("listed");
    let object = page.objects.first().expect("one");
    assert_eq!((object.size, object.etag.as_str()), (1, "5058f1af8388633f609cadb75a75dc9d"));
    assert!(object.modified.is_some() && page.next.is_none());
    for name in names {
        gateway.delete(bucket, name).await.expect(name);
    }
}

async fn conditions(gateway: &dyn Gateway, bucket: &str) {
    let once = New { only_if_absent: true, ..New::default() };
    gateway.put(bucket, "once", Bytes::from_static(b"first"), &once).await.expect("put");
    let again = gateway.put(bucket, "once", Bytes::from_static(b"second"), &once).await;
    assert_eq!(again.err().map(|error| error.kind()), Some(Kind::AlreadyExists));
    let (head, body) = gateway.get(bucket, "once", None, None).await.expect("there");
    assert_eq!(all(body).await, b"first");
    let (_, body) = gateway.get(bucket, "once", None, Some(&head.etag)).await.expect("the same");
    assert_eq!(all(body).await, b"first");
    assert!(gateway.get(bucket, "once", None, Some("0123456789abcdef0123456789abcdef")).await.is_err(), "another ETag");
    gateway.delete(bucket, "once").await.expect("deleted");
}

async fn many_parts(gateway: &dyn Gateway, bucket: &str) {
    let new = New {
        content_type: Some("text/x-parts".into()),
        metadata: vec![("of".into(), "parts".into())],
        headers: headers("2"),
        ..New::default()
    };
    let (first, second) = (Bytes::from(vec![b'x'; 5 << 20]), Bytes::from_static(b"end"));
    let id = gateway.begin(bucket, "big", &new).await.expect("begun");
    let parts = [
        (1, gateway.part(bucket, "big", &id, 1, first.clone()).await.expect("a part")),
        (2, gateway.part(bucket, "big", &id, 2, second.clone()).await.expect("a part")),
    ];
    assert!(keys(gateway, bucket, &Listing::default()).await.is_empty(), "not before it is complete");
    let begun = gateway.uploads(bucket, "bi").await.expect("listed");
    assert!(begun.iter().any(|upload| upload.key == "big" && upload.id == id), "{begun:?}");
    assert!(gateway.uploads(bucket, "other").await.expect("listed").is_empty());
    let etag = gateway.complete(bucket, "big", &id, &parts).await.expect("complete");
    assert!(etag.ends_with("-2"), "{etag}");
    let (head, body) = gateway.get(bucket, "big", None, None).await.expect("there");
    assert_eq!((head.size, head.etag, head.metadata), (first.len() as u64 + 3, etag, new.metadata.clone()));
    assert_eq!((head.headers, head.content_type), (new.headers, new.content_type));
    assert!(all(body).await == [first, second.clone()].concat(), "not what was sent");

    let id = gateway.begin(bucket, "given up", &New::default()).await.expect("begun");
    gateway.part(bucket, "given up", &id, 1, second).await.expect("a part");
    gateway.abort(bucket, "given up", &id).await.expect("given up");
    gateway.abort(bucket, "given up", &id).await.expect("no error");
    assert!(gateway.uploads(bucket, "").await.expect("listed").is_empty());
    gateway.delete(bucket, "big").await.expect("deleted");
}

async fn copies(gateway: &dyn Gateway, bucket: &str) {
    let metadata = |value: &str| New {
        content_type: Some(format!("text/x-{value}")),
        metadata: vec![("name".into(), value.into())],
        headers: headers(value),
        ..New::default()
    };
    let from = "from here +%2F?ä";
    gateway.put(bucket, from, Bytes::from_static(b"bytes"), &metadata("old")).await.expect("put");
    gateway.copy((bucket, from), (bucket, "same"), None).await.expect("copied");
    gateway.copy((bucket, from), (bucket, "other"), Some(&metadata("new"))).await.expect("copied");
    for (key, value) in [("same", "old"), ("other", "new")] {
        let (head, body) = gateway.get(bucket, key, None, None).await.expect("there");
        assert_eq!((all(body).await.as_slice(), head.metadata), (b"bytes".as_slice(), metadata(value).metadata), "{key}");
        assert_eq!((head.headers, head.content_type), (headers(value), metadata(value).content_type), "{key}");
    }
    for key in [from, "same", "other"] {
        gateway.delete(bucket, key).await.expect(key);
    }
}

/// All of them, and others for each text.
fn headers(text: &str) -> Headers {
    Headers {
        cache_control: Some(format!("max-age={}", text.len())),
        content_disposition: Some(format!("attachment; filename=\"{text}\"")),
        content_encoding: Some("gzip".to_owned()),
        content_language: Some(format!("de-{text}")),
        expires: Some(format!("Wed, 21 Oct 2015 07:28:0{} GMT", text.len())),
    }
}

/// All keys and prefixes of a listing, each page's objects before its prefixes.
async fn keys(gateway: &dyn Gateway, bucket: &str, listing: &Listing) -> Vec<String> {
    let (mut found, mut next) = (Vec::new(), None);
    loop {
        let page = gateway.list(bucket, listing, next.as_deref()).await.expect("listed");
        if let Some(most) = listing.most {
            assert!(page.objects.len() + page.prefixes.len() <= most as usize, "more than {most} a page");
        }
        found.extend(page.objects.into_iter().map(|object| object.key));
        found.extend(page.prefixes);
        next = page.next;
        if next.is_none() {
            return found;
        }
    }
}

async fn all(mut body: Body) -> Vec<u8> {
    let mut bytes = Vec::new();
    body.read_to_end(&mut bytes).await.expect("read");
    bytes
}
