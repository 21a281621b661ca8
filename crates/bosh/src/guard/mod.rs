//! A guard on the spot: it brings services back when the backup that stopped them is heard of no more.

mod guarded;
mod progress;

use std::sync::Arc;
use std::time::Duration;

use backup_core::{Error, Kind, Name, Result, body};
use backup_host::{Answer, Command, Host};

pub use self::guarded::Guarded;
pub use self::progress::Progress;

const ARM: &str = include_str!("arm.sh");
const ASK: &str = include_str!("ask.sh");
const GUARD: &str = include_str!("guard.sh");

/// How long one command about a guard may take; one that has fired is waited for until it has finished.
const CALL: Duration = Duration::from_secs(60);

/// A detached script of sh on a host, in `~/.bosh-backup/JOB` of the login user, with a lease that a backup keeps renewing.
///
/// It counts seconds of its own (`sleep 1`), never a clock. Once so many have passed without a renewal, or `max_pause` since it
/// was armed, it renames `armed` to `fired`, runs the script it was given, and keeps what became of that. A backup that ends
/// renames `armed` to `disarmed`: a rename takes place once, so one of them wins. It needs `setsid`, and nothing of ours.
///
/// It does not survive a reboot of the host.
#[derive(Debug)]
pub struct Guard {
    host: Arc<dyn Host>,
    folder: String,
    lease: Duration,
    max_pause: Duration,
}

impl Guard {
    /// The guard of `job` on `host`. Both times are whole seconds, one at least; `host` should be a connection of its own, so that a
    /// renewal waits for nothing else.
    pub fn new(host: Arc<dyn Host>, job: &Name, lease: Duration, max_pause: Duration) -> Self {
        Self { host, folder: folder(job), lease, max_pause }
    }

    /// How long it waits for a renewal.
    pub fn lease(&self) -> Duration {
        self.lease
    }

    /// Leaves it behind with `script`, and sees that it outlives the command that did so. What an earlier one that fired has kept is
    /// told to the log and removed.
    ///
    /// [`Kind::Busy`] while an earlier one waits; an error where one was left that is dead, as after a reboot: what it guarded may be
    /// down still.
    pub async fn arm(&self, script: &str) -> Result<()> {
        for _ in 0..2 {
            let answer = self.try_arm(script).await?;
            if answer.is_empty() {
                return self.held().await;
            }
            match answer.as_str() {
                "fired" => {
                    let said = self.disarm().await?.unwrap_or_default();
                    tracing::warn!(%said, "a guard of an earlier run brought its services back");
                }
                "alive" => {
                    let error = Error::new(Kind::Busy, "a guard of an earlier run still waits on the host");
                    return Err(error.with_hint("wait until its lease has run out, or resume"));
                }
                "dead" => {
                    let error =
                        Error::failed("a guard of an earlier run has died on the host: what it guarded may be down still");
                    let hint =
                        format!("see that all services run, then remove ~/.bosh-backup/{} there, or resume", self.folder);
                    return Err(error.with_hint(hint));
                }
                said => return Err(Error::failed(format!("a guard cannot be left on the host: {said}"))),
            }
        }
        Err(Error::failed("another run leaves a guard on the host at this moment"))
    }

    /// What is said against it; nothing once it is armed.
    async fn try_arm(&self, script: &str) -> Result<String> {
        let seconds = |time: Duration| time.as_secs().max(1).to_string();
        // The exit status would be an error of the body: it is said instead.
        let command =
            Command::new("sh").args(["-c", r#"said=$(sh -c "$0" arm "$@" 2>&1) && exit; echo "${said:-failed}""#, ARM]);
        let command = command.args([&self.folder, &seconds(self.lease), &seconds(self.max_pause)]).arg(GUARD).limit(CALL);
        let said = self.host.run(&command, Some(body::from_bytes(script.to_owned()))).await?;
        let said = body::to_vec(said, 64 * 1024).await?;
        Ok(String::from_utf8_lossy(&said).trim().to_owned())
    }

    /// Renews the lease; `number` must be another one each time. Whether it is still armed.
    pub async fn renew(&self, number: u64) -> Result<bool> {
        let answer = self.ask(&["renew", &number.to_string()], self.lease.max(Duration::from_secs(5))).await?;
        Ok(answer.status == 0)
    }

    /// Fails unless it is armed and alive: then it has not brought anything back.
    pub async fn held(&self) -> Result<()> {
        let answer = self.ask(&["held"], CALL).await?;
        match answer.status {
            0 => Ok(()),
            3 => Err(fired(&String::from_utf8_lossy(&answer.stdout))),
            _ => Err(Error::failed("the guard on the host is gone: it could not bring services back")),
        }
    }

    /// Ends it and removes every trace of it. Returns what it says if it has fired; then it is waited for until it has finished.
    /// Nothing where there is none.
    pub async fn disarm(&self) -> Result<Option<String>> {
        // One that has fired tries for as long as its script does.
        let answer = self.ask(&["disarm"], self.max_pause.max(CALL) + CALL).await?;
        match answer.status {
            0 | 4 => Ok(None),
            3 => Ok(Some(String::from_utf8_lossy(&answer.stdout).trim().to_owned())),
            status => {
                let said = answer.stderr.trim().to_owned();
                Err(Error::failed(format!("the guard on the host cannot be ended: exit status {status}")).with_source(said))
            }
        }
    }

    async fn ask(&self, what: &[&str], limit: Duration) -> Result<Answer> {
        let command = Command::new("sh").args(["-c", ASK, "ask", &self.folder]).args(what.iter().copied());
        self.host.answer(&command.limit(limit)).await
    }
}

/// The name of the folder for `job`: what could be an option, hidden, or a path is written as the hexadecimal number of its bytes.
fn folder(job: &Name) -> String {
    let mut folder = String::new();
    for byte in job.as_str().bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => folder.push(char::from(byte)),
            b'.' | b'-' if !folder.is_empty() => folder.push(char::from(byte)),
            byte => folder.push_str(&format!("_{byte:02x}")),
        }
    }
    folder
}

fn fired(said: &str) -> Error {
    let why = match said.lines().next() {
        Some("most") => "the pause took longer than it may",
        _ => "nobody renewed its lease",
    };
    Error::failed(format!("the guard on the host has brought the services back: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_stays_where_it_is_and_is_of_one_job() {
        for (job, expected) in
            [("bosh", "bosh"), ("a/b", "a_2fb"), ("..", "_2e."), ("-rf", "_2drf"), ("a_2fb", "a_5f2fb"), ("é", "_c3_a9")]
        {
            assert_eq!(folder(&job.parse().expect("a name")), expected);
        }
    }
}
