//! The PostgreSQL of a director, asked and dumped by its own programs.

use std::ffi::OsStr;
use std::path::PathBuf;

use backup_core::{Body, Error, Kind, Result};
use backup_host::{Command, Host};

use crate::config::Databases;

/// The longest name of a database, in bytes.
pub(crate) const LONGEST_NAME: usize = 63;

/// Where a director has the programs of PostgreSQL, and how these reach the server. Plain data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Postgres {
    /// The folder of `pg_dumpall`, `pg_dump` and `psql` there.
    pub programs: PathBuf,
    /// What monit calls the server.
    pub service: String,
    /// Its socket's folder or its address there; by default what the programs take.
    pub host: Option<String>,
    /// Its port; by default what the programs take.
    pub port: Option<u16>,
    /// Who logs in; by default who logs in to the director.
    pub user: Option<String>,
}

impl Default for Postgres {
    /// Of a microbosh: `/var/vcap/packages/postgres/bin`, and monit's `postgres`.
    fn default() -> Self {
        let programs = "/var/vcap/packages/postgres/bin".into();
        Self { programs, service: "postgres".into(), host: None, port: None, user: None }
    }
}

/// How many bytes are left on the disk that `folder` lies on there; `None` if that cannot be told.
pub(crate) async fn free(host: &dyn Host, folder: &OsStr) -> Result<Option<u64>> {
    let answer = host.answer(&Command::new("stat").args(["--file-system", "--format=%a %S", "--"]).arg(folder)).await?;
    let said = String::from_utf8_lossy(&answer.stdout);
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let bytes = said.split_once(' ').and_then(|(blocks, size)| number(blocks)?.checked_mul(number(size)?));
    Ok(bytes.filter(|_| answer.status == 0))
}

/// What of a version says whether data fits: `15` of `15.18`, `9.0` of `9.0.3`.
pub(crate) fn major(version: &str) -> &str {
    let mut dots = version.match_indices(|c: char| !c.is_ascii_digit()).map(|(at, _)| at);
    let first = dots.next().unwrap_or(version.len());
    let end = match version.get(..first).and_then(|number| number.parse::<u32>().ok()) {
        Some(10..) => first,
        _ => dots.next().unwrap_or(version.len()),
    };
    version.get(..end).unwrap_or(version)
}

/// A name as SQL has it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A dump that is to be taken: how its file ends, and the command that prints it.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) ending: String,
    command: Command,
}

impl Wanted {
    /// Starts it. Its end says that the program ended well.
    pub(crate) async fn run(&self, host: &dyn Host) -> Result<Body> {
        host.run(&self.command, None).await
    }
}

impl Postgres {
    /// The version of the server, which must answer.
    pub(crate) async fn version(&self, host: &dyn Host) -> Result<String> {
        let version = self.ask(host, "SHOW server_version").await?;
        version.into_iter().next().ok_or_else(|| Error::failed("PostgreSQL does not tell its version"))
    }

    /// Fails with [`Kind::NotFound`] where a database that is named is not there.
    pub(crate) async fn has(&self, host: &dyn Host, databases: &Databases) -> Result<()> {
        let Databases::Named(names) = databases else { return Ok(()) };
        let there = self.databases(host).await?;
        match names.iter().find(|name| !there.contains(name)) {
            Some(name) => Err(Error::new(Kind::NotFound, format!("there is no database {name} on {}", host.name()))
                .with_hint("look at DBS: _all_, names of databases, or nothing")),
            None => Ok(()),
        }
    }

    /// The names of all databases.
    pub(crate) async fn databases(&self, host: &dyn Host) -> Result<Vec<String>> {
        self.ask(host, "SELECT datname FROM pg_catalog.pg_database").await
    }

    /// The names of all roles.
    pub(crate) async fn roles(&self, host: &dyn Host) -> Result<Vec<String>> {
        self.ask(host, "SELECT rolname FROM pg_catalog.pg_roles").await
    }

    /// How many bytes are left on the disk of the server's data; `None` if that cannot be told.
    pub(crate) async fn free(&self, host: &dyn Host) -> Result<Option<u64>> {
        match self.ask(host, "SHOW data_directory").await?.first() {
            Some(folder) => free(host, folder.as_ref()).await,
            None => Ok(None),
        }
    }

    /// The version of its programs, which are there whether the server runs or not; `None` if they do not tell it.
    pub(crate) async fn version_of_programs(&self, host: &dyn Host) -> Result<Option<String>> {
        let answer = host.answer(&Command::new(self.programs.join("pg_dump")).arg("--version")).await?;
        let said = String::from_utf8_lossy(&answer.stdout).into_owned();
        // pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)
        let version = said.split(") ").nth(1).and_then(|rest| rest.split_whitespace().next());
        Ok(version.map(str::to_owned).filter(|_| answer.status == 0))
    }

    /// psql that takes a script as its input, prints what each statement did, and fails at the first that fails. What it complains of has no
    /// line of the script in it, which might be a secret.
    pub(crate) fn fed(&self) -> Command {
        let told = ["--no-psqlrc", "--set=ON_ERROR_STOP=1", "--set=VERBOSITY=terse", "--dbname=postgres", "--file=-"];
        self.command("psql").args(told)
    }

    /// Renames databases in that order, all of them or none: each name, and the one that it is to have.
    pub(crate) async fn rename(&self, host: &dyn Host, names: &[(&str, &str)]) -> Result<()> {
        let statement = |(from, to): &(&str, &str)| format!("ALTER DATABASE {} RENAME TO {};", quoted(from), quoted(to));
        let statements: String = names.iter().map(statement).collect();
        self.ask(host, &format!("BEGIN; {statements} COMMIT;")).await.map(drop)
    }

    /// Drops a database; one that is not there is no error.
    pub(crate) async fn drop(&self, host: &dyn Host, name: &str) -> Result<()> {
        self.ask(host, &format!("DROP DATABASE IF EXISTS {}", quoted(name))).await.map(drop)
    }

    /// What is dumped for `databases`, each as plain SQL that cleans away what it makes.
    pub(crate) fn dumps(&self, databases: &Databases) -> Result<Vec<Wanted>> {
        match databases {
            Databases::None => Ok(Vec::new()),
            Databases::All => {
                let command = self.command("pg_dumpall").arg("--clean");
                Ok(vec![Wanted { ending: "all".into(), command }])
            }
            Databases::Named(names) => names.iter().map(|name| self.dump(name)).collect(),
        }
    }

    fn dump(&self, database: &str) -> Result<Wanted> {
        // libpq would take it for more than a name.
        if database.contains('=') || database.starts_with("postgres://") || database.starts_with("postgresql://") {
            return Err(
                Error::usage(format!("pg_dump cannot be told of a database called {database:?}")).with_hint("let DBS be _all_")
            );
        }
        let command = self.command("pg_dump").args(["--clean", "--create", "--"]).arg(database);
        Ok(Wanted { ending: database.to_owned(), command })
    }

    /// The lines that a query prints.
    async fn ask(&self, host: &dyn Host, query: &str) -> Result<Vec<String>> {
        let command =
            self.command("psql").args(["--no-psqlrc", "--no-align", "--tuples-only", "--dbname=postgres", "--command"]);
        let answer = host.answer(&command.arg(query)).await?;
        if answer.status != 0 {
            let said = answer.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
            let hint = "look whether psql works there for the login user; --pg-host, --pg-port and --pg-user say where and who";
            return Err(Error::failed(format!("PostgreSQL on {} does not answer", host.name()))
                .with_source(said)
                .with_hint(hint));
        }
        Ok(String::from_utf8_lossy(&answer.stdout).lines().map(str::to_owned).collect())
    }

    /// One of its programs, which never asks for a password.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program)).arg("--no-password");
        if let Some(host) = &self.host {
            command = command.arg(format!("--host={host}"));
        }
        if let Some(port) = self.port {
            command = command.arg(format!("--port={port}"));
        }
        if let Some(user) = &self.user {
            command = command.arg(format!("--username={user}"));
        }
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_that_fit_have_the_same_major() {
        for (version, is) in
            [("15.18", "15"), ("15.18 (Debian 15.18-0+deb12u1)", "15"), ("9.0.3", "9.0"), ("9.6", "9.6"), ("18beta1", "18")]
        {
            assert_eq!(major(version), is, "{version}");
        }
        for strange in ["", "x", "..", "9"] {
            major(strange);
        }
    }
}
