//! The program over TLS, with nothing secret in what it is told, says and stores.

use std::process::Output;

use backup_tests::{Authority, Mongod, MongodSetup};
use bson::{Document, doc};

use crate::{mongo_healer, told, under};

const PASSWORD: &str = "pa55-w0rd-of-root";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_secret_stands_nowhere() {
    let (authority, other) = (Authority::new(), Authority::new());
    let tls = Some((authority.ca(), authority.certificate("/O=servers/CN=server", "IP:127.0.0.1")));
    let setup = MongodSetup { password: Some(PASSWORD.to_owned()), tls, ..MongodSetup::default() };
    let Some(server) = Mongod::start_with(&setup).await else { return };
    let client = server.client();
    client.database("app").collection::<Document>("users").insert_one(doc! { "_id": 1 }).await.expect("stored");
    let reader = doc! { "createUser": "CN=reader,O=shop", "roles": [{ "role": "backup", "db": "admin" }] };
    client.database("$external").run_command(reader).await.expect("made");

    let scratch = tempfile::tempdir().expect("a folder");
    let sink = scratch.path().join("sink").to_string_lossy().into_owned();
    let path = |path: std::path::PathBuf| path.to_string_lossy().into_owned();
    let certificate = path(authority.certificate("/O=shop/CN=reader", "IP:127.0.0.1"));
    let run = |arguments: &[&str]| -> Output {
        let mut command = mongo_healer(scratch.path());
        command.env("BACKUP_PASSWORD", PASSWORD).args(["backup", &sink]).args(arguments);
        if !arguments.contains(&"--username") {
            command.env_remove("BACKUP_PASSWORD");
        }
        command.output().expect("it runs")
    };
    let x509 = format!("mongodb://{}/?directConnection=true&authMechanism=MONGODB-X509", server.host());
    let (host, ca, strange) = (server.host(), path(authority.ca()), path(other.ca()));
    let short = format!("mongodb://{host}/?directConnection=true&serverSelectionTimeoutMS=500");
    for (arguments, code) in [
        (vec![host.as_str(), "app", "--username", "root", "--tls-ca", &ca, "--verbose"], 0),
        (vec![x509.as_str(), "app", "--tls-ca", &ca, "--tls-certificate", &certificate, "--json"], 0),
        (vec![short.as_str(), "app", "--username", "root", "--tls-ca", &strange, "--verbose"], 1),
        (vec![short.as_str(), "app", "--username", "nobody", "--tls-ca", &ca, "--json"], 1),
        (vec![short.as_str(), "app", "--username", "root", "--tls-ca", "/missing"], 2),
    ] {
        let (exit, out, err) = told(&run(&arguments));
        assert_eq!(exit, code, "{arguments:?}: {out}{err}");
        for said in [out, err] {
            assert!(!said.contains(PASSWORD) && !said.contains("PRIVATE KEY"), "{arguments:?}: {said}");
        }
    }
    let stored = under(scratch.path());
    assert!(stored.iter().filter(|file| file.ends_with("manifest.json")).count() == 2, "{stored:?}");
    let key = std::fs::read_to_string(&certificate).expect("read");
    let key = key.lines().rev().nth(2).expect("a line of the key");
    for file in stored {
        let bytes = String::from_utf8_lossy(&std::fs::read(&file).expect("read")).into_owned();
        assert!(!bytes.contains(PASSWORD) && !bytes.contains(key), "{}", file.display());
    }
}
