//! One command as an argument vector, quoted in one place.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::time::Duration;

use backup_core::{Error, Result};

/// A program and its arguments. No shell takes them apart: whatever bytes they have arrive as they are. Plain data.
///
/// Everybody on the host can read them while the command runs: no secret among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    words: Vec<OsString>,
    as_whom: AsWhom,
    limit: Option<Duration>,
}

/// Whose rights a command has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AsWhom {
    /// Those of whoever the host lets in.
    Login,
    /// Root's, by sudo.
    Root,
    /// Another user's, by sudo.
    User(String),
}

impl Command {
    /// `program`, a path on the host or a name to be looked up there, without arguments.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self { words: vec![program.into()], as_whom: AsWhom::Login, limit: None }
    }

    /// With one more argument.
    #[must_use]
    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.words.push(argument.into());
        self
    }

    /// With more arguments.
    #[must_use]
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.words.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// As root, by `sudo -n`, which never waits for a password: where one would be needed, the command fails with sudo's words.
    ///
    /// We may not kill what runs as root. What is to end before its end is killed by `sudo -n kill`; where sudo refuses that, the
    /// command is left to wait for more input, and ends at its next output.
    #[must_use]
    pub fn sudo(mut self) -> Self {
        self.as_whom = AsWhom::Root;
        self
    }

    /// As `user`, by `sudo -n -u`, as [`sudo`](Self::sudo) has it. What is to end before its end is killed by `sudo -n -u USER kill`.
    ///
    /// [`words`](Self::words) fails where nobody can be called so.
    #[must_use]
    pub fn run_as(mut self, user: impl Into<String>) -> Self {
        self.as_whom = AsWhom::User(user.into());
        self
    }

    /// Ended, with an error, when it has not ended so long after its start; a body that nobody reads counts too.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    /// The program's name, for messages.
    pub(crate) fn program(&self) -> String {
        self.words.first().map(|program| program.to_string_lossy().into_owned()).unwrap_or_default()
    }

    pub(crate) fn as_whom(&self) -> &AsWhom {
        &self.as_whom
    }

    pub(crate) fn is_sudo(&self) -> bool {
        self.as_whom != AsWhom::Login
    }

    pub(crate) fn longest(&self) -> Option<Duration> {
        self.limit
    }

    /// What is run, `sudo` and all. Fails where no program can have such a name or argument.
    pub fn words(&self) -> Result<Vec<OsString>> {
        let program = self.words.first().map(|program| program.as_bytes()).unwrap_or_default();
        // A shell's `exec` takes the dash for an option of its own.
        if program.is_empty() || program.starts_with(b"-") {
            return Err(Error::usage(format!("{:?} is no program", self.program())));
        }
        if self.words.iter().any(|word| word.as_bytes().contains(&0)) {
            return Err(Error::usage(format!("an argument of {} has a NUL byte, which none can have", self.program())));
        }
        let sudo: &[&str] = match &self.as_whom {
            AsWhom::Login => &[],
            AsWhom::Root => &["sudo", "-n", "--"],
            AsWhom::User(user) if is_name(user) => &["sudo", "-n", "-u", user, "--"],
            AsWhom::User(user) => return Err(Error::usage(format!("{user:?} is no user's name"))),
        };
        Ok(sudo.iter().map(OsString::from).chain(self.words.iter().cloned()).collect())
    }
}

/// Whether it is a name of a user or of a container: letters and digits of ASCII, and behind the first of them `_`, `.` and `-`.
pub(crate) fn is_name(text: &str) -> bool {
    let is_first = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.bytes().next().is_some_and(is_first) && text.bytes().all(|byte| is_first(byte) || b".-".contains(&byte))
}

/// `word` as a POSIX shell takes it for one word with the same bytes: in single quotes ("Quoting" in the Shell Command Language).
pub(crate) fn quoted(word: &OsStr) -> OsString {
    let mut line = vec![b'\''];
    for &byte in word.as_bytes() {
        match byte {
            b'\'' => line.extend(br"'\''"),
            _ => line.push(byte),
        }
    }
    line.push(b'\'');
    OsString::from_vec(line)
}

#[cfg(test)]
mod tests {
    use std::process;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_sh_gets_back_is_what_went_in(words in prop::collection::vec(prop::collection::vec(1..=u8::MAX, 0..40), 0..6)) {
            let words: Vec<OsString> = words.into_iter().map(OsString::from_vec).collect();
            let mut line = OsString::from(r"printf '%s\0' end");
            for word in &words {
                line.push(" ");
                line.push(quoted(word));
            }
            let output = process::Command::new("sh").arg("-c").arg(line).output().expect("sh runs");
            let mut expected = b"end\0".to_vec();
            for word in &words {
                expected.extend(word.as_bytes());
                expected.push(0);
            }
            prop_assert_eq!(output.stdout, expected);
        }
    }

    #[test]
    fn quotes_and_dollars_stay_as_they_are() {
        assert_eq!(quoted(OsStr::new(r"it's $HOME `id` \")), OsStr::new(r"'it'\''s $HOME `id` \'"));
        assert_eq!(quoted(OsStr::new("")), OsStr::new("''"));
    }

    #[test]
    fn what_cannot_be_run_is_refused() {
        for program in ["", "-c"] {
            let error = Command::new(program).words().expect_err("no program");
            assert_eq!(error.kind(), backup_core::Kind::Usage, "{error}");
        }
        let error = Command::new("tar").args(["-c", "a\0b"]).words().expect_err("a NUL");
        assert_eq!(error.chain(), "an argument of tar has a NUL byte, which none can have");
    }

    #[test]
    fn sudo_never_asks_and_takes_no_option_of_the_command_for_its_own() {
        let words = Command::new("monit").arg("summary").sudo().words().expect("words");
        assert_eq!(words, ["sudo", "-n", "--", "monit", "summary"]);
        let words = Command::new("pg_dumpall").arg("-c").run_as("postgres").words().expect("words");
        assert_eq!(words, ["sudo", "-n", "-u", "postgres", "--", "pg_dumpall", "-c"]);
        for nobody in ["", "-s", "#0", "a b", "ä", "a\n"] {
            let error = Command::new("id").run_as(nobody).words().expect_err(nobody);
            assert_eq!(error.chain(), format!("{nobody:?} is no user's name"));
        }
    }
}
