//! Names of patch files: `target[suffix][+type].ext`, as kubeadm has them.

use super::{Kind, PatchProblem, Target};
use crate::inventory::nearest;

/// What a file's name says; `None` for a file that is no patch.
pub(super) fn parse(name: &str) -> Result<Option<(Target, Kind)>, PatchProblem> {
    if name.starts_with('.') {
        return Ok(None);
    }
    let Some(stem) = name.strip_suffix(".yaml").or_else(|| name.strip_suffix(".json")) else {
        return Ok(None);
    };
    let (base, kind) = match stem.split_once('+') {
        None => (stem, Kind::Strategic),
        Some((base, word)) => {
            let kind = Kind::ALL.into_iter().find(|kind| kind.as_str() == word);
            (base, kind.ok_or_else(|| PatchProblem::UnknownType(word.to_owned()))?)
        }
    };
    let target = Target::ALL.into_iter().find(|target| base.starts_with(target.as_str()));
    let Some(target) = target.filter(|_| !base.contains('.')) else {
        let meant = nearest(base, Target::ALL.map(Target::as_str)).map(str::to_owned);
        return Err(PatchProblem::UnknownTarget(meant));
    };
    Ok(Some((target, kind)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_target_and_type() {
        let is = |name: &str, target, kind| assert_eq!(parse(name).unwrap(), Some((target, kind)));
        is("etcd.yaml", Target::Etcd, Kind::Strategic);
        is("kube-apiserver0+merge.yaml", Target::KubeApiserver, Kind::Merge);
        is("kube-controller-manager-logging+json.json", Target::KubeControllerManager, Kind::Json);
        is("kube-scheduler+strategic.json", Target::KubeScheduler, Kind::Strategic);
        is("kubeletconfiguration1.yaml", Target::KubeletConfiguration, Kind::Strategic);
        is("corednsdeployment.yaml", Target::CorednsDeployment, Kind::Strategic);
        for name in
            ["README.md", ".kube-apiserver.yaml", "kube-apiserver.yaml~", "notes.txt", "x.yml"]
        {
            assert_eq!(parse(name).unwrap(), None, "{name}");
        }
    }

    #[test]
    fn mistaken_names_are_not_passed_over() {
        let told = |name: &str| parse(name).unwrap_err().to_string();
        assert!(told("kube-apisrever.yaml").contains("kube-apiserver"));
        assert!(told("apiserver.yaml").contains("expected one of"));
        assert!(told("etcd+jsonpatch.yaml").contains("jsonpatch"));
        assert!(told("etcd.1.yaml").contains("target"));
    }
}
