//! Archives are whole or not there, are what tar takes apart, and are read back.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use backup_bosh::archive::{
    Contents, Draft, Dump, Listed, Manifest, Verified, added, compression, list, manifest_of, sweep, verify,
};
use backup_core::{Compression, Context, Kind, Result};
use tempfile::TempDir;

/// A cache as a backup leaves it, and a file from elsewhere.
struct Scene {
    folder: TempDir,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        for made in ["cache/vcap/store", "cache/dbs", "out", "doc"] {
            fs::create_dir_all(at(made)).expect("made");
        }
        fs::write(at("cache/_date.control"), "20261122101500\n20261122101600\n").expect("written");
        fs::write(at("cache/dbs/postgres_1.dump.all"), "CREATE DATABASE bosh;\n").expect("written");
        fs::write(at("cache/vcap/store/blob with a\nnewline"), vec![7; 300_000]).expect("written");
        fs::hard_link(at("cache/vcap/store/blob with a\nnewline"), at("cache/vcap/store/again")).expect("linked");
        let holes = fs::File::create(at("cache/vcap/store/holes")).expect("made");
        holes.set_len(10 << 20).expect("holes");
        fs::write(at("cache/.vcap.record"), "not for the archive").expect("written");
        fs::write(at("doc/recover.txt"), "how").expect("written");
        Self { folder }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn contents(&self) -> Contents {
        let names = ["_date.control", "dbs", "vcap"].map(Into::into).into();
        Contents::new(self.at("cache"), names, vec![self.at("doc/recover.txt")]).expect("no name twice")
    }

    fn manifest() -> Manifest {
        let dump = Dump { path: "dbs/postgres_1.dump.all".into(), size: 22, sha256: backup_core::Sha256::of("") };
        Manifest { dumps: vec![dump], ..Manifest::new("a test", "vcap@director", jiff::Timestamp::UNIX_EPOCH) }
    }

    async fn archive(&self, name: &str) -> PathBuf {
        let path = self.at("out").join(name);
        let part = "archive".parse().expect("a name");
        let draft = Draft::write(&Context::default(), &self.contents(), &path, &part).await.expect("written");
        assert!(!path.exists() && !manifest_of(&path).exists(), "nobody sees it yet");
        let manifest = draft.commit(Self::manifest()).await.expect("committed");
        assert_eq!(Manifest::read(&path).expect("read"), Some(manifest.clone()));
        assert_eq!(manifest.size, path.metadata().expect("there").len());
        path
    }

    fn out(&self) -> Vec<String> {
        let names = self.at("out").read_dir().expect("a folder").map(|entry| entry.expect("an entry").file_name());
        let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

fn same(one: &Path, other: &Path) {
    let diff = Command::new("diff").args(["--recursive", "--no-dereference"]).args([one, other]).output().expect("diff runs");
    assert!(diff.status.success(), "{}", String::from_utf8_lossy(&diff.stdout));
}

async fn verified(path: &Path) -> Result<Verified> {
    verify(&Context::default(), path).await
}

#[tokio::test]
async fn an_archive_is_what_tar_takes_apart_and_what_verify_finds_whole() {
    let scene = Scene::new();
    for (name, how) in [("a.tgz", "--gzip"), ("a.tar.gz", "--gzip"), ("a.tar.zst", "--zstd"), ("a.tar", "--verbose")] {
        let path = scene.archive(name).await;
        let to = scene.at(&format!("back-{name}"));
        fs::create_dir(&to).expect("made");
        let mut tar = Command::new("tar");
        let tar = tar_output(tar.args(["--extract", how, "--file"]).arg(&path).arg("--directory").arg(&to));
        assert!(tar.0, "{name}: {}", tar.1);
        for part in ["_date.control", "dbs", "vcap"] {
            same(&to.join(part), &scene.at("cache").join(part));
        }
        assert_eq!(fs::read_to_string(to.join("recover.txt")).expect("read"), "how");
        assert_eq!(to.read_dir().expect("a folder").count(), 4, "nothing else is in it");
        let found = verified(&path).await.expect("whole");
        assert_eq!((found.members, found.bytes), (9, 30 + 22 + 300_000 + (10 << 20) + 3), "{name}");
        assert!(found.manifest.is_some());
    }
    assert_eq!(scene.out().len(), 8, "archives and manifests: {:?}", scene.out());
    let listed = list(&scene.at("out")).expect("listed");
    assert_eq!(listed.len(), 4);
    assert!(listed.iter().all(|listed| matches!(&listed.manifest, Ok(Some(manifest)) if manifest.director == "vcap@director")));
}

fn tar_output(tar: &mut Command) -> (bool, String) {
    let output = tar.output().expect("tar runs");
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test]
async fn an_archive_that_is_cut_or_changed_anywhere_is_damaged() {
    let scene = Scene::new();
    for name in ["a.tgz", "a.tar.zst", "a.tar"] {
        let path = scene.archive(name).await;
        let whole = fs::read(&path).expect("read");
        let places = (0..=16).map(|sixteenth| (whole.len() - 1) * sixteenth / 16);
        for place in places {
            for with_manifest in [true, false] {
                let kept = scene.at("kept");
                if !with_manifest {
                    fs::rename(manifest_of(&path), &kept).expect("moved");
                }
                fs::write(&path, &whole[..place]).expect("cut");
                // What fills the last block of a tar is nobody's: only a digest tells of it.
                if with_manifest || name != "a.tar" || place < whole.len() / 2 {
                    let error = verified(&path).await.expect_err("cut");
                    assert_eq!(error.kind(), Kind::Damaged, "{name} cut at {place}: {}", error.chain());
                }
                let mut changed = whole.clone();
                changed[place] ^= 0x10;
                fs::write(&path, &changed).expect("changed");
                // Without a digest the content of a tar that is not compressed may be anything.
                if with_manifest {
                    let error = verified(&path).await.expect_err("changed");
                    assert_eq!(error.kind(), Kind::Damaged, "{name} changed at {place}: {}", error.chain());
                } else {
                    fs::rename(&kept, manifest_of(&path)).expect("moved back");
                }
            }
        }
        fs::write(&path, &whole).expect("as it was");
        verified(&path).await.expect("whole");
    }
}

#[tokio::test]
async fn an_archive_of_the_seed_is_read_without_a_manifest() {
    let scene = Scene::new();
    let path = scene.at("out/bosh_test_20150423.tgz");
    let tar = "cd \"$1\" && tar -acv --acls --atime-preserve -f \"$2\" -C \"$1\" *";
    let made = tar_output(Command::new("sh").args(["-c", tar, "sh"]).arg(scene.at("cache")).arg(&path));
    assert!(made.0, "{}", made.1);
    let found = verified(&path).await.expect("whole");
    assert_eq!((found.members, found.manifest), (8, None));
    let listed = list(&scene.at("out")).expect("listed");
    assert!(matches!(listed.as_slice(), [Listed { manifest: Ok(None), .. }]));
    assert_eq!(verified(&scene.at("out/none.tgz")).await.expect_err("none").kind(), Kind::NotFound);
}

#[tokio::test]
async fn a_dump_that_the_manifest_tells_of_must_be_in_it() {
    let scene = Scene::new();
    let path = scene.archive("a.tgz").await;
    let text = fs::read_to_string(manifest_of(&path)).expect("read");
    fs::write(manifest_of(&path), text.replace("dump.all", "dump.bosh")).expect("written");
    let error = verified(&path).await.expect_err("it is not there");
    assert!(error.chain().contains("has no dbs/postgres_1.dump.bosh of the size"), "{}", error.chain());
    for (bad, kind) in [("{", Kind::Damaged), ("{\"format\": 2}", Kind::Damaged), ("{\"format\": 1}", Kind::Damaged)] {
        fs::write(manifest_of(&path), bad).expect("written");
        assert_eq!(verified(&path).await.expect_err(bad).kind(), kind);
        assert!(list(&scene.at("out")).expect("listed")[0].manifest.is_err());
    }
}

#[tokio::test]
async fn an_archive_that_breaks_off_is_nowhere_and_what_a_kill_left_goes() {
    let scene = Scene::new();
    let (part, path) = ("archive".parse().expect("a name"), scene.at("out/a.tgz"));
    let cx = Context::default();
    // Something that tar cannot read to its end.
    let missing = Contents::new(scene.at("cache"), vec!["vcap".into(), "nothing".into()], Vec::new()).expect("two names");
    let error = Draft::write(&cx, &missing, &path, &part).await.expect_err("tar fails").chain();
    assert!(error.contains("nothing: Cannot stat: No such file or directory"), "{error}");
    assert_eq!(scene.out(), [""; 0]);
    let cancelled = Context::default();
    cancelled.cancel.cancel();
    assert_eq!(Draft::write(&cancelled, &scene.contents(), &path, &part).await.expect_err("cut").kind(), Kind::Cancelled);
    assert_eq!(scene.out(), [""; 0]);

    // One is written at this moment, another belonged to a process that was killed.
    let draft = Draft::write(&cx, &scene.contents(), &path, &part).await.expect("written");
    fs::write(scene.at("out/.backup-bosh-partial-killed"), "half").expect("written");
    assert!(list(&scene.at("out")).expect("listed").is_empty());
    sweep(&scene.at("out")).expect("swept");
    assert_eq!(scene.out().len(), 1);
    draft.commit(Scene::manifest()).await.expect("committed");
    assert_eq!(scene.out(), ["a.tgz", "a.tgz.manifest.json"]);
    verified(&path).await.expect("whole");
}

#[test]
fn names_say_how_an_archive_is_compressed() {
    for (name, how) in [
        ("a.tgz", Some(Compression::Gzip(6))),
        ("b_1.tar.gz", Some(Compression::Gzip(6))),
        ("a.tar.zst", Some(Compression::Zstd(1))),
        ("a.tzst", Some(Compression::Zstd(1))),
        ("a.tar", Some(Compression::None)),
        ("a.tar.xz", None),
        ("tgz", None),
    ] {
        assert_eq!(compression(Path::new(name)).ok(), how, "{name}");
    }
}

#[test]
fn files_that_are_added_are_named_or_fit_a_pattern() {
    let scene = Scene::new();
    for name in ["b.txt", "a.txt", ".hidden.txt", "c.md"] {
        fs::write(scene.at("doc").join(name), "").expect("written");
    }
    let find = |patterns: &[&str]| {
        let patterns: Vec<String> = patterns.iter().map(|pattern| scene.at(pattern).display().to_string()).collect();
        let (found, missing) = added(&patterns).expect("patterns");
        let names = |path: &PathBuf| path.file_name().expect("a name").to_string_lossy().into_owned();
        (found.iter().map(names).collect::<Vec<_>>(), missing.len())
    };
    assert_eq!(find(&["doc/*.txt"]), (vec!["a.txt".to_owned(), "b.txt".into(), "recover.txt".into()], 0));
    assert_eq!(find(&["doc/.*"]).0, [".hidden.txt"]);
    assert_eq!(find(&["doc/c.md", "doc/none", "doc/*.none", "none/*"]), (vec!["c.md".to_owned()], 3));
    assert!(added(&[scene.at("d*c/x").display().to_string()]).is_err(), "a folder is no pattern");
    let twice = Contents::new(scene.at("cache"), vec!["vcap".into()], vec!["/srv/vcap".into()]);
    assert_eq!(twice.expect_err("twice").kind(), Kind::Usage);
}
