//! What ssh itself fails at: one clear line, and what to do about it.

use std::fs;
use std::time::Duration;

use backup_core::Error;
use backup_host::Host;
use backup_host::ssh::Config;
use backup_tests::Sshd;

use crate::{config, sh, ssh};

/// What comes of a command; both ways of running one say the same.
async fn failed(config: Config) -> Error {
    let host = ssh(config);
    let error = host.answer(&sh("exit 0")).await.expect_err("there is no answer");
    let again = host.run(&sh("exit 0"), None).await.err().expect("it does not start");
    assert_eq!(error.chain(), again.chain());
    assert!(error.hint().is_some(), "{error:?}");
    assert!(!error.chain().contains("@@@"), "{error:?}");
    error
}

#[tokio::test]
async fn a_host_whose_key_is_not_known_is_refused() {
    let Some(sshd) = Sshd::start() else { return };
    let empty = sshd.dir().join("empty");
    fs::write(&empty, "").expect("a file");
    let name = format!("{}@127.0.0.1:{}", sshd.user(), sshd.port());
    let error = failed(Config { known_hosts: Some(empty.clone()), ..config(&sshd) }).await;
    assert_eq!(error.chain(), format!("{name} cannot be reached: its host key is not known"));
    assert_eq!(fs::read_to_string(&empty).expect("a file"), "");

    // Asked for, it is taken and written down; then it counts.
    let accept = Config { known_hosts: Some(empty.clone()), accept_new: true, ..config(&sshd) };
    assert_eq!(ssh(accept.clone()).answer(&sh("exit 5")).await.expect("it answers").status, 5);
    assert!(fs::read_to_string(&empty).expect("a file").contains("ssh-ed25519"));
    sshd.make_key(&sshd.dir().join("other"));
    let other = fs::read_to_string(sshd.dir().join("other.pub")).expect("a key");
    fs::write(&empty, format!("[127.0.0.1]:{} {other}", sshd.port())).expect("a file");
    let error = failed(accept).await;
    assert_eq!(error.chain(), format!("{name} cannot be reached: its host key is another than the one that is known"));
}

#[tokio::test]
async fn a_host_whose_key_has_changed_is_refused() {
    let Some(sshd) = Sshd::start() else { return };
    sshd.make_key(&sshd.dir().join("other"));
    let other = fs::read_to_string(sshd.dir().join("other.pub")).expect("a key");
    fs::write(sshd.known_hosts(), format!("[127.0.0.1]:{} {other}", sshd.port())).expect("a file");
    let error = failed(config(&sshd)).await;
    assert!(error.chain().ends_with("cannot be reached: its host key is another than the one that is known"), "{error:?}");
}

#[tokio::test]
async fn a_key_that_the_host_does_not_know_is_refused_without_a_question() {
    let Some(sshd) = Sshd::start() else { return };
    let stranger = sshd.dir().join("stranger");
    sshd.make_key(&stranger);
    for identities in [vec![stranger], vec![sshd.dir().join("no such file")]] {
        let error = failed(Config { identities, ..config(&sshd) }).await;
        assert!(error.chain().ends_with("cannot be reached: it lets the user in with none of the keys"), "{error:?}");
    }
}

#[tokio::test]
async fn nobody_listens_there() {
    let Some(sshd) = Sshd::start() else { return };
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
    let error = failed(Config { port: Some(free), ..config(&sshd) }).await;
    assert!(error.chain().ends_with(&format!("127.0.0.1:{free} cannot be reached: nobody listens there")), "{error:?}");
}

#[tokio::test]
async fn what_listens_there_says_nothing() {
    let Some(sshd) = Sshd::start() else { return };
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("its address").port();
    let config = Config { port: Some(port), connect_timeout: Duration::from_secs(2), ..config(&sshd) };
    let error = failed(config).await;
    assert!(error.chain().ends_with("cannot be reached: it does not answer"), "{error:?}");
}

#[tokio::test]
async fn a_name_that_is_not_known() {
    let Some(sshd) = Sshd::start() else { return };
    let error = failed(Config { host: "no-such-host.invalid".into(), ..config(&sshd) }).await;
    let said = format!("no-such-host.invalid:{} cannot be reached: its name is not known", sshd.port());
    assert!(error.chain().ends_with(&said), "{error:?}");
}

#[tokio::test]
async fn a_key_that_may_run_one_command_alone() {
    let Some(sshd) = Sshd::start() else { return };
    let key = fs::read_to_string(sshd.dir().join("id.pub")).expect("a key");
    fs::write(sshd.dir().join("authorized_keys"), format!("command=\"exit 1\" {key}")).expect("the keys");
    let error = failed(config(&sshd)).await;
    assert!(error.chain().contains("does not run what it is told to"), "{error:?}");
}

#[tokio::test]
async fn what_is_printed_before_a_command_runs_is_told_and_is_no_data() {
    // As a start-up file of the user's shell does that prints.
    let greeting = r#"ForceCommand echo Welcome to this machine, which greets everybody; eval "$SSH_ORIGINAL_COMMAND""#;
    let Some(sshd) = Sshd::start_with(&[greeting]) else { return };
    let error = failed(config(&sshd)).await;
    assert!(error.chain().contains(r#"prints something before a command runs: "Welcome to this"#), "{error:?}");
}
