//! Whether kubeadm's upgrade can take CoreDNS and its Corefile along.
//!
//! kubeadm leaves the Corefile's migration to a table of CoreDNS's releases: what it knows, it carries from release to
//! release, putting in what is new and taking out what is gone.
//!
//! - `CoreDNSMigration`, an error: the release that runs is not in the table, or newer than the one of the target.
//! - `CoreDNSUnsupportedPlugins`: the Corefile has plugins or options that the table does not have for the release that
//!   runs, so that they are left as they are, which may be right. An error up to 1.26. kubeadm of 1.27 and later has the
//!   check too but finds nothing, as its library compares a release only with another one; what it overlooks is a
//!   warning here. A release that is not in the table is told of once, by the other check.
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
                let names: BTreeSet<&str> = plugins.iter().map(|p| p.name.as_str()).collect();
                let names = names.into_iter().collect::<Vec<_>>().join(" ");
                let severity = self.rules.unknown_plugins;
                let unsupported = find(running).map(|from| unsupported(&plugins, from, severity));
                let problem = no_way(running, target);
                (
                    saw(unsupported.unwrap_or_default()).saw("plugins", names),
                    saw(problem.map(Findings::error).unwrap_or_default()),
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

/// Why a Corefile cannot be carried from one release to another, if it cannot.
fn no_way(running: &str, target: &str) -> Option<String> {
    if running == target {
        return None;
    }
    let Some(from) = find(running) else {
        return Some(format!(
            "CoreDNS {running:?} is not a release whose Corefile can be migrated; CoreDNS will not \
             be upgraded"
        ));
    };
    let leads_there = find(target).is_some_and(|to| from < to);
    (!leads_there).then(|| {
        format!(
            "a Corefile cannot be migrated from CoreDNS {from} to {target}; CoreDNS will not be \
             upgraded"
        )
    })
}

fn releases() -> impl Iterator<Item = Version> {
    RELEASES.iter().flat_map(|(minor, patches)| patches.iter().map(|p| Version(1, *minor, *p)))
}

fn find(version: &str) -> Option<Version> {
    releases().find(|release| release.to_string() == version)
}

/// What the table does not have for a release, each thing once.
fn unsupported(plugins: &[Plugin], version: Version, severity: Severity) -> Findings {
    let mut unknown = Vec::new();
    for Plugin { name, options } in plugins {
        if !knows(name, None, version) {
            unknown.push(format!("plugin {name}"));
            continue;
        }
        let options = options.iter().filter(|option| !knows(name, Some(option), version));
        unknown.extend(options.map(|option| format!("option {option} of plugin {name}")));
    }
    let mut findings = Findings::default();
    let mut told = BTreeSet::new();
    for what in unknown.iter().filter(|what| told.insert(*what)) {
        let text = format!("the Corefile's {what} is not known to kubeadm for CoreDNS {version}");
        findings.add(severity, text);
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

    /// What is found of a CoreDNS.
    fn found(running: &str, body: &str) -> String {
        let corefile = format!(".:53 {{\n{body}\n}}");
        let plugins = corefile::plugins(&corefile);
        let findings = unsupported(&plugins, find(running).unwrap(), Severity::Error);
        let result = crate::preflight::CheckResult::new("x", findings);
        let texts = result.findings.into_iter().map(|finding| finding.message);
        texts.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn every_release_of_kubernetes_can_follow_the_one_before() {
        let tags: Vec<_> =
            Release::all().map(|release| release.images.coredns.trim_start_matches('v')).collect();
        for pair in tags.windows(2) {
            assert_eq!(no_way(pair[0], pair[1]), None);
            assert!(find(pair[1]).is_some(), "{}", pair[1]);
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
            assert!(no_way(from, to).is_some(), "{from} {to}");
        }
        assert_eq!(no_way("own", "own"), None);
        assert_eq!(no_way("1.8.0", "1.8.4"), None);
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

    /// kubeadm's own Corefiles are known.
    #[test]
    fn the_usual_corefile_is_known() {
        let usual = "errors\nhealth {\nlameduck 5s\n}\nready\nkubernetes cluster.local {\npods insecure\n\
            fallthrough in-addr.arpa\nttl 30\n}\nprometheus :9153\nforward . /etc/resolv.conf {\n\
            max_concurrent 1000\n}\ncache 30 CACHE\nloop\nreload\nloadbalance";
        for version in releases().filter(|version| *version >= Version(1, 7, 0)) {
            assert_eq!(found(&version.to_string(), &usual.replace("CACHE", "")), "");
        }
        let disabled = usual.replace("CACHE", "{\ndisable success cluster.local\n}");
        assert_eq!(found("1.11.3", &disabled), "");
        assert!(found("1.7.0", &disabled).contains("option disable"));
    }

    #[test]
    fn what_is_not_known_is_told_once() {
        let body = "fancy\nfancy\nimport common\nkubernetes {\nupstream\ntransfer to *\n}\n\
            hosts /etc/h {\n10.0.0.1 a\nfd00::1 b\nzone c\n}\ntransfer {\nto *\n}";
        insta::assert_snapshot!(found("1.7.0", body), @r"
        the Corefile's plugin fancy is not known to kubeadm for CoreDNS 1.7.0
        the Corefile's plugin import is not known to kubeadm for CoreDNS 1.7.0
        the Corefile's option zone of plugin hosts is not known to kubeadm for CoreDNS 1.7.0
        the Corefile's plugin transfer is not known to kubeadm for CoreDNS 1.7.0
        ");
        insta::assert_snapshot!(found("1.8.0", "kubernetes {\nupstream\ntransfer to *\n}"), @"the Corefile's option upstream of plugin kubernetes is not known to kubeadm for CoreDNS 1.8.0");
        let stale = "cache {\nserve_stale\n}";
        assert_eq!((found("1.6.9", stale), found("1.9.4", stale)), (String::new(), String::new()));
        assert!(!found("1.8.4", stale).is_empty());
    }
}
