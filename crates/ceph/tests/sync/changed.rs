//! A bucket that was synced and has changed since, and what a sync through faults may make of its copy.

use std::time::Duration;

use backup_ceph::sync::Server;
use backup_core::{Error, Result};
use backup_tests::bytes;
use backup_tests::faults::{Asked, Fault, Proxy};

use crate::scene::{Contents, Scene};

/// How many objects the source has: three pages.
const COUNT: usize = 10;
/// How long an answer is waited for.
pub(crate) const WAIT: Duration = Duration::from_secs(2);
/// More often than anything is asked.
pub(crate) const EVER: usize = usize::MAX;

/// A bucket that was synced into a folder, and has changed since: `new` came, `k3` changed, `k5` went.
pub(crate) struct Changed {
    pub(crate) scene: Scene,
    before: Contents,
}

impl Changed {
    pub(crate) async fn new(name: &str) -> Option<Self> {
        let scene = Scene::new(name).await?;
        for nth in 0..COUNT {
            scene.put(&scene.bucket, &format!("k{nth}"), bytes(3000, nth as u32)).await;
        }
        scene.sync(&format!("s3://{}", scene.bucket), &scene.folder()).await.expect("synced");
        scene.put(&scene.bucket, "k3", bytes(4000, 33)).await;
        scene.put(&scene.bucket, "new", bytes(5000, 99)).await;
        scene.remove(&scene.bucket, "k5").await;
        let before = scene.files();
        assert_eq!(before.len(), COUNT);
        Some(Self { scene, before })
    }

    /// A sync, even if it wants to delete everything, and whatever it says: nothing was lost, and what is there is whole.
    pub(crate) async fn sync(&self, server: &Server, what: &str) -> Result<()> {
        let scene = &self.scene;
        let done = scene.with(server, &format!("s3://{}", scene.bucket), &scene.folder(), scene.options()).await;
        let (after, source) = (scene.files(), scene.objects(&scene.bucket).await);
        for (name, content) in &self.before {
            match after.get(name) {
                None => assert_eq!(name, "k5", "{what} has deleted what the source has"),
                Some(now) => assert!(now == content || Some(now) == source.get(name), "{what}: {name} is not whole"),
            }
        }
        for (name, content) in &after {
            assert!(self.before.contains_key(name) || source.get(name) == Some(content), "{what}: {name} is not whole");
        }
        done.map(drop)
    }

    /// That a sync fails, having deleted nothing at all, and that the next one without the fault makes all good.
    pub(crate) async fn fails(&self, server: &Server, what: &str) -> Error {
        let error = self.sync(server, what).await.expect_err(what);
        assert!(self.scene.files().contains_key("k5"), "{what}: nothing is deleted by a sync that failed");
        error
    }

    pub(crate) async fn heals(self) {
        let scene = &self.scene;
        scene.sync(&format!("s3://{}", scene.bucket), &scene.folder()).await.expect("without faults");
        assert_eq!(scene.files(), scene.objects(&scene.bucket).await);
    }

    /// The same for a fault that lasts from the `nth` request of a kind on.
    pub(crate) async fn fails_by(&self, (proxy, server): &(Proxy, Server), asked: Asked, nth: usize, fault: Fault) -> Error {
        let what = format!("{fault:?} from the request {nth} for a {asked:?} on");
        proxy.spoil(asked, nth, EVER, fault);
        let error = self.fails(server, &what).await;
        proxy.heal();
        error
    }
}
