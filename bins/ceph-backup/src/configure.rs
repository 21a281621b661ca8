//! `configure`: asks what `s3cmd --configure` asks, tries it, and writes s3cmd's configuration file.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use backup_ceph::{Credentials, S3Cfg, connect};
use backup_cli::{Answers, Face, escaped, line, secret};
use backup_core::{Error, Event, Kind, Result};
use clap::Args;
use serde_json::json;

use crate::server::variable;

#[derive(Debug, Args)]
pub(crate) struct Configure {}

impl Configure {
    pub(crate) async fn run(self, face: &Face) -> Result<()> {
        if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
            return Err(Error::usage("the questions need a terminal, and this is none")
                .with_hint("run it on a terminal, or write ~/.s3cfg with an editor"));
        }
        let path = path(face)?;
        let mut cfg = before(face, &path);
        loop {
            ask(face, &mut cfg).await?;
            if !is_yes(face, "Test access with these settings? [Y/n]: ").await? {
                break;
            }
            match test(face, &cfg).await {
                Ok(buckets) => {
                    say(face, &format!("The server took the keys; it shows {buckets} buckets."), &json!({"buckets": buckets}))?;
                    break;
                }
                Err(error) if face.cx.cancel.is_cancelled() => return Err(error),
                Err(error) => {
                    let hint = error.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
                    face.cx.tell(Event::Warning { what: &format!("{}{hint}", error.chain()) });
                }
            }
            if !is_yes(face, "Ask again? [Y/n]: ").await? {
                break;
            }
        }
        let shown = escaped(&path.display().to_string());
        let question = if path.symlink_metadata().is_ok() {
            format!("{shown} is there and would be replaced; keys that mean nothing to ceph-backup are not kept.")
        } else {
            format!("{shown} would be written.")
        };
        if !Answers::new(false, "yes").is_yes(&face.cx, &question).await? {
            return Err(Error::new(Kind::Cancelled, "that was no yes: nothing was written"));
        }
        cfg.write(&path)?;
        say(face, &format!("wrote {shown}, which only you can read"), &json!({"wrote": path}))
    }
}

fn say(face: &Face, text: &str, value: &serde_json::Value) -> Result<()> {
    Ok(face.report.result(text, value)?)
}

/// The file that `--s3cfg` names, else `~/.s3cfg`.
fn path(face: &Face) -> Result<PathBuf> {
    let usual = || variable("HOME").filter(|home| !home.is_empty()).map(|home| Path::new(&home).join(".s3cfg"));
    let path = face.s3.s3cfg.clone().or_else(usual);
    path.ok_or_else(|| Error::usage("there is no home for a .s3cfg").with_hint("name the file with --s3cfg"))
}

/// What the file says that is there, so that Enter keeps it.
fn before(face: &Face, path: &Path) -> S3Cfg {
    if path.symlink_metadata().is_err() {
        return S3Cfg::default();
    }
    match S3Cfg::read(path, &variable) {
        Ok((cfg, _)) => cfg,
        Err(error) => {
            face.cx.tell(Event::Warning { what: &format!("what is there is not taken over: {}", error.chain()) });
            S3Cfg::default()
        }
    }
}

/// Asks for everything, in the order in which s3cmd does.
async fn ask(face: &Face, cfg: &mut S3Cfg) -> Result<()> {
    let (access_key, old) = match &cfg.credentials {
        Some(keys) => (keys.access_key.clone(), Some(keys.clone())),
        None => (String::new(), None),
    };
    let access_key = one(face, "Access Key", &access_key).await?;
    let kept = if old.is_some() { " [as it was]" } else { "" };
    let secret_key = secret(&face.cx, &format!("Secret Key{kept}: ")).await?;
    cfg.credentials = match (secret_key, old) {
        (Some(secret_key), _) => Some(Credentials::new(access_key, secret_key)),
        (None, Some(old)) => Some(Credentials { access_key, ..old }),
        (None, None) => None,
    };
    let region = cfg.bucket_location.clone();
    set(face, cfg, "bucket_location", "Default Region", &region).await?;
    let host = cfg.host_base.clone();
    set(face, cfg, "host_base", "S3 Endpoint, HOST or HOST:PORT", &host).await?;
    let is_host = |template: &str| template.starts_with("%(bucket)s.");
    let usual = if cfg.host_base == host && !(cfg.use_path_mode && is_host(&cfg.host_bucket)) {
        cfg.host_bucket.clone()
    } else {
        cfg.host_base.clone()
    };
    let template = "Bucket and endpoint: the endpoint again for paths, %(bucket)s.HOST[:PORT] for hosts";
    set(face, cfg, "host_bucket", template, &usual).await?;
    // Who answers with a host means one.
    cfg.use_path_mode &= !is_host(&cfg.host_bucket);
    let https = if cfg.use_https { "Yes" } else { "No" };
    set(face, cfg, "use_https", "Use HTTPS protocol", https).await?;
    if cfg.use_https {
        let ca = cfg.ca_certs_file.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
        set(face, cfg, "ca_certs_file", "File with the certificates to trust, - for those of this machine", &ca).await?;
    }
    Ok(())
}

/// Asks until the answer is one that the key can have.
async fn set(face: &Face, cfg: &mut S3Cfg, key: &str, what: &str, usual: &str) -> Result<()> {
    loop {
        let answer = one(face, what, usual).await?;
        match cfg.set(key, if answer == "-" { "" } else { &answer }) {
            Ok(()) => return Ok(()),
            Err(error) => face.cx.tell(Event::Warning { what: &error.chain() }),
        }
    }
}

/// An answer, or what is usual.
async fn one(face: &Face, what: &str, usual: &str) -> Result<String> {
    let shown = if usual.is_empty() { String::new() } else { format!(" [{}]", escaped(usual)) };
    let answer = answer(face, format!("{what}{shown}: ")).await?;
    Ok(if answer.is_empty() { usual.to_owned() } else { answer })
}

async fn is_yes(face: &Face, question: &str) -> Result<bool> {
    let answer = answer(face, question.to_owned()).await?.to_lowercase();
    Ok(answer.is_empty() || answer == "y" || answer == "yes")
}

/// A line without what is around it. The end of the input is no answer but the end.
async fn answer(face: &Face, question: String) -> Result<String> {
    let answer = line(&face.cx, question).await?;
    if answer.is_empty() { Err(Error::cancelled()) } else { Ok(answer.trim().to_owned()) }
}

/// How many buckets the server shows.
async fn test(face: &Face, cfg: &S3Cfg) -> Result<usize> {
    let mut access = cfg.access(None, &variable)?;
    if access.credentials.is_none() {
        return Err(Error::usage("there is no secret key"));
    }
    // A person waits.
    access.attempts = access.attempts.min(2);
    Ok(face.cx.unless_cancelled(connect(&access)?.buckets()).await?.len())
}
