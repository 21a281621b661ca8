//! A director's disk over SSH, by a login user whom sudo lets run find and tar.

use std::sync::Arc;

use async_trait::async_trait;
use backup_core::{Body, Context, Error, Result, body};
use backup_host::ssh::Config;
use backup_host::{Answer, Command, Connection, Host, Port, Ssh};
use backup_tests::Director;
use tokio::io::AsyncReadExt;

use crate::tree::{every_kind, seen};
use crate::{Bench, same};

fn login(director: &Director) -> Ssh {
    let config = Config {
        program: director.client(),
        port: Some(director.ssh_port()),
        user: Some("vcap".into()),
        identities: vec![director.key()],
        known_hosts: Some(director.known_hosts()),
        config: Some("/dev/null".into()),
        ..Config::new("127.0.0.1")
    };
    Ssh::new(config).expect("a configuration that can be meant")
}

/// From here on sudo lets the login user run these programs, and nothing else.
fn may_run(director: &Director, programs: &str) {
    director.sh(&format!("printf '%s\\n' 'vcap ALL=(root) NOPASSWD: {programs}' >/etc/sudoers"));
}

/// A tree on the disk of a director, which its login user may not read.
fn bench(director: &Director) -> Bench {
    let mut bench = Bench::new("");
    every_kind(&director.store().join("tree"));
    director.sh("chmod 700 /var/vcap/store/tree");
    bench.copy.root = "/var/vcap/store/tree".into();
    bench.copy.sudo = true;
    bench
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_its_login_user_may_not_read_is_copied_by_sudo_and_nothing_is_where_sudo_refuses() {
    let Some(director) = Director::start() else { return };
    let bench = bench(&director);
    let host = login(&director);
    for refused in ["/bin/tar", "/usr/bin/find"] {
        may_run(&director, refused);
        let error = bench.copy.run(&Context::default(), &host).await.expect_err("sudo refuses").chain();
        assert!(error.ends_with("sudo: a password is required"), "{error}");
        assert!(seen(&bench.copy.cache).keys().all(String::is_empty), "{refused} alone");
    }
    may_run(&director, "/usr/bin/find, /bin/tar");
    let report = bench.copy.run(&Context::default(), &host).await.expect("copied");
    assert_eq!((report.missed, report.deleted, report.linked), (0, 0, 2));
    same(&bench.copy.cache, &director.store().join("tree"));
}

/// A director whose connections are cut once so many bytes of an answer of `tar` have come.
#[derive(Debug)]
struct Cut {
    host: Ssh,
    director: Arc<Director>,
    at: u64,
}

#[async_trait]
impl Host for Cut {
    fn name(&self) -> &str {
        self.host.name()
    }

    async fn run(&self, command: &Command, stdin: Option<Body>) -> Result<Body> {
        let mut answer = self.host.run(command, stdin).await?;
        if !command.words()?.iter().any(|word| word == "tar") {
            return Ok(answer);
        }
        let (director, at) = (self.director.clone(), self.at);
        Ok(body::piped(move |mut writer| async move {
            tokio::io::copy(&mut (&mut answer).take(at), &mut writer).await?;
            tokio::task::block_in_place(|| director.shut_out());
            tokio::io::copy(&mut answer, &mut writer).await.map_err(Error::from)?;
            Ok(())
        }))
    }

    async fn answer(&self, command: &Command) -> Result<Answer> {
        self.host.answer(command).await
    }

    async fn connect(&self, to: &Port) -> Result<Connection> {
        self.host.connect(to).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_cut_ends_the_copy_and_tar_there_and_the_next_one_goes_on() {
    let Some(director) = Director::start().map(Arc::new) else { return };
    let bench = bench(&director);
    // More than can be on its way.
    director.sh("head -c 67108864 /dev/urandom >/var/vcap/store/tree/large");
    may_run(&director, "/usr/bin/find, /bin/tar");
    let host = login(&director);
    let cut = Cut { host: host.clone(), director: director.clone(), at: 10_000_000 };
    let error = bench.copy.run(&Context::default(), &cut).await.expect_err("it was cut").chain();
    assert!(error.contains(" was cut before tar there had ended"), "{error}");
    director.sh("while pgrep -x tar >/dev/null; do sleep 0.1; done");
    director.let_in();
    bench.copy.settle(&Context::default(), &host).await.expect("copied");
    same(&bench.copy.cache, &director.store().join("tree"));
}
