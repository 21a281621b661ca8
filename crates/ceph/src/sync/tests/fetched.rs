//! How an object becomes a file: what it is fetched on top of, what it gets beside its content, what it takes the place of.

use std::fs::{File, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::{Duration, SystemTime};

use backup_core::Sha256;

use super::*;
use crate::s3::New;
use crate::s3::etag::{hex, md5};

/// An object that is fetched in two pieces, in bytes.
const SIZE: usize = 10 << 20;

/// The one file of what was fetched so far, with its size.
fn partial(scene: &Scene) -> (PathBuf, u64) {
    let partial = files(scene.root.path(), &scene.root.path().join(".ceph-backup/partial"));
    let path = scene.root.path().join(partial.keys().next().expect("a file"));
    let size = path.metadata().expect("a file").len();
    (path, size)
}

#[tokio::test]
async fn a_large_file_goes_in_parts_and_comes_back_whole() {
    let scene = Scene::new();
    let content = numbered(0, SIZE);
    scene.write("f/large", &content);
    let from = format!("{}f/", scene.folder());
    assert_eq!(scene.sync(&from, "s3://a").await.expect("synced").copied, 1);
    assert!(scene.fake.contents("a")["large"] == content);
    let to = format!("{}g/", scene.folder());
    let summary = scene.sync("s3://a", &to).await.expect("synced");
    assert_eq!((summary.copied, summary.unverified), (1, 0));
    assert!(std::fs::read_to_string(scene.root.path().join("g/large")).expect("a file") == content);
    // Without a record the ETag of the parts is found out, or s3cmd's MD5 is asked for.
    std::fs::remove_dir_all(scene.root.path().join("g/.ceph-backup")).expect("removed");
    assert_eq!(scene.sync("s3://a", &to).await.expect("synced").same, 1);
}

#[tokio::test]
async fn a_transfer_that_broke_off_is_taken_up_where_it_was() {
    let scene = Scene::new();
    let content = numbered(0, 2 * SIZE);
    scene.fake.set("a", "k", &content);
    scene.fake.lie(Some(Lie::Behind(9 << 20)));
    assert_eq!(scene.sync("s3://a", &scene.folder()).await.expect("it goes on").failed, 1);
    assert_eq!(partial(&scene).1, 8 << 20, "the pieces that came whole");
    scene.fake.lie(None);
    scene.fake.requests();
    assert_eq!(scene.sync("s3://a", &scene.folder()).await.expect("synced").copied, 1);
    assert_eq!(scene.fake.requests().iter().filter(|request| request.starts_with("get")).count(), 2, "two more pieces");
    assert!(scene.files()["k"] == content);
    assert!(!scene.root.path().join(".ceph-backup/partial").read_dir().is_ok_and(|mut left| left.next().is_some()));
}

#[tokio::test]
async fn a_file_comes_back_with_its_mode_and_its_time_unless_neither_is_to_be_kept() {
    let scene = Scene::new();
    scene.write("f/k", "k");
    let path = |folder: &str| scene.root.path().join(folder).join("k");
    // One that no new file has.
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let file = File::options().write(true).open(path("f")).expect("a file");
    file.set_permissions(Permissions::from_mode(0o707)).and_then(|()| file.set_modified(then)).expect("set");
    scene.sync(&format!("{}f/", scene.folder()), "s3://a").await.expect("synced");
    let found = |folder: &str| {
        let found = path(folder).metadata().expect("a file");
        (found.permissions().mode() & 0o777, found.modified().expect("a time"))
    };
    scene.sync("s3://a", &format!("{}g/", scene.folder())).await.expect("synced");
    assert_eq!(found("g"), (0o707, then));
    let options = Options { preserve: false, ..scene.options() };
    scene.only("s3://a", &format!("{}h/", scene.folder()), options).await.expect("synced");
    let (mode, modified) = found("h");
    assert!(mode != 0o707 && modified > then, "{mode:o} {modified:?}");
}

#[tokio::test]
async fn what_was_fetched_of_another_object_is_no_beginning() {
    let scene = Scene::new();
    let fake = scene.fake.clone();
    let put = move |nth: usize| {
        let content = numbered(nth * 10_000_000, SIZE);
        fake.set("a", "k", &content);
        // One that does not tell the content.
        fake.set_etag("a", "k", &format!("the {nth}"));
        content
    };
    let breaks_off = async || {
        scene.fake.lie(Some(Lie::Behind(9 << 20)));
        assert_eq!(scene.sync("s3://a", &scene.folder()).await.expect("it goes on").failed, 1);
        scene.fake.lie(None);
        assert_eq!(partial(&scene).1, 8 << 20);
    };
    put(1);
    breaks_off().await;
    let second = put(2);
    assert_eq!(scene.sync("s3://a", &scene.folder()).await.expect("synced").copied, 1);
    assert!(scene.files()["k"] == second, "a mixture");
    // Replaced between the listing and the answer.
    put(3);
    breaks_off().await;
    let fourth = numbered(40_000_000, SIZE);
    scene.fake.meanwhile("get k", move || drop(put(4)));
    assert_eq!(scene.sync("s3://a", &scene.folder()).await.expect("synced").copied, 1);
    assert!(scene.files()["k"] == fourth, "a mixture");
}

#[tokio::test]
async fn what_lies_where_an_object_is_fetched_to_is_no_end_of_it() {
    let scene = Scene::new();
    let large = numbered(0, SIZE);
    scene.fake.set("a", "large", &large);
    scene.fake.lie(Some(Lie::Behind(9 << 20)));
    assert_eq!(scene.sync("s3://a", &scene.folder()).await.expect("it goes on").failed, 1);
    scene.fake.lie(None);
    let (path, _) = partial(&scene);
    File::options().append(true).open(&path).and_then(|mut file| file.write_all(&vec![b'x'; SIZE])).expect("written");
    scene.fake.set("a", "small", "small");
    let etag = hex(md5(b"small"));
    std::fs::write(path.with_file_name(Sha256::of(format!("{etag} 5 small")).to_string()), "another").expect("written");
    assert_eq!(scene.sync("s3://a", &scene.folder()).await.expect("synced").copied, 2);
    assert!(scene.files()["large"] == large);
    assert_eq!(scene.files()["small"], "small");
}

#[tokio::test]
async fn a_file_has_the_owner_and_the_times_that_are_noted_or_those_of_its_object() {
    let scene = Scene::new();
    let noted = |attrs: &str| New { metadata: vec![("s3cmd-attrs".to_owned(), attrs.to_owned())], ..New::default() };
    scene.fake.set_new("a", "noted", noted("atime:1100000000/gid:2345/mtime:-5/uid:1234"));
    scene.fake.set_new("a", "nobody", noted("gid:4294967295/uid:4294967295"));
    assert_eq!(scene.sync("s3://a", &scene.folder()).await.expect("synced").copied, 2);
    let found = |name: &str| scene.root.path().join(name).metadata().expect(name);
    let (noted, nobody, folder) = (found("noted"), found("nobody"), found(""));
    assert_eq!((noted.mtime(), noted.atime()), (-5, 1_100_000_000));
    assert_eq!(nobody.mtime(), fake::MODIFIED);
    let own = (folder.uid(), folder.gid());
    assert_eq!((nobody.uid(), nobody.gid()), own);
    // Nobody but root can give files away.
    assert_eq!((noted.uid(), noted.gid()), if own.0 == 0 { (1234, 2345) } else { own });
}

#[tokio::test]
async fn what_takes_the_place_of_a_file_of_its_own_leaves_nothing_in_the_trash() {
    let scene = Scene::new();
    scene.fake.set("a", "k", "one");
    scene.sync("s3://a", &scene.folder()).await.expect("synced");
    scene.fake.set("a", "k", "two");
    scene.fake.set("a", "l", "ours");
    scene.write("l", "theirs");
    let options = Options { trash: false, ..scene.options() };
    assert_eq!(scene.only("s3://a", &scene.folder(), options).await.expect("synced").summary.copied, 2);
    scene.fake.set("a", "k", "three");
    assert_eq!(scene.sync("s3://a", &scene.folder()).await.expect("synced").copied, 1);
    assert_eq!(scene.files(), map(&[("k", "three"), ("l", "ours")]));
    assert_eq!(scene.trash(), map(&[]));
}

#[tokio::test]
async fn a_symbolic_link_that_is_made_meanwhile_stays() {
    let scene = Scene::new();
    scene.fake.set("a", "k", "k");
    let link = scene.root.path().join("k");
    let place = link.clone();
    scene.fake.meanwhile("get k", move || std::os::unix::fs::symlink("nowhere", place).expect("a link"));
    assert_eq!(scene.sync("s3://a", &scene.folder()).await.expect("it goes on").failed, 1);
    assert_eq!(link.read_link().expect("a link"), PathBuf::from("nowhere"));
}
