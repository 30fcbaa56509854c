//! What must differ from host to host, and does not where a machine was cloned.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use sha2::{Digest, Sha256};

use super::{Checks, FleetHost};
use crate::preflight::result::Findings;
use crate::report::Severity;

impl Checks<'_> {
    pub(super) fn identity(&mut self) {
        let hosts = self.hosts;
        let names = self.shared("host name", Severity::Error, |host| {
            Some(hosts[host].facts.hostname.to_lowercase()).filter(|name| !name.is_empty())
        });
        // That the two differ is fine: the kubelet is told its node's name.
        let with_node = |(findings, host): (Option<Findings>, &FleetHost<'_>)| {
            findings.map(|findings| findings.saw("node name", host.name))
        };
        self.push("UniqueHostname", names.into_iter().zip(hosts).map(with_node));
        let ids = self.shared("machine-id", Severity::Error, |host| machine_id(&hosts[host]));
        self.push("UniqueMachineID", ids);
        let uuids = self.shared("product_uuid", Severity::Error, |host| product_uuid(&hosts[host]));
        self.push("UniqueProductUUID", uuids);
        let macs = self.shared("MAC address", Severity::Error, |host| macs(&hosts[host]));
        self.push("UniqueMAC", macs);
        let keys = self.shared("SSH host key", Severity::Warning, |host| {
            hosts[host].facts.ssh_host_keys.iter().filter_map(host_key)
        });
        self.push("UniqueHostKeys", keys);
    }
}

fn machine_id(host: &FleetHost<'_>) -> Option<String> {
    let id = &host.facts.machine_id;
    // An image that is to be cloned says that its machine-id is yet to be made.
    (!id.is_empty() && id != "uninitialized").then(|| id.clone())
}

/// The mainboard's UUID, where it is the host's own and one at all.
fn product_uuid(host: &FleetHost<'_>) -> Option<String> {
    /// What firmware says whose maker gave it none.
    const NONE: &[&str] = &["03000200-0400-0500-0006-000700080009", "not settable", "not present"];
    let uuid = &host.facts.product_uuid;
    let blank = uuid.chars().all(|c| matches!(c, '0' | '-'))
        || uuid.chars().all(|c| matches!(c, 'f' | '-'))
        || NONE.contains(&uuid.as_str());
    (!blank && !host.is_container()).then(|| uuid.clone())
}

/// Hardware addresses of the interfaces that matter: of network cards in use, and of whatever has the address the
/// cluster uses. Bridges on every host may well have the same.
fn macs(host: &FleetHost<'_>) -> impl Iterator<Item = String> {
    let used = host.cluster_interface().map(|interface| interface.name.as_str());
    let matters = move |name: &str, physical: bool, state: &str| {
        used == Some(name) || (physical && state != "down")
    };
    let interfaces = host.facts.interfaces.iter();
    interfaces
        .filter(move |card| matters(&card.name, card.physical, &card.state))
        .map(|card| card.mac.clone())
        .filter(|mac| !mac.is_empty() && mac.chars().any(|c| !matches!(c, '0' | ':')))
}

/// `TYPE SHA256:...`, as ssh-keygen shows it; `None` for what is no key.
fn host_key((kind, blob): &(String, String)) -> Option<String> {
    let blob = STANDARD.decode(blob).ok().filter(|blob| !blob.is_empty())?;
    Some(format!("{kind} SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(blob))))
}

#[cfg(test)]
mod tests {
    use crate::node::facts::Interface;
    use crate::preflight::fleet::testing::{Fleet, found};

    #[test]
    fn a_cloned_machine_is_told_by_all_it_has() {
        let mut fleet = Fleet::healthy(1, 3);
        fleet.host("node-3", |facts| facts.hostname = "Node-2".to_owned());
        let original = fleet.facts("node-2").clone();
        fleet.host("node-3", |facts| {
            facts.machine_id.clone_from(&original.machine_id);
            facts.product_uuid.clone_from(&original.product_uuid);
            facts.ssh_host_keys.clone_from(&original.ssh_host_keys);
            facts.interfaces[1].mac.clone_from(&original.interfaces[1].mac);
        });
        insta::assert_snapshot!(found(&fleet), @r"
        node-2 error UniqueHostname: host name node-2: the same on node-[2-3]
        node-2 error UniqueMachineID: machine-id 00000000000000000000000000000002: the same on node-[2-3]
        node-2 error UniqueProductUUID: product_uuid 4c4c4544-0042-3510-8053-000000000002: the same on node-[2-3]
        node-2 error UniqueMAC: MAC address 52:54:00:00:00:02: the same on node-[2-3]
        node-2 warning UniqueHostKeys: SSH host key ssh-ed25519 SHA256:ntMZmwhJ8i8FA2/nF41HYiZEda9l5VUYmSW/2WM1tpo, ssh-rsa SHA256:D+cOUWASkEXYDBDbYuWnDjZ+b97BpZMORwr5npHynQ4: the same on node-[2-3]
        node-3 error UniqueHostname: host name node-2: the same on node-[2-3]
        node-3 error UniqueMachineID: machine-id 00000000000000000000000000000002: the same on node-[2-3]
        node-3 error UniqueProductUUID: product_uuid 4c4c4544-0042-3510-8053-000000000002: the same on node-[2-3]
        node-3 error UniqueMAC: MAC address 52:54:00:00:00:02: the same on node-[2-3]
        node-3 warning UniqueHostKeys: SSH host key ssh-ed25519 SHA256:ntMZmwhJ8i8FA2/nF41HYiZEda9l5VUYmSW/2WM1tpo, ssh-rsa SHA256:D+cOUWASkEXYDBDbYuWnDjZ+b97BpZMORwr5npHynQ4: the same on node-[2-3]
        ");
    }

    #[test]
    fn what_is_nobodys_own_is_not_compared() {
        let mut fleet = Fleet::healthy(1, 2);
        fleet.all(|facts| {
            facts.machine_id = "uninitialized".to_owned();
            facts.product_uuid = "03000200-0400-0500-0006-000700080009".to_owned();
            facts.ssh_host_keys = vec![("ssh-ed25519".to_owned(), "not base64".to_owned())];
            let card = |name: &str, mac: &str, state: &str, physical| Interface {
                name: name.to_owned(),
                mac: mac.to_owned(),
                state: state.to_owned(),
                physical,
                ..Interface::default()
            };
            facts.interfaces.push(card("docker0", "02:42:aa:aa:aa:aa", "up", false));
            facts.interfaces.push(card("ib0", "00:00:00:00:00:00", "up", true));
            facts.interfaces.push(card("usb0", "02:42:bb:bb:bb:bb", "down", true));
        });
        assert_eq!(found(&fleet), "");
        // Containers on one machine see its mainboard.
        fleet.all(|facts| {
            facts.product_uuid = "4c4c4544-0042-3510-8053-b4c04f564433".to_owned();
            facts.virtualization = "docker".to_owned();
        });
        assert_eq!(found(&fleet), "");
    }

    #[test]
    fn the_address_of_the_cluster_may_be_on_something_virtual() {
        let mut fleet = Fleet::healthy(1, 1);
        fleet.all(|facts| {
            facts.interfaces[1].physical = false;
            facts.interfaces[1].mac = "02:42:ac:11:00:02".to_owned();
        });
        insta::assert_snapshot!(found(&fleet), @r"
        cp-1 error UniqueMAC: MAC address 02:42:ac:11:00:02: the same on cp-1,node-1
        node-1 error UniqueMAC: MAC address 02:42:ac:11:00:02: the same on cp-1,node-1
        ");
    }
}
