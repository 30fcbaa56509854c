//! ImagePull, of which the pulling itself is done elsewhere.

use crate::preflight::result::{CheckResult, Findings};

/// kubeadm's `ImagePull`: whether the runtime pulled so many images, or the reason why it could not pull one.
pub fn image_pull(images: usize, problem: Option<String>) -> CheckResult {
    let findings = problem.map(Findings::error).unwrap_or_default();
    CheckResult::new("ImagePull", findings.saw("images", images))
}
