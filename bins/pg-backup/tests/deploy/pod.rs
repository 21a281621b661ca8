//! What holds of every pod, and what it gives to the program.

use serde_json::Value;

use crate::given::Given;

/// A container that gets everything by `env`, and files by volumes of ConfigMaps and secrets. `objects` are those that are
/// applied with it: volumes and accounts that none of them makes fail the test.
pub(crate) fn given(spec: &Value, objects: &[Value]) -> Given {
    let find = |kind: &str, name: &Value| {
        let found = objects.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == *name);
        found.unwrap_or_else(|| panic!("nothing makes the {kind} {name}"))
    };
    let [container] = &spec["containers"].as_array().expect("containers")[..] else { panic!("one container") };
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned();
    let mut given = Given::default();
    given.arguments.extend(container["args"].as_array().expect("arguments").iter().map(text));
    for variable in container["env"].as_array().expect("variables") {
        let value = match &variable["valueFrom"]["secretKeyRef"]["key"] {
            Value::Null => text(&variable["value"]),
            key => format!("the {} of a secret", text(key)),
        };
        assert_eq!(given.variables.insert(text(&variable["name"]), value), None, "{variable} is there twice");
    }
    find("ServiceAccount", &spec["serviceAccountName"]);
    let mut persistent = Vec::new();
    for mount in container["volumeMounts"].as_array().expect("mounts") {
        let mut volumes = spec["volumes"].as_array().expect("volumes").iter();
        let volume = volumes.find(|volume| volume["name"] == mount["name"]).unwrap_or_else(|| panic!("no volume for {mount}"));
        let folder = text(&mount["mountPath"]);
        if volume["persistentVolumeClaim"].is_object() {
            find("PersistentVolumeClaim", &volume["persistentVolumeClaim"]["claimName"]);
            persistent.push(folder);
        } else if volume["configMap"].is_object() {
            let data = find("ConfigMap", &volume["configMap"]["name"])["data"].as_object().expect("data");
            given.files.extend(data.iter().map(|(name, content)| (format!("{folder}/{name}"), text(content))));
        } else {
            let items = volume["secret"]["items"].as_array().expect("items of a secret");
            given.files.extend(items.iter().map(|item| (format!("{folder}/{}", text(&item["path"])), "a secret".to_owned())));
        }
    }
    let root = given.variables.get("ROOT_BACKUP_DIR").or(given.variables.get("BACKUP_DIR")).expect("a folder for dumps");
    let on_volume = |folder: &String| root.trim_end_matches('/') == folder.trim_end_matches('/');
    assert!(persistent.iter().any(on_volume), "{root} is on no volume: {persistent:?}");
    given
}

/// Fails if the pod has a right that the program does not need.
pub(crate) fn is_hardened(spec: &Value) -> Result<(), String> {
    let is = |what: &str, holds: bool| if holds { Ok(()) } else { Err(what.to_owned()) };
    is("not as root", spec["securityContext"]["runAsNonRoot"] == true)?;
    is("seccomp", spec["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault")?;
    is("no token", spec["automountServiceAccountToken"] == false)?;
    is("time to end", spec["terminationGracePeriodSeconds"].as_u64() >= Some(30))?;
    let container = &spec["containers"][0];
    is("read-only root", container["securityContext"]["readOnlyRootFilesystem"] == true)?;
    is("no escalation", container["securityContext"]["allowPrivilegeEscalation"] == false)?;
    is("no capabilities", container["securityContext"]["capabilities"]["drop"][0] == "ALL")?;
    is("no more capabilities", container["securityContext"]["capabilities"]["add"].is_null())?;
    is("a limit of memory", container["resources"]["limits"]["memory"].is_string())?;
    is("a request of memory", container["resources"]["requests"]["memory"].is_string())
}

/// Fails the test unless the pod is asked for its health where the program listens.
pub(crate) fn is_probed(spec: &Value, given: &Given) {
    let container = &spec["containers"][0];
    let port = &container["ports"][0];
    let address = given.variables.get("BACKUP_LISTEN").expect("the program listens");
    assert_eq!(address, &format!("0.0.0.0:{}", port["containerPort"]));
    for (probe, path) in [("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")] {
        let get = &container[probe]["httpGet"];
        assert_eq!((&get["path"], &get["port"]), (&path.into(), &port["name"]));
    }
}
