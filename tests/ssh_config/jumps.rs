//! Jump hosts: each is looked up by its own name, as the client that OpenSSH starts for it would.

use std::path::PathBuf;

use fleetadm::inventory::{Hop, Place, SshSettings, Written};
use fleetadm::ssh::Settings;

use crate::client::{Files, Words, host, words};

const CONFIG: &str = "
Host inner
  ProxyJump first,second@middle:2222,last
  User deep
Host first
  HostName %h.example.com
  ProxyJump gate
  IdentityFile ~/.ssh/%n
Host middle
  Port 99
  User nobody
  ProxyJump ignored
  ProxyCommand ignored
Host last
  HostKeyAlias the-last
  UserKnownHostsFile /known/%k-%p-%r
Host gate
  ProxyCommand nc -x proxy %h %p
  User keeper
Match host 10.* user ops
  Port 7
Host *
  ServerAliveInterval 30
";

/// Without what a jump host does not decide itself, and what the client prints as it was written.
fn without_proxies(mut words: Words) -> Words {
    for key in ["jump", "proxy_command"] {
        words.remove(key);
    }
    words
}

fn names(way: &[Settings]) -> Vec<&str> {
    way.iter().map(|settings| settings.name.as_str()).collect()
}

#[test]
fn every_hop_is_resolved_as_its_own_client_would() {
    let client = client!();
    let files = Files::new(CONFIG);
    let config = files.config();
    let way = client.connector(&config).way(&host("inner")).unwrap();
    assert_eq!(names(&way), ["gate", "first", "middle", "last", "inner"]);
    let options: [&[&str]; 5] = [
        &[],
        &[],
        &["-J", "first", "-l", "second", "-p", "2222"],
        &["-J", "first,second@middle:2222"],
        &[],
    ];
    for (settings, options) in way.iter().zip(options) {
        let expected = client.asks_with(&config, options, &settings.name).unwrap();
        assert_eq!(
            without_proxies(words(settings)),
            without_proxies(expected),
            "{}",
            settings.name
        );
    }
    let commands = way.iter().map(|settings| settings.proxy_command.value.as_deref());
    let only_the_first = [Some("nc -x proxy gate 22"), None, None, None, None];
    assert_eq!(commands.collect::<Vec<_>>(), only_the_first);
    assert_eq!(way[2].port.origin.to_string(), way[4].jump.origin.to_string());
}

fn said<T>(value: T) -> Written<T> {
    Written { value, place: Place::CommandLine }
}

fn hop(user: Option<&str>, host: &str, port: Option<u16>, ssh: SshSettings) -> Hop {
    Hop { user: user.map(str::to_owned), host: host.to_owned(), port, ssh }
}

#[test]
fn the_inventory_wins_over_the_configuration() {
    let client = client!();
    let files = Files::new(CONFIG);
    let connector = client.connector(&files.config());
    let mut inner = host("inner");
    let of_table = SshSettings { port: Some(said(2022)), ..SshSettings::default() };
    *inner.ssh_mut() = SshSettings {
        user: Some(said("ops".to_owned())),
        identity_files: Some(said(vec!["/keys/fleet".into()])),
        jump: Some(said(vec![
            hop(Some("me"), "first", None, SshSettings::default()),
            hop(None, "middle", Some(2200), SshSettings::default()),
            hop(None, "last", None, of_table),
        ])),
        ..SshSettings::default()
    };
    let way = connector.way(&inner).unwrap();
    assert_eq!(names(&way), ["gate", "first", "middle", "last", "inner"]);
    let logins: Vec<(Option<&str>, u16)> =
        way.iter().map(|hop| (hop.user.value.as_deref(), hop.port.value)).collect();
    let own = client.environment.user.as_deref();
    let expected = [
        (Some("keeper"), 22),
        (Some("me"), 22),
        (Some("nobody"), 2200),
        (own, 2022),
        (Some("ops"), 22),
    ];
    assert_eq!(logins, expected);
    // Keys of the inventory are offered to every jump host, a user only to the host itself.
    for settings in &way {
        let files = &settings.identity_files.value;
        assert_eq!(*files, [PathBuf::from("/keys/fleet")], "{}", settings.name);
    }

    inner.ssh_mut().jump = Some(said(Vec::new()));
    assert_eq!(names(&connector.way(&inner).unwrap()), ["inner"]);
    let mut gate = host("gate");
    assert!(connector.settings(&gate).unwrap().proxy_command.value.is_some());
    gate.ssh_mut().jump = Some(said(Vec::new()));
    assert_eq!(connector.settings(&gate).unwrap().proxy_command.value, None);

    // As behind ssh -l and -p.
    let mut node = host("10.0.0.1");
    node.ssh_mut().user = Some(said("ops".to_owned()));
    assert_eq!(connector.settings(&node).unwrap().port.value, 7);
    node.ssh_mut().port = Some(said(2222));
    assert_eq!(connector.settings(&node).unwrap().port.value, 2222);
}

#[test]
fn loops_are_refused() {
    let client = client!();
    for (text, name) in [
        ("ProxyJump bastion\n", "bastion"),
        ("Host a\nProxyJump b\nHost b\nProxyJump c\nHost c\nProxyJump b\n", "b"),
        ("Host a\nProxyJump a\n", "a"),
        ("Host a\nProxyJump b,b\n", "b"),
    ] {
        let files = Files::new(text);
        let error = client.connector(&files.config()).way(&host("a")).unwrap_err().to_string();
        assert!(error.contains(&format!("{name} is behind itself")), "{text}{error}");
    }
    // The same machine for somebody else is another server.
    let files = Files::new("Host gate\nHostName a\nUser keeper\nHost a\nProxyJump gate\n");
    assert_eq!(client.connector(&files.config()).way(&host("a")).unwrap().len(), 2);
}
