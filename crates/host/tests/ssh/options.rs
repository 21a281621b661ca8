//! What a configuration says is what ssh does.

use std::fs;

use backup_core::Kind;
use backup_host::ssh::Config;
use backup_host::{Host, Ssh};
use backup_tests::Sshd;

use crate::{config, sh, ssh};

#[tokio::test]
async fn a_configuration_file_is_honoured() {
    let Some(sshd) = Sshd::start() else { return };
    let file = sshd.dir().join("ssh config");
    let (port, user, key, known) = (sshd.port(), sshd.user(), sshd.key(), sshd.known_hosts());
    let text = format!(
        "Host director\n HostName 127.0.0.1\n Port {port}\n User {user}\n IdentityFile {}\n UserKnownHostsFile {}\n \
         LocalForward 1 127.0.0.1:1\n RemoteCommand exit 9\n RequestTTY force\n PermitLocalCommand yes\n LocalCommand exit 9\n \
         ControlMaster auto\n ControlPath {}/%p\n StrictHostKeyChecking no\n",
        key.display(),
        known.display(),
        sshd.dir().display()
    );
    fs::write(&file, &text).expect("a file");
    let host = Config { program: sshd.client(), config: Some(file.clone()), ..Config::new("director") };
    assert_eq!(ssh(host.clone()).name(), "director");
    assert_eq!(ssh(host.clone()).answer(&sh("exit 5")).await.expect("it answers").status, 5);
    assert!(!sshd.dir().join(port.to_string()).exists(), "a connection of its own");
    // Only what the file says of checks does not count.
    fs::write(known, "").expect("a file");
    ssh(host).answer(&sh("exit 5")).await.expect_err("its key is not known");
}

#[tokio::test]
async fn files_may_be_called_as_they_like() {
    let Some(sshd) = Sshd::start() else { return };
    let folder = sshd.dir().join("it's 100%h $HOME ~ #1");
    fs::create_dir(&folder).expect("a folder");
    for name in ["id", "known_hosts"] {
        fs::copy(sshd.dir().join(name), folder.join(name)).expect("a copy");
    }
    let own = config(&sshd);
    let odd = Config { identities: vec![folder.join("id")], known_hosts: Some(folder.join("known_hosts")), ..own };
    assert_eq!(ssh(odd.clone()).answer(&sh("exit 5")).await.expect("it answers").status, 5);
    // Also where they are words of a shell's line.
    let far = Config { jump: Some(Box::new(odd)), ..config(&sshd) };
    assert_eq!(ssh(far).answer(&sh("exit 6")).await.expect("it answers").status, 6);
    let wrong = Config { identities: vec![sshd.dir().join("a\"b")], ..config(&sshd) };
    assert_eq!(Ssh::new(wrong).expect_err("ssh has no such files").kind(), Kind::Usage);
}

#[tokio::test]
async fn a_host_is_reached_through_another_which_is_checked_too() {
    let (Some(near), Some(far)) = (Sshd::start(), Sshd::start()) else { return };
    let jump = config(&near);
    let host = Config { jump: Some(Box::new(jump.clone())), ..config(&far) };
    let answer = ssh(host.clone()).answer(&sh("echo $SSH_CONNECTION")).await.expect("it answers");
    assert!(String::from_utf8_lossy(&answer.stdout).trim().ends_with(&format!(" {}", far.port())), "{answer:?}");
    assert!(near.log().contains("Accepted publickey"), "{}", near.log());
    let unknown = Config { known_hosts: Some("/dev/null".into()), ..jump };
    let through = Config { jump: Some(Box::new(unknown)), ..host };
    let error = ssh(through).answer(&sh("exit 0")).await.expect_err("the jump's key is not known");
    assert!(error.chain().ends_with("its host key is not known"), "{error:?}");
}

#[tokio::test]
async fn options_are_handed_on_and_those_that_undo_a_promise_are_refused() {
    let Some(sshd) = Sshd::start() else { return };
    let with = |option: &str| Config { options: vec![option.to_owned()], ..config(&sshd) };
    assert_eq!(ssh(with("Ciphers=aes128-gcm@openssh.com")).answer(&sh("exit 5")).await.expect("it answers").status, 5);
    let error = ssh(with("Ciphers=none-such")).answer(&sh("exit 5")).await.expect_err("there is none such");
    assert!(error.chain().contains("Bad SSH2 cipher spec"), "{error:?}");
    for option in [
        "StrictHostKeyChecking=no",
        "stricthostkeychecking no",
        "BatchMode=no",
        "ProxyCommand=id",
        "ControlPath=/tmp/x",
        "",
        "-v",
        "a b\nc",
    ] {
        let error = Ssh::new(with(option)).expect_err(option);
        assert_eq!(error.kind(), Kind::Usage, "{option}: {error:?}");
    }
    for host in ["", "-oProxyCommand=id", "a b", "a\nb"] {
        let error = Ssh::new(Config { host: host.to_owned(), ..config(&sshd) }).expect_err(host);
        assert_eq!(error.kind(), Kind::Usage, "{host}: {error:?}");
    }
}

#[tokio::test]
async fn a_command_that_is_too_long_is_an_error() {
    let Some(sshd) = Sshd::start() else { return };
    let error = ssh(config(&sshd)).answer(&sh(":").arg("x".repeat(200_000))).await.expect_err("Linux has no such argument");
    assert!(error.chain().contains("Argument list too long"), "{error:?}");
}
