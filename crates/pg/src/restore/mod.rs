//! Brings a backup back into a server: roles, databases, rows, indexes; each database swapped in when it is whole.

mod before;
mod contents;
mod databases;
mod existing;
mod grants;
mod layout;
mod load;
mod lock;
mod place;
mod pristine;
mod script;
mod shared;
mod tables;
mod temporary;

use async_trait::async_trait;
use backup_core::{Checked, Context, Doing, Error, Event, Restored, Result, Stored, Target};

pub use before::Before;
pub(crate) use layout::{Layout, Loaded, Parts};
use load::Load;
use place::Place;
pub use script::{Opened, Script, Swapped};
pub(crate) use tables::Wanted;

use crate::config::Config;
use crate::connect::{Purpose, connect};
use crate::globals;
use crate::quote::ident;

/// What to bring back, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreOptions {
    /// Only these databases; empty: the whole cluster with its roles and tablespaces.
    pub only: Vec<String>,
    /// Only these tables of the one database in `only`, with what they need.
    pub tables: Vec<String>,
    /// What the one database in `only` is to be called.
    pub rename: Option<String>,
    /// Whether databases that are not empty are replaced: after the backup was read and checked, and once the new one is whole.
    pub clean: bool,
    /// How many connections load rows and build indexes at the same time.
    pub jobs: usize,
    /// Whether tablespaces are made in the server's own folder instead of where they were: for scratch servers.
    pub tablespaces_in_place: bool,
    /// Whether a server is refused in which users have made anything: for proofs, which change roles and leave what they made.
    pub pristine: bool,
}

impl Default for RestoreOptions {
    fn default() -> Self {
        Self {
            only: Vec::new(),
            tables: Vec::new(),
            rename: None,
            clean: false,
            jobs: 4,
            tablespaces_in_place: false,
            pristine: false,
        }
    }
}

/// A server into which backups are restored.
#[derive(Debug, Clone)]
pub struct Restore {
    /// How to reach it; the database named there is where others are made from.
    pub config: Config,
    /// What to bring back.
    pub options: RestoreOptions,
}

#[async_trait]
impl Target for Restore {
    async fn restore(&self, cx: &Context, backup: &dyn Stored) -> Result<Restored> {
        let options = &self.options;
        if options.only.len() != 1 && (options.rename.is_some() || !options.tables.is_empty()) {
            return Err(Error::usage("another name, or single tables, can be asked for with exactly one database")
                .with_hint("name the database with --database"));
        }
        let layout = Layout::read(backup, !options.tables.is_empty())?;
        let databases = layout.select(&options.only)?;
        if options.pristine {
            let session = connect(&self.config, Purpose::Restore).await?;
            pristine::check(&self.config, &session).await?;
            session.close().await;
        }
        let mut places = Vec::new();
        for parts in &databases {
            places.push(self.place(backup, parts).await?);
        }
        if options.clean {
            cx.tell(Event::Stage { what: "check the backup before anything is replaced" });
            backup.verify(cx, true).await?;
        }
        let parts: Vec<_> = databases.iter().flat_map(|parts| parts.all()).collect();
        let bytes = parts.iter().map(|part| part.size).sum();
        cx.tell(Event::Begun { what: "restore", parts: parts.len(), bytes: Some(bytes) });
        let whole = options.only.is_empty();
        let rest = shared::play(cx, &self.config, backup, &layout, whole, options.tablespaces_in_place).await?;
        let mut restored = Restored::default();
        for (parts, place) in databases.iter().zip(&places) {
            let one = Box::pin(self.database(cx, backup, parts, place)).await;
            let (tables, rows) = one.doing(|| doing(place, &restored.what)).map_err(|error| hint(error, &restored.what))?;
            restored.what.push(place.name.clone());
            *restored.counts.entry("databases".into()).or_default() += 1;
            *restored.counts.entry("tables".into()).or_default() += tables;
            *restored.counts.entry("rows".into()).or_default() += rows;
        }
        if whole {
            rest.play(&self.config, backup, &layout).await?;
        }
        Ok(restored)
    }

    async fn compare(&self, cx: &Context, backup: &dyn Stored) -> Result<Checked> {
        crate::compare::compare(cx, self, backup).await
    }
}

impl Restore {
    /// Where the restore of one database goes, as the server is now.
    async fn place(&self, backup: &dyn Stored, parts: &Parts) -> Result<Place> {
        let session = connect(&self.config, Purpose::Restore).await?;
        let (there, _) = globals::databases(&session.client, session.version).await?;
        session.close().await;
        let (name, clean) = (self.options.rename.as_deref().unwrap_or(&parts.name), self.options.clean);
        let found = Place::find(&self.config, &there, (name, backup.manifest().id), clean, parts.is_bare());
        let mut place = Box::pin(found).await?;
        if clean {
            place.sweep();
        }
        Ok(place)
    }

    /// Restores one database under its working name and swaps it in. Returns the number of tables and rows.
    async fn database(&self, cx: &Context, backup: &dyn Stored, parts: &Parts, place: &Place) -> Result<(u64, u64)> {
        let wanted = if self.options.tables.is_empty() { None } else { Some(Wanted::of(parts, &self.options.tables)?) };
        let lock = cx.unless_cancelled(place.lock(&self.config)).await?;
        // Meanwhile the server may have done the last that a killed run had asked for.
        let place = &cx.unless_cancelled(self.place(backup, parts)).await?;
        place.make(&self.config, parts.record.as_ref()).await?;
        let config = self.config.with_database(&place.work);
        let load = Load { cx, backup, config: config.clone(), jobs: self.options.jobs, wanted: wanted.as_ref() };
        if place.in_place() && !parts.is_bare() {
            cx.tell(Event::Replacing { what: &place.name });
        }
        let (rows, failed) = match cx.unless_cancelled(load.run(parts)).await {
            Ok(done) => done,
            Err(error) => {
                // Half a database is no database. What cannot be removed is removed by the next run.
                if let Err(left) = place.discard(&self.config).await {
                    let what =
                        format!("the half-restored database {} could not be dropped: {}", ident(&place.work), left.chain());
                    cx.tell(Event::Warning { what: &what });
                }
                return Err(error);
            }
        };
        let session = connect(&config, Purpose::Restore).await?;
        load::flush(&session).await?;
        session.close().await;
        if let Some(first) = failed.first() {
            for line in &failed {
                cx.tell(Event::Warning { what: line });
            }
            let what = format!("all rows are there, and {} statements after them failed, the first: {first}", failed.len());
            return Err(self.mend(place, Error::failed(what)).await);
        }
        if let Err(error) = place.set_properties(&self.config, parts.record.as_ref()).await {
            return Err(self.mend(place, error).await);
        }
        // Last: under its name it is whole.
        if !place.in_place() {
            cx.tell(Event::Replacing { what: &place.name });
        }
        place.swap_in(&self.config).await?;
        lock.close().await;
        let has = |(schema, name): &&(String, String)| wanted.as_ref().is_none_or(|wanted| wanted.has(schema, name));
        Ok((parts.rows().keys().filter(has).count() as u64, rows))
    }

    /// Keeps all that is there of a database for a person to mend, since `error` came after its rows.
    async fn mend(&self, place: &Place, error: Error) -> Error {
        match place.set_aside(&self.config).await {
            Ok(aside) if aside == place.name => error.with_hint("it stays as it is: mend what failed"),
            Ok(aside) => {
                error.with_hint(format!("it was left under the name {}: mend what failed and rename it", ident(&aside)))
            }
            Err(more) => more.with_source(error),
        }
    }
}

/// What failed, and what is whole all the same.
fn doing(place: &Place, restored: &[String]) -> String {
    let mut what = format!("restore the database {}", ident(&place.name));
    if place.in_place() {
        what.push_str(", which is filled in place and keeps what it has got so far");
    }
    match restored {
        [] => {}
        [one] => what.push_str(&format!(" ({} is restored)", ident(one))),
        [.., last] => what.push_str(&format!(" (the {} databases up to {} are restored)", restored.len(), ident(last))),
    }
    what
}

/// Says how to go on, unless something else has to be done first.
fn hint(error: Error, restored: &[String]) -> Error {
    match error.hint() {
        None if !restored.is_empty() => {
            error.with_hint("run it again with --clean, or for each of the other databases with --database")
        }
        _ => error,
    }
}
