//! `deploy/openshift`: templates, processed as OpenShift does, and the objects that come of it.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::yaml::{documents, every_misspelling_is_seen, holds};
use crate::{kubernetes, pod};

/// A template, as OpenShift's documentation of `template.openshift.io/v1` has it; no crate has these types.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Template {
    api_version: String,
    kind: String,
    metadata: Value,
    parameters: Vec<Parameter>,
    objects: Vec<Value>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Parameter {
    name: String,
    display_name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    required: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<String>,
}

/// As much of `build.openshift.io/v1` and `image.openshift.io/v1` as is used, from the same documentation.
#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", deny_unknown_fields, rename_all_fields = "camelCase")]
enum Build {
    ImageStream { api_version: String, metadata: Value },
    BuildConfig { api_version: String, metadata: Value, spec: BuildSpec },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BuildSpec {
    source: Source,
    strategy: Strategy,
    output: Output,
    resources: Value,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", deny_unknown_fields)]
enum Source {
    Git { git: BTreeMap<GitKey, String> },
}

#[derive(Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase")]
enum GitKey {
    Uri,
    Ref,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", deny_unknown_fields, rename_all_fields = "camelCase")]
enum Strategy {
    Docker { docker_strategy: Docker },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Docker {
    dockerfile_path: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Output {
    to: Reference,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reference {
    kind: String,
    name: String,
}

/// Sets the parameters in, as `oc process` does; `given` goes before their own values.
fn process(template: &Value, given: &[(&str, &str)]) -> Result<Vec<Value>, String> {
    let template: Template = serde_json::from_value(template.clone()).map_err(|error| error.to_string())?;
    if (&*template.api_version, &*template.kind) != ("template.openshift.io/v1", "Template") {
        return Err(format!("{} {} is no template", template.api_version, template.kind));
    }
    holds::<ObjectMeta>(&template.metadata)?;
    let mut values: BTreeMap<String, String> = BTreeMap::new();
    for Parameter { name, required, value, .. } in template.parameters {
        let value = given.iter().find(|(given, _)| *given == name).map(|(_, value)| (*value).to_owned()).or(value);
        match value {
            None if required => return Err(format!("the parameter {name} is required")),
            value => values.insert(name, value.unwrap_or_default()),
        };
    }
    let mut used = BTreeSet::new();
    let objects = template.objects.iter().map(|object| set_in(object, &values, &mut used));
    let objects = objects.collect::<Result<Vec<_>, _>>()?;
    match values.keys().find(|name| !used.contains(*name)) {
        Some(name) => Err(format!("the parameter {name} is used nowhere")),
        None => Ok(objects),
    }
}

fn set_in(value: &Value, values: &BTreeMap<String, String>, used: &mut BTreeSet<String>) -> Result<Value, String> {
    match value {
        Value::String(text) => {
            let (mut whole, mut rest) = (String::new(), text.as_str());
            while let Some((before, behind)) = rest.split_once("${") {
                let (name, behind) = behind.split_once('}').ok_or_else(|| format!("{text} is not closed"))?;
                let value = values.get(name).ok_or_else(|| format!("{name} is no parameter"))?;
                used.insert(name.to_owned());
                whole.extend([before, value]);
                rest = behind;
            }
            Ok(Value::String(whole + rest))
        }
        Value::Array(list) => list.iter().map(|item| set_in(item, values, used)).collect(),
        Value::Object(map) => {
            let pairs = map.iter().map(|(key, value)| Ok((key.clone(), set_in(value, values, used)?)));
            pairs.collect::<Result<_, _>>().map(Value::Object)
        }
        other => Ok(other.clone()),
    }
}

/// Fails unless the template can be processed and every object is one that OpenShift knows.
fn check(template: &Value, given: &[(&str, &str)]) -> Result<(), String> {
    process(template, given)?.iter().try_for_each(|object| {
        if !matches!(object["kind"].as_str(), Some("ImageStream" | "BuildConfig")) {
            return kubernetes::check(object);
        }
        let build: Build = serde_json::from_value(object.clone()).map_err(|error| error.to_string())?;
        let (version, wanted, metadata) = match &build {
            Build::ImageStream { api_version, metadata } => (api_version, "image.openshift.io/v1", metadata),
            Build::BuildConfig { api_version, metadata, spec } => {
                holds::<ResourceRequirements>(&spec.resources)?;
                (api_version, "build.openshift.io/v1", metadata)
            }
        };
        if version != wanted || !metadata["name"].is_string() {
            return Err(format!("{version} is not {wanted}, or it has no name"));
        }
        holds::<ObjectMeta>(metadata)
    })
}

const DEPLOY: [(&str, &str); 2] = [("IMAGE_NAMESPACE", "tools"), ("DATABASE_NAME", "shop")];
const BUILD: [(&str, &str); 1] = [("SOURCE_REPOSITORY_URL", "https://git.example.org/backup.git")];

fn template(name: &str) -> Value {
    let mut documents = documents(&format!("openshift/{name}.yaml"));
    assert_eq!(documents.len(), 1, "{name} is one template");
    documents.remove(0)
}

#[test]
fn every_field_is_one_of_openshift() {
    for (name, given) in [("backup-deploy", &DEPLOY[..]), ("backup-build", &BUILD)] {
        let mut free = kubernetes::FREE.to_vec();
        // What a parameter says to people may be missing.
        free.push("description");
        every_misspelling_is_seen(&template(name), &free, |template| check(template, given));
        for (parameter, _) in given {
            let rest: Vec<_> = given.iter().copied().filter(|(name, _)| name != parameter).collect();
            let error = check(&template(name), &rest);
            assert_eq!(error, Err(format!("the parameter {parameter} is required")));
        }
    }
}

#[test]
fn the_parameters_of_the_backup_container_do_what_they_did() {
    let template = template("backup-deploy");
    let names = ["NAME", "SOURCE_IMAGE_NAME", "IMAGE_NAMESPACE", "TAG_NAME", "DATABASE_SERVICE_NAME", "DATABASE_NAME"];
    let more = ["DATABASE_DEPLOYMENT_NAME", "BACKUP_DIR", "NUM_BACKUPS", "BACKUP_PERIOD", "PERSISTENT_VOLUME_NAME"];
    let all = [&names[..], &more, &["PERSISTENT_VOLUME_SIZE", "MEMORY_LIMIT"]].concat();
    let given: Vec<(&str, &str)> = all.iter().map(|name| (*name, if *name == "BACKUP_DIR" { "/b/" } else { "7" })).collect();
    let changed = process(&template, &given).expect("it is processed");
    let plain = process(&template, &DEPLOY).expect("it is processed");
    for name in &all {
        let rest: Vec<_> = given.iter().copied().filter(|(given, _)| given != name).chain(DEPLOY).collect();
        assert_ne!(process(&template, &rest).expect("it is processed"), changed, "{name} changes nothing");
    }
    let spec = &plain[2]["spec"];
    assert_eq!((&spec["replicas"], &spec["strategy"]["type"]), (&1.into(), &"Recreate".into()));
    let pod = &spec["template"]["spec"];
    assert_eq!(pod::is_hardened(pod), Ok(()));
    // The project's own user and group, or none may run.
    assert!(pod["securityContext"]["runAsUser"].is_null() && pod["securityContext"]["fsGroup"].is_null(), "{pod}");
    let given = pod::given(pod, &plain);
    let seeds = ["DATABASE_SERVICE_NAME", "POSTGRESQL_USER", "POSTGRESQL_PASSWORD", "POSTGRESQL_DATABASE", "BACKUP_DIR"];
    pod::is_probed(pod, &given);
    assert!(seeds.iter().all(|name| given.variables.contains_key(*name)), "{given:?}");
    given.is_known_to_the_letter();
}
