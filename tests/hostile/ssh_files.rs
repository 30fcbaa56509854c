//! Configuration of OpenSSH's client, damaged.

use std::fs;
use std::sync::Arc;

use fleetadm::inventory::{Host, Role};
use fleetadm::ssh::{Connector, Environment, SshConfig};
use proptest::prelude::*;

use crate::noise::{expect_harmless, near};

/// Without `Match exec`: what was damaged must not be run.
const SAMPLE: &str = "# all\nHost bastion *.example.com !db? 10.0.0.*\n  HostName %h.internal\n  User=ops\n  Port 2222\n  \
    IdentityFile \"~/.ssh/id %r\"\n  ProxyJump a@b:22,[::1]:2222\n  ConnectTimeout 1h30m\nMatch host node-* !user root\n  \
    IdentityAgent $AGENT\n  ServerAliveInterval 15\nMatch final all\n  CanonicalizeHostname always\n  \
    CanonicalDomains example.com\n  CanonicalizePermittedCNAMEs *:*\n  UserKnownHostsFile a \"b c\" ${HOME}/d\n  \
    StrictHostKeyChecking accept-new\n  ProxyCommand nc %h %p\n  SetEnv A=b\nInclude nothing/*\n";

proptest! {
    #[test]
    fn any_configuration_is_read_or_refused(bytes in near(vec![SAMPLE.as_bytes().to_vec()])) {
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("config");
        fs::write(&config, bytes).unwrap();
        let connector = Connector::new(Environment {
            home: Some(directory.path().to_owned()),
            user: Some("ops".to_owned()),
            host_name: Some("here".to_owned()),
            ssh_config: SshConfig::File(config),
            ..Environment::default()
        });
        for address in ["node-1", "x.example.com", "10.0.0.1"] {
            let host = Host {
                name: "host".to_owned(),
                address: address.to_owned(),
                advertise_address: None,
                role: Role::Worker,
                groups: Vec::new(),
                labels: Default::default(),
                taints: None,
                kubelet_extra_args: Default::default(),
                ssh: Arc::default(),
                vars: serde_json::Map::new(),
            };
            if let Err(error) = connector.settings(&host) {
                expect_harmless(&error.to_string(), &['\t']);
            }
        }
    }
}
