//! Syncs against a gateway in memory that lies: nothing is deleted wrongly, and no file is there that is not whole.

mod copied;
mod fetched;
mod listed;
mod meanwhile;
mod model;
mod removed;
mod sent;
mod through;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use backup_core::{Context, Recorder, Result};

use super::fake::{self, Fake, Lie};
use super::*;

/// A gateway with the buckets `a` and `b`, a folder, and another for the state.
struct Scene {
    fake: Arc<Fake>,
    root: tempfile::TempDir,
    state: tempfile::TempDir,
    cx: Context,
    story: Arc<Recorder>,
}

type Files = BTreeMap<String, String>;

impl Scene {
    fn new() -> Self {
        let fake = Arc::new(Fake::default());
        fake.set("a", "x", "");
        fake.set("b", "x", "");
        fake.remove("a", "x");
        fake.remove("b", "x");
        let folder = || tempfile::tempdir().expect("a folder");
        let story = Arc::new(Recorder::default());
        Self { fake, root: folder(), state: folder(), cx: Context::new(story.clone()), story }
    }

    fn options(&self) -> Options {
        let limits = Limits { delete: true, most: None, share: 100 };
        Options { limits, jobs: 3, part_size: 5 << 20, ..Options::new(self.state.path()) }
    }

    fn folder(&self) -> String {
        format!("{}/", self.root.path().display())
    }

    async fn only(&self, from: &str, to: &str, options: Options) -> Result<Synced> {
        let server = |place: &str| {
            let server = Server { gateway: self.fake.clone(), endpoint: "http://fake".to_owned() };
            place.starts_with("s3://").then_some(server)
        };
        sync(&self.cx, &Route::new(from, to)?, server(from), server(to), options).await
    }

    /// Copies, and deletes what may be deleted without a question.
    async fn sync(&self, from: &str, to: &str) -> Result<Summary> {
        let synced = self.only(from, to, self.options()).await?;
        if synced.verdict == Verdict::Delete { synced.delete().await } else { Ok(synced.summary) }
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.root.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        std::fs::write(path, content).expect("a file");
    }

    /// All files but those of a sync itself.
    fn files(&self) -> Files {
        let mut all = files(self.root.path(), self.root.path());
        all.retain(|path, _| !path.starts_with(".ceph-backup/"));
        all
    }

    fn trash(&self) -> Files {
        let trash = self.root.path().join(".ceph-backup/trash");
        if trash.exists() { files(&trash, &trash) } else { Files::new() }
    }
}

fn files(root: &Path, folder: &Path) -> Files {
    let mut all = Files::new();
    for entry in folder.read_dir().expect("a folder") {
        let path: PathBuf = entry.expect("an entry").path();
        if path.is_dir() {
            all.extend(files(root, &path));
        } else {
            let name = path.strip_prefix(root).expect("inside").to_string_lossy().into_owned();
            all.insert(name, String::from_utf8_lossy(&std::fs::read(path).expect("a file")).into_owned());
        }
    }
    all
}

fn map(pairs: &[(&str, &str)]) -> Files {
    pairs.iter().map(|(name, content)| ((*name).to_owned(), (*content).to_owned())).collect()
}

/// Text of which no two runs of 64 bytes are alike.
fn numbered(from: usize, size: usize) -> String {
    let mut text: String = (from..=from + size / 64).map(|nth| format!("{nth:08}").repeat(8)).collect();
    text.truncate(size);
    text
}
