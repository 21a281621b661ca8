//! What the files hold is what a plain cursor returns.

use std::collections::BTreeSet;

use backup_mongo::{CollectionType, Content, Counted, layout};
use backup_tests::{Mongod, mongo_corpus};
use bson::{Bson, Document, RawDocumentBuf, doc};
use futures_util::TryStreamExt;
use mongodb::Database;
use mongodb::options::Hint;

use crate::{File, deployment, files, snapshot};

/// The documents of a collection, each by itself, as they lie.
pub(crate) async fn plain(database: &Database, name: &str) -> Vec<RawDocumentBuf> {
    let cursor = database.collection::<RawDocumentBuf>(name).find(doc! {}).hint(Hint::Keys(doc! { "$natural": 1 })).await;
    cursor.expect("a cursor").try_collect().await.expect("documents")
}

pub(crate) fn counted(documents: &[RawDocumentBuf]) -> Counted {
    let mut counted = Counted::default();
    documents.iter().for_each(|document| counted.add(document.as_bytes()));
    counted
}

pub(crate) fn concat(documents: &[RawDocumentBuf]) -> Vec<u8> {
    documents.iter().flat_map(|document| document.as_bytes()).copied().collect()
}

/// The sum over the parts of a file.
pub(crate) fn sum(file: &File) -> Counted {
    let mut sum = Counted::default();
    file.facts.iter().for_each(|facts| sum += facts.documents.expect("documents are counted"));
    sum
}

#[tokio::test]
async fn every_file_is_there_under_its_name_and_holds_what_a_cursor_returns() {
    let Some(server) = Mongod::start().await else { return };
    let client = server.client();
    mongo_corpus::load(&client).await;
    let taken = snapshot(&deployment(&server, None)).await.expect("a snapshot");
    assert_eq!(taken.origin().facts["instant"], "none", "a standalone server has no oplog");
    // Users and roles come when what they are for is there, a view when there is what it shows.
    let parts: Vec<&str> = taken.parts().iter().map(|part| part.name.as_str()).collect();
    assert!(parts.iter().map(|name| name.starts_with("admin/")).is_sorted(), "{parts:?}");
    let last = parts.iter().rfind(|name| name.starts_with("corpus/"));
    assert_eq!(last, Some(&"corpus/view.metadata.json"), "{parts:?}");
    let files = files(&*taken).await.expect("all is read");

    let mut names: BTreeSet<String> =
        ["prelude.json", "admin/system.version.bson", "admin/system.version.metadata.json"].map(str::to_owned).into();
    let long = format!("{}%24", "%C3%B6".repeat(100).split_at(208).0);
    let stems = [
        "empty",
        "types",
        "big",
        "large",
        "dots.in.name",
        "with+blank",
        "a%2Fb%5Cc",
        "gr%C3%B6%C3%9Fe%2520",
        "a%22b%27c",
        "new%0Aline",
        "capped",
        "clustered",
        "validated",
        "indexed",
    ];
    for stem in stems {
        names.extend(["bson", "metadata.json"].map(|end| format!("corpus/{stem}.{end}")));
    }
    for file in ["corpus/view.metadata.json", "corpus/weather.metadata.json", "corpus/system.buckets.weather.bson"] {
        names.insert(file.to_owned());
    }
    names.extend(["bson", "metadata.json"].map(|end| format!("corpus-other/types.{end}")));
    let (long, found): (Vec<&String>, Vec<&String>) = files.keys().partition(|name| name.contains(&long));
    assert_eq!(found.into_iter().cloned().collect::<BTreeSet<_>>(), names);
    assert_eq!(long.len(), 2, "{long:?}");

    let database = client.database(mongo_corpus::DATABASE);
    let mut compared = 0;
    for (name, file) in &files {
        let facts = &file.facts[0];
        if facts.content != Content::Documents {
            continue;
        }
        let source = match (facts.kind, facts.collection.as_deref()) {
            (Some(CollectionType::TimeSeries), Some(of)) => format!("{}{of}", layout::BUCKETS),
            (_, Some(of)) => of.to_owned(),
            _ => panic!("{name} is of no collection"),
        };
        let database = client.database(facts.database.as_deref().expect("a database"));
        let expected = plain(&database, &source).await;
        assert!(file.bytes == concat(&expected), "{name} differs");
        assert_eq!(sum(file), counted(&expected), "{name}");
        compared += expected.len();
    }
    assert!(compared > 5000, "{compared}");
    assert_eq!(plain(&database, "capped").await.first().expect("the oldest").get_i32("_id").ok(), Some(49), "as it was filled");
    let prelude: serde_json::Value = serde_json::from_slice(&files["prelude.json"].bytes).expect("JSON");
    assert_eq!(prelude["ServerVersion"], taken.origin().version.as_str());
}

/// What the server says of a collection, as a document of the same form as the file.
async fn said(database: &Database, name: &str) -> Document {
    let listed = database.run_command(doc! { "listCollections": 1, "filter": { "name": name } }).await.expect("listed");
    let listed = listed.get_document("cursor").and_then(|cursor| cursor.get_array("firstBatch")).expect("a batch").clone();
    let listed = listed.first().and_then(Bson::as_document).expect("one").clone();
    let mut said = Document::new();
    let options = listed.get_document("options").expect("options");
    if !options.is_empty() {
        said.insert("options", options.clone());
    }
    let mut indexes = Vec::new();
    if listed.get_str("type").is_ok_and(|kind| kind != "view") {
        let list = database.run_command(doc! { "listIndexes": name }).await.expect("listed");
        indexes = list.get_document("cursor").and_then(|cursor| cursor.get_array("firstBatch")).expect("a batch").clone();
    }
    said.insert("indexes", indexes);
    if let Ok(Bson::Binary(uuid)) = listed.get_document("info").map(|info| info.get("uuid").cloned().unwrap_or(Bson::Null)) {
        said.insert("uuid", uuid.bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    }
    said.insert("collectionName", name);
    said.insert("type", listed.get_str("type").expect("a type"));
    said
}

/// Canonical extended JSON, as far as metadata has types; a map of JSON does not keep the order of fields.
fn canonical(value: &Bson) -> serde_json::Value {
    use serde_json::json;
    match value {
        Bson::Document(document) => document.iter().map(|(key, value)| (key.clone(), canonical(value))).collect(),
        Bson::Array(values) => values.iter().map(canonical).collect(),
        Bson::Int32(number) => json!({ "$numberInt": number.to_string() }),
        Bson::Int64(number) => json!({ "$numberLong": number.to_string() }),
        Bson::Double(1e6) => json!({ "$numberDouble": "1E+06" }),
        Bson::Double(number) => json!({ "$numberDouble": format!("{number:?}") }),
        Bson::String(text) => json!(text),
        Bson::Boolean(value) => json!(value),
        other => json!(format!("metadata has {other:?}")),
    }
}

#[tokio::test]
async fn metadata_says_what_the_server_says_in_canonical_extended_json() {
    let Some(server) = Mongod::start().await else { return };
    let client = server.client();
    mongo_corpus::load(&client).await;
    let taken = snapshot(&deployment(&server, Some(mongo_corpus::DATABASE))).await.expect("a snapshot");
    let files = files(&*taken).await.expect("all is read");
    let database = client.database(mongo_corpus::DATABASE);
    let mut compared = 0;
    for (name, file) in files.iter().filter(|(_, file)| file.facts[0].content == Content::Metadata) {
        let of = file.facts[0].collection.clone().expect("a collection");
        let said = said(&database, &of).await;
        let written: serde_json::Value = serde_json::from_slice(&file.bytes).expect("JSON");
        assert_eq!(written, canonical(&Bson::Document(said)), "{name}");
        // The order: each key of an index where the server has it.
        let text = std::str::from_utf8(&file.bytes).expect("text");
        let keys = ["\"indexes\":", "\"collectionName\":", "\"type\":"].map(|key| text.find(key).expect("a key"));
        assert!(keys.is_sorted(), "{text}");
        compared += 1;
    }
    assert_eq!(compared, 17);
    let indexed = String::from_utf8(files["corpus/indexed.metadata.json"].bytes.clone()).expect("text");
    let compound = r#"{"v":{"$numberInt":"2"},"key":{"a":{"$numberInt":"1"},"b":{"$numberInt":"-1"}},"name":"compound"}"#;
    assert!(indexed.contains(compound) && indexed.contains(r#""max":{"$numberDouble":"1E+06"}"#), "{indexed}");
    let view = String::from_utf8(files["corpus/view.metadata.json"].bytes.clone()).expect("text");
    let pipeline = r#"{"options":{"viewOn":"big","pipeline":[{"$match":{"n":{"$gt":{"$numberInt":"10"}}}},{"$project":{"text":{"$numberInt":"0"}}}]},"indexes":[],"collectionName":"view","type":"view"}"#;
    assert_eq!(view, pipeline);
    assert!(files.contains_key("corpus/prelude.json") && !files.contains_key("prelude.json"));
}

#[tokio::test]
async fn ranges_of_a_collection_are_all_of_it_whatever_types_its_ids_have() {
    let Some(server) = Mongod::start().await else { return };
    let client = server.client();
    mongo_corpus::load(&client).await;
    let mut deployment = deployment(&server, Some(mongo_corpus::DATABASE));
    deployment.options.range = 50_000;
    let taken = snapshot(&deployment).await.expect("a snapshot");
    let files = files(&*taken).await.expect("all is read");
    let big = &files["corpus/big.bson"];
    assert!(big.facts.len() > 5, "{} ranges", big.facts.len());
    assert_eq!(
        big.facts.iter().map(|facts| facts.range).collect::<Vec<_>>(),
        (0..).map(Some).take(big.facts.len()).collect::<Vec<_>>()
    );
    let expected = plain(&client.database(mongo_corpus::DATABASE), "big").await;
    assert_eq!((sum(big), big.bytes.len()), (counted(&expected), concat(&expected).len()));
    assert_eq!(sum(big).documents, u64::try_from(mongo_corpus::BIG).expect("a number"));
    // Of a few bytes each: what is read as it lies has none whatever they are.
    deployment.options.range = 20;
    let taken = snapshot(&deployment).await.expect("a snapshot");
    let ranged = |file: &str| {
        taken.parts().iter().filter(|part| part.name.as_str().starts_with(&format!("corpus/{file}.bson#"))).count()
    };
    assert!(ranged("types") > 1 && ranged("big") > 100, "{} {}", ranged("types"), ranged("big"));
    assert_eq!(["capped", "clustered", "system.buckets.weather"].map(ranged), [0; 3]);
}
