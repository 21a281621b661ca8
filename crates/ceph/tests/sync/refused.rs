//! What a server refuses or does not know any more: buckets, keys, requests of each kind. Each is an error, and nothing is lost by it.

use backup_ceph::sync::Server;
use backup_ceph::{Access, Credentials, connect};
use backup_core::Kind;
use backup_tests::bytes;
use backup_tests::faults::{Asked, Fault};

use crate::changed::{Changed, EVER, WAIT};
use crate::scene::Scene;

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
