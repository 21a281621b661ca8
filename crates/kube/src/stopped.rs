//! A unit of the journal: what was scaled down, from how many replicas, and where.

use std::fmt;

use backup_core::{Error, Result, Unit};

use crate::workload::{Namespace, Workload};

/// What runs, or ran, with so many replicas. As a unit it is `deployment/web=3 in shop at https://10.96.0.1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stopped {
    pub(crate) workload: Workload,
    pub(crate) replicas: u32,
    pub(crate) namespace: Namespace,
    /// The API's address: another cluster may well have a workload of the same name.
    pub(crate) server: String,
}

impl Stopped {
    pub(crate) fn unit(&self) -> Unit {
        let Self { workload, replicas, namespace, server } = self;
        Unit(format!("{workload}={replicas} in {namespace} at {server}"))
    }

    /// What `unit` says, wherever it comes from.
    pub(crate) fn parse(unit: &Unit) -> Result<Self> {
        let parts = || {
            let (what, place) = unit.0.split_once(" in ")?;
            let (namespace, server) = place.split_once(" at ")?;
            let (workload, replicas) = what.rsplit_once('=')?;
            let stopped = Self {
                workload: workload.parse().ok()?,
                replicas: replicas.parse().ok().filter(|replicas| (1..=i32::MAX as u32).contains(replicas))?,
                namespace: namespace.parse().ok()?,
                server: server.to_owned(),
            };
            // In one way only: names are compared.
            (stopped.unit() == *unit).then_some(stopped)
        };
        parts().ok_or_else(|| Error::failed(format!("{:?} is no workload of a cluster", unit.0)))
    }
}

/// For messages: without the number and the address.
impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.workload, self.namespace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_says_all_that_it_takes_to_bring_it_back() {
        let text = "statefulset/db.v2=17 in shop at https://[fd00::1]:6443/k8s/c-1";
        let stopped = Stopped::parse(&Unit(text.into())).expect("a unit");
        assert_eq!((stopped.workload.to_string().as_str(), stopped.replicas), ("statefulset/db.v2", 17));
        assert_eq!((stopped.namespace.as_str(), stopped.server.as_str()), ("shop", "https://[fd00::1]:6443/k8s/c-1"));
        assert_eq!(stopped.unit().0, text);
    }

    #[test]
    fn what_no_pause_has_written_is_refused() {
        for text in [
            "",
            "nginx",
            "deployment/web",
            "deployment/web=3",
            "deployment/web=3 in shop",
            "deployment/web=0 in shop at https://a",
            "deployment/web=-1 in shop at https://a",
            "deployment/web=03 in shop at https://a",
            "deployment/web=4294967295 in shop at https://a",
            "deploy/web=3 in shop at https://a",
            "deployment/we/b=3 in shop at https://a",
            "deployment/web=3 in ../x at https://a",
        ] {
            Stopped::parse(&Unit(text.into())).expect_err(text);
        }
    }
}
