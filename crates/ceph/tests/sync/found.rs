//! What seeds have found, each by itself.

use std::time::Duration;

use backup_tests::faults::{Asked, Fault};

use crate::scene::Scene;

const EVER: usize = usize::MAX;

#[tokio::test(flavor = "multi_thread")]
async fn what_a_destination_neither_lists_nor_answers_for_is_not_forgotten() {
    let Some(scene) = Scene::new("forgotten").await else { return };
    let (folder, bucket) = (scene.folder(), format!("s3://{}", scene.bucket));
    for name in ["a", "b", "c"] {
        scene.write(name, name);
    }
    scene.sync(&folder, &bucket).await.expect("synced");
    std::fs::remove_file(scene.root.path().join("b")).expect("removed");
    let (proxy, server) = scene.proxy(1, Duration::from_secs(2));
    // With the listing, `b` would be known to be ours; without it, the object itself is asked for.
    proxy.spoil(Asked::Listing, 0, EVER, Fault::End(1));
    proxy.spoil(Asked::Head, 0, EVER, Fault::Answer(503, "SlowDown"));
    scene.with(&server, &folder, &bucket, scene.options()).await.expect_err("nobody knows");
    proxy.heal();
    scene.sync(&folder, &bucket).await.expect("without faults");
    assert_eq!(scene.objects(&scene.bucket).await, scene.files(), "what this sync wrote and the source no longer has is gone");
}
