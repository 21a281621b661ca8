//! What of an archive comes back, member by member: nothing of it leads out of the folder that it is unpacked in.

use backup_core::{Error, Result};

use super::chosen::Chosen;
use crate::copy::{Entry, Member, Type, is_relative, split};

/// The folder of an archive in which the files of a director lie.
const TREE: &[u8] = b"vcap";

/// Takes the members of an archive in their order, and finds those that come back.
#[derive(Debug)]
pub(super) struct Members {
    chosen: Chosen,
    /// The folders that the last member lies in, and itself if it is one.
    folders: Vec<Vec<u8>>,
}

/// A member that comes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Coming {
    /// Its path below `/var/vcap`.
    pub(super) path: Vec<u8>,
    /// What is to be known of it once it is unpacked.
    pub(super) entry: Entry,
    /// It is another name of this path.
    pub(super) link: Option<Vec<u8>>,
}

impl Members {
    pub(super) fn new(chosen: Chosen) -> Self {
        Self { chosen, folders: Vec::new() }
    }

    /// What comes back of `member`; `None` of one that does not.
    ///
    /// A name that leads up or begins at the root, and a file that does not follow the folder that it lies in, are
    /// [`Kind::Damaged`](backup_core::Kind::Damaged): a link cannot stand in that folder's place then.
    pub(super) fn of(&mut self, member: &Member) -> Result<Option<Coming>> {
        let path = named(&member.path)?;
        let is_folder = member.kind == Type::Folder;
        let Some(below) = in_tree(path) else { return Ok(None) };
        let (parent, _) = split(path);
        while self.folders.last().is_some_and(|folder| folder != parent) {
            self.folders.pop();
        }
        if !parent.is_empty() && self.folders.is_empty() {
            return Err(damaged(path, "does not follow the folder that it lies in"));
        }
        if is_folder {
            self.folders.push(path.to_owned());
        }
        if below.is_empty() || !self.chosen.has(below, is_folder) {
            return Ok(None);
        }
        let link = match member.is_link {
            true => Some(self.first_name(member)?),
            false => None,
        };
        let Member { kind, mode, owner, group, modified, size, target, .. } = member.clone();
        let target = if kind == Type::Symlink { target } else { Vec::new() };
        let (changed, inode, device, names) = Default::default();
        let entry = Entry { kind, size, mode, owner, group, modified, changed, inode, device, names, target };
        Ok(Some(Coming { path: below.to_owned(), entry, link }))
    }

    /// What a member is another name of must come back too.
    fn first_name(&self, member: &Member) -> Result<Vec<u8>> {
        let below = in_tree(named(&member.target)?).unwrap_or_default();
        match self.chosen.has(below, false) {
            true => Ok(below.to_owned()),
            false => {
                let (path, target) = (member.path.escape_ascii(), member.target.escape_ascii());
                Err(Error::failed(format!("{path} is another name of {target}, which does not come back"))
                    .with_hint("choose both with --path"))
            }
        }
    }
}

/// A name without what tar may put before it, if it stays where it is.
fn named(name: &[u8]) -> Result<&[u8]> {
    let path = name.strip_prefix(b"./").unwrap_or(name);
    let path = if path == b"." { b"" } else { path };
    match is_relative(path) {
        true => Ok(path),
        false => Err(damaged(name, "leads out of it")),
    }
}

/// The path below the tree of the director; `None` of what is not of that.
fn in_tree(path: &[u8]) -> Option<&[u8]> {
    let rest = path.strip_prefix(TREE)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix(b"/") }
}

fn damaged(path: &[u8], how: &str) -> Error {
    let start = path.get(..200).unwrap_or(path).escape_ascii();
    Error::damaged(format!("the archive has a file \"{start}\" that {how}"))
        .with_hint("do not trust it: neither our backup nor microbosh-simple-backup makes such")
}

#[cfg(test)]
mod tests {
    use backup_core::Kind;

    use super::*;
    use crate::Filter;
    use crate::copy::Archive;

    /// The members that a real tar writes, which some are then renamed of.
    fn member(path: &str, kind: Type, target: Option<&str>) -> Member {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("a"), "a").expect("written");
        let mut tar = std::process::Command::new("tar");
        let output = tar.args(["--create", "--format=pax", "-C"]).arg(folder.path()).arg("a").output().expect("tar runs");
        let mut member = Archive::new(output.stdout.as_slice()).next().expect("read").expect("a member");
        (member.path, member.kind, member.is_link) = (path.into(), kind, target.is_some() && kind == Type::File);
        member.target = target.unwrap_or_default().into();
        member
    }

    fn of(members: &[Member]) -> Result<Vec<String>> {
        let list = Filter::parse(b"- *.tmp\n").expect("a list");
        let mut all = Members::new(Chosen::new(&["store".into()], &list).expect("chosen"));
        let coming = members.iter().map(|member| all.of(member)).collect::<Result<Vec<_>>>()?;
        Ok(coming.into_iter().flatten().map(|coming| String::from_utf8(coming.path).expect("text")).collect())
    }

    fn folders(paths: &[&str]) -> Vec<Member> {
        paths.iter().map(|path| member(path, Type::Folder, None)).collect()
    }

    #[test]
    fn what_is_chosen_of_the_tree_comes_back() {
        let mut members = folders(&["dbs", "./vcap", "vcap/bosh", "vcap/store"]);
        members.extend(["vcap/store/a", "vcap/store/b.tmp"].map(|path| member(path, Type::File, None)));
        members.push(member("vcap/store/link", Type::Symlink, Some("/etc/passwd")));
        members.push(member("vcap/store/again", Type::File, Some("vcap/store/a")));
        members.push(member("recover.txt", Type::File, None));
        assert_eq!(of(&members).expect("good"), ["store", "store/a", "store/link", "store/again"]);
    }

    #[test]
    fn names_that_lead_out_are_damage() {
        for path in ["/etc/passwd", "../x", "vcap/../../x", "vcap/store/..", "vcap//store", "vcap/store/./x"] {
            let mut members = folders(&["vcap", "vcap/store"]);
            members.push(member(path, Type::File, None));
            assert_eq!(of(&members).expect_err(path).kind(), Kind::Damaged, "{path}");
        }
        for target in ["/etc/passwd", "vcap/../../etc/passwd"] {
            let mut members = folders(&["vcap", "vcap/store"]);
            members.push(member("vcap/store/x", Type::File, Some(target)));
            assert_eq!(of(&members).expect_err(target).kind(), Kind::Damaged, "{target}");
        }
        for target in ["recover.txt", "vcap/bosh/x", "vcap/store/x.tmp"] {
            let mut members = folders(&["vcap", "vcap/store"]);
            members.push(member("vcap/store/x", Type::File, Some(target)));
            assert_eq!(of(&members).expect_err(target).kind(), Kind::Failed, "{target}");
        }
    }

    #[test]
    fn nothing_lies_in_what_is_no_folder() {
        let link = || member("vcap/store/x", Type::Symlink, Some("/etc"));
        let inside = || member("vcap/store/x/passwd", Type::File, None);
        let before = || folders(&["vcap", "vcap/store"]);
        for members in [
            [before(), vec![link(), inside()]].concat(),
            [before(), folders(&["vcap/store/x"]), vec![link(), inside()]].concat(),
            [before(), folders(&["vcap/store/x", "vcap/store/y"]), vec![inside()]].concat(),
            vec![member("vcap/store/a", Type::File, None)],
        ] {
            assert_eq!(of(&members).expect_err("out of place").kind(), Kind::Damaged);
        }
    }
}
