//! A director, and how a test sees what runs there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use backup_bosh::{Services, Settings};
use backup_core::{Lifecycle, Unit};
use backup_host::ssh::Config;
use backup_host::{Host, Ssh};
use backup_tests::Director;

/// How long what must come is waited for.
pub(crate) const SOON: Duration = Duration::from_secs(120);

/// How `vcap` logs in at a director, as a backup does. Also for a process that did not start it.
#[derive(Debug, Clone)]
pub(crate) struct Login(Vec<String>);

impl Login {
    /// From here on sudo lets it do what a backup needs for services, and nothing else.
    pub(crate) fn at(director: &Director) -> Self {
        director.sh("sed -i 's,^vcap .*,vcap ALL=(root) NOPASSWD: /var/vcap/bosh/bin/monit\\, /usr/bin/sv,' /etc/sudoers");
        let files = [director.client(), director.key(), director.known_hosts()].map(|path| path.display().to_string());
        Self(files.into_iter().chain([director.ssh_port().to_string()]).collect())
    }

    /// Of what [`to_line`](Self::to_line) has made.
    pub(crate) fn of_line(line: &str) -> Self {
        Self(line.split('\t').map(str::to_owned).collect())
    }

    pub(crate) fn to_line(&self) -> String {
        self.0.join("\t")
    }

    pub(crate) fn host(&self) -> Ssh {
        let [client, key, known_hosts, port] = self.0.as_slice() else { unreachable!("{self:?}") };
        let config = Config {
            program: client.into(),
            port: Some(port.parse().expect("a port")),
            user: Some("vcap".into()),
            identities: vec![key.into()],
            known_hosts: Some(known_hosts.into()),
            // What the user of this machine has configured is none of the tests' business.
            config: Some("/dev/null".into()),
            ..Config::new("127.0.0.1")
        };
        Ssh::new(config).expect("a configuration that can be meant")
    }

    pub(crate) fn services(&self, seconds: u64) -> Services {
        services_on(Arc::new(self.host()), seconds)
    }
}

/// The services of `host`, waited for so many seconds.
pub(crate) fn services_on(host: Arc<dyn Host>, seconds: u64) -> Services {
    let settings = Settings { time_limit: Duration::from_secs(seconds), ..Settings::default() };
    Services::new(host, settings)
}

pub(crate) fn services(director: &Director, seconds: u64) -> Services {
    Login::at(director).services(seconds)
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
