//! Listings and objects that come otherwise than they are, each fault once: nothing is deleted wrongly, no file is not whole, nothing is
//! called well that is not.

use backup_ceph::Listing;
use backup_core::Kind;
use backup_tests::bytes;
use backup_tests::faults::{Asked, Fault};

use crate::changed::{Changed, EVER, WAIT};
use crate::scene::Scene;

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
