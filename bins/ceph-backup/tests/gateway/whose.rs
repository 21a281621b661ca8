//! Whose keys and which host: profiles of the AWS tools for both ends, and buckets as hosts.

use backup_tests::with_hosts;

use crate::scene::{Scene, told};

#[test]
fn each_end_can_have_a_profile_of_the_aws_tools() {
    let Some(scene) = Scene::new("profile") else { return };
    let theirs = scene.rgw.user("profile-there");
    scene.write("home/all/a", "content");
    scene.ok("home", &["mb", "s3://profile"]);
    scene.ok("home", &["sync", "all/", "s3://profile"]);
    let other = scene.rgw.s3cfg(&theirs);
    scene.ok("home", &["mb", "--s3cfg", other.to_str().expect("a path"), "s3://profile-there"]);
    let (ours, url, tls) = (&scene.keys, scene.rgw.url(), scene.rgw.tls_url());
    let keys = |name: &str, keys: &backup_tests::S3Keys| {
        format!("[{name}]\naws_access_key_id = {}\naws_secret_access_key = {}\n", keys.access_key, keys.secret_key)
    };
    scene.write(".aws/credentials", &(keys("here", ours) + &keys("there", &theirs)));
    let ca = scene.rgw.ca();
    let there = format!("[profile there]\nendpoint_url = {tls}\nregion = default\nca_bundle = {}\n", ca.display());
    scene.write(".aws/config", &format!("[profile here]\nendpoint_url = {url}\n{there}"));
    let run = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = scene.command("home", arguments);
        command.env_remove("BACKUP_S3CFG").envs(variables.iter().copied());
        told(&command.output().expect("it runs"))
    };
    let (code, words) = run(&["--s3-profile", "here", "ls", "s3://profile"], &[]);
    assert!(code == 0 && words.contains("s3://profile/a"), "{words}");
    let (code, words) = run(&["ls", "s3://profile"], &[("AWS_PROFILE", "here")]);
    assert!(code == 0 && words.contains("s3://profile/a"), "{words}");
    let (code, words) = run(&["--s3-profile", "there", "ls", "s3://profile"], &[]);
    assert!(code == 1 && words.contains("403"), "{words}");
    let sync = ["--s3-profile", "here", "sync", "s3://profile", "s3://profile-there", "--destination-profile", "there"];
    let (code, words) = run(&sync, &[]);
    assert!(code == 0 && words.contains("1 copied"), "{words}");
    let (code, words) = run(&["--s3-profile", "nobody", "ls"], &[]);
    assert!(code == 2 && words.contains("there is no profile nobody"), "{words}");
}

#[test]
fn a_bucket_can_be_the_name_of_a_host() {
    let Some(mut scene) = Scene::new("hosts") else { return };
    let port = scene.rgw.url().rsplit_once(':').expect("a port").1.to_owned();
    let text = std::fs::read_to_string(&scene.config).expect("a file");
    scene.write("home/all/a b", "content");
    scene.write("home/all/large", &"0123456789abcdef".repeat(400_000));
    scene.write("hosts", "127.0.0.1 localhost virtual-host.localhost\n");
    let run = |scene: &Scene, arguments: &[&str]| {
        let mut command = with_hosts(&scene.path("hosts"), &scene.command("home", arguments))?;
        Some(told(&command.output().expect("it runs")))
    };
    scene.config = scene.path("s3cfg");
    let bucket_host = format!("host_bucket = %(bucket)s.localhost:{port}\n");
    let text = text.replace("127.0.0.1", "localhost");
    let lines = text.lines().filter(|line| !line.starts_with("host_bucket"));
    std::fs::write(&scene.config, lines.fold(bucket_host, |text, line| text + line + "\n")).expect("written");
    let Some((code, words)) = run(&scene, &["mb", "s3://virtual-host"]) else { return };
    assert_eq!(code, 0, "{words}");
    for arguments in [
        &["--part-size", "5M", "sync", "all/", "s3://virtual-host"][..],
        &["sync", "s3://virtual-host", "back/"],
        &["check", "s3://virtual-host"],
    ] {
        let (code, words) = run(&scene, arguments).expect("as before");
        assert_eq!(code, 0, "{arguments:?}: {words}");
    }
    assert_eq!(scene.files("home/back"), scene.files("home/all"));
    // Of another name nothing is known here: only who takes the bucket for a host asks for it.
    let (code, words) = run(&scene, &["ls", "s3://no-such-host"]).expect("as before");
    assert!(code == 1 && words.contains("does not answer"), "{words}");
    // A name that no host can have stands in the path, and so does every one unless it is said otherwise.
    let (code, words) = run(&scene, &["mb", "s3://db_wal_of_hosts"]).expect("as before");
    assert_eq!(code, 0, "{words}");
    let endpoint = format!("http://localhost:{port}");
    let said = ["--s3-endpoint", &endpoint, "ls", "s3://virtual-host"];
    assert_eq!(run(&scene, &said).expect("as before").0, 0);
    let (code, words) = run(&scene, &[&["--s3-virtual-host"], &said[..]].concat()).expect("as before");
    assert!(code == 0 && words.contains("a b"), "{words}");
    let strange = ["--s3-endpoint", &endpoint, "ls", "s3://no-such-host"];
    assert_eq!(run(&scene, &strange).expect("as before").0, 3, "no bucket");
    let (code, words) = run(&scene, &[&["--s3-virtual-host"], &strange[..]].concat()).expect("as before");
    assert!(code == 1 && words.contains("does not answer"), "{words}");
}
