//! A real S3 server for tests: Ceph's RADOS Gateway, before a cluster of one monitor and one OSD that is in memory.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use crate::installed::{home, skipped};

/// The keys of a user, as S3 clients take them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Keys {
    /// `AWS_ACCESS_KEY_ID`.
    pub access_key: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret_key: String,
}

/// A gateway on 127.0.0.1 with a cluster of its own, over HTTP and over TLS. A bucket stands in the path of its URLs.
///
/// Stopped and removed on drop, and also when the test process ends without one.
#[derive(Debug)]
pub struct Rgw {
    bin: PathBuf,
    dir: PathBuf,
    port: u16,
    tls_port: u16,
    keeper: Child,
}

/// Lives as long as its standard input is open, which is as long as the test lives. It is bash that can ask a port.
const KEEPER: &str = r#"
PATH=$1:$PATH dir=$2 monitor=$3 port=$4 fsid=$5 class=$6
cd "$dir"
all_run() { jobs=($(jobs -rp)); [ ${#jobs[@]} = 3 ]; }
# A gateway knows only those classes that were there when it began; the first one makes what they are added to.
add_class() {
    local to=(--placement-id default-placement --storage-class "$class")
    radosgw-admin user list &&
    radosgw-admin zonegroup placement add --rgw-zonegroup default "${to[@]}" &&
    radosgw-admin zone placement add --rgw-zone default "${to[@]}" --data-pool class
}
start() {
    monmaptool --create --fsid "$fsid" --addv a "[v2:127.0.0.1:$monitor]" monmap &&
    osdmaptool --createsimple 1 osdmap &&
    ceph-mon -i a --mkfs --monmap monmap --osdmap osdmap &&
    ceph-osd -i 0 --mkfs --no-mon-config || return
    ceph-mon -f -i a &
    ceph-osd -f -i 0 &
    [ -z "$class" ] || add_class || return
    radosgw -f -n client.gateway &
    until (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
        all_run || return
        sleep 0.02
    done
}
# The others say why as they end.
start >out 2>&1 </dev/null && echo ready || { sleep 1; echo failed; }
cat >/dev/null
# bash tells of what was killed; the descriptor stays open.
exec 4>&2 2>/dev/null
kill -KILL $(jobs -p)
wait
cd / && rm -rf "$dir"
"#;

/// Any key will do: nobody but the test knows the cluster, and it holds nothing.
const KEY: &str = "AQBj4gFrLBjyExAA+vyUuCdLOx7z6V4IN8MrCg==";
const FSID: &str = "6c2f8b0e-5d0b-4c55-9d1a-2f6a6c1f0e77";

impl Rgw {
    /// Starts one, in two seconds or more.
    ///
    /// `None`, and a line that says so, where `ci/install` has not put Ceph:
    /// `let Some(rgw) = Rgw::start() else { return };`
    ///
    /// # Panics
    /// When it does not start; the message has the words of its programs. Where Ceph is missing and `REQUIRE_SERVICES=1` is set.
    pub fn start() -> Option<Self> {
        Self::with_pages_of(1000)
    }

    /// One whose listings have at most so many lines a page, so that few objects make many pages; else as [`Rgw::start`].
    pub fn with_pages_of(lines: u32) -> Option<Self> {
        Self::of(lines, "")
    }

    /// One that has this storage class beside the usual one; else as [`Rgw::start`].
    pub fn with_storage_class(class: &str) -> Option<Self> {
        Self::of(1000, class)
    }

    fn of(lines: u32, class: &str) -> Option<Self> {
        let root = home().join("ceph-16");
        if !root.join("complete").exists() {
            skipped(&format!("Ceph is not in {}: run ci/install", root.display()), false);
            return None;
        }
        // Another process can take the free ports before the servers do.
        let mut failure = String::new();
        for _ in 0..5 {
            match Self::try_start(&root, lines, class) {
                Ok(rgw) => return Some(rgw),
                Err(log) => failure = log,
            }
            if !failure.contains("Address already in use") {
                break;
            }
        }
        panic!("Ceph does not start: {failure}");
    }

    /// The one that all tests of a process share, each with buckets and users of its own names; else as [`Rgw::start`].
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Rgw>> = OnceLock::new();
        SHARED.get_or_init(Self::start).as_ref()
    }

    fn try_start(root: &Path, lines: u32, class: &str) -> Result<Self, String> {
        let bin = root.join("usr/bin");
        let dir = tempfile::Builder::new().prefix("backup-rgw-").tempdir().expect("a temporary folder").keep();
        for folder in ["mon", "osd"] {
            std::fs::create_dir(dir.join(folder)).expect("a folder");
        }
        certificate(&dir);
        let free = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
        let [monitor, port, tls_port] = free.map(|free| free.local_addr().expect("its address").port());
        std::fs::write(dir.join("ceph.conf"), conf(root, &dir, [monitor, port, tls_port], lines)).expect("ceph.conf");
        let entity = |name| format!("[{name}]\nkey = {KEY}\ncaps mon = \"allow *\"\ncaps osd = \"allow *\"\n");
        let keyring = ["mon.", "osd.0", "client.admin", "client.gateway"].map(entity).concat();
        std::fs::write(dir.join("keyring"), keyring).expect("a keyring");

        let mut keeper = Command::new("/bin/bash")
            .args(["-c", KEEPER, "keeper"])
            .args([&bin, &dir])
            .args([&monitor.to_string(), &port.to_string(), FSID, class])
            .env("CEPH_CONF", dir.join("ceph.conf"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Who reads the test's standard error to its end has waited for the servers to go.
            .stderr(Stdio::inherit())
            // Ctrl-C ends the tests; the keeper then sees the end of its input.
            .process_group(0)
            .spawn()
            .expect("/bin/bash runs");
        let mut said = String::new();
        let _ = BufReader::new(keeper.stdout.take().expect("stdout is piped")).read_line(&mut said);
        if said.trim() == "ready" {
            return Ok(Self { bin, dir, port, tls_port, keeper });
        }
        let log = std::fs::read_to_string(dir.join("out")).unwrap_or_default();
        drop(keeper.stdin.take());
        let _ = keeper.wait();
        Err(log)
    }

    /// Where it listens over HTTP, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Where it listens over TLS, with a certificate of [`Rgw::ca`] for 127.0.0.1 and localhost.
    pub fn tls_url(&self) -> String {
        format!("https://127.0.0.1:{}", self.tls_port)
    }

    /// The file (PEM) of the authority that vouches for [`Rgw::tls_url`].
    pub fn ca(&self) -> PathBuf {
        self.dir.join("ca.crt")
    }

    /// Makes a user, whose buckets are his own.
    ///
    /// # Panics
    /// Where there is one of that name.
    pub fn user(&self, name: &str) -> S3Keys {
        let said = self.admin(&["user", "create", "--uid", name, "--display-name", name]);
        let user: serde_json::Value = serde_json::from_str(&said).expect("a user in JSON");
        let key = |field: &str| user["keys"][0][field].as_str().expect("a key").to_owned();
        S3Keys { access_key: key("access_key"), secret_key: key("secret_key") }
    }

    /// A configuration file of s3cmd for a user of this gateway, over HTTP; it goes with the gateway.
    pub fn s3cfg(&self, keys: &S3Keys) -> PathBuf {
        let S3Keys { access_key, secret_key } = keys;
        let (path, port) = (self.dir.join(format!("s3cfg-{access_key}")), self.port);
        let host = format!("host_base = 127.0.0.1:{port}\nhost_bucket = 127.0.0.1:{port}\nuse_https = False\n");
        std::fs::write(&path, format!("[default]\naccess_key = {access_key}\nsecret_key = {secret_key}\n{host}"))
            .expect("written");
        path
    }

    /// s3cmd as a user of this gateway.
    ///
    /// `None` where `ci/install` has not put it.
    ///
    /// # Panics
    /// Where it is missing and `REQUIRE_SERVICES=1` is set.
    pub fn s3cmd(&self, keys: &S3Keys) -> Option<Command> {
        let program = home().join("s3cmd/bin/s3cmd");
        if !program.exists() {
            skipped(&format!("s3cmd is not {}: run ci/install", program.display()), false);
            return None;
        }
        let mut command = Command::new(program);
        command.arg("--config").arg(self.s3cfg(keys));
        Some(command)
    }

    /// What radosgw-admin says to `arguments`, in a tenth of a second: JSON mostly.
    ///
    /// # Panics
    /// When it fails, with its words.
    pub fn admin(&self, arguments: &[&str]) -> String {
        let mut admin = Command::new(self.bin.join("radosgw-admin"));
        let output = admin.args(arguments).env("CEPH_CONF", self.dir.join("ceph.conf")).output().expect("radosgw-admin runs");
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "radosgw-admin {arguments:?}: {words}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// Processor time of its programs, to 10 ms.
    ///
    /// # Errors
    /// Where one of them has ended.
    pub fn cpu(&self) -> std::io::Result<Duration> {
        let pid = self.keeper.id();
        let programs = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        programs.split_whitespace().filter_map(|pid| pid.parse().ok()).map(crate::usage::cpu).sum()
    }

    /// What the gateway has logged: each request with its status, among much else.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("client.gateway.log")).unwrap_or_default()
    }
}

impl Drop for Rgw {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

/// One copy of everything, and servers that answer at once where the usual ones collect changes first.
fn conf(root: &Path, dir: &Path, [monitor, port, tls_port]: [u16; 3], lines: u32) -> String {
    let libraries = root.join(format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH));
    let (libraries, dir) = (libraries.display(), dir.display());
    format!(
        "[global]
fsid = {FSID}
mon_host = v2:127.0.0.1:{monitor}/0
mon_initial_members = a
mon_data = {dir}/mon
osd_data = {dir}/osd
keyring = {dir}/keyring
run_dir = {dir}
log_file = {dir}/$name.log
admin_socket =
crash_dir =
err_to_stderr = true
plugin_dir = {libraries}/ceph
erasure_code_dir = {libraries}/ceph/erasure-code
osd_class_dir = {libraries}/rados-classes
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
ms_bind_msgr1 = false
client_mount_timeout = 60
rgw_init_timeout = 60
paxos_propose_interval = 0.02
paxos_min_wait = 0.01
objecter_tick_interval = 0.1
mon_client_hunt_interval = 0.2
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 1000
mon_data_avail_warn = -1
mon_data_avail_crit = -1
osd_objectstore = memstore
memstore_device_bytes = {memory}
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
osd_pool_default_pgp_num = 4
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
osd_crush_initial_weight = 1
rgw_data = {dir}
rgw_frontends = beast endpoint=127.0.0.1:{port} ssl_endpoint=127.0.0.1:{tls_port} ssl_certificate={dir}/server.crt ssl_private_key={dir}/server.key
rgw_thread_pool_size = 32
rgw_max_listing_results = {lines}
rgw_rados_pool_pg_num_min = 4
rgw_gc_obj_min_wait = 10
rgw_gc_processor_period = 10
rgw_dns_name = localhost
rgw_relaxed_s3_bucket_names = true
",
        memory = 4_u64 << 30,
    )
}

/// Makes an authority and the server's certificate.
fn certificate(dir: &Path) {
    const KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    let openssl = |arguments: &str| {
        let done = Command::new("openssl").args(arguments.split_whitespace()).current_dir(dir).output().expect("openssl");
        assert!(done.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&done.stderr));
    };
    openssl(&format!("req -x509 {KEY} -days 2 -subj /CN=Authority -keyout ca.key -out ca.crt"));
    std::fs::write(dir.join("server.ext"), "subjectAltName=IP:127.0.0.1,DNS:localhost").expect("written");
    openssl(&format!("req {KEY} -subj /CN=server -keyout server.key -out server.csr"));
    openssl("x509 -req -days 2 -CA ca.crt -CAkey ca.key -CAcreateserial -in server.csr -extfile server.ext -out server.crt");
}
