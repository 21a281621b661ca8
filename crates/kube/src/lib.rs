//! Takes applications in Kubernetes and OpenShift down for a restore, and brings them back.
//!
//! [`Workloads`] is a [`Lifecycle`](backup_core::Lifecycle): each [`Workload`] is scaled to 0, waited for until no pod of it is
//! left, and gets its former number of replicas afterwards. [`Access`] says where the API is and who asks.
//!
//! It speaks to the API itself, over HTTP/1.1 and TLS: neither `kubectl` nor `oc` has to be there.

mod access;
mod api;
mod client;
mod credentials;
mod kubeconfig;
mod objects;
mod stopped;
mod workload;
mod workloads;
mod yaml;

pub use access::Access;
pub use workload::{Namespace, Workload, WorkloadKind};
pub use workloads::Workloads;
