//! Extended attributes and access control lists of what lies in a cache.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use rustix::fs::XattrFlags;
use rustix::io::Errno;

/// The lists of who may do what, in the form that the kernel has.
pub(super) const LISTS: [&[u8]; 2] = [b"system.posix_acl_access", b"system.posix_acl_default"];

/// Gives `name` in `folder` these attributes and no others, as far as the user may.
///
/// Root may give all but those of `system.` that are no access control list, and of SELinux, whose labels belong to the machine that
/// gave them. Another user may give those of `user.` and the lists, as with rsync.
pub(super) fn set(folder: &OwnedFd, name: &[u8], attributes: &[(Vec<u8>, Vec<u8>)], by_root: bool) -> io::Result<()> {
    let path = path(folder, name);
    let kept = |name: &[u8]| {
        LISTS.contains(&name)
            || name.starts_with(b"user.")
            || (by_root && !name.starts_with(b"system.") && name != b"security.selinux")
    };
    for there in names(&path)? {
        if kept(&there) && !attributes.iter().any(|(name, _)| *name == there) {
            match rustix::fs::lremovexattr(&path, OsStr::from_bytes(&there)) {
                Err(Errno::NODATA) => {}
                removed => removed?,
            }
        }
    }
    for (name, value) in attributes.iter().filter(|(name, _)| kept(name)) {
        rustix::fs::lsetxattr(&path, OsStr::from_bytes(name), value, XattrFlags::empty())?;
    }
    Ok(())
}

fn names(path: &PathBuf) -> io::Result<Vec<Vec<u8>>> {
    // More than the kernel ever gives.
    let mut list = vec![0_u8; 64 * 1024];
    let length = match rustix::fs::llistxattr(path, list.as_mut_slice()) {
        // A file system that has none.
        Err(Errno::NOTSUP) => 0,
        // The file is there: it was just made.
        Err(Errno::NOENT) => return Err(io::Error::other("there is no /proc, through which attributes are given")),
        length => length?,
    };
    list.truncate(length);
    Ok(list.split(|byte| *byte == 0).filter(|name| !name.is_empty()).map(<[u8]>::to_owned).collect())
}

/// A path that leads to the very folder, wherever that was moved; the last name in it is not followed.
fn path(folder: &OwnedFd, name: &[u8]) -> PathBuf {
    let mut path = OsString::from(format!("/proc/self/fd/{}/", folder.as_raw_fd())).into_vec();
    path.extend_from_slice(name);
    OsString::from_vec(path).into()
}
