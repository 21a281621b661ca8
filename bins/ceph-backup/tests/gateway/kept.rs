//! What is kept of an object beside its bytes, and by which server it is copied.

use std::net::SocketAddr;

use backup_ceph::New;
use backup_tests::faults::{Asked, Proxy};
use bytes::Bytes;

use crate::scene::Scene;

#[test]
fn a_file_has_the_media_type_of_its_name_or_that_which_was_said() {
    let Some(mut scene) = Scene::new("types") else { return };
    scene.ok("home", &["mb", "s3://types"]);
    for name in ["a.json", "b.tar.lzo", "c"] {
        scene.write(&format!("home/all/{name}"), name);
    }
    let types = |scene: &Scene, prefix: &str| {
        ["a.json", "b.tar.lzo", "c"]
            .map(|name| scene.head("types", &format!("{prefix}/{name}")).content_type.unwrap_or_default())
    };
    scene.ok("home", &["sync", "all/", "s3://types/ours/"]);
    let plain = "binary/octet-stream";
    assert_eq!(types(&scene, "ours"), ["application/json", plain, plain]);
    if scene.s3cmd("home", &["sync", "--no-mime-magic", "all/", "s3://types/theirs/"]).is_some() {
        assert_eq!(types(&scene, "theirs"), types(&scene, "ours"), "s3cmd");
    }
    scene.ok("home", &["sync", "--mime-type", "a/b", "all/", "s3://types/said/"]);
    assert_eq!(types(&scene, "said"), ["a/b"; 3]);
    scene.ok("home", &["sync", "--no-guess-mime-type", "all/", "s3://types/none/"]);
    assert_eq!(types(&scene, "none"), [plain; 3]);
    scene.says("default_mime_type = c/d\n");
    scene.ok("home", &["sync", "all/", "s3://types/cfg/"]);
    assert_eq!(types(&scene, "cfg"), ["application/json", "c/d", "c/d"]);
    scene.says("guess_mime_type = False\nmime_type = e/f\n");
    scene.ok("home", &["sync", "all/", "s3://types/all/"]);
    assert_eq!(types(&scene, "all"), ["e/f"; 3]);
}

#[test]
fn media_type_and_metadata_go_with_an_object_to_another_bucket_and_another_server() {
    let Some(mut scene) = Scene::new("kept") else { return };
    let theirs = scene.rgw.user("kept-there");
    let other = scene.rgw.s3cfg(&theirs);
    let other = other.to_str().expect("a path");
    scene.ok("home", &["mb", "s3://kept"]);
    scene.ok("home", &["mb", "s3://kept-here"]);
    scene.ok("home", &["mb", "--s3cfg", other, "s3://kept-there"]);
    let new = New {
        content_type: Some("application/x-layer".to_owned()),
        metadata: vec![("of".to_owned(), "registry".to_owned()), ("s3cmd-attrs".to_owned(), "mode:33188".to_owned())],
        ..New::default()
    };
    scene.block(scene.gateway(&scene.keys).put("kept", "layer", Bytes::from_static(b"bytes"), &new)).expect("stored");
    // Through the proxy it is seen who carries the bytes.
    let address: SocketAddr = scene.rgw.url().trim_start_matches("http://").parse().expect("an address");
    let proxy = Proxy::start(address);
    let text = std::fs::read_to_string(&scene.config).expect("a file");
    scene.config = scene.path("proxied");
    let through = proxy.url().trim_start_matches("http://").to_owned();
    std::fs::write(&scene.config, text.replace(&address.to_string(), &through)).expect("written");
    scene.ok("home", &["sync", "s3://kept", "s3://kept-here"]);
    let asked = |what| proxy.seen().iter().filter(|seen| seen.asked == what).count();
    assert_eq!((asked(Asked::Copy), asked(Asked::Get)), (1, 0), "the server copies by itself");
    scene.ok("home", &["sync", "s3://kept", "s3://kept-there", "--destination-s3cfg", other]);
    for (keys, bucket) in [(&scene.keys, "kept-here"), (&theirs, "kept-there")] {
        let head = scene.block(scene.gateway(keys).head(bucket, "layer")).expect("there");
        assert_eq!(head.content_type, new.content_type, "{bucket}");
        let kept = |pair: &(String, String)| head.metadata.contains(pair);
        assert!(new.metadata.iter().all(kept), "{bucket}: {:?}", head.metadata);
    }
}
