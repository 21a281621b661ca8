//! A deployment, or one database of it, as a source.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use backup_core::{Context, Doing, Error, Facts, Kind, Name, Origin, Part, Reading, Result, Snapshot, Source, Stored, body};
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio::sync::watch;

use crate::catalog::{self, Collection};
use crate::config::Config;
use crate::connect::{Server, Shape, connect, refused};
use crate::cursor::{self, Slice};
use crate::facts::{Content, Instant, Window};
use crate::pace::Pace;
use crate::plan::{self, How, Planned};
use crate::{metadata, oplog, ranges};

/// What to take of a deployment, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// This database alone; all, with users and roles, if none.
    pub database: Option<String>,
    /// How many cursors read at the same time.
    pub jobs: usize,
    /// A collection of more bytes than twice this is read in ranges of about this many.
    pub range: u64,
    /// Whether the oplog's window is taken too, of a replica set.
    pub oplog: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { database: None, jobs: 4, range: 256 << 20, oplog: true }
    }
}

/// A deployment, or one database of it. Nothing is ever written to it.
///
/// Of a replica set the oplog from before the first read to after the last is the last part, of one database what belongs to it:
/// replayed over the collections it brings all to one instant. A standalone server has no oplog, and who may read one database alone
/// may not see it: what is written meanwhile may then be in one collection and not in another. The facts of the origin say so.
#[derive(Debug, Clone)]
pub struct Deployment {
    /// How to reach it.
    pub config: Config,
    /// What to take.
    pub options: Options,
}

/// How often the collections are listed anew because one came or went meanwhile.
const ATTEMPTS: u32 = 5;

/// How many collections are asked for their sizes at the same time.
const ASKED: usize = 8;

#[async_trait]
impl Source for Deployment {
    async fn snapshot(&self, cx: &Context, _base: Option<&dyn Stored>) -> Result<Box<dyn Snapshot>> {
        let snapshot = cx.unless_cancelled(Box::pin(self.open())).await?;
        Ok(Box::new(snapshot))
    }
}

impl Deployment {
    async fn open(&self) -> Result<DeploymentSnapshot> {
        let server = connect(&self.config).await?;
        let opened = Box::pin(self.plan(server)).await;
        opened.doing(|| format!("look at the MongoDB server {}", self.config.place()))
    }

    async fn plan(&self, server: Server) -> Result<DeploymentSnapshot> {
        let database = self.options.database.as_deref();
        let (collections, begin) = self.listed(&server).await?;
        let has_oplog = begin.is_some();
        let each = collections.into_iter().map(|collection| self.parts(&server, collection));
        let parts: Vec<Vec<Planned>> = stream::iter(each).buffered(ASKED).try_collect().await?;
        let mut planned = vec![plan::prelude(database, &server.version)?];
        planned.extend(parts.into_iter().flatten());
        if has_oplog {
            planned.push(plan::oplog()?);
        }
        let parts = planned.iter().map(|planned| planned.part.clone()).collect();
        let names = planned.iter().filter(|planned| planned.facts.content == Content::Documents);
        let unread = watch::Sender::new(names.map(|planned| planned.part.name.clone()).collect());
        let planned = planned.into_iter().map(|planned| (planned.part.name.clone(), Arc::new(planned))).collect();
        // Whoever waits for the documents must not be the only one who is read.
        let width = self.options.jobs.max(1 + usize::from(has_oplog));
        let origin = origin(&server, database, begin);
        let database = self.options.database.clone();
        let reader = Reader { server, database, begin, unread: Arc::new(unread), pace: Pace::default() };
        Ok(DeploymentSnapshot { origin, parts, planned, width, reader })
    }

    /// The collections, and where the oplog stood when there were these, if there is one that may be read.
    async fn listed(&self, server: &Server) -> Result<(Vec<Collection>, Option<Instant>)> {
        let mut listed = self.collections(server).await?;
        if !self.options.oplog || !matches!(server.shape, Shape::ReplicaSet(_)) {
            return Ok((listed, None));
        }
        for _ in 0..ATTEMPTS {
            let begin = match oplog::begin(&server.client).await {
                Err(error) if self.options.database.is_some() && refused(&error) => return Ok((listed, None)),
                begin => begin?,
            };
            let again = self.collections(server).await?;
            if again == listed {
                return Ok((listed, Some(begin)));
            }
            listed = again;
        }
        Err(Error::failed("collections keep coming and going while they are listed").with_hint("run again when they stay"))
    }

    async fn collections(&self, server: &Server) -> Result<Vec<Collection>> {
        let databases = match &self.options.database {
            Some(database) => vec![database.clone()],
            None => catalog::databases(&server.client).await?,
        };
        let mut found = Vec::new();
        for database in databases {
            found.extend(catalog::collections(&server.client.database(&database)).await?);
        }
        match &self.options.database {
            Some(database) if found.is_empty() => Err(catalog::no_database(database)),
            _ => Ok(found),
        }
    }

    /// The parts of a collection.
    async fn parts(&self, server: &Server, collection: Collection) -> Result<Vec<Planned>> {
        let mut parts = vec![plan::metadata(&collection)?];
        let Some(source) = collection.source() else { return Ok(parts) };
        let database = server.client.database(&collection.database);
        let (bytes, count) = catalog::size(&database, &source).await.unwrap_or_default();
        let slices = match collection.ordered {
            true => vec![Slice::All],
            false => ranges::cut(&database, &source, bytes, self.options.range).await?,
        };
        parts.extend(plan::documents(&collection, &source, slices, bytes, cursor::reply(bytes, count))?);
        Ok(parts)
    }
}

/// Whose state it is, and of when.
fn origin(server: &Server, database: Option<&str>, begin: Option<Instant>) -> Origin {
    let (shape, set) = match &server.shape {
        Shape::Standalone => ("standalone", None),
        Shape::ReplicaSet(set) => ("replica set", Some(set.as_str())),
        Shape::Router => ("sharded cluster", None),
    };
    let mut facts = Facts::new();
    let mut tell = |name: &str, value: Option<&str>| value.map(|value| facts.insert(name.to_owned(), value.into()));
    tell("shape", Some(shape));
    tell("set", set);
    tell("database", database);
    // What of the oplog is replayed makes all collections those of one instant; without it each is of the time it was read.
    tell("instant", Some(if begin.is_some() { "end of the oplog" } else { "none" }));
    let (identity, version) = (server.identity.clone(), server.version.clone());
    Origin { kind: "mongodb".to_owned(), identity, version, facts }
}

#[derive(Debug)]
struct DeploymentSnapshot {
    origin: Origin,
    parts: Vec<Part>,
    planned: HashMap<Name, Arc<Planned>>,
    width: usize,
    reader: Reader,
}

/// What parts are read with.
#[derive(Debug, Clone)]
struct Reader {
    server: Server,
    /// The one database that is taken.
    database: Option<String>,
    /// Where the oplog stood before anything was read.
    begin: Option<Instant>,
    /// The parts whose documents have not been read to their end.
    unread: Arc<watch::Sender<HashSet<Name>>>,
    pace: Pace,
}

#[async_trait]
impl Snapshot for DeploymentSnapshot {
    fn origin(&self) -> &Origin {
        &self.origin
    }

    fn parts(&self) -> &[Part] {
        &self.parts
    }

    fn width(&self) -> usize {
        self.width
    }

    async fn read(&self, part: &Name) -> Result<Reading> {
        let missing = || Error::new(Kind::NotFound, format!("the snapshot has no part {part}"));
        let planned = Arc::clone(self.planned.get(part).ok_or_else(missing)?);
        let facts = Arc::new(OnceLock::new());
        let (reader, known) = (self.reader.clone(), Arc::clone(&facts));
        let body = body::piped(move |out| async move {
            let read = Box::pin(reader.write(&planned, &known, out)).await;
            read.doing(|| format!("read {}", planned.part.name))
        });
        Ok(Reading { body, facts })
    }

    async fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

impl Reader {
    /// Writes a part, and sets its facts before its end.
    async fn write(&self, planned: &Planned, known: &OnceLock<Facts>, mut out: DuplexStream) -> Result<()> {
        let mut facts = planned.facts.clone();
        let client = &self.server.client;
        match &planned.how {
            How::Text(text) => out.write_all(text.as_bytes()).await?,
            How::Metadata(collection) => {
                let text = metadata::metadata(&client.database(&collection.database), collection).await?;
                out.write_all(text.as_bytes()).await?;
            }
            How::Documents { of, source, slice, reply } => {
                let database = client.database(&of.database);
                let replies = self.pace.replies(reply.bytes);
                let turn = replies.turn().await;
                let found = cursor::open(&database, source, slice, reply.documents).await?;
                let doing = || format!("read {}.{source}", of.database);
                facts.documents = Some(cursor::write(found, replies, turn, doing, cursor::whole, &mut out).await?);
                metadata::still_holds(&database, of, source).await?;
                self.unread.send_if_modified(|unread| unread.remove(&planned.part.name));
            }
            How::Oplog => {
                let from = self.begin.ok_or_else(|| Error::failed("the oplog's begin is not known"))?;
                let mut unread = self.unread.subscribe();
                // The sender is ours: it does not go away.
                let _ = unread.wait_for(HashSet::is_empty).await;
                let window = Window { from, to: oplog::newest(client).await? };
                facts.documents = Some(oplog::copy(client, window, self.database.as_deref(), &mut out).await?);
                facts.window = Some(window);
            }
        }
        // Before the end of file, which whoever reads sees only after this.
        let _ = known.set(facts.to_facts());
        out.shutdown().await?;
        Ok(())
    }
}
