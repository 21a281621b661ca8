//! PostgreSQL's own programs as bodies: what `pg_dump` or `pg_dumpall` prints, whole or an error.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};

use backup_core::{Body, Doing, Error, Result, process};
use tempfile::NamedTempFile;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::process::Command;

use crate::config::Secret;

/// One of PostgreSQL's programs and how to run it. Plain data; its debug output shows no password.
#[derive(Debug, Clone, Default)]
pub struct Program {
    /// A path, or a name to be looked up on the PATH.
    pub program: PathBuf,
    /// Its arguments. Everybody on the machine can read them: no password among them.
    pub arguments: Vec<OsString>,
    /// What is set in its environment beside what it inherits; `None` takes a variable away.
    pub environment: Vec<(OsString, Option<OsString>)>,
    /// The password for whatever it connects to. It gets it by a password file that only we can read and that is gone with the
    /// body. Without one it has what it inherits, `PGPASSWORD` or `~/.pgpass`.
    pub password: Option<Secret>,
}

impl Program {
    /// `program` with `arguments` and nothing else.
    pub fn new(program: impl Into<PathBuf>, arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        let arguments = arguments.into_iter().map(Into::into).collect();
        Self { program: program.into(), arguments, ..Self::default() }
    }

    /// Starts it and makes a body of what it prints, which ends only after exit status 0; see [`process::stdout`].
    ///
    /// It never asks for a password. Dropping the body kills it and its children. Must be called within a Tokio runtime.
    pub fn read(&self) -> Result<Body> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments);
        for (name, value) in &self.environment {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let passfile = self.password.as_ref().map(passfile).transpose()?;
        if let Some(passfile) = &passfile {
            command.env_remove("PGPASSWORD").env("PGPASSFILE", passfile.path());
        }
        Ok(Box::pin(Held { body: process::stdout(command)?, _passfile: passfile }))
    }

    /// What it prints for `--version`: `pg_dumpall (PostgreSQL) 15.14`.
    pub async fn version(&self) -> Result<String> {
        let line = Self { arguments: vec!["--version".into()], password: None, ..self.clone() }.read()?;
        let line =
            backup_core::body::to_vec(line, 4096).await.doing(|| format!("ask {} for its version", self.program.display()))?;
        Ok(String::from_utf8_lossy(&line).trim().to_owned())
    }
}

/// A password file for any host, port, database and user ("The Password File" in libpq's documentation); mode 0600.
fn passfile(password: &Secret) -> Result<NamedTempFile> {
    let password = password.reveal();
    if password.contains(['\n', '\r', '\0']) {
        return Err(Error::usage("the password has a line end in it, which no password file can hold"));
    }
    let line = zeroize::Zeroizing::new(format!("*:*:*:*:{}\n", password.replace('\\', "\\\\").replace(':', "\\:")));
    let mut file = NamedTempFile::with_prefix("pgpass-").doing(|| "make a password file")?;
    file.write_all(line.as_bytes()).doing(|| "write a password file")?;
    Ok(file)
}

/// A body and the file that the program behind it needs.
struct Held {
    // Dropped in this order: first the program ends, then its password goes.
    body: Body,
    _passfile: Option<NamedTempFile>,
}

impl AsyncRead for Held {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.body.as_mut().poll_read(cx, buf)
    }
}

#[cfg(test)]
mod tests {
    use backup_core::body::to_vec;

    use super::*;

    fn sh(script: &str) -> Program {
        Program::new("sh", ["-c", script])
    }

    #[tokio::test]
    async fn the_password_is_in_a_file_that_nobody_else_can_read_and_that_is_gone_afterwards() {
        let script = "echo \"${PGPASSWORD-none}\"; stat -c %a \"$PGPASSFILE\"; cat \"$PGPASSFILE\"; echo \"$PGPASSFILE\"; tr '\\0' ' ' < /proc/$$/cmdline";
        let mut program = sh(script);
        program.password = Some(Secret::from("a:b\\c"));
        program.environment = vec![("PGPASSWORD".into(), Some("another".into()))];
        assert!(!format!("{program:?}").contains("a:b"));
        let text = String::from_utf8(to_vec(program.read().unwrap(), 4096).await.unwrap()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[..3], ["none", "600", "*:*:*:*:a\\:b\\\\c"]);
        assert!(!lines[4].contains("a:b"), "{text}");
        assert!(!std::path::Path::new(lines[3]).exists(), "the file is gone");
        program.password = Some(Secret::from("a\nb"));
        assert_eq!(program.read().err().unwrap().kind(), backup_core::Kind::Usage);
    }

    #[tokio::test]
    async fn a_dump_that_fails_at_its_end_is_no_dump() {
        let error = to_vec(sh("echo 'CREATE TABLE t ();'; echo 'pg_dump: error: gone' >&2; exit 1").read().unwrap(), 99).await;
        assert_eq!(error.unwrap_err().chain(), "sh ended with exit status: 1: pg_dump: error: gone");
    }

    #[tokio::test]
    async fn the_environment_is_set_and_taken_away() {
        let mut program = sh("echo ${A-no} ${HOME-no}");
        program.environment = vec![("A".into(), Some("b".into())), ("HOME".into(), None)];
        assert_eq!(to_vec(program.read().unwrap(), 99).await.unwrap(), b"b no\n");
    }
}
