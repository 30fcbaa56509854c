//! Whether kubeadm's upgrade can take CoreDNS and its Corefile along.
//!
//! kubeadm leaves the Corefile's migration to a table of CoreDNS's releases: what it knows, it carries from release to
//! release, putting in what is new and taking out what is gone. Both checks are errors there and here:
//!
//! - `CoreDNSMigration`: the release that runs is not in the table, or newer than the one of the target.
//! - `CoreDNSUnsupportedPlugins`: the Corefile has plugins or options that one of the releases *after* the one that
//!   runs, up to the target's, does not have in the table. They may work all the same, which is why kubeadm can be told
//!   to ignore it. Where CoreDNS stays as it is, nothing is migrated and nothing found. (kubeadm of 1.20 and 1.21 looks
//!   at the release that runs instead; the releases to come are what matters.)
//!
//! The target is the Kubernetes release's CoreDNS even where `[cluster.dns] image_tag` names another, as with kubeadm.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use super::corefile::{self, Plugin};
use super::{Checks, Findings};
use crate::report::Severity;

/// CoreDNS as the cluster runs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoreDns {
    /// Image of the Deployment's first container.
    pub image: String,
    /// The Corefile, `None` when its ConfigMap has none.
    pub corefile: Option<String>,
    /// Tag of the image in the release to come.
    pub target_tag: String,
}

/// A release of CoreDNS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Version(u8, u8, u8);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

const OLDEST: Version = Version(1, 6, 2);
const NEWEST: Version = Version(1, 14, 2);

/// The releases in kubeadm's table from the oldest that a supported cluster can run: of each minor release, its patches.
/// 1.6.8, 1.8.1, 1.8.2 and 1.11.2 were never to be had as images.
const RELEASES: &[(u8, &[u8])] = &[
    (6, &[2, 3, 4, 5, 6, 7, 9]),
    (7, &[0, 1]),
    (8, &[0, 3, 4, 5, 6, 7]),
    (9, &[0, 1, 2, 3, 4]),
    (10, &[0, 1]),
    (11, &[0, 1, 3, 4]),
    (12, &[0, 1, 2, 3, 4]),
    (13, &[0, 1, 2]),
    (14, &[0, 1, 2]),
];

/// What the table has of plugins: the name, the first and the last release, and options it has in these. Several lines
/// of one plugin add up. Gaps are the table's, also where CoreDNS itself has none.
const KNOWN: &[(&str, Version, Version, &str)] = &[
    ("autopath", OLDEST, NEWEST, ""),
    ("cache", OLDEST, NEWEST, "denial prefetch success"),
    ("cache", Version(1, 6, 6), Version(1, 6, 9), "serve_stale"),
    ("cache", Version(1, 9, 4), NEWEST, "disable serve_stale servfail"),
    ("cache", Version(1, 10, 1), NEWEST, "keepttl"),
    ("errors", OLDEST, NEWEST, "consolidate"),
    ("errors", Version(1, 9, 3), NEWEST, "stacktrace"),
    ("forward", OLDEST, NEWEST, "except expire force_tcp health_check max_fails policy prefer_udp"),
    ("forward", OLDEST, NEWEST, "tls tls_servername"),
    ("forward", Version(1, 6, 9), NEWEST, "max_concurrent"),
    ("forward", Version(1, 11, 4), NEWEST, "next"),
    ("forward", Version(1, 11, 4), Version(1, 11, 4), "fail_fast"),
    ("forward", Version(1, 12, 0), NEWEST, "failfast_all_unhealthy_upstreams"),
    ("health", OLDEST, NEWEST, "lameduck"),
    ("hosts", OLDEST, NEWEST, "fallthrough no_reverse reload ttl"),
    ("k8s_external", OLDEST, NEWEST, "apex ttl"),
    ("k8s_external", Version(1, 11, 0), NEWEST, "fallthrough"),
    ("kubernetes", OLDEST, NEWEST, "endpoint endpoint_pod_names fallthrough ignore kubeconfig"),
    ("kubernetes", OLDEST, NEWEST, "labels namespaces noendpoints pods tls ttl"),
    ("kubernetes", OLDEST, Version(1, 7, 1), "resyncperiod upstream"),
    ("kubernetes", OLDEST, Version(1, 8, 0), "transfer"),
    ("loadbalance", OLDEST, NEWEST, ""),
    ("log", OLDEST, NEWEST, "class"),
    ("loop", OLDEST, NEWEST, ""),
    ("prometheus", OLDEST, NEWEST, ""),
    ("ready", OLDEST, NEWEST, ""),
    ("reload", OLDEST, NEWEST, ""),
    ("rewrite", OLDEST, NEWEST, "class edns0 name ttl type"),
    ("rewrite", Version(1, 11, 0), NEWEST, "cname_target"),
    ("transfer", Version(1, 8, 0), NEWEST, "to"),
];

impl Checks<'_> {
    /// Both checks, where CoreDNS is the cluster's own and runs.
    pub(super) fn coredns(&mut self, coredns: &Result<Option<CoreDns>, String>) {
        let (unsupported, migration) = match coredns {
            Ok(None) => return,
            Err(problem) => unknown(&format!("CoreDNS could not be looked at: {problem}")),
            Ok(Some(CoreDns { corefile: None, .. })) => {
                unknown("ConfigMap kube-system/coredns has no Corefile")
            }
            Ok(Some(CoreDns { image, corefile: Some(corefile), target_tag })) => {
                let (running, target) = (tag(image), target_tag.trim_start_matches('v'));
                let saw = |findings: Findings| {
                    findings.saw("CoreDNS", running).saw("CoreDNS to come", target)
                };
                let plugins = corefile::plugins(corefile);
                let path = path(running, target);
                let names: BTreeSet<&str> = plugins.iter().map(|p| p.name.as_str()).collect();
                let names = names.into_iter().collect::<Vec<_>>().join(" ");
                let found = path.as_deref().map(|path| unsupported(&plugins, path));
                (
                    // Without a way there is nothing to compare with; that is the other check's error.
                    saw(found.unwrap_or_default()).saw("plugins", names),
                    saw(path.err().map(Findings::error).unwrap_or_default()),
                )
            }
        };
        self.push("CoreDNSUnsupportedPlugins", unsupported);
        self.push("CoreDNSMigration", migration);
    }
}

fn unknown(problem: &str) -> (Findings, Findings) {
    let findings = || Findings::error(problem).saw("CoreDNS", "unknown");
    (findings(), findings())
}

/// The version in an image's name, as kubeadm takes it from there, without a leading `v`.
fn tag(image: &str) -> &str {
    let (name, _digest) = image.split_once('@').unwrap_or((image, ""));
    let tag = name.rsplit('/').next().and_then(|name| name.split_once(':'));
    tag.map_or("", |(_, tag)| tag).trim_start_matches('v')
}

/// The releases a Corefile is carried through, the one that runs not among them; or why it cannot be.
fn path(running: &str, target: &str) -> Result<Vec<Version>, String> {
    if running == target {
        return Ok(Vec::new());
    }
    let (Some(from), to) = (find(running), find(target)) else {
        return Err(format!(
            "CoreDNS {running:?} is not a release whose Corefile can be migrated; CoreDNS will not \
             be upgraded"
        ));
    };
    match to.filter(|to| from < *to) {
        Some(to) => Ok(releases().filter(|version| from < *version && *version <= to).collect()),
        None => Err(format!(
            "a Corefile cannot be migrated from CoreDNS {from} to {target}; CoreDNS will not be \
             upgraded"
        )),
    }
}

fn releases() -> impl Iterator<Item = Version> {
    RELEASES.iter().flat_map(|(minor, patches)| patches.iter().map(|p| Version(1, *minor, *p)))
}

fn find(version: &str) -> Option<Version> {
    releases().find(|release| release.to_string() == version)
}

/// What some release on the way does not have in the table, each thing once, with the first such release.
fn unsupported(plugins: &[Plugin], path: &[Version]) -> Findings {
    let mut findings = Findings::default();
    let mut told = BTreeSet::new();
    let mut tell = |what: String, version: Version| {
        if told.insert(what.clone()) {
            let text = format!("{what} cannot be migrated to CoreDNS {version}");
            findings.add(Severity::Error, text);
        }
    };
    for Plugin { name, options } in plugins {
        for version in path {
            if !knows(name, None, *version) {
                tell(format!("the Corefile's plugin {name}"), *version);
                continue;
            }
            for option in options.iter().filter(|option| !knows(name, Some(option), *version)) {
                tell(format!("option {option} of the Corefile's plugin {name}"), *version);
            }
        }
    }
    findings
}

fn knows(plugin: &str, option: Option<&str>, version: Version) -> bool {
    // Each line of this plugin's block may begin with an address.
    if plugin == "hosts" && option.is_some_and(|option| option.parse::<IpAddr>().is_ok()) {
        return true;
    }
    KNOWN.iter().any(|(name, first, last, options)| {
        *name == plugin
            && (*first..=*last).contains(&version)
            && option.is_none_or(|option| options.split(' ').any(|known| known == option))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Release;

    /// What is found on the way from one CoreDNS to another.
    fn found(from: &str, to: &str, body: &str) -> String {
        let corefile = format!(".:53 {{\n{body}\n}}");
        let plugins = corefile::plugins(&corefile);
        let findings = unsupported(&plugins, &path(from, to).unwrap());
        let result = crate::preflight::CheckResult::new("x", findings);
        let texts = result.findings.into_iter().map(|finding| finding.message);
        texts.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn every_release_of_kubernetes_can_follow_the_one_before() {
        let tags: Vec<_> =
            Release::all().map(|release| release.images.coredns.trim_start_matches('v')).collect();
        for pair in tags.windows(2) {
            let path = path(pair[0], pair[1]).unwrap();
            assert_eq!(path.last().copied(), find(pair[1]).filter(|_| pair[0] != pair[1]));
        }
        assert!(releases().is_sorted());
        assert_eq!((releases().next(), releases().last()), (Some(OLDEST), Some(NEWEST)));
        assert_eq!(releases().count(), 37);
    }

    #[test]
    fn where_no_way_leads() {
        for (from, to) in [
            ("1.6.1", "1.7.0"),
            ("1.8.2", "1.8.4"),
            ("1.8.4-custom", "1.8.6"),
            ("1.14.3", "1.14.2"),
            ("", "1.14.2"),
            ("1.9.3", "1.8.6"),
            ("1.9.3", "1.99.0"),
        ] {
            assert!(path(from, to).is_err(), "{from} {to}");
        }
        assert_eq!(path("own", "own"), Ok(vec![]));
        assert_eq!(path("1.8.0", "1.8.4"), Ok(vec![Version(1, 8, 3), Version(1, 8, 4)]));
    }

    #[test]
    fn the_version_is_the_images_tag() {
        for (image, version) in [
            ("registry.k8s.io/coredns/coredns:v1.11.1", "1.11.1"),
            ("k8s.gcr.io/coredns:1.7.0", "1.7.0"),
            ("localhost:5000/coredns", ""),
            ("localhost:5000/coredns:v1.8.0@sha256:00ff", "1.8.0"),
            ("coredns", ""),
            ("", ""),
        ] {
            assert_eq!(tag(image), version, "{image}");
        }
    }

    /// kubeadm's own Corefiles never stand in the way.
    #[test]
    fn the_usual_corefile_goes_all_the_way() {
        let usual = "errors\nhealth {\nlameduck 5s\n}\nready\nkubernetes cluster.local {\npods insecure\n\
            fallthrough in-addr.arpa\nttl 30\n}\nprometheus :9153\nforward . /etc/resolv.conf {\n\
            max_concurrent 1000\n}\ncache 30 CACHE\nloop\nreload\nloadbalance";
        assert_eq!(found("1.7.0", "1.14.2", &usual.replace("CACHE", "")), "");
        let disabled = usual.replace("CACHE", "{\ndisable success cluster.local\n}");
        assert_eq!(found("1.11.3", "1.14.2", &disabled), "");
        assert!(found("1.7.0", "1.14.2", &disabled).contains("option disable"));
    }

    #[test]
    fn what_is_not_known_is_told_once_with_the_first_release() {
        let body = "fancy\nfancy\nimport common\nkubernetes {\nupstream\ntransfer to *\n}\n\
            hosts /etc/h {\n10.0.0.1 a\nfd00::1 b\nzone c\n}\ntransfer {\nto *\n}";
        insta::assert_snapshot!(found("1.7.0", "1.8.4", body), @r"
        the Corefile's plugin fancy cannot be migrated to CoreDNS 1.7.1
        the Corefile's plugin import cannot be migrated to CoreDNS 1.7.1
        option upstream of the Corefile's plugin kubernetes cannot be migrated to CoreDNS 1.8.0
        option transfer of the Corefile's plugin kubernetes cannot be migrated to CoreDNS 1.8.3
        option zone of the Corefile's plugin hosts cannot be migrated to CoreDNS 1.7.1
        the Corefile's plugin transfer cannot be migrated to CoreDNS 1.7.1
        ");
        assert_eq!(found("1.8.6", "1.8.6", body), "");
        // Known, then not, then known: the way leads through.
        assert!(found("1.6.9", "1.9.4", "cache {\nserve_stale\n}").ends_with("1.7.0"));
        assert_eq!(found("1.9.3", "1.9.4", "cache {\nserve_stale\n}"), "");
    }
}
