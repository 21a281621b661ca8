//! A server is there when it is asked for, as it was asked for, and gone afterwards.

use backup_tests::{Major, Server, Setup};

#[test]
fn a_server_of_every_version_starts_and_is_gone_on_drop() {
    for major in Major::ALL {
        let Some(server) = Server::start(major) else { return };
        assert!(server.psql("postgres", "SHOW server_version").starts_with(&major.to_string()));
        let (dir, port) = (server.dir().to_owned(), server.port());
        drop(server);
        assert!(!dir.exists(), "{} is still there", dir.display());
        assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err(), "something still listens on {port}");
    }
}

#[test]
fn a_server_with_a_password_another_locale_and_a_setting() {
    let setup = Setup {
        initdb: vec!["--locale-provider=icu".into(), "--icu-locale=de".into()],
        conf: vec!["work_mem = 5MB".into()],
        password: Some("it's secret".into()),
        ..Setup::default()
    };
    for major in Major::ALL {
        let Some(server) = Server::start_with(major, &setup) else { return };
        assert_eq!(server.psql("postgres", "SHOW work_mem; SELECT datlocprovider FROM pg_database LIMIT 1"), "5MB\ni");
        let tcp = |password: &str| {
            let query = ["-h", "127.0.0.1", "-Atwc", "SELECT 1"];
            server.command("psql").args(query).env("PGPASSWORD", password).output().expect("psql runs").status.success()
        };
        assert!(tcp("it's secret"));
        assert!(!tcp("wrong"));
    }
}

#[test]
fn a_server_that_crashed_starts_again_with_what_was_committed() {
    let Some(server) = Server::start(Major::V17) else { return };
    server.psql("postgres", "CREATE TABLE t AS SELECT 1 AS id");
    server.crash();
    assert!(server.try_psql("postgres", "SELECT 1").is_err());
    server.start_again();
    assert_eq!(server.psql("postgres", "SELECT id FROM t"), "1");
}

#[test]
fn an_error_in_sql_has_the_words_of_the_server() {
    let Some(server) = Server::start(Major::V15) else { return };
    let error = server.try_psql("postgres", "SELECT 1;\nSELECT nonsense;\nSELECT 2").expect_err("no such column");
    assert!(error.contains("column \"nonsense\" does not exist"), "{error}");
}

#[test]
fn a_test_process_that_dies_leaves_no_server() {
    if std::env::var_os("BACKUP_TESTS_DIE").is_some() {
        if let Some(server) = Server::start(Major::V15) {
            println!("\nport={}", server.port());
            std::process::abort();
        }
        return;
    }
    let output = std::process::Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "a_test_process_that_dies_leaves_no_server", "--nocapture"])
        .env("BACKUP_TESTS_DIE", "1")
        .output()
        .expect("this program runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let Some(port) = said.lines().find_map(|line| line.strip_prefix("port=")) else { return };
    let address = format!("127.0.0.1:{port}");
    // The keeper has ended: it held the standard error that was read to its end.
    let gone = std::net::TcpStream::connect(&address).is_err();
    assert!(gone, "the server on {address} outlived its test");
}

#[test]
fn no_two_servers_have_the_same_identifier() {
    let servers: Vec<_> = (0..2).filter_map(|_| Server::start(Major::V17)).collect();
    let [a, b] = &*servers else { return };
    let identifier = |server: &Server| server.psql("postgres", "SELECT system_identifier FROM pg_control_system()");
    assert_ne!(identifier(a), identifier(b));
    assert_eq!(a.psql("postgres", "CREATE DATABASE made; SELECT pg_is_in_recovery()"), "f");
}
