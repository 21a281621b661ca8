//! Archives as tsuru's `backup.bash` makes them heal too.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;

use backup_core::{Directory, Sink};
use backup_mongo::heal::{Done, examine, heal};
use backup_mongo::restore::Run;
use backup_mongo::tar_dump::Archives;
use mongodb::bson::{Document, doc};

use crate::scene::{ALL, Scene, healer, listed, these};

/// Packs what `files` names into an archive, as `tar -czf NAME dump` does.
fn pack(folder: &std::path::Path, name: &str, files: &[(String, Vec<u8>)]) {
    let dump = folder.join("work/dump");
    for (path, bytes) in files {
        let path = dump.join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::File::create(path).expect("a file").write_all(bytes).expect("written");
    }
    let archive = folder.join("bucket").join(name);
    std::fs::create_dir_all(folder.join("bucket")).expect("a folder");
    let tar = Command::new("tar")
        .arg("-czf")
        .arg(archive)
        .arg("-C")
        .arg(folder.join("work"))
        .arg("dump")
        .stdin(Stdio::null())
        .status();
    assert!(tar.expect("tar runs").success());
    std::fs::remove_dir_all(folder.join("work")).expect("removed");
}

/// The files of a dump as mongodump lays them out.
async fn files(scene: &Scene) -> Vec<(String, Vec<u8>)> {
    let records = backup_core::Repository::records(&scene.repo, &scene.job).await.expect("records");
    let stored = backup_core::Repository::open(&scene.repo, &scene.job, records.last().expect("one").id).await.expect("opened");
    let mut files = Vec::new();
    for part in &stored.manifest().parts {
        let bytes = backup_core::body::to_vec(stored.read(&part.name).await.expect("a body"), 1 << 30).await.expect("whole");
        files.push((part.name.to_string(), bytes));
    }
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn the_seeds_archives_heal_and_others_and_damaged_ones_do_not_count() {
    let Some(scene) = Scene::filled().await else { return };
    let (shop, before) = (scene.shop(), scene.hash().await);
    let folder = tempfile::tempdir().expect("a folder");
    let all = files(&scene).await;
    pack(folder.path(), "2026-11-18-10-00-00-mongodb-dump.tar.gz", &all);
    // Newer ones: of another database, cut, and something else.
    let other: Vec<_> = all.iter().map(|(path, bytes)| (path.replace("shop/", "blog/"), bytes.clone())).collect();
    pack(folder.path(), "2026-11-19-10-00-00-mongodb-dump.tar.gz", &other);
    pack(folder.path(), "2026-11-19-11-00-00-mongodb-dump.tar.gz", &other);
    pack(folder.path(), "2026-11-19-12-00-00-mongodb-dump.tar.gz", &other);
    let whole = std::fs::read(folder.path().join("bucket/2026-11-18-10-00-00-mongodb-dump.tar.gz")).expect("read");
    std::fs::write(folder.path().join("bucket/2026-11-20-10-00-00-mongodb-dump.tar.gz"), &whole[..whole.len() / 2])
        .expect("written");
    std::fs::write(folder.path().join("bucket/README"), "no archive").expect("written");
    for name in ALL {
        shop.collection::<Document>(name).drop().await.expect("dropped");
    }
    let sink: Arc<dyn Sink> = Arc::new(Directory::new(folder.path().join("bucket")));
    let run = Run::new();
    let client = scene.client(&run);
    let healer = healer(&client, &run, listed());
    let mut archives = Archives::new(sink);
    let diagnosis = examine(&scene.cx, &healer, &mut archives).await.expect("examined");
    let healed = heal(&scene.cx, &healer, diagnosis).await.expect("healed");
    assert_eq!((healed.still_sick(), healed.backups), (Vec::new(), 1));
    let from = |done: &Done| matches!(done, Done::Restored { backup, .. } if backup.starts_with("2026-11-18"));
    assert!(healed.done.len() == 8 && healed.done.values().all(from), "{:?}", healed.done);
    assert_eq!(scene.hash().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_of_old_mongodump_without_metadata() {
    let Some(scene) = Scene::start().await else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let bytes: Vec<u8> = (0..3).flat_map(|i| doc! { "_id": i }.to_vec().expect("bytes")).collect();
    pack(folder.path(), "2013-01-18-10-00-00-mongodb-dump.tar.gz", &[("shop/users.bson".into(), bytes)]);
    let mut archives = Archives::new(Arc::new(Directory::new(folder.path().join("bucket"))));
    let run = Run::new();
    let client = scene.client(&run);
    let healer = healer(&client, &run, these(&["users"]));
    let diagnosis = examine(&scene.cx, &healer, &mut archives).await.expect("examined");
    let healed = heal(&scene.cx, &healer, diagnosis).await.expect("healed");
    assert!(matches!(healed.done["users"], Done::Restored { documents: 3, .. }), "{:?}", healed.done);
}
