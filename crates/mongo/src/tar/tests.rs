//! Tars as GNU tar and Python write them, cut, flipped and made up.

use backup_core::{Kind, body};
use proptest::prelude::*;

use super::*;

/// A record with its sum.
fn record(name: &str, kind: u8, size: &str) -> Vec<u8> {
    let mut record = [0; RECORD];
    record[..name.len()].copy_from_slice(name.as_bytes());
    record[124..124 + size.len()].copy_from_slice(size.as_bytes());
    record[156] = kind;
    record[257..263].copy_from_slice(b"ustar\0");
    sum(&mut record);
    record.to_vec()
}

fn sum(record: &mut [u8]) {
    record[148..156].fill(b' ');
    let sum: u32 = record.iter().map(|byte| u32::from(*byte)).sum();
    record[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

fn member(name: &str, kind: u8, bytes: &[u8]) -> Vec<u8> {
    let mut all = record(name, kind, &format!("{:o}", bytes.len()));
    all.extend(bytes);
    all.resize(all.len().next_multiple_of(RECORD), 0);
    all
}

fn whole(members: &[Vec<u8>]) -> Vec<u8> {
    [members.concat(), vec![0; 2 * RECORD]].concat()
}

async fn read(bytes: Vec<u8>) -> Result<Vec<(String, Vec<u8>)>> {
    let mut tar = Tar::new(body::from_bytes(bytes));
    let mut all = Vec::new();
    while let Some(member) = tar.next().await? {
        let mut bytes = Vec::new();
        tar.copy(&mut bytes).await?;
        all.push((member.path, bytes));
    }
    Ok(all)
}

fn some() -> (Vec<u8>, Vec<(String, Vec<u8>)>) {
    let long = "x".repeat(150);
    let pax = format!("{} path={long}\n", 150 + 10);
    let bytes = whole(&[
        member("dump/", b'5', b""),
        member("dump/shop/users.bson", b'0', &[7; 600]),
        member("dump/link", b'2', b""),
        member("././@LongLink", b'L', format!("{long}\0").as_bytes()),
        member("short", b'0', b"one"),
        member("pax", b'x', pax.as_bytes()),
        member("short", b'0', b"two"),
        member("old", 0, b""),
    ]);
    let members = [("dump/shop/users.bson", vec![7; 600]), (&long, b"one".into()), (&long, b"two".into()), ("old", Vec::new())];
    (bytes, members.map(|(path, bytes)| (path.to_owned(), bytes)).into())
}

#[tokio::test]
async fn members_of_every_form() {
    let (bytes, members) = some();
    assert_eq!(read(bytes.clone()).await.expect("whole"), members);
    // Passed over, they are the same.
    let mut tar = Tar::new(body::from_bytes(bytes));
    for (path, bytes) in members {
        let member = tar.next().await.expect("whole").expect("a member");
        assert_eq!((member.path, member.size), (path, bytes.len() as u64));
    }
    assert_eq!(tar.next().await.expect("whole"), None);
}

#[tokio::test]
async fn cut_at_any_byte_it_is_damaged() {
    let (bytes, _) = some();
    for cut in 0..bytes.len() - RECORD {
        let error = read(bytes[..cut].to_vec()).await.expect_err("cut");
        assert_eq!(error.kind(), Kind::Damaged, "cut at {cut}");
    }
}

#[tokio::test]
async fn what_is_hostile_is_damage_or_a_name() {
    let mut huge = record("huge", b'0', "");
    huge[124..136].fill(0xff);
    sum(&mut huge);
    for (members, why) in [
        (whole(&[huge]), "no header"),
        (whole(&[record("large", b'0', "77777777777")]), "breaks off within a member"),
        (whole(&[record("name", b'L', "1000000")]), "a name is longer"),
        (whole(&[member("x", b'x', b"99 path=a\n")]), "a pax record is none"),
        (whole(&[member("x", b'x', b"5 a=\nx")]), "a pax record is none"),
        (whole(&[member("x", b'x', b"26 size=18446744073709551615\n")]), "a pax record is none"),
        (whole(&[member("x", b'x', b"29 size=18446744073709551615\n"), member("y", b'0', b"")]), "larger than can be"),
        (whole(&[member("x", b'S', b"")]), "sparse"),
        (whole(&[member("x", b'Z', b"")]), "a kind that is not known"),
        (vec![b'x'; 4096], "no header"),
    ] {
        let error = read(members).await.expect_err(why);
        assert!(error.chain().contains(why), "{why}: {}", error.chain());
    }
    // Nothing is made of it here: whoever asks for a member asks by its name.
    let up = whole(&[member("../../etc/passwd", b'0', b"x")]);
    assert_eq!(read(up).await.expect("a tar"), [("../../etc/passwd".to_owned(), b"x".to_vec())]);
}

proptest! {
    #[test]
    fn a_flipped_byte_never_panics(at in 0_usize..9000, by in 1_u8..) {
        let (mut bytes, _) = some();
        let at = at % bytes.len();
        bytes[at] ^= by;
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let _ = runtime.block_on(read(bytes));
    }
}
