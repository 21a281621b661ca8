//! Every `sslmode` against a server with certificates of a made-up authority.

use super::*;

/// `openssl` in `folder`, without the terminal.
fn openssl(folder: &Path, arguments: &str) {
    let mut command = Command::new("openssl");
    let done = command.args(arguments.split_whitespace()).current_dir(folder).output().unwrap();
    assert!(done.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&done.stderr));
}

/// Makes an authority `ca` with certificates for the server and the role `cert_user`, and `other`, which nobody trusts.
fn certificates(folder: &Path) -> Vec<(&'static str, PathBuf)> {
    const KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    for (ca, name) in [("ca", "Authority"), ("other", "Stranger")] {
        openssl(folder, &format!("req -x509 {KEY} -days 2 -subj /CN={name} -keyout {ca}.key -out {ca}.crt"));
    }
    std::fs::write(folder.join("san"), "subjectAltName=DNS:db.test,IP:127.0.0.1").unwrap();
    std::fs::write(folder.join("v3"), "basicConstraints=CA:FALSE").unwrap();
    for (name, subject, extensions) in [("server", "db.test", "san"), ("client", "cert_user", "v3")] {
        openssl(folder, &format!("req {KEY} -subj /CN={subject} -keyout {name}.key -out {name}.csr"));
        let sign = "x509 -req -days 2 -CA ca.crt -CAkey ca.key -CAcreateserial";
        openssl(folder, &format!("{sign} -in {name}.csr -extfile {extensions} -out {name}.crt"));
    }
    server_files(folder, "server", "ca")
}

/// The settings for a server with `name`.crt, its key readable by the server's user.
fn server_files(folder: &Path, name: &str, ca: &str) -> Vec<(&'static str, PathBuf)> {
    let key = folder.join(format!("{name}.key"));
    run("chmod", &["0600"], &key);
    if rustix::process::geteuid().is_root() {
        // Whom a scratch server of root's runs as.
        let users = std::fs::read_to_string("/etc/passwd").unwrap();
        let user = if users.lines().any(|line| line.starts_with("postgres:")) { "postgres" } else { "nobody" };
        run("chown", &[user], &key);
    }
    vec![
        ("ssl", "on".into()),
        ("ssl_cert_file", folder.join(format!("{name}.crt"))),
        ("ssl_key_file", key),
        ("ssl_ca_file", folder.join(format!("{ca}.crt"))),
    ]
}

const HBA: &str = "hostssl all cert_user 127.0.0.1/32 cert\nhostssl all all 127.0.0.1/32 scram-sha-256";

async fn server() -> Option<Listening> {
    let server = Listening::start(HBA, certificates).await?;
    server.ask(&["CREATE ROLE ann LOGIN PASSWORD 'secret'", "CREATE ROLE cert_user LOGIN"]).await;
    Some(server)
}

impl Listening {
    /// Whether `conninfo` gets in, and if so whether over TLS.
    async fn is_encrypted(&self, conninfo: &str) -> backup_core::Result<bool> {
        let folder = self.folder.path().display().to_string();
        let text = format!("dbname=postgres user=ann password=secret {}", conninfo.replace("DIR", &folder));
        let session = self.connect(&text).await?;
        let ssl = "SELECT ssl FROM pg_catalog.pg_stat_ssl WHERE pid = pg_catalog.pg_backend_pid()";
        Ok(session.client.query_one(ssl, &[]).await.unwrap().get(0))
    }
}

#[tokio::test]
async fn each_sslmode_means_what_it_means_to_libpq() {
    let Some(server) = server().await else { return };
    for conninfo in [
        "host=db.test sslmode=allow",
        "host=db.test sslmode=prefer",
        "host=db.test sslmode=require",
        "host=db.test sslmode=require channel_binding=require",
        "host=wrong.test sslmode=require sslrootcert=DIR/ca.crt",
        "host=wrong.test sslmode=verify-ca sslrootcert=DIR/ca.crt",
        "host=db.test sslmode=verify-full sslrootcert=DIR/ca.crt",
        "host=127.0.0.1 sslmode=verify-full sslrootcert=DIR/ca.crt",
        "sslmode=verify-full sslrootcert=DIR/ca.crt",
        "host=db.test sslmode=verify-full sslrootcert=DIR/ca.crt channel_binding=require",
    ] {
        assert!(server.is_encrypted(conninfo).await.unwrap(), "{conninfo}");
    }
    for (conninfo, hint) in [
        ("host=wrong.test sslmode=verify-full sslrootcert=DIR/ca.crt", "subjectAltName"),
        ("host=db.test sslmode=verify-ca sslrootcert=DIR/other.crt", "sslrootcert"),
        ("host=db.test sslmode=verify-full sslrootcert=DIR/other.crt", "sslrootcert"),
        ("host=db.test sslmode=require sslrootcert=DIR/other.crt", "sslrootcert"),
        ("host=db.test sslrootcert=system", "sslrootcert"),
        ("host=db.test sslmode=disable", "pg_hba.conf"),
    ] {
        let error = server.is_encrypted(conninfo).await.unwrap_err();
        assert!(error.hint().is_some_and(|told| told.contains(hint)), "{conninfo}: {error:?}");
    }
    for missing in ["sslrootcert=DIR/none.crt", "sslrootcert=DIR/ca.key", "sslcert=DIR/none sslkey=DIR/none"] {
        let error = server.is_encrypted(&format!("host=db.test sslmode=verify-ca {missing}")).await.unwrap_err();
        assert!(!error.chain().contains("SQLSTATE"), "{missing}: {error:?}");
    }
}

#[tokio::test]
async fn a_root_file_in_the_home_folder_is_used_unasked() {
    let Some(server) = server().await else { return };
    let folder = server.folder.path().join(".postgresql");
    std::fs::create_dir(&folder).unwrap();
    std::fs::copy(server.folder.path().join("other.crt"), folder.join("root.crt")).unwrap();
    assert!(server.is_encrypted("host=db.test sslmode=require").await.is_err());
    std::fs::copy(server.folder.path().join("ca.crt"), folder.join("root.crt")).unwrap();
    assert!(server.is_encrypted("host=db.test sslmode=require").await.unwrap());
    assert!(server.is_encrypted("host=db.test sslmode=verify-full").await.unwrap());
}

#[tokio::test]
async fn a_certificate_of_ours_opens_the_door() {
    let Some(server) = server().await else { return };
    let key = server.folder.path().join("client.key");
    run("chmod", &["0600"], &key);
    let ours =
        "user=cert_user host=db.test sslmode=verify-full sslrootcert=DIR/ca.crt sslcert=DIR/client.crt sslkey=DIR/client.key";
    assert!(server.is_encrypted(ours).await.unwrap());
    let other = ours.replace("client.crt", "other.crt").replace("client.key", "other.key");
    run("chmod", &["0600"], &server.folder.path().join("other.key"));
    assert!(server.is_encrypted(&other).await.is_err());
    let error = server.is_encrypted("user=cert_user host=db.test sslmode=require").await.unwrap_err();
    assert!(error.chain().contains("certificate"), "{error:?}");
    run("chmod", &["0644"], &key);
    let error = server.is_encrypted(ours).await.unwrap_err();
    assert!(error.hint().is_some_and(|hint| hint.contains("0600")), "{error:?}");
}

#[tokio::test]
async fn a_server_that_is_its_own_authority_is_trusted_by_its_certificate() {
    let files = |folder: &Path| {
        certificates(folder);
        server_files(folder, "other", "other")
    };
    let Some(server) = Listening::start(HBA, files).await else { return };
    server.ask(&["CREATE ROLE ann LOGIN PASSWORD 'secret'"]).await;
    assert!(server.is_encrypted("host=db.test sslmode=verify-ca sslrootcert=DIR/other.crt").await.unwrap());
    assert!(server.is_encrypted("host=db.test sslmode=verify-ca sslrootcert=DIR/ca.crt").await.is_err());
    assert!(server.is_encrypted("host=db.test sslmode=verify-full sslrootcert=DIR/other.crt").await.is_err());
}

#[tokio::test]
async fn a_certificate_of_version_one_will_do_where_nobody_asks_whose_it_is() {
    let files = |folder: &Path| {
        certificates(folder);
        openssl(folder, "x509 -req -days 2 -in server.csr -signkey server.key -out old.crt");
        std::fs::copy(folder.join("server.key"), folder.join("old.key")).unwrap();
        server_files(folder, "old", "ca")
    };
    let Some(server) = Listening::start(HBA, files).await else { return };
    server.ask(&["CREATE ROLE ann LOGIN PASSWORD 'secret'"]).await;
    assert!(server.is_encrypted("host=db.test sslmode=require").await.unwrap());
    let error = server.is_encrypted("host=db.test sslmode=verify-ca sslrootcert=DIR/ca.crt").await.unwrap_err();
    assert!(error.hint().is_some_and(|hint| hint.contains("version 3")), "{error:?}");
}
