//! All kinds go down and come back with the number that they had.

use std::sync::Arc;

use backup_core::testing_lifecycle::lifecycle_contract;
use backup_core::{Context, Journal, Kind, Lifecycle as _, OnFailure, Recorder, Silent, paused, recover};
use backup_kube::Workloads;
use backup_tests::kubernetes::{Pod, StandIn};

use crate::{assert_fails, kubeconfig, through, unit, until, workloads};

const ALL: [&str; 3] = ["deployment/web", "statefulset/queue", "dc/old"];

#[tokio::test(flavor = "multi_thread")]
async fn workloads_keep_the_contract() {
    let api = StandIn::start();
    for (what, replicas) in [("deployment/web", 3), ("statefulset/queue", 2), ("deploymentconfig/old", 1)] {
        api.world().add(what, replicas);
    }
    lifecycle_contract(|| workloads(&api, &ALL).0).await;
    for (what, replicas) in [("deployment/web", 3), ("statefulset/queue", 2), ("deploymentconfig/old", 1)] {
        assert_eq!(api.replicas(what), replicas, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_ends_when_no_pod_is_left_and_a_resume_when_all_are_ready() {
    let api = StandIn::start();
    api.world().lag = 40;
    api.world().add("deployment/web", 3);
    // One that has ended by itself is no pod that runs.
    api.world().objects.get_mut("deployment/web").expect("it is there").pods.push(Pod::ended("web-evicted"));
    let (web, story) = workloads(&api, &["deployment/web"]);
    let units = web.running().await.expect("it answers");
    assert_eq!(units, [unit(&api, "deployment/web", 3)]);
    web.pause(&units).await.expect("stopped");
    let names =
        |api: &StandIn| api.world().objects["deployment/web"].pods.iter().map(|pod| pod.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&api), ["web-evicted"]);
    assert!(story.story().iter().any(|line| line.contains("wait until the pods of deployment/web in shop are gone: web-0")));
    web.held(&units).await.expect("nobody started it");
    web.resume(&units).await.expect("started");
    assert_eq!(api.world().objects["deployment/web"].ready(), 3);
    assert!(story.story().iter().any(|line| line.contains("deployment/web in shop is ready: 0 of 3 replicas")), "{story:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_from_before_the_last_change_is_not_waited_by() {
    let api = StandIn::start();
    api.world().add("deployment/web", 2);
    let (web, story) = workloads(&api, &["deployment/web"]);
    let units = web.running().await.expect("it answers");
    let is_current = || {
        let world = api.world();
        world.objects["deployment/web"].observed == world.objects["deployment/web"].generation
    };
    {
        // Its pods are lost, and the controller, which is slow, would make others.
        let mut world = api.world();
        world.lag = 100;
        world.scale("deployment/web", 3);
        world.objects.get_mut("deployment/web").expect("it is there").pods.clear();
    }
    web.pause(&units).await.expect("stopped");
    assert!(is_current(), "pods can still appear");
    assert!(story.story().iter().any(|line| line.contains("has seen that deployment/web in shop is to stop")), "{story:?}");
    web.resume(&units).await.expect("started");
    // Scaled down, and the controller has not begun: its status says that all are ready.
    api.world().scale("deployment/web", 0);
    web.resume(&units).await.expect("started");
    assert!(is_current() && api.world().objects["deployment/web"].ready() == 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_replicas_does_not_run_and_stays_so() {
    let api = StandIn::start();
    api.world().add("deployment/web", 2);
    api.world().add("deployment/off", 0);
    let (both, _) = workloads(&api, &["deployment/off", "deployment/web", "deploy/web"]);
    let units = both.running().await.expect("it answers");
    assert_eq!(units, [unit(&api, "deployment/web", 2)], "what is named twice is there once");
    both.pause(&units).await.expect("stopped");
    both.resume(&units).await.expect("started");
    assert_eq!((api.replicas("deployment/web"), api.replicas("deployment/off")), (2, 0));
    assert!(!api.world().asked.iter().any(|line| line.starts_with("PUT") && line.contains("off")));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_scales_up_meanwhile_is_found_and_named() {
    let api = StandIn::start();
    api.world().add("deployment/web", 2);
    api.world().autoscalers =
        vec![("other".into(), "StatefulSet/web".into(), Some(0)), ("load".into(), "Deployment/web".into(), Some(1))];
    let (web, story) = workloads(&api, &["deployment/web"]);
    let units = web.running().await.expect("an autoscaler that leaves alone what has 0 is in nobody's way");
    web.pause(&units).await.expect("stopped");
    api.world().scale("deployment/web", 1);
    let held = web.held(&units).await;
    assert!(held.as_ref().is_err_and(|error| error.hint().is_some_and(|hint| hint.contains("horizontalpodautoscaler/load"))));
    assert_fails(held, &["somebody started deployment/web in shop meanwhile: it is to have 1 replicas"]);
    // Down again, but its pod is still there.
    until("there is a pod", || !api.world().objects["deployment/web"].pods.is_empty()).await;
    api.world().objects.get_mut("deployment/web").expect("it is there").is_stuck = true;
    api.world().scale("deployment/web", 0);
    assert_fails(web.held(&units).await, &["somebody started deployment/web in shop meanwhile: there are pods: web-new"]);
    // What was started by somebody else keeps the number that it was given.
    api.world().scale("deployment/web", 1);
    web.resume(&units).await.expect("it runs");
    assert_eq!(api.replicas("deployment/web"), 1);
    assert!(story.story().iter().any(|line| line.contains("has 1 replicas already, 2 before; it stays so")), "{story:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_autoscaler_that_starts_from_nothing_is_refused_before_anything_stops() {
    let api = StandIn::start();
    api.world().add("deploymentconfig/web", 2);
    api.world().page = 1;
    api.world().autoscalers =
        vec![("a".into(), "Deployment/web".into(), Some(0)), ("b".into(), "DeploymentConfig/web".into(), Some(0))];
    let (web, _) = workloads(&api, &["dc/web"]);
    assert_fails(web.running().await, &["horizontalpodautoscaler/b scales deploymentconfig/web in shop up from 0 too"]);
    assert!(!api.world().asked.iter().any(|line| line.starts_with("PUT")));
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_who_scales_up_during_the_pause_ends_it() {
    let api = StandIn::start();
    api.world().add("deployment/web", 2);
    api.world().objects.get_mut("deployment/web").expect("it is there").is_stuck = true;
    let (web, story) = workloads(&api, &["deployment/web"]);
    let units = web.running().await.expect("it answers");
    let waits = || story.story().iter().any(|line| line.contains("are gone"));
    let meddle = async {
        until("the pods are waited for", waits).await;
        api.world().scale("deployment/web", 5);
    };
    let (paused, ()) = tokio::join!(web.pause(&units), meddle);
    assert_fails(paused, &["somebody started deployment/web in shop meanwhile: it is to have 5 replicas"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_process_brings_back_what_a_killed_one_has_stopped() {
    let api = StandIn::start();
    api.world().add("deployment/web", 3);
    let folder = tempfile::tempdir().expect("a folder");
    let journal = || Arc::new(Journal::open(folder.path(), &"pg".parse().expect("a name")).expect("nobody holds it"));
    let lifecycle = || -> Arc<dyn backup_core::Lifecycle> { Arc::new(workloads(&api, &["deployment/web"]).0) };
    let work = async {
        assert_eq!(api.replicas("deployment/web"), 0, "it is down while the work is done");
        // As a kill would leave it: what is written is all that is left.
        let written = std::fs::read_dir(folder.path()).expect("a folder").flatten().map(|entry| entry.path());
        for file in written.filter(|path| path.extension().is_some_and(|end| end == "json")) {
            std::fs::copy(&file, file.with_extension("kept")).expect("copied");
        }
        Ok(())
    };
    let cx = Context::default();
    paused(&cx, &lifecycle(), &journal(), OnFailure::Resume, work, |()| async { Ok(()) }).await.expect("all is well");
    assert_eq!(api.replicas("deployment/web"), 3);

    api.world().scale("deployment/web", 0);
    for file in std::fs::read_dir(folder.path()).expect("a folder").flatten().map(|entry| entry.path()) {
        if file.extension().is_some_and(|end| end == "kept") {
            std::fs::rename(&file, file.with_extension("json")).expect("renamed");
        }
    }
    let back = recover(&cx, &lifecycle(), &journal()).await.expect("it is brought back").expect("something was");
    assert_eq!((back.units, api.replicas("deployment/web")), (vec![unit(&api, "deployment/web", 3)], 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_stopped_in_another_cluster_is_not_touched_here() {
    let (there, here) = (StandIn::start(), StandIn::start());
    for api in [&there, &here] {
        api.world().add("deployment/web", 3);
    }
    let (web, _) = workloads(&there, &["deployment/web"]);
    let units = web.running().await.expect("it answers");
    web.pause(&units).await.expect("stopped");
    here.world().scale("deployment/web", 0);
    let (other, _) = workloads(&here, &["deployment/web"]);
    assert_fails(other.resume(&units).await, &["was stopped at", &there.server(), &here.server()]);
    assert_eq!(here.replicas("deployment/web"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_started_first_is_stopped_last() {
    let api = StandIn::start();
    let names = ["deployment/a", "statefulset/b", "deployment/c"];
    for what in names {
        api.world().add(what, 1);
    }
    let (all, _) = workloads(&api, &names);
    let units = all.running().await.expect("it answers");
    all.pause(&units).await.expect("stopped");
    all.resume(&units).await.expect("started");
    let asked = api.world().asked.clone();
    let changed = asked.iter().filter(|line| line.starts_with("PUT ")).filter_map(|line| line.rsplit('/').nth(1));
    assert_eq!(changed.collect::<Vec<_>>(), ["c", "b", "a", "a", "b", "c"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_gone_is_named_and_the_others_come_back() {
    let api = StandIn::start();
    for what in ["deployment/a", "deployment/b", "deployment/c"] {
        api.world().add(what, 2);
    }
    let (all, _) = workloads(&api, &["deployment/a", "deployment/b", "deployment/c"]);
    let units = all.running().await.expect("it answers");
    all.pause(&units).await.expect("stopped");
    api.world().objects.remove("deployment/b");
    assert_fails(all.held(&units).await, &["there is no deployment/b in shop"]);
    assert_fails(all.resume(&units).await, &["there is no deployment/b in shop", "404"]);
    assert_eq!((api.replicas("deployment/a"), api.replicas("deployment/c")), (2, 2));
    assert_fails(workloads(&api, &["deployment/none"]).0.running().await, &["there is no deployment/none in shop"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_breaks_halfway_leaves_it_down() {
    let api = StandIn::start();
    api.world().add("statefulset/db-user", 2);
    let folder = tempfile::tempdir().expect("a folder");
    let journal = Arc::new(Journal::open(folder.path(), &"pg".parse().expect("a name")).expect("nobody holds it"));
    let access = kubeconfig(&api.kubeconfig()).expect("a kubeconfig");
    let lifecycle: Arc<dyn backup_core::Lifecycle> = Arc::new(through(access, &["sts/db-user"], Arc::new(Recorder::default())));
    let cx = Context::default();
    let work = async { Err::<(), _>(backup_core::Error::failed("half of it is there")) };
    let error = paused(&cx, &lifecycle, &journal, OnFailure::Hold, work, |()| async { Ok(()) }).await.expect_err("it broke");
    assert_eq!((error.kind(), api.replicas("statefulset/db-user")), (Kind::StillPaused, 0));
    assert!(error.chain().contains("statefulset/db-user=2 in shop at https://127.0.0.1:"), "{error:?}");
    backup_core::resume(&cx, &lifecycle, &journal).await.expect("somebody says so");
    assert_eq!(api.replicas("statefulset/db-user"), 2);
}

#[test]
fn nothing_secret_is_shown() {
    let api = StandIn::start();
    let access = kubeconfig(&api.kubeconfig()).expect("a kubeconfig");
    let shown = format!("{access:?}");
    let workloads = Workloads::new(access, None, [], Arc::new(Silent)).expect("a client");
    assert!(!format!("{shown}{workloads:?}").contains(backup_tests::kubernetes::TOKEN));
}
