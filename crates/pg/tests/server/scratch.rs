//! Servers to throw away.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use backup_pg::scratch::Locale;

use super::*;

#[tokio::test]
async fn a_scratch_server_is_like_the_one_it_stands_for() {
    let wanted = |shape: &mut ServerShape| {
        shape.superuser = "the 'first' \"ö\"".to_owned();
        shape.encoding = "SQL_ASCII".to_owned();
        shape.settings = vec![("max_connections".to_owned(), "7".to_owned())];
    };
    let Some(scratch) = start(wanted).await else { return };
    let session = connect(scratch.config(), Purpose::Dump).await.unwrap();
    assert_eq!(value(&session, "SELECT current_user::text").await, "the 'first' \"ö\"");
    assert_eq!(value(&session, "SELECT rolsuper::text FROM pg_roles WHERE oid = 10").await, "true");
    assert_eq!(value(&session, "SHOW max_connections").await, "7");
    assert_eq!((session.encoding.as_str(), session.version.major()), ("SQL_ASCII", scratch.version().major()));
    assert_eq!(scratch.version().major(), OLDEST.major());
    assert!(scratch.notes().is_empty(), "{:?}", scratch.notes());
    session.client.batch_execute("SET allow_in_place_tablespaces = on").await.unwrap();
    session.client.batch_execute("CREATE TABLESPACE t LOCATION ''").await.unwrap();

    let folder = scratch.data();
    assert!(folder.join("PG_VERSION").exists());
    scratch.stop().await.unwrap();
    assert!(!folder.parent().unwrap().exists());
    let gone = session.client.batch_execute("SELECT 1").await.unwrap_err();
    assert!(backup_pg::pg_error("ask", gone).chain().contains("went away"));
}

#[tokio::test]
async fn a_locale_that_is_not_here_is_replaced_and_told() {
    let locale = Locale { collate: "tlh_KL.UTF-8".to_owned(), ctype: "tlh_KL.UTF-8".to_owned(), provider: None };
    let Some(scratch) = start(|shape| shape.locale = locale).await else { return };
    assert!(scratch.notes().iter().any(|note| note.contains("tlh_KL.UTF-8")), "{:?}", scratch.notes());
}

#[tokio::test]
async fn a_server_that_cannot_start_says_why_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    run("chmod", &["0755"], folder.path());
    let mut shape = ServerShape::of(OLDEST);
    if start(|_| ()).await.is_none() {
        return;
    }
    shape.settings = vec![("shared_preload_libraries".to_owned(), "no_such_library".to_owned())];
    let error = Scratch::start(None, Some(folder.path()), &shape).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unproven);
    assert!(error.chain().contains("no_such_library"), "{error:?}");
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
}

#[tokio::test]
async fn two_scratch_servers_do_not_meet() {
    let (Some(one), Some(two)) = tokio::join!(start(|_| ()), start(|_| ())) else { return };
    ask(one.config(), &["CREATE DATABASE only_here"]).await;
    let missing = connect(&two.config().with_database("only_here"), Purpose::Ask).await.unwrap_err();
    assert_eq!(missing.kind(), Kind::NotFound);
}

#[tokio::test]
async fn a_server_does_not_outlive_a_process_that_was_killed() {
    let Some(scratch) = start(|_| ()).await else { return };
    // In the process that it starts below.
    if std::env::var_os("BACKUP_TESTS_DIE").is_some() {
        println!("server {} {}", scratch.pid().unwrap(), scratch.data().display());
        std::future::pending::<()>().await;
    }
    drop(scratch);
    let mut half = Command::new(std::env::current_exe().unwrap());
    half.args(["--exact", "scratch::a_server_does_not_outlive_a_process_that_was_killed", "--nocapture"]);
    let mut half = half.env("BACKUP_TESTS_DIE", "1").stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(half.stdout.take().unwrap()).lines().map_while(Result::ok);
    let line = lines.into_iter().find_map(|line| line.split_once("server ").map(|(_, told)| told.to_owned())).unwrap();
    let (pid, data) = line.split_once(' ').unwrap();
    half.kill().unwrap();
    half.wait().unwrap();
    // Gone, or only its exit status is left for somebody to collect.
    let is_alive = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
    };
    in_time(async {
        while is_alive() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // The next one removes what it has left; another test's may be at it.
    let Some(_next) = start(|_| ()).await else { return };
    in_time(async {
        while Path::new(data).parent().unwrap().exists() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
