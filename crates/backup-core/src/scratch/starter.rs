//! How a server is started that must not outlive this process, even one that is killed.

use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

/// How a server ends at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By SIGQUIT, which tells the server of PostgreSQL to end its children too, and to leave the disk as it is.
    Quit,
    /// By SIGKILL, where the server is one process.
    Kill,
}

impl End {
    pub(super) fn signal(self) -> Signal {
        match self {
            Self::Quit => Signal::QUIT,
            Self::Kill => Signal::KILL,
        }
    }

    /// As `setpriv` calls it.
    fn name(self) -> &'static str {
        match self {
            Self::Quit => "QUIT",
            Self::Kill => "KILL",
        }
    }
}

/// Makes commands that end with this process, however that ends, where `setpriv` of util-linux is there.
#[derive(Debug, Clone, Copy)]
pub struct Starter {
    end: End,
    has_setpriv: bool,
}

impl Starter {
    /// Looks whether `setpriv` is on the `PATH` and can do it.
    pub async fn find(end: End) -> Self {
        let mut probe = tokio::process::Command::new("setpriv");
        let probed = probe.args(["--pdeathsig", end.name(), "true"]).output().await;
        Self { end, has_setpriv: probed.is_ok_and(|done| done.status.success()) }
    }

    /// Whether a command ends with this process, and can be run as somebody else.
    pub fn has_setpriv(&self) -> bool {
        self.has_setpriv
    }

    /// `program`, run as the user and the group `ids`, else as us; without `setpriv` always as us.
    pub fn command(&self, program: &Path, ids: Option<(u32, u32)>) -> Command {
        if !self.has_setpriv {
            return Command::new(program);
        }
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", self.end.name()]);
        if let Some((uid, gid)) = ids {
            command.args([format!("--reuid={uid}"), format!("--regid={gid}"), "--clear-groups".to_owned()]);
        }
        command.arg("--").arg(program);
        command
    }
}
