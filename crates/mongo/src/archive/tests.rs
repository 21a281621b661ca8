//! Archives as mongodump interleaves them, cut, flipped and made up.

use backup_core::{Kind, body};
use bson::{Document, doc};
use proptest::prelude::*;

use super::*;
use crate::documents::Documents;

/// What was in an archive: collection, its documents.
type Contents = Vec<(String, Vec<Vec<u8>>)>;

async fn read(bytes: &[u8]) -> Result<Contents> {
    let mut archive = Archive::open(body::from_bytes(bytes.to_vec())).await?;
    let mut contents: Contents =
        archive.collections().iter().map(|archived| (archived.collection.clone(), Vec::new())).collect();
    let mut buffer = Vec::new();
    while let Some(piece) = archive.next(&mut buffer).await? {
        let Piece::Document(number) = piece else { continue };
        while contents.len() < archive.collections().len() {
            contents.push((archive.collections()[contents.len()].collection.clone(), Vec::new()));
        }
        contents[number].1.push(buffer.clone());
    }
    Ok(contents)
}

fn bytes(document: &Document) -> Vec<u8> {
    document.to_vec().expect("bytes")
}

/// The prelude of an archive with `collections` of the database `shop`.
fn prelude(collections: &[&str]) -> Vec<u8> {
    let mut all = MAGIC.to_vec();
    all.extend(bytes(
        &doc! { "concurrent_collections": 4, "version": "0.1", "server_version": "6.0.5", "tool_version": "100.18.0" },
    ));
    for collection in collections {
        all.extend(bytes(&doc! { "db": "shop", "collection": *collection, "metadata": "{}", "size": 0, "type": "collection" }));
    }
    all.extend(TERMINATOR);
    all
}

fn block(collection: &str, documents: &[Document]) -> Vec<u8> {
    let mut all = bytes(&doc! { "db": "shop", "collection": collection, "EOF": false, "CRC": 0_i64 });
    all.extend(documents.iter().flat_map(bytes));
    all.extend(TERMINATOR);
    all
}

fn end(collection: &str, documents: &[Document]) -> Vec<u8> {
    let all: Vec<u8> = documents.iter().flat_map(bytes).collect();
    let crc = crc_fast::checksum(CrcAlgorithm::Crc64Xz, &all).cast_signed();
    let mut all = bytes(&doc! { "db": "shop", "collection": collection, "EOF": true, "CRC": crc });
    all.extend(TERMINATOR);
    all
}

/// Two collections of which one is interrupted by the other.
fn interleaved() -> (Vec<u8>, Contents) {
    let users = [doc! { "_id": 1 }, doc! { "_id": 2, "name": "grün" }, doc! { "_id": 3 }];
    let orders = [doc! { "_id": 1, "of": [1, 2] }];
    let mut all = prelude(&["users", "orders", "empty"]);
    all.extend(block("users", &users[..2]));
    all.extend(block("orders", &orders));
    all.extend(block("users", &users[2..]));
    all.extend(end("empty", &[]));
    all.extend(end("users", &users));
    all.extend(end("orders", &orders));
    let raw = |documents: &[Document]| documents.iter().map(bytes).collect();
    (all, vec![("users".into(), raw(&users)), ("orders".into(), raw(&orders)), ("empty".into(), Vec::new())])
}

#[tokio::test]
async fn interleaved_collections_come_apart() {
    let (bytes, contents) = interleaved();
    assert_eq!(read(&bytes).await.expect("whole"), contents);
    // As Go's crc64 has it: a check value of the catalogue of CRCs.
    assert_eq!(crc_fast::checksum(CrcAlgorithm::Crc64Xz, b"123456789"), 0x995d_c9bb_df19_39fa);
}

#[tokio::test]
async fn cut_at_any_byte_it_is_damaged() {
    let (bytes, _) = interleaved();
    for cut in 0..bytes.len() {
        let error = read(&bytes[..cut]).await.expect_err("cut");
        assert_eq!(error.kind(), Kind::Damaged, "cut at {cut}: {error:?}");
    }
}

#[tokio::test]
async fn what_is_written_is_read() {
    let (_, contents) = interleaved();
    let header = ArchiveHeader { concurrent_collections: 1, server_version: "6.0.5".into(), tool_version: "ours".into() };
    let archived = |name: &str| Archived {
        database: "shop".into(),
        collection: name.into(),
        metadata: "{}".into(),
        form: "collection".into(),
    };
    let collections: Vec<Archived> = contents.iter().map(|(name, _)| archived(name)).collect();
    let mut writer = ArchiveWriter::begin(Vec::new(), &header, &collections).await.expect("begun");
    for (name, documents) in &contents {
        let all = documents.concat();
        let written = writer.collection("shop", name, &mut Documents::new(body::from_bytes(all), "test")).await;
        assert_eq!(written.expect("written"), documents.len() as u64);
    }
    let all = writer.finish().await.expect("finished");
    let archive = Archive::open(body::from_bytes(all.clone())).await.expect("an archive");
    assert_eq!((archive.header(), archive.collections()), (&header, &*collections));
    assert_eq!(read(&all).await.expect("whole"), contents);
}

#[tokio::test]
async fn what_contradicts_itself_is_damaged() {
    let one = [doc! { "_id": 1 }];
    let with = |blocks: &[Vec<u8>]| [prelude(&["users"]), blocks.concat()].concat();
    let twice = prelude(&["users", "users"]);
    let mut later = prelude(&[]);
    let at = later.windows(3).position(|window| window == b"0.1").expect("a version");
    later[at + 2] = b'2';
    for (bytes, why) in [
        (with(&[block("users", &one), end("users", &[])]), "another digest"),
        (with(&[block("users", &one), end("users", &one), block("users", &one)]), "goes on behind its end"),
        (with(&[block("users", &one)]), "it ends before"),
        (with(&[]), "it ends before"),
        (with(&[block("users", &one), end("users", &one), block("others", &one)]), "it ends before"),
        (with(&[TERMINATOR.to_vec()]), "a block has no header"),
        (with(&[bytes(&doc! { "db": "shop" })]), "header of a block"),
        (
            with(&[bytes(&doc! { "db": "shop", "collection": "users", "EOF": true, "CRC": 0_i64 }), bytes(&one[0])]),
            "behind the end",
        ),
        (twice, "is there twice"),
        (later, "0.1 is known"),
        (b"PK\x03\x04".to_vec(), "none of mongodump's"),
    ] {
        let error = read(&bytes).await.expect_err(why);
        assert!(error.chain().contains(why), "{why}: {}", error.chain());
    }
}

#[tokio::test]
async fn views_have_no_documents_and_time_series_have_them_elsewhere() {
    let mut all = MAGIC.to_vec();
    all.extend(bytes(&doc! { "concurrent_collections": 4, "version": "0.1", "server_version": "6.0.5", "tool_version": "x" }));
    all.extend(bytes(&doc! { "db": "shop", "collection": "v", "metadata": "{}", "size": 0, "type": "view" }));
    all.extend(bytes(&doc! { "db": "shop", "collection": "t", "metadata": "{}", "size": 0, "type": "timeseries" }));
    all.extend(TERMINATOR);
    all.extend(block("system.buckets.t", &[doc! { "_id": 1 }]));
    all.extend(end("system.buckets.t", &[doc! { "_id": 1 }]));
    let contents = read(&all).await.expect("whole");
    assert_eq!(contents[2], ("system.buckets.t".to_owned(), vec![bytes(&doc! { "_id": 1 })]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_flipped_byte_never_passes_for_other_documents(at in 0_usize..4000, by in 1_u8..) {
        let (mut bytes, contents) = interleaved();
        let at = at % bytes.len();
        bytes[at] ^= by;
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        if let Ok(found) = runtime.block_on(read(&bytes)) {
            // Only what is in the prelude beside the names has no digest.
            prop_assert_eq!(found, contents);
        }
    }
}
