//! What is asked of the API, each with the right that it takes.

use std::sync::Arc;

use backup_core::{Error, Result};
use form_urlencoded::Serializer;
use serde::Deserialize;
use serde_json::Value;

use crate::client::{Client, Refusal};
use crate::objects::{Autoscaler, Page, Pod, Progress, Scale};
use crate::workload::{Namespace, Workload};

/// How many objects a page of a list holds.
const PAGE: &str = "100";

const JSON: &str = "application/json";

/// Names are enough; an API too old for that sends all of the objects.
const NAMES: &str = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json";

/// One namespace of one API.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    pub(crate) client: Arc<Client>,
    pub(crate) namespace: Namespace,
}

/// The right that a request takes.
struct Right<'a> {
    verb: &'a str,
    resource: &'a str,
    group: &'a str,
}

impl Api {
    /// How many replicas `workload` is to have.
    pub(crate) async fn scale(&self, workload: &Workload) -> Result<Scale, Refusal> {
        let (path, resource) = self.path(workload, "/scale");
        let right = Right { verb: "get", resource: &resource, group: workload.kind().group() };
        let whole = self.client.ask(&path, JSON, None).await.map_err(|refusal| self.told(refusal, &right, Some(workload)))?;
        Ok(Scale::read(whole, &self.namespace, workload)?)
    }

    /// Gives `workload` so many `replicas`; 409 if anything about it has changed since `scale` was asked for.
    pub(crate) async fn set(&self, workload: &Workload, scale: &Scale, replicas: u32) -> Result<(), Refusal> {
        let (path, resource) = self.path(workload, "/scale");
        let right = Right { verb: "update", resource: &resource, group: workload.kind().group() };
        let body = scale.with_replicas(replicas);
        let whole = self.client.ask(&path, JSON, Some(&body)).await;
        let whole = whole.map_err(|refusal| self.told(refusal, &right, Some(workload)))?;
        let now = Scale::read(whole, &self.namespace, workload)?.replicas;
        if now == replicas {
            return Ok(());
        }
        let message = format!("{workload} in {} was to get {replicas} replicas and got {now}", self.namespace);
        Err(Error::failed(message).with_hint("look for an admission webhook that changes it").into())
    }

    /// How far the controllers are with `workload`.
    pub(crate) async fn progress(&self, workload: &Workload) -> Result<Progress, Refusal> {
        let (path, resource) = self.path(workload, "");
        let right = Right { verb: "get", resource: &resource, group: workload.kind().group() };
        let whole = self.client.ask(&path, JSON, None).await.map_err(|refusal| self.told(refusal, &right, Some(workload)))?;
        Ok(Progress::read(&whole, workload)?)
    }

    /// Names of pods that `selector` selects and that have not ended: those of the first page that has any.
    pub(crate) async fn pods(&self, selector: &str) -> Result<Vec<String>, Refusal> {
        let query = [("labelSelector", selector), ("fieldSelector", "status.phase!=Succeeded,status.phase!=Failed")];
        let path = format!("/api/v1/namespaces/{}/pods", self.namespace);
        let pods: Vec<Pod> = self.list(&path, &query, &Right { verb: "list", resource: "pods", group: "" }, true).await?;
        Ok(pods.iter().map(|pod| pod.name().to_owned()).collect())
    }

    /// What scales workloads of the namespace by itself.
    pub(crate) async fn autoscalers(&self) -> Result<Vec<Autoscaler>, Refusal> {
        let right = Right { verb: "list", resource: "horizontalpodautoscalers", group: "autoscaling" };
        let path = format!("/apis/autoscaling/v1/namespaces/{}/horizontalpodautoscalers", self.namespace);
        self.list(&path, &[], &right, false).await
    }

    /// The items of a list, page by page; of the first page that has any if `first`.
    async fn list<T>(&self, path: &str, query: &[(&str, &str)], right: &Right<'_>, first: bool) -> Result<Vec<T>, Refusal>
    where
        T: for<'a> Deserialize<'a>,
    {
        let mut items = Vec::new();
        let mut next: Option<String> = None;
        loop {
            let path = format!("{path}?{}", page(query, next.as_deref()));
            let whole: Value = match self.client.ask(&path, if first { NAMES } else { JSON }, None).await {
                Ok(whole) => whole,
                // The list has become too old to go on with: a later one is as good.
                Err(refusal) if refusal.code == 410 && next.is_some() => return Err(Refusal { passes: true, ..refusal }),
                Err(refusal) => return Err(self.told(refusal, right, None)),
            };
            let page = Page::read(whole, right.resource)?;
            items.extend(page.items);
            next = page.next;
            if next.is_none() || first && !items.is_empty() {
                return Ok(items);
            }
        }
    }

    /// The path of `workload` with what is `below` it, and the resource of it as a role names it.
    fn path(&self, workload: &Workload, below: &str) -> (String, String) {
        let (group, plural) = (workload.kind().group(), workload.kind().resource());
        let path = format!("/apis/{group}/v1/namespaces/{}/{plural}/{}{below}", self.namespace, workload.name());
        (path, format!("{plural}{below}"))
    }

    /// What a person makes of a refusal: the right that is missing, or what is not there.
    fn told(&self, refusal: Refusal, right: &Right<'_>, workload: Option<&Workload>) -> Refusal {
        let Right { verb, resource, group } = right;
        let namespace = &self.namespace;
        let error = match (refusal.code, workload) {
            (403, _) => {
                let hint =
                    format!("give it a role in {namespace} with the verb {verb:?} on {resource:?} of the API group {group:?}");
                Error::failed(format!("not allowed to {verb} {resource} in {namespace}"))
                    .with_source(refusal.error)
                    .with_hint(hint)
            }
            (404, Some(workload)) if refusal.missing.is_some() => {
                Error::failed(format!("there is no {workload} in {namespace}"))
                    .with_source(refusal.error)
                    .with_hint("look whether name and namespace are right, and whether it is the right cluster")
            }
            (404, _) => Error::failed(format!("the cluster has no {resource}"))
                .with_source(refusal.error)
                .with_hint("look whether it is the right cluster"),
            _ => refusal.error,
        };
        Refusal { error, ..refusal }
    }
}

/// The query for a page, the first or the one that begins at `next`.
fn page(query: &[(&str, &str)], next: Option<&str>) -> String {
    let next = next.map(|next| ("continue", next));
    Serializer::new(String::new()).extend_pairs(query).append_pair("limit", PAGE).extend_pairs(next).finish()
}
