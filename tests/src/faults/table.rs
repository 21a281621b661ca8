//! What programs that sync a bucket into a folder leave there when the gateway fails them: each fault once, for any of them.
//!
//! A bucket that a gateway lists in four pages was synced; then one object changed, one came and one went. The program syncs again, with
//! deletion, through a proxy that spoils answers as long as that lasts. Buckets with odd keys, and with an object that changes while it is
//! fetched, are synced into empty folders.

mod lane;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Asked, Fault, When};
use crate::{Rgw, S3Keys, SmallDisk, bytes};

use lane::Lane;
pub use lane::Program;

/// How much there is to sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scale {
    /// How many lines a page of a listing has.
    pub page: u32,
    /// The size of an object that is fetched in several requests, in bytes.
    pub large: usize,
}

impl Scale {
    /// 1,000 lines, which no gateway can be told to make less for programs that do not say how many they want, and an object that is too
    /// large for one request of any.
    pub const FULL: Self = Self { page: 1000, large: 60 << 20 };
}

/// How many pages the bucket has.
const PAGES: u32 = 4;
/// How many cases run at once: they wait mostly.
const LANES: usize = 4;

/// What goes wrong, in which requests, after how many of them that pass.
fn cases(page: u32) -> [(&'static str, Asked, usize, Fault); 17] {
    [
        ("page 3 of the listing answers 500", Asked::Listing, 2, Fault::Answer(500, "InternalError")),
        ("page 3 answers 503", Asked::Listing, 2, Fault::Answer(503, "SlowDown")),
        ("page 3 never comes", Asked::Listing, 2, Fault::Hang),
        ("page 3 is a reset connection", Asked::Listing, 2, Fault::Reset),
        ("page 3 breaks off", Asked::Listing, 2, Fault::Cut(900)),
        ("page 3 comes short, as if that were all", Asked::Listing, 2, Fault::Short(900)),
        ("the listing ends after page 2, with 200", Asked::Listing, 1, Fault::End(page as usize)),
        ("the listing is empty, with 200", Asked::Listing, 0, Fault::End(0)),
        ("objects break off before their first byte", Asked::Get, 0, Fault::Cut(0)),
        ("objects come short, as if that were all", Asked::Get, 0, Fault::Short(0)),
        ("objects have a wrong bit", Asked::Get, 0, Fault::Flip(1000)),
        ("objects answer 500", Asked::Get, 0, Fault::Answer(500, "InternalError")),
        ("the bucket vanishes before page 1", Asked::Listing, 0, Fault::Answer(404, "NoSuchBucket")),
        ("the bucket vanishes before page 3", Asked::Listing, 2, Fault::Answer(404, "NoSuchBucket")),
        ("the keys expire before page 3", Asked::Listing, 2, Fault::Answer(400, "ExpiredToken")),
        ("the keys are wrong from the first object on", Asked::Get, 0, Fault::Answer(403, "InvalidAccessKeyId")),
        ("the clocks are apart", Asked::Listing, 0, Fault::Answer(403, "RequestTimeTooSkewed")),
    ]
}

/// A key that no file can be called, or that leads elsewhere.
fn keys() -> [(&'static str, Vec<String>); 5] {
    let keys = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect();
    [
        ("one key is `../up`", keys(&["../up", "a"])),
        ("two keys differ by a leading slash", keys(&["/a", "a"])),
        ("one key is a folder of another", keys(&["a", "a/b", "c"])),
        ("one key has a line feed", keys(&["a\nb", "c"])),
        ("one key has 1,024 bytes and no slash", vec!["x".repeat(1024), "c".to_owned()]),
    ]
}

/// What happens to an object in several pieces, and when; none is that it goes.
fn changes() -> [(&'static str, When, Option<u32>); 3] {
    [
        ("a large object is replaced between its listing and its download", When::Asked, Some(2)),
        ("a large object is replaced while it is read", When::Answered, Some(2)),
        ("a large object goes between its listing and its download", When::Asked, None),
    ]
}

type Files = BTreeMap<PathBuf, Vec<u8>>;

/// What came of one case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// What went wrong.
    pub case: &'static str,
    /// What came of it, with what must not be in bold.
    pub text: String,
}

impl Cell {
    /// Whether nothing of it must not be.
    pub fn is_good(&self) -> bool {
        !self.text.contains("**")
    }
}

/// Runs all cases with `program`, as the user with these `keys`; buckets are called `name` and something, and are listed in pages as the
/// scale has it: of 1,000 lines, or what [`Rgw::with_pages_of`] allows those who ask for more. `ours` fills them.
///
/// # Panics
/// Where the program does not even work without faults, or s3cmd is not there.
pub fn column(rgw: &Rgw, keys: &S3Keys, name: &str, program: &Program, ours: &Path, scale: Scale) -> Vec<Cell> {
    let page = scale.page;
    let ours_program = Program::Ours(ours.to_owned());
    let filler = Lane::new(&ours_program, rgw, keys);
    let bucket = format!("{name}-faults");
    let fill = |objects: &BTreeMap<String, Vec<u8>>| {
        let folder = filler.path("objects");
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir(&folder).expect("made");
        for (key, content) in objects {
            std::fs::write(folder.join(key), content).expect("written");
        }
        let from = format!("{}/", folder.display());
        filler.run(filler.ours(ours, &["sync", "--delete-removed", "--yes", "--no-trash", &from, &format!("s3://{bucket}")]));
    };
    filler.run(filler.ours(ours, &["mb", &format!("s3://{bucket}")]));
    let mut all: BTreeMap<String, Vec<u8>> = (0..PAGES * page).map(|nth| (format!("k{nth:04}"), bytes(3000, nth))).collect();
    fill(&all);
    let (from, base) = (format!("s3://{bucket}/"), filler.path("base"));
    filler.run(filler.ours(ours, &["sync", &from, &format!("{}/", base.display())]));
    assert_eq!(files(&base).len(), all.len());
    let lanes: Vec<Lane<'_>> = (0..LANES).map(|_| Lane::new(program, rgw, keys)).collect();
    for lane in &lanes {
        // Ours remembers what it wrote, so it writes all; the others take what is there for theirs.
        match program {
            Program::Ours(_) => std::fs::create_dir(lane.path("base")).expect("made"),
            _ => copy(&base, &lane.path("base")),
        }
        assert_eq!(lane.sync(&bucket, &lane.path("base")), Some(0), "{program:?}");
        assert_eq!(files(&lane.path("base")).len(), all.len(), "{program:?}");
    }
    // Its digest is all that tells the new one.
    all.insert("k0003".to_owned(), bytes(3000, 33));
    all.insert("k0010-new".to_owned(), bytes(5000, 99));
    all.remove("k0005");
    fill(&all);
    let source: Files = all.into_iter().map(|(key, content)| (key.into(), content)).collect();

    let cases = cases(page);
    let mut cells = in_lanes(&lanes, cases.len(), |lane, nth| {
        let (case, asked, skip, fault) = cases[nth].clone();
        let folder = lane.path("now");
        copy(&lane.path("base"), &folder);
        let before = files(&folder);
        lane.proxy.spoil(asked, skip, usize::MAX, fault);
        let code = lane.sync(&bucket, &folder);
        lane.proxy.heal();
        Cell { case, text: told(&before, &files(&folder), &source, code) }
    });
    let lane = &lanes[0];
    if let Some(disk) = SmallDisk::of("64k") {
        let folder = disk.path().join("to");
        std::fs::create_dir(&folder).expect("made");
        // Beside what a sync has to remember.
        std::fs::write(disk.path().join("taken"), vec![0; 28 << 10]).expect("written");
        let code = lane.sync(&bucket, &folder);
        let text = told(&Files::new(), &files(&folder), &source, code);
        cells.push(Cell { case: "the disk is full (nothing was there before)", text });
    }
    let odd = self::keys();
    cells.extend(in_lanes(&lanes, odd.len(), |lane, nth| {
        let (case, ref keys) = odd[nth];
        let bucket = format!("{name}-key-{nth}");
        lane.run(lane.ours(ours, &["mb", &format!("s3://{bucket}")]));
        for key in keys {
            let file = lane.path("object");
            std::fs::write(&file, key).expect("written");
            let mut s3cmd = lane.s3cmd();
            s3cmd.arg("put").arg(file).arg(format!("s3://{bucket}/{key}"));
            lane.run(s3cmd);
        }
        let outer = lane.path(&format!("outer-{nth}"));
        std::fs::create_dir_all(outer.join("in")).expect("made");
        let code = lane.sync(&bucket, &outer.join("in"));
        let all = files(&outer);
        let (inside, outside): (Vec<_>, Vec<_>) = all.iter().partition(|(path, _)| path.starts_with("in"));
        let whole = inside.iter().filter(|(_, content)| keys.iter().any(|key| key.as_bytes() == content.as_slice())).count();
        let mut text = ended(code, whole < keys.len());
        write!(text, ", {whole} of {} there", keys.len()).expect("a string");
        if !outside.is_empty() {
            write!(text, ", **{} outside of the folder**", outside.len()).expect("a string");
        }
        Cell { case, text }
    }));
    let changes = changes();
    cells.extend(in_lanes(&lanes, changes.len(), |lane, nth| {
        let (case, when, seed) = changes[nth];
        let bucket = format!("{name}-change-{nth}");
        lane.run(lane.ours(ours, &["mb", &format!("s3://{bucket}")]));
        changing(lane, case, &bucket, when, [Some(1), seed].map(|seed| seed.map(|seed| bytes(scale.large, seed))))
    }));
    cells
}

/// Fetches the object `a`, which has the second content, or is gone, once it is asked for.
fn changing(lane: &Lane<'_>, case: &'static str, bucket: &str, when: When, states: [Option<Vec<u8>>; 2]) -> Cell {
    let object = format!("s3://{bucket}/a");
    let [first, mut second] = [0, 1].map(|nth| {
        let mut s3cmd = lane.behind();
        match &states[nth] {
            Some(content) => {
                let file = lane.path(&format!("state-{nth}"));
                std::fs::write(&file, content).expect("written");
                s3cmd.arg("put").arg(file).arg(&object);
            }
            None => {
                s3cmd.arg("del").arg(&object);
            }
        }
        s3cmd
    });
    lane.run(first);
    lane.proxy.meanwhile(when, move || assert!(second.output().expect("s3cmd runs").status.success()));
    let folder = lane.path(bucket);
    std::fs::create_dir(&folder).expect("made");
    // Until it has changed nobody gets an answer.
    lane.waits_for(60);
    let code = lane.sync(bucket, &folder);
    let found = files(&folder);
    let broken = found.values().filter(|now| states.iter().flatten().all(|state| state != *now)).count();
    let whole = found.len() - broken;
    let mut text = ended(code, whole == 0 && states[1].is_some());
    write!(text, ", {whole} of 1 there").expect("a string");
    if broken > 0 {
        write!(text, ", **{broken} not whole**").expect("a string");
    }
    Cell { case, text }
}

/// Does `work` for each of so many cases, in order of their numbers.
fn in_lanes(lanes: &[Lane<'_>], count: usize, work: impl Fn(&Lane<'_>, usize) -> Cell + Sync) -> Vec<Cell> {
    let (next, done) = (&AtomicUsize::new(0), &Mutex::new(BTreeMap::new()));
    let work = &work;
    std::thread::scope(|scope| {
        for lane in lanes {
            scope.spawn(move || {
                while let Some(nth) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|nth| *nth < count) {
                    let cell = work(lane, nth);
                    super::locked(done).insert(nth, cell);
                }
            });
        }
    });
    std::mem::take(&mut *super::locked(done)).into_values().collect()
}

/// How it ended; what is not as it is in the bucket although all is called well must not be.
fn ended(code: Option<i32>, is_missing: bool) -> String {
    match code {
        None => "**never ended**".to_owned(),
        Some(0) if is_missing => "**exit 0**".to_owned(),
        Some(code) => format!("exit {code}"),
    }
}

/// What a sync has left in a folder.
fn told(before: &Files, after: &Files, source: &Files, code: Option<i32>) -> String {
    let lost = before.keys().filter(|name| !after.contains_key(*name) && source.contains_key(*name)).count();
    let is_whole = |name: &PathBuf, now: &Vec<u8>| before.get(name) == Some(now) || source.get(name) == Some(now);
    let broken = after.iter().filter(|(name, now)| !is_whole(name, now)).count();
    let missing = source.iter().filter(|(name, content)| after.get(*name) != Some(*content)).count();
    let mut text = ended(code, missing > 0);
    for (count, what) in [(lost, "**N deleted wrongly**"), (broken, "**N not whole**")] {
        if count > 0 {
            write!(text, ", {}", what.replace('N', &count.to_string())).expect("a string");
        }
    }
    text
}

/// All files under `root` but those of a sync itself.
fn files(root: &Path) -> Files {
    let (mut all, mut folders) = (Files::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        let Ok(entries) = folder.read_dir() else { continue };
        for path in entries.map(|entry| entry.expect("an entry").path()) {
            if path.ends_with(".ceph-backup") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(content) = std::fs::read(&path) {
                all.insert(path.strip_prefix(root).expect("inside").to_owned(), content);
            }
        }
    }
    all
}

fn copy(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    assert!(Command::new("cp").arg("-a").args([from, to]).status().expect("cp runs").success());
}
