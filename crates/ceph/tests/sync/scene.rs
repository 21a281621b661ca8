//! A user of the gateway, a folder, and syncs between them as the program does them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use backup_ceph::sync::{Filter, Limits, Options, Route, Server, Summary, Verdict, sync};
use backup_ceph::{Access, ContentType, Credentials, Listing, New, connect};
use backup_core::{Context, Error, Kind, Recorder, Result};
use backup_tests::faults::Proxy;
use backup_tests::{Rgw, S3Keys};
use bytes::Bytes;
use tokio::io::AsyncReadExt;

/// Contents by name.
pub(crate) type Contents = BTreeMap<String, Vec<u8>>;

/// How many lines a page of a listing has.
pub(crate) const PAGE: u32 = 4;

/// The largest content that is not fetched twice, in bytes.
const KNOWN: u64 = 1000;

/// The gateway that all tests of this process share.
pub(crate) fn rgw() -> Option<&'static Rgw> {
    static SHARED: OnceLock<Option<Rgw>> = OnceLock::new();
    SHARED.get_or_init(|| Rgw::with_pages_of(PAGE)).as_ref()
}

/// A user with two buckets of his own, a folder, and a place for what a sync has to remember.
pub(crate) struct Scene {
    pub(crate) rgw: &'static Rgw,
    pub(crate) keys: S3Keys,
    pub(crate) access: Access,
    pub(crate) server: Server,
    pub(crate) bucket: String,
    pub(crate) other: String,
    pub(crate) root: tempfile::TempDir,
    state: tempfile::TempDir,
    pub(crate) cx: Context,
    story: Arc<Recorder>,
    /// Small contents that were fetched before, by ETag: the gateway itself, asked directly, has one for each content.
    fetched: Mutex<Contents>,
}

impl Scene {
    /// `None` where there is no Ceph.
    pub(crate) async fn new(name: &str) -> Option<Self> {
        let rgw = rgw()?;
        let keys = rgw.user(name);
        let mut access = Access::new(rgw.url(), Some(Credentials::new(&keys.access_key, &keys.secret_key)));
        access.timeout = Duration::from_secs(60);
        let gateway = connect(&access).expect("an address");
        let (bucket, other) = (name.to_owned(), format!("{name}-other"));
        gateway.make_bucket(&bucket).await.expect("made");
        gateway.make_bucket(&other).await.expect("made");
        let folder = || tempfile::tempdir().expect("a folder");
        let story = Arc::new(Recorder::default());
        let server = Server { gateway, endpoint: rgw.url() };
        let cx = Context::new(story.clone());
        Some(Self {
            rgw,
            keys,
            access,
            server,
            bucket,
            other,
            root: folder(),
            state: folder(),
            cx,
            story,
            fetched: Mutex::default(),
        })
    }

    /// A proxy before the gateway, and the same server behind it, asked `attempts` times and not waited for long.
    pub(crate) fn proxy(&self, attempts: u32, timeout: Duration) -> (Proxy, Server) {
        let address: SocketAddr = self.rgw.url().trim_start_matches("http://").parse().expect("an address");
        // It has a runtime of its own, which is not started within another.
        let proxy = std::thread::spawn(move || Proxy::start(address)).join().expect("a proxy");
        let access = Access { endpoint: proxy.url(), attempts, timeout, ..self.access.clone() };
        let server = Server { gateway: connect(&access).expect("an address"), endpoint: self.server.endpoint.clone() };
        (proxy, server)
    }

    /// The server behind a proxy once more, so that it is not known to be the same.
    pub(crate) fn again(&self, proxy: &Proxy) -> Server {
        let access = Access { endpoint: proxy.url(), attempts: 1, timeout: Duration::from_secs(1), ..self.access.clone() };
        Server { gateway: connect(&access).expect("an address"), endpoint: self.server.endpoint.clone() }
    }

    pub(crate) fn options(&self) -> Options {
        Options {
            filter: Filter::default(),
            limits: Limits { delete: true, most: None, share: 100 },
            trash: true,
            dry_run: false,
            jobs: 3,
            rate: None,
            check_content: true,
            skip_existing: false,
            preserve: true,
            part_size: 5 << 20,
            storage_class: None,
            content_type: ContentType::default(),
            state: self.state.path().to_owned(),
        }
    }

    /// The folder as a source or destination.
    pub(crate) fn folder(&self) -> String {
        format!("{}/", self.root.path().display())
    }

    /// A sync with this server, as [`between`] has it.
    pub(crate) async fn with(&self, server: &Server, from: &str, to: &str, options: Options) -> Result<Summary> {
        self.between(server, server, from, to, options).await
    }

    /// The same with a server for each end.
    pub(crate) async fn between(
        &self,
        source: &Server,
        destination: &Server,
        from: &str,
        to: &str,
        options: Options,
    ) -> Result<Summary> {
        between(&self.cx, (source, from), (destination, to), options).await
    }

    /// The same without faults.
    pub(crate) async fn sync(&self, from: &str, to: &str) -> Result<Summary> {
        self.with(&self.server, from, to, self.options()).await
    }

    /// What was told so far.
    pub(crate) fn story(&self) -> String {
        self.story.story().join("\n")
    }

    pub(crate) async fn put(&self, bucket: &str, key: &str, content: impl Into<Vec<u8>>) {
        let content = Bytes::from(content.into());
        self.server.gateway.put(bucket, key, content, &New::default()).await.expect(key);
    }

    pub(crate) async fn remove(&self, bucket: &str, key: &str) {
        self.server.gateway.delete(bucket, key).await.expect(key);
    }

    /// Objects under a prefix, by what follows it.
    pub(crate) async fn under(&self, bucket: &str, prefix: &str) -> Contents {
        let listing = Listing { prefix: prefix.to_owned(), ..Listing::default() };
        let (mut objects, mut next) = (Contents::new(), None);
        loop {
            let page = self.server.gateway.list(bucket, &listing, next.as_deref()).await.expect("listed");
            for object in page.objects {
                let name = object.key[prefix.len()..].to_owned();
                if let Some(content) = self.fetched.lock().expect("no panic").get(&object.etag) {
                    objects.insert(name, content.clone());
                    continue;
                }
                let mut content = Vec::new();
                let got = self.server.gateway.get(bucket, &object.key, None, None).await;
                match got {
                    Ok((_, mut body)) => body.read_to_end(&mut content).await.expect("read"),
                    Err(error) => {
                        assert_eq!(error.kind(), Kind::NotFound, "{error:?}");
                        continue;
                    }
                };
                if object.size <= KNOWN {
                    self.fetched.lock().expect("no panic").insert(object.etag, content.clone());
                }
                objects.insert(name, content);
            }
            next = page.next;
            if next.is_none() {
                return objects;
            }
        }
    }

    /// Objects of a bucket but those of a sync itself.
    pub(crate) async fn objects(&self, bucket: &str) -> Contents {
        without_own(self.under(bucket, "").await)
    }

    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.root.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        std::fs::write(path, content).expect("a file");
    }

    /// Files of the folder but those of a sync itself.
    pub(crate) fn files(&self) -> Contents {
        without_own(files(self.root.path()))
    }
}

/// A sync from one place to another, and what the program would say of it: whatever is not as it should be is an error.
pub(crate) async fn between(
    cx: &Context,
    (source, from): (&Server, &str),
    (destination, to): (&Server, &str),
    options: Options,
) -> Result<Summary> {
    let of = |place: &str, server: &Server| place.starts_with("s3://").then(|| server.clone());
    let synced = sync(cx, &Route::new(from, to)?, of(from, source), of(to, destination), options).await?;
    let summary = match synced.verdict.clone() {
        Verdict::Nothing => synced.summary,
        // Even if a person says yes.
        Verdict::Delete | Verdict::Ask(_) => synced.delete().await?,
        Verdict::Never(why) => return Err(Error::failed(why)),
    };
    if summary.failed == 0 { Ok(summary) } else { Err(Error::failed(format!("{} objects failed", summary.failed))) }
}

/// All but what a sync itself has put there.
pub(crate) fn without_own(mut contents: Contents) -> Contents {
    contents.retain(|name, _| !name.starts_with(".ceph-backup/"));
    contents
}

/// All files under `root`, by their paths there.
pub(crate) fn files(root: &Path) -> Contents {
    let (mut all, mut folders) = (Contents::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        let Ok(entries) = folder.read_dir() else { continue };
        for entry in entries {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(content) = std::fs::read(&path) {
                all.insert(path.strip_prefix(root).expect("inside").to_str().expect("text").to_owned(), content);
            }
        }
    }
    all
}

pub(crate) fn map(pairs: &[(&str, &str)]) -> Contents {
    pairs.iter().map(|(name, content)| ((*name).to_owned(), content.as_bytes().to_vec())).collect()
}
