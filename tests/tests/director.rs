//! A director is there when it is asked for, runs what a director runs, and is gone afterwards.

use std::net::TcpStream;
use std::process::Command;

use backup_tests::Director;

fn mounts() -> String {
    std::fs::read_to_string("/proc/self/mountinfo").expect("what is mounted")
}

#[test]
fn a_director_runs_its_jobs_and_is_gone_on_drop() {
    let before = mounts();
    let Some(director) = Director::start() else { return };
    let summary = director.sh("ssh director sudo -n monit summary");
    for job in ["postgres", "director", "nats"] {
        let running = summary.lines().any(|line| line.split_whitespace().eq([job, "OK", "Process"]));
        assert!(running, "{job} does not run:\n{summary}");
    }
    let agent = director.sh("ssh director sudo -n sv status agent");
    assert!(agent.starts_with("run: agent: "), "{agent}");
    let whoami = director.sh("ssh director 'id -un; uname -n; id -u root; sudo -n id -u'");
    assert_eq!(whoami.lines().collect::<Vec<_>>(), ["vcap", "microbosh", "0", "0"]);

    let port = director.postgres_port();
    let psql = director
        .root("/var/vcap/packages/postgres/bin/psql")
        .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-U", "vcap", "-d", "postgres", "-Atc", "SHOW data_directory"])
        .output()
        .expect("psql runs");
    assert_eq!(String::from_utf8_lossy(&psql.stdout).trim(), "/var/vcap/store/postgres");
    assert!(director.store().join("postgres/PG_VERSION").exists(), "its store lies on the disk of the test");
    assert!(director.key().exists());
    let known = std::fs::read_to_string(director.known_hosts()).expect("the host's key");
    assert!(known.starts_with(&format!("[127.0.0.1]:{} ssh-ed25519 ", director.ssh_port())), "{known}");
    assert_eq!(mounts(), before, "nothing of it is mounted where the test runs");

    let (dir, ports) = (director.store().join(".."), [director.ssh_port(), port]);
    let process = director.sh("readlink /proc/1/ns/pid");
    drop(director);
    assert!(!dir.exists(), "{} is still there", dir.display());
    for port in ports {
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "something still listens on {port}");
    }
    assert!(!namespaces().contains(&process), "a process of {process} still runs");
}

/// The namespaces of process numbers of all that runs.
fn namespaces() -> Vec<String> {
    let processes = std::fs::read_dir("/proc").expect("/proc").filter_map(Result::ok);
    let links = processes.filter_map(|process| std::fs::read_link(process.path().join("ns/pid")).ok());
    links.map(|link| link.to_string_lossy().into_owned()).collect()
}

#[test]
fn a_director_that_was_rebooted_has_its_disk_and_runs_again() {
    let Some(director) = Director::start() else { return };
    let before = director.sh("echo kept >/var/vcap/note; echo lost >/run/note; cat /var/vcap/sys/run/postgres/postgres.pid");
    director.reboot();
    assert_eq!(director.sh("cat /var/vcap/note; ls /run/note 2>/dev/null || :"), "kept");
    assert_ne!(director.sh("cat /var/vcap/sys/run/postgres/postgres.pid"), before);
    let agent = director.sh("ssh director sudo -n sv status agent");
    assert!(agent.starts_with("run: agent: "), "{agent}");
}

#[test]
fn a_test_process_that_dies_leaves_no_director() {
    if std::env::var_os("BACKUP_TESTS_DIE").is_some() {
        if let Some(director) = Director::start() {
            println!("\ndied={} {}", director.sh("readlink /proc/1/ns/pid"), director.store().display());
            std::process::abort();
        }
        return;
    }
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "a_test_process_that_dies_leaves_no_director", "--nocapture"])
        .env("BACKUP_TESTS_DIE", "1")
        .output()
        .expect("this program runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let Some((namespace, store)) = said.lines().find_map(|line| line.strip_prefix("died=")?.split_once(' ')) else { return };
    // The keeper has ended: it held the standard error that was read to its end.
    assert!(!namespaces().contains(&namespace.to_owned()), "a process of {namespace} outlived its test");
    assert!(!std::path::Path::new(store).exists(), "{store} outlived its test");
}
