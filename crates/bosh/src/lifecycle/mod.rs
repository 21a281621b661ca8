//! A director's services are stopped and started: what monit looks after, and the agent that runit looks after.

mod files;
mod monit;
mod processes;
mod runit;
mod unit;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use backup_core::{Error, Lifecycle, Result, Unit};
use backup_host::Host;

pub(crate) use self::files::{WORK, WithFiles};
use self::monit::{Monit, unknown};
use self::processes::Processes;
use self::runit::{How, Runit};
use self::unit::Names;
use crate::guard::Progress;
use crate::monit::{Service, ServiceKind, State};

/// Brings services back without us.
const RESUME: &str = include_str!("resume.sh");

/// How often services are looked at while they are waited for.
const LOOK: Duration = Duration::from_millis(500);

/// Where a director has what stops and starts its services, and how long they may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// monit; of a stemcell `/var/vcap/bosh/bin/monit`.
    pub monit: PathBuf,
    /// sv of runit; of a stemcell `/usr/bin/sv`.
    pub sv: PathBuf,
    /// What runit calls the agent.
    pub agent: String,
    /// How long services are waited for until they have stopped, and until they run: `PROCESS_TIME_LIMIT` of a configuration.
    pub time_limit: Duration,
}

impl Default for Settings {
    /// A stemcell's, and 20 minutes, as microbosh-simple-backup has it.
    fn default() -> Self {
        Self {
            monit: "/var/vcap/bosh/bin/monit".into(),
            sv: "/usr/bin/sv".into(),
            agent: "agent".into(),
            time_limit: Duration::from_secs(1200),
        }
    }
}

/// The services of a director, told by the login user through `sudo -n`.
///
/// What runs is every service that monit looks after and finds well, the machine's own entry among them, and then the agent. A service
/// is told to stop by its name, never by `monit stop all`: what was stopped before stays so, and what was not written down runs on.
/// It has stopped when monit says exactly that, has nothing pending, and the process that it had is gone. A process that monit
/// looks after and does not find well is an error before anything stops: nobody could tell whether it came back.
///
/// Where monit's daemon does not answer it is waited for as long as for services.
#[derive(Debug)]
pub struct Services {
    host: Arc<dyn Host>,
    monit: Monit,
    runit: Runit,
    agent: String,
    time_limit: Duration,
    progress: Progress,
}

/// How long services have been waited for.
#[derive(Debug)]
struct Wait {
    since: Instant,
    /// When the look at them began that is the last.
    looked: Instant,
}

impl Services {
    /// Those of the director `host`.
    pub fn new(host: Arc<dyn Host>, settings: Settings) -> Self {
        let Settings { monit, sv, agent, time_limit } = settings;
        let monit = Monit { host: host.clone(), program: monit };
        let runit = Runit { host: host.clone(), program: sv };
        Self { host, monit, runit, agent, time_limit, progress: Progress::default() }
    }

    /// Counts each look at services, and each word to one, as progress.
    #[must_use]
    pub fn with_progress(self, progress: Progress) -> Self {
        Self { progress, ..self }
    }

    fn wait(&self) -> Wait {
        Wait { since: Instant::now(), looked: Instant::now() }
    }

    /// Returns when it is time to look again. How a wait ends that has taken too long: with `left`, what it was for.
    async fn look_again(&self, wait: &mut Wait, left: &[String]) -> Result<()> {
        // A look that began in time may have seen what was only just told to change.
        if wait.looked - wait.since < self.time_limit {
            tokio::time::sleep(LOOK).await;
            wait.looked = Instant::now();
            return Ok(());
        }
        Err(Error::failed(format!("after {} s: {}", self.time_limit.as_secs(), left.join("; "))))
    }

    /// What monit says, as soon as there is a daemon.
    async fn services(&self, wait: &mut Wait) -> Result<Vec<Service>> {
        loop {
            let services = self.monit.services().await?;
            self.progress.made();
            if let Some(services) = services {
                return Ok(services);
            }
            self.look_again(wait, &["the monit daemon is not running".to_owned()]).await?;
        }
    }

    /// Tells those of `names` that run to stop; returns what is still to be waited for.
    async fn stop_monit(&self, names: &[&str], wait: &mut Wait, processes: &mut Processes) -> Result<Vec<String>> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let services = self.services(wait).await?;
        let services: Vec<&Service> = names.iter().map(|name| find(&services, name)).collect::<Result<_>>()?;
        processes.note(&services).await?;
        let left: Vec<&Service> = services.into_iter().filter(|service| !service.is_stopped()).collect();
        for service in left.iter().rev().filter(|service| service.pending.is_none()) {
            self.monit.tell("stop", &service.name).await?;
            self.progress.made();
        }
        if left.is_empty() { processes.left().await } else { Ok(waited_for(&left)) }
    }

    /// Tells those of `names` that do not run to start; returns what is still to be waited for.
    async fn start_monit(&self, names: &[&str], wait: &mut Wait) -> Result<Vec<String>> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let services = self.services(wait).await?;
        let known = names.iter().filter_map(|name| find(&services, name).ok());
        let left: Vec<&Service> = known.filter(|service| !service.is_up()).collect();
        // What is monitored already is started by monit, again and again.
        for service in left.iter().filter(|service| service.is_stopped()) {
            self.monit.tell("start", &service.name).await?;
            self.progress.made();
        }
        Ok(waited_for(&left))
    }

    /// Tells those of `names` that are not as they should be to go `to`; returns what is still to be waited for.
    async fn take_runit(&self, names: &[&str], to: How) -> Result<Vec<String>> {
        let mut left = Vec::new();
        for name in names {
            let (how, words) = self.runit.status(name).await?;
            self.progress.made();
            if how != to {
                self.runit.tell(if to == How::Up { "up" } else { "down" }, name).await?;
                left.push(format!("runit says {words}"));
            }
        }
        Ok(left)
    }
}

#[async_trait]
impl Lifecycle for Services {
    /// What is about to start or stop is waited for.
    async fn running(&self) -> Result<Vec<Unit>> {
        let mut wait = self.wait();
        loop {
            let services = self.services(&mut wait).await?;
            let changing = |service: &&Service| service.pending.is_some() || service.state == State::Initializing;
            let mut left = waited_for(&services.iter().filter(changing).collect::<Vec<_>>());
            let (agent, words) = self.runit.status(&self.agent).await?;
            if agent == How::Changing {
                left.push(format!("runit says {words}"));
            }
            if left.is_empty() {
                return name(&services, (agent == How::Up).then_some(self.agent.as_str()));
            }
            self.look_again(&mut wait, &left).await?;
        }
    }

    /// The last first, and runit's once monit's have stopped. A unit that is not there is an error before anything stops.
    async fn pause(&self, units: &[Unit]) -> Result<()> {
        let names = Names::of(units)?;
        let mut wait = self.wait();
        let mut processes = Processes::of(&self.host);
        loop {
            let mut left = self.stop_monit(&names.monit, &mut wait, &mut processes).await?;
            if left.is_empty() {
                left = self.take_runit(&names.runit, How::Down).await?;
            }
            if left.is_empty() {
                return Ok(());
            }
            self.look_again(&mut wait, &left).await?;
        }
    }

    async fn held(&self, units: &[Unit]) -> Result<()> {
        let names = Names::of(units)?;
        if !names.monit.is_empty() {
            let services = self.services(&mut self.wait()).await?;
            for name in names.monit {
                let service = find(&services, name)?;
                if !service.is_stopped() {
                    return Err(started_meanwhile(name, &format!("monit says {}", service.words())));
                }
            }
        }
        for name in names.runit {
            let (how, words) = self.runit.status(name).await?;
            if how != How::Down {
                return Err(started_meanwhile(name, &format!("runit says {words}")));
            }
        }
        Ok(())
    }

    /// All are told to start before any is waited for, the agent last. One that cannot be brought back keeps no other down.
    ///
    /// Files that a restore has begun to put in place are settled before that: nothing starts on half of them.
    async fn resume(&self, units: &[Unit]) -> Result<()> {
        let names = Names::of(units)?;
        if names.files {
            files::settle(&*self.host).await?;
            self.progress.made();
        }
        let mut wait = self.wait();
        loop {
            let monit = self.start_monit(&names.monit, &mut wait).await;
            let runit = self.take_runit(&names.runit, How::Up).await;
            let mut left = monit?;
            left.extend(runit?);
            if left.is_empty() {
                break;
            }
            self.look_again(&mut wait, &left).await?;
        }
        if names.monit.is_empty() {
            return Ok(());
        }
        let services = self.services(&mut wait).await?;
        names.monit.iter().try_for_each(|name| find(&services, name).map(drop))
    }

    /// A script for `sh` and the same user: what [`resume`](Lifecycle::resume) does, with the same limit.
    fn resume_script(&self, units: &[Unit]) -> Option<String> {
        Names::of(units).ok()?;
        let words: Vec<String> = units.iter().map(|unit| word(&unit.0)).collect();
        let [monit, sv] = [&self.monit.program, &self.runit.program].map(|program| program.to_str().map(word));
        let tries = self.time_limit.as_secs() / 2 + 1;
        Some(format!("monit={} sv={} tries={tries}\nset -- {}\n{RESUME}", monit?, sv?, words.join(" ")))
    }
}

fn find<'a>(services: &'a [Service], name: &str) -> Result<&'a Service> {
    services.iter().find(|service| service.name == name).ok_or_else(|| unknown(name))
}

/// `text` as one word of `sh`, whatever is in it.
fn word(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn waited_for(services: &[&Service]) -> Vec<String> {
    services.iter().map(|service| format!("monit says {} is {}", service.name, service.words())).collect()
}

fn started_meanwhile(name: &str, words: &str) -> Error {
    Error::failed(format!("{name} was started meanwhile: {words}"))
}

/// The units of what runs. Fails where a process is neither up nor stopped.
fn name(services: &[Service], agent: Option<&str>) -> Result<Vec<Unit>> {
    let unwell = |service: &&Service| service.kind == ServiceKind::Process && matches!(service.state, State::Other(_));
    if let Some(service) = services.iter().find(unwell) {
        let hint = format!("see that it runs, or stop it first: monit stop {}", service.name);
        return Err(Error::failed(format!("monit says {} is {}", service.name, service.words())).with_hint(hint));
    }
    let up = services.iter().filter(|service| service.is_up());
    let mut units: Vec<Unit> = up.map(|service| unit::of_monit(&service.name)).collect::<Result<_>>()?;
    units.extend(agent.map(unit::of_runit));
    Ok(units)
}
