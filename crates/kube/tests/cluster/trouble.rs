//! An API that is away for a while, that refuses, that answers what no API should.

use std::sync::Arc;
use std::time::{Duration, Instant};

use backup_core::{Lifecycle as _, Recorder, Unit};
use backup_kube::Workloads;
use backup_tests::kubernetes::{Fault, StandIn, TOKEN};

use crate::{assert_fails, kubeconfig, through, until, workloads};

const WEB: &str = "deployment/web";

fn api() -> StandIn {
    let api = StandIn::start();
    api.world().add(WEB, 3);
    api
}

async fn running(api: &StandIn) -> (Workloads, Vec<Unit>, Arc<Recorder>) {
    let (web, story) = workloads(api, &[WEB]);
    let units = web.running().await.expect("it answers");
    (web, units, story)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_is_away_for_a_while_is_asked_again() {
    let api = api();
    let (web, units, story) = running(&api).await;
    for fault in
        [Fault::Close, Fault::Cut, Fault::Status(503, "the server is starting".into()), Fault::Status(429, "slowly".into())]
    {
        for request in ["GET", "PUT"] {
            api.break_at(request, fault.clone(), 2);
        }
    }
    web.pause(&units).await.expect("stopped");
    assert_eq!(api.replicas(WEB), 0);
    assert!(story.story().iter().any(|line| line.contains("Warning") && line.contains("asking again")), "{story:?}");
    for request in ["GET", "PUT"] {
        api.break_at(request, Fault::Close, 3);
    }
    web.resume(&units).await.expect("started");
    assert_eq!(api.replicas(WEB), 3);
    assert!(api.world().faults.iter().filter(|fault| fault.0 == "GET").all(|fault| fault.2 == 0), "all of it was met");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_by_somebody_else_in_between_is_no_error() {
    let api = api();
    let (web, units, _) = running(&api).await;
    api.world().meddling = 5;
    web.pause(&units).await.expect("stopped");
    assert_eq!((api.replicas(WEB), api.world().meddling), (0, 0));
    api.world().meddling = 5;
    web.resume(&units).await.expect("started");
    assert_eq!((api.replicas(WEB), api.world().meddling), (3, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_is_missing_is_named() {
    for (right, group) in [
        ("get deployments/scale", "apps"),
        ("update deployments/scale", "apps"),
        ("get deployments", "apps"),
        ("list pods", ""),
    ] {
        let api = api();
        api.world().forbidden = vec![right.to_owned()];
        let (web, _) = workloads(&api, &[WEB]);
        let tried = async {
            let units = web.running().await?;
            web.pause(&units).await
        };
        let tried = tried.await;
        let hint = tried.as_ref().err().and_then(|error| error.hint()).unwrap_or_default().to_owned();
        assert_fails(tried, &["not allowed to", right, "in shop", "403", "system:serviceaccount:shop:backup"]);
        let (verb, resource) = right.split_once(' ').expect("verb and resource");
        assert_eq!(hint, format!("give it a role in shop with the verb {verb:?} on {resource:?} of the API group {group:?}"));
    }
    let api = api();
    api.world().forbidden = vec!["list horizontalpodautoscalers".to_owned()];
    let (_, units, story) = running(&api).await;
    assert_eq!(units.len(), 1, "without a look at autoscalers it goes on");
    assert!(story.story().iter().any(|line| line.contains("cannot be seen: not allowed to list horizontalpodautoscalers")));
    api.world().forbidden.clear();
    api.break_at("horizontalpodautoscalers", Fault::Status(404, "the server could not find it".into()), 1);
    assert_eq!(running(&api).await.1.len(), 1, "nor in a cluster that has none");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_somebody_changes_on_the_way_is_told() {
    let api = api();
    let (web, units, _) = running(&api).await;
    let scale =
        r#"{"kind":"Scale","metadata":{"name":"web","namespace":"shop"},"spec":{"replicas":1},"status":{"selector":"a"}}"#;
    api.break_at("PUT", Fault::Body(scale.into()), 1);
    assert_fails(web.pause(&units).await, &["deployment/web in shop was to get 0 replicas and got 1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_being_deleted_is_not_waited_for_and_the_others_are() {
    let api = api();
    api.world().add("deployment/other", 2);
    let (both, _) = workloads(&api, &[WEB, "deployment/other"]);
    let units = both.running().await.expect("it answers");
    both.pause(&units).await.expect("stopped");
    {
        let mut world = api.world();
        (world.lag, world.objects.get_mut(WEB).expect("it is there").is_deleted) = (40, true);
    }
    let begun = Instant::now();
    assert_fails(both.resume(&units).await, &["deployment/web in shop was scaled up", "it is being deleted"]);
    assert!(begun.elapsed() < Duration::from_secs(10), "it is given up at once");
    assert_eq!(api.world().objects["deployment/other"].ready(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_not_known_is_one_clear_line() {
    let api = api();
    let (web, _) = workloads(&api, &[WEB]);
    api.world().token = "another".to_owned();
    assert_fails(web.running().await, &["answers 401: Unauthorized"]);
    assert_eq!(api.world().asked.len(), 1, "it is not asked again and again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_without_the_kind_says_so() {
    let api = api();
    let (web, _) = workloads(&api, &["dc/web"]);
    api.break_at("deploymentconfigs", Fault::Status(404, "the server could not find the requested resource".into()), 1);
    assert_fails(web.running().await, &["the cluster has no deploymentconfigs/scale", "404"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_api_answers_is_an_error_and_soon() {
    let scale =
        r#"{"kind":"Scale","metadata":{"name":"web","namespace":"other"},"spec":{"replicas":9},"status":{"selector":"a"}}"#;
    let deep = "[".repeat(100_000);
    for (fault, what) in [
        (Fault::Body("<html>Log in</html>".into()), "answers what is no JSON"),
        (Fault::Body(String::new()), "answers what is no JSON"),
        (Fault::Body(deep), "answers what is no JSON"),
        (Fault::Body("{\"kind\": \"Scale\"".into()), "answers what is no JSON"),
        (Fault::Body("{}".into()), "no scale of deployment/web in shop"),
        (Fault::Body(scale.into()), "no scale of deployment/web in shop"),
        (Fault::Body(scale.replace("other", "shop").replace('9', "-9")), "no scale of deployment/web in shop"),
        (Fault::Body(scale.replace("other", "shop").replace("\"a\"", "\"\"")), "does not say which pods are of it"),
        (Fault::Endless, "too long"),
        (Fault::Status(302, "somewhere else".into()), "answers 302"),
        (Fault::Status(418, format!("you showed {TOKEN}, a\nteapot does not care")), "answers 418"),
        (Fault::Status(400, "x".repeat(1_000_000)), "answers 400: xxx"),
    ] {
        let api = api();
        api.break_at("/scale", fault, 1);
        let error = workloads(&api, &[WEB]).0.running().await.expect_err(what);
        let line = format!("{error:?}");
        assert!(line.contains(what) && line.len() < 800 && !line.contains(TOKEN) && !line.contains('\n'), "{what}: {line}");
    }
    for (text, body) in [
        ("/pods", r#"{"kind":"PodList","items":{"a":1}}"#),
        ("/pods", r#"{"kind":"Pod","metadata":{}}"#),
        ("/pods", "null"),
        ("/deployments/web$", r#"{"kind":"Secret","metadata":{"name":"web"},"spec":{}}"#),
        ("/deployments/web$", r#"{"kind":"Deployment","metadata":{"name":"web"},"spec":{"replicas":"many"}}"#),
    ] {
        let api = api();
        let (web, units, _) = running(&api).await;
        api.break_at(text, Fault::Body(body.into()), 1);
        let paused = web.pause(&units).await;
        let error = paused.expect_err(body);
        assert!(error.chain().contains("the API answers what is no"), "{body}: {error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_hangs_is_given_up() {
    let api = api();
    let access = kubeconfig(&api.kubeconfig()).expect("a kubeconfig");
    let web = through(access, &[WEB], Arc::new(Recorder::default())).with_patience(Duration::from_millis(300));
    let web = web.with_request_time(Duration::from_millis(100)).expect("a time");
    api.break_at("", Fault::Hang, u32::MAX);
    let begun = Instant::now();
    let error = web.running().await.expect_err("it hangs");
    assert!(error.chain().contains("no answer within 100ms"), "{error:?}");
    assert!((Duration::from_millis(200)..Duration::from_secs(10)).contains(&begun.elapsed()), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_stop_or_start_in_time_is_told() {
    let api = api();
    let access = || kubeconfig(&api.kubeconfig()).expect("a kubeconfig");
    let brief = || through(access(), &[WEB], Arc::new(Recorder::default())).with_patience(Duration::from_millis(300));
    let web = brief();
    let units = web.running().await.expect("it answers");
    api.world().objects.get_mut(WEB).expect("it is there").is_stuck = true;
    assert_fails(web.pause(&units).await, &["deployment/web in shop does not stop within 300ms", "gone: web-0, web-1, web-2"]);
    {
        let mut world = api.world();
        let web = world.objects.get_mut(WEB).expect("it is there");
        (web.is_stuck, web.is_broken, web.is_paused) = (false, true, true);
    }
    until("they are gone", || api.world().objects[WEB].pods.is_empty()).await;
    let words =
        ["deployment/web in shop was scaled up and does not run within 300ms", "0 of 3 replicas (its rollout is paused)"];
    assert_fails(web.resume(&units).await, &words);
    assert_eq!(api.replicas(WEB), 3, "it is scaled up all the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn tries_to_bring_back_share_one_time() {
    let api = api();
    let access = kubeconfig(&api.kubeconfig()).expect("a kubeconfig");
    let patience = Duration::from_secs(2);
    let web = through(access, &[WEB], Arc::new(Recorder::default())).with_patience(patience);
    let units = web.running().await.expect("it answers");
    web.pause(&units).await.expect("stopped");
    api.world().objects.get_mut(WEB).expect("it is there").is_broken = true;
    for longest in [20 * patience, patience / 2] {
        let begun = Instant::now();
        web.resume(&units).await.expect_err("never ready");
        assert!(begun.elapsed() < longest, "{:?}", begun.elapsed());
    }
    api.world().objects.get_mut(WEB).expect("it is there").is_broken = false;
    until("it is ready", || api.world().objects[WEB].ready() == 3).await;
    web.resume(&units).await.expect("a further try finds it");
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_are_looked_for_on_all_pages() {
    let api = api();
    let (web, units, _) = running(&api).await;
    {
        let mut world = api.world();
        (world.empty_first, world.page) = (true, 1);
        world.objects.get_mut(WEB).expect("it is there").is_stuck = true;
    }
    let release = async {
        until("the second page is asked for", || api.world().asked.iter().any(|line| line.contains("continue="))).await;
        // A list that has become too old is begun again.
        api.break_at("continue=", Fault::Status(410, "The provided continue parameter is too old".into()), 1);
        until("that was met", || api.world().faults.iter().all(|fault| fault.2 == 0)).await;
        assert!(!api.world().objects[WEB].pods.is_empty());
        api.world().objects.get_mut(WEB).expect("it is there").is_stuck = false;
    };
    let (paused, ()) = tokio::join!(web.pause(&units), release);
    paused.expect("stopped");
    assert!(api.world().objects[WEB].pods.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_arrives_late_is_undone() {
    let api = api();
    let (web, units, _) = running(&api).await;
    // As a pause that was dropped with its request under way: the resume finds all as it was, and then it comes.
    let late = async {
        until("it was looked at", || {
            api.world().asked.iter().any(|line| line == "GET /apis/apps/v1/namespaces/shop/deployments/web")
        })
        .await;
        api.world().scale(WEB, 0);
    };
    let slow = web.with_poll(Duration::from_millis(300));
    let (resumed, ()) = tokio::join!(slow.resume(&units), late);
    resumed.expect("it runs");
    assert_eq!(api.replicas(WEB), 3);
}
