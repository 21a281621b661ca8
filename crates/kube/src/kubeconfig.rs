//! What kubeconfig files say: the current context, its cluster, its user.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use backup_core::{Doing, Error, Result};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls_pki_types::CertificateDer;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::access::{Access, Certificate, certificates, private_key, read as read_file};
use crate::credentials::{Credentials, Program, Told};
use crate::yaml;

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case", default)]
struct Config {
    current_context: Option<String>,
    clusters: Option<Vec<Named>>,
    contexts: Option<Vec<Named>>,
    users: Option<Vec<Named>>,
}

/// An entry of one of the lists; it has one of the three.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Named {
    name: String,
    cluster: Option<Cluster>,
    context: Option<ContextOf>,
    user: Option<User>,
    /// Where the file lies whose entry this is: names of files are relative to it.
    #[serde(skip)]
    folder: PathBuf,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case", default)]
struct Cluster {
    server: String,
    certificate_authority: Option<PathBuf>,
    certificate_authority_data: Option<String>,
    insecure_skip_tls_verify: Option<bool>,
    tls_server_name: Option<String>,
    proxy_url: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ContextOf {
    cluster: String,
    user: String,
    namespace: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case", default)]
struct User {
    token: Option<String>,
    #[serde(rename = "tokenFile")]
    token_file: Option<PathBuf>,
    client_certificate: Option<PathBuf>,
    client_certificate_data: Option<String>,
    client_key: Option<PathBuf>,
    client_key_data: Option<String>,
    exec: Option<Exec>,
    username: Option<String>,
    #[serde(rename = "auth-provider")]
    auth_provider: Option<serde_json::Value>,
    #[serde(rename = "as")]
    impersonated: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Exec {
    api_version: String,
    command: PathBuf,
    args: Option<Vec<String>>,
    env: Option<Vec<Variable>>,
}

#[derive(Deserialize)]
struct Variable {
    name: String,
    value: String,
}

/// What `files` say together: of what two name, the first counts. One that is not there is passed over, unless all are.
pub(crate) fn read(files: &[PathBuf]) -> Result<Access> {
    let mut whole = Config::default();
    let (mut clusters, mut contexts, mut users) = (Vec::new(), Vec::new(), Vec::new());
    let there: Vec<&PathBuf> = files.iter().filter(|file| files.len() == 1 || file.exists()).collect();
    // One of them, for the error that says that none is there.
    for file in if there.is_empty() { files.iter().take(1).collect() } else { there } {
        let config = parse(&read_file(file)?).doing(|| format!("understand {}", file.display()))?;
        let folder = file.parent().unwrap_or(Path::new("")).to_owned();
        let here = |list: Option<Vec<Named>>| {
            let folder = folder.clone();
            list.unwrap_or_default().into_iter().map(move |named| Named { folder: folder.clone(), ..named })
        };
        clusters.extend(here(config.clusters));
        contexts.extend(here(config.contexts));
        users.extend(here(config.users));
        whole.current_context = whole.current_context.or(config.current_context.filter(|name| !name.is_empty()));
    }
    let name = whole.current_context.ok_or_else(|| {
        Error::usage("the kubeconfig has no current context").with_hint("choose one with kubectl config use-context")
    })?;
    let context = find(&contexts, "context", &name)?.context.as_ref().ok_or_else(|| empty("context", &name))?;
    let entry = find(&clusters, "cluster", &context.cluster)?;
    let cluster = entry.cluster.as_ref().ok_or_else(|| empty("cluster", &context.cluster))?;
    let mut access =
        reached(cluster, &entry.folder).doing(|| format!("use the cluster {:?} of the kubeconfig", context.cluster))?;
    if !context.user.is_empty() {
        let entry = find(&users, "user", &context.user)?;
        let user = entry.user.as_ref().ok_or_else(|| empty("user", &context.user))?;
        let doing = || format!("use the user {:?} of the kubeconfig", context.user);
        (access.credentials, access.certificate) = known(user, &entry.folder).doing(doing)?;
    }
    let namespace = context.namespace.as_deref().filter(|name| !name.is_empty());
    access.namespace = namespace.map(str::parse).transpose().doing(|| format!("use the context {name:?} of the kubeconfig"))?;
    Ok(access)
}

fn parse(text: &str) -> Result<Config> {
    let wrong = || Error::usage("it is not what a kubeconfig has to be");
    match yaml::parse(text)? {
        serde_json::Value::Null => Ok(Config::default()),
        // The cause could show what stands there, and that may be a secret.
        whole @ serde_json::Value::Object(_) => serde_json::from_value(whole).map_err(|_| wrong()),
        _ => Err(wrong()),
    }
}

fn find<'a>(list: &'a [Named], what: &str, name: &str) -> Result<&'a Named> {
    let found = list.iter().find(|named| named.name == name);
    found.ok_or_else(|| Error::usage(format!("the kubeconfig has no {what} {name:?}")))
}

fn empty(what: &str, name: &str) -> Error {
    Error::usage(format!("the {what} {name:?} of the kubeconfig says nothing"))
}

fn refused(what: &'static str, hint: &'static str) -> Error {
    Error::usage(what).with_hint(hint)
}

fn reached(cluster: &Cluster, folder: &Path) -> Result<Access> {
    if cluster.insecure_skip_tls_verify == Some(true) {
        let hint = "name its authority with certificate-authority, and remove insecure-skip-tls-verify";
        return Err(refused("its certificate is not to be checked, and it always is", hint));
    }
    if cluster.proxy_url.as_deref().is_some_and(|url| !url.is_empty()) {
        return Err(refused("it is behind a proxy, which is not understood", "run it in the cluster"));
    }
    let roots = match data(cluster.certificate_authority_data.as_deref(), cluster.certificate_authority.as_deref(), folder)? {
        Some(pem) => certificates(&pem).doing(|| "read its authority")?,
        None => Vec::<CertificateDer<'static>>::new(),
    };
    Ok(Access {
        server: cluster.server.parse()?,
        tls_name: cluster.tls_server_name.clone().filter(|name| !name.is_empty()),
        roots,
        certificate: None,
        credentials: Credentials::None,
        namespace: None,
    })
}

fn known(user: &User, folder: &Path) -> Result<(Credentials, Option<Certificate>)> {
    if user.username.is_some() || user.auth_provider.is_some() {
        let hint = "give it a token, a certificate or a program that tells a token";
        return Err(refused("its way to log in was removed from Kubernetes", hint));
    }
    if user.impersonated.is_some() {
        return Err(refused("it asks as somebody else, which is not understood", "give that user rights of its own"));
    }
    let chain = data(user.client_certificate_data.as_deref(), user.client_certificate.as_deref(), folder)?;
    let key = data(user.client_key_data.as_deref(), user.client_key.as_deref(), folder)?;
    let certificate = match (chain, key) {
        (Some(chain), Some(key)) => Some(Certificate {
            chain: certificates(&chain).doing(|| "read its certificate")?,
            key: private_key(&key).doing(|| "read its key")?,
        }),
        (None, None) => None,
        _ => return Err(refused("it has a certificate without a key, or a key without a certificate", "give both")),
    };
    let credentials = match user {
        User { token_file: Some(path), .. } => Credentials::File(folder.join(path)),
        User { token: Some(token), .. } => Credentials::Token(Zeroizing::new(token.clone())),
        User { exec: Some(exec), .. } => Credentials::Program(program(exec, folder)),
        _ => Credentials::None,
    };
    Ok((credentials, certificate))
}

fn program(exec: &Exec, folder: &Path) -> Program {
    // As kubectl has it: a name without a slash is looked for on the PATH, any other beside the file.
    let is_name = exec.command.components().count() == 1;
    let variables = exec.env.iter().flatten().map(|variable| (variable.name.clone(), variable.value.clone()));
    Program {
        command: if is_name { exec.command.clone() } else { folder.join(&exec.command) },
        arguments: exec.args.clone().unwrap_or_default(),
        environment: variables.collect::<BTreeMap<_, _>>(),
        version: exec.api_version.clone(),
        told: Told::default(),
    }
}

/// What is given as base64, or in a file; base64 counts first.
fn data(inline: Option<&str>, file: Option<&Path>, folder: &Path) -> Result<Option<Zeroizing<Vec<u8>>>> {
    match (inline.filter(|text| !text.is_empty()), file.filter(|path| !path.as_os_str().is_empty())) {
        (Some(text), _) => {
            let decoded = BASE64_STANDARD.decode(text.split_ascii_whitespace().collect::<String>());
            decoded.map(|bytes| Some(Zeroizing::new(bytes))).map_err(|_| Error::usage("it has data that is not base64"))
        }
        (None, Some(path)) => Ok(Some(Zeroizing::new(read_file(&folder.join(path))?.into_bytes()))),
        (None, None) => Ok(None),
    }
}
