//! One command as an argument vector.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use backup_core::{Error, Result};

/// A program and its arguments. No shell takes them apart: whatever bytes they have arrive as they are. Plain data.
///
/// Everybody on the host can read them while the command runs: no secret among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    words: Vec<OsString>,
    sudo: bool,
    limit: Option<Duration>,
}

impl Command {
    /// `program`, a path on the host or a name to be looked up there, without arguments.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self { words: vec![program.into()], sudo: false, limit: None }
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
        self.sudo = true;
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

    pub(crate) fn is_sudo(&self) -> bool {
        self.sudo
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
        let sudo = if self.sudo { &["sudo", "-n", "--"][..] } else { &[] };
        Ok(sudo.iter().map(OsString::from).chain(self.words.iter().cloned()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    }
}
