//! Of eight collections any may be lost, in any company.

use backup_mongo::heal::Done;
use backup_tests::MongodSetup;
use mongodb::bson::Document;

use crate::scene::{ALL, Scene, described, fill, listed};

/// None, each alone, all, and some that the seed names.
#[tokio::test(flavor = "multi_thread")]
async fn some_subsets_of_eight_lost_collections_heal_exactly() {
    let seeded = (0..14).scan(7_u32, |state, _| {
        *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Some(*state >> 24)
    });
    let some: Vec<u32> = [0, 255].into_iter().chain((0..8).map(|bit| 1 << bit)).chain(seeded).collect();
    heal_each(&some).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes: ./test --soak has it"]
async fn all_256_subsets_of_eight_lost_collections_heal_exactly() {
    heal_each(&(0..=255).collect::<Vec<_>>()).await;
}

/// Loses the collections of each subset, heals, and compares all with what it was before.
async fn heal_each(subsets: &[u32]) {
    // A thousand collections are put on disk before they get their names: the server shall not wait long each time.
    let arguments = ["--journalCommitInterval", "1"].map(str::to_owned).into();
    let Some(scene) = Scene::start_with(&MongodSetup { arguments, ..MongodSetup::default() }).await else { return };
    fill(&scene.shop()).await;
    scene.take().await;
    let shop = scene.shop();
    let before = scene.hash().await;
    let mut descriptions = Vec::new();
    for name in ALL {
        descriptions.push(described(&shop, name).await);
    }
    for subset in subsets {
        let lost: Vec<&str> = (0..).zip(ALL).filter(|(bit, _)| subset >> bit & 1 == 1).map(|(_, name)| name).collect();
        for name in &lost {
            shop.collection::<Document>(name).drop().await.expect("dropped");
        }
        let healed = scene.heal(listed()).await.unwrap_or_else(|error| panic!("{lost:?}: {error:?}"));
        assert_eq!(healed.still_sick(), Vec::<&str>::new());
        let mut done: Vec<&str> = healed.done.keys().map(String::as_str).collect();
        done.sort_by_key(|name| ALL.iter().position(|one| one == name));
        assert_eq!(done, lost);
        assert!(healed.done.values().all(|done| matches!(done, Done::Restored { .. })), "{:?}", healed.done);
        assert_eq!(scene.hash().await, before, "{lost:?}");
        if subset.count_ones() == 1 || *subset == 255 {
            for (name, description) in ALL.iter().zip(&descriptions) {
                assert_eq!(&described(&shop, name).await, description, "{name}");
            }
        }
    }
}
