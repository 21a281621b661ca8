//! From one server to another, with other keys and another certificate.

use crate::scene::Scene;

#[test]
fn from_bucket_to_bucket_with_other_keys_and_another_endpoint() {
    let Some(scene) = Scene::new("whence") else { return };
    let theirs = scene.rgw.user("whither");
    let other = scene.rgw.s3cfg(&theirs);
    let other = other.to_str().expect("a path");
    scene.write("home/all/small", "small");
    scene.write("home/all/large", &"0123456789abcdef".repeat(400_000));
    scene.ok("home", &["mb", "s3://whence"]);
    scene.ok("home", &["sync", "all/", "s3://whence"]);
    scene.ok("home", &["mb", "--s3cfg", other, "s3://whither"]);
    // Neither may do anything in the other's bucket.
    scene.fails(1, &["ls", "s3://whither"], "403");
    let sync = ["--part-size", "5M", "sync", "s3://whence", "s3://whither/in/", "--destination-s3cfg", other];
    assert!(scene.ok("home", &sync).contains("2 copied"));
    assert!(scene.ok("home", &sync).contains("2 were there, 0 copied"));
    let (url, ca) = (scene.rgw.tls_url(), scene.rgw.ca());
    let ca = ca.to_str().expect("a path");
    let mut command = scene.command("home", &["sync", "s3://whence", "s3://whither/tls/", "--destination-endpoint", &url]);
    command.args(["--destination-ca", ca, "--destination-profile", "whither", "--destination-region", "default"]);
    let credentials = scene.path("credentials");
    let (key, secret) = (&theirs.access_key, &theirs.secret_key);
    std::fs::write(&credentials, format!("[whither]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n"))
        .expect("written");
    let output = command.env("AWS_SHARED_CREDENTIALS_FILE", &credentials).output().expect("it runs");
    let (code, words) = crate::scene::told(&output);
    assert!(code == 0 && words.contains("2 copied"), "{words}");
    for prefix in ["in", "tls"] {
        let from = format!("s3://whither/{prefix}/");
        scene.ok(prefix, &["--s3cfg", other, "sync", &from, "./"]);
        assert_eq!(scene.files(prefix), scene.files("home/all"), "{prefix}");
    }
    // The certificate of the gateway is nobody's whom this machine trusts.
    let mut command = scene.command("home", &["sync", "s3://whence", "s3://whither/no/", "--destination-endpoint", &url]);
    command.env("AWS_ACCESS_KEY_ID", key).env("AWS_SECRET_ACCESS_KEY", secret);
    let (code, words) = crate::scene::told(&command.output().expect("it runs"));
    assert!(code == 1 && words.contains("certificate") && words.contains("hint: "), "{words}");
}
