//! Storage classes: kept where the destination has them, and told where it does not.

use std::sync::OnceLock;

use backup_ceph::{Head, Headers, New, SharedGateway};
use backup_tests::{Rgw, bytes};
use bytes::Bytes;

use crate::scene::Scene;

/// The size of parts in bytes.
const PART: usize = 5 << 20;

/// A gateway that has the class `COLD`, which the shared one does not have.
fn cold() -> Option<&'static Rgw> {
    static COLD: OnceLock<Option<Rgw>> = OnceLock::new();
    COLD.get_or_init(|| Rgw::with_storage_class("COLD")).as_ref()
}

/// All that can be said of an object.
fn new(class: Option<&str>) -> New {
    New {
        content_type: Some("application/x-layer".to_owned()),
        headers: Headers {
            cache_control: Some("max-age=7".to_owned()),
            content_disposition: Some("attachment".to_owned()),
            content_encoding: Some("gzip".to_owned()),
            content_language: Some("de".to_owned()),
            expires: Some("Wed, 21 Oct 2015 07:28:00 GMT".to_owned()),
        },
        storage_class: class.map(str::to_owned),
        metadata: vec![("of".to_owned(), "registry".to_owned())],
        ..New::default()
    }
}

/// In parts, if it is larger than one.
async fn store(gateway: &SharedGateway, bucket: &str, key: &str, size: usize, new: &New) {
    let content = Bytes::from(bytes(size, 1));
    if size < PART {
        gateway.put(bucket, key, content, new).await.expect("stored");
        return;
    }
    let upload = gateway.begin(bucket, key, new).await.expect("begun");
    let mut parts = Vec::new();
    for (number, from) in (1..).zip((0..size).step_by(PART)) {
        let part = content.slice(from..size.min(from + PART));
        parts.push((number, gateway.part(bucket, key, &upload, number, part).await.expect("stored")));
    }
    gateway.complete(bucket, key, &upload, &parts).await.expect("complete");
}

/// What is said of an object.
fn said(head: Head) -> New {
    let Head { content_type, headers, storage_class, mut metadata, .. } = head;
    // By which a put knows its own object again.
    metadata.retain(|(name, _)| name != "put");
    New { content_type, headers, storage_class, metadata, ..New::default() }
}

#[test]
fn a_storage_class_goes_with_an_object_and_where_there_is_none_of_its_name_that_is_told() {
    let (Some(rgw), Some(shared)) = (cold(), Rgw::shared()) else { return };
    let scene = Scene::of(rgw, "classes");
    let keys = rgw.user("classes-there");
    let (there, elsewhere) = (rgw.s3cfg(&keys), shared.s3cfg(&shared.user("classes")));
    let [there, elsewhere] = [&there, &elsewhere].map(|path| path.to_str().expect("a path"));
    scene.ok("home", &["mb", "s3://classes"]);
    scene.ok("home", &["mb", "s3://classes-here"]);
    scene.ok("home", &["mb", "--s3cfg", there, "s3://classes-there"]);
    scene.ok("home", &["mb", "--s3cfg", elsewhere, "s3://classes-elsewhere"]);
    let gateway = scene.gateway(&scene.keys);
    scene.block(async {
        store(&gateway, "classes", "large", 11 << 20, &new(Some("COLD"))).await;
        store(&gateway, "classes", "small", 1000, &new(Some("COLD"))).await;
        store(&gateway, "classes", "usual", 1000, &new(None)).await;
    });
    // By the server itself, and through this machine.
    scene.ok("home", &["sync", "s3://classes", "s3://classes-here"]);
    scene.ok("home", &["sync", "s3://classes", "s3://classes-there", "--destination-s3cfg", there]);
    for (keys, bucket) in [(&scene.keys, "classes-here"), (&keys, "classes-there")] {
        for (key, class) in [("large", Some("COLD")), ("small", Some("COLD")), ("usual", None)] {
            let head = scene.block(scene.gateway(keys).head(bucket, key)).expect(key);
            assert_eq!(said(head), new(class), "{bucket} {key}");
        }
    }
    let listed = scene.ok("home", &["--json", "ls", "s3://classes-here"]);
    assert_eq!(listed.matches("\"storage_class\":\"COLD\"").count(), 2, "{listed}");

    let to = ["sync", "s3://classes", "s3://classes-elsewhere", "--destination-s3cfg", elsewhere];
    let words = scene.fails(1, &to, "2 objects failed");
    assert!(words.contains("COLD") && words.contains("--storage-class"), "{words}");
    let words = scene.ok("home", &[&to[..], &["--storage-class", "STANDARD"]].concat());
    assert!(words.contains("2 copied"), "{words}");
}

#[test]
fn what_goes_up_has_the_class_that_was_said_and_what_is_put_aside_the_class_that_it_had() {
    let Some(rgw) = cold() else { return };
    let mut scene = Scene::of(rgw, "classes-up");
    scene.ok("home", &["mb", "s3://classes-up"]);
    let class = |scene: &Scene, key: &str| scene.head("classes-up", key).storage_class;
    scene.write("home/all/small", "small");
    scene.write("home/all/large", &"0123456789abcdef".repeat(400_000));
    scene.ok("home", &["--part-size", "5M", "sync", "--storage-class", "COLD", "all/", "s3://classes-up/said/"]);
    assert_eq!(["small", "large"].map(|key| class(&scene, &format!("said/{key}"))), [(); 2].map(|()| Some("COLD".to_owned())));
    scene.says("storage_class = COLD\n");
    scene.ok("home", &["sync", "all/", "s3://classes-up/cfg/"]);
    assert_eq!(class(&scene, "cfg/small").as_deref(), Some("COLD"));
    scene.says("");
    scene.ok("home", &["sync", "all/", "s3://classes-up/usual/"]);
    assert_eq!(class(&scene, "usual/small"), None);
    // Replaced though it is of somebody else, and removed.
    let gateway = scene.gateway(&scene.keys);
    scene.block(store(&gateway, "classes-up", "said/small", 7, &new(Some("COLD"))));
    std::fs::remove_file(scene.path("home/all/large")).expect("removed");
    scene.ok("home", &["sync", "--delete-removed", "--yes", "all/", "s3://classes-up/said/"]);
    let listed = scene.ok("home", &["--json", "ls", "-r", "s3://classes-up/said/.ceph-backup/trash/"]);
    assert_eq!(listed.matches("\"storage_class\":\"COLD\"").count(), 2, "{listed}");
    let small = listed.lines().find(|line| line.contains("/small\"")).expect("it is in the trash");
    let key = small.split('"').find(|text| text.ends_with("/small")).expect("its key");
    assert_eq!(said(scene.head("classes-up", key)), new(Some("COLD")));
}
