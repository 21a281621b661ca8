//! Ports of another machine: what is reached through it, what is refused, and what becomes of a cut.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use backup_core::Error;
use backup_host::ssh::Config;
use backup_host::{Host, Local, Port, Tunnel};
use backup_tests::{Director, Major, Sshd};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::{config, login, ssh};

/// What comes of a connection in which nothing is said here.
async fn heard(host: &dyn Host, port: &Port) -> Result<Vec<u8>, Error> {
    let mut connection = host.connect(port).await?;
    let mut heard = Vec::new();
    connection.read_to_end(&mut heard).await?;
    Ok(heard)
}

#[tokio::test]
async fn a_connection_that_cannot_be_made_says_who_refuses_it() {
    let Some(sshd) = Sshd::start() else { return };
    let name = format!("root@127.0.0.1:{}", sshd.port()).replace("root", sshd.user());
    let port = Port::of_host(TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port());
    let error = heard(&ssh(config(&sshd)), &port).await.expect_err("nobody listens").chain();
    assert!(error.starts_with(&format!("{name} cannot connect to {port}: nobody listens there: ")), "{error}");
    let unknown = Port { machine: "no-such-host.invalid".into(), number: 1 };
    let error = heard(&ssh(config(&sshd)), &unknown).await.expect_err("it has no address").chain();
    assert!(error.starts_with(&format!("{name} cannot connect to {unknown}: its name is not known there: ")), "{error}");
    for machine in ["", "a b", "[::1]", "/run/socket"] {
        let error = heard(&ssh(config(&sshd)), &Port { machine: machine.into(), number: 1 }).await.expect_err("it is none");
        assert_eq!(error.kind(), backup_core::Kind::Usage, "{machine}: {error:?}");
    }
    let changed = Config { known_hosts: Some("/dev/null".into()), ..config(&sshd) };
    let error = heard(&ssh(changed), &port).await.expect_err("it is not reached").chain();
    assert_eq!(error, format!("{name} cannot be reached: its host key is not known"));

    let Some(strict) = Sshd::start_with(&["AllowTcpForwarding no"]) else { return };
    let error = heard(&ssh(config(&strict)), &port).await.expect_err("it is not allowed");
    assert!(error.chain().contains(": its sshd lets the user make no connections: "), "{error:?}");
    assert!(error.hint().is_some(), "{error:?}");
}

#[tokio::test]
async fn a_connection_that_is_cut_has_not_ended() {
    let Some(sshd) = Sshd::start() else { return };
    let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = Port::of_host(server.local_addr().expect("its address").port());
    for goes_on in [true, false] {
        let mut here = ssh(config(&sshd)).connect(&port).await.expect("it is on its way");
        here.write_all(b"ask").await.expect("taken");
        let (mut there, _) = server.accept().await.expect("it comes");
        there.read_exact(&mut [0; 3]).await.expect("it is asked");
        there.write_all(b"some").await.expect("taken");
        here.read_exact(&mut [0; 4]).await.expect("it answers");
        sshd.cut();
        if goes_on {
            // Whoever writes learns of it when it reads.
            while here.write_all(&[0; 1024]).await.is_ok() {
                if there.read_to_end(&mut Vec::new()).await.is_ok() {
                    break;
                }
            }
        }
        let error = Error::from(here.read_to_end(&mut Vec::new()).await.expect_err("it was cut"));
        assert!(error.chain().contains(&format!("the connection to {port} was cut on its way to ")), "{error:?}");
        assert!(error.hint().is_some(), "{error:?}");
    }
}

#[tokio::test]
async fn psql_reaches_a_directors_postgresql_through_a_socket_of_ours_alone() {
    let (Some(director), Some(bin)) = (Director::start(), Major::V15.bin_dir()) else { return };
    let host = Arc::new(login(&director));
    let tunnel = Tunnel::open(host, Port::of_host(director.postgres_port()), ".s.PGSQL.5432").expect("it listens");
    let folder = tunnel.path().parent().expect("a folder").to_owned();
    assert_eq!(folder.metadata().expect("there").permissions().mode() & 0o7777, 0o700);
    let mut psql = tokio::process::Command::new(bin.join("psql"));
    psql.arg("-h").arg(&folder).args(["-p", "5432", "-U", "vcap", "-d", "postgres", "-Atc"]);
    psql.arg("SELECT length(repeat('x', 5000000)), inet_server_port()");
    let said = psql.output().await.expect("psql runs");
    let expected = format!("5000000|{}", director.postgres_port());
    assert_eq!(String::from_utf8_lossy(&said.stdout).trim(), expected, "{}", String::from_utf8_lossy(&said.stderr));
    assert!(tunnel.failure().is_none());

    director.shut_out();
    let said = psql.output().await.expect("psql runs");
    assert!(!said.status.success());
    let why = tunnel.failure().expect("it says why").chain();
    assert!(why.ends_with(" cannot be reached: nobody listens there"), "{why}");
    drop(tunnel);
    assert!(!folder.exists());
}

#[tokio::test]
async fn a_tunnel_that_is_dropped_ends_its_connections() {
    let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = Port::of_host(server.local_addr().expect("its address").port());
    let tunnel = Tunnel::open(Arc::new(Local), port, "socket").expect("it listens");
    let mut near = UnixStream::connect(tunnel.path()).await.expect("it listens");
    let (mut far, _) = server.accept().await.expect("it comes");
    near.write_all(b"ask").await.expect("taken");
    far.read_exact(&mut [0; 3]).await.expect("it is asked");
    drop(tunnel);
    assert_eq!(near.read(&mut [0; 1]).await.expect("its end"), 0);
    assert_eq!(far.read(&mut [0; 1]).await.expect("its end"), 0);
}
