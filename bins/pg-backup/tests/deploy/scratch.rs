//! The static file in an empty root, as `deploy/Containerfile` has it: some user, and nothing to write to but the volume.

use std::fs::Permissions;
use std::io::Write as _;
use std::net::UdpSocket;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use backup_tests::{Major, Server, Setup};

/// A user as OpenShift makes them up: nobody knows it, its group is root's.
const USER: u32 = 1_000_650_000;

/// Where the name server of these tests listens.
const DNS: &str = "127.53.1.2";

/// The root is read-only, the volume is not; of the caller nothing is left but the variables.
const CONTAINER: &str = r#"
root=$1 volume=$2 user=$3
shift 3
# Nobody else sees what is mounted. In a chroot the root is no mount whose sharing could be changed.
mount --make-rprivate / 2>/dev/null || :
mount --bind "$root" "$root"
mount --bind "$volume" "$root/backups"
mount -o remount,bind,ro "$root"
exec chroot "--userspec=$user:0" --groups= "$root" "$@"
"#;

/// The image and a volume, and a database to back up.
struct Container {
    root: tempfile::TempDir,
    volume: tempfile::TempDir,
    server: Server,
}

/// The value of an instruction of the Containerfile's last stage, a list of JSON.
fn instruction(name: &str) -> Vec<String> {
    let text = crate::text("Containerfile");
    let (_, last) = text.rsplit_once("\nFROM scratch\n").expect("a stage from scratch");
    let value = last.lines().find_map(|line| line.strip_prefix(&format!("{name} "))).expect(name);
    serde_json::from_str(value).expect("a list")
}

/// `deploy/build-static` to `file`, with settings of its profile in the environment.
fn build(file: &Path, settings: &[(&str, &str)]) {
    // The command of the first stage, with another folder for the image.
    let text = crate::text("Containerfile");
    assert!(text.contains("RUN deploy/build-static /image/pg-backup && install -d -m 0770 /image/backups\n"), "{text}");
    let mut command = Command::new(crate::file("build-static"));
    let output = command.arg(file).envs(settings.iter().copied()).output().expect("bash runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The static file, built once, without what makes it small and quick: that takes minutes. `None`, and a line that says so, where
/// tests need not have all they need.
fn program() -> Option<&'static Path> {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let required = std::env::var_os("REQUIRE_SERVICES").is_some_and(|value| value != "0");
    if !required || !rustix::process::geteuid().is_root() {
        let _ = writeln!(std::io::stderr(), "skipped: as root and with REQUIRE_SERVICES=1 the static file is built and run");
        return None;
    }
    Some(BUILT.get_or_init(|| {
        let file = crate::file("../target/static/pg-backup-unoptimised");
        build(&file, &[("CARGO_PROFILE_STATIC_LTO", "off"), ("CARGO_PROFILE_STATIC_OPT_LEVEL", "0")]);
        file
    }))
}

impl Container {
    fn new(setup: &Setup) -> Option<Self> {
        let program = program()?;
        let server = Server::start_with(Major::V17, setup)?;
        server.psql("postgres", "CREATE ROLE app LOGIN PASSWORD 'hunter2'");
        server.psql("postgres", "CREATE DATABASE shop OWNER app");
        server.psql("shop", "SET ROLE app; CREATE TABLE item AS SELECT n FROM generate_series(1, 1000) n");
        let (root, volume) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        std::fs::copy(program, root.path().join("pg-backup")).expect("the file is copied");
        // What an engine puts into every container.
        for folder in ["etc", "backups"] {
            std::fs::create_dir(root.path().join(folder)).expect("a folder");
        }
        std::fs::write(root.path().join("etc/hosts"), "127.0.0.1 localhost\n").expect("a file");
        std::fs::write(root.path().join("etc/resolv.conf"), format!("nameserver {DNS}\n")).expect("a file");
        std::fs::set_permissions(root.path(), Permissions::from_mode(0o755)).expect("rights");
        std::fs::set_permissions(volume.path(), Permissions::from_mode(0o770)).expect("rights");
        Some(Self { root, volume, server })
    }

    fn command(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation=unchanged", "sh", "-euc", CONTAINER, "sh"]);
        command.arg(self.root.path()).arg(self.volume.path()).arg(USER.to_string());
        command.args(instruction("ENTRYPOINT")).args(arguments);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        // The five variables, and the port of the test's server, whose folder may be on any file system.
        command.env("DATABASE_SERVICE_NAME", "localhost").env("POSTGRESQL_DATABASE", "shop").env("POSTGRESQL_USER", "app");
        command.env("POSTGRESQL_PASSWORD", "hunter2").env("BACKUP_DIR", "/backups/").env("BACKUP_EPHEMERAL", "true");
        command.env("POSTGRESQL_PORT_NUM", self.server.port().to_string()).envs(variables.iter().copied());
        command
    }

    fn once(&self, variables: &[(&str, &str)]) -> Output {
        self.command(&["serve", "--once"], variables).output().expect("unshare runs")
    }

    /// Fails the test unless it ended with `code` and its error has `words`.
    fn fails(&self, variables: &[(&str, &str)], code: i32, words: &str) {
        let output = self.once(variables);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(code) && said.contains(words), "{:?}: {said}", output.status);
    }

    fn succeeds(&self, variables: &[(&str, &str)]) {
        let output = self.once(variables);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// The dumps on the volume.
    fn dumps(&self) -> Vec<PathBuf> {
        let days = self.volume.path().read_dir().expect("the volume").flatten();
        let days = days.filter(|day| day.file_name().to_string_lossy().starts_with("20"));
        let files = days.flat_map(|day| day.path().read_dir().expect("a day").flatten()).map(|file| file.path());
        files.filter(|file| file.to_string_lossy().ends_with(".sql.gz")).collect()
    }
}

/// `date` in a time zone.
fn date(zone: &str) -> String {
    let output = Command::new("date").arg("+%F-%H").env("TZ", zone).output().expect("date runs");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
#[ignore = "minutes of building: run by ./test --soak"]
fn it_is_as_small_as_readme_says() {
    let file = crate::file("../target/static/pg-backup");
    build(&file, &[]);
    let size = file.metadata().expect("the file").len();
    assert!(size < 30_000_000, "{size} bytes");
}

#[test]
fn any_user_backs_up_and_writes_to_the_volume_alone() {
    let Some(container) = Container::new(&Setup::default()) else { return };
    // A place whose time has been the same since 1986: the rules in the program may be newer than those of the machine.
    let zone = "Asia/Kathmandu";
    let hours = [date(zone), date("UTC")];
    container.succeeds(&[("TZ", zone)]);
    let [dump] = &container.dumps()[..] else { panic!("{:?}", container.dumps()) };
    let name = dump.file_name().expect("a name").to_string_lossy().into_owned();
    let is_at = |hour: &str| name.starts_with(&format!("shop{hour}"));
    assert!((is_at(&hours[0]) || is_at(&date(zone))) && !is_at(&hours[1]), "{name} is not at {hours:?}");
    let meta = dump.metadata().expect("a file");
    assert_eq!((meta.uid(), meta.gid()), (USER, 0));
    let sql = Command::new("gunzip").arg("-c").arg(dump).output().expect("gunzip runs");
    assert!(sql.status.success() && String::from_utf8_lossy(&sql.stdout).contains("\n1000\n\\.\n"));
    container.fails(&[("BACKUP_DIR", "/elsewhere/")], 1, "Read-only file system");
    container.fails(&[("TZ", "America/Nowhere")], 2, "TZ is \"America/Nowhere\", which is no time zone");
    assert_eq!(container.dumps().len(), 1);
}

#[test]
fn it_ends_when_it_is_told_to() {
    let Some(container) = Container::new(&Setup::default()) else { return };
    let command: Vec<String> = instruction("CMD");
    let arguments: Vec<&str> = command.iter().map(String::as_str).collect();
    let mut child = container.command(&arguments, &[]).stdout(Stdio::null()).spawn().expect("unshare runs");
    let begun = std::time::Instant::now();
    while container.dumps().is_empty() {
        assert!(begun.elapsed().as_secs() < 60, "it takes no dump");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM).expect("it runs");
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

/// Answers every question for an IPv4 address with 127.0.0.1 if the name is db.test, and others with nothing.
fn name_server() -> std::io::Result<()> {
    let socket = UdpSocket::bind((DNS, 53))?;
    std::thread::spawn(move || {
        let mut question = [0; 512];
        while let Ok((size, from)) = socket.recv_from(&mut question) {
            let question = &question[..size];
            let (is_known, wants_v4) =
                (question[12..].starts_with(b"\x02db\x04test\0"), question[12..].ends_with(b"\0\x01\0\x01"));
            let found = is_known && wants_v4;
            let mut answer = question.to_vec();
            // An answer, recursion available; no such name; one question, and answers that follow.
            answer[2..12].copy_from_slice(&[0x81, if is_known { 0x80 } else { 0x83 }, 0, 1, 0, found.into(), 0, 0, 0, 0]);
            if found {
                answer.extend(b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x7f\0\0\x01");
            }
            let _ = socket.send_to(&answer, from);
        }
    });
    Ok(())
}

#[test]
fn names_are_looked_up_by_dns() {
    let Some(container) = Container::new(&Setup::default()) else { return };
    name_server().expect("port 53 of an address of the loopback is free");
    container.succeeds(&[("DATABASE_SERVICE_NAME", "db.test")]);
    container.fails(&[("DATABASE_SERVICE_NAME", "other.test")], 1, "other.test");
}

/// `openssl` in `folder`, without the terminal.
fn openssl(folder: &Path, arguments: &str) {
    let done = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().expect("openssl runs");
    assert!(done.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn authorities_are_those_that_are_mounted() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(folder.path(), &format!("req -x509 {key} -days 2 -subj /CN=Authority -keyout ca.key -out ca.crt"));
    openssl(folder.path(), &format!("req {key} -subj /CN=localhost -keyout server.key -out server.csr"));
    std::fs::write(folder.path().join("san"), "subjectAltName=DNS:localhost").expect("a file");
    openssl(
        folder.path(),
        "x509 -req -days 2 -CA ca.crt -CAkey ca.key -CAcreateserial -in server.csr -extfile san -out server.crt",
    );
    let read = |name: &str| (name.to_owned(), std::fs::read(folder.path().join(name)).expect("a file"));
    let setup =
        Setup { conf: vec!["ssl = on".into()], files: vec![read("server.crt"), read("server.key")], ..Setup::default() };
    let Some(container) = Container::new(&setup) else { return };
    let full = ("PGSSLMODE", "verify-full");
    let system = ("PGSSLROOTCERT", "system");
    container.fails(&[full, system], 1, "no certificate of an authority");
    std::fs::copy(folder.path().join("ca.crt"), container.volume.path().join("ca.crt")).expect("the file is copied");
    container.succeeds(&[full, system, ("SSL_CERT_FILE", "/backups/ca.crt")]);
    container.succeeds(&[full, ("PGSSLROOTCERT", "/backups/ca.crt")]);
}
