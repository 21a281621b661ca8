//! What a sync is told.

use std::path::PathBuf;

use super::filter::Filter;
use super::guard::Limits;
use crate::ContentType;
use crate::s3::SharedGateway;

/// An S3 server, and what tells it from others.
#[derive(Debug, Clone)]
pub struct Server {
    /// How it is asked.
    pub gateway: SharedGateway,
    /// Its URL: a record counts for what came from there.
    pub endpoint: String,
}

/// How a sync is done.
#[derive(Debug, Clone)]
pub struct Options {
    /// What is passed over.
    pub filter: Filter,
    /// What may be deleted.
    pub limits: Limits,
    /// Move what is deleted, or replaced though this sync did not write it, into a folder or under a prefix of its own:
    /// `.ceph-backup/trash/` and the time.
    pub trash: bool,
    /// Tell what would be done, and change nothing.
    pub dry_run: bool,
    /// How many objects are copied at once. One of up to 64 KiB counts as an eighth, of up to 128 KiB as two of them, and so on;
    /// a large one as up to four where nobody waits for them, for as many of its pieces at once.
    pub jobs: usize,
    /// Bytes per second that all of them have together.
    pub rate: Option<u64>,
    /// Compare contents where sizes are equal and no record tells.
    pub check_content: bool,
    /// Pass over what the destination has, whatever it is.
    pub skip_existing: bool,
    /// Keep mode, owner and times of files in the header that s3cmd has for them.
    pub preserve: bool,
    /// Objects that are not smaller are stored in parts of this size, in bytes; each job holds two of them in memory.
    pub part_size: u64,
    /// The storage class of new objects, if not that of the source.
    pub storage_class: Option<String>,
    /// The media type of objects that are made of files.
    pub content_type: ContentType,
    /// A folder of this machine where records of buckets lie, and lists are sorted.
    pub state: PathBuf,
}

impl Options {
    /// Eight objects at once, contents compared, attributes kept, parts of 15 MiB, nothing deleted.
    pub fn new(state: impl Into<PathBuf>) -> Self {
        Self {
            filter: Filter::default(),
            limits: Limits::default(),
            trash: true,
            dry_run: false,
            jobs: 8,
            rate: None,
            check_content: true,
            skip_existing: false,
            preserve: true,
            part_size: 15 << 20,
            storage_class: None,
            content_type: ContentType::default(),
            state: state.into(),
        }
    }
}
