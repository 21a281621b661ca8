//! Buckets of a real gateway of Ceph: the calls, objects on their way, the sink.

mod example;
mod gateway;
mod sink;
mod strange;
mod transfer;

use std::net::SocketAddr;
use std::time::Duration;

use backup_ceph::{Access, Credentials, SharedGateway, connect};
use backup_tests::faults::Proxy;
use backup_tests::{Rgw, S3Keys};

/// A user of the gateway that all tests share, with a bucket of the same name.
struct Lab {
    rgw: &'static Rgw,
    keys: S3Keys,
    access: Access,
    gateway: SharedGateway,
    bucket: String,
}

impl Lab {
    /// `None` where there is no Ceph.
    async fn new(name: &str) -> Option<Self> {
        let rgw = Rgw::shared()?;
        let keys = rgw.user(name);
        let mut access = Access::new(rgw.url(), Some(Credentials::new(&keys.access_key, &keys.secret_key)));
        access.timeout = Duration::from_secs(60);
        let gateway = connect(&access).expect("an address");
        gateway.make_bucket(name).await.expect("made");
        Some(Self { rgw, keys, access, gateway, bucket: name.to_owned() })
    }

    /// A proxy before the gateway, and the gateway behind it.
    fn proxy(&self) -> (Proxy, SharedGateway) {
        let address: SocketAddr = self.rgw.url().trim_start_matches("http://").parse().expect("an address");
        // It has a runtime of its own, which is not started within another.
        let proxy = std::thread::spawn(move || Proxy::start(address)).join().expect("a proxy");
        let access = Access { endpoint: proxy.url(), ..self.access.clone() };
        let gateway = connect(&access).expect("an address");
        (proxy, gateway)
    }
}
