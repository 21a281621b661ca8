//! Whether a file is to be read again.

use super::entry::{Entry, Time, Type};
use super::record::Recorded;

/// How far the time that a kernel writes down may be behind its clock: one tick of the slowest, twice.
const TICK: u32 = 20_000_000;

/// What was written down by the copy before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Before<'a> {
    /// When it began, on the clock of the host. `None`: there was none that wrote anything down, as with the cache of rsync.
    pub(super) since: Option<Time>,
    /// What it saw of this file.
    pub(super) recorded: Option<&'a Recorded>,
}

/// Whether what is `listed` on the host is what the cache has as `cached`, as far as can be told without reading it.
///
/// Its type, size, time, rights, link target and, where the cache is `by_root`, its owner and group are equal. Size and time alone
/// miss what is written within one tick and what sets times back. So its ctime, which nobody sets, is what the copy before wrote down,
/// and is older than the beginning of that copy: what changed later may have changed again while it was read.
/// What that copy did not see in the cache came out of one that broke off; then it has not changed since that began.
pub(super) fn is_unchanged(listed: &Entry, cached: &Entry, before: Before<'_>, by_root: bool) -> bool {
    if listed.kind.is_device() {
        // A listing does not tell which device it is.
        return false;
    }
    let is_old = before.since.is_none_or(|since| listed.changed < tick_before(since));
    let is_as_recorded = before.recorded.is_none_or(|Recorded { entry, .. }| {
        (entry.changed, entry.inode, entry.kind) == (listed.changed, listed.inode, listed.kind)
    });
    looks_alike(listed, cached, by_root) && is_old && is_as_recorded
}

/// Whether all that a listing tells is equal.
pub(crate) fn looks_alike(listed: &Entry, cached: &Entry, by_root: bool) -> bool {
    listed.kind == cached.kind
        && (listed.kind != Type::File || listed.size == cached.size)
        && (listed.kind == Type::Symlink || listed.mode == cached.mode)
        // The time of a folder changes with what is in it, and is set at the end of each copy.
        && (listed.kind == Type::Folder || listed.modified == cached.modified)
        && listed.target == cached.target
        && (!by_root || (listed.owner, listed.group) == (cached.owner, cached.group))
}

/// The greatest time that a change at `since` or later cannot have, also in a file system that keeps whole seconds.
fn tick_before(since: Time) -> Time {
    let seconds = if since.nanos < TICK { since.seconds.saturating_sub(1) } else { since.seconds };
    Time { seconds, nanos: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Change = fn(&mut Entry);

    fn time(seconds: i64, nanos: u32) -> Time {
        Time { seconds, nanos }
    }

    fn file() -> Entry {
        let (kind, size, mode, owner, group, inode, device, names) = (Type::File, 5, 0o644, 1, 2, 3, 4, 1);
        let (modified, changed) = (time(10, 1), time(20, 2));
        Entry { kind, size, mode, owner, group, modified, changed, inode, device, names, target: Vec::new() }
    }

    fn unchanged(change: impl Fn(&mut Entry), since: Option<Time>, recorded: bool) -> bool {
        let mut listed = file();
        change(&mut listed);
        let recorded = recorded.then(|| Recorded { entry: file(), is_mount: false });
        is_unchanged(&listed, &file(), Before { since, recorded: recorded.as_ref() }, true)
    }

    #[test]
    fn each_thing_that_a_listing_tells_counts() {
        let changes: [(&str, Change); 9] = [
            ("type", |entry| entry.kind = Type::Fifo),
            ("size", |entry| entry.size = 6),
            ("mode", |entry| entry.mode = 0o4644),
            ("owner", |entry| entry.owner = 9),
            ("group", |entry| entry.group = 9),
            ("a nanosecond of its time", |entry| entry.modified = time(10, 2)),
            ("target", |entry| entry.target = b"x".to_vec()),
            ("ctime", |entry| entry.changed = time(19, 2)),
            ("inode", |entry| entry.inode = 9),
        ];
        let since = Some(time(30, 0));
        assert!(unchanged(|_| {}, since, true));
        for (what, change) in changes {
            assert!(!unchanged(change, since, true), "{what}");
        }
        assert!(!unchanged(|entry| entry.kind = Type::Block, since, true));
    }

    #[test]
    fn the_cache_of_rsync_is_compared_as_rsync_does() {
        assert!(unchanged(|entry| (entry.changed, entry.inode) = (time(99, 0), 9), None, false));
        assert!(!unchanged(|entry| entry.size = 6, None, false));
    }

    #[test]
    fn what_changed_when_the_copy_before_had_begun_is_read_again() {
        for recorded in [true, false] {
            assert!(unchanged(|_| {}, Some(time(21, 30_000_000)), recorded));
            assert!(!unchanged(|_| {}, Some(time(20, 900_000_000)), recorded), "within the second that some file systems keep");
            assert!(!unchanged(|_| {}, Some(time(21, 10_000_000)), recorded), "within a tick");
            assert!(!unchanged(|_| {}, Some(time(15, 0)), recorded));
        }
    }

    #[test]
    fn another_user_than_root_cannot_give_owners() {
        let mut listed = file();
        (listed.owner, listed.group) = (7, 7);
        let before = Before { since: None, recorded: None };
        assert!(is_unchanged(&listed, &file(), before, false) && !is_unchanged(&listed, &file(), before, true));
    }
}
