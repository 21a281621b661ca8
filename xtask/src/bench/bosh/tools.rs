//! What is measured: the commands of both sides, what each leaves, and whether that is what the director has.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use backup_tests::{Director, rsync};

use super::super::Result;
use super::super::files;
use super::super::frame::Work;
use super::super::random::Random;
use super::super::tools::{Sample, bytes, ok};

/// Who does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Ours,
    /// microbosh-simple-backup, by its commands.
    Seed,
}

/// A piece of work. What is `Down` stops and starts services, and its time is that from the last stop to the first start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Job {
    /// A copy into an empty cache.
    First,
    /// A copy into a cache that is as the director.
    Unchanged,
    /// A copy of what has changed of it: of every fiftieth file all.
    Changed,
    /// A copy of which nothing has changed, and an archive of the cache.
    Archived,
    DownFirst,
    DownUnchanged,
    DownChanged,
}

impl Job {
    fn is_first(self) -> bool {
        matches!(self, Self::First | Self::DownFirst)
    }

    fn is_changed(self) -> bool {
        matches!(self, Self::Changed | Self::DownChanged)
    }

    fn stops(self) -> bool {
        matches!(self, Self::DownFirst | Self::DownUnchanged | Self::DownChanged)
    }
}

/// The director, and where the files lie.
pub(super) struct Tools<'a> {
    pub(super) program: PathBuf,
    director: &'a Director,
    /// The one of this machine.
    rsync: PathBuf,
    work: PathBuf,
    /// Most of what the director has.
    pub(super) blobs: PathBuf,
    /// Of what the next changes are made, and which files have them.
    changes: RefCell<(Random, usize)>,
}

const LIST: &str = "- micro/\n- monit/\n- packages/\n- sys\n+ bosh\n+ bosh/settings.json\n- bosh/**\n+ store\n+ store/**\n";

/// The first lines of what the seed does, in bash.
const SEED: &str = r#"
on() { ssh -F "$WORK/ssh_config" -n director "$@"; }
monit() { on sudo /var/vcap/bosh/bin/monit "$@"; }
copy() {
    mkdir -p "$CACHE/vcap"
    rsync -arz -AX --delete --rsync-path='sudo rsync' -e "ssh -F $WORK/ssh_config" --include-from="$WORK/list" \
        director:/var/vcap/ "$CACHE/vcap/"
}
"#;

const STOPPED: &str = r#"
monit stop all
until monit summary | awk '/Process/ && !/Not monitored/ { bad = 1 } /pending/ { bad = 1 } END { exit bad }'; do sleep 0.2; done
on sudo sv stop agent
began=$(date +%s%N)
copy
echo $((($(date +%s%N) - began) / 1000000)) >"$OUT/ms"
monit start all
on sudo sv start agent
"#;

impl<'a> Tools<'a> {
    /// Puts rsync on the director, and writes what both sides are told of it.
    pub(super) fn new(program: PathBuf, director: &'a Director, work: PathBuf) -> Result<Self> {
        let rsync = PathBuf::from(rsync().ok_or("there is no rsync: run ci/install")?.get_program());
        let root = rsync.ancestors().nth(3).ok_or("rsync is not below usr/bin")?;
        let mut tar = Command::new("tar").arg("-C").arg(root).args(["-c", "."]).stdout(Stdio::piped()).spawn()?;
        let wrapper = r#"mkdir -p /opt/rsync; tar -C /opt/rsync -x; cat >/usr/bin/rsync <<'EOF'
#!/bin/sh
lib=/opt/rsync/lib/x86_64-linux-gnu
exec $lib/ld-linux-x86-64.so.2 --library-path $lib:/opt/rsync/usr/lib/x86_64-linux-gnu /opt/rsync/usr/bin/rsync.bin "$@"
EOF
chmod 755 /usr/bin/rsync"#;
        let input = tar.stdout.take().ok_or("tar has no output")?;
        ok(director.root("sh").args(["-euc", wrapper]).stdin(input).status()?, "put rsync on the director")?;
        ok(tar.wait()?, "read rsync")?;
        let blobs = director.store().join("blobstore");
        fs::create_dir(&blobs)?;
        fs::write(work.join("list"), LIST)?;
        let (port, key, known) = (director.ssh_port(), director.key(), director.known_hosts());
        let (key, known) = (key.display(), known.display());
        let config = format!(
            "Host director\n  HostName 127.0.0.1\n  Port {port}\n  User vcap\n  BatchMode yes\n  IdentityFile {key}\n  UserKnownHostsFile {known}\n"
        );
        fs::write(work.join("ssh_config"), config)?;
        let list = format!("RSYNC_LIST() {{\ncat <<EOF\n{LIST}EOF\n}}\n");
        for (name, output) in
            [("copy.conf", String::new()), ("archive.conf", format!("OUTPUT={}/out/ours.tar.zst\n", work.display()))]
        {
            let text = format!(
                "USER=vcap\nHOST=127.0.0.1:{port}\nSSH_PRIVATE_KEY={key}\nSSH_OPTIONS=\"BatchMode=yes UserKnownHostsFile={known}\"\n\
                 CACHE={0}/ours\nDBS=\"\"\nLOG_PATH={0}/log\nPROCESS_TIME_LIMIT=60\n{output}{list}",
                work.display()
            );
            fs::write(work.join(name), text)?;
        }
        Ok(Self { program, director, rsync, work, blobs, changes: RefCell::new((Random::default(), 0)) })
    }

    /// Gives the files to the director's user, and to both sides a cache of them.
    pub(super) fn prepare(&self) -> Result<()> {
        self.director.sh("chown -R vcap:vcap /var/vcap/store/blobstore");
        [Side::Ours, Side::Seed].into_iter().try_for_each(|side| self.copy(side))
    }

    /// Makes the cache as the director is.
    fn copy(&self, side: Side) -> Result<()> {
        ok(self.shell(side, script(side, Job::Unchanged)).status()?, "copy what the director has")
    }

    /// Writes other bytes into every fiftieth file, not the same ones each time.
    fn change(&self) -> Result<()> {
        let (random, nth) = &mut *self.changes.borrow_mut();
        *nth += 1;
        for path in files::files(&self.blobs)?.into_values().skip(*nth % 50).step_by(50) {
            let size = fs::metadata(&path)?.len() as usize;
            files::write(&path, size, false, random)?;
        }
        Ok(())
    }

    fn cache(&self, side: Side) -> PathBuf {
        self.work.join(if side == Side::Ours { "ours" } else { "seed" })
    }

    /// Waits until everything on the director runs.
    fn is_up(&self) {
        let up =
            "until [ $(monit summary | grep -c ' OK .*Process') = 3 ] && sv status agent | grep -q ^run:; do sleep 0.2; done";
        self.director.sh(up);
    }

    fn shell(&self, side: Side, script: &str) -> Command {
        let mut path = std::env::var("PATH").unwrap_or_default();
        for folder in [self.director.client(), self.rsync.clone()].iter().filter_map(|program| program.parent()) {
            path = format!("{}:{path}", folder.display());
        }
        let mut shell = Command::new("bash");
        shell.args(["-c", &format!("set -euo pipefail; {SEED}{script}")]).stdin(Stdio::null()).stdout(Stdio::null());
        shell.env("PATH", path).env("HOME", &self.work).env("STATE_DIRECTORY", self.work.join("state"));
        shell
            .env("OURS", &self.program)
            .env("WORK", &self.work)
            .env("OUT", self.work.join("out"))
            .env("CACHE", self.cache(side));
        shell
    }

    /// How long services were down, as the run has said.
    fn downtime(&self, side: Side) -> Result<Duration> {
        let said = fs::read_to_string(self.work.join(if side == Side::Ours { "out/result" } else { "out/ms" }))?;
        let millis = match side {
            Side::Seed => said.trim().parse()?,
            Side::Ours => {
                let result: serde_json::Value = serde_json::from_str(said.lines().last().unwrap_or_default())?;
                result["downtime_ms"].as_u64().ok_or("it does not say how long services were down")?
            }
        };
        Ok(Duration::from_millis(millis))
    }
}

/// The shell's words for a piece of work.
fn script(side: Side, job: Job) -> &'static str {
    match (side, job) {
        (Side::Ours, Job::Archived) => r#""$OURS" -q -c "$WORK/archive.conf" --online backup"#,
        (Side::Ours, _) if job.stops() => {
            r#""$OURS" --json -c "$WORK/copy.conf" backup >"$OUT/result" 2>"$OUT/said" || { cat "$OUT/said" >&2; exit 1; }"#
        }
        (Side::Ours, _) => r#""$OURS" -q -c "$WORK/copy.conf" --online backup"#,
        (Side::Seed, Job::Archived) => {
            r#"copy; sync -f "$CACHE"; tar -acv --acls --atime-preserve -f "$OUT/seed.tgz" -C "$CACHE" vcap; sync -f "$OUT""#
        }
        (Side::Seed, _) if job.stops() => STOPPED,
        (Side::Seed, _) => r#"copy; sync -f "$CACHE""#,
    }
}

impl Work for Tools<'_> {
    type Way = (Side, Job);

    fn name(&self, (side, job): (Side, Job)) -> &'static str {
        match (side, job) {
            (Side::Ours, Job::First) => "`backup --online`, empty cache",
            (Side::Ours, Job::Unchanged) => "`backup --online`, nothing changed",
            (Side::Ours, Job::Changed) => "`backup --online`, 2 % changed",
            (Side::Ours, Job::Archived) => "`backup --online`, nothing changed, `.tar.zst`",
            (Side::Ours, Job::DownFirst) => "downtime of `backup`, empty cache",
            (Side::Ours, Job::DownUnchanged) => "downtime of `backup`, nothing changed",
            (Side::Ours, Job::DownChanged) => "downtime of `backup`, 2 % changed",
            (Side::Seed, Job::First) => "rsync, empty cache",
            (Side::Seed, Job::Unchanged) => "rsync, nothing changed",
            (Side::Seed, Job::Changed) => "rsync, 2 % changed",
            (Side::Seed, Job::Archived) => "rsync, nothing changed, `.tgz`",
            (Side::Seed, Job::DownFirst) => "stop, rsync, start; empty cache",
            (Side::Seed, Job::DownUnchanged) => "stop, rsync, start; nothing changed",
            (Side::Seed, Job::DownChanged) => "stop, rsync, start; 2 % changed",
        }
    }

    fn run(&self, (side, job): (Side, Job)) -> Result<Sample> {
        fs::create_dir(self.work.join("out"))?;
        if job.is_first() {
            fs::remove_dir_all(self.cache(side))?;
        } else {
            self.copy(side)?;
        }
        if job.is_changed() {
            self.change()?;
        }
        self.is_up();
        let sample = Sample::of(self.name((side, job)), || Ok(Duration::ZERO), &mut self.shell(side, script(side, job)))?;
        let wall = if job.stops() { self.downtime(side)?.as_secs_f64() } else { sample.wall };
        let (bytes_in, bytes_out) = (bytes(&self.blobs)?, bytes(&self.work.join("out"))?);
        Ok(Sample { wall, bytes_in, bytes_out, ..sample })
    }

    fn check(&self, (side, job): (Side, Job)) -> Result<()> {
        let mut copy = self.cache(side);
        if job == Job::Archived {
            let archive = if side == Side::Ours { "ours.tar.zst" } else { "seed.tgz" };
            copy = self.work.join("out/unpacked");
            fs::create_dir(&copy)?;
            unpack(&self.work.join("out").join(archive), &copy)?;
        }
        files::compare(&self.blobs, &copy.join("vcap/store/blobstore"))
    }

    fn tidy(&self, _: (Side, Job)) -> Result<()> {
        Ok(fs::remove_dir_all(self.work.join("out"))?)
    }
}

fn unpack(archive: &Path, into: &Path) -> Result<()> {
    ok(Command::new("tar").arg("-x").arg("-f").arg(archive).arg("-C").arg(into).status()?, "unpack an archive")
}
