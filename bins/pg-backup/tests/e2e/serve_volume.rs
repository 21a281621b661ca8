//! Backups on the volume of the database itself: told when a service starts and with each backup.

use std::path::Path;

use backup_tests::{Major, Server, Setup};

use crate::program::{Ran, Sink};
use crate::serve::Container;

const WARNING: &str = "is on the volume of the server's own data";

/// The server's folder and those of the test.
fn on_one_volume() -> Setup {
    Setup { with_temporary_files: true, ..Setup::default() }
}

#[test]
fn both_configurations_tell_and_who_may_not_know_the_folder_is_told_nothing() {
    let Some(server) = Server::start_with(Major::V15, &on_one_volume()) else { return };
    server.psql("postgres", "CREATE DATABASE shop; CREATE ROLE reader LOGIN IN ROLE pg_read_all_data");
    let sink = Sink::new();
    let file = sink.folder().join("backup.toml");
    let once = |to: &Path, user: &str| {
        let (host, port, to) = (server.dir().display(), server.port(), to.display());
        let text = format!(
            "[service]\nephemeral = true\n[[job]]\nname = \"pg\"\nserver = \"host={host} port={port} user={user}\"\nto = \"{to}\"\nschedule = []\nrole_passwords = false\n"
        );
        std::fs::write(&file, text).expect("written");
        let mut command = sink.command(Some(&server), &["serve", "--once", "--config", file.to_str().expect("text")]);
        let ran = Ran::of(&mut command).ok();
        format!("{}{}", ran.text(), ran.err)
    };
    let said = once(&sink.folder().join("b"), "postgres");
    assert_eq!(said.matches(WARNING).count(), 1, "{said}");
    assert!(said.contains(&format!("{}/b {WARNING}", sink.folder().display())), "{said}");
    let said = once(&sink.folder().join("b"), "reader");
    assert!(!said.contains(WARNING), "{said}");
    let other = tempfile::tempdir_in("/dev/shm").expect("a folder");
    let device = |path: &Path| std::os::unix::fs::MetadataExt::dev(&std::fs::metadata(path).expect("there"));
    if device(other.path()) != device(server.dir()) {
        let said = once(&other.path().join("b"), "postgres");
        assert!(!said.contains(WARNING), "{said}");
    } else {
        assert!(std::env::var_os("REQUIRE_SERVICES").is_none(), "/dev/shm is no volume of its own here");
    }
}

#[test]
fn the_containers_folder_is_looked_at_too() {
    let Some(container) = Container::of(Major::V15, &on_one_volume()) else { return };
    let said = |ran: Ran| format!("{}{}", ran.text(), ran.err);
    let first = said(container.run(&["serve", "--once"], &[]).ok());
    assert!(!first.contains(WARNING), "the application's user may not know: {first}");
    container.server.psql("postgres", "GRANT pg_read_all_settings TO app");
    let second = said(container.run(&["serve", "--once"], &[]).ok());
    assert_eq!(second.matches(WARNING).count(), 1, "{second}");
}
