//! A container as a host: a real Docker Engine, from this machine and over SSH.

use std::time::Duration;

use backup_core::body::{self, CHUNK};
use backup_core::testing::body_contract;
use backup_core::{Body, Error, Kind};
use backup_host::docker::Config;
use backup_host::testing::host_contract;
use backup_host::{Command, Docker, Host, Port, Ssh, ssh};
use backup_tests::Docker as Engine;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

/// How long something may take on a busy machine before it counts as never.
const LONG: Duration = Duration::from_secs(120);

/// The container from this machine.
fn here(engine: &Engine, container: &str) -> Docker {
    Docker::here(Config { program: engine.client(), ..Config::new(container) }).expect("a container")
}

/// The container from the machine that it runs on.
fn over_ssh(engine: &Engine, container: &str) -> Docker {
    let machine = ssh::Config {
        program: engine.ssh_client(),
        port: Some(engine.ssh_port()),
        user: Some("core".into()),
        identities: vec![engine.key()],
        known_hosts: Some(engine.known_hosts()),
        // What the user of this machine has configured is none of the tests' business.
        config: Some("/dev/null".into()),
        ..ssh::Config::new("127.0.0.1")
    };
    Docker::on(Ssh::new(machine).expect("a machine"), Config::new(container)).expect("a container")
}

fn sh(script: &str) -> Command {
    Command::new("sh").args(["-c", script, "sh"])
}

#[tokio::test]
async fn a_container_is_a_host() {
    let Some(engine) = Engine::start() else { return };
    host_contract(&here(&engine, Engine::CONTAINER)).await;
}

#[tokio::test]
async fn a_container_of_another_machine_is_a_host() {
    let Some(engine) = Engine::start() else { return };
    let host = over_ssh(&engine, Engine::CONTAINER);
    assert_eq!(host.name(), format!("container deis-database on core@127.0.0.1:{}", engine.ssh_port()));
    host_contract(&host).await;
}

#[tokio::test]
async fn a_command_that_is_cut_off_ends_in_the_container_whoever_it_runs_as() {
    let Some(engine) = Engine::start() else { return };
    let quiet = || body::piped(|_| std::future::pending());
    let endless = || {
        body::piped(|mut writer| async move {
            loop {
                writer.write_all(&[0; CHUNK]).await?
            }
        })
    };
    let cases: [(&str, Option<Body>); 4] =
        [("sleep 1000", None), ("sleep 1000", Some(endless())), ("cat >/dev/null", Some(quiet())), ("yes", None)];
    let host = over_ssh(&engine, Engine::CONTAINER);
    let mut started = Vec::new();
    for (nth, (script, stdin)) in cases.into_iter().enumerate() {
        let script = format!("mkdir -p /tmp/{nth} && cd /tmp/{nth} && id -un && {{ {script}; }} && : >whole");
        let mut body = BufReader::new(host.run(&sh(&script).run_as("postgres"), stdin).await.expect("it starts"));
        let mut line = String::new();
        body.read_line(&mut line).await.expect("it runs");
        assert_eq!(line, "postgres\n");
        started.push(tokio::spawn(read(body)));
    }
    // So that it waits for us, or we for it.
    tokio::time::sleep(Duration::from_millis(100)).await;
    engine.cut();
    for reading in started {
        let ended = tokio::time::timeout(LONG, reading).await.expect("it ends").expect("no panic");
        let error = ended.expect_err("it was cut");
        assert!(error.chain().contains(" was cut before sh there had ended"), "{error:?}");
    }
    let left = "ls -l /proc/[0-9]*/cwd 2>/dev/null | grep '/tmp/[0-9]$' || :";
    let none = async {
        while !engine.sh(left).is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let ended = tokio::time::timeout(LONG, none).await;
    assert!(ended.is_ok(), "all has ended, but {}", engine.sh(left));
    assert_eq!(engine.sh("ls -d /tmp/*/whole 2>/dev/null || :"), "", "a cut was taken for the end");
}

/// Takes all that comes; what was printed before a cut may.
async fn read(mut body: BufReader<Body>) -> Result<(), Error> {
    while let more @ 1.. = body.fill_buf().await?.len() {
        body.consume(more);
    }
    Ok(())
}

#[tokio::test]
async fn whoever_is_named_before_the_container_runs_its_commands() {
    let Some(engine) = Engine::start() else { return };
    let who = async |user: Option<&str>, command: Command| {
        let config = Config { program: engine.client(), user: user.map(str::to_owned), ..Config::new(Engine::CONTAINER) };
        let answer = Docker::here(config).expect("a container").answer(&command).await?;
        Ok::<_, Error>((answer.status, String::from_utf8_lossy(&answer.stdout).trim().to_owned(), answer.stderr))
    };
    let id = Command::new("id").arg("-un");
    let is = |who: &str| (0, who.to_owned(), String::new());
    assert_eq!(who(None, id.clone()).await.expect("it answers"), is("root"));
    assert_eq!(who(Some("postgres"), id.clone()).await.expect("it answers"), is("postgres"));
    assert_eq!(who(None, id.clone().run_as("postgres")).await.expect("it answers"), is("postgres"));
    let refused = who(Some("postgres"), id.clone().run_as("root")).await.expect("it answers");
    assert_eq!(refused, (1, String::new(), "sudo: a password is required".to_owned()));
    let error = who(Some("nobody-at-all"), id).await.expect_err("there is no such user").chain();
    assert_eq!(error, "container deis-database on this machine cannot be used: nobody in it is called so");
}

#[tokio::test]
async fn what_cannot_be_used_says_why() {
    let Some(engine) = Engine::start() else { return };
    for name in ["", "-v", "--privileged", "a b", "a/b", "a;id", "$(id)", "../x", "ä", "a\n", ".a"] {
        for config in [Config::new(name), Config { user: Some(name.into()), ..Config::new("a") }] {
            let error = Docker::here(config).expect_err(name);
            assert_eq!(error.kind(), Kind::Usage, "{error:?}");
        }
    }
    let why = async |host: Docker| {
        let error = host.answer(&Command::new("true")).await.expect_err("it cannot be used");
        assert!(error.hint().is_some(), "{error:?}");
        error.chain()
    };
    let machine = format!("core@127.0.0.1:{}", engine.ssh_port());
    engine.docker(&["create", "--name", "stopped", "--network", "none", "image", "sh"]);
    for (name, said) in [("no-such", "there is none of that name"), ("stopped", "it does not run")] {
        let expected = |on: &str| format!("container {name} on {on} cannot be used: {said}");
        assert_eq!(why(here(&engine, name)).await, expected("this machine"));
        assert_eq!(why(over_ssh(&engine, name)).await, expected(&machine));
    }
    let missing = Docker::here(Config { program: "no-such-docker".into(), ..Config::new("a") }).expect("a container");
    assert!(why(missing).await.starts_with("failed to start no-such-docker: "));

    let running = here(&engine, Engine::CONTAINER).run(&sh("sleep 1000"), None).await.expect("it starts");
    let away = here(&engine, Engine::CONTAINER);
    engine.docker(&["kill", Engine::CONTAINER]);
    let error = body_contract(running).await.expect_err("it was killed");
    assert!(error.chain().starts_with("sh in container deis-database on this machine was cut off (docker: "), "{error:?}");
    assert_eq!(why(away).await, "container deis-database on this machine cannot be used: it does not run");
}

#[tokio::test]
async fn a_connection_in_a_container_that_cannot_be_made_says_so_and_one_that_is_cut_has_not_ended() {
    let Some(engine) = Engine::start() else { return };
    let host = here(&engine, Engine::CONTAINER);
    let connect = async |machine: &str, number| host.connect(&Port { machine: machine.into(), number }).await.map(drop);
    let error = connect("127.0.0.1", 1).await.expect_err("nobody listens").chain();
    let expected = "container deis-database on this machine cannot connect to 127.0.0.1:1: perl on container deis-database";
    assert!(error.starts_with(expected) && error.contains("Connection refused"), "{error}");
    for machine in ["", "a b", "[::1]", "/run/socket"] {
        let error = connect(machine, 1).await.expect_err("it is none");
        assert_eq!(error.kind(), Kind::Usage, "{machine}: {error:?}");
    }
    let listening = r#"use IO::Socket::IP; $| = 1;
        $l = IO::Socket::IP->new(Listen => 9, LocalHost => "127.0.0.1") or die; print $l->sockport, "\n";
        $one = $l->accept; syswrite $one, "some"; sleep 1000"#;
    let server = host.run(&Command::new("perl").args(["-e", listening]), None).await.expect("it starts");
    let mut server = BufReader::new(server);
    let mut line = String::new();
    server.read_line(&mut line).await.expect("it listens");
    let mut here = host.connect(&Port::of_host(line.trim().parse().expect("a port"))).await.expect("it listens");
    here.read_exact(&mut [0; 4]).await.expect("it says something");
    engine.docker(&["kill", Engine::CONTAINER]);
    let error = Error::from(here.read_to_end(&mut Vec::new()).await.expect_err("it was cut"));
    assert!(error.chain().contains(" was cut on its way to container deis-database"), "{error:?}");
}
