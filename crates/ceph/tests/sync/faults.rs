//! Each thing that can go wrong between a sync and its server, once: nothing is deleted wrongly, no file is not whole, nothing is
//! called well that is not.

use std::time::Duration;

use backup_ceph::sync::Server;
use backup_ceph::{Access, Credentials, Listing, connect};
use backup_core::{Error, Kind, Result};
use backup_tests::bytes;
use backup_tests::faults::{Asked, Fault, Proxy};

use crate::scene::{Contents, Scene};

/// How many objects the source has: three pages.
const COUNT: usize = 10;
/// How long an answer is waited for.
const WAIT: Duration = Duration::from_secs(2);
/// More often than anything is asked.
const EVER: usize = usize::MAX;

/// A bucket that was synced into a folder, and has changed since: `new` came, `k3` changed, `k5` went.
struct Changed {
    scene: Scene,
    before: Contents,
}

impl Changed {
    async fn new(name: &str) -> Option<Self> {
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
    async fn sync(&self, server: &Server, what: &str) -> Result<()> {
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
    async fn fails(&self, server: &Server, what: &str) -> Error {
        let error = self.sync(server, what).await.expect_err(what);
        assert!(self.scene.files().contains_key("k5"), "{what}: nothing is deleted by a sync that failed");
        error
    }

    async fn heals(self) {
        let scene = &self.scene;
        scene.sync(&format!("s3://{}", scene.bucket), &scene.folder()).await.expect("without faults");
        assert_eq!(scene.files(), scene.objects(&scene.bucket).await);
    }

    /// The same for a fault that lasts from the `nth` request of a kind on.
    async fn fails_by(&self, (proxy, server): &(Proxy, Server), asked: Asked, nth: usize, fault: Fault) -> Error {
        let what = format!("{fault:?} from the request {nth} for a {asked:?} on");
        proxy.spoil(asked, nth, EVER, fault);
        let error = self.fails(server, &what).await;
        proxy.heal();
        error
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_the_listing_that_fails() {
    let Some(changed) = Changed::new("page").await else { return };
    let through = changed.scene.proxy(1, WAIT);
    for nth in 0..3 {
        for fault in [Fault::Answer(500, "InternalError"), Fault::Answer(503, "SlowDown"), Fault::Reset, Fault::Lose] {
            changed.fails_by(&through, Asked::Listing, nth, fault).await;
        }
    }
    changed.fails_by(&through, Asked::Listing, 1, Fault::Hang).await;
    changed.heals().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_the_listing_that_fails_once_is_asked_for_again() {
    let Some(changed) = Changed::new("again").await else { return };
    let (proxy, server) = changed.scene.proxy(3, WAIT);
    for fault in [Fault::Answer(500, "InternalError"), Fault::Answer(503, "SlowDown"), Fault::Reset, Fault::Hang] {
        proxy.spoil(Asked::Listing, 1, 1, fault.clone());
        changed.sync(&server, &format!("{fault:?} once")).await.expect("the second time");
    }
    changed.heals().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_the_listing_that_breaks_off_or_is_garbled() {
    let Some(changed) = Changed::new("garbled").await else { return };
    let through = changed.scene.proxy(1, WAIT);
    for nth in 0..3 {
        for fault in [Fault::Cut(400), Fault::Short(400), Fault::Short(0)] {
            changed.fails_by(&through, Asked::Listing, nth, fault).await;
        }
    }
    // A bit of it is another: it need not be noticed, and still nothing may go wrong.
    for at in (0..1200).step_by(37) {
        through.0.spoil(Asked::Listing, 0, EVER, Fault::Flip(at));
        let _ = changed.sync(&through.1, &format!("bit at {at}")).await;
        through.0.heal();
    }
    changed.heals().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_cut_anywhere_is_no_page() {
    let Some(scene) = Scene::new("cut").await else { return };
    for key in ["a", "b", "c"] {
        scene.put(&scene.bucket, key, key).await;
    }
    let (proxy, server) = scene.proxy(1, WAIT);
    let list = async || server.gateway.list(&scene.bucket, &Listing::default(), None).await;
    list().await.expect("whole");
    let size = proxy.seen()[0].bytes as usize;
    for at in 0..size {
        proxy.spoil(Asked::Listing, 0, 1, Fault::Short(at));
        let page = list().await;
        assert!(page.is_err(), "cut after {at} of {size} bytes it is a page: {page:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_ends_early_as_if_it_were_whole() {
    let Some(changed) = Changed::new("early").await else { return };
    let through = changed.scene.proxy(1, WAIT);
    for (nth, kept) in [(0, 1), (0, 3), (1, 0), (1, 2), (2, 0), (0, 0)] {
        let error = changed.fails_by(&through, Asked::Listing, nth, Fault::End(kept)).await;
        assert_eq!(error.kind(), Kind::Damaged, "{error:?}");
    }
    changed.heals().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_ends_early_is_an_error_also_where_nothing_is_to_be_deleted() {
    let Some(changed) = Changed::new("quiet").await else { return };
    let (proxy, server) = changed.scene.proxy(1, WAIT);
    let scene = &changed.scene;
    for (nth, kept) in [(0, 1), (1, 2), (2, 0), (0, 0)] {
        proxy.spoil(Asked::Listing, nth, EVER, Fault::End(kept));
        let mut options = scene.options();
        options.limits.delete = false;
        let done = scene.with(&server, &format!("s3://{}", scene.bucket), &scene.folder(), options).await;
        assert_eq!(done.expect_err("what it does not show is known").kind(), Kind::Damaged);
        proxy.heal();
    }
    changed.heals().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_breaks_off_or_is_another() {
    let Some(changed) = Changed::new("body").await else { return };
    let through = changed.scene.proxy(1, WAIT);
    for fault in [
        // What comes is taken and the rest asked for again; so nothing must come.
        Fault::Cut(0),
        Fault::Short(0),
        Fault::Flip(1000),
        Fault::Reset,
        Fault::Hang,
        Fault::Answer(403, "AccessDenied"),
        Fault::Answer(503, "SlowDown"),
    ] {
        changed.fails_by(&through, Asked::Get, 0, fault).await;
    }
    changed.heals().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_vanishes() {
    let Some(changed) = Changed::new("vanishes").await else { return };
    let through = changed.scene.proxy(1, WAIT);
    // Between two pages, and before the objects are asked for.
    through.0.spoil(None, 2, EVER, Fault::Answer(404, "NoSuchBucket"));
    changed.fails(&through.1, "a bucket that vanishes under the listing").await;
    through.0.heal();
    for asked in [Asked::Get, Asked::Head] {
        let fault = Fault::Answer(404, "NoSuchBucket");
        through.0.spoil(asked, 0, EVER, fault);
        let _ = changed.sync(&through.1, "a bucket that vanishes after the listing").await;
        through.0.heal();
    }
    // And in truth.
    let scene = &changed.scene;
    let before = scene.files();
    scene.rgw.admin(&["bucket", "rm", "--bucket", &scene.bucket, "--purge-objects"]);
    let done = scene.sync(&format!("s3://{}", scene.bucket), &scene.folder()).await;
    assert_eq!(done.expect_err("it is gone").kind(), Kind::NotFound);
    assert_eq!(scene.files(), before);
    // Made anew, it is empty and not the source of what is here: a person is asked, and here says no.
    scene.server.gateway.make_bucket(&scene.bucket).await.expect("made");
    let mut options = scene.options();
    options.limits.most = Some(0);
    scene.with(&scene.server, &format!("s3://{}", scene.bucket), &scene.folder(), options).await.expect_err("empty");
    assert_eq!(scene.files(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_wrong_or_expire() {
    let Some(changed) = Changed::new("expired").await else { return };
    let scene = &changed.scene;
    let wrong = Access { credentials: Some(Credentials::new(&scene.keys.access_key, "wrong")), ..scene.access.clone() };
    let server = Server { gateway: connect(&wrong).expect("an address"), endpoint: scene.server.endpoint.clone() };
    let error = changed.fails(&server, "wrong keys").await;
    assert!(error.hint().is_some_and(|hint| hint.contains("secret key")), "{error:?}");
    let through = scene.proxy(1, WAIT);
    for nth in [0, 1, 2] {
        changed.fails_by(&through, Asked::Listing, nth, Fault::Answer(400, "ExpiredToken")).await;
    }
    changed.fails_by(&through, Asked::Get, 0, Fault::Answer(403, "InvalidAccessKeyId")).await;
    // Taken from the user in the middle of it, in truth: the second page is the first that is asked for without them.
    scene.rgw.admin(&["user", "suspend", "--uid", &scene.bucket]);
    let error = changed.scene.sync(&format!("s3://{}", scene.bucket), &scene.folder()).await.expect_err("suspended");
    scene.rgw.admin(&["user", "enable", "--uid", &scene.bucket]);
    assert!(error.chain().contains("403"), "{error:?}");
    changed.heals().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clocks_that_are_apart() {
    let Some(changed) = Changed::new("skew").await else { return };
    let through = changed.scene.proxy(1, WAIT);
    for (asked, nth) in [(Asked::Listing, 0), (Asked::Listing, 2), (Asked::Get, 0)] {
        changed.fails_by(&through, asked, nth, Fault::Answer(403, "RequestTimeTooSkewed")).await;
    }
    changed.heals().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_request_of_each_way_that_is_lost_or_refused_for_ever() {
    let Some(scene) = Scene::new("each").await else { return };
    scene.write("home/a", "a");
    scene.write("home/b/c", bytes(6 << 20, 1));
    let home = format!("{}home/", scene.folder());
    let (bucket, other) = (format!("s3://{}", scene.bucket), format!("s3://{}", scene.other));
    let (proxy, server) = scene.proxy(1, WAIT);
    let asked = [Asked::Listing, Asked::Head, Asked::Put, Asked::Begin, Asked::Part, Asked::Complete, Asked::Copy, Asked::Get];
    for (from, to, at) in [(&home, &bucket, &scene.bucket), (&bucket, &other, &scene.other)] {
        for asked in asked {
            for fault in [Fault::Answer(403, "AccessDenied"), Fault::Reset, Fault::Lose] {
                proxy.spoil(asked, 0, EVER, fault.clone());
                let done = scene.with(&server, from, to, scene.options()).await;
                proxy.heal();
                let was_asked = proxy.seen().iter().any(|seen| seen.asked == asked);
                let objects = scene.objects(at).await;
                let home = crate::scene::files(&scene.root.path().join("home"));
                assert!(objects.iter().all(|(key, content)| home.get(key) == Some(content)), "{from} {asked:?} {fault:?}");
                assert!(done.is_err() || objects == home, "{from} {asked:?} {fault:?}: {done:?}");
                assert!(done.is_err() || !was_asked || fault == Fault::Lose, "{from} {asked:?} {fault:?}: {done:?}");
                for key in objects.keys() {
                    scene.remove(at, key).await;
                }
                // An upload whose ID was never heard of is the only one that nobody can give up.
                let left = scene.server.gateway.uploads(at, "").await.expect("listed");
                assert!(left.is_empty() || (asked, &fault) == (Asked::Begin, &Fault::Lose), "{asked:?} {fault:?}: {left:?}");
                for upload in left {
                    scene.server.gateway.abort(at, &upload.key, &upload.id).await.expect("given up");
                }
            }
        }
        scene.sync(from, to).await.expect("without faults");
    }
    assert_eq!(scene.objects(&scene.other).await, crate::scene::files(&scene.root.path().join("home")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_hides_what_it_has_loses_nothing_of_others() {
    let Some(scene) = Scene::new("hides").await else { return };
    let (bucket, other) = (format!("s3://{}", scene.bucket), format!("s3://{}", scene.other));
    let large = bytes(6 << 20, 2);
    for key in ["a", "b", "c"] {
        scene.write(key, format!("ours {key}"));
        scene.put(&scene.bucket, key, format!("ours {key}")).await;
        scene.put(&scene.other, key, format!("theirs {key}")).await;
    }
    scene.write("large", &large);
    scene.put(&scene.other, "large", "theirs large").await;
    let theirs = scene.objects(&scene.other).await;
    let (proxy, server) = scene.proxy(1, WAIT);
    // From a folder, the destination's is the only listing; from a bucket on the same server it is the second.
    for (from, skip) in [(scene.folder(), 0), (bucket, 1)] {
        proxy.spoil(Asked::Listing, skip, EVER, Fault::End(0));
        scene.with(&server, &from, &other, scene.options()).await.expect_err("they are there");
        proxy.heal();
        assert_eq!(scene.objects(&scene.other).await, theirs, "from {from}");
    }
}
