//! A throw-away server, made of the mongod of this machine, to prove a restore in.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use backup_core::scratch::{End, Folder, Keeper, Starter};
use backup_core::{Doing as _, Error, Kind, Result};
use serde_json::Value;

use crate::config::Config;
use crate::connect::connect;

/// A server that runs as long as this value lives. It listens on a socket in a folder of its own, which only its owner and root
/// can enter, and on nothing else; so it asks for no password.
///
/// Dropping it, like [`stop`](Self::stop), ends the server at once and removes the folder. If this process is killed, the
/// server ends by itself where `setpriv` of util-linux is there; the folder then stays until the next one is made beside it.
#[derive(Debug)]
pub struct Scratch {
    config: Config,
    // In this order: the server ends before its folder goes.
    keeper: Keeper,
    folder: Folder,
}

/// The socket, in the folder of the server.
const SOCKET: &str = "mongod.sock";

/// How long the start may take on a slow machine, unless somebody knows better.
const START_LIMIT: Duration = Duration::from_secs(120);

/// How often it is looked whether it has started.
const LOOK: Duration = Duration::from_millis(20);

/// How much of what the server said of its end is told, in characters.
const TOLD: usize = 300;

const HINT: &str = "give another mongod or another folder for the scratch server, or the URL of a server to prove in";

impl Scratch {
    /// Starts `program`, a mongod of the release that the backup is of or a newer one. Its files go into a new folder in `folder`,
    /// else in the system's temporary folder.
    ///
    /// [`Kind::Unproven`] if it does not start, with what it said last.
    pub async fn start(program: &Path, folder: Option<&Path>) -> Result<Self> {
        let parent = absolute(&folder.map_or_else(std::env::temp_dir, Path::to_owned))?;
        // A name without a folder is looked for on the PATH.
        let program = if program.components().count() > 1 { absolute(program)? } else { program.to_owned() };
        let folder = Folder::make(&parent, "mongo-scratch-", SOCKET, None)?;
        let data = folder.path().join("data");
        fs::create_dir(&data).doing(|| format!("make the folder {}", data.display()))?;
        let (log, config) = (folder.path().join("log"), Config::socket(&folder.path().join(SOCKET)));
        // It is one process, and nothing of it is kept.
        let (end, starter) = (End::Kill, Starter::find(End::Kill).await);
        let keeper = Keeper::start(server(&starter, &program, folder.path()), end, &log);
        let keeper = keeper.map_err(|error| error.with_kind(Kind::Unproven).with_hint(HINT))?;
        let scratch = Self { config, keeper, folder };
        scratch.wait_until_ready(&log).await?;
        Ok(scratch)
    }

    /// How to connect to it.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The process that is the server; `None` once it has ended.
    pub fn pid(&self) -> Option<u32> {
        self.keeper.pid()
    }

    /// Ends the server, waits for that, and removes the folder.
    pub async fn stop(self) -> Result<()> {
        let stop = move || {
            let Self { keeper, folder, .. } = self;
            drop(keeper);
            folder.close()
        };
        tokio::task::spawn_blocking(stop).await.doing(|| "stop the scratch server")?
    }

    /// Waits until it answers, or has ended, or the time is over.
    async fn wait_until_ready(&self, log: &Path) -> Result<()> {
        let (start, socket) = (Instant::now(), self.folder.path().join(SOCKET));
        while UnixStream::connect(&socket).is_err() {
            if self.pid().is_none() || start.elapsed() > START_LIMIT {
                let said = last_words(&fs::read(log).unwrap_or_default());
                return Err(Error::new(Kind::Unproven, format!("the scratch server did not start: {said}")).with_hint(HINT));
            }
            tokio::time::sleep(LOOK).await;
        }
        connect(&self.config).await.map(drop).map_err(|error| error.with_kind(Kind::Unproven).with_hint(HINT))
    }
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).doing(|| format!("find {}", path.display()))
}

/// The command that is the server, with nothing of our environment but the search path.
fn server(starter: &Starter, program: &Path, folder: &Path) -> Command {
    let mut command = starter.command(program, None);
    // The one variable that is read here: where programs are is nothing that a caller knows better.
    let path = std::env::var_os("PATH").unwrap_or_default();
    command.env_clear().env("PATH", path).env("LC_ALL", "C").env("TZ", "UTC");
    command.arg("--dbpath").arg(folder.join("data")).arg("--bind_ip").arg(folder.join(SOCKET));
    command.args(["--nounixsocket", "--filePermissions", "0600", "--noscripting", "--wiredTigerCacheSizeGB", "0.5"]);
    // What is old is to stay until it is compared, and nobody reads figures.
    for parameter in ["ttlMonitorEnabled=false", "diagnosticDataCollectionEnabled=false"] {
        command.args(["--setParameter", parameter]);
    }
    command
}

/// What tells why, in a log: the last line of JSON that is an error, else the first line.
fn last_words(log: &[u8]) -> String {
    let text = String::from_utf8_lossy(log);
    let is_error = |line: &Value| matches!(line.get("s").and_then(Value::as_str), Some("E" | "F"));
    let errors = text.lines().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find(is_error);
    let said = errors.map(|line| {
        let word = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
        let error = line.pointer("/attr/error").map(|error| error.get("errmsg").unwrap_or(error));
        let (msg, error) = (word(line.get("msg")), word(error));
        if error.is_empty() { msg } else { format!("{msg}: {error}") }
    });
    let said = said.or_else(|| text.lines().next().map(str::to_owned)).unwrap_or_default();
    if said.is_empty() { "it said nothing".to_owned() } else { said.chars().take(TOLD).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_said_of_its_end_is_one_line() {
        let line = |level: &str, rest: &str| format!("{{\"s\":\"{level}\",\"ctx\":\"main\",\"msg\":{rest}}}\n");
        let log =
            line("I", "\"Starting\"") + &line("E", "\"it ends\",\"attr\":{\"error\":\"no folder\"}") + &line("I", "\"bye\"");
        assert_eq!(last_words(log.as_bytes()), "it ends: no folder");
        assert_eq!(last_words(line("F", "\"Fatal\"").as_bytes()), "Fatal");
        let refused = line("E", "\"Error\",\"attr\":{\"error\":{\"code\":2,\"errmsg\":\"Unknown\"}}");
        assert_eq!(last_words(refused.as_bytes()), "Error: Unknown");
        assert_eq!(last_words(b"unrecognised option '--x'\ntry --help\n"), "unrecognised option '--x'");
        assert_eq!(last_words(b""), "it said nothing");
        assert_eq!(last_words(&[b'x'; 9000]).len(), TOLD);
        assert_eq!(last_words(b"\xff{\n"), "\u{fffd}{");
    }
}
