//! `deploy/kubernetes`: read by Kubernetes' own types.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, ServiceAccount};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use serde_json::Value;

use crate::pod;
use crate::yaml::{documents, every_misspelling_is_seen, holds};

/// Maps in which any key is right.
pub(crate) const FREE: [&str; 6] = ["labels", "matchLabels", "annotations", "data", "limits", "requests"];

/// Fails unless Kubernetes' type of that kind holds all of `object`, and all that must be there is.
pub(crate) fn check(object: &Value) -> Result<(), String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    if text(&object["metadata"]["name"]).is_empty() {
        return Err("it has no name".into());
    }
    match (&*text(&object["apiVersion"]), &*text(&object["kind"])) {
        ("apps/v1", "Deployment") => holds::<Deployment>(object),
        ("batch/v1", "CronJob") => holds::<CronJob>(object),
        ("rbac.authorization.k8s.io/v1", "Role") => holds::<Role>(object),
        ("rbac.authorization.k8s.io/v1", "RoleBinding") => holds::<RoleBinding>(object),
        ("v1", "ConfigMap") => holds::<ConfigMap>(object),
        ("v1", "PersistentVolumeClaim") => holds::<PersistentVolumeClaim>(object),
        ("v1", "ServiceAccount") => holds::<ServiceAccount>(object),
        (version, kind) => Err(format!("{version} {kind} is not looked at here")),
    }
}

/// The objects of files that are applied together.
fn objects(names: &[&str]) -> Vec<Value> {
    names.iter().flat_map(|name| documents(&format!("kubernetes/{name}.yaml"))).collect()
}

#[test]
fn every_field_is_one_of_kubernetes() {
    let objects = objects(&["volume", "deployment", "cronjob"]);
    assert_eq!(objects.len(), 5);
    for object in &objects {
        every_misspelling_is_seen(object, &FREE, check);
    }
}

#[test]
fn the_deployment_runs_one_service_at_a_time() {
    let objects = objects(&["volume", "deployment"]);
    let spec = &objects[3]["spec"];
    assert_eq!((&spec["replicas"], &spec["strategy"]["type"]), (&1.into(), &"Recreate".into()));
    assert_eq!(spec["selector"]["matchLabels"], spec["template"]["metadata"]["labels"]);
    let pod = &spec["template"]["spec"];
    assert_eq!(pod::is_hardened(pod), Ok(()));
    let given = pod::given(pod, &objects);
    pod::is_probed(pod, &given);
    given.is_known_to_the_letter();
}

#[test]
fn the_cron_job_runs_once_and_has_the_time_it_takes() {
    let objects = objects(&["volume", "cronjob"]);
    let spec = &objects[3]["spec"];
    assert_eq!(spec["concurrencyPolicy"], "Forbid");
    let job = &spec["jobTemplate"]["spec"];
    assert!(job["activeDeadlineSeconds"].as_u64().is_none_or(|seconds| seconds >= 86_400), "{job}");
    let pod = &job["template"]["spec"];
    assert_eq!((&pod["restartPolicy"], pod::is_hardened(pod)), (&"Never".into(), Ok(())));
    let given = pod::given(pod, &objects);
    assert_eq!(given.arguments, ["serve", "--once"]);
    given.is_known_to_the_letter();
}
