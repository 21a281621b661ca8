//! Objects that go from one server to another, through this machine.

use super::*;
use crate::s3::New;

/// A second gateway, with the bucket `c`.
struct Two {
    scene: Scene,
    there: Arc<Fake>,
}

impl Two {
    fn new() -> Self {
        let there = Arc::new(Fake::default());
        there.set("c", "x", "");
        there.remove("c", "x");
        Self { scene: Scene::new(), there }
    }

    async fn sync(&self) -> Summary {
        let server = |gateway: &Arc<Fake>, endpoint: &str| Server { gateway: gateway.clone(), endpoint: endpoint.to_owned() };
        let (from, to) = (server(&self.scene.fake, "http://fake"), server(&self.there, "http://there"));
        let route = Route::new("s3://a", "s3://c").expect("a route");
        sync(&self.scene.cx, &route, Some(from), Some(to), self.scene.options()).await.expect("it goes on").summary
    }

    /// Everything there but what is in the trash, and that.
    fn contents(&self) -> (Files, Vec<String>) {
        let (trash, others): (Files, Files) =
            self.there.contents("c").into_iter().partition(|(key, _)| key.starts_with(".ceph-backup/trash/"));
        (others, trash.into_values().collect())
    }
}

#[tokio::test]
async fn only_what_is_whole_and_the_same_is_stored() {
    for lie in [Lie::Truncated, Lie::Flipped] {
        let two = Two::new();
        two.scene.fake.set("a", "large", &numbered(0, 6 << 20));
        two.scene.fake.set("a", "small", "some content");
        two.scene.fake.lie(Some(lie));
        let summary = two.sync().await;
        assert_eq!((summary.copied, summary.failed), (0, 2), "{lie:?}");
        assert_eq!(two.contents().0, map(&[]), "{lie:?}");
        two.scene.fake.lie(None);
        assert_eq!(two.sync().await.copied, 2, "{lie:?}");
        assert!(two.contents().0 == two.scene.fake.contents("a"), "{lie:?}");
    }
}

#[tokio::test]
async fn what_nothing_tells_the_content_of_is_counted() {
    let two = Two::new();
    two.scene.fake.set("a", "known", "known");
    two.scene.fake.set("a", "unknown", "unknown");
    two.scene.fake.set_etag("a", "unknown", "strange");
    let summary = two.sync().await;
    assert_eq!((summary.copied, summary.unverified), (2, 1));
}

#[tokio::test]
async fn an_object_of_somebody_else_is_kept_and_one_that_is_made_meanwhile_stays() {
    let two = Two::new();
    two.scene.fake.set("a", "k", "ours");
    two.there.set("c", "k", "theirs");
    assert_eq!(two.sync().await.copied, 1);
    assert_eq!(two.contents(), (map(&[("k", "ours")]), vec!["theirs".to_owned()]));
    two.scene.fake.set("a", "n", "ours");
    let there = two.there.clone();
    two.there.meanwhile("put n", move || there.set("c", "n", "theirs"));
    assert_eq!(two.sync().await.failed, 1);
    assert_eq!(two.contents().0, map(&[("k", "ours"), ("n", "theirs")]));
}

#[tokio::test]
async fn an_object_that_is_replaced_between_its_listing_and_its_reading_comes_as_it_is_now() {
    let two = Two::new();
    let noted = |of: &str| New { metadata: vec![("of".to_owned(), of.to_owned())], ..New::default() };
    two.scene.fake.set_new("a", "k", noted("before"));
    let fake = two.scene.fake.clone();
    two.scene.fake.meanwhile("get k", move || {
        fake.set_new("a", "k", noted("after"));
        // One that does not tell the content, of the same size.
        fake.set_etag("a", "k", "strange");
    });
    let summary = two.sync().await;
    assert_eq!((summary.copied, summary.failed), (1, 0));
    let metadata = two.there.new_of("c", "k").metadata;
    assert!(metadata.contains(&noted("after").metadata[0]), "{metadata:?}");
    // It is recorded as that.
    assert_eq!(two.sync().await.same, 1);
}
