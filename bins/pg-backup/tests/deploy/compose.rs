//! `deploy/compose.yaml`: read by types of the Compose specification.

use docker_compose_types::Compose;
use serde_json::Value;

use crate::given::Given;
use crate::yaml::{documents, every_misspelling_is_seen, holds};

fn compose() -> Value {
    documents("compose.yaml").remove(0)
}

#[test]
fn every_field_is_one_of_compose() {
    // Names of services, volumes and secrets are free, those of fields are not.
    let mut compose = compose();
    let service = compose["services"]["backup"].take();
    let check = |service: &Value| {
        let mut whole = compose.clone();
        whole["services"]["backup"] = service.clone();
        holds::<Compose>(&whole)
    };
    every_misspelling_is_seen(&service, &["environment"], check);
    for field in ["services", "volumes", "secrets"] {
        let mut other = compose.clone();
        other["services"]["backup"] = service.clone();
        let value = other.as_object_mut().and_then(|map| map.remove(field)).expect(field);
        other[format!("{field}x")] = value;
        assert!(holds::<Compose>(&other).is_err(), "nobody sees that {field} is misspelt");
    }
}

#[test]
fn the_service_has_what_it_needs_and_no_more() {
    let compose = compose();
    let service = &compose["services"]["backup"];
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned();
    let variables = service["environment"].as_object().expect("variables").iter();
    let mut given = Given {
        arguments: service["command"].as_array().expect("arguments").iter().map(text).collect(),
        variables: variables.map(|(name, value)| (name.clone(), text(value))).collect(),
        ..Given::default()
    };
    for secret in service["secrets"].as_array().expect("secrets") {
        assert!(compose["secrets"][text(secret)]["file"].is_string(), "nothing makes the secret {secret}");
        given.files.insert(format!("/run/secrets/{}", text(secret)), "a secret".into());
    }
    given.is_known_to_the_letter();
    let volume = text(&service["volumes"][0]);
    let (name, folder) = volume.split_once(':').expect("a volume and where it is");
    assert!(compose["volumes"].get(name).is_some() && given.variables["BACKUP_DIR"].starts_with(folder), "{volume}");
    assert_eq!((&service["read_only"], &service["cap_drop"][0]), (&true.into(), &"ALL".into()));
    assert_eq!(service["security_opt"][0], "no-new-privileges:true");
    let containerfile = crate::text("Containerfile");
    assert!(containerfile.contains(&format!("\nUSER {}\n", text(&service["user"]))), "another user than the image's");
}
