//! The largest documents, the deepest, and the longest and strangest names.

use backup_tests::Mongod;
use bson::{Bson, Document, RawDocumentBuf, doc};

use crate::files::{concat, counted, plain, sum};
use crate::{deployment, files, snapshot};

/// The largest document that a server stores, in bytes.
const LARGEST: usize = 16 << 20;

/// A document of just that size.
fn largest(id: i32) -> Document {
    let of = |text: usize| doc! { "_id": id, "text": "x".repeat(text) };
    let around = RawDocumentBuf::try_from(&of(0)).expect("BSON").as_bytes().len();
    of(LARGEST - around)
}

/// Documents and arrays in each other.
fn nested(levels: usize) -> Bson {
    (0..levels).fold(Bson::Int32(1), |inner, level| match level % 3 {
        0 => Bson::Array(vec![inner]),
        _ => Bson::Document(doc! { "a": inner }),
    })
}

#[tokio::test]
async fn documents_of_16_mib_and_a_hundred_levels_are_what_a_cursor_returns() {
    let Some(server) = Mongod::start().await else { return };
    let database = server.client().database("app");
    for id in 0..4 {
        database.collection::<Document>("largest").insert_one(largest(id)).await.expect("stored");
    }
    let deep: Vec<Document> =
        (90..=100).map(|levels| doc! { "_id": levels, "at": nested(100), "also": nested(levels as usize) }).collect();
    database.collection::<Document>("deep").insert_many(deep).await.expect("stored");
    // A validator is in the metadata, as deep as a server takes one.
    let validator = (0..40).fold(doc! { "a": 1 }, |inner, _| doc! { "$and": [inner] });
    database.create_collection("validated").validator(validator.clone()).await.expect("made");
    let mut deployment = deployment(&server, Some("app"));
    for range in [1 << 30, 16 << 20] {
        deployment.options.range = range;
        let files = files(&*snapshot(&deployment).await.expect("a snapshot")).await.expect("all is read");
        for name in ["largest", "deep"] {
            let expected = plain(&database, name).await;
            let file = &files[&format!("app/{name}.bson")];
            assert_eq!(sum(file), counted(&expected), "{name}");
            assert_eq!(file.bytes.len(), concat(&expected).len(), "{name}");
        }
        assert_eq!(files["app/largest.bson"].bytes.len(), 4 * LARGEST);
        let metadata: serde_json::Value = serde_json::from_slice(&files["app/validated.metadata.json"].bytes).expect("JSON");
        let mut inner = &metadata["options"]["validator"];
        for _ in 0..40 {
            inner = &inner["$and"][0];
        }
        assert_eq!(inner["a"]["$numberInt"], "1");
    }
}

#[tokio::test]
async fn names_of_any_kind_are_files_of_their_own() {
    let Some(server) = Mongod::start().await else { return };
    let database = server.client().database("app");
    // With the database's name and the dot between, 255 bytes are the most that a server takes.
    let longest = "l".repeat(251);
    let almost = format!("{}m", "l".repeat(250));
    let names = [
        "a.b..c",
        "a..",
        "-",
        "--x",
        "~",
        "a/b",
        "a/../../../etc/passwd",
        "a\\b",
        "a%2Fb",
        "a+b",
        "a b",
        "a\u{7f}b",
        "CON",
        "Größe",
        "GRÖSSE",
        "größe",
        "日本語",
        "👩\u{200d}👩",
        "e\u{301}",
        "é",
        "\u{feff}",
        "a\nb",
        "'\"`",
        "*?",
        "#0001",
        "a.bson",
        "a.metadata.json",
        "a",
        "A",
        "prelude",
        "oplog",
        longest.as_str(),
        almost.as_str(),
    ];
    for name in names {
        database.collection::<Document>(name).insert_one(doc! { "_id": name }).await.expect(name);
    }
    let files = files(&*snapshot(&deployment(&server, Some("app"))).await.expect("a snapshot")).await.expect("all is read");
    assert_eq!(files.len(), 1 + 2 * names.len(), "each has two of its own: {:?}", files.keys());
    for name in &names {
        let theirs = |end: &str| {
            let of = |file: &&String| file.ends_with(end) && files[*file].facts[0].collection.as_deref() == Some(name);
            let found: Vec<&String> = files.keys().filter(of).collect();
            assert_eq!(found.len(), 1, "{name:?} {found:?}");
            found[0]
        };
        for end in [".bson", ".metadata.json"] {
            let file = theirs(end);
            let name = file.strip_prefix("app/").expect("in its folder");
            assert!(
                name.len() <= 255 && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/' && byte != b'\\'),
                "{file}"
            );
        }
        assert_eq!(files[theirs(".bson")].bytes, concat(&plain(&database, name).await), "{name:?}");
    }
}
