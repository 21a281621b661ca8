//! What a copy did.

/// What a copy did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Files that the host has and the filter reaches; no folders.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Regular files that were read.
    pub read_files: u64,
    /// Bytes of files that were read; holes count.
    pub read_bytes: u64,
    /// Names that were made for files that have several.
    pub linked: u64,
    /// Files and folders that were deleted from the cache, as the host has them no more.
    pub deleted: u64,
    /// Files that were listed and gone or elsewhere when they were to be read. The next copy has them as they are then.
    pub missed: u64,
}
