//! What is scaled: its kind, its name, its namespace.

use std::fmt;
use std::str::FromStr;

use backup_core::{Error, Result};

/// The longest name of an object, in bytes (RFC 1123, as Kubernetes has it).
const LONGEST: usize = 253;

/// The longest part of a name between two dots, and the longest name of a namespace, in bytes.
const LABEL: usize = 63;

/// A kind of workload that has the subresource `scale`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WorkloadKind {
    /// `apps/v1`
    Deployment,
    /// `apps/v1`
    StatefulSet,
    /// `apps.openshift.io/v1`
    DeploymentConfig,
}

impl WorkloadKind {
    /// The name in lower case, as it stands before the slash.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Deployment => "deployment",
            Self::StatefulSet => "statefulset",
            Self::DeploymentConfig => "deploymentconfig",
        }
    }

    /// The name as it stands in an object's `kind`.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::DeploymentConfig => "DeploymentConfig",
        }
    }

    /// The resource, as in paths and in roles.
    pub(crate) fn resource(self) -> &'static str {
        match self {
            Self::Deployment => "deployments",
            Self::StatefulSet => "statefulsets",
            Self::DeploymentConfig => "deploymentconfigs",
        }
    }

    /// The API group.
    pub(crate) fn group(self) -> &'static str {
        match self {
            Self::Deployment | Self::StatefulSet => "apps",
            Self::DeploymentConfig => "apps.openshift.io",
        }
    }
}

impl FromStr for WorkloadKind {
    type Err = Error;

    /// Reads the kind's name in any case, alone or in the plural, or its short name: `deploy`, `sts`, `dc`.
    fn from_str(text: &str) -> Result<Self> {
        match text.to_ascii_lowercase().as_str() {
            "deployment" | "deployments" | "deploy" => Ok(Self::Deployment),
            "statefulset" | "statefulsets" | "sts" => Ok(Self::StatefulSet),
            "deploymentconfig" | "deploymentconfigs" | "dc" => Ok(Self::DeploymentConfig),
            _ => Err(Error::usage(format!("{text:?} is no kind of workload that can be scaled"))
                .with_hint("the kinds are deployment, statefulset and deploymentconfig")),
        }
    }
}

/// A workload by kind and name, written `deployment/web`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Workload {
    kind: WorkloadKind,
    name: String,
}

impl Workload {
    /// Its kind.
    pub fn kind(&self) -> WorkloadKind {
        self.kind
    }

    /// Its name, which can stand in a path as it is.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.word(), self.name)
    }
}

impl FromStr for Workload {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let Some((kind, name)) = text.split_once('/') else {
            return Err(Error::usage(format!("{text:?} names no workload")).with_hint("give KIND/NAME, such as deployment/web"));
        };
        let kind = kind.parse()?;
        if name.len() > LONGEST || !name.split('.').all(is_label) {
            let hint = "a name has lower-case letters, digits, dashes and dots";
            return Err(Error::usage(format!("{name:?} cannot be the name of a {}", WorkloadKind::word(kind))).with_hint(hint));
        }
        Ok(Self { kind, name: name.to_owned() })
    }
}

/// The name of a namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Namespace(String);

impl Namespace {
    /// The name, which can stand in a path as it is.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Namespace {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if is_label(text) {
            return Ok(Self(text.to_owned()));
        }
        let hint = "a namespace has lower-case letters, digits and dashes";
        Err(Error::usage(format!("{text:?} cannot be the name of a namespace")).with_hint(hint))
    }
}

/// A label of RFC 1123.
fn is_label(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = [text.bytes().next(), text.bytes().last()];
    text.len() <= LABEL
        && ends.into_iter().all(|end| end.is_some_and(plain))
        && text.bytes().all(|byte| plain(byte) || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_has_many_names_and_is_written_in_one_way() {
        for (text, name) in [
            ("deployment/web", "deployment/web"),
            ("Deployments/web.v2", "deployment/web.v2"),
            ("deploy/0", "deployment/0"),
            ("sts/db-1", "statefulset/db-1"),
            ("DeploymentConfig/a", "deploymentconfig/a"),
            ("dc/a", "deploymentconfig/a"),
        ] {
            assert_eq!(text.parse::<Workload>().expect(text).to_string(), name);
        }
    }

    #[test]
    fn a_name_that_could_lead_elsewhere_is_none() {
        let long = format!("deployment/{}", "a".repeat(64));
        let longer = format!("deployment/{}", ["abc"; 64].join("."));
        for text in [
            "web",
            "",
            "/",
            "deployment/",
            "pod/web",
            "deployment/web/scale",
            "deployment/../secrets",
            "deployment/we b",
            "deployment/Web",
            "deployment/-web",
            "deployment/web-",
            "deployment/web.",
            "deployment/.",
            "deployment/web?x=1",
            "deployment/wéb",
            "deployment/web\n",
            "deployment/web%2f",
            &long,
            &longer,
        ] {
            let error = text.parse::<Workload>().expect_err(text);
            assert!(error.hint().is_some() && !error.chain().contains('\n'), "{error:?}");
        }
        for text in ["", "a.b", "A", "a/b", "..", &"a".repeat(64)] {
            text.parse::<Namespace>().expect_err(text);
        }
        assert_eq!("shop-1".parse::<Namespace>().expect("a name").as_str(), "shop-1");
    }
}
