//! Everything that MongoDB can hold, in two databases, to be taken and brought back.

use mongodb::bson::oid::ObjectId;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Bson, DateTime, Document, JavaScriptCodeWithScope, Regex, Timestamp, bson, doc};
use mongodb::{Client, Database};

/// The database with everything.
pub const DATABASE: &str = "corpus";

/// Another one with collections of the same names.
pub const OTHER: &str = "corpus-other";

/// How many documents the big collection has.
pub const BIG: i32 = 5000;

/// A name that fills what a server allows, and is too long for a file when it is encoded.
pub fn long_name() -> String {
    "ö".repeat(100)
}

/// Fills both databases.
///
/// # Panics
/// When the server refuses something.
pub async fn load(client: &Client) {
    let database = client.database(DATABASE);
    run(&database, doc! { "create": "empty" }).await;
    insert(&database, "types", types()).await;
    let big = (0..BIG).map(|n| doc! { "_id": id(n), "n": n, "text": "x".repeat(usize::try_from(n % 200).unwrap_or(0)) });
    insert(&database, "big", big.collect()).await;
    insert(&database, "large", vec![doc! { "_id": 1, "bytes": "x".repeat(3 << 20) }, doc! { "_id": 2 }]).await;
    for name in ["dots.in.name", "with blank", "a/b\\c", "größe%20", "a\"b'c", "new\nline", &long_name()] {
        insert(&database, name, vec![doc! { "_id": name }]).await;
    }
    kinds(&database).await;
    indexes(&database).await;
    insert(&client.database(OTHER), "types", vec![doc! { "_id": "of another database" }]).await;
}

/// Values of `_id` of many types: an index has them side by side.
fn id(n: i32) -> Bson {
    match n % 5 {
        0 => Bson::Int32(n),
        1 => Bson::String(format!("{n:05}")),
        2 => bson!({ "n": n }),
        3 => Bson::DateTime(DateTime::from_millis(i64::from(n))),
        _ => Bson::Double(f64::from(n) + 0.5),
    }
}

/// A document for each type, some for the ends of what it can be.
fn types() -> Vec<Document> {
    let binary = |subtype, bytes: &[u8]| Bson::Binary(Binary { subtype, bytes: bytes.to_vec() });
    let regex = Regex { pattern: "^a/b\"".try_into().expect("text"), options: "im".try_into().expect("text") };
    let values = [
        Bson::Double(-0.0),
        Bson::Double(f64::NAN),
        Bson::Double(f64::INFINITY),
        Bson::Double(1e300),
        Bson::String("text with \0 and \u{10ffff} and \"".to_owned()),
        Bson::String(String::new()),
        bson!({ "": {}, "a.b": { "$c": [] } }),
        bson!([[[]], [1, [2]], {}]),
        binary(BinarySubtype::Generic, &[0, 1, 255]),
        binary(BinarySubtype::Uuid, &[7; 16]),
        binary(BinarySubtype::Md5, &[9; 16]),
        binary(BinarySubtype::UserDefined(0x80), b""),
        Bson::Undefined,
        Bson::ObjectId(ObjectId::from_bytes([0xab; 12])),
        Bson::Boolean(true),
        Bson::DateTime(DateTime::from_millis(-1)),
        Bson::DateTime(DateTime::MAX),
        Bson::Null,
        Bson::RegularExpression(regex),
        Bson::JavaScriptCode("function() { return 1 }".to_owned()),
        Bson::JavaScriptCodeWithScope(JavaScriptCodeWithScope { code: "f(x)".to_owned(), scope: doc! { "x": 1 } }),
        Bson::Symbol("symbol".to_owned()),
        Bson::Int32(i32::MIN),
        Bson::Int64(i64::MIN),
        Bson::Timestamp(Timestamp { time: 1, increment: u32::MAX }),
        Bson::Decimal128("-1234567890.123456789E-100".parse().expect("a number")),
        Bson::MinKey,
        Bson::MaxKey,
    ];
    let mut documents: Vec<Document> =
        (0..).zip(values).map(|(n, value): (i32, Bson)| doc! { "_id": n, "value": value }).collect();
    for id in [Bson::MinKey, Bson::MaxKey, Bson::Null, bson!({ "b": 1, "a": 2 })] {
        documents.push(doc! { "_id": id });
    }
    documents
}

/// Collections that are no plain ones.
async fn kinds(database: &Database) {
    run(database, doc! { "create": "capped", "capped": true, "size": 1 << 20, "max": 50 }).await;
    insert(database, "capped", (0..80).rev().map(|n| doc! { "_id": n }).collect()).await;
    run(database, doc! { "create": "clustered", "clusteredIndex": { "key": { "_id": 1 }, "unique": true, "name": "by id" } })
        .await;
    insert(database, "clustered", (0..20).map(|n| doc! { "_id": n }).collect()).await;
    let pipeline = bson!([{ "$match": { "n": { "$gt": 10 } } }, { "$project": { "text": 0 } }]);
    run(database, doc! { "create": "view", "viewOn": "big", "pipeline": pipeline }).await;
    let series = doc! { "timeField": "at", "metaField": "station", "granularity": "minutes" };
    run(database, doc! { "create": "weather", "timeseries": series, "expireAfterSeconds": 1_000_000_000_i64 }).await;
    let measured = (0..200_i32).map(|n| {
        let at = DateTime::from_millis(1_700_000_000_000 + i64::from(n) * 60_000);
        doc! { "at": at, "station": n % 3, "celsius": f64::from(n) / 7.0 }
    });
    insert(database, "weather", measured.collect()).await;
    let schema = doc! { "bsonType": "object", "required": ["name"], "properties": { "name": { "bsonType": "string" } } };
    let collation = doc! { "locale": "de", "strength": 2 };
    let validated = doc! {
        "create": "validated", "validator": { "$jsonSchema": schema }, "validationLevel": "moderate", "validationAction": "error",
        "collation": collation,
    };
    run(database, validated).await;
    insert(database, "validated", vec![doc! { "_id": "a", "name": "Ä" }]).await;
}

/// Indexes of every kind.
async fn indexes(database: &Database) {
    insert(
        database,
        "indexed",
        vec![doc! { "_id": 1, "a": [1, 2], "at": DateTime::MAX, "place": [1.0, 2.0], "text": "words" }],
    )
    .await;
    let all = bson!([
        { "key": { "a": 1, "b": -1 }, "name": "compound" },
        { "key": { "b": 1.0 }, "name": "a number of another type", "unique": true, "sparse": true },
        { "key": { "c": 1 }, "name": "partial", "partialFilterExpression": { "c": { "$gt": 5 } } },
        { "key": { "at": 1 }, "name": "ttl", "expireAfterSeconds": 3600 },
        { "key": { "text": "text", "more": "text" }, "name": "words", "weights": { "text": 3 }, "default_language": "german" },
        { "key": { "point": "2dsphere" }, "name": "sphere" },
        { "key": { "place": "2d" }, "name": "plane", "min": -500.5, "max": 1_000_000.0 },
        { "key": { "h": "hashed" }, "name": "hashed" },
        { "key": { "any.$**": 1 }, "name": "wildcard" },
        { "key": { "name": 1 }, "name": "collated", "collation": { "locale": "fr", "strength": 1 } },
        { "key": { "hidden": 1 }, "name": "hidden", "hidden": true },
        { "key": { "größe": 1 }, "name": "größe_\"1\"" },
    ]);
    run(database, doc! { "createIndexes": "indexed", "indexes": all }).await;
}

async fn run(database: &Database, command: Document) {
    let done = database.run_command(command.clone()).await;
    done.unwrap_or_else(|error| panic!("{command}: {error}"));
}

async fn insert(database: &Database, name: &str, documents: Vec<Document>) {
    let stored = database.collection::<Document>(name).insert_many(documents).await;
    stored.unwrap_or_else(|error| panic!("{name}: {error}"));
}
