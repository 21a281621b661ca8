//! Where the configuration of a program lies that is not named.

use std::path::{Path, PathBuf};

/// Where to look for the configuration of a program, best first: `NAME.conf` in the folder of each of `programs`, which are the
/// path it was called by, and what that links to, link by link.
///
/// `NAME` is the program's name without `.sh` or `.ctl` at its end, and without the `S10` or `K10` at its beginning that orders
/// scripts. microbosh-simple-backup takes away an `S` or `K` without digits too, so that name comes behind the other.
pub fn beside(programs: &[PathBuf]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for program in programs {
        let Some(name) = program.file_name().and_then(|name| name.to_str()) else { continue };
        let name = name.strip_suffix(".sh").unwrap_or(name);
        let name = name.strip_suffix(".ctl").unwrap_or(name);
        let unordered = name.strip_prefix(['S', 'K']).map(|rest| (rest, rest.trim_start_matches(|c: char| c.is_ascii_digit())));
        let names = match unordered {
            Some((rest, without)) if rest.len() > without.len() => [Some(without), None],
            Some((rest, _)) => [Some(name), Some(rest)],
            None => [Some(name), None],
        };
        let folder = program.parent().unwrap_or(Path::new(""));
        for name in names.into_iter().flatten().filter(|name| !name.is_empty()) {
            let path = folder.join(format!("{name}.conf"));
            if !found.contains(&path) {
                found.push(path);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_and_what_it_links_to() {
        let look = |programs: &[&str]| -> Vec<String> {
            let programs: Vec<PathBuf> = programs.iter().map(PathBuf::from).collect();
            beside(&programs).into_iter().map(|path| path.display().to_string()).collect()
        };
        assert_eq!(look(&["/b/one.sh", "/opt/s/_simple-backup.sh"]), ["/b/one.conf", "/opt/s/_simple-backup.conf"]);
        assert_eq!(look(&["/etc/rc2.d/S20bosh.ctl"]), ["/etc/rc2.d/bosh.conf"]);
        assert_eq!(look(&["K5a.ctl.sh", "bosh-backup"]), ["a.conf", "bosh-backup.conf"]);
        assert_eq!(look(&["/b/Stage.sh"]), ["/b/Stage.conf", "/b/tage.conf"]);
        assert_eq!(look(&["/b/one", "/b/one.sh"]), ["/b/one.conf"]);
        assert!(look(&["/", "/b/S20", ".sh", "/b/.."]).is_empty());
    }
}
