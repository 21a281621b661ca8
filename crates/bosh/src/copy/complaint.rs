//! What `find` and `tar` complain of when they fail: whether files that came, went and changed meanwhile are all of it.

use backup_core::Error;

/// Of longer complaints the beginning may be missing, in bytes.
const WHOLE: usize = 4096;

/// What is no failure of a copy that goes on while files change: it reads them again.
const MEANWHILE: [&str; 5] = [
    ": No such file or directory",
    ": File removed before we read it",
    ": file changed as we read it",
    "; padding with zeros",
    "Exiting with failure status due to previous errors",
];

/// Whether `error`, with which `program` ended, says in every line that a file was gone or changed, and says all of it.
///
/// Names stand within the lines, escaped, and never at their end: none can pass for such a line.
pub(super) fn is_of_meanwhile(program: &str, error: &Error) -> bool {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    let words = cause.to_string();
    let prefix = format!("{program}: ");
    let mut told = words.lines().map(str::trim_end).skip_while(|line| !line.starts_with(&prefix)).peekable();
    let harmless = |line: &str| {
        line.strip_prefix(&prefix).is_some_and(|line| {
            // A read that failed is padded with zeros too.
            let shrank = !line.ends_with("; padding with zeros") || line.contains(": File shrank by ");
            shrank && MEANWHILE.iter().any(|end| line.ends_with(end))
        })
    };
    words.len() < WHOLE && told.peek().is_some() && told.all(harmless)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(words: &str) -> bool {
        let error = Error::failed("tar ended with exit status: 2").with_source(words.to_owned());
        is_of_meanwhile("tar", &Error::failed("failed to read").with_source(error))
    }

    #[test]
    fn files_that_came_and_went_are_no_failure() {
        for words in [
            "tar: ./a: Cannot stat: No such file or directory\ntar: Exiting with failure status due to previous errors",
            "tar: ./a: file changed as we read it",
            "tar: ./a: File removed before we read it\ntar: ./b: File shrank by 7 bytes; padding with zeros",
            "You are watched.\n\ntar: ./a: Cannot open: No such file or directory\r\n",
        ] {
            assert!(judged(words), "{words}");
        }
    }

    #[test]
    fn anything_else_is_a_failure() {
        let long = "tar: ./a: file changed as we read it\n".repeat(200);
        for words in [
            "",
            "tar: ./a: Cannot open: Permission denied\ntar: ./b: Cannot stat: No such file or directory",
            "tar: ./a: Cannot stat: No such file or directory\ntar: ./b: Read error at byte 0, while reading 4096 bytes: Input/output error",
            "tar: ./a: file changed as we read it\nsudo: what",
            "tar: ./a: file changed as we read it: Permission denied",
            "sh: tar: not found",
            "find: ./a: No such file or directory",
            &long,
        ] {
            assert!(!judged(words), "{words}");
        }
    }
}
