//! The steps of a copy, in their order.

use std::io;

use backup_core::sorted::{Sorted, Sorter};
use backup_core::{Body, Context, Doing, Error, Event, Result};
use backup_host::{Command, Host};

use super::apply::{Applied, apply};
use super::bridge;
use super::cache::{Cache, is_gone};
use super::change::make_special;
use super::entry::{Entry, Time, Type, key_of};
use super::plan::{Plan, Sides, further_names, plan};
use super::record::{Record, Writer};
use super::walk::walk;
use super::{Copy, Report, listing};

/// How often a tree is listed whose folders vanish meanwhile.
const LISTINGS: usize = 3;

/// After how many files a listing tells that it gets on.
const TOLD: u64 = 1000;

/// What a listing told.
struct Listed {
    listed: Sorted,
    links: Sorted,
}

impl Copy {
    /// Makes the cache what the tree is: reads what changed, and deletes what is gone.
    ///
    /// Nothing is deleted before the whole tree was listed and all that changed was read; nothing at all if the tree, or a file system
    /// in it, is not there, or is empty and was not. What the filter leaves out stays in the cache as it is. Whatever breaks off, each
    /// file of the cache is what it was before or what it is now, and the next run goes on from there.
    ///
    /// Files that vanish and change meanwhile are no failure: the next run reads them again, even if their size and time
    /// do not tell. Another copy into the same cache is [`Kind::Busy`](backup_core::Kind::Busy).
    pub async fn run(&self, cx: &Context, host: &dyn Host) -> Result<Report> {
        cx.unless_cancelled(self.go(cx, host)).await.doing(|| format!("copy {} of {}", self.root.display(), host.name()))
    }

    async fn go(&self, cx: &Context, host: &dyn Host) -> Result<Report> {
        if !self.root.is_absolute() {
            return Err(Error::usage(format!("{} is no whole path", self.root.display())).with_hint("begin it with a slash"));
        }
        let cache = self.open().await?;
        if !cache.by_root() {
            cx.tell(Event::Warning { what: "owners and groups are not kept in the cache, as this user is not root" });
        }
        // Before anything is listed: what changes from here on is read again next time.
        let since = self.clock(host).await?;
        let root_is_mount = self.root_is_mount(host).await?;
        cx.tell(Event::Stage { what: "list files" });
        let Listed { listed, links } = self.list(cx, host, &cache).await?;
        let plan = self.plan(&cache, since, root_is_mount, listed, links).await?;
        if plan.devices > 0 {
            let what = format!("{} devices are left out, as only root can make one", plan.devices);
            cx.tell(Event::Warning { what: &what });
        }
        if !plan.emptied.is_empty() && !self.emptied {
            let named = plan.emptied.iter().map(|path| self.root.join(path).display().to_string()).collect::<Vec<_>>();
            let what = format!("{} had files and is empty or not mounted now; nothing was changed", named.join(", "));
            return Err(Error::failed(what).with_hint("mount it and run it again, or say that it is meant to be empty"));
        }
        cx.tell(Event::Begun { what: "copy", parts: 1, bytes: Some(plan.counts.asked_bytes) });
        cx.tell(Event::PartBegun { part: &self.name });
        let applied = self.transfer(cx, host, &cache, &plan).await?;
        cx.tell(Event::PartDone { part: &self.name, bytes: applied.bytes });
        cx.tell(Event::Stage { what: "delete what is gone" });
        bridge::blocking(move || finish(cache, plan, applied)).await
    }

    async fn open(&self) -> Result<Cache> {
        let (path, record) = (self.cache.clone(), self.record.clone());
        bridge::blocking(move || {
            let cache = Cache::open(&path)?;
            let inside = record.parent().and_then(|folder| folder.canonicalize().ok());
            match inside.is_some_and(|folder| path.canonicalize().is_ok_and(|cache| folder.starts_with(cache))) {
                true => Err(Error::usage(format!("the record {} would lie in the cache that it is of", record.display()))
                    .with_hint("put it beside the cache")),
                false => Ok(cache),
            }
        })
        .await
    }

    fn command(&self, program: &str) -> Command {
        let command = Command::new(program);
        if self.sudo { command.sudo() } else { command }
    }

    /// What time it is there.
    async fn clock(&self, host: &dyn Host) -> Result<Time> {
        let answer = host.answer(&Command::new("date").arg("+%s.%N")).await?;
        let time = Time::parse(answer.stdout.trim_ascii()).filter(|_| answer.status == 0);
        time.ok_or_else(|| {
            Error::failed(format!("{} does not tell what time it is", host.name()))
                .with_source(answer.stderr)
                .with_hint("look whether date there is GNU date")
        })
    }

    /// Whether another file system begins at the folder.
    async fn root_is_mount(&self, host: &dyn Host) -> Result<bool> {
        let here = self.root.join(".");
        let above = self.root.join("..");
        let command = self.command("find").arg(here).arg(above).args(["-maxdepth", "0", "-printf", r"%D\n"]);
        let answer = host.answer(&command).await?;
        let said = String::from_utf8_lossy(&answer.stdout);
        let devices: Vec<&str> = said.lines().collect();
        match devices.as_slice() {
            [here, above] if answer.status == 0 => Ok(here != above),
            _ => Err(Error::failed(format!("there is no folder {} on {} that can be read", self.root.display(), host.name()))
                .with_source(answer.stderr)
                .with_hint("look whether it is mounted, and whether the user may read it")),
        }
    }

    async fn list(&self, cx: &Context, host: &dyn Host, cache: &Cache) -> Result<Listed> {
        let command = self.command("find").args(listing::arguments(&self.root));
        let mut attempt = 1;
        loop {
            let body = host.run(&command, None).await?;
            match self.listed(cx, body, cache).await {
                // Folders that came and went, more of them than can be told.
                Err(error) if attempt < LISTINGS && error.chain().contains("No such file or directory") => attempt += 1,
                listed => return listed,
            }
        }
    }

    async fn listed(&self, cx: &Context, body: Body, cache: &Cache) -> Result<Listed> {
        let (filter, spill) = (self.filter.clone(), cache.path().to_owned());
        let (cx, part) = (cx.clone(), self.name.clone());
        bridge::read(body, move |reader| {
            let mut listed = Sorter::new(&spill);
            let mut groups = Sorter::new(&spill);
            let mut count: u64 = 0;
            listing::read(reader, |path, entry| {
                count += 1;
                if count.is_multiple_of(TOLD) {
                    cx.tell(Event::Progress { part: &part, bytes: 0 });
                }
                let is_folder = entry.kind == Type::Folder;
                let included = path.is_empty() || filter.reaches(path, is_folder);
                let key = key_of(path);
                if included && !is_folder && entry.names > 1 {
                    let file = [entry.device.to_be_bytes(), entry.inode.to_be_bytes()].concat();
                    groups.push(([file, key.clone()].concat(), Vec::new()))?;
                }
                listed.push((key, [&[u8::from(included)], entry.to_bytes().as_slice()].concat()))?;
                Ok(())
            })?;
            Ok(Listed { listed: listed.finish()?, links: further_names(&spill, groups.finish()?)? })
        })
        .await
    }

    async fn plan(&self, cache: &Cache, since: Time, root_is_mount: bool, listed: Sorted, links: Sorted) -> Result<Plan> {
        let (filter, path, mut cache) = (self.filter.clone(), self.record.clone(), cache.clone());
        bridge::blocking(move || {
            let record = Record::open(&path)?;
            if record.is_none() {
                // If this copy breaks off, the next one knows since when what it finds in the cache may have changed.
                Writer::new(&path, since)?.commit()?;
            }
            let cached = walk(&mut cache, &filter)?;
            plan(&cache, &filter, Sides { listed, links, cached, record, root_is_mount }, Writer::new(&path, since)?)
        })
        .await
    }

    async fn transfer(&self, cx: &Context, host: &dyn Host, cache: &Cache, plan: &Plan) -> Result<Applied> {
        let (mut cache, asked) = (cache.clone(), plan.asked.clone());
        let body = if plan.asked.is_empty() {
            return Applied::none(cache.path());
        } else {
            host.run(&self.command("tar").args(TAR).arg(&self.root).args(FED), Some(plan.asked.body()?)).await?
        };
        let (cx, part) = (cx.clone(), self.name.clone());
        bridge::read(body, move |reader| {
            apply(reader, &mut cache, &asked, |bytes| cx.tell(Event::Progress { part: &part, bytes }))
        })
        .await
    }
}

/// Options come before the list that they are for. Links between files are ours: each file is asked for by one name alone.
const TAR: [&str; 11] = [
    "--create",
    "--file=-",
    "--format=pax",
    "--no-recursion",
    "--no-unquote",
    "--hard-dereference",
    "--numeric-owner",
    "--xattrs",
    "--acls",
    "--sparse",
    "--directory",
];
const FED: [&str; 2] = ["--null", "--files-from=-"];

/// What comes when all that changed is there: sockets, links, deletions, what folders are to have, and the record.
fn finish(mut cache: Cache, mut plan: Plan, mut applied: Applied) -> Result<Report> {
    let mut report = Report {
        files: plan.counts.files,
        bytes: plan.counts.bytes,
        read_files: applied.files,
        read_bytes: applied.bytes,
        missed: applied.missed,
        ..Report::default()
    };
    while let Some(path) = applied.missing.next()? {
        // What the cache has of it is older than what is recorded of it.
        let removed = cache.remove(&path, false);
        if !removed.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::IsADirectory) {
            cache.told("delete", &path, removed)?;
        }
    }
    while let Some((path, entry)) = plan.sockets.pair()? {
        let entry = Entry::from_bytes(&entry).ok_or_else(|| Error::failed("what was put down of a socket is not read back"))?;
        let finisher = cache.clone();
        let made = cache.put(&path, |folder, name| {
            make_special(folder, name, Type::Socket, (0, 0))?;
            finisher.finish(folder, name, Type::Socket, (&entry).into(), &[])
        });
        report.missed += u64::from(was_gone(&cache, "make", &path, made)?.is_none());
    }
    while let Some((first, path)) = plan.links.pair()? {
        let linked = cache.link(&first, &path);
        match was_gone(&cache, "link", &path, linked)? {
            Some(linked) => report.linked += u64::from(linked),
            None => {
                report.missed += 1;
                let removed = cache.remove(&path, false);
                was_gone(&cache, "delete", &path, removed)?;
            }
        }
    }
    while let Some((path, flag)) = plan.deletions.pair()? {
        let removed = cache.remove(&path, flag == [1]);
        report.deleted += u64::from(cache.told("delete", &path, removed)?);
    }
    while let Some((path, entry)) = plan.folders.pair()? {
        let entry = Entry::from_bytes(&entry).ok_or_else(|| Error::failed("what was put down of a folder is not read back"))?;
        let finished = cache.finish_folder(&path, (&entry).into());
        was_gone(&cache, "give its rights to", &path, finished)?;
    }
    let synced = cache.sync();
    cache.told("write to disk", b"", synced)?;
    plan.record.commit()?;
    Ok(report)
}

/// What was done; `None` if a folder on the way is not there, as it was gone when it was to be read.
fn was_gone<T>(cache: &Cache, verb: &str, path: &[u8], done: io::Result<T>) -> Result<Option<T>> {
    match done {
        Err(error) if is_gone(&error) => Ok(None),
        done => cache.told(verb, path, done).map(Some),
    }
}
