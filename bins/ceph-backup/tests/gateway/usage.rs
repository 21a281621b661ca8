//! What cannot be meant, and who may not.

use crate::scene::Scene;

#[test]
fn what_cannot_be_meant_and_who_may_not() {
    let Some(mut scene) = Scene::new("usage") else { return };
    scene.ok("home", &["mb", "s3://usage"]);
    scene.ok("home", &["mb", "s3://usage-too"]);
    for arguments in [["sync", "s3://usage/", "."], ["sync", "a", "b"], ["mb", "s3://usage/x", "-q"]] {
        let (code, words) = scene.run("home", &arguments);
        assert!(code == 2 && words.contains("hint: "), "{arguments:?}: {words}");
    }
    let (code, words) = scene.run("home", &["sync", "s3://none-of-that", "."]);
    assert_eq!(code, 3, "{words}");
    let text = std::fs::read_to_string(&scene.config).expect("a file");
    scene.config = scene.path("s3cfg");
    // What means nothing is told, once.
    std::fs::write(&scene.config, format!("{text}frobnicate = 1\nverbosity = WARNING\n")).expect("written");
    let words = scene.ok("home", &["sync", "s3://usage", "s3://usage-too"]);
    assert_eq!(words.matches("frobnicate").count(), 1, "{words}");
    assert!(!words.contains("verbosity"), "{words}");
    std::fs::write(&scene.config, text.replace(&scene.keys.secret_key, "wrong")).expect("written");
    let (code, words) = scene.run("home", &["sync", "s3://usage", "."]);
    assert!(code == 1 && !words.contains("wrong"), "{words}");
}

#[test]
fn a_key_with_control_characters_does_not_move_the_cursor() {
    let Some(scene) = Scene::new("odd") else { return };
    scene.ok("home", &["mb", "s3://odd"]);
    scene.write("home/all/a\n\u{1b}[2Jb", "content");
    let words = scene.ok("home", &["sync", "-v", "all/", "s3://odd"]);
    assert!(!words.contains('\u{1b}'), "{words:?}");
    let words = scene.ok("home", &["ls", "s3://odd"]);
    assert!(words.lines().count() == 1 && words.contains(r"s3://odd/a\n\u{1b}[2Jb"), "{words:?}");
    let json = scene.ok("home", &["ls", "--json", "s3://odd"]);
    let line: serde_json::Value = serde_json::from_str(&json).expect("a line of JSON");
    assert_eq!(line["key"], "a\n\u{1b}[2Jb");
    // A name that no file should have is another one there, and the same again in a bucket.
    scene.ok("back", &["sync", "s3://odd", "."]);
    assert_eq!(scene.files("back").into_iter().collect::<Vec<_>>(), [("%=a%0A%1B[2Jb".to_owned(), "content".to_owned())]);
    scene.ok("home", &["mb", "s3://odd-again"]);
    scene.ok("back", &["sync", "./", "s3://odd-again"]);
    assert_eq!(scene.ok("home", &["ls", "--json", "s3://odd-again"]).matches(r"a\n\u001b[2Jb").count(), 1);
}
