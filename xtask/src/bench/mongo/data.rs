//! A database of documents of all sizes, and what is known of it: how many there are, and a sum of their digests.

use std::collections::BTreeMap;
use std::fs::File;
use std::hash::{DefaultHasher, Hasher};
use std::io::{BufReader, ErrorKind, Read};
use std::path::Path;

use backup_tests::Mongod;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, DateTime, Document, RawDocumentBuf, doc};

use super::super::Result;
use super::super::random::Random;

/// The name of the database.
pub(super) const DATABASE: &str = "bench";

/// What a collection holds, in whatever order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) documents: u64,
    pub(super) bytes: u64,
    digests: u64,
}

impl Held {
    fn add(&mut self, document: &[u8]) {
        let mut hasher = DefaultHasher::new();
        hasher.write(document);
        self.documents += 1;
        self.bytes += document.len() as u64;
        self.digests = self.digests.wrapping_add(hasher.finish());
    }

    /// What several hold together.
    pub(super) fn together<'h>(all: impl Iterator<Item = &'h Self>) -> Self {
        all.fold(Self::default(), |sum, held| Self {
            documents: sum.documents + held.documents,
            bytes: sum.bytes + held.bytes,
            digests: sum.digests.wrapping_add(held.digests),
        })
    }
}

/// What each collection holds.
pub(super) type Contents = BTreeMap<String, Held>;

/// What a collection has, and percents of the bytes.
const COLLECTIONS: [(&str, u64); 4] = [("events", 60), ("orders", 25), ("texts", 10), ("files", 5)];

/// Bytes that are sent at once.
const SENT: usize = 8 << 20;

/// Makes the database with about `size` bytes of BSON, the same each time. What it holds is reckoned from what is sent.
pub(super) async fn fill(server: &Mongod, size: u64) -> Result<Contents> {
    let database = server.client().database(DATABASE);
    let mut random = Random::default();
    let mut contents = Contents::new();
    for (name, percent) in COLLECTIONS {
        let collection = database.collection::<RawDocumentBuf>(name);
        let mut held = Held::default();
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while held.bytes < size / 100 * percent {
            let document = RawDocumentBuf::try_from(&document(name, i64::try_from(held.documents)?, &mut random))?;
            held.add(document.as_bytes());
            bytes += document.as_bytes().len();
            batch.push(document);
            if bytes > SENT {
                collection.insert_many(std::mem::take(&mut batch)).await?;
                bytes = 0;
            }
        }
        if !batch.is_empty() {
            collection.insert_many(batch).await?;
        }
        contents.insert(name.to_owned(), held);
    }
    let index = doc! { "key": { "at": 1 }, "name": "at" };
    database.run_command(doc! { "createIndexes": "events", "indexes": [index] }).await?;
    server.client().database("admin").run_command(doc! { "fsync": 1 }).await?;
    Ok(contents)
}

fn document(collection: &str, id: i64, random: &mut Random) -> Document {
    match collection {
        "events" => doc! {
            "_id": id, "at": DateTime::from_millis(1_700_000_000_000 + id * 3100), "kind": (["view", "click", "order"][random.between(0, 3)]),
            "user": i32::try_from(random.between(0, 1_000_000)).unwrap_or_default(), "session": word(random) + &word(random),
            "path": format!("/shop/{}/item/{}", id % 977, random.between(0, 100_000)),
            "agent": format!("Mozilla/5.0 (X11; Linux x86_64; rv:{}.0) Gecko/20100101 Firefox", id % 120),
            "props": { "a": random.between(0, 1 << 20) as f64 / 7.0, "b": id % 2 == 0, "c": word(random) },
        },
        "orders" => {
            let items: Vec<Document> = (0..random.between(5, 30))
                .map(|line| doc! { "sku": word(random), "count": line as i32, "price": random.between(1, 99_999) as f64 / 100.0, "title": "an article of the shop" })
                .collect();
            doc! { "_id": format!("{id:08}"), "user": id % 1000, "items": items }
        }
        "texts" => {
            let words: Vec<String> =
                (0..random.between(500, 4000)).map(|_| format!("w{:x}", random.between(0, 5000))).collect();
            doc! { "_id": id, "text": words.join(" ") }
        }
        _ => {
            let bytes = (0..random.between(1 << 14, 1 << 17)).flat_map(|_| random.next().to_le_bytes()).collect();
            doc! { "_id": id, "content": Binary { subtype: BinarySubtype::Generic, bytes } }
        }
    }
}

fn word(random: &mut Random) -> String {
    format!("{:016x}", random.next())
}

/// What lies in the files `COLLECTION.bson` of a folder.
pub(super) fn of(folder: &Path) -> Result<Contents> {
    let mut contents = Contents::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "bson") {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            contents.insert(name, of_file(&mut BufReader::new(File::open(&path)?))?);
        }
    }
    Ok(contents)
}

fn of_file(file: &mut impl Read) -> Result<Held> {
    let (mut held, mut document) = (Held::default(), Vec::new());
    loop {
        let mut length = [0; 4];
        match file.read_exact(&mut length[..1]) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(held),
            read => read?,
        }
        file.read_exact(&mut length[1..])?;
        document.clear();
        document.extend_from_slice(&length);
        document.resize((u32::from_le_bytes(length) as usize).max(4), 0);
        file.read_exact(&mut document[4..])?;
        held.add(&document);
    }
}

/// The digest that the server itself has of each collection.
pub(super) async fn hash(server: &Mongod) -> Result<Document> {
    let said = server.client().database(DATABASE).run_command(doc! { "dbHash": 1 }).await?;
    Ok(said.get_document("collections")?.clone())
}

/// Removes the database.
pub(super) async fn drop(server: &Mongod) -> Result<()> {
    Ok(server.client().database(DATABASE).drop().await?)
}

/// The server's version.
pub(super) async fn version(server: &Mongod) -> Result<String> {
    let said = server.client().database("admin").run_command(doc! { "buildInfo": 1 }).await?;
    Ok(said.get_str("version")?.to_owned())
}

/// Lets the server have all of a database of `size` in its cache: the harness gives it little.
pub(super) async fn keep_in_memory(server: &Mongod, size: u64) -> Result<()> {
    let cache = format!("cache_size={}M", (size >> 20) * 3 / 2 + 256);
    server.client().database("admin").run_command(doc! { "setParameter": 1, "wiredTigerEngineRuntimeConfig": cache }).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_differ_are_told_apart() {
        let mut random = Random::default();
        let documents: Vec<Vec<u8>> = COLLECTIONS
            .iter()
            .map(|(name, _)| RawDocumentBuf::try_from(&document(name, 1, &mut random)).expect("BSON").into_bytes())
            .collect();
        let of = |bytes: Vec<u8>| of_file(&mut bytes.as_slice());
        let whole = of(documents.concat()).expect("documents");
        assert_eq!((whole.documents, whole.bytes), (4, documents.concat().len() as u64));
        assert_eq!(of(documents.iter().rev().flatten().copied().collect()).expect("documents"), whole, "in whatever order");
        let mut other = documents.concat();
        other[10] ^= 1;
        assert_ne!(of(other).expect("documents"), whole);
        assert_ne!(of(documents[1..].concat()).expect("documents"), whole);
        of(documents.concat()[..100].to_vec()).expect_err("it breaks off");
        let halves = [&documents[..1], &documents[1..]].map(|some| of(some.concat()).expect("documents"));
        assert_eq!(Held::together(halves.iter()), whole);
    }
}
