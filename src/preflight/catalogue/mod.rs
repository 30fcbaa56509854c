//! What each check looks at, why it matters, and what to do about it. Never decides whether one passed.

mod kubeadm;

pub use kubeadm::remedy;
