//! What a restore would do, found out before it touches anything: archive and dumps are read to their ends, the director is asked.

use std::collections::{BTreeMap, BTreeSet};

use backup_core::{Context, Doing, Error, Event, Kind, Lifecycle, Result, Unit};

use super::{Choice, Found, Restore, Step};
use crate::Progress;
use crate::archive::{self, Verified};
use crate::postgres::{LONGEST_NAME, major};

/// What every server has, and no restore replaces.
const THEIRS: [&str; 3] = ["postgres", "template0", "template1"];

/// What the names begin with of databases that are being loaded.
pub(super) const WORKING: &str = "bosh_backup_restoring_";

/// What a restore would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The databases that come back.
    pub databases: Vec<Planned>,
    /// What runs there, and is stopped; nothing where nothing is replaced.
    pub units: Vec<Unit>,
    /// What was loaded by runs that died, and goes.
    pub(super) left: Vec<String>,
}

/// A database that comes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// What it is called in the dump.
    pub name: String,
    /// What it will be called.
    pub target: String,
    /// What the one of that name that is there now will be called; `None` where there is none.
    pub replaced: Option<String>,
    /// Its rows.
    pub rows: u64,
    /// How much of the dump is about it, in bytes.
    pub bytes: u64,
    /// The roles that are not there and are made before it is loaded.
    pub roles: Vec<String>,
    /// The ids in its rows that become others, each with how often it stands there.
    pub ids: BTreeMap<String, u64>,
    /// The dump in the archive.
    pub(super) dump: String,
    /// What it is called until it is whole.
    pub(super) working: String,
}

/// A database of the archive: in which dump, of which version of PostgreSQL, and what is in it.
struct InArchive {
    dump: String,
    found: Found,
}

impl Restore {
    /// Reads the archive and its dumps to their ends, and asks the director. Changes nothing.
    pub async fn plan(&self, cx: &Context) -> Result<Plan> {
        cx.tell(Event::Stage { what: Step::Verify.name() });
        let verified = archive::verify(cx, &self.archive).await?;
        self.is_of_this_director(cx, &verified)?;
        let (mut there, mut roles, mut versions) = (Vec::new(), BTreeMap::new(), BTreeSet::new());
        for dump in &verified.dumps {
            let doing = || format!("read {dump} of the archive");
            let body = archive::member(cx, &self.archive, dump, &"dump".parse()?).await?;
            let inspected = cx.unless_cancelled(self.dumps.inspect(body)).await.doing(doing).map_err(hinted)?;
            there.extend(inspected.databases.into_iter().map(|found| InArchive { dump: dump.clone(), found }));
            roles.insert(dump.clone(), inspected.roles);
            versions.extend(inspected.version);
        }
        let chosen = self.chosen(there)?;
        cx.tell(Event::Stage { what: Step::Check.name() });
        cx.unless_cancelled(self.asked(cx, chosen, roles, versions)).await.doing(|| Step::Check.name())
    }

    /// What an archive says of whom it is of.
    fn is_of_this_director(&self, cx: &Context, verified: &Verified) -> Result<()> {
        if verified.dumps.is_empty() {
            let what = format!("the archive {} has no dump of a database", self.archive.display());
            return Err(Error::new(Kind::NotFound, what).with_hint("choose one that was taken with DBS"));
        }
        let here = self.director.name.as_str();
        match &verified.manifest {
            Some(manifest) if manifest.director != here && !self.other_director => {
                Err(another(&format!("the archive is of {}, and this is {here}", manifest.director)))
            }
            Some(_) => Ok(()),
            None => {
                cx.tell(Event::Warning { what: "the archive has no manifest: nothing tells which director it is of" });
                Ok(())
            }
        }
    }

    /// What of the archive comes back.
    fn chosen(&self, there: Vec<InArchive>) -> Result<Vec<InArchive>> {
        let names = there.iter().map(|one| one.found.name.clone()).collect::<Vec<_>>().join(", ");
        let is_chosen = |name: &str| match &self.choice {
            Choice::All => !THEIRS.contains(&name),
            Choice::One(wanted) | Choice::Beside(wanted, _) => name == wanted,
        };
        if let Choice::One(name) = &self.choice
            && THEIRS.contains(&name.as_str())
        {
            return Err(Error::usage(format!("{name} is of PostgreSQL itself, and cannot be replaced"))
                .with_hint("give it another name with --as"));
        }
        let mut chosen: Vec<InArchive> = there.into_iter().filter(|one| is_chosen(&one.found.name)).collect();
        chosen.sort_by(|one, other| one.found.name.cmp(&other.found.name));
        if chosen.is_empty() {
            return Err(
                Error::new(Kind::NotFound, "the archive does not have that database").with_hint(format!("it has {names}"))
            );
        }
        match chosen.windows(2).find(|pair| matches!(pair, [one, other] if one.found.name == other.found.name)) {
            Some([one, other]) => {
                let (name, one, other) = (&one.found.name, &one.dump, &other.dump);
                Err(Error::failed(format!("the archive has {name} twice, in {one} and {other}")))
            }
            _ => {
                all_are_there(&chosen)?;
                Ok(chosen)
            }
        }
    }

    /// What the director has to say to that.
    async fn asked(
        &self,
        cx: &Context,
        chosen: Vec<InArchive>,
        mut roles: BTreeMap<String, Vec<String>>,
        versions: BTreeSet<String>,
    ) -> Result<Plan> {
        let (host, postgres) = (&*self.director.host, &self.director.postgres);
        let units = match self.choice {
            Choice::Beside(..) => Vec::new(),
            _ => self.director.services(&Progress::default()).running().await.doing(|| "ask what runs on the director")?,
        };
        if !matches!(self.choice, Choice::Beside(..)) && !units.contains(&self.director.database()) {
            let service = &postgres.service;
            return Err(Error::failed(format!("{service} does not run on {}", host.name()))
                .with_hint("start it: databases are loaded while it runs"));
        }
        let version = postgres.version(host).await?;
        if let Some(other) = versions.iter().find(|of| major(of) != major(&version))
            && !self.other_director
        {
            return Err(another(&format!("the dump is of PostgreSQL {other}, and the director has {version}")));
        }
        let names = postgres.databases(host).await?;
        let roles_there = postgres.roles(host).await?;
        let stamp = self.started.strftime("%Y%m%d%H%M%S").to_string();
        let mut databases = Vec::new();
        for (number, InArchive { dump, found }) in chosen.into_iter().enumerate() {
            let target = match &self.choice {
                Choice::Beside(_, target) => target.clone(),
                _ => found.name.clone(),
            };
            let is_there = names.contains(&target);
            if is_there && matches!(self.choice, Choice::Beside(..)) {
                return Err(Error::new(Kind::AlreadyExists, format!("there is a database {target} on {}", host.name()))
                    .with_hint("give another name with --as, or drop it first"));
            }
            let replaced = is_there.then(|| format!("{target}_before_{stamp}"));
            let longest = replaced.as_ref().unwrap_or(&target);
            if longest.len() > LONGEST_NAME {
                return Err(Error::usage(format!("{longest} is too long for the name of a database")));
            }
            let working = format!("{WORKING}{number}_{stamp}");
            // The first of a dump makes its roles.
            let mut roles = roles.remove(&dump).unwrap_or_default();
            roles.retain(|role| !roles_there.contains(role));
            let Found { name, rows, bytes, replaced: ids } = found;
            databases.push(Planned { name, target, replaced, rows, bytes, roles, ids, dump, working });
        }
        self.has_room(cx, databases.iter().map(|planned| planned.bytes).sum()).await?;
        let left = names.into_iter().filter(|name| name.starts_with(WORKING)).collect();
        Ok(Plan { databases, units, left })
    }

    /// Rows take more on disk than in a dump, and indexes come on top. A full disk would stop those who run there.
    async fn has_room(&self, cx: &Context, bytes: u64) -> Result<()> {
        let (needed, host) = (bytes.saturating_mul(2), &*self.director.host);
        match self.director.postgres.free(host).await? {
            Some(free) if free < needed => {
                let what = format!(
                    "PostgreSQL on {} has {free} bytes of disk left, and the databases take up to {needed}",
                    host.name()
                );
                Err(Error::failed(what).with_hint("free some space there"))
            }
            Some(_) => Ok(()),
            None => {
                cx.tell(Event::Warning { what: "how much room PostgreSQL has on the director is not known" });
                Ok(())
            }
        }
    }
}

/// An id that is to become another must be in some row: it is misspelt else, or of another archive.
fn all_are_there(chosen: &[InArchive]) -> Result<()> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for (id, count) in chosen.iter().flat_map(|one| &one.found.replaced) {
        *counts.entry(id).or_default() += count;
    }
    match counts.iter().find(|(_, count)| **count == 0) {
        Some((id, _)) => Err(Error::new(Kind::NotFound, format!("no row of what comes back has the id {id}"))
            .with_hint("look into the database: restore it beside the one that is there, with --database and --as")),
        None => Ok(()),
    }
}

/// What is to be done about a dump that is none, or not whole.
fn hinted(error: Error) -> Error {
    match error.hint() {
        Some(_) => error,
        None => error.with_hint("restore from another archive"),
    }
}

/// The archive is of another director, and nobody said that this is meant.
pub(crate) fn another(what: &str) -> Error {
    Error::usage(what.to_owned()).with_hint(
        "its database names the machines and disks of the director that it was of: give --other-director if that is meant",
    )
}
