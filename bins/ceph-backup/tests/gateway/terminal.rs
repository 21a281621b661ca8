//! What is asked on a terminal, and what happens where there is none.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use backup_tests::S3Keys;

use crate::scene::Scene;

/// Runs the program on a terminal of its own and answers each question that ends so; how it ended, and all that was shown.
pub(crate) fn on_a_terminal(scene: &Scene, folder: &str, arguments: &[&str], answers: &[(&str, &str)]) -> (i32, String) {
    answered(&scene.command(folder, arguments), answers)
}

/// The same of any program.
pub(crate) fn answered(program: &Command, answers: &[(&str, &str)]) -> (i32, String) {
    let quoted = |word: std::borrow::Cow<'_, str>| format!("'{word}'");
    let words = std::iter::once(program.get_program()).chain(program.get_args()).map(|word| quoted(word.to_string_lossy()));
    let line = words.collect::<Vec<_>>().join(" ");
    let mut script = Command::new("script");
    script.args(["-qefc", &line, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => script.env(name, value),
            None => script.env_remove(name),
        };
    }
    script.env("SHELL", "/bin/sh").current_dir(program.get_current_dir().expect("a folder"));
    let mut child = script.spawn().expect("script runs");
    let (mut input, mut output) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
    let (mut text, mut byte, mut answers) = (Vec::new(), [0], answers.iter());
    let mut next = answers.next();
    while output.read(&mut byte).is_ok_and(|read| read > 0) {
        text.push(byte[0]);
        let Some((question, answer)) = next.filter(|(question, _)| text.ends_with(question.as_bytes())) else { continue };
        let _ = question;
        // Whatever is typed before the prompt would show.
        std::thread::sleep(Duration::from_millis(100));
        input.write_all(format!("{answer}\n").as_bytes()).expect("typed");
        next = answers.next();
    }
    drop(input);
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(next.is_none(), "{next:?} was not asked: {text}");
    (child.wait().expect("it ends").code().expect("by itself"), text)
}

#[test]
fn more_than_half_goes_only_if_a_person_says_yes() {
    let Some(scene) = Scene::new("asked") else { return };
    scene.ok("home", &["mb", "s3://asked"]);
    for name in ["a", "b", "c"] {
        scene.write(&format!("home/all/{name}"), name);
    }
    scene.ok("home", &["sync", "all/", "s3://asked"]);
    for name in ["a", "b"] {
        std::fs::remove_file(scene.path(&format!("home/all/{name}"))).expect("removed");
    }
    let sync = ["sync", "--delete-removed", "all/", "s3://asked"];
    let there = || scene.ok("home", &["ls", "s3://asked"]).lines().filter(|line| !line.contains("DIR")).count();
    scene.fails(1, &sync, "nothing was deleted");
    for no in ["", "y", "no"] {
        let (code, shown) = on_a_terminal(&scene, "home", &sync, &[("to go on: ", no)]);
        assert!(code == 1 && shown.contains("2 of the 3") && shown.contains("nothing was deleted"), "{no:?}: {shown}");
        assert_eq!(there(), 3);
    }
    // Nobody is asked who wants JSON, or a trial.
    let (code, shown) = on_a_terminal(&scene, "home", &[&sync[..], &["--json"]].concat(), &[]);
    assert!(code == 1 && !shown.contains("to go on"), "{shown}");
    let (code, shown) = on_a_terminal(&scene, "home", &[&sync[..], &["--dry-run"]].concat(), &[]);
    assert!(code == 0 && shown.contains("it would ask first") && shown.contains("2 would have been deleted"), "{shown}");
    assert_eq!(there(), 3);
    let (code, shown) = on_a_terminal(&scene, "home", &sync, &[("to go on: ", "yes")]);
    assert!(code == 0 && shown.contains("2 deleted"), "{shown}");
    assert_eq!(there(), 1);
}

#[test]
fn configure_asks_as_s3cmd_does_tries_it_and_writes_a_file_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let Some(mut scene) = Scene::new("configure") else { return };
    let host = scene.rgw.url().trim_start_matches("http://").to_owned();
    let S3Keys { access_key, secret_key } = scene.keys.clone();
    scene.config = scene.path("mine.s3cfg");
    scene.fails(2, &["configure"], "terminal");
    let asked = |secret: &str| {
        let all = [
            ("Access Key: ", access_key.as_str()),
            ("Secret Key: ", secret),
            ("Default Region [US]: ", ""),
            ("[s3.amazonaws.com]: ", host.as_str()),
            ("]: ", ""),
            ("HTTPS protocol [Yes]: ", "perhaps"),
            ("HTTPS protocol [Yes]: ", "No"),
            ("with these settings? [Y/n]: ", ""),
        ];
        all.map(|(question, answer)| (question.to_owned(), answer.to_owned())).to_vec()
    };
    let run = |answers: Vec<(String, String)>| {
        let answers: Vec<(&str, &str)> = answers.iter().map(|(one, two)| (one.as_str(), two.as_str())).collect();
        on_a_terminal(&scene, "home", &["configure"], &answers)
    };
    let and = |mut answers: Vec<(String, String)>, more: &[(&str, &str)]| {
        answers.extend(more.iter().map(|(one, two)| ((*one).to_owned(), (*two).to_owned())));
        answers
    };
    // Wrong keys are told before anything is written, and nothing is without a yes.
    let (code, shown) = run(and(asked("sesame"), &[("Ask again? [Y/n]: ", "n"), ("to go on: ", "no")]));
    assert!(code == 130 && shown.contains("secret key is not the one") && !shown.contains("sesame"), "{shown}");
    assert!(!scene.config.exists());
    let (code, shown) = run(and(asked(&secret_key), &[("to go on: ", "yes")]));
    assert!(code == 0 && shown.contains("took the keys") && !shown.contains(&secret_key), "{shown}");
    assert_eq!(scene.config.metadata().expect("a file").permissions().mode() & 0o777, 0o600);
    scene.ok("home", &["mb", "s3://configured"]);
    // s3cmd reads it.
    if let Some(mut s3cmd) = scene.rgw.s3cmd(&scene.keys) {
        let program = s3cmd.get_program().to_owned();
        s3cmd = Command::new(program);
        let listed = s3cmd.arg("--config").arg(&scene.config).arg("ls").output().expect("it runs");
        assert!(String::from_utf8_lossy(&listed.stdout).contains("s3://configured"), "{listed:?}");
    }
    // Enter keeps what is there, and it is not replaced without a yes.
    let text = std::fs::read_to_string(&scene.config).expect("text");
    let kept =
        [("]: ", ""), ("[as it was]: ", ""), ("]: ", "elsewhere"), ("]: ", ""), ("]: ", ""), ("]: ", ""), ("[Y/n]: ", "n")];
    for (answer, code) in [("no", 130), ("yes", 0)] {
        let (found, shown) = run(and(Vec::new(), &[&kept[..], &[("to go on: ", answer)]].concat()));
        assert!(found == code && shown.contains("would be replaced"), "{shown}");
        let now = std::fs::read_to_string(&scene.config).expect("text");
        assert_eq!(now == text, answer == "no", "{shown}");
    }
    let now = std::fs::read_to_string(&scene.config).expect("text");
    assert!(now.contains("bucket_location = elsewhere") && now.contains(&secret_key), "all else is kept");
}
