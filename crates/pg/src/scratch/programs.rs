//! Which PostgreSQL programs this machine has, and who may run them.

use std::path::{Path, PathBuf};
use std::process::Command;

use backup_core::scratch::{End, Starter};
use backup_core::{Doing as _, Error, Kind, Result};

use crate::Version;

/// The programs of one release.
#[derive(Debug, Clone)]
pub(super) struct Programs {
    folder: PathBuf,
    pub(super) version: Version,
}

impl Programs {
    pub(super) fn initdb(&self) -> PathBuf {
        self.folder.join("initdb")
    }

    pub(super) fn postgres(&self) -> PathBuf {
        self.folder.join("postgres")
    }

    /// The programs in `folder`, if it has them and they run.
    async fn in_folder(folder: &Path) -> Option<Self> {
        if !folder.join("initdb").is_file() || !folder.join("postgres").is_file() {
            return None;
        }
        let output = tokio::process::Command::new(folder.join("postgres")).arg("--version").output().await.ok()?;
        let version = Version::of_program(&String::from_utf8_lossy(&output.stdout))?;
        Some(Self { folder: folder.to_owned(), version })
    }
}

const INSTALL: &str =
    "install the PostgreSQL server programs of that series, say where they are, or give the URL of a server to prove in";

/// The programs in `bindir`; else of all there are those of the series of `wanted`; else of the next one.
pub(super) async fn find(bindir: Option<&Path>, wanted: Version) -> Result<Programs> {
    let folders = match bindir {
        Some(folder) => vec![folder.to_owned()],
        None => folders(),
    };
    let mut all = Vec::new();
    for folder in &folders {
        all.extend(Programs::in_folder(folder).await);
    }
    let found: Vec<_> = all.iter().map(|programs| programs.version.to_string()).collect();
    let best = all
        .into_iter()
        .filter(|programs| programs.version.at_least(wanted.major()))
        .min_by_key(|programs| programs.version.major());
    best.ok_or_else(|| {
        let found =
            if found.is_empty() { "there are none".to_owned() } else { format!("there are those of {}", found.join(", ")) };
        let place = bindir.map(|folder| format!(" in {}", folder.display())).unwrap_or_default();
        Error::new(
            Kind::Unproven,
            format!("a proof takes the server programs of PostgreSQL {} or later; {found}{place}", wanted.major()),
        )
        .with_hint(INSTALL)
    })
}

/// Where server programs may be: `PATH`, then where Debian, Red Hat and PostgreSQL's own build put them.
fn folders() -> Vec<PathBuf> {
    // The one variable that is read here: which programs a machine has is nothing that a caller knows better.
    let mut folders: Vec<_> = std::env::var_os("PATH").iter().flat_map(std::env::split_paths).collect();
    for (parent, prefix) in [("/usr/lib/postgresql", ""), ("/usr", "pgsql-")] {
        let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
        let entries = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
        folders.extend(entries.map(|entry| entry.path().join("bin")));
    }
    folders.push(PathBuf::from("/usr/local/pgsql/bin"));
    folders.retain(|folder| folder.is_absolute());
    folders
}

/// Who runs the server, and how a program is run as them.
#[derive(Debug, Clone)]
pub(super) struct Account {
    /// Set if we are root, whom the server refuses.
    ids: Option<(u32, u32)>,
    starter: Starter,
}

impl Account {
    pub(super) async fn find() -> Result<Self> {
        let starter = Starter::find(End::Quit).await;
        if !rustix::process::geteuid().is_root() {
            return Ok(Self { ids: None, starter });
        }
        if !starter.has_setpriv() {
            return Err(Error::new(
                Kind::Unproven,
                "the server refuses root, and there is no setpriv to run it as somebody else",
            )
            .with_hint("install util-linux, or run as another user"));
        }
        let users = std::fs::read_to_string("/etc/passwd").doing(|| "read /etc/passwd")?;
        let ids = ["postgres", "nobody"].iter().find_map(|name| ids_of(&users, name));
        let ids = ids.ok_or_else(|| {
            Error::new(Kind::Unproven, "the server refuses root, and there is no user postgres or nobody")
                .with_hint("add a user postgres")
        })?;
        Ok(Self { ids: Some(ids), starter })
    }

    /// User and group that the server's files belong to, if not to us.
    pub(super) fn ids(&self) -> Option<(u32, u32)> {
        self.ids
    }

    /// `program` run as the server's user, with nothing of our environment but the search path.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = self.starter.command(program, self.ids);
        let path = std::env::var_os("PATH").unwrap_or_default();
        command.env_clear().env("PATH", path).env("LC_ALL", "C").env("TZ", "UTC");
        command
    }
}

fn ids_of(users: &str, wanted: &str) -> Option<(u32, u32)> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let (uid, gid) = (fields.nth(1)?, fields.next()?);
        (name == wanted).then(|| Some((uid.parse().ok()?, gid.parse().ok()?)))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_name() {
        let users = "root:x:0:0::/root:/bin/sh\nbroken\npostgres:x:101:104:PostgreSQL,,,:/var/lib/postgresql:/bin/bash\n";
        assert_eq!(ids_of(users, "postgres"), Some((101, 104)));
        assert_eq!(ids_of(users, "nobody"), None);
    }

    #[tokio::test]
    async fn without_programs_nothing_is_proven() {
        let empty = tempfile::tempdir().unwrap();
        let error = find(Some(empty.path()), Version(150_000)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unproven);
        assert!(error.hint().is_some());
        let error = find(None, Version(9_990_000)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unproven);
    }
}
