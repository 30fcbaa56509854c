//! A member of etcd as a service of systemd, on a host that runs nothing else. Renders text; writes nothing to a host.

use crate::cluster::spec::{Cluster, ControlPlaneNode};
use crate::cluster::static_pods::etcd::{self, InitialCluster};

/// The service.
pub const SERVICE: &str = "etcd";
/// Where its unit is; it takes the place of one that a package brought.
pub const UNIT_PATH: &str = "/etc/systemd/system/etcd.service";
/// Mode of the unit.
pub const FILE_MODE: u32 = 0o644;

const TEMPLATE: &str = include_str!("../../templates/etcd/etcd.service");
const COMMAND: &str = "@COMMAND@";
const NEXT_LINE: &str = " \\\n  ";

/// The unit of the member on `node`, which runs the program at `binary`.
pub fn unit(
    cluster: &Cluster,
    node: &ControlPlaneNode,
    initial_cluster: &InitialCluster,
    binary: &str,
) -> String {
    let flags = etcd::command_line(cluster, node, initial_cluster);
    let words = std::iter::once(binary).chain(flags.iter().skip(1).map(String::as_str));
    let words: Vec<String> = words.map(quoted).collect();
    TEMPLATE.replace(COMMAND, &words.join(NEXT_LINE))
}

/// A word as systemd reads it from `ExecStart`.
fn quoted(word: &str) -> String {
    let doubled = word.replace('%', "%%").replace('$', "$$");
    if doubled.contains(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '\\' | ';')) {
        format!("\"{}\"", doubled.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        doubled
    }
}

/// Whether a unit that is on a host was put there by fleetadm.
pub fn is_ours(unit: &str) -> bool {
    unit.lines().next() == TEMPLATE.lines().next()
}

/// What the member of a unit was told about the others; `None` where its flags do not say.
pub fn initial_cluster(unit: &str) -> Option<InitialCluster> {
    // The flags that are looked at hold names and addresses, which need no quotes.
    let words: Vec<String> = unit.split_whitespace().map(str::to_owned).collect();
    words.iter().any(|word| word.starts_with("ExecStart=")).then(|| etcd::told(&words))?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::spec::tests::{node, section_with_etcd_hosts};
    use crate::cluster::static_pods::etcd::Member;

    #[test]
    fn a_unit_says_what_the_member_was_told() {
        let mut section = section_with_etcd_hosts(20, 2);
        section.etcd.extra_args = vec![("log-outputs".to_owned(), "a b$c%".to_owned())];
        let cluster = Cluster::resolve(&section).unwrap();
        let text = unit(&cluster, &node(), &InitialCluster::New, "/usr/bin/etcd");
        assert!(text.contains("ExecStart=/usr/bin/etcd \\\n  --advertise-client-urls="), "{text}");
        assert!(text.contains("\n  \"--log-outputs=a b$$c%%\""), "{text}");
        assert_eq!(initial_cluster(&text), Some(InitialCluster::New));

        let member = |name: &str, peer_url: &str| Member {
            name: name.to_owned(),
            peer_url: peer_url.to_owned(),
        };
        let told = InitialCluster::Existing(vec![
            member("etcd-1", "https://10.0.1.1:2380"),
            member("etcd-2", "https://10.0.1.2:2380"),
        ]);
        let text = unit(&cluster, &node(), &told, "/usr/bin/etcd");
        assert_eq!(initial_cluster(&text), Some(told));
        assert_eq!(initial_cluster("[Service]\n"), None);
        assert!(is_ours(&text) && !is_ours("[Unit]\n"));
    }
}
