//! A cluster read by PostgreSQL's own programs: for servers that the native reader does not cover.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use backup_core::{Context, Doing, Error, Event, Kind, Name, Origin, Part, Reading, Result, Snapshot, Source, Stored, body};

use bytes::Bytes;

use crate::config::{Config, SslMode};
use crate::connect::{Purpose, connect};
use crate::external::Program;
use crate::facts::{PartFacts, Stage};
use crate::quote::ident;
use crate::version::NATIVE;

/// A server with its databases, read by `pg_dumpall` and `pg_dump`.
///
/// Every database is a snapshot of its own, and each part ends only after its program ended well. The parts carry no counts and
/// digests of rows: a backup like this can be verified and restored, and not proven.
#[derive(Debug, Clone)]
pub struct ExternalCluster {
    /// How to reach it.
    pub config: Config,
    /// Where `pg_dump` and `pg_dumpall` are; `None`: on the `PATH`.
    pub programs: Option<std::path::PathBuf>,
    /// Only these databases; empty: all.
    pub only: Vec<String>,
    /// All but these databases.
    pub exclude: Vec<String>,
    /// Whether the hashes of the roles' passwords are left out.
    pub no_role_passwords: bool,
}

/// Whether the server at `config` is too old or too new for the native reader, which is told as a warning.
pub async fn needs_external(cx: &Context, config: &Config) -> Result<bool> {
    let session = connect(config, Purpose::Ask).await?;
    let is_native = session.version.is_native();
    if !is_native {
        let what = format!(
            "the server is {}, and not one of {} to {}: it is read by pg_dumpall and pg_dump",
            session.version,
            NATIVE.start(),
            NATIVE.end()
        );
        cx.tell(Event::Warning { what: &what });
    }
    session.close().await;
    Ok(!is_native)
}

#[async_trait]
impl Source for ExternalCluster {
    async fn snapshot(&self, cx: &Context, _base: Option<&dyn Stored>) -> Result<Box<dyn Snapshot>> {
        // libpq speaks none over a socket, and does not say so.
        if self.config.tls.mode > SslMode::Prefer && self.config.hosts.iter().any(|host| host.through.is_some()) {
            return Err(Error::usage("pg_dumpall and pg_dump cannot speak TLS on a way through another host")
                .with_hint("use sslmode=prefer: the way there is encrypted, from there to the server it is not"));
        }
        let session = connect(&self.config, Purpose::Ask).await?;
        let (databases, warnings) = crate::globals::databases(&session.client, session.version).await?;
        for what in &warnings {
            cx.tell(Event::Warning { what });
        }
        let is_there = |name: &&String| databases.iter().any(|database| database.allows_connections && database.name == **name);
        if let Some(name) = self.only.iter().chain(&self.exclude).find(|name| !is_there(name)) {
            return Err(Error::new(Kind::NotFound, format!("the cluster has no database {} to connect to", ident(name)))
                .with_hint("the names are as they are, without quotes and in their own case"));
        }
        let origin = crate::origin::origin(&session).await.map(|(origin, ..)| origin)?;
        let version = session.version;
        session.close().await;
        let header = crate::header(version, "UTF8");
        let mut snapshot = Programs { origin, parts: Vec::new(), programs: Vec::new() };
        let mut globals = vec!["--globals-only".to_owned()];
        globals.extend(self.no_role_passwords.then(|| "--no-role-passwords".to_owned()));
        let facts = PartFacts::new(Stage::Roles, None);
        snapshot.add("roles".parse()?, facts, Made::By(self.program("pg_dumpall", globals, "postgres")));
        for database in databases.into_iter().filter(|database| database.allows_connections) {
            let name = database.name.clone();
            if (!self.only.is_empty() && !self.only.contains(&name)) || self.exclude.contains(&name) {
                continue;
            }
            let mut facts = PartFacts::new(Stage::Database, Some(&name));
            let create = if database.predefined() { String::new() } else { database.create_sql(version, &name) };
            facts.record = Some(database.clone());
            let create = format!("{create}{}", crate::snapshot::connect_sql(&name));
            snapshot.add(crate::plan::name(&name, "create"), facts, Made::Text(create.into()));
            let facts = PartFacts::new(Stage::Script, Some(&name));
            let script = self.program("pg_dump", vec!["--format=plain".to_owned()], &name);
            snapshot.add(crate::plan::name(&name, "script"), facts, Made::By(script));
            let facts = PartFacts::new(Stage::Properties, Some(&name));
            let properties = format!("{header}{}", database.properties_sql(&name)?);
            snapshot.add(crate::plan::name(&name, "properties"), facts, Made::Text(properties.into()));
        }
        Ok(Box::new(snapshot))
    }
}

impl ExternalCluster {
    /// One of the programs, with the connection in its environment: arguments are seen by everybody on the machine.
    fn program(&self, name: &str, arguments: Vec<String>, database: &str) -> Program {
        let path = self.programs.as_ref().map_or_else(|| name.into(), |folder| folder.join(name));
        let mut program = Program::new(path, arguments);
        program.environment = crate::config::Params::environment_variables().map(|name| (name.into(), None)).collect();
        let config = self.config.with_database(database);
        let environment = config.to_env().into_iter().filter(|(name, _)| *name != "PGPASSWORD");
        program.environment.extend(environment.map(|(name, value)| (name.into(), Some(value.into()))));
        program.password = config.hosts.first().and_then(|host| config.password_for(host)).cloned();
        program
    }
}

/// Where the bytes of a part come from.
#[derive(Debug)]
enum Made {
    /// They are there already.
    Text(Bytes),
    /// What a program prints.
    By(Program),
}

/// Parts that are what a program prints, and what stands around them.
#[derive(Debug)]
struct Programs {
    origin: Origin,
    parts: Vec<Part>,
    programs: Vec<(Name, PartFacts, Made)>,
}

impl Programs {
    fn add(&mut self, name: Name, facts: PartFacts, made: Made) {
        self.parts.push(Part { name: name.clone(), extension: "sql", folder: None, estimate: None });
        self.programs.push((name, facts, made));
    }
}

#[async_trait]
impl Snapshot for Programs {
    fn origin(&self) -> &Origin {
        &self.origin
    }

    fn parts(&self) -> &[Part] {
        &self.parts
    }

    fn width(&self) -> usize {
        1
    }

    async fn read(&self, part: &Name) -> Result<Reading> {
        let missing = || Error::new(Kind::NotFound, format!("there is no part {part}"));
        let (_, facts, made) = self.programs.iter().find(|(name, ..)| name == part).ok_or_else(missing)?;
        let body = match made {
            Made::Text(text) => body::from_bytes(text.clone()),
            Made::By(program) => program.read().doing(|| format!("read {part}"))?,
        };
        Ok(Reading { body, facts: Arc::new(OnceLock::from(facts.to_facts())) })
    }

    async fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
