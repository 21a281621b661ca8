//! What is asked of a server: by its own programs, and where they find it.

use std::ffi::OsStr;
use std::io::Write;
use std::process::{Command, Stdio};

use super::Server;

impl Server {
    /// How to connect as `postgres` over TCP, without the password.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// The same as libpq's environment variables, the password among them.
    pub fn env(&self) -> Vec<(&'static str, String)> {
        let mut env = vec![
            ("PGHOST", "127.0.0.1".to_owned()),
            ("PGPORT", self.port.to_string()),
            ("PGUSER", "postgres".to_owned()),
            ("PGDATABASE", "postgres".to_owned()),
        ];
        env.extend(self.password.iter().map(|password| ("PGPASSWORD", password.clone())));
        env
    }

    /// One of its programs, connected over the socket as `postgres`, with nothing of the caller's PG* variables.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.bin.join(program));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        command.env("PGHOST", &self.dir).env("PGPORT", self.port.to_string()).env("PGUSER", "postgres");
        command.env("PGDATABASE", "postgres").env("LC_ALL", "C.UTF-8").env("PGTZ", "UTC");
        command
    }

    /// What `sql` prints in `database`: unaligned rows, without headers.
    ///
    /// # Panics
    /// At the first error of `sql`, with psql's words.
    pub fn psql(&self, database: &str, sql: &str) -> String {
        self.try_psql(database, sql).unwrap_or_else(|error| panic!("PostgreSQL {}: {error}\nin: {}", self.major, head(sql)))
    }

    /// As [`Server::psql`]; psql's words as the error.
    pub fn try_psql(&self, database: &str, sql: &str) -> Result<String, String> {
        self.feed(database, &[], sql.as_bytes()).map(|out| String::from_utf8_lossy(&out).trim_end_matches('\n').to_owned())
    }

    /// Runs a whole script, `\connect` and COPY data included, with psql's variables; stops at the first error.
    pub fn feed(&self, database: &str, variables: &[(&str, &OsStr)], script: &[u8]) -> Result<Vec<u8>, String> {
        let mut command = self.command("psql");
        // Scripts write whatever the default of a database is; pg_dumpall's own do not see to that.
        command.env("PGOPTIONS", "-c default_transaction_read_only=off");
        command.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-d", database]);
        for (name, value) in variables {
            let mut setting = std::ffi::OsString::from(format!("{name}="));
            setting.push(value);
            command.arg("-v").arg(setting);
        }
        let mut psql = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("psql: {error}"))?;
        let mut stdin = psql.stdin.take().expect("stdin is piped");
        let output = std::thread::scope(|scope| {
            // psql that stops early closes its end: its exit status tells, not the broken pipe.
            scope.spawn(move || stdin.write_all(script));
            psql.wait_with_output()
        })
        .map_err(|error| format!("psql: {error}"))?;
        if output.status.success() { Ok(output.stdout) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    }

    /// What the real pg_dumpall of this version prints, byte for byte.
    pub fn pg_dumpall(&self, arguments: &[&str]) -> Vec<u8> {
        let output = self.command("pg_dumpall").args(arguments).output().expect("pg_dumpall runs");
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "pg_dumpall {}: {words}", self.major);
        output.stdout
    }
}

fn head(sql: &str) -> String {
    sql.chars().take(500).collect()
}
