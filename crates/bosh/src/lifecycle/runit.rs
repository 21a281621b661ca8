//! runit on a host: asked how a service is, told to stop and start it.

use std::path::PathBuf;
use std::sync::Arc;

use backup_core::{Error, Result};
use backup_host::{Command, Host};

use super::monit::{CALL, refused};

#[derive(Debug)]
pub(super) struct Runit {
    pub(super) host: Arc<dyn Host>,
    pub(super) program: PathBuf,
}

/// How a service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// It runs, and is to.
    Up,
    /// It does not run, and is not to.
    Down,
    /// It is on its way from one to the other.
    Changing,
}

impl Runit {
    /// How the service is, and sv's words for that.
    pub(super) async fn status(&self, name: &str) -> Result<(How, String)> {
        let answer = self.host.answer(&Command::new(&self.program).args(["status", name]).sudo().limit(CALL)).await?;
        let said = String::from_utf8_lossy(&answer.stdout);
        match parse(name, &said) {
            Some(how) => Ok((how, said.trim().to_owned())),
            None => {
                let said = format!("{said}{}", answer.stderr);
                Err(refused(&format!("{} status {name}", self.program.display()), answer.status, &said))
            }
        }
    }

    /// Tells runit to take the service `up` or `down`; it does so later.
    pub(super) async fn tell(&self, action: &str, name: &str) -> Result<()> {
        let answer = self.host.answer(&Command::new(&self.program).args([action, name]).sudo().limit(CALL)).await?;
        if answer.status == 0 {
            return Ok(());
        }
        let said = format!("{}{}", String::from_utf8_lossy(&answer.stdout), answer.stderr);
        let refused = refused(&format!("{} {action} {name}", self.program.display()), answer.status, &said);
        Err(Error::failed(format!("runit does not take {name} {action}")).with_source(refused))
    }
}

/// How `name` is, by what `sv status` prints: `run: agent: (pid 103) 2s, want down; run: log: (pid 95) 2s`.
fn parse(name: &str, said: &str) -> Option<How> {
    // What follows a semicolon is of the service's log.
    let own = said.lines().next()?.split("; ").next()?;
    let (state, rest) = own.split_once(": ")?;
    let told: Vec<&str> = rest.strip_prefix(name)?.strip_prefix(": ")?.trim_end().split(", ").collect();
    // A service that got a signal to end may still be there for a while.
    let ends = told.iter().any(|word| word.starts_with("got "));
    match state {
        "run" if told.contains(&"want down") || told.contains(&"paused") || ends => Some(How::Changing),
        "run" => Some(How::Up),
        "down" if told.contains(&"want up") => Some(How::Changing),
        "down" => Some(How::Down),
        "finish" => Some(How::Changing),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sv_says_of_a_service() {
        for (said, how) in [
            ("run: agent: (pid 103) 2s; run: log: (pid 95) 2s\n", Some(How::Up)),
            ("run: agent: (pid 103) 2s, normally down\n", Some(How::Up)),
            ("run: agent: (pid 103) 2s, want down; run: log: (pid 95) 2s\n", Some(How::Changing)),
            ("run: agent: (pid 103) 2s, got TERM\n", Some(How::Changing)),
            ("run: agent: (pid 103) 2s, paused\n", Some(How::Changing)),
            ("finish: agent: (pid 7) 0s\n", Some(How::Changing)),
            ("down: agent: 1s, normally up; run: log: (pid 95) 3s, want down\n", Some(How::Down)),
            ("down: agent: 1s, normally up, want up\n", Some(How::Changing)),
            ("down: agent: 1s\n", Some(How::Down)),
            ("fail: agent: unable to change to service directory: file does not exist\n", None),
            ("warning: agent: unable to open supervise/ok: file does not exist\n", None),
            ("down: agents: 1s\n", None),
            ("down: monit: 1s\n", None),
            ("", None),
        ] {
            assert_eq!(parse("agent", said), how, "{said}");
        }
    }
}
