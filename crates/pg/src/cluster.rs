//! A whole cluster as sources: what its databases share, and then each database in turn.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use backup_core::{Context, Error, Event, Kind, Name, Origin, Part, Reading, Result, Snapshot, Source, Stored, body};
use bytes::Bytes;

use crate::config::Config;
use crate::connect::{Purpose, Session, connect};
use crate::counts;
use crate::facts::{PartFacts, Stage};
use crate::globals::{self, GlobalsOptions};
use crate::origin::origin;
use crate::pg_error::pg_error;
use crate::quote::ident;
use crate::snapshot::{Database, Options, TEXTS};

/// What to take of a cluster, and how.
#[derive(Debug, Clone, Default)]
pub struct ClusterOptions {
    /// How each database is taken.
    pub database: Options,
    /// Only these databases; empty: all.
    pub only: Vec<String>,
    /// All but these databases.
    pub exclude: Vec<String>,
    /// Whether the hashes of the roles' passwords are left out.
    pub no_role_passwords: bool,
}

/// A server with all of its databases.
///
/// It has no instant of its own: a snapshot cannot be shared across databases, so each database has its own, taken in turn.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// How to reach it; the database named there is where the catalogs that all databases share are read.
    pub config: Config,
    /// What to take.
    pub options: ClusterOptions,
}

impl Cluster {
    /// What its databases share, each database, and what comes after them, to be taken in this order.
    ///
    /// A database that allows no connections cannot be read, and is told of as a warning; its record is kept.
    pub async fn sources(&self, cx: &Context) -> Result<Vec<Box<dyn Source>>> {
        let options = &self.options;
        let session = connect(&self.config, Purpose::Dump).await?;
        // What is counted is what is read.
        session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await?;
        let (origin, ..) = origin(&session).await?;
        let globals = GlobalsOptions { passwords: !options.no_role_passwords };
        let globals = globals::read(&session.client, session.version, &globals).await?;
        let (databases, warnings) = globals::databases(&session.client, session.version).await?;
        for what in &warnings {
            cx.tell(Event::Warning { what });
        }
        for name in options.only.iter().chain(&options.exclude) {
            if !databases.iter().any(|database| database.name == *name) {
                return Err(Error::new(Kind::NotFound, format!("the cluster has no database {}", ident(name)))
                    .with_hint("the names are as they are, without quotes and in their own case"));
            }
        }
        let header = crate::header(session.version, "UTF8");
        let restorer = &session_user(&session).await?;
        let mut first = Texts::new(origin.clone());
        let mut facts = PartFacts::new(Stage::Roles, None);
        // Under whatever name, every cluster has one.
        let superuser = origin.facts.get("superuser").and_then(|name| name.as_str()).map(str::to_owned);
        let but: Vec<String> = superuser.into_iter().collect();
        facts.counts = counts::shared(&session.client, session.version, &but).await?;
        let drops = if options.database.clean { globals.drop_sql(restorer) } else { String::new() };
        let dropped = databases.iter().filter(|database| options.database.clean && self.takes(&database.name));
        let drops: String = dropped.map(|database| database.drop_sql(&database.name)).chain([drops]).collect();
        first.add("roles", facts, format!("{header}{drops}{}", globals.roles_sql(restorer)))?;
        let mut facts = PartFacts::new(Stage::Tablespaces, None);
        facts.tablespaces = globals.tablespaces.clone();
        first.add("tablespaces", facts, format!("{header}{}", globals.tablespaces_sql()))?;
        let mut last = Texts::new(origin);
        last.add("settings of roles", PartFacts::new(Stage::Last, None), format!("{header}{}", globals.last_sql(restorer)))?;
        let mut sources: Vec<Box<dyn Source>> = vec![Box::new(first)];
        for record in databases.into_iter().filter(|database| self.takes(&database.name)) {
            if !record.allows_connections {
                if options.only.contains(&record.name) {
                    return Err(Error::failed(format!("the database {} allows no connections", ident(&record.name)))
                        .with_hint("ALTER DATABASE … ALLOW_CONNECTIONS true"));
                }
                continue;
            }
            let config = self.config.with_database(&record.name);
            let record = options.database.create.then_some(record);
            let folder = Some(format!("db/{:04}", sources.len()).parse()?);
            sources.push(Box::new(Database { config, options: options.database.clone(), record, folder }));
        }
        sources.push(Box::new(last));
        session.close().await;
        Ok(sources)
    }

    /// Whether the database of this name is to be taken.
    fn takes(&self, name: &String) -> bool {
        (self.options.only.is_empty() || self.options.only.contains(name)) && !self.options.exclude.contains(name)
    }
}

async fn session_user(session: &Session) -> Result<String> {
    let row = session.client.query_one("SELECT session_user::text", &[]).await;
    Ok(row.map_err(|error| pg_error("ask who we are", error))?.get(0))
}

/// Parts that are there already.
#[derive(Debug, Clone)]
pub(crate) struct Texts {
    origin: Origin,
    parts: Vec<Part>,
    texts: HashMap<Name, (Bytes, PartFacts)>,
}

impl Texts {
    pub(crate) fn new(origin: Origin) -> Self {
        Self { origin, parts: Vec::new(), texts: HashMap::new() }
    }

    pub(crate) fn add(&mut self, name: &str, facts: PartFacts, text: String) -> Result<()> {
        let name: Name = name.parse()?;
        self.parts.push(Part { name: name.clone(), extension: "sql", folder: None, estimate: Some(text.len() as u64) });
        self.texts.insert(name, (text.into(), facts));
        Ok(())
    }
}

#[async_trait]
impl Source for Texts {
    async fn snapshot(&self, _: &Context, _base: Option<&dyn Stored>) -> Result<Box<dyn Snapshot>> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Snapshot for Texts {
    fn origin(&self) -> &Origin {
        &self.origin
    }

    fn parts(&self) -> &[Part] {
        &self.parts
    }

    fn width(&self) -> usize {
        TEXTS
    }

    async fn read(&self, part: &Name) -> Result<Reading> {
        let missing = || Error::new(Kind::NotFound, format!("the snapshot has no part {part}"));
        let (text, facts) = self.texts.get(part).ok_or_else(missing)?;
        Ok(Reading { body: body::from_bytes(text.clone()), facts: Arc::new(OnceLock::from(facts.to_facts())) })
    }

    async fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
