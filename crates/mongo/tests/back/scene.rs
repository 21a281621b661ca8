//! A server with a database of every kind of collection, and its backups.

use std::sync::Arc;

use backup_core::{Context, Memory, Name, Plain, Repository, Result, Stored, backup};
use backup_mongo::diagnose::Asked;
use backup_mongo::dump::StoredDump;
use backup_mongo::heal::{Healed, Healer, Verified, examine, heal};
use backup_mongo::restore::{RestoreOptions, Run};
use backup_mongo::{Config, Deployment, Options};
use backup_tests::{Mongod, MongodSetup};
use futures_util::TryStreamExt;
use mongodb::bson::{Bson, DateTime, Document, doc};
use mongodb::options::ClientOptions;
use mongodb::{Client, Database};

/// The collections of the database: no two of a kind.
pub(crate) const ALL: [&str; 8] = ["users", "orders", "größe/x.y z+", "log", "words", "strict", "seen", "weather"];

/// A server, the database `shop` on it, and its backups.
pub(crate) struct Scene {
    pub(crate) server: Mongod,
    /// Where the backups lie.
    pub(crate) memory: Memory,
    pub(crate) repo: Plain,
    pub(crate) job: Name,
    pub(crate) cx: Context,
}

impl Scene {
    /// `None` where there is no MongoDB.
    pub(crate) async fn start() -> Option<Self> {
        Self::start_with(&MongodSetup::default()).await
    }

    pub(crate) async fn start_with(setup: &MongodSetup) -> Option<Self> {
        let server = Mongod::start_with(setup).await?;
        let memory = Memory::default();
        let repo = Plain::new(Arc::new(memory.clone()), "tests");
        Some(Self { server, memory, repo, job: "shop".parse().expect("a name"), cx: Context::default() })
    }

    /// A server whose database has all the collections, and a backup of it.
    pub(crate) async fn filled() -> Option<Self> {
        let scene = Self::start().await?;
        fill(&scene.shop()).await;
        scene.take().await;
        Some(scene)
    }

    pub(crate) fn shop(&self) -> Database {
        self.server.client().database("shop")
    }

    /// Takes a backup of the database.
    pub(crate) async fn take(&self) -> String {
        let options = Options { database: Some("shop".to_owned()), ..Options::default() };
        let source = Deployment { config: Config::new(self.server.host()), options };
        let sources = async { Ok([Box::new(source)]) };
        let taken = backup(&self.cx, &self.repo, &self.job, sources, backup_core::Options::default()).await;
        taken.expect("a backup").id.to_string()
    }

    /// The newest backup as a dump.
    pub(crate) async fn dump(&self) -> StoredDump<Arc<dyn Stored>> {
        let records = self.repo.records(&self.job).await.expect("records");
        let newest = records.last().expect("a backup").id;
        StoredDump::new(self.repo.open(&self.job, newest).await.expect("opened")).expect("a dump")
    }

    /// A client on behalf of a run.
    pub(crate) fn client(&self, run: &Run) -> Client {
        client(&self.server.host(), run)
    }

    /// Heals with what `asked` says.
    pub(crate) async fn heal(&self, asked: Asked) -> Result<Healed> {
        let run = Run::new();
        let client = self.client(&run);
        let healer = healer(&client, &run, asked);
        let mut backups = Verified::new(&self.repo, self.job.clone());
        let diagnosis = examine(&self.cx, &healer, &mut backups).await?;
        heal(&self.cx, &healer, diagnosis).await
    }

    /// The digests of all collections, as the server takes them.
    pub(crate) async fn hash(&self) -> Document {
        hash(&self.shop()).await
    }
}

pub(crate) fn healer<'a>(client: &'a Client, run: &'a Run, asked: Asked) -> Healer<'a> {
    Healer { client, run, database: "shop".to_owned(), asked, last: Some(3), options: RestoreOptions::default() }
}

/// A client that soon gives a server up.
pub(crate) fn client(host: &str, run: &Run) -> Client {
    client_for(host, run, std::time::Duration::from_millis(500))
}

/// A client of a server that is there, however busy the machine is.
pub(crate) fn patient(host: &str, run: &Run) -> Client {
    client_for(host, run, std::time::Duration::from_secs(60))
}

fn client_for(host: &str, run: &Run, patience: std::time::Duration) -> Client {
    let (name, port) = host.split_once(':').expect("host and port");
    let address = mongodb::options::ServerAddress::Tcp { host: name.to_owned(), port: port.parse().ok() };
    let options = ClientOptions::builder().hosts(vec![address]).direct_connection(true).app_name(run.app_name());
    let options = options.server_selection_timeout(patience).build();
    Client::with_options(options).expect("a client")
}

/// All the collections.
pub(crate) fn listed() -> Asked {
    Asked { collections: ALL.map(str::to_owned).into(), ..Asked::default() }
}

/// These collections.
pub(crate) fn these(names: &[&str]) -> Asked {
    Asked { collections: names.iter().map(|name| (*name).to_owned()).collect(), ..Asked::default() }
}

pub(crate) async fn hash(database: &Database) -> Document {
    let hash = database.run_command(doc! { "dbHash": 1 }).await.expect("a hash");
    let mut collections = hash.get_document("collections").expect("collections").clone();
    // The names of views are in it with their database.
    if collections.is_empty() {
        collections.insert("nothing", 0);
    }
    let mut sorted: Vec<(String, Bson)> = collections.into_iter().collect();
    sorted.sort_by(|one, other| one.0.cmp(&other.0));
    sorted.into_iter().collect()
}

/// What the server says of a collection: options and indexes, without what is another one's each time.
pub(crate) async fn described(database: &Database, name: &str) -> Document {
    let listing = doc! { "listCollections": 1, "filter": { "name": name } };
    let listed: Vec<Document> =
        database.run_cursor_command(listing).await.expect("a list").try_collect().await.expect("a list");
    let mut listed = listed.into_iter().next().unwrap_or_else(|| panic!("there is no {name}"));
    listed.remove("info");
    let indexes: Vec<Document> = match listed.get_str("type") {
        Ok("view") => Vec::new(),
        _ => {
            let listing = database.run_cursor_command(doc! { "listIndexes": name }).await.expect("indexes");
            listing.try_collect().await.expect("indexes")
        }
    };
    listed.insert("indexes", indexes);
    listed
}

async fn run(database: &Database, command: Document) {
    database.run_command(command.clone()).await.unwrap_or_else(|error| panic!("{command}: {error}"));
}

/// Makes all the collections.
pub(crate) async fn fill(shop: &Database) {
    let many = |count: i32| (0..count).map(|i| doc! { "_id": i, "n": i % 7, "text": "x".repeat(50) });
    run(shop, doc! { "create": "words", "collation": { "locale": "de", "strength": 2 } }).await;
    run(shop, doc! { "create": "log", "capped": true, "size": 65536, "max": 50 }).await;
    run(shop, doc! { "create": "weather", "timeseries": { "timeField": "at", "metaField": "place" } }).await;
    for name in ["users", "orders", "größe/x.y z+", "log", "words"] {
        shop.collection::<Document>(name).insert_many(many(60)).await.expect("inserted");
    }
    // What breaks its own validator was there before it.
    shop.collection::<Document>("strict")
        .insert_many([doc! { "_id": 1 }, doc! { "_id": 2, "name": "x" }])
        .await
        .expect("inserted");
    run(shop, doc! { "collMod": "strict", "validator": { "name": { "$type": "string" } }, "validationAction": "error" }).await;
    run(shop, doc! { "create": "seen", "viewOn": "users", "pipeline": [{ "$match": { "n": 3 } }] }).await;
    let at = |i: i64| DateTime::from_millis(1_700_000_000_000 + i * 60_000);
    let measured = (0..20).map(|i| doc! { "at": at(i), "place": format!("p{}", i % 3), "degrees": i as f64 });
    shop.collection::<Document>("weather").insert_many(measured).await.expect("inserted");
    run(
        shop,
        doc! { "createIndexes": "users", "indexes": [
            { "key": { "text": "text" }, "name": "words" },
            { "key": { "z": 1, "a": -1 }, "name": "z_a", "unique": true, "partialFilterExpression": { "z": { "$gt": 5 } } },
            { "key": { "seen": 1 }, "name": "old", "expireAfterSeconds": 3600, "sparse": true },
        ] },
    )
    .await;
    run(shop, doc! { "createIndexes": "orders", "indexes": [{ "key": { "where": "2dsphere" }, "name": "where" }, { "key": { "n": "hashed" }, "name": "n" }] })
        .await;
    run(shop, doc! { "createIndexes": "words", "indexes": [{ "key": { "text": 1 }, "name": "text" }] }).await;
    run(shop, doc! { "createIndexes": "weather", "indexes": [{ "key": { "place": 1, "at": -1 }, "name": "place" }] }).await;
}
