//! Whether the processes of services that monit has stopped are gone.

use std::collections::BTreeMap;
use std::sync::Arc;

use backup_core::Result;
use backup_host::{Command, Host};

use super::monit::{CALL, refused};
use crate::monit::Service;

/// Prints `number start` of each process of its arguments that has not ended; proc(5): the start is the 22nd field of `stat`, and the
/// third is the state, behind a name that may have blanks and parentheses.
const STARTS: &str = r#"for p do
  { read -r line <"/proc/$p/stat"; } 2>/dev/null || continue
  set -- ${line##*) }
  case $1 in [ZX]) ;; *) echo "$p ${20}";; esac
done"#;

/// The processes that services had when they were told to stop.
///
/// monit counts a service as stopped once its stop program has ended or has been given up, whatever became of the process.
#[derive(Debug)]
pub(super) struct Processes {
    host: Arc<dyn Host>,
    /// By number: when it began, and the service it is of. A number alone may be another's meanwhile.
    seen: BTreeMap<u32, (u64, String)>,
}

impl Processes {
    pub(super) fn of(host: &Arc<dyn Host>) -> Self {
        Self { host: host.clone(), seen: BTreeMap::new() }
    }

    /// Keeps in mind the processes of `services`.
    pub(super) async fn note(&mut self, services: &[&Service]) -> Result<()> {
        let fresh = |service: &&Service| Some((service.pid.filter(|pid| !self.seen.contains_key(pid))?, service.name.clone()));
        let fresh: BTreeMap<u32, String> = services.iter().filter_map(fresh).collect();
        let starts = self.starts(fresh.keys()).await?;
        self.seen.extend(fresh.into_iter().filter_map(|(pid, name)| Some((pid, (*starts.get(&pid)?, name)))));
        Ok(())
    }

    /// Says of each that is still there so.
    pub(super) async fn left(&self) -> Result<Vec<String>> {
        let starts = self.starts(self.seen.keys()).await?;
        let left = self.seen.iter().filter(|(pid, (start, _))| starts.get(pid) == Some(start));
        Ok(left.map(|(pid, (_, name))| format!("process {pid} of {name} runs though monit has stopped it")).collect())
    }

    async fn starts(&self, pids: impl Iterator<Item = &u32>) -> Result<BTreeMap<u32, u64>> {
        let pids: Vec<String> = pids.map(u32::to_string).collect();
        if pids.is_empty() {
            return Ok(BTreeMap::new());
        }
        let answer = self.host.answer(&Command::new("sh").args(["-c", STARTS, "sh"]).args(pids).limit(CALL)).await?;
        if answer.status != 0 {
            return Err(refused("looking at processes", answer.status, &answer.stderr));
        }
        let said = String::from_utf8_lossy(&answer.stdout);
        let pair = |line: &str| line.split_once(' ').and_then(|(pid, start)| Some((pid.parse().ok()?, start.parse().ok()?)));
        Ok(said.lines().filter_map(pair).collect())
    }
}
