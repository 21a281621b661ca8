//! What the stand-in answers: the shapes of the real API, status objects included.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::world::World;
use super::{NAMESPACE, Request};

/// A status and a body.
pub(super) type Answer = (u16, String);

const USER: &str = "system:serviceaccount:shop:backup";

/// Answers one request as the API does.
pub(super) fn answer(world: &mut World, request: &Request) -> Answer {
    let known = request.token.as_deref() == Some(world.token.as_str()) || request.has_certificate;
    if !known {
        return status(401, "Unauthorized", "Unauthorized", json!(null));
    }
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let query = pairs(query);
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    match parts.as_slice() {
        ["apis", group @ ("apps" | "apps.openshift.io"), "v1", "namespaces", namespace, plural, rest @ ..] => {
            workload(world, request, (group, namespace, plural), rest)
        }
        ["api", "v1", "namespaces", namespace, "pods"] => {
            if let Some(forbidden) = forbidden(world, "list", "pods", "", namespace, None) {
                return forbidden;
            }
            let live = ["status.phase!=Succeeded,status.phase!=Failed", "status.phase!=Failed,status.phase!=Succeeded"];
            let all = !query.get("fieldSelector").is_some_and(|selector| live.contains(&selector.as_str()));
            let selector = query.get("labelSelector").map(String::as_str).unwrap_or_default();
            let pods = world.objects.values().filter(|object| *namespace == NAMESPACE && object.selector == selector);
            let pods = pods.flat_map(|object| object.pods.iter().filter(|pod| all || !pod.has_ended));
            let items = pods.map(|pod| json!({"metadata": {"name": pod.name, "namespace": NAMESPACE}})).collect();
            page(world, items, "PartialObjectMetadataList", "meta.k8s.io/v1", &query)
        }
        ["apis", "autoscaling", "v1", "namespaces", namespace, "horizontalpodautoscalers"] => {
            if let Some(forbidden) = forbidden(world, "list", "horizontalpodautoscalers", "autoscaling", namespace, None) {
                return forbidden;
            }
            let items = world.autoscalers.iter().map(|(name, target, least)| {
                let (kind, target) = target.split_once('/').expect("Kind/name");
                let mut item = json!({"metadata": {"name": name, "namespace": NAMESPACE},
                    "spec": {"scaleTargetRef": {"kind": kind, "name": target, "apiVersion": "apps/v1"}, "maxReplicas": 9}});
                if let Some(least) = least {
                    item["spec"]["minReplicas"] = json!(least);
                }
                item
            });
            page(world, items.collect(), "HorizontalPodAutoscalerList", "autoscaling/v1", &query)
        }
        _ => (404, "404 page not found\n".to_owned()),
    }
}

fn workload(world: &mut World, request: &Request, at: (&str, &str, &str), rest: &[&str]) -> Answer {
    let (group, namespace, plural) = at;
    let (name, below) = match rest {
        [name] => (*name, ""),
        [name, "scale"] => (*name, "/scale"),
        _ => return (404, "404 page not found\n".to_owned()),
    };
    let is_put = request.method == "PUT";
    let resource = format!("{plural}{below}");
    let verb = if is_put { "update" } else { "get" };
    if let Some(forbidden) = forbidden(world, verb, &resource, group, namespace, Some(name)) {
        return forbidden;
    }
    let lag = world.lag;
    let meddles = is_put && world.meddling > 0;
    world.meddling -= u32::from(meddles);
    let found = world.objects.get_mut(&format!("{}/{name}", plural.trim_end_matches('s')));
    let Some(object) = found.filter(|_| namespace == NAMESPACE) else {
        let message = format!("{plural}.{group} \"{name}\" not found");
        return status(404, "NotFound", &message, json!({"name": name, "group": group, "kind": plural}));
    };
    if !is_put {
        let whole = if below.is_empty() { object.whole(namespace) } else { object.scale_object(namespace) };
        return (200, whole.to_string());
    }
    object.version += u64::from(meddles);
    let body: Value = match serde_json::from_str(&request.body) {
        Ok(body) => body,
        Err(error) => return status(400, "BadRequest", &error.to_string(), json!(null)),
    };
    let replicas = body["spec"]["replicas"].as_u64().unwrap_or_default() as u32;
    if below.is_empty() || body["kind"] != "Scale" || body["metadata"]["name"] != name || body["apiVersion"].is_null() {
        return status(400, "BadRequest", "the object provided is unrecognized", json!(null));
    }
    if body["metadata"]["resourceVersion"] != json!(object.version.to_string()) {
        let message = format!(
            "Operation cannot be fulfilled on {plural}.{group} \"{name}\": the object has been modified; please apply your \
             changes to the latest version and try again"
        );
        return status(409, "Conflict", &message, json!({"name": name, "group": group, "kind": plural}));
    }
    object.scale(replicas, lag);
    (200, object.scale_object(namespace).to_string())
}

fn forbidden(world: &World, verb: &str, resource: &str, group: &str, namespace: &str, name: Option<&str>) -> Option<Answer> {
    world.forbidden.contains(&format!("{verb} {resource}")).then(|| {
        let kind = resource.split('/').next().unwrap_or_default();
        let of = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        let which = name.map(|name| format!(" \"{name}\"")).unwrap_or_default();
        let message = format!(
            "{of}{which} is forbidden: User \"{USER}\" cannot {verb} resource \"{resource}\" in API group \"{group}\" in the \
             namespace \"{namespace}\""
        );
        status(403, "Forbidden", &message, json!({"name": name, "group": group, "kind": kind}))
    })
}

/// A page of `items`, as `limit` and `continue` ask for it.
fn page(world: &World, items: Vec<Value>, kind: &str, version: &str, query: &BTreeMap<String, String>) -> Answer {
    let next = query.get("continue").map(String::as_str).unwrap_or_default();
    let from: usize = next.parse().unwrap_or_default();
    let limit = query.get("limit").and_then(|limit| limit.parse().ok()).unwrap_or(usize::MAX).min(world.page);
    let limit = if world.empty_first && next.is_empty() { 0 } else { limit };
    let until = items.len().min(from.saturating_add(limit));
    let mut metadata = json!({"resourceVersion": "4711"});
    if until < items.len() || world.empty_first && next.is_empty() {
        metadata["continue"] = json!(until.to_string());
    }
    let items = items.get(from..until).unwrap_or_default();
    (200, json!({"kind": kind, "apiVersion": version, "metadata": metadata, "items": items}).to_string())
}

pub(super) fn status(code: u16, reason: &str, message: &str, details: Value) -> Answer {
    let mut body = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
        "reason": reason, "code": code});
    if !details.is_null() {
        body["details"] = details;
    }
    (code, body.to_string())
}

/// The pairs of a query, decoded.
fn pairs(query: &str) -> BTreeMap<String, String> {
    let decode = |text: &str| {
        let mut bytes = Vec::new();
        let mut rest = text.as_bytes();
        while let Some((&first, more)) = rest.split_first() {
            let hex = more.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
            match (first, hex) {
                (b'%', Some(byte)) => {
                    bytes.push(byte);
                    rest = &more[2..];
                    continue;
                }
                (b'+', _) => bytes.push(b' '),
                _ => bytes.push(first),
            }
            rest = more;
        }
        String::from_utf8(bytes).expect("text")
    };
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (decode(name), decode(value))).collect()
}
