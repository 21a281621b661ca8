//! Workloads that go down and come back, at a stand-in for the API of a cluster: none can run here.

mod access;
mod scaling;
mod trouble;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use backup_core::{Recorder, Result, Unit};
use backup_kube::{Access, Workload, Workloads};
use backup_tests::kubernetes::StandIn;

/// How often it is looked.
const POLL: Duration = Duration::from_millis(5);

/// What `file` says.
fn kubeconfig(file: &Path) -> Result<Access> {
    Access::find(|name| (name == "KUBECONFIG").then(|| file.display().to_string()))
}

/// The workloads with these names, through the kubeconfig of `api`, and the story that is told.
fn workloads(api: &StandIn, names: &[&str]) -> (Workloads, Arc<Recorder>) {
    let story = Arc::new(Recorder::default());
    (through(kubeconfig(&api.kubeconfig()).expect("a kubeconfig"), names, story.clone()), story)
}

fn through(access: Access, names: &[&str], story: Arc<Recorder>) -> Workloads {
    let names = names.iter().map(|name| name.parse::<Workload>().expect("a workload"));
    let workloads = Workloads::new(access, None, names, story).expect("a client");
    workloads.with_poll(POLL).with_patience(Duration::from_secs(20))
}

/// The unit of `what` with so many replicas.
fn unit(api: &StandIn, what: &str, replicas: u32) -> Unit {
    Unit(format!("{what}={replicas} in shop at {}", api.server()))
}

/// Waits until `there`, which a controller does in its own time.
async fn until(what: &str, there: impl Fn() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        while !there() {
            tokio::time::sleep(POLL).await;
        }
    });
    waited.await.unwrap_or_else(|_| unreachable!("waited in vain until {what}"));
}

/// Fails with one line that has all of `words`, and says what to do.
#[track_caller]
fn assert_fails<T: std::fmt::Debug>(done: Result<T>, words: &[&str]) {
    let error = done.expect_err("it cannot work");
    let line = error.chain();
    for word in words {
        assert!(line.contains(word), "nothing of {word:?}: {error:?}");
    }
    assert!(!line.contains('\n') && error.hint().is_some(), "{error:?}");
    assert!(!format!("{error:?}").contains(backup_tests::kubernetes::TOKEN), "{error:?}");
}
