//! What is lost comes back, and each way it can end has the exit code that the manual says.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use backup_tests::{Mongod, Rgw, S3Keys, mongo_corpus};
use bson::{Bson, Document, doc};
use rustix::process::{Pid, Signal, kill_process};

use crate::{mongo_healer, run, told};

/// The digest of each collection of a database, as the server takes it.
pub(crate) async fn hash(server: &Mongod, database: &str) -> Vec<(String, Bson)> {
    let hash = server.client().database(database).run_command(doc! { "dbHash": 1 }).await.expect("a hash");
    let mut hashes: Vec<_> = hash.get_document("collections").expect("collections").clone().into_iter().collect();
    hashes.sort_by(|one, other| one.0.cmp(&other.0));
    hashes
}

/// How many documents the server has inserted, and how many commands that change a database it was given.
async fn writes(server: &Mongod) -> Vec<i64> {
    let status = server.client().database("admin").run_command(doc! { "serverStatus": 1 }).await.expect("a status");
    let number = |value: Option<&Bson>| value.and_then(|n| n.as_i64().or(n.as_i32().map(i64::from))).expect("a counter");
    let counters = status.get_document("opcounters").expect("counters");
    let commands = status.get_document("metrics").and_then(|metrics| metrics.get_document("commands")).expect("commands");
    let total = |name: &str| number(commands.get_document(name).expect("a command").get("total"));
    let inserts = ["insert", "update", "delete"].map(|name| number(counters.get(name)));
    inserts.into_iter().chain(["create", "createIndexes", "renameCollection", "drop", "collMod"].map(total)).collect()
}

async fn lose(server: &Mongod, names: &[&str]) {
    for name in names {
        server.client().database("corpus").collection::<Document>(name).drop().await.expect("dropped");
    }
}

/// `mongo-healer heal SINK HOST corpus …`.
fn heal(state: &Path, sink: &str, server: &Mongod, words: &[&str]) -> (i32, String, String) {
    let host = server.host();
    let arguments: Vec<&str> = ["heal", sink, &host, "corpus"].iter().chain(words).copied().collect();
    run(state, &arguments)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_dropped_comes_back_and_a_second_run_writes_nothing() {
    let Some(server) = Mongod::start().await else { return };
    mongo_corpus::load(&server.client()).await;
    let scratch = tempfile::tempdir().expect("a folder");
    let (state, sink) = (scratch.path().join("state"), scratch.path().join("sink").to_string_lossy().into_owned());
    let (code, out, err) = run(&state, &["backup", &sink, &server.host(), "corpus"]);
    assert_eq!(code, 0, "{err}");
    let id = out.trim().to_owned();
    let before = hash(&server, "corpus").await;
    let all =
        ["types", "big", "capped", "clustered", "view", "weather", "validated", "indexed", "a/b\\c", "new\nline", "empty"];
    lose(&server, &all).await;
    let lost = hash(&server, "corpus").await;

    // Without a list it only tells, and a dry run does no more.
    let (code, out, err) = heal(&state, &sink, &server, &[]);
    assert!(code == 0 && out.contains("types: gone\n") && out.contains("large: healthy\n"), "{code} {out}{err}");
    let (code, out, err) = heal(&state, &sink, &server, &["--dry-run", "types", "large"]);
    assert!(code == 7 && out == "large: healthy\ntypes: gone; would be restored\n", "{code} {out}{err}");
    assert!(err.contains("--dry-run"), "{err}");
    assert_eq!(hash(&server, "corpus").await, lost);

    let (code, out, err) = heal(&state, &sink, &server, &all);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains(&format!("big: gone; restored 5000 documents out of {id}\n")), "{out}");
    assert!(out.contains("new\\nline: gone;") && out.contains(&format!("empty: gone; restored out of {id}, where")), "{out}");
    assert_eq!(hash(&server, "corpus").await, before);
    let writes_before = writes(&server).await;
    let (code, out, err) = heal(&state, &sink, &server, &all);
    assert!(code == 0 && out.lines().count() == all.len() && out.lines().all(|line| line.ends_with(": healthy")), "{out}{err}");
    assert_eq!(writes(&server).await, writes_before);

    lose(&server, &["types", "big"]).await;
    let (code, out, err) = heal(&state, &sink, &server, &["--all"]);
    assert!(code == 0 && out.matches("gone; restored").count() == 2, "{code} {out}{err}");
    assert_eq!(hash(&server, "corpus").await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_end_has_its_code_and_touches_nothing() {
    let Some(server) = Mongod::start().await else { return };
    mongo_corpus::load(&server.client()).await;
    let scratch = tempfile::tempdir().expect("a folder");
    let (state, sink) = (scratch.path().join("state"), scratch.path().join("sink").to_string_lossy().into_owned());
    std::fs::create_dir_all(&sink).expect("a folder");
    // All is there: no backup is needed to know that.
    let (code, out, err) = heal(&state, &sink, &server, &["types"]);
    assert!(code == 0 && out == "types: healthy\n", "{code} {out}{err}");
    let (code, out, err) = heal(&state, &sink, &server, &["types", "gone"]);
    assert!(code == 3 && out.is_empty() && err.contains("no backup of the database corpus"), "{code} {out}{err}");
    let (code, _, err) = run(&state, &["backup", &sink, &server.host(), "corpus"]);
    assert_eq!(code, 0, "{err}");
    let before = hash(&server, "corpus").await;
    lose(&server, &["types"]).await;
    let (code, out, err) = heal(&state, &sink, &server, &["types", "never"]);
    assert!(
        code == 7 && out.contains("never: gone; no backup has it\n") && out.contains("types: gone; restored"),
        "{out}{err}"
    );
    assert!(err.contains("still sick: never"), "{err}");
    assert_eq!(hash(&server, "corpus").await, before);

    server.crash();
    let started = std::time::Instant::now();
    let mut away = mongo_healer(&state);
    away.args([
        "heal",
        &sink,
        &format!("mongodb://{}/?directConnection=true&serverSelectionTimeoutMS=500", server.host()),
        "corpus",
    ]);
    let (code, out, err) = told(&away.arg("types").output().expect("it runs"));
    assert!(code == 8 && out.is_empty() && err.contains("no server answers"), "{code} {out}{err}");
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    server.start_again();
    assert_eq!(hash(&server, "corpus").await, before);
    let (code, _, err) = heal(&state, &sink, &server, &["--all", "types"]);
    assert!(code == 2 && err.contains("--all"), "{code} {err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_emptied_shrunk_or_without_indexes_is_told_and_heals_when_asked() {
    let Some(server) = Mongod::start().await else { return };
    mongo_corpus::load(&server.client()).await;
    let scratch = tempfile::tempdir().expect("a folder");
    let (state, sink) = (scratch.path().join("state"), scratch.path().join("sink").to_string_lossy().into_owned());
    assert_eq!(run(&state, &["backup", &sink, &server.host(), "corpus"]).0, 0);
    let before = hash(&server, "corpus").await;
    let corpus = server.client().database("corpus");
    corpus.collection::<Document>("types").delete_many(doc! {}).await.expect("emptied");
    corpus.collection::<Document>("big").delete_many(doc! { "n": { "$gte": 3000 } }).await.expect("shrunk");
    corpus.collection::<Document>("indexed").drop_index("ttl").await.expect("dropped");
    let listed = ["types", "big", "indexed"];
    let (code, out, err) = heal(&state, &sink, &server, &listed);
    assert_eq!(code, 0, "{out}{err}");
    let said = "big: healthy\nindexed: without the indexes ttl\ntypes: emptied, 32 documents in the backup\n";
    assert_eq!(out, said);
    let (_, out, _) = heal(&state, &sink, &server, &[&listed[..], &["--shrunk", "70"]].concat());
    assert!(out.contains("big: shrunk to 3000 documents, 5000 in the backup\n"), "{out}");
    let (code, out, err) =
        heal(&state, &sink, &server, &[&listed[..], &["--shrunk", "70", "--emptied", "--merge", "--indexes"]].concat());
    assert!(code == 0 && out.contains("added 2000 documents") && out.contains("indexes built"), "{code} {out}{err}");
    assert_eq!(hash(&server, "corpus").await, before);
    let (_, out, _) = heal(&state, &sink, &server, &listed);
    assert!(out.lines().all(|line| line.ends_with(": healthy")), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_object_of_backup_bash_heals_out_of_the_gateway() {
    let Some(rgw) = Rgw::shared() else { return };
    let Some(server) = Mongod::start().await else { return };
    mongo_corpus::load(&server.client()).await;
    let scratch = tempfile::tempdir().expect("a folder");
    let folder = scratch.path().join("sink").to_string_lossy().into_owned();
    assert_eq!(run(scratch.path(), &["backup", "--tar", &folder, &server.host(), "corpus"]).0, 0);
    let is_tar = |path: &std::path::PathBuf| path.to_string_lossy().ends_with("mongodb-dump.tar.gz");
    let made = crate::under(Path::new(&folder)).into_iter().find(is_tar).expect("the object");
    // Packed anew by tar, as backup.bash does, and stored by s3cmd.
    let pack = "tar -xzf \"$1\" && tar -czf 2013-01-18-10-00-00-mongodb-dump.tar.gz dump && rm -r dump";
    let packed = Command::new("sh").args(["-ec", pack, "sh"]).arg(&made).current_dir(scratch.path()).status();
    assert!(packed.expect("sh runs").success());
    let keys = rgw.user("healing");
    for words in [&["mb", "s3://healing"][..], &["put", "2013-01-18-10-00-00-mongodb-dump.tar.gz", "s3://healing"]] {
        let Some(mut s3cmd) = rgw.s3cmd(&keys) else { return };
        let done = s3cmd.args(words).current_dir(scratch.path()).stdout(Stdio::null()).status();
        assert!(done.expect("s3cmd runs").success(), "{words:?}");
    }
    let before = hash(&server, "corpus").await;
    lose(&server, &["types", "indexed", "weather"]).await;
    let S3Keys { access_key, secret_key } = &keys;
    let heal = |name: &str| {
        let mut command = mongo_healer(scratch.path());
        command
            .env("AWS_ENDPOINT_URL", rgw.url())
            .env("AWS_ACCESS_KEY_ID", access_key)
            .env("AWS_SECRET_ACCESS_KEY", secret_key);
        command.args(["heal", "s3://healing", &server.host(), "corpus", "types", "indexed", "weather"]).arg(name);
        told(&command.output().expect("it runs"))
    };
    let (code, out, err) = heal("large");
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("types: gone; restored 32 documents out of 2013-01-18-10-00-00-mongodb-dump.tar.gz\n"), "{out}");
    assert_eq!(hash(&server, "corpus").await, before);
    let (code, out, err) = heal("never");
    assert!(code == 7 && out.contains("types: healthy") && err.contains("still sick: never"), "{code} {out}{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_watches_heals_what_is_lost_later() {
    let Some(server) = Mongod::start().await else { return };
    mongo_corpus::load(&server.client()).await;
    let scratch = tempfile::tempdir().expect("a folder");
    let (state, sink) = (scratch.path().join("state"), scratch.path().join("sink").to_string_lossy().into_owned());
    assert_eq!(run(&state, &["backup", &sink, &server.host(), "corpus"]).0, 0);
    let before = hash(&server, "corpus").await;
    let watch = |pause: &str| {
        let mut command = mongo_healer(&state);
        command.args(["heal", "--watch", pause, &sink, &server.host(), "corpus", "types"]);
        command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it runs")
    };
    let mut watching = watch("1s");
    for _ in 0..2 {
        lose(&server, &["types"]).await;
        while hash(&server, "corpus").await != before {
            assert!(watching.try_wait().expect("asked").is_none(), "it ended");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    watching.kill().expect("ended");
    let output = watching.wait_with_output().expect("ended");
    let (_, out, _) = told(&output);
    assert!(out.lines().count() >= 1 && out.lines().all(|line| line.starts_with("types: gone; restored 32")), "{out}");

    // Asked to stop when it has told what it did and waits for the next time.
    lose(&server, &["types"]).await;
    let mut waiting = watch("1h");
    let mut told = BufReader::new(waiting.stdout.take().expect("piped")).lines();
    assert!(told.next().expect("a line").expect("a line").starts_with("types: gone; restored 32"));
    let pid = i32::try_from(waiting.id()).ok().and_then(Pid::from_raw).expect("a process");
    kill_process(pid, Signal::TERM).expect("asked");
    assert_eq!(waiting.wait().expect("ended").code(), Some(0));
    assert_eq!(hash(&server, "corpus").await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_restored_under_another_name_and_proven_on_another_server() {
    let Some(server) = Mongod::start().await else { return };
    let Some(other) = Mongod::start().await else { return };
    mongo_corpus::load(&server.client()).await;
    let scratch = tempfile::tempdir().expect("a folder");
    let (state, sink) = (scratch.path().join("state"), scratch.path().join("sink").to_string_lossy().into_owned());
    assert_eq!(run(&state, &["backup", &sink, &server.host(), "corpus"]).0, 0);
    let ours = |words: &[&str]| {
        let arguments: Vec<&str> = ["--to", &sink, "--job", "corpus"].iter().chain(words).copied().collect();
        run(&state, &arguments)
    };
    let before = hash(&server, "corpus").await;
    let (code, _, err) = ours(&["restore", "latest", &server.host()]);
    assert!(code == 1 && err.contains("there is a collection corpus."), "{code} {err}");
    assert_eq!(hash(&server, "corpus").await, before);
    let (code, out, err) = ours(&["restore", "latest", &server.host(), "--database", "corpus", "--as", "again"]);
    assert_eq!(code, 0, "{out}{err}");
    // A list of views has the name of the database in it.
    let plain = |hashes: Vec<(String, Bson)>| hashes.into_iter().filter(|(name, _)| name != "system.views").collect::<Vec<_>>();
    assert_eq!(plain(hash(&server, "again").await), plain(before.clone()));
    let words =
        ["restore", "latest", &server.host(), "--database", "corpus", "--collection", "big", "--as-collection", "small"];
    assert_eq!(ours(&words).0, 0);
    let url = format!("mongodb://{}/?directConnection=true", other.host());
    let (code, out, err) = ours(&["prove", "latest", &url]);
    assert!(code == 0 && out.starts_with("proven "), "{code} {out}{err}");
    assert_eq!(hash(&other, "corpus").await, before);
    let (_, out, _) = ours(&["list"]);
    assert!(out.contains("proven"), "{out}");
    // Where something is there already nothing is proven.
    let (code, _, err) = ours(&["prove", "latest", &other.host()]);
    assert!(code == 8, "{code} {err}");
    // A whole deployment too, which has no users.
    other.client().database("corpus").drop().await.expect("dropped");
    for name in ["again", mongo_corpus::OTHER] {
        server.client().database(name).drop().await.expect("dropped");
    }
    assert_eq!(run(&state, &["backup", &sink, &server.host()]).0, 0);
    let whole = |words: &[&str]| run(&state, &[&["--to", &sink], words].concat());
    let (code, out, err) = whole(&["prove", "latest", &url]);
    assert!(code == 0 && out.starts_with("proven "), "{code} {out}{err}");
    let (_, out, _) = whole(&["list"]);
    assert!(out.contains("proven"), "{out}");
}
