//! Checks before anything is changed: pure functions over facts. Never does I/O.
//!
//! | module | what lives there |
//! |---|---|
//! | `kubeadm` | kubeadm's own checks, of one host |
//! | `endpoint` | whether the host sees the control plane's endpoint |
//! | `fleet` | checks over all hosts, and what kubeadm does not look at |
//! | `fix` | safe remedies, and the way back |
//! | `links` | which hosts have to reach which ports of which others |
//! | `catalogue` | what each check looks at, why it matters, and what to do about it |
//! | `result` | what a check says |

pub mod catalogue;
pub mod endpoint;
pub mod fix;
pub mod fleet;
mod kubeadm;
pub mod links;
mod result;

pub use catalogue::{Explanation, Source, all, explain, remedy};
pub use kubeadm::{
    ClusterView, ControlPlaneNode, CoreDns, ExternalEtcd, Membership, Target, Workflow, evaluate,
    image_pull,
};
pub use result::{CheckResult, ignore};
