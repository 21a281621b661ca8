//! Trees of every kind of file: made at random, changed at random, and looked at.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Permissions};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;
use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags};

/// What is done to a tree: what, where, and with which numbers.
pub(crate) type Step = (u8, u16, u16);

/// Steps that make or change a tree.
pub(crate) fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec((0..20_u8, any::<u16>(), any::<u16>()), 0..most)
}

/// Names that a shell, a list with newlines or an option parser would trip over, among plain ones.
pub(crate) fn names() -> Vec<OsString> {
    let mut names: Vec<OsString> =
        ["a", "b", "c", "-rf", "new\nline", "it's \"quoted\"", "back\\slash\\n", " blank ", "*", "./"[..1].into()]
            .map(OsString::from)
            .into();
    names.retain(|name| name != ".");
    names.push(OsString::from_vec(b"\xff\xfe".to_vec()));
    names.push("x".repeat(255).into());
    names.push("..a".into());
    names
}

fn path(choice: u16) -> PathBuf {
    let names = names();
    let mut path = PathBuf::new();
    let mut choice = usize::from(choice);
    // Mostly plain names and shallow paths, so that steps meet.
    for _ in 0..=choice % 3 {
        choice /= 3;
        path.push(&names[if choice % 4 == 0 { choice / 4 % names.len() } else { choice / 4 % 3 }]);
        choice /= 8;
    }
    path
}

/// Does a step to the tree at `root`; one that cannot be done is passed over.
pub(crate) fn step(root: &Path, (what, place, number): Step) {
    let at = root.join(path(place));
    let other = root.join(path(number));
    let bytes = number.to_le_bytes().repeat(usize::from(number % 977) + 1);
    let _ = match what {
        0..=4 => make_room(&at).and_then(|()| fs::write(&at, &bytes)),
        5 => fs::create_dir_all(&at),
        6 => make_room(&at).and_then(|()| symlink(&other, &at)),
        7 => make_room(&at).and_then(|()| holes(&at, number)),
        8 => make_room(&at).and_then(|()| node(&at, FileType::Fifo, 0)),
        9 => make_room(&at).and_then(|()| node(&at, FileType::CharacterDevice, rustix::fs::makedev(1, u32::from(number % 9)))),
        10 | 11 => make_room(&at).and_then(|()| fs::hard_link(&other, &at)),
        12 => fs::set_permissions(&at, Permissions::from_mode(u32::from(number) & 0o7777)),
        13 => std::os::unix::fs::lchown(&at, Some(u32::from(number)), Some(u32::from(number) + 1)),
        14 => attribute(&at, "user.one", &bytes),
        15 => attribute(&at, "system.posix_acl_access", &acl(number))
            .and_then(|()| attribute(&at, "system.posix_acl_default", &acl(place))),
        16 => time(&at, number, place),
        17 => remove(&at),
        18 => fs::rename(&other, &at),
        // Other bytes, as many of them, at the same time.
        _ => same_size_and_time(&at, number as u8),
    };
}

/// Makes the folders above, and removes what is there.
fn make_room(at: &Path) -> std::io::Result<()> {
    if at.symlink_metadata().is_ok_and(|is| is.is_dir()) {
        fs::remove_dir_all(at)?;
    }
    let _ = fs::remove_file(at);
    fs::create_dir_all(at.parent().expect("a folder above"))
}

fn remove(at: &Path) -> std::io::Result<()> {
    match at.symlink_metadata()?.is_dir() {
        true => fs::remove_dir_all(at),
        false => fs::remove_file(at),
    }
}

fn holes(at: &Path, number: u16) -> std::io::Result<()> {
    let file = File::create(at)?;
    for nth in 0..u64::from(number % 4) {
        file.write_all_at(&number.to_le_bytes(), nth * 100_000 + u64::from(number))?;
    }
    file.set_len(300_000 + u64::from(number))
}

fn node(at: &Path, kind: FileType, device: u64) -> std::io::Result<()> {
    Ok(rustix::fs::mknodat(CWD, at, kind, Mode::RUSR, device)?)
}

fn attribute(at: &Path, name: &str, value: &[u8]) -> std::io::Result<()> {
    Ok(rustix::fs::lsetxattr(at, name, value, XattrFlags::empty())?)
}

/// Gives what is at `at` a time, without opening it: a pipe that nobody writes to would never open.
fn time(at: &Path, seconds: u16, nanoseconds: u16) -> std::io::Result<()> {
    let time = Timespec { tv_sec: seconds.into(), tv_nsec: nanoseconds.into() };
    Ok(rustix::fs::utimensat(CWD, at, &Timestamps { last_access: time, last_modification: time }, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// An access control list with a user of some number.
fn acl(number: u16) -> Vec<u8> {
    let mut list = 2_u32.to_le_bytes().to_vec();
    for (tag, rights, who) in [
        (1_u16, 6_u16, u32::MAX),
        (2, number % 8, number.into()),
        (4, 4, u32::MAX),
        (0x10, 7, u32::MAX),
        (0x20, number % 4, u32::MAX),
    ] {
        list.extend([tag.to_le_bytes(), rights.to_le_bytes()].concat());
        list.extend(who.to_le_bytes());
    }
    list
}

fn same_size_and_time(at: &Path, byte: u8) -> std::io::Result<()> {
    let is = at.symlink_metadata()?;
    if !is.is_file() || is.len() > 10_000 {
        return Ok(());
    }
    fs::write(at, vec![byte; usize::try_from(is.len()).expect("small")])?;
    File::open(at)?.set_modified(is.modified()?)
}

/// One of each kind of file, with every attribute, as far as the user may.
pub(crate) fn every_kind(root: &Path) {
    fs::create_dir_all(root.join("folder/deep/er")).expect("made");
    fs::create_dir_all(root.join("empty")).expect("made");
    for name in names() {
        fs::write(root.join("folder").join(&name), name.as_bytes()).expect("written");
        fs::create_dir_all(root.join("names").join(&name)).expect("made");
        fs::write(root.join("names").join(&name).join(&name), "below").expect("written");
    }
    fs::write(root.join("nothing"), "").expect("written");
    fs::write(root.join("big"), vec![7; 3_000_001]).expect("written");
    holes(&root.join("holes"), 3).expect("made");
    File::create(root.join("hole")).and_then(|file| file.set_len(5_000_000)).expect("made");
    fs::hard_link(root.join("big"), root.join("folder/deep/big again")).expect("linked");
    fs::hard_link(root.join("big"), root.join("a big one")).expect("linked");
    symlink("/nowhere\n", root.join("dangling")).expect("linked");
    symlink("folder", root.join("to a folder")).expect("linked");
    symlink("t".repeat(4000), root.join("long link")).expect("linked");
    node(&root.join("fifo"), FileType::Fifo, 0).expect("made");
    let short = tempfile::tempdir().expect("a folder");
    drop(UnixListener::bind(short.path().join("s")).expect("made"));
    fs::rename(short.path().join("s"), root.join("socket")).expect("moved");
    attribute(&root.join("big"), "user.text", b"with = and\nnewline \0 and zero").expect("given");
    attribute(&root.join("folder"), "user.folder", b"").expect("given");
    attribute(&root.join("nothing"), "system.posix_acl_access", &acl(5)).expect("given");
    attribute(&root.join("folder/deep"), "system.posix_acl_default", &acl(6)).expect("given");
    fs::write(root.join("folder/deep/inherits"), "a list").expect("written");
    fs::set_permissions(root.join("nothing"), Permissions::from_mode(0o6755)).expect("set");
    fs::set_permissions(root.join("empty"), Permissions::from_mode(0o1333)).expect("set");
    fs::set_permissions(root.join("folder/deep/er"), Permissions::from_mode(0o500)).expect("set");
    File::open(root.join("hole")).and_then(|file| file.set_modified(UNIX_EPOCH - Duration::new(5, 250))).expect("set");
    if rustix::process::geteuid().is_root() {
        node(&root.join("null"), FileType::CharacterDevice, rustix::fs::makedev(1, 3)).expect("made");
        node(&root.join("disk"), FileType::BlockDevice, rustix::fs::makedev(7, 200)).expect("made");
        attribute(&root.join("big"), "trusted.root", b"only").expect("given");
        std::os::unix::fs::lchown(root.join("dangling"), Some(70_000), Some(3_000_000)).expect("given");
        std::os::unix::fs::chown(root.join("big"), Some(4_000_000_000), Some(1000)).expect("given");
        std::os::unix::fs::chown(root.join("names"), Some(1000), Some(1001)).expect("given");
    }
}

/// All that there is to know of each file below `root`, in words.
pub(crate) fn seen(root: &Path) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut first = HashMap::new();
    look(root, Path::new(""), &mut all, &mut first);
    all
}

fn look(root: &Path, path: &Path, all: &mut BTreeMap<String, String>, first: &mut HashMap<u64, String>) {
    let whole = root.join(path);
    let is = whole.symlink_metadata().expect("there");
    let name = path.as_os_str().as_bytes().escape_ascii().to_string();
    let kind = is.file_type();
    let content = if kind.is_file() {
        let bytes = fs::read(&whole).expect("read");
        format!(
            "{} bytes, sum {}",
            bytes.len(),
            bytes.iter().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)))
        )
    } else if kind.is_symlink() {
        format!("to {:?}", fs::read_link(&whole).expect("read"))
    } else if kind.is_char_device() || kind.is_block_device() {
        format!("device {}", is.rdev())
    } else {
        String::new()
    };
    let mut list = vec![0; 65_536];
    let length = rustix::fs::llistxattr(&whole, list.as_mut_slice()).expect("attributes");
    let mut attributes: Vec<String> = list[..length]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .map(|name| {
            let mut value = vec![0; 65_536];
            let length = rustix::fs::lgetxattr(&whole, OsStr::from_bytes(name), value.as_mut_slice()).expect("a value");
            format!("{}={}", name.escape_ascii(), value[..length].escape_ascii())
        })
        .collect();
    attributes.sort();
    let same = if is.is_dir() { name.clone() } else { first.entry(is.ino()).or_insert(name.clone()).clone() };
    let time = format!("{}.{:09}", is.mtime(), is.mtime_nsec());
    let told = format!("{kind:?} {:o} {}:{} {time} {content} {attributes:?} same as {same}", is.mode(), is.uid(), is.gid());
    all.insert(name, told);
    if is.is_dir() {
        let mut names: Vec<_> =
            fs::read_dir(&whole).expect("a folder").map(|entry| entry.expect("an entry").file_name()).collect();
        names.sort();
        for name in names {
            look(root, &path.join(name), all, first);
        }
    }
}

/// What differs between two trees, in words.
pub(crate) fn differences(ours: &Path, theirs: &Path) -> Vec<String> {
    let (ours, theirs) = (seen(ours), seen(theirs));
    let paths: std::collections::BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
    let differ = paths.into_iter().filter(|path| ours.get(*path) != theirs.get(*path));
    differ.map(|path| format!("{path}:\n  {:?}\n  {:?}", ours.get(path), theirs.get(path))).collect()
}
