//! A copy of a tree of a host in a local folder, as rsync makes one, with nothing but `find` and `tar` there.

mod apply;
mod attributes;
mod bridge;
mod cache;
mod change;
mod compare;
mod complaint;
mod entry;
mod frames;
mod listing;
mod names;
mod pax;
mod plan;
mod record;
mod report;
mod run;
mod settle;
mod spool;
mod walk;

use std::path::PathBuf;

use backup_core::Name;

use crate::Filter;

pub(crate) use bridge::{blocking, read as read_blocking, through};
pub(crate) use compare::looks_alike;
pub(crate) use entry::{Entry, Type, key_of, path_of, split};
pub(crate) use listing::{arguments, is_relative, read as read_listing};
pub(crate) use pax::{Archive, Member, extract, sieve, walk};
pub use report::Report;

/// A copy of a tree of a host in a local folder, the cache: first all of it, then only what changed.
///
/// It is what `rsync -aHAX --delete --include-from` makes: owners and groups by number, rights, times, extended attributes, access
/// control lists, hard links, holes, symbolic links, devices, fifos and sockets. A cache that rsync made is continued. There the
/// host needs GNU `find` and `tar`, and no room.
#[derive(Debug, Clone)]
pub struct Copy {
    /// What it is called where something is told of it.
    pub name: Name,
    /// The folder on the host: a whole path. One that is a symbolic link is followed; file systems that are mounted below are copied too.
    pub root: PathBuf,
    /// What of it is copied, in paths relative to it.
    pub filter: Filter,
    /// The local folder. It is made, for its user alone, if it is not there.
    pub cache: PathBuf,
    /// Where it is written down what the files were when they were copied. It lies outside of the cache, in a folder that is there.
    pub record: PathBuf,
    /// Read as root.
    pub sudo: bool,
    /// Folders that have nothing any more, and were mount points or had the whole, are believed to be empty.
    pub emptied: bool,
}
