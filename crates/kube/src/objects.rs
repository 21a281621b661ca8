//! The shapes of what the API answers, as far as they are looked at.

use std::collections::BTreeMap;

use backup_core::{Error, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::workload::{Namespace, Workload};

/// Why a request was refused (`meta/v1`).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Status {
    pub(crate) message: String,
    pub(crate) reason: String,
    pub(crate) details: Details,
}

/// Of what a status speaks.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Details {
    pub(crate) name: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Metadata {
    name: String,
    namespace: String,
    generation: i64,
    #[serde(rename = "continue")]
    next: Option<String>,
    #[serde(rename = "deletionTimestamp")]
    deleted: Option<String>,
}

/// How many replicas there are to be: the subresource `scale`, of `autoscaling/v1`, or of `extensions/v1beta1` for a
/// `DeploymentConfig`.
#[derive(Debug)]
pub(crate) struct Scale {
    pub(crate) replicas: u32,
    selector: String,
    /// All of it, with the version that a change must be of.
    whole: Value,
}

#[derive(Deserialize)]
struct ScaleShape {
    kind: String,
    metadata: Metadata,
    /// Left out by some versions where there is nothing in it: 0 replicas.
    #[serde(default)]
    spec: ScaleSpec,
    #[serde(default)]
    status: ScaleStatus,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ScaleSpec {
    replicas: u32,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct ScaleStatus {
    selector: Selector,
    target_selector: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Selector {
    Text(String),
    Labels(BTreeMap<String, String>),
}

impl Default for Selector {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

impl Scale {
    /// The scale of `workload`; anything else is an error.
    pub(crate) fn read(whole: Value, namespace: &Namespace, workload: &Workload) -> Result<Self> {
        let other = || Error::failed(format!("the API answers what is no scale of {workload} in {namespace}"));
        let ScaleShape { kind, metadata, spec, status } = ScaleShape::deserialize(&whole).map_err(|_| other())?;
        if kind != "Scale" || metadata.name != workload.name() || metadata.namespace != namespace.as_str() {
            return Err(other());
        }
        if spec.replicas > i32::MAX as u32 {
            return Err(other());
        }
        let selector = match status.selector {
            _ if !status.target_selector.is_empty() => status.target_selector,
            Selector::Text(text) => text,
            Selector::Labels(labels) => {
                labels.iter().map(|(label, value)| format!("{label}={value}")).collect::<Vec<_>>().join(",")
            }
        };
        Ok(Self { replicas: spec.replicas, selector, whole })
    }

    /// Which pods are of the workload. Nothing selects all pods of a namespace, so nothing is an error.
    pub(crate) fn selector(&self) -> Result<&str> {
        if self.selector.is_empty() {
            Err(Error::failed("the API does not say which pods are of it"))
        } else {
            Ok(&self.selector)
        }
    }

    /// The same with another number: what replaces it, unless somebody else has changed it meanwhile.
    pub(crate) fn with_replicas(&self, replicas: u32) -> Value {
        let mut whole = self.whole.clone();
        if let Some(object) = whole.as_object_mut() {
            object.insert("spec".to_owned(), serde_json::json!({"replicas": replicas}));
        }
        whole
    }
}

/// How far the controllers are with a workload.
#[derive(Debug)]
pub(crate) struct Progress {
    /// How many replicas are wanted.
    pub(crate) wanted: u32,
    /// How many are ready.
    pub(crate) ready: u32,
    /// Whether that is of the object as it is now, and not of what it was before the last change.
    pub(crate) is_current: bool,
    /// Whether its rollout is paused.
    pub(crate) is_paused: bool,
    /// Whether it is being deleted.
    pub(crate) is_deleted: bool,
}

#[derive(Deserialize)]
struct WorkloadShape {
    kind: String,
    metadata: Metadata,
    spec: WorkloadSpec,
    #[serde(default)]
    status: WorkloadStatus,
}

#[derive(Deserialize)]
struct WorkloadSpec {
    /// 1 where it is left out, but the API never leaves it out.
    replicas: Option<u32>,
    #[serde(default)]
    paused: bool,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct WorkloadStatus {
    observed_generation: i64,
    ready_replicas: u32,
}

impl Progress {
    /// That of `workload`; anything else is an error.
    pub(crate) fn read(whole: &Value, workload: &Workload) -> Result<Self> {
        let other = || Error::failed(format!("the API answers what is no {workload}"));
        let WorkloadShape { kind, metadata, spec, status } = WorkloadShape::deserialize(whole).map_err(|_| other())?;
        if kind != workload.kind().kind() || metadata.name != workload.name() {
            return Err(other());
        }
        Ok(Self {
            wanted: spec.replicas.unwrap_or(1),
            ready: status.ready_replicas,
            is_current: status.observed_generation >= metadata.generation,
            is_paused: spec.paused,
            is_deleted: metadata.deleted.is_some(),
        })
    }
}

/// A page of a list: what stands in it, and where the next begins.
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    pub(crate) next: Option<String>,
}

#[derive(Deserialize)]
struct PageShape<T> {
    kind: String,
    #[serde(default)]
    metadata: Metadata,
    /// `null` where there is nothing, as some versions have it.
    items: Option<Vec<T>>,
}

impl<T: for<'a> Deserialize<'a>> Page<T> {
    /// A page of `what`; anything else is an error.
    pub(crate) fn read(whole: Value, what: &str) -> Result<Self> {
        let other = || Error::failed(format!("the API answers what is no list of {what}"));
        let PageShape { kind, metadata, items } = serde_json::from_value(whole).map_err(|_| other())?;
        if !kind.ends_with("List") {
            return Err(other());
        }
        Ok(Self { items: items.unwrap_or_default(), next: metadata.next.filter(|next| !next.is_empty()) })
    }
}

/// A pod, of which the name is enough.
#[derive(Deserialize)]
pub(crate) struct Pod {
    metadata: Metadata,
}

impl Pod {
    pub(crate) fn name(&self) -> &str {
        &self.metadata.name
    }
}

/// What scales workloads by itself (`autoscaling/v1`).
#[derive(Deserialize)]
pub(crate) struct Autoscaler {
    metadata: Metadata,
    spec: AutoscalerSpec,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AutoscalerSpec {
    scale_target_ref: TargetRef,
    min_replicas: Option<u32>,
}

#[derive(Deserialize)]
struct TargetRef {
    kind: String,
    name: String,
}

impl Autoscaler {
    pub(crate) fn name(&self) -> &str {
        &self.metadata.name
    }

    /// Whether it scales `workload`.
    pub(crate) fn is_of(&self, workload: &Workload) -> bool {
        (self.spec.scale_target_ref.kind.as_str(), self.spec.scale_target_ref.name.as_str())
            == (workload.kind().kind(), workload.name())
    }

    /// Whether it starts what has no replicas. One whose least number is 1 or more, the usual ones, leave it alone.
    pub(crate) fn starts_from_nothing(&self) -> bool {
        self.spec.min_replicas == Some(0)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn scale(whole: &Value) -> Result<Scale> {
        Scale::read(whole.clone(), &"shop".parse().expect("a name"), &"deployment/web".parse().expect("a name"))
    }

    #[test]
    fn a_scale_of_each_version() {
        let metadata = json!({"name": "web", "namespace": "shop", "resourceVersion": "17"});
        let new = json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": {"replicas": 3},
            "status": {"replicas": 3, "selector": "app=web,tier in (a,b)"}});
        let read = scale(&new).expect("a scale");
        assert_eq!((read.replicas, read.selector().expect("there")), (3, "app=web,tier in (a,b)"));
        let mut less = new.clone();
        less["spec"]["replicas"] = json!(0);
        assert_eq!(read.with_replicas(0), less, "the version stays, so that a change in between is found");

        let old = json!({"kind": "Scale", "apiVersion": "extensions/v1beta1", "metadata": metadata, "spec": {},
            "status": {"replicas": 0, "selector": {"app": "web", "tier": "a"}, "targetSelector": "app=web,tier=a"}});
        let read = scale(&old).expect("a scale");
        assert_eq!((read.replicas, read.selector().expect("there")), (0, "app=web,tier=a"));
        let older = json!({"kind": "Scale", "metadata": metadata, "spec": {"replicas": 1},
            "status": {"replicas": 1, "selector": {"app": "web", "tier": "a"}}});
        assert_eq!(scale(&older).expect("a scale").selector().expect("there"), "app=web,tier=a");
        let none = json!({"kind": "Scale", "metadata": metadata, "spec": {"replicas": 1}, "status": {"replicas": 1}});
        scale(&none).expect("a scale").selector().expect_err("nothing selects everything");
    }

    #[test]
    fn what_is_no_scale_of_it_is_refused() {
        for (path, wrong) in [
            ("/kind", json!("Status")),
            ("/metadata/name", json!("other")),
            ("/metadata/namespace", json!("other")),
            ("/metadata", json!([])),
            ("/spec/replicas", json!(-1)),
            ("/spec/replicas", json!("3")),
            ("/spec/replicas", json!(2.5)),
            ("/spec/replicas", json!(2_147_483_648_u32)),
            ("/status/selector", json!(7)),
        ] {
            let mut whole = json!({"kind": "Scale", "metadata": {"name": "web", "namespace": "shop"}, "spec": {"replicas": 3},
                "status": {"selector": "app=web"}});
            scale(&whole).expect("a scale");
            *whole.pointer_mut(path).expect(path) = wrong.clone();
            scale(&whole).expect_err(&format!("{path} is {wrong}"));
        }
        for whole in [json!(null), json!([]), json!("Scale"), json!({})] {
            scale(&whole).expect_err("no scale");
        }
    }
}
