//! A director, and how a test sees what runs there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use backup_bosh::{Services, Settings};
use backup_core::{Body, Lifecycle, Result, Unit};
use backup_host::{Answer, Command, Host, Local};
use backup_tests::Director;

/// How long what must come is waited for.
pub(crate) const SOON: Duration = Duration::from_secs(120);

/// Commands in a director, as `vcap` has them after a login. Also for a process that did not start the director.
#[derive(Debug, Clone)]
pub(crate) struct Inside(pub(crate) Vec<String>);

impl Inside {
    pub(crate) fn of(director: &Director) -> Self {
        let mut login = director.root("setpriv");
        login.args(["--reuid=vcap", "--regid=vcap", "--clear-groups", "env", "HOME=/home/vcap"]);
        let words = std::iter::once(login.get_program()).chain(login.get_args());
        Self(words.map(|word| word.to_string_lossy().into_owned()).collect())
    }

    pub(crate) fn services(&self, seconds: u64) -> Services {
        let settings = Settings { time_limit: Duration::from_secs(seconds), ..Settings::default() };
        Services::new(Arc::new(self.clone()), settings)
    }

    fn carry(&self, command: &Command) -> Result<Command> {
        let mut words = self.0.iter();
        let program = words.next().expect("a program");
        Ok(Command::new(program).args(words).args(command.words()?))
    }
}

#[async_trait]
impl Host for Inside {
    fn name(&self) -> &str {
        "director"
    }

    async fn run(&self, command: &Command, stdin: Option<Body>) -> Result<Body> {
        Local.run(&self.carry(command)?, stdin).await
    }

    async fn answer(&self, command: &Command) -> Result<Answer> {
        Local.answer(&self.carry(command)?).await
    }
}

pub(crate) fn services(director: &Director, seconds: u64) -> Services {
    Inside::of(director).services(seconds)
}

pub(crate) fn units(names: &[&str]) -> Vec<Unit> {
    names.iter().map(|name| Unit((*name).to_owned())).collect()
}

/// What monit and runit find running, each told of anew: `director`, `agent`.
pub(crate) fn up(director: &Director) -> Vec<String> {
    let summary = director.sh("monit summary; sv status agent");
    let job = |line: &str| -> Option<String> {
        if line.starts_with("run: agent: ") {
            return Some("agent".into());
        }
        let words: Vec<_> = line.split_whitespace().collect();
        matches!(words.as_slice(), [_, "OK", "Process"]).then(|| words[0].to_owned())
    };
    let mut up: Vec<String> = summary.lines().filter_map(job).collect();
    up.sort();
    up
}

/// Waits until just these run.
pub(crate) fn wait_until_up(director: &Director, names: &[&str]) {
    let since = Instant::now();
    while up(director) != names {
        assert!(since.elapsed() < SOON, "{names:?} should run, and not {:?}", up(director));
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Stops a job as its user would, and waits until that is so.
pub(crate) fn stopped_before(director: &Director, job: &str) {
    director
        .sh(&format!("monit stop {job}; until monit summary | grep ' {job} ' | grep -q 'Not monitored  '; do sleep 0.1; done"));
}

/// Replaces what starts and stops a job.
pub(crate) fn control(director: &Director, job: &str, case: &str) {
    let path = format!("/var/vcap/jobs/{job}/bin/{job}_ctl");
    director.sh(&format!(
        "[ -e {path}.own ] || cp -p {path} {path}.own\n\
         printf '%s\\n' '#!/bin/sh' 'case $1 in {case} esac' 'exec {path}.own \"$1\"' >{path}.new\n\
         chmod 755 {path}.new; mv {path}.new {path}"
    ));
}

pub(crate) async fn running(services: &impl Lifecycle) -> Vec<Unit> {
    services.running().await.expect("what runs")
}
