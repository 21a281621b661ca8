//! What must hold after a sync, whatever went wrong in it.

use std::collections::BTreeMap;
use std::fmt::Debug;

use backup_ceph::sync::Options;
use backup_core::Result;
use backup_tests::faults::{Asked, Fault, Seen};

use crate::scene::Contents;

/// Each state that a name of the source had since the sync began; `None` where it was not there.
pub(crate) type States = BTreeMap<String, Vec<Option<Vec<u8>>>>;

/// What was there before a sync with faults, and what it was told to do.
pub(crate) struct Judge<'a> {
    /// All that is to be known of the run, should it fail.
    pub(crate) told: &'a str,
    pub(crate) options: &'a Options,
    /// What the destination had.
    pub(crate) before: &'a Contents,
    /// What of it a sync wrote there, and nobody has changed since.
    pub(crate) written: &'a Contents,
    pub(crate) source: &'a States,
    /// A listing ended early, as if that were all, or had a bit turned.
    pub(crate) is_lied_to: bool,
}

impl Judge<'_> {
    /// What the source had under a name while the sync ran.
    fn states(&self, name: &str) -> &[Option<Vec<u8>>] {
        self.source.get(name).map_or(&[None], Vec::as_slice)
    }

    fn has_been(&self, name: &str, state: Option<&Vec<u8>>) -> bool {
        self.states(name).iter().any(|one| one.as_ref() == state)
    }

    /// No wrong delete, and no file or object that is neither what it was nor what the source has.
    pub(crate) fn nothing_is_lost(&self, after: &Contents, own: &Contents) {
        let Self { told, options, before, written, .. } = self;
        for (name, content) in *before {
            let (now, is_ours) = (after.get(name), written.get(name) == Some(content));
            if now == Some(content) {
                continue;
            }
            assert!(!options.filter.excludes(name), "{told}: {name:?} is excluded, and was touched");
            assert!(self.has_been(name, now), "{told}: {name:?} is not what the source has: deleted wrongly, or not whole");
            if now.is_none() {
                assert!(is_ours, "{told}: {name:?} was deleted, and no sync wrote it");
                assert!(options.limits.delete, "{told}: {name:?} was deleted, and nobody asked for it");
            }
            let is_kept = own.iter().any(|(path, kept)| path.starts_with(".ceph-backup/trash/") && kept == content);
            // What is deleted is kept, and so is what is replaced and of others.
            assert!(!options.trash || is_kept || is_ours && now.is_some(), "{told}: {name:?} is not in the trash");
        }
        for (name, content) in after.iter().filter(|(name, _)| !before.contains_key(*name)) {
            assert!(!options.filter.excludes(name), "{told}: {name:?} is excluded, and came");
            assert!(self.has_been(name, Some(content)), "{told}: {name:?} is new and not whole");
        }
        let gone = self.gone(after);
        assert!(options.limits.most.is_none_or(|most| gone as u64 <= most), "{told}: {gone} went, more than may");
    }

    fn gone(&self, after: &Contents) -> usize {
        self.before.keys().filter(|name| !after.contains_key(*name)).count()
    }

    /// Where a listing was not read to its end, nothing is deleted, and that is an error. Holds where each page is asked for once.
    pub(crate) fn no_listing_no_delete<T: Debug>(&self, seen: &[Seen], after: &Contents, done: &Result<T>) {
        // A question for one object has one line.
        let is_page = |seen: &&Seen| seen.asked == Asked::Listing && seen.target.contains("max-keys=1000");
        let broken = seen.iter().filter(is_page).find(|seen| match seen.fault {
            Some(Fault::Answer(..) | Fault::Reset | Fault::Lose | Fault::Hang) => true,
            // No page is as short as that.
            Some(Fault::Cut(at) | Fault::Short(at)) => at < 200,
            _ => false,
        });
        if let Some(broken) = broken {
            assert_eq!(self.gone(after), 0, "{}: something was deleted although {broken:?}", self.told);
            assert!(done.is_err(), "{}: {done:?} although {broken:?}", self.told);
        }
    }

    /// What ends without an error has done what it was told to.
    pub(crate) fn what_is_called_well_is<T: Debug>(&self, after: &Contents, done: &Result<T>) {
        let Self { told, options, before, written, .. } = self;
        if done.is_err() {
            return;
        }
        for (name, states) in self.source.iter().filter(|(name, _)| !options.filter.excludes(name)) {
            let was = before.get(name);
            let now = after.get(name);
            if let [Some(content)] = states.as_slice() {
                let is_same_size = !options.check_content && was.is_some_and(|was| was.len() == content.len());
                // Of what no sync has seen yet nobody can miss that a listing does not show it.
                let is_unknown = self.is_lied_to && written.get(name).is_none_or(|ours| was != Some(ours));
                assert!(now == Some(content) || is_same_size || is_unknown, "{told}: {name:?} did not come, and {done:?}");
            }
        }
        let gone = written.iter().filter(|(name, _)| self.states(name) == [None] && !options.filter.excludes(name));
        for (name, content) in gone.filter(|_| options.limits.delete) {
            assert!(after.get(name) != Some(content), "{told}: {name:?} did not go, and {done:?}");
        }
    }

    /// After a sync without faults both are the same, but for what others put there and what no record knows any more.
    pub(crate) fn it_has_healed(&self, after: &Contents, own: &Contents) {
        let Self { told, before, written, .. } = self;
        let last = |name: &str| self.states(name).last().and_then(Option::as_ref);
        for name in self.source.keys().filter(|name| last(name).is_some()) {
            assert!(after.get(name) == last(name), "{told}: {name:?} did not heal");
        }
        for (name, content) in after.iter().filter(|(name, _)| last(name).is_none()) {
            // What came by a sync that broke off before it was recorded is left.
            let is_left = self.states(name).len() > 1 && self.has_been(name, Some(content));
            assert!(before.get(name) == Some(content) || is_left, "{told}: {name:?} came from nowhere");
            assert!(written.get(name) != Some(content), "{told}: {name:?} is ours and gone, and did not go");
        }
        let left = own.keys().find(|path| path.starts_with(".ceph-backup/partial/"));
        assert_eq!(left, None, "{told}: a part of a file is left");
    }
}
