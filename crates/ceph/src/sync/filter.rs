//! Which names a sync passes over: `--exclude`, `--include` and their like, as s3cmd has them.

use backup_core::{Error, Result};
use regex::{RegexSet, RegexSetBuilder};

/// The most memory that all patterns may take when they are compiled, in bytes.
const MOST: usize = 16 << 20;

/// What a name is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// `*`, `?`, `[seq]` and `[!seq]`, where `*` and `?` stand for `/` too. Fits where a name ends so: `*.lzo`, `wal_005/*`.
    pub fn glob(glob: &str) -> Self {
        let mut regex = String::from("(?s:");
        let mut rest = glob;
        while let Some(c) = rest.chars().next() {
            rest = &rest[c.len_utf8()..];
            match c {
                '*' => regex.push_str(".*"),
                '?' => regex.push('.'),
                '[' => match set(rest) {
                    Some((set, after)) => {
                        regex.push_str(&set);
                        rest = after;
                    }
                    None => regex.push_str("\\["),
                },
                c => regex.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
            }
        }
        regex.push_str(")\\z");
        Self(regex)
    }

    /// A regular expression, which fits where it is found in a name. Look-around and back-references are not known.
    pub fn regex(regex: &str) -> Self {
        Self(regex.to_owned())
    }

    /// The lines of a file of patterns; empty ones and those that begin with `#` are none.
    pub fn lines(text: &str) -> impl Iterator<Item = &str> {
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
    }

    /// Whether it is meant for folders, and so for all that is in them.
    fn is_for_folders(&self) -> bool {
        self.0.ends_with("/)\\z") || self.0.ends_with("/$")
    }
}

/// What follows a `[`, as a set of a regular expression, and what is behind its end.
fn set(text: &str) -> Option<(String, &str)> {
    let (negated, body) = text.strip_prefix('!').map_or((false, text), |body| (true, body));
    // A `]` in the first place is one of the set.
    let first = body.chars().next()?.len_utf8();
    let end = first + body.get(first..)?.find(']')?;
    let (inner, after) = (&body[..end], &body[end + 1..]);
    let mut set = String::from(if negated { "[^" } else { "[" });
    for c in inner.chars() {
        // All that mean something in a set of a regular expression but `-`, which means the same there.
        if "\\[]^&~".contains(c) {
            set.push('\\');
        }
        set.push(c);
    }
    set.push(']');
    Some((set, after))
}

/// Which names a sync passes over, at its source and at its destination alike. By default none.
#[derive(Debug, Clone)]
pub struct Filter {
    exclude: RegexSet,
    include: RegexSet,
    /// Those of `exclude` and `include` that are for folders.
    folders: (RegexSet, RegexSet),
}

impl Filter {
    /// Passes over what a pattern of `exclude` fits, unless one of `include` fits it.
    ///
    /// A pattern that ends in `/` fits a folder, and with it all that is in there. In s3cmd it does so only where the folder is
    /// local, and `--delete-removed` then deletes the rest at the other end.
    pub fn new(exclude: &[Pattern], include: &[Pattern]) -> Result<Self> {
        let folders = |patterns: &[Pattern]| compile(patterns.iter().filter(|pattern| pattern.is_for_folders()));
        let folders = (folders(exclude)?, folders(include)?);
        Ok(Self { exclude: compile(exclude.iter())?, include: compile(include.iter())?, folders })
    }

    /// Whether the object called `name` is passed over.
    pub fn excludes(&self, name: &str) -> bool {
        if self.exclude.is_empty() {
            return false;
        }
        if self.exclude.is_match(name) {
            return !self.include.is_match(name);
        }
        let (exclude, include) = &self.folders;
        let mut folders = name.match_indices('/').map(|(slash, _)| &name[..=slash]);
        !exclude.is_empty() && folders.any(|folder| exclude.is_match(folder) && !include.is_match(folder))
    }
}

impl Default for Filter {
    fn default() -> Self {
        let none = RegexSet::empty;
        Self { exclude: none(), include: none(), folders: (none(), none()) }
    }
}

fn compile<'a>(patterns: impl Iterator<Item = &'a Pattern>) -> Result<RegexSet> {
    let patterns = RegexSetBuilder::new(patterns.map(|pattern| &pattern.0)).size_limit(MOST).dfa_size_limit(MOST).build();
    patterns.map_err(|error| Error::usage("a pattern to exclude or include cannot be read").with_source(error.to_string()))
}

#[cfg(test)]
mod tests {
    use backup_core::Kind;

    use super::*;

    fn filter(exclude: &[&str], include: &[&str]) -> Filter {
        let patterns = |globs: &[&str]| globs.iter().map(|glob| Pattern::glob(glob)).collect::<Vec<_>>();
        Filter::new(&patterns(exclude), &patterns(include)).expect("it can be read")
    }

    #[test]
    fn a_glob_fits_the_end_of_a_name() {
        for (glob, fits, not) in [
            ("*.lzo", "wal_005/0001.lzo", "0001.lzo.tmp"),
            ("wal_005/*", "old/wal_005/a/b", "wal_006/a"),
            ("part_?.tar", "x/part_1.tar", "x/part_12.tar"),
            ("[0-9a]b", "0b", "bb"),
            ("[!0-9]b", "ab", "0b"),
            ("[]x]b", "]b", "ab"),
            ("[^a]b", "^b", "bb"),
            ("[a", "x[a", "a"),
            ("a.b", "a.b", "axb"),
            ("a&&[b]", "a&&b", "ab"),
            ("*", "a\nb", ""),
        ] {
            let filter = filter(&[glob], &[]);
            assert!(filter.excludes(fits), "{glob} {fits}");
            assert!(not.is_empty() || !filter.excludes(not), "{glob} {not}");
        }
    }

    #[test]
    fn what_is_included_is_not_passed_over() {
        let filter = filter(&["*"], &["*.lzo"]);
        assert!(filter.excludes("a.tmp") && !filter.excludes("x/a.lzo"));
        assert!(!Filter::default().excludes("a"));
        let filter = Filter::new(&[Pattern::regex("^wal_\\d+/")], &[]).expect("good");
        assert!(filter.excludes("wal_005/x") && !filter.excludes("old/wal_005/x"));
    }

    #[test]
    fn a_folder_is_passed_over_with_all_that_is_in_it() {
        let filter = filter(&["cache/"], &["b/cache/"]);
        for (name, excluded) in [("a/cache/x/y", true), ("cache/x", true), ("a/cache", false), ("b/cache/x", false)] {
            assert_eq!(filter.excludes(name), excluded, "{name}");
        }
    }

    #[test]
    fn a_file_of_patterns() {
        assert_eq!(Pattern::lines("# c\n\n *.lzo \r\n[#]x\n").collect::<Vec<_>>(), ["*.lzo", "[#]x"]);
    }

    #[test]
    fn patterns_that_cannot_be_read() {
        for bad in ["(", "(?=a)", "(a{1000}){1000}"] {
            assert_eq!(Filter::new(&[Pattern::regex(bad)], &[]).expect_err(bad).kind(), Kind::Usage);
        }
        // Backwards: nothing of the kind.
        assert_eq!(Filter::new(&[Pattern::glob("[z-a]")], &[]).expect_err("backwards").kind(), Kind::Usage);
    }
}
