//! What hosts look like before and after: files, mounts, ports, processes, network.

use std::collections::BTreeMap;

use super::lab::{HOSTS, Lab};

/// What may differ between a host that was never touched and one that was reset: how the line begins, why.
const LEFT_BY_RESET: &[(&str, &str)] = &[
    (
        "file f 755 root:root /usr/bin/kubelet",
        "a program, as a package's would stay; inert without a unit",
    ),
    ("file f 755 root:root /usr/bin/kubectl", "a program, as a package's would stay"),
    ("file d 755 root:root /run/netns", "an empty directory in memory that containerd's CNI makes"),
    ("file f 644 root:root /run/xtables.lock", "iptables' own lock file, in memory"),
    ("file f 644 root:root /run/motd.dynamic", "written by sshd at every login"),
    (
        "iptables chain :",
        "kubeadm reset leaves kube-proxy's chains and says so; they end with the next boot",
    ),
    ("iptables rule ", "as the chains"),
    (
        "listen tcp 127.0.0.1:",
        "containerd's streaming server, on another free port after its restart",
    ),
    ("route 10.244.", "of the lab's own hook, which knows no reset"),
    (
        "file d 600 root:root /etc/iproute2",
        "keepalived of trixie tells iproute2 its name there whenever it runs",
    ),
    ("file d 755 root:root /etc/iproute2/rt_addrprotos.d", "as its parent"),
    ("file f 644 root:root /etc/iproute2/rt_addrprotos.d/keepalived.conf", "keepalived's, too"),
    ("content 946ac0c9ecb6fd59 /etc/iproute2/rt_addrprotos.d/keepalived.conf", "and what it says"),
];

/// Lines of which the number does not matter: the same command may run more than once.
const COUNTLESS: &[&str] = &["process "];

/// Processes that come and go by themselves on an untouched host, or belong to looking at it.
const TRANSIENT: &[&str] =
    &["process ps", "process sh", "process sort", "process sed", "process awk", "process sshd"];

/// One host's facts, one a line; how often each is there.
pub type Listing = BTreeMap<String, usize>;

/// The facts of every host.
pub fn of_all(lab: &Lab) -> BTreeMap<&'static str, Listing> {
    std::thread::scope(|scope| {
        let threads = HOSTS.map(|host| (host, scope.spawn(move || of(lab, host))));
        threads.into_iter().map(|(host, thread)| (host, thread.join().unwrap())).collect()
    })
}

fn of(lab: &Lab, host: &str) -> Listing {
    let text = lab.sh(host, include_str!("listing.sh"));
    // What CNI plugins leave there is none of kubeadm's business since 1.25; before, its reset empties it.
    let is_cnis = |line: &&str| lab.minor() >= 25 && line.contains(" /var/lib/cni");
    let mut listing = Listing::new();
    for line in text.lines().filter(|line| !TRANSIENT.contains(line) && !is_cnis(line)) {
        let count = listing.entry(line.to_owned()).or_default();
        *count = if COUNTLESS.iter().any(|kind| line.starts_with(kind)) { 1 } else { *count + 1 };
    }
    // A listing that found nothing would equal any other.
    for kind in
        ["file d ", "file f ", "content ", "mount ", "listen tcp ", "process systemd", "route "]
    {
        assert!(listing.keys().any(|line| line.starts_with(kind)), "{host}: no {kind}");
    }
    listing
}

/// Fails if a host is not bare to begin with, since then it would be bare afterwards whatever reset does.
pub fn expect_no_cluster(all: &BTreeMap<&'static str, Listing>) {
    for (host, listing) in all {
        let left = listing.keys().find(|line| line.contains(" /etc/kubernetes"));
        assert!(left.is_none(), "{host} is not bare: {left:?}");
    }
}

/// Lines with a sign: `+` what is there only after, `-` what was there only before.
pub fn differences(before: &Listing, after: &Listing) -> Vec<String> {
    let mut lines = Vec::new();
    for line in before.keys().chain(after.keys().filter(|line| !before.contains_key(*line))) {
        let count = |listing: &Listing| listing.get(line).copied().unwrap_or_default();
        let (was, is) = (count(before), count(after));
        if was != is {
            lines.push(format!("{}{line}", if was < is { '+' } else { '-' }));
        }
    }
    lines
}

/// Fails unless hosts are as they were.
pub fn expect_untouched(
    before: &BTreeMap<&'static str, Listing>,
    after: &BTreeMap<&'static str, Listing>,
) {
    for (host, was) in before {
        let mut changed = differences(was, &after[host]);
        // sshd writes it at every login.
        changed.retain(|line| !line.ends_with("/run/motd.dynamic"));
        assert!(changed.is_empty(), "{host}:\n{}", changed.join("\n"));
    }
}

/// Fails unless hosts are as they were, but for what a table gives a reason for.
pub fn expect_bare(
    before: &BTreeMap<&'static str, Listing>,
    after: &BTreeMap<&'static str, Listing>,
) {
    let mut problems = Vec::new();
    for (host, was) in before {
        let unexplained = differences(was, &after[host]).into_iter().filter(|line| {
            !LEFT_BY_RESET.iter().any(|(explained, _)| line[1..].starts_with(explained))
        });
        problems.extend(unexplained.map(|line| format!("{host} {line}")));
    }
    assert!(problems.is_empty(), "the hosts are not as they were:\n{}", problems.join("\n"));
}

#[test]
fn differences_are_seen() {
    let listing =
        |lines: &[&str]| -> Listing { lines.iter().map(|line| ((*line).to_owned(), 1)).collect() };
    let (before, after) = (listing(&["a", "b"]), listing(&["b", "c"]));
    assert_eq!(differences(&before, &after), ["-a", "+c"]);
}
