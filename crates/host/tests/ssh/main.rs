//! Another machine as a host: a real sshd on this one.

mod cut;
mod failures;
mod options;
mod sudo;
mod tunnel;

use backup_host::testing::host_contract;
use backup_host::{Command, Ssh, ssh::Config};
use backup_tests::{Director, Sshd};

/// How the server is reached.
fn config(sshd: &Sshd) -> Config {
    Config {
        program: sshd.client(),
        port: Some(sshd.port()),
        user: Some(sshd.user().to_owned()),
        identities: vec![sshd.key()],
        known_hosts: Some(sshd.known_hosts()),
        // What the user of this machine has configured is none of the tests' business.
        config: Some("/dev/null".into()),
        ..Config::new("127.0.0.1")
    }
}

/// A director, as its login user.
fn login(director: &Director) -> Ssh {
    ssh(Config {
        program: director.client(),
        port: Some(director.ssh_port()),
        user: Some("vcap".into()),
        identities: vec![director.key()],
        known_hosts: Some(director.known_hosts()),
        config: Some("/dev/null".into()),
        ..Config::new("127.0.0.1")
    })
}

fn ssh(config: Config) -> Ssh {
    Ssh::new(config).expect("a configuration that can be meant")
}

fn sh(script: &str) -> Command {
    Command::new("sh").args(["-c", script, "sh"])
}

#[tokio::test]
async fn another_machine_is_a_host() {
    let Some(sshd) = Sshd::start() else { return };
    host_contract(&ssh(config(&sshd))).await;
}
