//! Which files of a tree are copied: rsync's patterns to include and to exclude.

mod glob;
mod pattern;

use backup_core::{Error, Result};

use self::pattern::Pattern;

/// The most patterns that a filter may have, and the most bytes in one of them.
const MOST: (usize, usize) = (10_000, 4096);

/// The lines of a file as `rsync --include-from` takes it: what the first pattern that fits a name says is so, and what none fits is
/// copied.
///
/// `- PATTERN` leaves out, `+ PATTERN` and a bare pattern copy, `!` forgets all above it; lines that begin with `#` or `;` and empty
/// ones are none. Any other blank belongs to the pattern. In a pattern:
///
/// - `/` at its beginning: it is compared with the whole path; else with the end of it, at a `/`;
/// - `/` at its end: it fits folders only;
/// - `*` and `?`: any characters, and one, but no `/`; `**`: any, with `/`; `[a-z]`, `[!a-z]`, `[[:digit:]]`: one of these;
/// - `/***` at its end: the folder and all that is in it;
/// - `\`: the next character as it is, in a pattern that has one of `*`, `?`, `[`.
///
/// A path is relative to the folder that is copied, `store/blobs/1`, in bytes as the file system has it. That folder itself is always
/// copied. What a filter leaves out stays at the destination when the rest is deleted there, as with `rsync --delete`.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    rules: Vec<Rule>,
    text: Vec<u8>,
}

#[derive(Debug, Clone)]
struct Rule {
    includes: bool,
    pattern: Pattern,
}

impl Filter {
    /// Reads the lines of `text`. One without a pattern, or too long, is [`Kind::Usage`](backup_core::Kind::Usage).
    pub fn parse(text: &[u8]) -> Result<Self> {
        let mut rules = Vec::new();
        for line in text.split(|byte| matches!(byte, b'\n' | b'\r')) {
            let (includes, pattern) = match line {
                [] | [b'#' | b';', ..] => continue,
                b"!" => {
                    rules.clear();
                    continue;
                }
                [b'-', b' ', pattern @ ..] => (false, pattern),
                [b'+', b' ', pattern @ ..] => (true, pattern),
                pattern => (true, pattern),
            };
            if pattern.is_empty() || pattern.len() > MOST.1 || pattern.contains(&0) || rules.len() == MOST.0 {
                let start = line.get(..40).unwrap_or(line).escape_ascii();
                return Err(Error::usage(format!("the list of files has a line that cannot be meant: \"{start}\""))
                    .with_hint("write `- PATTERN` to leave out and `+ PATTERN` to copy; 10,000 lines of 4,096 bytes at most"));
            }
            rules.push(Rule { includes, pattern: Pattern::new(pattern) });
        }
        Ok(Self { rules, text: text.to_owned() })
    }

    /// The text that it was read from.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// The same, with what fits `pattern` left out whatever else it says.
    #[must_use]
    pub(crate) fn without(mut self, pattern: &str) -> Self {
        self.rules.insert(0, Rule { includes: false, pattern: Pattern::new(pattern.as_bytes()) });
        self
    }

    /// Whether what lies at `path` is copied if the folder that it lies in is.
    pub fn includes(&self, path: &[u8], is_folder: bool) -> bool {
        self.rules.iter().find(|rule| rule.pattern.fits(path, is_folder)).is_none_or(|rule| rule.includes)
    }

    /// Whether what lies at `path` is copied: it and every folder above it are included. One that is left out hides all below it,
    /// whatever a pattern says of that.
    pub fn reaches(&self, path: &[u8], is_folder: bool) -> bool {
        let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        let mut folders = slashes.filter_map(|slash| path.get(..slash));
        folders.all(|folder| self.includes(folder, true)) && self.includes(path, is_folder)
    }
}

#[cfg(test)]
mod tests {
    use backup_core::Kind;
    use proptest::prelude::*;

    use super::*;

    fn filter(text: &str) -> Filter {
        Filter::parse(text.as_bytes()).expect(text)
    }

    /// What of `paths` is copied; those that end in `/` are folders.
    fn copied<'a>(filter: &Filter, paths: &[&'a str]) -> Vec<&'a str> {
        let is_copied = |path: &&&str| {
            let folder = path.strip_suffix('/');
            filter.reaches(folder.unwrap_or(path).as_bytes(), folder.is_some())
        };
        paths.iter().filter(is_copied).copied().collect()
    }

    #[test]
    fn the_list_of_a_microbosh() {
        let list =
            "- micro/\n- packages/\n- sys\n+ bosh\n+ bosh/settings.json\n- bosh/**\n+ store\n- store/lost+found\n+ store/**\n";
        let paths = [
            "micro/",
            "micro/x",
            "packages/",
            "sys/",
            "sys/log/a",
            "bosh/",
            "bosh/settings.json",
            "bosh/bin/",
            "bosh/bin/monit",
            "store/",
            "store/lost+found/",
            "store/lost+found/1",
            "store/blobs/",
            "store/blobs/1",
            "store/micro/",
            "store/micro/1",
            "data",
        ];
        let expected = ["bosh/", "bosh/settings.json", "store/", "store/blobs/", "store/blobs/1", "data"];
        assert_eq!(copied(&filter(list), &paths), expected, "with what is relative to /var/vcap");
    }

    #[test]
    fn the_list_that_is_relative_to_the_store() {
        let list = filter("# folders\n- **/lost+found/\n- lost+found\n+ */\n");
        let paths = ["lost+found/", "a/", "a/lost+found/", "a/lost+found/1", "a/lost+found2/", "a/b", "lost+foun"];
        assert_eq!(copied(&list, &paths), ["a/", "a/lost+found2/", "a/b", "lost+foun"]);
    }

    #[test]
    fn the_first_that_fits_counts_and_a_folder_hides_what_is_below() {
        let paths = ["a/", "a/b", "c"];
        assert_eq!(copied(&filter("+ a/b\n- a\n"), &paths), ["c"]);
        assert_eq!(copied(&filter("a\n- a/b\n"), &paths), ["a/", "c"]);
        assert_eq!(copied(&filter("- a\n!\n- c\n"), &paths), ["a/", "a/b"]);
        assert_eq!(copied(&filter(""), &paths), paths);
        assert_eq!(copied(&filter("#- a\n;- a\r- c\r\n"), &paths), ["a/", "a/b"]);
        assert_eq!(copied(&filter(" - a\n- a \n-a\n+\n"), &paths), paths, "blanks belong to the pattern");
    }

    #[test]
    fn patterns() {
        for (pattern, fits, not) in [
            ("b", vec!["b", "a/b", "a/b/"], vec!["ab", "b/c"]),
            ("/b", vec!["b", "b/"], vec!["a/b"]),
            ("b/", vec!["b/", "a/b/"], vec!["b"]),
            ("a/b", vec!["a/b", "x/a/b"], vec!["xa/b", "b"]),
            ("a*", vec!["a", "ab", "x/ab"], vec!["b", "ab/c"]),
            ("/a/*", vec!["a/b"], vec!["a/b/c", "a/", "x/a/b"]),
            ("a/**", vec!["a/b", "a/b/c", "x/a/b"], vec!["a/", "xa/b"]),
            ("a/***", vec!["a/", "a/b", "x/a/b/c"], vec!["a"]),
            ("**/b", vec!["b", "a/b", "a/c/b"], vec!["a/cb"]),
            ("/**/b", vec!["a/b", "a/c/b"], vec!["b"]),
            ("a**z", vec!["az", "a/b/z", "x/a/z"], vec!["xaz", "az/b"]),
            ("?/b", vec!["a/b", "x/a/b"], vec!["ab/b"]),
            ("[a-c]", vec!["a", "x/c"], vec!["d", "-"]),
            ("[!a-c]", vec!["d", "-"], vec!["a"]),
            ("[^]x]", vec!["a"], vec!["]", "x"]),
            ("[]x]", vec!["]", "x"], vec!["a"]),
            ("[a-]", vec!["-", "a"], vec!["b"]),
            ("[[:digit:]-x]", vec!["7", "-", "x"], vec!["a"]),
            ("[[:alpha:]y", vec![], vec!["ay"]),
            ("[[:what:]]", vec![], vec!["w"]),
            ("[a", vec![], vec!["a", "[a"]),
            ("a[/]b", vec![], vec!["a/b"]),
            ("\\*", vec!["*"], vec!["a", "\\*"]),
            ("a\\b", vec!["a\\b"], vec!["ab"]),
            ("*\\", vec![], vec!["a", "\\"]),
            ("[\\]]", vec!["]"], vec!["\\"]),
        ] {
            let excludes = filter(&format!("- {pattern}\n"));
            for (paths, is) in [(fits, true), (not, false)] {
                for path in paths {
                    let folder = path.strip_suffix('/');
                    let included = excludes.includes(folder.unwrap_or(path).as_bytes(), folder.is_some());
                    assert_eq!(!included, is, "{pattern} {path}");
                }
            }
        }
    }

    #[test]
    fn lines_that_cannot_be_meant() {
        let long = format!("- {}", "a".repeat(4097));
        let many = "a\n".repeat(10_001);
        for text in ["- ", "a\n+ \n", "a\0b", &long, &many] {
            assert_eq!(Filter::parse(text.as_bytes()).expect_err("it is refused").kind(), Kind::Usage);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(text: Vec<u8>, line in "[-+] [a*?/\\[\\]!:^\\\\-]{0,12}", path: Vec<u8>, is_folder: bool) {
            for text in [text.as_slice(), line.as_bytes()] {
                if let Ok(filter) = Filter::parse(text) {
                    let _ = filter.reaches(&path, is_folder);
                    let _ = filter.reaches(b"a/-]/a", is_folder);
                }
            }
        }
    }
}
