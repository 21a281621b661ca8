//! What the files beside the parts of a backup are called.

use crate::{BackupId, Error, Key, Name, Result};

pub(crate) const ATTEMPT: &str = "attempt.json";
pub(crate) const FAILED: &str = "failed.json";
pub(crate) const MANIFEST: &str = "manifest.json";
pub(crate) const SUMS: &str = "SHA256SUMS";
pub(crate) const PIN: &str = "pin.json";
pub(crate) const KEY: &str = "key.age";
pub(crate) const DETAILS: &str = "details.json";
/// Where parts go that name no folder.
pub(crate) const PARTS: &str = "parts";
pub(crate) const LEASE: &str = "lease-";
pub(crate) const VERIFIED: &str = "verified-";
pub(crate) const DAMAGED: &str = "damaged-";
pub(crate) const PROOF: &str = "proof-";

/// Whether a file is one that tells about a backup, and so can hold none of its bytes.
pub(crate) fn is_ours(file: &str) -> bool {
    let numbered = |prefix: &&str| file.starts_with(*prefix) && file.ends_with(".json");
    [ATTEMPT, FAILED, MANIFEST, SUMS, PIN].contains(&file) || [LEASE, VERIFIED, DAMAGED, PROOF].iter().any(numbered)
}

/// What comes between `prefix` and `.json` in the name of a file.
pub(crate) fn between<'a>(file: &'a str, prefix: &str) -> Option<&'a str> {
    file.strip_prefix(prefix)?.strip_suffix(".json")
}

/// The folder of a job.
pub(crate) fn job_folder(job: &Name) -> Result<Key> {
    let wrong = || {
        Error::usage(format!("a job cannot be called {:?}", job.as_str()))
            .with_hint("use letters, digits and . _ - + only, and no dot at the start")
    };
    if job.as_str().contains('/') {
        return Err(wrong());
    }
    job.as_str().parse().map_err(|_| wrong())
}

/// The folder of a backup.
pub(crate) fn folder(job: &Name, id: BackupId) -> Result<Key> {
    job_folder(job)?.join(&id.to_string())
}
