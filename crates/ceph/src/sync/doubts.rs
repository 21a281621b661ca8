//! Whether a listing can be trusted: what this sync wrote and a listing does not show is asked for by its name, some of it.

use backup_core::{Error, Kind, Result};

use super::guard;
use super::lines::Written;
use super::run::{Run, Side};

/// For how many names of each sort a source is asked whose listing does not show them.
const ASKED: usize = 8;

/// What this sync wrote and a listing does not show: the server is asked for some of it, also where nothing is to be deleted. A
/// listing that ended early, or has a hole, shows itself so.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    /// The first of all.
    first: Vec<Written>,
    /// The first behind the last that was listed.
    tail: Vec<Written>,
}

impl Doubts {
    /// A listing shows something: what is missing is no longer behind its end.
    pub(super) fn shown(&mut self) {
        self.tail.clear();
    }

    pub(super) fn push(&mut self, written: Written) {
        let list = if self.first.len() < ASKED { &mut self.first } else { &mut self.tail };
        if list.len() < ASKED {
            list.push(written);
        }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Written> {
        self.first.iter().chain(&self.tail)
    }
}

impl Run {
    /// Fails if a listing has lied. Where the server does not say, that is told and counted, so that nothing is deleted; and returned.
    pub(super) async fn dispel(&self, gone: &Doubts, lost: &Doubts) -> Result<bool> {
        let mut is_answered = true;
        for written in gone.all() {
            is_answered &= self.told(self.must_be_gone(&written.name).await)?;
        }
        for written in lost.all() {
            is_answered &= self.told(self.must_be_lost(written).await)?;
        }
        Ok(is_answered)
    }

    fn told(&self, asked: Result<()>) -> Result<bool> {
        match asked {
            Err(error) if error.kind() != Kind::Damaged => {
                self.report.failed(&error);
                Ok(false)
            }
            asked => asked.map(|()| true),
        }
    }

    /// Fails if the source has an object that its listing did not show: then it shows who lies.
    pub(super) async fn must_be_gone(&self, name: &str) -> Result<()> {
        if self.is_gone(name).await? {
            return Ok(());
        }
        Err(Error::damaged(format!("the source has {name:?} although its listing did not show it"))
            .with_hint("nothing more was deleted; the listing of the source cannot be trusted"))
    }

    /// Fails if the destination has what was written as it was written, though its listing did not show it so.
    async fn must_be_lost(&self, written: &Written) -> Result<()> {
        let Side::Bucket(bucket) = &self.to else { return Ok(()) };
        let head = bucket.look(&written.name).await?;
        if head.is_some_and(|head| guard::is_ours(Some(written), head.size, &head.etag)) {
            return Err(Error::damaged(format!("the destination has {:?} although its listing did not show it", written.name))
                .with_hint("the listing of the destination cannot be trusted: run it again"));
        }
        Ok(())
    }
}
