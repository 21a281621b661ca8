//! The library alone exports and heals: `examples/export.rs` and `examples/heal.rs`, in ten lines of it each.

use std::process::Command;

use mongodb::bson::Document;

use crate::scene::{Scene, fill};

/// How many lines of an example are neither about arguments and printing nor the same in every program.
fn lines_of_the_library(example: &str) -> usize {
    let inside = example.split("    };\n").nth(1).expect("what follows the arguments");
    inside.lines().take_while(|line| !line.contains("println!")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_and_a_heal_in_ten_lines_each() {
    for example in [include_str!("../../examples/export.rs"), include_str!("../../examples/heal.rs")] {
        assert!((3..=10).contains(&lines_of_the_library(example)), "{example}");
    }
    let Some(scene) = Scene::start().await else { return };
    // Where cargo puts them whenever it tests the whole crate.
    let this = std::env::current_exe().expect("a program");
    let examples = this.ancestors().nth(2).expect("a folder").join("examples");
    if !examples.join("heal").exists() || !examples.join("export").exists() {
        assert!(std::env::var_os("REQUIRE_SERVICES").is_none(), "none in {}: cargo build --examples", examples.display());
        println!("skipped: there are no examples in {}", examples.display());
        return;
    }
    fill(&scene.shop()).await;
    let before = scene.hash().await;
    let folder = tempfile::tempdir().expect("a folder");
    let run = |example: &str, words: &[&str]| {
        let mut command = Command::new(examples.join(example));
        let output = command.args([&scene.server.host(), "shop"]).arg(folder.path()).args(words).output().expect("it runs");
        assert!(output.status.success(), "{example}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    let id = run("export", &[]);
    for name in ["users", "weather"] {
        scene.shop().collection::<Document>(name).drop().await.expect("dropped");
    }
    let healed = run("heal", &["users", "weather", "orders"]);
    assert!(
        healed.matches(&format!("backup: \"{}\"", id.trim())).count() == 2 && healed.ends_with("still sick: []\n"),
        "{healed}"
    );
    assert_eq!(scene.hash().await, before);
}
