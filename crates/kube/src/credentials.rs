//! The token that a request shows: given, in a file that is read anew, or told by a program.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use backup_core::{Doing, Error, Result, body, process};
use hyper::header::HeaderValue;
use serde::Deserialize;
use tokio::process::Command;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use crate::access::read;

/// How long a program may take to tell a token.
const TIME: Duration = Duration::from_secs(30);

/// The most that a program may say, in bytes.
const MOST: u64 = 1 << 20;

/// How a token is come by. It is shown without it.
pub(crate) enum Credentials {
    /// There is none: a certificate says who asks.
    None,
    Token(Zeroizing<String>),
    File(PathBuf),
    Program(Program),
}

/// A program that tells a token (client.authentication.k8s.io), as clusters of cloud providers have it.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) command: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: BTreeMap<String, String>,
    /// `client.authentication.k8s.io/v1` or `…/v1beta1`
    pub(crate) version: String,
    /// What it has told last, until the API refuses it.
    pub(crate) told: Told,
}

/// A token, shown as nothing.
#[derive(Default)]
pub(crate) struct Told(Mutex<Option<Zeroizing<String>>>);

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Told")
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Token(_) => f.write_str("Token"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Program(program) => f.debug_tuple("Program").field(&program.command).finish(),
        }
    }
}

impl Credentials {
    /// The token of now; `None` if there is none.
    pub(crate) async fn token(&self) -> Result<Option<Zeroizing<String>>> {
        let token = match self {
            Self::None => return Ok(None),
            Self::Token(token) => token.clone(),
            // Read at each request: the cluster replaces it every hour or so.
            Self::File(path) => Zeroizing::new(Zeroizing::new(read(path)?).trim().to_owned()),
            Self::Program(program) => program.token().await?,
        };
        if token.is_empty() { Err(Error::failed("the token is empty")) } else { Ok(Some(token)) }
    }

    /// Forgets a token that the API has refused. Whether there may be a newer one.
    pub(crate) async fn forget(&self) -> bool {
        match self {
            Self::Program(program) => program.told.0.lock().await.take().is_some(),
            _ => false,
        }
    }
}

/// The header `Authorization` for `token`.
pub(crate) fn bearer(token: &str) -> Result<HeaderValue> {
    let text = Zeroizing::new(format!("Bearer {token}"));
    // The cause is left out: it could show the token.
    let mut value = HeaderValue::from_str(&text).map_err(|_| Error::failed("the token has characters that no token has"))?;
    value.set_sensitive(true);
    Ok(value)
}

#[derive(Deserialize)]
struct ExecCredential {
    status: Option<ExecStatus>,
}

#[derive(Deserialize)]
struct ExecStatus {
    token: Option<String>,
}

impl Program {
    async fn token(&self) -> Result<Zeroizing<String>> {
        let mut told = self.told.0.lock().await;
        if let Some(token) = &*told {
            return Ok(token.clone());
        }
        let doing = || format!("have {} tell a token", self.command.display());
        let asked = tokio::time::timeout(TIME, self.ask()).await;
        let token = asked.unwrap_or_else(|_| Err(Error::failed(format!("it says nothing for {TIME:?}")))).doing(doing)?;
        Ok(told.insert(token).clone())
    }

    async fn ask(&self) -> Result<Zeroizing<String>> {
        let mut command = Command::new(&self.command);
        let version = &self.version;
        let info = serde_json::json!({"apiVersion": version, "kind": "ExecCredential", "spec": {"interactive": false}});
        command.args(&self.arguments).envs(&self.environment).env("KUBERNETES_EXEC_INFO", info.to_string());
        let said = Zeroizing::new(body::to_vec(process::stdout(command)?, MOST).await?);
        // The cause is left out: it could show the token.
        let said: ExecCredential = serde_json::from_slice(&said).map_err(|_| Error::failed("it says no ExecCredential"))?;
        let token = said.status.and_then(|status| status.token);
        let none = || Error::failed("it tells no token").with_hint("certificates that a program tells are not understood");
        token.map(Zeroizing::new).ok_or_else(none)
    }
}
