//! The exit codes of s3cmd, beside the real one.

use std::process::Command;

use crate::scene::{Scene, told};

#[test]
fn with_the_option_it_ends_as_s3cmd_does() {
    let Some(mut scene) = Scene::new("codes") else { return };
    scene.ok("home", &["mb", "s3://codes"]);
    let Some(s3cmd) = scene.rgw.s3cmd(&scene.keys) else { return };
    let s3cmd = s3cmd.get_program().to_owned();
    let compare = |scene: &Scene, arguments: &[&str], code: i32| {
        let (ours, words) = scene.run("home", &[&["--s3cmd-exit-codes"], arguments].concat());
        assert_eq!(ours, code, "{arguments:?}: {words}");
        let mut command = Command::new(&s3cmd);
        command.arg("--config").arg(&scene.config).args(arguments).current_dir(scene.path("home"));
        let (theirs, words) = told(&command.output().expect("it runs"));
        assert_eq!(theirs, code, "s3cmd {arguments:?}: {words}");
    };
    compare(&scene, &["sync", "s3://codes", "."], 0);
    compare(&scene, &["ls", "s3://none-of-that"], 12);
    compare(&scene, &["sync", "s3://codes/", "to"], 64);
    compare(&scene, &["frobnicate"], 64);
    let text = std::fs::read_to_string(&scene.config).expect("a file");
    scene.config = scene.path("s3cfg");
    std::fs::write(&scene.config, text.replace(&scene.keys.secret_key, "sesame")).expect("written");
    compare(&scene, &["ls", "s3://codes"], 77);
    // Nothing listens there.
    let address = scene.rgw.url().trim_start_matches("http://").to_owned();
    std::fs::write(&scene.config, text.replace(&address, "127.0.0.1:1") + "max_retries = 0\n").expect("written");
    compare(&scene, &["ls", "s3://codes"], 111);
    // Without the option they are ours.
    scene.fails(1, &["ls", "s3://codes"], "does not answer");
    let mut command = scene.command("home", &["frobnicate"]);
    let (code, _) = told(&command.env("BACKUP_S3CMD_EXIT_CODES", "yes").output().expect("it runs"));
    assert_eq!(code, 64);
    scene.fails(2, &["sync", "s3://codes/", "to"], "slash");
}
