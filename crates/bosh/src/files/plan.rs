//! What a restore of files would do, found out before it touches anything: the archive is read to its end, the director is asked.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use backup_core::sorted::{Sorted, Sorter};
use backup_core::{Context, Doing, Error, Event, Kind, Lifecycle, Result, Unit};
use backup_host::Command;

use super::chosen::Chosen;
use super::members::Members;
use super::places::{Place, places};
use super::there::{Opened, there};
use super::{Files, Source, Step};
use crate::archive::Manifest;
use crate::copy::{Archive, Type, blocking, key_of, read_blocking};
use crate::director::ROOT;
use crate::postgres::{free, major};
use crate::restore::another;
use crate::{Filter, Progress};

/// The file of a database cluster that says of which version it is, and the one that it has while its server runs.
const VERSION: &[u8] = b"/PG_VERSION";
const RUNS: &[u8] = b"/postmaster.pid";

/// How much of a version is read, in bytes.
const LONGEST: u64 = 64;

/// What a file takes on disk beside what is in it, at most, in bytes.
const BLOCK: u64 = 4096;

/// What a restore of files would do.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The names that are replaced.
    pub places: Vec<Place>,
    /// How many files come back, folders and others among them.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What runs there, and is stopped.
    pub units: Vec<Unit>,
    pub(super) chosen: Chosen,
    pub(super) opened: Opened,
}

/// What comes back, as far as it is known without unpacking it.
struct Coming {
    /// Their keys, each with whether it is a folder.
    listed: Sorted,
    /// Which of the paths that are chosen have anything.
    found: BTreeSet<Vec<u8>>,
    files: u64,
    bytes: u64,
    /// What they take on disk, by where that is mounted.
    taken: BTreeMap<Vec<u8>, u64>,
    /// Of which versions of PostgreSQL they are.
    versions: BTreeSet<String>,
    /// The sign that its server ran.
    runs: Option<Vec<u8>>,
}

impl Files {
    /// Reads the archive to its end, and asks the director. Changes nothing.
    pub async fn plan(&self, cx: &Context) -> Result<Plan> {
        cx.tell(Event::Stage { what: Step::Verify.name() });
        let known = self.source.known(cx).await?;
        self.is_of_this_director(known.as_ref())?;
        let list = known.as_ref().and_then(|known| known.list.as_deref());
        let filter = match list {
            Some(list) => Filter::parse(list.as_bytes()).doing(|| "read the list of files in the manifest")?,
            None => self.filter.clone(),
        };
        let chosen = Chosen::new(&self.paths, &filter)?;
        cx.tell(Event::Stage { what: Step::Check.name() });
        cx.unless_cancelled(self.asked(cx, chosen, known.as_ref())).await.doing(|| Step::Check.name())
    }

    /// What a manifest says of whom it is of.
    fn is_of_this_director(&self, known: Option<&Manifest>) -> Result<()> {
        let Some(manifest) = known else { return Ok(()) };
        let here = self.director.name.as_str();
        if manifest.director != here && !self.other_director {
            return Err(another(&format!("the archive is of {}, and this is {here}", manifest.director)));
        }
        match manifest.owners {
            Some(false) => Err(Error::failed("the archive does not have the owners of its files, as root did not make it")
                .with_hint("let root take the backup; what has lost its owners is put back by hand")),
            _ => Ok(()),
        }
    }

    async fn asked(&self, cx: &Context, chosen: Chosen, known: Option<&Manifest>) -> Result<Plan> {
        let host = &*self.director.host;
        self.director.programs_are_gnu().await?;
        self.root_may_run_scripts().await?;
        let units = self.director.services(&Progress::default()).running().await.doing(|| "ask what runs on the director")?;
        let there = there(cx, host, &chosen, &self.spill).await?;
        let coming = self.coming(cx, chosen.clone(), there.opened.clone()).await?;
        if let Some(path) = chosen.paths.iter().find(|path| !coming.found.contains(*path)) {
            return Err(Error::new(Kind::NotFound, format!("nothing comes back as {ROOT}/{}", path.escape_ascii()))
                .with_hint("look what is in the archive, and whether the list of files leaves that out"));
        }
        self.database_fits(&coming, known).await?;
        for (mount, taken) in &coming.taken {
            self.has_room(cx, mount, *taken).await?;
        }
        let Coming { listed, files, bytes, .. } = coming;
        // What the archive does not have was not there, or was not in the list: only its manifest tells which.
        let removes = known.is_some_and(|known| known.list.is_some());
        let (places, opened) = blocking(move || places(there, listed, removes)).await?;
        Ok(Plan { places, files, bytes, units, chosen, opened })
    }

    async fn root_may_run_scripts(&self) -> Result<()> {
        let host = &self.director.host;
        let answer = host.answer(&Command::new("sh").args(["-c", "command -v flock"]).sudo()).await?;
        match answer.status {
            0 => Ok(()),
            _ => Err(Error::failed(format!("sudo does not let sh run on {}, or flock is not there", host.name()))
                .with_source(answer.stderr.split_whitespace().collect::<Vec<_>>().join(" "))
                .with_hint("let the login user run sh by sudo without a password: files are put in place by a script")),
        }
    }

    /// Reads what comes back, to its end.
    async fn coming(&self, cx: &Context, chosen: Chosen, opened: Opened) -> Result<Coming> {
        let (body, spill) = (self.source.tar(cx).await?, self.spill.clone());
        let read = read_blocking(body, move |reader| {
            let (mut archive, mut members) = (Archive::new(reader), Members::new(chosen.clone()));
            let mut sorter = Sorter::new(&spill);
            let (mut found, mut versions, mut runs) = (BTreeSet::new(), BTreeSet::new(), None);
            let (mut files, mut bytes, mut taken) = (0_u64, 0_u64, BTreeMap::<Vec<u8>, u64>::new());
            while let Some(member) = archive.next()? {
                let Some(coming) = members.of(&member)? else { continue };
                let path = coming.path;
                let is_file = coming.entry.kind == Type::File;
                found.extend(chosen.paths.iter().find(|one| **one == path).cloned());
                (files, bytes) = (files + 1, bytes.saturating_add(archive.left()));
                let taken = taken.entry(opened.mount_of(&path).to_owned()).or_default();
                *taken = taken.saturating_add(archive.left()).saturating_add(BLOCK);
                if is_file && path.ends_with(RUNS) {
                    runs = Some(path.clone());
                }
                if is_file && coming.link.is_none() && path.ends_with(VERSION) && member.size <= LONGEST {
                    let mut version = Vec::new();
                    archive.content(&member, |_, bytes| {
                        version.extend_from_slice(bytes);
                        Ok(())
                    })?;
                    versions.insert(String::from_utf8_lossy(&version).trim().to_owned());
                }
                sorter.push((key_of(&path), vec![u8::from(coming.entry.kind == Type::Folder)]))?;
            }
            archive.finish()?;
            Ok(Coming { listed: sorter.finish()?, found, files, bytes, taken, versions, runs })
        });
        let doing = match self.source {
            Source::Archive(_) => "read the archive",
            Source::Cache(_) => "read the cache",
        };
        cx.unless_cancelled(read).await.doing(|| doing)
    }

    /// Whether what comes back of a database can be served: it was copied while no server wrote, and is of the version that is there.
    async fn database_fits(&self, coming: &Coming, known: Option<&Manifest>) -> Result<()> {
        let was_stopped = known.is_some_and(|known| !known.stopped.is_empty());
        if let Some(path) = coming.runs.as_ref().filter(|_| !was_stopped) {
            let what = format!("{} was copied while its server ran: its files do not fit together", path.escape_ascii());
            return Err(Error::failed(what).with_hint(
                "restore an archive that was taken with services stopped, or choose other files with --path; databases come back out of dumps",
            ));
        }
        if coming.versions.is_empty() {
            return Ok(());
        }
        let there = self.director.postgres.version_of_programs(&*self.director.host).await?;
        let Some(there) = there else { return Ok(()) };
        match coming.versions.iter().find(|version| major(version) != major(&there)) {
            Some(other) if !self.other_director => {
                Err(another(&format!("files of PostgreSQL {other} come back, and the director has {there}")))
            }
            _ => Ok(()),
        }
    }

    /// What comes back lies beside what is there for a while.
    async fn has_room(&self, cx: &Context, mount: &[u8], needed: u64) -> Result<()> {
        let host = &*self.director.host;
        let folder = Path::new(ROOT).join(super::there::as_path(mount));
        match free(host, folder.as_os_str()).await? {
            Some(free) if free < needed => {
                let what = format!("{} on {} has {free} bytes left, and {needed} come back", folder.display(), host.name());
                Err(Error::failed(what).with_hint("free some space there, or choose less with --path"))
            }
            Some(_) => Ok(()),
            None => {
                cx.tell(Event::Warning { what: "how much room the director has is not known" });
                Ok(())
            }
        }
    }
}
