//! Data directories, as initdb makes them: the plain one once for each version, then copied, with an identifier of its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use super::{Major, Setup, as_server, give};
use crate::installed::home;

/// Makes `dir/data`; the words of initdb where it fails.
pub(super) fn data(major: Major, bin: &Path, dir: &Path, setup: &Setup) -> Result<(), String> {
    let plain = setup.password.is_none() && setup.initdb.is_empty();
    let kept = kept(major, bin).filter(|_| plain);
    if let Some(kept) = kept.as_ref().filter(|kept| kept.is_dir()) {
        copy(kept, bin, dir);
        return Ok(());
    }
    initdb(bin, dir, setup)?;
    if let Some(kept) = kept {
        keep(&kept, &dir.join("data"));
    }
    Ok(())
}

fn initdb(bin: &Path, dir: &Path, setup: &Setup) -> Result<(), String> {
    let mut initdb = as_server(Command::new(bin.join("initdb")), dir);
    if let Some(password) = &setup.password {
        let file = dir.join("password");
        std::fs::write(&file, password).expect("a file with the password");
        give(&file);
        initdb.arg("--pwfile").arg(file);
    }
    let output = initdb
        .args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"])
        .args(&setup.initdb)
        .arg("-D")
        .arg(dir.join("data"))
        .output()
        .expect("initdb runs");
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// Where the plain one of this version is kept: beside its programs, with which it goes; `None` for programs from elsewhere.
fn kept(major: Major, bin: &Path) -> Option<PathBuf> {
    let root = home().join(format!("postgresql-{major}"));
    bin.starts_with(&root).then(|| root.join("initdb"))
}

/// Makes `dir/data` a copy of what is kept.
fn copy(kept: &Path, bin: &Path, dir: &Path) {
    let data = dir.join("data");
    done(as_server(Command::new("cp"), dir).arg("-r").arg(kept).arg(&data));
    // Only initdb makes up an identifier, and no two servers have the same.
    let path = data.join("global/pg_control");
    let mut control = std::fs::read(&path).expect("pg_control");
    let end = sum_at(&control).expect("the checksum of pg_control");
    control[..8].copy_from_slice(&identifier().to_le_bytes());
    let sum = crc32c(&control[..end]).to_le_bytes();
    control[end..end + 4].copy_from_slice(&sum);
    std::fs::write(&path, control).expect("pg_control");
    // Its write-ahead log has the identifier too.
    done(as_server(Command::new(bin.join("pg_resetwal")), dir).arg(&data));
}

/// Keeps a copy of `data`, fresh from initdb, unless somebody else was first or this user may not write there.
fn keep(kept: &Path, data: &Path) {
    let Ok(new) = tempfile::Builder::new().prefix("initdb-").tempdir_in(kept.parent().expect("a root")) else { return };
    let whole = new.path().join("data");
    done(Command::new("cp").arg("-a").arg(data).arg(&whole));
    let _ = std::fs::rename(whole, kept);
}

fn done(command: &mut Command) {
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Made of the time and of the process, as initdb does (`BootStrapXLOG`).
fn identifier() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    (now.as_secs() << 32) | (u64::from(now.subsec_micros()) << 12) | u64::from(std::process::id() & 0xfff)
}

/// Where in `pg_control` the checksum of what is before it stands, which differs from version to version.
fn sum_at(control: &[u8]) -> Option<usize> {
    (8..control.len().min(512) - 4).step_by(4).find(|end| control[*end..].starts_with(&crc32c(&control[..*end]).to_le_bytes()))
}

/// CRC-32C, as RFC 3720 has it.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes
        .iter()
        .fold(u32::MAX, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0x82f6_3b78 * (sum & 1))))
}
