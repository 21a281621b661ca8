//! What is wrong is found before anything stops, and told in a line.

use std::fs;

use crate::scene::Scene;

#[test]
fn what_is_wrong_is_told_before_anything_stops() {
    let Some(scene) = Scene::start() else { return };
    let processes = || scene.director.sh("cat /var/vcap/sys/run/*/*.pid");
    let before = processes();
    let conf = fs::read_to_string(scene.at("director.conf")).expect("read");
    let with = |from: &str, to: &str| fs::write(scene.at("director.conf"), conf.replace(from, to)).expect("written");
    let fails = |code: i32, words: &str| {
        let said = scene.run(&["backup"], code);
        assert!(said.err.contains(words), "{words:?} is not in {}", said.err);
        assert!(said.err.contains("\nhint: "), "{}", said.err);
        assert_eq!(said.out, "");
    };

    // Another host key than the one that is known, and none.
    let known = fs::read_to_string(scene.director.known_hosts()).expect("read");
    let other = scene.at("other");
    let made = std::process::Command::new(scene.director.client().with_file_name("ssh-keygen"))
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(&other)
        .status();
    assert!(made.expect("ssh-keygen runs").success());
    let key = fs::read_to_string(other.with_extension("pub")).expect("read");
    let name = known.split(' ').next().expect("a name");
    fs::write(scene.at("wrong_hosts"), format!("{name} {key}")).expect("written");
    fs::write(scene.at("no_hosts"), "").expect("written");
    let hosts = scene.director.known_hosts().display().to_string();
    with(&hosts, &scene.at("wrong_hosts").display().to_string());
    fails(1, "cannot be reached: its host key is another than the one that is known");
    with(&hosts, &scene.at("no_hosts").display().to_string());
    fails(1, "cannot be reached: its host key is not known");

    // A configuration that cannot be meant.
    for (from, to, words) in [
        ("MODE=", "rm -rf /; MODE=", "line 6"),
        (".tar.gz", ".tar.xz", "does not say how an archive is compressed"),
        ("CACHE=", "CASH=", "does not say CACHE"),
        ("ConnectTimeout=30", "StrictHostKeyChecking=no", "host keys are always checked"),
        ("recover.txt", "cache/vcap", "two files would be called vcap"),
    ] {
        with(from, to);
        if words.contains("two files") {
            fs::create_dir_all(scene.at("cache/vcap")).expect("made");
        }
        fails(2, words);
    }
    with("DBS=\"_all_\"", "DBS=\"nosuch\"");
    fails(3, "there is no database nosuch");
    with("/out/", "/nowhere/");
    fails(1, "/nowhere");

    fs::write(scene.at("director.conf"), &conf).expect("as it was");
    scene
        .director
        .sh("monit stop postgres; until monit summary | grep ' postgres ' | grep -q 'Not monitored  '; do sleep 0.1; done");
    fails(1, "postgres does not run");
    scene.director.sh("monit start postgres");
    scene.wait_until_up(&["agent", "director", "nats", "postgres"]);
    let before = if processes() == before { before } else { processes() };

    scene.director.sh("sed -i '/^vcap/d' /etc/sudoers");
    fails(1, "sudo does not let find run");
    assert_eq!(processes(), before, "nothing was stopped");
    assert_eq!(scene.out(), [""; 0], "no archive is there");
    assert_eq!(scene.traces(), "");
}
