//! `scale-down.yaml` of Kubernetes and of OpenShift: the rules of the manual, which are what the program asks for and no more.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use backup_core::{Lifecycle as _, Silent};
use backup_kube::{Access, Workloads};
use backup_tests::kubernetes::StandIn;
use serde_json::Value;

use crate::kubernetes::{FREE, check};
use crate::yaml::{documents, every_misspelling_is_seen, read};

/// Of OpenShift alone.
const OPENSHIFT: &str = "apps.openshift.io";

/// The account, the role and what binds them, in a folder of `deploy/`.
fn objects(folder: &str) -> [Value; 3] {
    documents(&format!("{folder}/scale-down.yaml")).try_into().expect("three objects")
}

/// A group, a resource and a verb.
type Right = (String, String, String);

/// All that a role grants.
fn rights(role: &Value) -> BTreeSet<Right> {
    let list = |rule: &Value, key: &str| -> Vec<String> { serde_json::from_value(rule[key].clone()).expect(key) };
    let mut rights = BTreeSet::new();
    for rule in role["rules"].as_array().expect("rules") {
        for group in list(rule, "apiGroups") {
            for resource in list(rule, "resources") {
                let of = |verb| (group.clone(), resource.clone(), verb);
                rights.extend(list(rule, "verbs").into_iter().map(of));
            }
        }
    }
    rights
}

/// The right that a request such as `GET /apis/apps/v1/namespaces/shop/deployments/web/scale` takes.
fn needed(asked: &str) -> Right {
    let (method, path) = asked.split_once(' ').expect("a method");
    let path: Vec<&str> = path.split('?').next().expect("a path").trim_start_matches('/').split('/').collect();
    let (group, rest) = match path.as_slice() {
        ["api", "v1", "namespaces", _, rest @ ..] => ("", rest),
        ["apis", group, _, "namespaces", _, rest @ ..] => (*group, rest),
        _ => panic!("{asked}"),
    };
    let (resource, is_one) = match rest {
        [resource] => ((*resource).to_owned(), false),
        [resource, _] => ((*resource).to_owned(), true),
        [resource, _, under] => (format!("{resource}/{under}"), true),
        _ => panic!("{asked}"),
    };
    let verb = match (method, is_one) {
        ("GET", true) => "get",
        ("GET", false) => "list",
        ("PUT", true) => "update",
        _ => panic!("{asked}"),
    };
    (group.to_owned(), resource, verb.to_owned())
}

#[test]
fn every_field_is_one_of_kubernetes() {
    for folder in ["kubernetes", "openshift"] {
        let objects = objects(folder);
        for object in &objects {
            every_misspelling_is_seen(object, &FREE, check);
        }
        let [account, role, binding] = &objects;
        let named = |object: &Value| (object["kind"].clone(), object["name"].clone());
        let is = |object: &Value| (object["kind"].clone(), object["metadata"]["name"].clone());
        assert_eq!((named(&binding["roleRef"]), named(&binding["subjects"][0])), (is(role), is(account)), "{folder}");
        assert_eq!(binding["subjects"].as_array().map(Vec::len), Some(1));
    }
}

#[test]
fn the_rules_are_those_of_the_manual() {
    let manual = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/pg-backup.md");
    let manual = std::fs::read_to_string(manual).expect("the manual");
    let blocks = manual.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let [shown] = &blocks.collect::<Vec<_>>()[..] else { panic!("one block of YAML") };
    let [shown] = &read("the manual", shown)[..] else { panic!("one role") };
    let ([_, kubernetes, _], [_, openshift, _]) = (objects("kubernetes"), objects("openshift"));
    assert_eq!((&shown["metadata"]["name"], &shown["rules"]), (&openshift["metadata"]["name"], &openshift["rules"]));
    let mut without = shown["rules"].as_array().expect("rules").clone();
    without.retain(|rule| rule["apiGroups"][0] != OPENSHIFT);
    assert_eq!(kubernetes["rules"], Value::Array(without));
}

#[test]
fn they_grant_what_is_asked_for_and_no_more() {
    let api = StandIn::start();
    let names = ["deployment/web", "statefulset/queue", "deploymentconfig/old"];
    for name in names {
        api.world().add(name, 1);
    }
    let config = api.kubeconfig().display().to_string();
    let access = Access::find(|name| (name == "KUBECONFIG").then(|| config.clone())).expect("a kubeconfig");
    let workloads = names.iter().map(|name| name.parse().expect("a workload"));
    let workloads = Workloads::new(access, None, workloads, Arc::new(Silent)).expect("a client");
    let workloads = workloads.with_poll(Duration::from_millis(5));
    let down_and_up = async {
        let units = workloads.running().await?;
        workloads.pause(&units).await?;
        workloads.held(&units).await?;
        workloads.resume(&units).await
    };
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    runtime.block_on(down_and_up).expect("down and up");
    let mut asked: BTreeSet<Right> = api.world().asked.iter().map(|line| needed(line)).collect();
    assert_eq!(rights(&objects("openshift")[1]), asked);
    asked.retain(|(group, ..)| group != OPENSHIFT);
    assert_eq!(rights(&objects("kubernetes")[1]), asked);
}
