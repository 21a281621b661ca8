//! Syncs of which a seed says everything: contents, direction, options, what changes meanwhile, faults. Nothing is deleted wrongly,
//! every file is whole, what is not as it should be is an error, and a sync without faults heals it.
//!
//! `SYNC_SEED=17 cargo test -p backup-ceph --test sync two_hundred_seeds` runs one seed, of the long run too. The long run has
//! 10,000, or those that `SYNC_SEEDS=20000..22000` names.

use std::io::Write;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use backup_ceph::sync::Server;
use backup_core::{Context, Error, Recorder};
use backup_tests::faults::{Asked, Fault};
use futures_util::{StreamExt, stream};

use crate::dice::Dice;
use crate::judge::{Judge, States};
use crate::scene::{Contents, Scene, between, files};

/// Names, and where each lies in a folder.
const NAMES: [(&str, &str); 9] = [
    ("../g", "%=%2E./g"),
    ("a", "a"),
    ("a-", "a-"),
    ("b/1", "b/1"),
    ("b/3/x", "b/3/x"),
    ("d//e", "d/%=/e"),
    ("f\n", "%=f%0A"),
    ("z", "z"),
    ("ü €", "ü €"),
];

/// How long an answer is waited for.
const WAIT: Duration = Duration::from_millis(400);
/// How many seeds run at once: they wait for the gateway mostly.
const AT_ONCE: usize = 8;

/// An end of a sync: a prefix of a bucket, or a folder.
enum Place {
    Prefix(String, String),
    Folder(String),
}

impl Place {
    fn text(&self, scene: &Scene) -> String {
        match self {
            Self::Prefix(bucket, prefix) => format!("s3://{bucket}/{prefix}"),
            Self::Folder(path) => format!("{}{path}", scene.folder()),
        }
    }

    async fn put(&self, scene: &Scene, (key, path): (&str, &str), content: &[u8]) {
        match self {
            Self::Prefix(bucket, prefix) => scene.put(bucket, &format!("{prefix}{key}"), content).await,
            // At once, as whoever has a file that is read puts another in its place.
            Self::Folder(folder) => {
                let new = format!("new-{folder}{path}");
                scene.write(&new, content);
                let path = scene.root.path().join(format!("{folder}{path}"));
                std::fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
                std::fs::rename(scene.root.path().join(new), path).expect("moved");
            }
        }
    }

    async fn remove(&self, scene: &Scene, (key, path): (&str, &str)) {
        match self {
            Self::Prefix(bucket, prefix) => scene.remove(bucket, &format!("{prefix}{key}")).await,
            Self::Folder(folder) => {
                let _ = std::fs::remove_file(scene.root.path().join(format!("{folder}{path}")));
            }
        }
    }

    /// Everything that is there, by keys, and what a sync keeps there for itself.
    async fn contents(&self, scene: &Scene) -> (Contents, Contents) {
        let all = match self {
            Self::Prefix(bucket, prefix) => scene.under(bucket, prefix).await,
            Self::Folder(folder) => files(&scene.root.path().join(folder)),
        };
        let (own, others): (Contents, Contents) = all.into_iter().partition(|(name, _)| name.starts_with(".ceph-backup/"));
        let key = |path: String| match self {
            Self::Prefix(..) => path,
            Self::Folder(_) => {
                let name = NAMES.iter().find(|(_, one)| *one == path);
                assert!(name.is_some(), "{path} is a file of nobody's");
                name.map_or(path, |(key, _)| (*key).to_owned())
            }
        };
        (others.into_iter().map(|(path, content)| (key(path), content)).collect(), own)
    }

    /// Removes everything, so that ten thousand seeds have room.
    async fn clear(&self, scene: &Scene) {
        match self {
            Self::Prefix(bucket, prefix) => {
                for key in scene.under(bucket, prefix).await.keys() {
                    scene.remove(bucket, &format!("{prefix}{key}")).await;
                }
            }
            Self::Folder(folder) => std::fs::remove_dir_all(scene.root.path().join(folder)).expect("removed"),
        }
    }
}

/// One seed, from the first object to the last question.
async fn run(scene: &Scene, seed: u64) {
    let mut dice = Dice::new(seed);
    let prefix = |what: &str| format!("{what}-{seed}/");
    let (from, to) = match dice.below(3) {
        0 => (Place::Prefix(scene.bucket.clone(), prefix("from")), Place::Folder(prefix("to"))),
        1 => (Place::Folder(prefix("from")), Place::Prefix(scene.other.clone(), prefix("to"))),
        _ => (Place::Prefix(scene.bucket.clone(), prefix("from")), Place::Prefix(scene.other.clone(), prefix("to"))),
    };
    for place in [&from, &to] {
        if let Place::Folder(folder) = place {
            std::fs::create_dir_all(scene.root.path().join(folder)).expect("made");
        }
    }
    let (mut source, mut before) = (Contents::new(), Contents::new());
    for name in NAMES {
        if dice.is(60) {
            let content = dice.content();
            from.put(scene, name, &content).await;
            source.insert(name.0.to_owned(), content);
        }
        if dice.is(15) {
            let content = dice.edit();
            to.put(scene, name, &content).await;
            before.insert(name.0.to_owned(), content);
        }
    }
    let (source_url, destination) = (from.text(scene), to.text(scene));
    let clean = async |what: &str| {
        let (cx, server) = (Context::default(), &scene.server);
        let done = between(&cx, (server, &source_url), (server, &destination), scene.options()).await;
        assert!(done.is_ok(), "{what}: {done:?}");
    };
    // What a sync wrote there and nobody has changed since.
    let mut written = Contents::new();
    if dice.is(85) {
        clean(&format!("seed {seed}, the first sync")).await;
        written.extend(
            source.iter().filter(|(name, content)| before.get(*name) != Some(content)).map(|(n, c)| (n.clone(), c.clone())),
        );
        before.extend(written.clone());
        for name in NAMES {
            match dice.below(10) {
                0 | 1 => {
                    let content = dice.content();
                    from.put(scene, name, &content).await;
                    source.insert(name.0.to_owned(), content);
                }
                2 | 3 => {
                    from.remove(scene, name).await;
                    source.remove(name.0);
                }
                4 => {
                    let content = dice.edit();
                    to.put(scene, name, &content).await;
                    written.remove(name.0);
                    before.insert(name.0.to_owned(), content);
                }
                _ => {}
            }
        }
    }
    assert!(to.contents(scene).await.0 == before, "seed {seed}: the first sync did something else");
    let mut states: States = source.into_iter().map(|(name, content)| (name, vec![Some(content)])).collect();

    let attempts = dice.one(&[1, 1, 1, 1, 1, 1, 1, 2]);
    let (proxy, server) = scene.proxy(attempts, WAIT);
    // Through which it copies by itself, or asks the gateway to.
    let other = if dice.is(50) { server.clone() } else { scene.again(&proxy) };
    let (mut is_lied_to, mut is_denied) = (false, false);
    let mut troubles = Vec::new();
    for _ in 0..=dice.below(3) {
        let trouble = dice.trouble();
        let lies = matches!(trouble.fault, Fault::End(_) | Fault::Flip(_)) && trouble.asked == Asked::Listing;
        let denies = matches!(trouble.fault, Fault::Answer(404, _));
        // Who says of an object that it is not there, asked in each of the ways there are, cannot be found out.
        if lies && is_denied || denies && is_lied_to {
            continue;
        }
        (is_lied_to, is_denied) = (is_lied_to | lies, is_denied | denies);
        proxy.spoil(trouble.asked, trouble.skip, trouble.times, trouble.fault.clone());
        troubles.push(trouble);
    }
    let (options, excluded) = dice.options(scene.options().state);
    let cut = dice.is(10).then(|| Duration::from_millis(dice.below(60)));
    let changes: Vec<_> = (0..if dice.is(25) { 1 + dice.below(3) } else { 0 })
        .map(|_| (Duration::from_millis(dice.below(25)), dice.one(&NAMES), dice.is(60).then(|| dice.content())))
        .collect();
    let limits = &options.limits;
    let what = format!(
        "seed {seed}, from {source_url} to {destination}, {attempts} attempts, {troubles:?}, {limits:?}, trash {}, excluded \
         {excluded:?}, content {}, cut {cut:?}, {} changes",
        options.trash,
        options.check_content,
        changes.len()
    );

    let story = Arc::new(Recorder::default());
    let cx = Context::new(story.clone());
    let faulty = sync(&cx, (&server, &source_url), (&other, &destination), options.clone(), cut);
    let meanwhile = async {
        for (wait, name, content) in changes {
            tokio::time::sleep(wait).await;
            match &content {
                Some(content) => from.put(scene, name, content).await,
                None => from.remove(scene, name).await,
            }
            states.entry(name.0.to_owned()).or_insert_with(|| vec![None]).push(content);
        }
    };
    let (done, ()) = tokio::join!(faulty, meanwhile);
    proxy.heal();
    let what = format!("{what}, which ended with {done:?} after {:#?}", story.story());
    let (after, own) = to.contents(scene).await;
    let judge = Judge { told: &what, options: &options, before: &before, written: &written, source: &states, is_lied_to };
    judge.nothing_is_lost(&after, &own);
    judge.what_is_called_well_is(&after, &done);
    if attempts == 1 {
        judge.no_listing_no_delete(&proxy.seen(), &after, &done);
    }

    clean(&format!("{what}, and without faults")).await;
    let (healed, own) = to.contents(scene).await;
    judge.it_has_healed(&healed, &own);
    let at_source = from.contents(scene).await.0;
    let left: Contents = states.iter().filter_map(|(name, states)| Some((name.clone(), states.last()?.clone()?))).collect();
    assert!(at_source == left, "{what}: the source is not what it was");
    from.clear(scene).await;
    to.clear(scene).await;
}

/// A sync, which is dropped after a while if it is cut, as when a program is asked to stop.
async fn sync(
    cx: &Context,
    from: (&Server, &str),
    to: (&Server, &str),
    options: backup_ceph::sync::Options,
    cut: Option<Duration>,
) -> backup_core::Result<backup_ceph::sync::Summary> {
    let sync = between(cx, from, to, options);
    let Some(cut) = cut else { return sync.await };
    let done = tokio::time::timeout(cut, sync).await.unwrap_or_else(|_| Err(Error::cancelled()));
    cx.tasks.close();
    cx.tasks.wait().await;
    // What was under way comes to its end on the threads and at the gateway; nothing tells when.
    tokio::time::sleep(Duration::from_millis(150)).await;
    done
}

async fn seeds(name: &str, seeds: Range<u64>) {
    let Some(scene) = Scene::new(name).await else { return };
    let scene = Arc::new(scene);
    let runs = stream::iter(seeds).map(|seed| {
        let scene = scene.clone();
        tokio::spawn(async move { run(&scene, seed).await })
    });
    let mut runs = runs.buffer_unordered(AT_ONCE);
    let (mut count, mut failed) = (0, Vec::new());
    while let Some(done) = runs.next().await {
        count += 1;
        if let Err(error) = done {
            writeln!(std::io::stderr(), "{error}").expect("standard error");
            failed.push(error);
        }
        if count % 500 == 0 {
            writeln!(std::io::stderr(), "{count} seeds, {} of them failed", failed.len()).expect("standard error");
        }
    }
    assert!(failed.is_empty(), "{} of {count} seeds failed, the first: {}", failed.len(), failed[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_seeds() {
    let one: Option<u64> = std::env::var("SYNC_SEED").ok().map(|seed| seed.parse().expect("a number"));
    seeds("seeds", one.map_or(0..200, |one| one..one + 1)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "an hour; ./test --soak has it"]
async fn ten_thousand_seeds() {
    let named = std::env::var("SYNC_SEEDS").unwrap_or_else(|_| "200..10200".to_owned());
    let (from, to) = named.split_once("..").expect("FROM..TO");
    let number = |text: &str| text.parse().expect("a number");
    seeds("soak", number(from)..number(to)).await;
}
