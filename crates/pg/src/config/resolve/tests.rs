//! Parameters from every place, and which one wins.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use backup_core::Kind;

use super::*;

fn with(text: &str, env: &[(&str, &str)]) -> Result<Config> {
    Config::resolve(text, |key| env.iter().find(|(name, _)| *name == key).map(|(_, value)| (*value).to_owned()))
}

fn refused(text: &str, about: &str) {
    let error = Config::parse(text).unwrap_err();
    assert_eq!(error.kind(), Kind::Usage, "{text}");
    assert!(format!("{error:?}").contains(about), "{text}: {error:?}");
}

#[test]
fn the_connection_string_outranks_the_service_and_the_service_the_environment() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join(".pg_service.conf"), "[s]\nhost=from-service\nuser=from-service\nport=1").unwrap();
    let env = [
        ("HOME", home.path().to_str().unwrap()),
        ("PGSERVICE", "s"),
        ("PGHOST", "from-env"),
        ("PGUSER", "from-env"),
        ("PGDATABASE", "from-env"),
        ("PGAPPNAME", ""),
    ];
    let config = with("host=from-text", &env).unwrap();
    assert_eq!(config.describe(), "from-service@from-text:1/from-env");
    assert_eq!(config.application_name, "pg-backup");
    assert_eq!(with("service=t", &env).unwrap_err().kind(), Kind::Usage);
}

#[test]
fn what_nobody_says_has_a_default() {
    let config = Config::parse("user=ann").unwrap();
    assert_eq!((config.dbname.as_str(), config.hosts[0].port), ("ann", 5432));
    assert_eq!((config.tls.mode, config.connect_timeout), (SslMode::Prefer, None));
    assert!(!Config::parse("").unwrap().user.is_empty());
    // An empty value hides the environment and means the default.
    assert_eq!(with("user=ann dbname=''", &[("PGDATABASE", "x")]).unwrap().dbname, "ann");
}

#[test]
fn hosts_addresses_and_ports_pair_up() {
    let config = Config::parse("user=u dbname=d host=a,/srv/s,::1 port=1,,3").unwrap();
    assert_eq!(config.describe(), "u@a:1,/srv/s:5432,[::1]:3/d");
    let config = Config::parse("user=u host=a,b hostaddr=10.0.0.1,10.0.0.2 port=7").unwrap();
    assert_eq!(config.hosts[1].hostaddr, Some("10.0.0.2".parse().unwrap()));
    assert_eq!(config.hosts[1].port, 7);
    let config = Config::parse("user=u hostaddr=::1").unwrap();
    assert_eq!(config.hosts[0].address, Address::Tcp("::1".to_owned()));
    refused("user=u host=a,b port=1,2,3", "port");
    refused("user=u host=a hostaddr=::1,::2", "hostaddr");
    refused("user=u host=a hostaddr=name", "hostaddr");
    refused("user=u host=a port=0", "65535");
    refused("user=u host=@abstract", "abstract");
    // A slash in a password makes it look like a port; it is not shown.
    let error = Config::parse("postgres://u:top/secret@h").unwrap_err();
    assert!(!format!("{error:?}").contains("top"), "{error:?}");
}

#[test]
fn values_without_a_meaning_are_refused() {
    refused("user=u sslmode=on", "verify-full");
    refused("user=u channel_binding=x", "require");
    refused("user=u target_session_attrs=master", "primary");
    refused("user=u connect_timeout=soon", "connect_timeout");
    refused("user=u sslmode=verify-full", "sslrootcert");
    refused("user=u sslrootcert=system sslmode=require", "verify-full");
    refused("user=u sslnegotiation=direct", "require");
    refused("user=u sslcert=c", "sslkey");
    assert_eq!(with("user=u", &[("PGREQUIREAUTH", "scram-sha-256")]).unwrap_err().kind(), Kind::Usage);
}

#[test]
fn the_files_in_the_home_folder_are_found() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join(".postgresql");
    fs::create_dir(&folder).unwrap();
    for name in ["root.crt", "postgresql.crt", "postgresql.key"] {
        fs::write(folder.join(name), "").unwrap();
    }
    fs::write(home.path().join(".pgpass"), "h:5432:*:u:of-any\nh:5432:app:u:of-app").unwrap();
    fs::set_permissions(home.path().join(".pgpass"), fs::Permissions::from_mode(0o600)).unwrap();
    let config = with("host=h user=u dbname=app", &[("HOME", home.path().to_str().unwrap())]).unwrap();
    assert_eq!(config.tls.root, RootCert::File(folder.join("root.crt")));
    assert!(config.tls.client.is_some());
    assert_eq!(config.password_for(&config.hosts[0]).map(Secret::reveal), Some("of-any"));
    // Without a home nothing of it is looked for.
    assert_eq!(Config::parse("host=h user=u").unwrap().tls.root, RootCert::None);
    // A password given outright is the one that counts.
    let env = [("HOME", home.path().to_str().unwrap()), ("PGPASSWORD", "given")];
    let config = with("host=h user=u", &env).unwrap();
    assert_eq!(config.password_for(&config.hosts[0]).map(Secret::reveal), Some("given"));
}

#[test]
fn another_database_has_another_line_of_the_password_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pass");
    fs::write(&path, "*:*:a:*:of-a\n*:*:b:*:of-b").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let config = Config::parse(&format!("host=h user=u dbname=a passfile={}", path.display())).unwrap();
    let config = config.with_database("b");
    assert_eq!(config.password_for(&config.hosts[0]).map(Secret::reveal), Some("of-b"));
}

#[test]
fn no_password_shows() {
    let config = Config::parse("postgres://u:hidden@h/d").unwrap();
    assert!(!format!("{config:?} {}", config.describe()).contains("hidden"));
}

#[test]
fn a_child_is_told_the_same() {
    let text = "host=a,/srv port=1,2 user='o\\'h' dbname='d b' password=p sslmode=verify-ca sslrootcert=/r connect_timeout=3 \
                options='-c a=b' channel_binding=require target_session_attrs=primary sslcert=/c sslkey=/k";
    let config = Config::parse(text).unwrap();
    let env = config.to_env();
    assert_eq!(
        Config::from_env(|key| env.iter().find(|(name, _)| *name == key).map(|(_, value)| value.clone())).unwrap(),
        config
    );
    assert!(env.iter().all(|(name, _)| Params::environment_variables().any(|known| known == *name)));
}
