//! Who is let in, and what is said to who is not.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

async fn passwords() -> Option<Listening> {
    let server = Listening::start("host all all 127.0.0.1/32 scram-sha-256", |_| Vec::new()).await?;
    let bob = "CREATE ROLE bob LOGIN CONNECTION LIMIT 0 PASSWORD 'b'";
    server.ask(&[r"CREATE ROLE ann LOGIN PASSWORD 'p:w\'", bob, "CREATE DATABASE ann"]).await;
    Some(server)
}

fn assert_refused(outcome: backup_core::Result<Session>, line: &str, hint: &str) {
    let error = outcome.map(|_| ()).unwrap_err();
    assert!(error.chain().starts_with("failed to connect to "), "{error:?}");
    assert!(error.chain().contains(line), "{error:?} does not say {line:?}");
    assert!(error.hint().is_some_and(|told| told.contains(hint)), "{error:?} does not hint at {hint:?}");
}

#[tokio::test]
async fn a_password_is_found_where_it_was_left() {
    let Some(server) = passwords().await else { return };
    let given = server.connect(r"user=ann password='p:w\\'").await.unwrap();
    assert_eq!(value(&given, "SELECT current_user::text").await, "ann");
    assert!(given.version.at_least(15));
    assert_eq!(given.encoding, "UTF8");

    assert_refused(server.connect("user=ann").await, "none is known", "PGPASSWORD");
    assert_refused(server.connect("user=ann password=guessed").await, "28P01", ".pgpass");
    let error = server.connect("user=ann password=guessed").await.unwrap_err();
    assert!(!format!("{error:?}").contains("guessed"));

    let passfile = server.folder.path().join(".pgpass");
    std::fs::write(&passfile, format!("other:*:*:*:no\n127.0.0.1:{}:ann:ann:p\\:w\\\\\n", server.port)).unwrap();
    std::fs::set_permissions(&passfile, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert!(server.connect("user=ann").await.is_ok());
}

#[tokio::test]
async fn a_refusal_says_what_it_is() {
    let Some(server) = passwords().await else { return };
    let ann = r"user=ann password='p:w\\'";
    let missing = server.connect(&format!("{ann} dbname='no such'")).await;
    assert_eq!(missing.as_ref().map(|_| ()).unwrap_err().kind(), Kind::NotFound);
    assert_refused(missing, "no such", "psql -l");
    assert_refused(server.connect("user=bob password=b dbname=postgres").await, "too many connections", "limit");
    assert_refused(server.connect(&format!("{ann} sslmode=require")).await, "does not support TLS", "ssl");
    assert_refused(
        server.connect(&format!("{ann} target_session_attrs=standby")).await,
        "target_session_attrs",
        "leave it out",
    );

    let socket = server.scratch.config().clone();
    let nowhere = Config::parse("host=/nonexistent user=ann").unwrap();
    assert_refused(connect(&nowhere, Purpose::Ask).await, "no socket", "PGHOST");
    let unknown = Config::parse("host=no-such-host.invalid user=ann").unwrap();
    assert_refused(connect(&unknown, Purpose::Ask).await, "no-such-host.invalid", "spelling");
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let refused = Config::parse(&format!("host=127.0.0.1 port={free} user=ann")).unwrap();
    assert_refused(connect(&refused, Purpose::Ask).await, "nothing listens", "PGPORT");

    // The second host lets in whom the first does not know.
    let both = Config { hosts: [refused.hosts.clone(), socket.hosts.clone()].concat(), ..socket.clone() };
    let session = connect(&both, Purpose::Ask).await.unwrap();
    assert_eq!(session.host, socket.hosts[0]);
    let neither = Config { hosts: [refused.hosts, nowhere.hosts].concat(), ..socket };
    assert_refused(connect(&neither, Purpose::Ask).await, "nothing listens there; /nonexistent:5432", "PGHOST");
}

#[tokio::test]
async fn a_host_that_never_answers_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let config = Config::parse(&format!("host=127.0.0.1 port={port} user=ann connect_timeout=1")).unwrap();
    assert_refused(connect(&config, Purpose::Ask).await, "within 1 s", "firewall");
}
