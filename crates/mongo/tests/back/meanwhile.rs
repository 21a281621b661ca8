//! A backup of a replica set to which something happens while it is read.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use backup_core::{
    BackupId, Context, Memory, Name, Origin, Part, Plain, Reading, Repository, Result, Snapshot, Source, Stored, backup, body,
};
use backup_mongo::dump::StoredDump;
use backup_mongo::restore::{RestoreOptions, Run, Selection, restore};
use backup_mongo::{Config, Deployment, Options};
use backup_tests::Mongod;
use futures_util::future::BoxFuture;
use mongodb::Client;
use tokio::sync::{OnceCell, watch};

use crate::scene::client;

/// Whether the documents of a part are read last.
fn is_last(part: &Name) -> bool {
    part.as_str().starts_with("bank/z") && part.as_str().ends_with(".bson")
}

/// What happens to a deployment meanwhile.
#[derive(Debug, Clone)]
pub(crate) struct Meanwhile(pub(crate) Client, pub(crate) fn(Client) -> BoxFuture<'static, ()>);

/// A deployment to which something happens when all documents but the last were read.
#[derive(Debug)]
struct Written {
    of: Deployment,
    meanwhile: Meanwhile,
}

#[derive(Debug)]
struct WrittenSnapshot {
    of: Box<dyn Snapshot>,
    meanwhile: Meanwhile,
    happened: OnceCell<()>,
    unread: watch::Sender<HashSet<Name>>,
}

#[async_trait]
impl Source for Written {
    async fn snapshot(&self, cx: &Context, base: Option<&dyn Stored>) -> Result<Box<dyn Snapshot>> {
        let of = self.of.snapshot(cx, base).await?;
        let others = of.parts().iter().map(|part| part.name.clone());
        let is_other = |name: &Name| name.as_str().ends_with(".bson") && !is_last(name) && name.as_str() != "oplog.bson";
        let unread = watch::Sender::new(others.filter(is_other).collect());
        Ok(Box::new(WrittenSnapshot { of, meanwhile: self.meanwhile.clone(), happened: OnceCell::new(), unread }))
    }
}

#[async_trait]
impl Snapshot for WrittenSnapshot {
    fn origin(&self) -> &Origin {
        self.of.origin()
    }

    fn parts(&self) -> &[Part] {
        self.of.parts()
    }

    fn width(&self) -> usize {
        // Two wait for the others.
        self.of.width() + 2
    }

    async fn read(&self, part: &Name) -> Result<Reading> {
        if is_last(part) {
            let _ = self.unread.subscribe().wait_for(HashSet::is_empty).await;
            let Meanwhile(client, does) = self.meanwhile.clone();
            self.happened.get_or_init(|| does(client)).await;
        }
        let mut reading = self.of.read(part).await?;
        if self.unread.borrow().contains(part) {
            reading.body = body::from_bytes(body::to_vec(reading.body, 1 << 30).await?);
            self.unread.send_if_modified(|unread| unread.remove(part));
        }
        Ok(reading)
    }

    async fn close(self: Box<Self>) -> Result<()> {
        self.of.close().await
    }
}

/// A backup that was taken while `meanwhile` happened.
pub(crate) struct Taken {
    pub(crate) repo: Plain,
    pub(crate) job: Name,
    pub(crate) cx: Context,
}

impl Taken {
    pub(crate) async fn of(server: &Mongod, database: Option<&str>, meanwhile: Meanwhile) -> Self {
        let (repo, job, cx) =
            (Plain::new(Arc::new(Memory::default()), "tests"), "bank".parse().expect("a name"), Context::default());
        let options = Options { database: database.map(str::to_owned), jobs: 1, ..Options::default() };
        let of = Deployment { config: Config::new(server.host()), options };
        let sources = async { Ok([Box::new(Written { of, meanwhile })]) };
        backup(&cx, &repo, &job, sources, backup_core::Options::default()).await.expect("a backup");
        Self { repo, job, cx }
    }

    pub(crate) async fn newest(&self) -> BackupId {
        self.repo.records(&self.job).await.expect("records").last().expect("a backup").id
    }

    pub(crate) async fn dump(&self) -> StoredDump<Arc<dyn Stored>> {
        StoredDump::new(self.repo.open(&self.job, self.newest().await).await.expect("opened")).expect("a dump")
    }

    pub(crate) async fn restore(&self, host: &str, selection: &Selection, replay: bool) -> Result<backup_core::Restored> {
        let (dump, run) = (self.dump().await, Run::new());
        let options = RestoreOptions { replay, ..RestoreOptions::default() };
        restore(&self.cx, &client(host, &run), &run, &dump, selection, &options).await
    }
}
