//! Servers that answer as Ceph does not: each answer is written by hand.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use backup_ceph::{Access, Credentials, SharedGateway, connect};
use backup_core::Kind;
use tokio::io::AsyncReadExt;

/// A server that gives these answers, one a connection, and the first lines of what it was asked.
fn server(answers: &[(&str, &str)]) -> (SharedGateway, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address");
    let mut access = Access::new(format!("http://{address}"), Some(Credentials::new("access", "secret")));
    (access.attempts, access.timeout) = (1, Duration::from_secs(20));
    let whole = |(head, body): &(&str, &str)| format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n{body}");
    let answers: Vec<String> = answers.iter().map(whole).collect();
    let serve = move |answer: String| {
        let (mut client, _) = listener.accept().expect("a client");
        let asked = asked(&client);
        client.write_all(answer.as_bytes()).expect("written");
        asked
    };
    (connect(&access).expect("an address"), std::thread::spawn(move || answers.into_iter().map(serve).collect()))
}

/// The first line of a request, which is read to its end.
fn asked(client: &TcpStream) -> String {
    let mut reader = BufReader::new(client);
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first).expect("a request");
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a header");
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().expect("a number");
        }
        if line == "\r\n" {
            reader.read_exact(&mut vec![0; length]).expect("a body");
            return first;
        }
    }
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
